//! The end of each command's `--help`: examples and exit codes.

/// Printed after the help of `run`.
pub(super) const RUN_EXAMPLES: &str = "\
Examples:
  sluicegate run orders.js events.jsonl > out.jsonl
  zcat events.gz | sluicegate run orders.js -L lib --errors dead.jsonl > out.jsonl
  sluicegate run orders.js --cpu-limit 50ms --heap-limit 64MiB --fail-on 1% < events.jsonl
  sluicegate run orders.js --emit verdicts --line-buffered --quiet     # one answer per line, for a host that waits

Exit codes:
  0  the run is complete, dropped events included
  1  complete, but events failed (see --fail-on)
  2  could not run: flags, config, a transformation that does not load, files
  129, 130, 143  ended by SIGHUP, SIGINT or SIGTERM; what was in flight is finished

Every flag can also be set in the environment (SLUICEGATE_CPU_LIMIT=200ms for --cpu-limit 200ms) and in
sluicegate.toml; a flag wins over the environment, the environment over the file.
";

/// Printed after the help of `check`.
pub(super) const CHECK_EXAMPLES: &str = "\
Examples:
  sluicegate check                                 # every transformation below the current folder
  sluicegate check src -L lib                      # every transformation of a folder
  sluicegate check orders.js --json
  sluicegate check src --reporter github           # for a pull request
  sluicegate check orders.js --fix                 # CommonJS becomes export, and the like

Exit codes: 0 nothing was found, 1 something was, 2 a transformation does not load.
";

/// Printed after the help of `replay`.
pub(super) const REPLAY_EXAMPLES: &str = "\
Examples:
  sluicegate replay dead.jsonl:3                   # the third dead letter: what happens, and why
  sluicegate replay dead.jsonl:3 --transformation mended.js
  tail -n 1 dead.jsonl | sluicegate replay -
  sluicegate replay --all dead.jsonl --errors still-dead.jsonl > out.jsonl

Exit codes:
  0  the event went out or was dropped; with --all: each of them
  1  it failed again; with --all: at least one did (see --fail-on)
  2  could not run: no such record, no such transformation, flags, config
";

/// Printed after the help of `bench`.
pub(super) const BENCH_EXAMPLES: &str = "\
Examples:
  sluicegate bench orders.js                       # made-up events, as many workers as there are cores
  sluicegate bench orders.js events.jsonl --svg bench.svg
  sluicegate bench orders.js --generate wide --json > before.json
  sluicegate bench orders.js --generate wide --baseline before.json --max-regress 5%

Exit codes: 0 measured, 1 worse than the baseline allows, 2 could not measure.
";

/// Printed after the help of `test`.
pub(super) const TEST_EXAMPLES: &str = "\
Examples:
  sluicegate test                                  # every test below the current folder
  sluicegate test orders.test.js --filter refund
  sluicegate test -L lib --reporter junit > junit.xml
  sluicegate test --watch                          # keeps running; keys choose what is run
  sluicegate test --update                         # rewrites snapshots
  sluicegate test --reporter github                # shows failures at their lines in a pull request
  sluicegate test --coverage-lcov lcov.info --min-coverage 90%

Exit codes:
  0  every test passed
  1  a test failed, or fewer lines ran than --min-coverage asks for
  2  no test was found, or a test file could not be loaded, or could not run at all
";

/// Printed after the help of `init`.
pub(super) const INIT_EXAMPLES: &str = "\
Examples:
  sluicegate init orders && cd orders && sluicegate test
  sluicegate init --ts                             # TypeScript, in the current folder

Exit codes: 0 written, 2 one of the files is there already, or cannot be written.
";

/// Printed after the help of `play`.
pub(super) const PLAY_EXAMPLES: &str = "\
Examples:
  sluicegate play                                  # the current folder, on any free port
  sluicegate play examples/warehouse-actions --port 4000
  sluicegate play -L lib --cpu-limit 50ms
  sluicegate play --allow-net api.example.com      # fetch really asks, whenever typing pauses

It listens on 127.0.0.1 only, and answers the page that was opened with the printed address. Ctrl-C ends it.
";

/// Printed after the help of `fuzz`.
pub(super) const FUZZ_EXAMPLES: &str = "\
Examples:
  sluicegate fuzz orders.js                        # changed copies of the built-in events
  sluicegate fuzz orders.js events.jsonl --save cases
  sluicegate fuzz orders.js --runs 100000 --time 5m --seed 7

Exit codes: 0 nothing was found, 1 something was, 2 could not run.
";

/// Printed after the help of `diff`.
pub(super) const DIFF_EXAMPLES: &str = "\
Examples:
  sluicegate diff old.js new.js events.jsonl
  sluicegate diff old.js new.js events.jsonl --max-changes 0 --json

Exit codes: 0 compared, 1 more events changed than --max-changes allows, 2 could not run.
";

/// Printed after the help of `lineage`.
pub(super) const LINEAGE_EXAMPLES: &str = "\
Examples:
  sluicegate lineage orders.js events.jsonl
  sluicegate lineage orders.js events.jsonl --from traits.email
  sluicegate lineage orders.js --svg > orders.svg  # with the built-in events
  sluicegate lineage orders.js events.jsonl --rules lineage.toml --against old.js

Exit codes:
  0  measured, and every rule holds
  1  a rule is broken
  2  could not run
";

/// Printed after the help of `serve`.
pub(super) const SERVE_EXAMPLES: &str = "\
Examples:
  sluicegate serve --dir transformations           # code from a folder, on port 9090
  CONFIG_BACKEND_URL=https://api.example.com sluicegate serve --log-format json
  sluicegate serve --dir transformations --listen 127.0.0.1:9090 --play
  curl localhost:9090/metrics

Exit codes: 0 ended by SIGTERM or SIGINT, with all requests answered, 2 could not start.
";

/// Printed after the help of the program.
pub(super) const EXAMPLES: &str = "\
Examples:
  sluicegate check orders.js                       # does it load, and what does it export?
  sluicegate run orders.js events.jsonl            # the events that come out, on standard output
  sluicegate play                                  # write one, in the browser
  sluicegate completions bash > sluicegate.bash
";

/// Printed after the help of `sync`.
pub(super) const SYNC_EXAMPLES: &str = "\
Examples:
  sluicegate sync init --file rows.jsonl > sync.toml
  sluicegate sync sync.toml --dry-run              # what would go out, as diffs
  sluicegate sync sync.toml                        # new and changed rows go out
  sluicegate sync status sync.toml                 # runs, and rows that are not settled
  sluicegate sync explain sync.toml u42            # everything about one row
  sluicegate sync retry sync.toml                  # rows that failed, once more

Exit codes:
  0    complete, drops included
  1    complete, but rows failed, were invalid or have no answer yet (see --fail-on)
  2    could not run: config, source, state, code; or a destination refuses this sync
  130, 143  ended by SIGINT or SIGTERM, what was in flight is finished and recorded
";
