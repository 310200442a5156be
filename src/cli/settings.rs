//! Every setting of a run in one table: its flag, its help, its key in `sluicegate.toml` and its parser. `--help`, the
//! man page, the completions, the environment variables and the config file all come from this table.
//!
//! A [`Settings`] holds the values of one source; a field that the source does
//! not set is `None`. The flags, the environment and the file have one each, and
//! [`Settings::or`] combines them. [`crate::cli::config`] adds the defaults last.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PathBufValueParser, PossibleValuesParser, TypedValueParser};
use clap::{ArgMatches, Args};
use reqwest::Url;

use super::values::{self, Kind, Library};
use crate::config::{
    Choice, Decompress, Emit, InputFormat, LogFormat, LogLevel, OnError, OnUnsafeInteger, Stats, Target, VerdictDetail,
    When,
};
use crate::net::Hosts;
use crate::tally::FailOn;

/// One row of the table, without its help.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The long flag, without dashes.
    pub flag: &'static str,
    /// The table in `sluicegate.toml`.
    pub table: &'static str,
    /// The key in that table.
    pub key: &'static str,
    /// The form of its value.
    pub kind: Kind,
}

impl Setting {
    /// Returns the name of the environment variable, e.g. `SLUICEGATE_CPU_LIMIT`.
    pub fn variable(&self) -> String {
        format!("SLUICEGATE_{}", self.flag.to_ascii_uppercase().replace('-', "_"))
    }
}

macro_rules! settings {
    ($($(#[$group_attr:meta])* $group:ident {
        $($(#[$attr:meta])* $field:ident: $type:ty = $flag:literal, $table:literal, $key:literal, $kind:expr, $read:expr;)+
    })+) => {$(
        #[derive(Args, Clone, Debug, Default, PartialEq)]
        $(#[$group_attr])*
        pub struct $group {
            $($(#[$attr])* #[arg(long = $flag)] pub $field: Option<$type>,)+
        }

        impl $group {
            const TABLE: &'static [Setting] =
                &[$(Setting { flag: $flag, table: $table, key: $key, kind: $kind },)+];

            /// Parses the text of one setting; `None` if the setting is not in this group.
            fn set(&mut self, flag: &str, text: &str) -> Option<Result<(), String>> {
                match flag {
                    $($flag => Some($read(text).map(|value| self.$field = Some(value))),)+
                    _ => None,
                }
            }

            /// Returns the typed values. The command may have only some of these flags.
            fn from_matches(matches: &ArgMatches) -> Self {
                Self { $($field: typed(matches, stringify!($field)),)+ }
            }

            fn or(self, lower: Self) -> Self {
                Self { $($field: self.$field.or(lower.$field),)+ }
            }
        }
    )+};
}

/// Returns the typed value of a flag; `None` also if the command does not have the flag.
fn typed<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, id: &str) -> Option<T> {
    matches.try_get_one::<T>(id).ok().flatten().cloned()
}

/// Returns a parser for clap that knows the list of words, for `--help` and the completions.
pub(super) fn words<T: Choice>() -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(T::WORDS).try_map(|word| values::word::<T>(&word))
}

fn target() -> impl TypedValueParser<Value = Target> {
    PathBufValueParser::new().map(values::target_at)
}

settings! {
    /// What the code may use beside the event.
    #[command(next_help_heading = "Libraries and data")]
    DataFlags {
        /// Metadata for every event: what `metadata(event)` answers [default: none].
        ///
        /// FILE holds one JSON object, e.g. {"sourceId": "2bX…", "destinationName": "Salesforce"}. With --envelope a
        /// line's own metadata wins, key by key.
        #[arg(value_name = "FILE")]
        metadata: PathBuf = "metadata", "run", "metadata", Kind::Path, values::path;

        /// What `getCredential(key)` answers [default: none].
        ///
        /// FILE holds a JSON object of strings, {"apiKey": "…"}, or a list, [{"key": "apiKey", "value": "…"}]. The
        /// values are masked in logs and errors.
        #[arg(value_name = "FILE")]
        credentials: PathBuf = "credentials", "run", "credentials", Kind::Path, values::path;
    }

    /// What one event may cost.
    #[command(next_help_heading = "Limits, each per event")]
    LimitFlags {
        /// CPU time of the code, from the moment it is entered, e.g. 200ms [default: 1s].
        #[arg(value_name = "TIME", visible_alias = "timeout", value_parser = values::limit)]
        cpu_limit: Duration = "cpu-limit", "limits", "cpu", Kind::Duration, values::limit;

        /// Wall time, for code that waits [default: 5s, or the CPU limit where that is longer; 60s in `serve` with --allow-net].
        #[arg(value_name = "TIME", value_parser = values::limit)]
        wall_limit: Duration = "wall-limit", "limits", "wall", Kind::Duration, values::limit;

        /// V8's heap, and as much again for ArrayBuffers; at least 8MiB [default: 128MiB].
        ///
        /// An event that hits it is tried once more, alone, in a fresh isolate, before it is failed.
        #[arg(value_name = "SIZE", value_parser = values::heap)]
        heap_limit: usize = "heap-limit", "limits", "heap", Kind::Size, values::heap;

        /// All output of one event together [default: 16MiB].
        #[arg(value_name = "SIZE", value_parser = values::text_size)]
        output_limit: usize = "output-limit", "limits", "output", Kind::Size, values::text_size;

        /// One input line, without its line end [default: 16MiB].
        ///
        /// A longer line fails as line_too_long without being read into memory.
        #[arg(value_name = "SIZE", value_parser = values::text_size)]
        line_limit: usize = "line-limit", "limits", "line", Kind::Size, values::text_size;

        /// Log text of one event; the rest is cut off, with a note [default: 64KiB].
        #[arg(value_name = "SIZE", value_parser = values::log_size)]
        log_limit: usize = "log-limit", "limits", "log", Kind::Size, values::log_size;
    }

    /// What the code makes of numbers.
    #[command(next_help_heading = "Numbers")]
    NumberFlags {
        /// What happens when the code reads an integer beyond 2^53 that JavaScript can't hold [default: warn].
        ///
        /// `warn`: it is told once, with the line and the place in the code; with --quiet only if `warn` was said. `fail`: the event
        /// fails. `ignore`: nothing. A number that is not read, or only moved, keeps its digits: see docs/output.md.
        #[arg(value_name = "WHAT", value_parser = words::<OnUnsafeInteger>())]
        on_unsafe_integer: OnUnsafeInteger = "on-unsafe-integer", "run", "on-unsafe-integer",
            Kind::Word(OnUnsafeInteger::WORDS), values::word;
    }

    /// The sandbox around the code, beside the limits.
    #[command(next_help_heading = "Sandbox")]
    SandboxFlags {
        /// Do not run unless every layer of the sandbox is in place [default: warn if one is missing; `serve` does not
        /// run].
        ///
        /// `sluicegate doctor` shows which are in place on this machine.
        #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL",
            value_parser = values::switch)]
        require_sandbox: bool = "require-sandbox", "run", "require-sandbox", Kind::Switch, values::switch;

        /// Interpret the code, without V8's compilers [default: compile it].
        ///
        /// Most of the known escapes from V8 went through its compilers. Code that computes a lot is several times
        /// slower.
        #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL",
            value_parser = values::switch)]
        jitless: bool = "jitless", "run", "jitless", Kind::Switch, values::switch;
    }

    /// Whom the code may ask. Requests are made by this process; the workers have no network.
    #[command(next_help_heading = "Network")]
    NetworkFlags {
        /// The hosts that fetch and fetchV2 may ask, with commas between [default: none, the network is off].
        ///
        /// api.example.com, api.example.com:8443, *.example.com, localhost:8080, 10.1.0.0/16, or * for every public
        /// host. Private addresses are refused, whatever name resolves to them, unless they are given as numbers; so is
        /// a redirect to a host that is not on the list.
        #[arg(value_name = "HOST[,HOST…]", value_parser = values::hosts)]
        allow_net: Hosts = "allow-net", "network", "allow",
            Kind::List("hosts, such as [\"api.example.com\", \"localhost:8080\"]"), values::hosts;

        /// The service that geolocation(ip) asks, as URL/geoip/IP [default: none, it is not available].
        #[arg(value_name = "URL", value_parser = values::service)]
        geolocation_url: Url = "geolocation-url", "network", "geolocation-url",
            Kind::Url, values::service;

        /// Let fetch throw an Error where it would answer 'ERROR' [default: it answers 'ERROR'].
        #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL",
            value_parser = values::switch)]
        strict_fetch: bool = "strict-fetch", "network", "strict-fetch", Kind::Switch, values::switch;

        /// Events of a worker that may wait for answers at a time; with 1, one after the other [default: 1024].
        #[arg(value_name = "N", allow_negative_numbers = true, value_parser = values::concurrency)]
        concurrency: usize = "concurrency", "network", "concurrency", Kind::Count, values::concurrency;

        /// Requests to one host and port that may be under way at a time, of all workers [default: 1024].
        #[arg(value_name = "N", allow_negative_numbers = true, value_parser = values::concurrency)]
        requests_per_host: usize = "requests-per-host", "network", "requests-per-host", Kind::Count, values::concurrency;
    }

    /// How events flow.
    #[command(next_help_heading = "Events")]
    EventFlags {
        /// How many worker processes, 0 for one per core [default: 0].
        #[arg(short = 'j', value_name = "N", allow_negative_numbers = true, value_parser = values::workers)]
        workers: usize = "workers", "run", "workers", Kind::Count, values::workers;

        /// What standard output carries [default: events].
        ///
        /// `events`: the events that come out, a line each. `verdicts`: exactly one line for each input line,
        /// {"verdict":"ok","events":[…]}, {"verdict":"dropped"} or {"verdict":"failed",…}, for hosts that count lines
        /// (Redpanda Connect, ClickHouse). `framed`: the same, but {"verdict":"ok","count":2} with that many events on
        /// the lines behind it, so that a host can separate them without parsing.
        #[arg(value_name = "WHAT", value_parser = words::<Emit>())]
        emit: Emit = "emit", "run", "emit", Kind::Word(Emit::WORDS), values::word;

        /// Write what comes out to FILE, whole or not at all [default: to standard output].
        ///
        /// The output goes to a temporary file beside FILE, which replaces FILE once the run is complete. A run that is
        /// interrupted or ends with an error leaves FILE as it was.
        #[arg(short = 'o', value_name = "FILE", value_parser = values::path)]
        output: PathBuf = "output", "run", "output", Kind::Path, values::path;

        /// The format of the inputs [default: lines].
        ///
        /// `lines`: an event on each line. `array`: a JSON array of events, or several one after the other. `json`:
        /// JSON values one after the other,
        /// over any number of lines, such as pretty-printed JSON. `chunks`: see --chunk-header.
        #[arg(value_name = "FORM", value_parser = words::<InputFormat>())]
        input_format: InputFormat = "input-format", "run", "input-format", Kind::Word(InputFormat::WORDS), values::word;

        /// Whether gzip and zstd inputs, recognised by their first bytes, are decompressed [default: auto].
        #[arg(value_name = "WHEN", value_parser = words::<Decompress>())]
        decompress: Decompress = "decompress", "run", "decompress", Kind::Word(Decompress::WORDS), values::word;

        /// Lines come in chunks, a line with their number before each, as ClickHouse sends them with send_chunk_header
        /// [default: no such lines].
        #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL",
            value_parser = values::switch)]
        chunk_header: bool = "chunk-header", "run", "chunk-header", Kind::Switch, values::switch;

        /// The event is in this field of each line, as a JSON string such as {"NAME": "{\"id\": 1}"} or as it is
        /// [default: the line is the event].
        ///
        /// For hosts that write rows, and count the answers: a line end inside an event can't shift them.
        #[arg(value_name = "NAME", value_parser = values::field)]
        input_field: String = "input-field", "run", "input-field", Kind::Text("the name of a field"), values::field;

        /// What the verdict line of a failed event says [default: short].
        ///
        /// `short`: what went wrong. `full`: also where the line stood, the code and the event, so that the line is a dead letter
        /// that `replay` takes.
        #[arg(value_name = "WHAT", value_parser = words::<VerdictDetail>())]
        verdict_detail: VerdictDetail = "verdict-detail", "run", "verdict-detail", Kind::Word(VerdictDetail::WORDS), values::word;

        /// Lines are {"message": EVENT, "metadata": {…}}, and so is the output [default: lines are events].
        #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL",
            value_parser = values::switch)]
        envelope: bool = "envelope", "run", "envelope", Kind::Switch, values::switch;

        /// Write results as they come, not in the order of the input [default: in order].
        ///
        /// Not with --emit verdicts or framed, whose answers are told apart by their order.
        #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL",
            value_parser = values::switch)]
        unordered: bool = "unordered", "run", "unordered", Kind::Switch, values::switch;

        /// Flush after every line, for a host that waits for the answer before it sends the next one [default: whenever
        /// the input pauses].
        #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL",
            value_parser = values::switch)]
        line_buffered: bool = "line-buffered", "run", "line-buffered", Kind::Switch, values::switch;

        /// How many events one call of transformBatch gets at most [default: 200].
        #[arg(value_name = "N", allow_negative_numbers = true, value_parser = values::batch_size)]
        batch_size: usize = "batch-size", "run", "batch-size", Kind::Count, values::batch_size;
    }

    /// What happens to events that fail.
    #[command(next_help_heading = "Failures")]
    FailureFlags {
        /// What happens to a line whose event failed [default: dead-letter].
        ///
        /// `dead-letter`: it is written to --errors, and the run goes on. `pass`: it goes out unchanged, in its
        /// place. `stop`: it is written to --errors, and the run ends once what is in flight is done.
        #[arg(value_name = "WHAT", value_parser = words::<OnError>())]
        on_error: OnError = "on-error", "run", "on-error", Kind::Word(OnError::WORDS), values::word;

        /// Where the dead letters go, `-` for standard error [default: -, or a temporary file if that is a terminal;
        /// nowhere with --on-error pass, --emit verdicts or --emit framed].
        ///
        /// A dead letter is one JSON object on one line: the line's number and byte offset, its bytes, and why it
        /// failed. `sluicegate run T FILE --errors dead.jsonl` keeps them, and `sluicegate replay` runs them again.
        #[arg(value_name = "FILE", value_parser = target())]
        errors: Target = "errors", "run", "errors", Kind::Target, values::target;

        /// Truncate the files of --errors and --logs first [default: append to them].
        #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL",
            value_parser = values::switch)]
        errors_truncate: bool = "errors-truncate", "run", "errors-truncate", Kind::Switch, values::switch;

        /// How many failed events make the exit code 1: never, error (any), or a percentage such as 0.5% [default:
        /// error].
        #[arg(value_name = "WHEN", value_parser = values::fail_on)]
        fail_on: FailOn = "fail-on", "run", "fail-on",
            Kind::Text("\"never\", \"error\" or a percentage such as \"1%\""), values::fail_on;
    }

    /// What is said on standard error.
    #[command(next_help_heading = "Messages")]
    MessageFlags {
        /// Where the code's log lines go, `-` for standard error [default: they are not kept].
        #[arg(value_name = "FILE", value_parser = target())]
        logs: Target = "logs", "run", "logs", Kind::Target, values::target;

        /// Whether to show progress on standard error [default: auto, on a terminal that does not get the output].
        #[arg(value_name = "WHEN", value_parser = words::<When>())]
        progress: When = "progress", "run", "progress", Kind::Word(When::WORDS), values::word;

        /// How the numbers at the end are written to standard error [default: line].
        #[arg(value_name = "FORM", value_parser = words::<Stats>())]
        stats: Stats = "stats", "run", "stats", Kind::Word(Stats::WORDS), values::word;

        /// No progress and no summary line, whatever --progress says; errors and dead letters are still written
        /// [default: both are shown].
        #[arg(short = 'q', num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL",
            value_parser = values::switch)]
        quiet: bool = "quiet", "run", "quiet", Kind::Switch, values::switch;

        /// How sluicegate's own messages are written [default: text].
        #[arg(value_name = "FORM", value_parser = words::<LogFormat>())]
        log_format: LogFormat = "log-format", "run", "log-format", Kind::Word(LogFormat::WORDS), values::word;
    }

    /// Requests and their code.
    #[command(next_help_heading = "Server")]
    ServeFlags {
        /// Where to listen; port 0 picks a free one and prints it [default: 0.0.0.0:9090].
        #[arg(value_name = "ADDRESS", value_parser = values::address)]
        listen: String = "listen", "serve", "listen", Kind::Text("an address such as \"127.0.0.1:9090\""), values::address;

        /// Where the code is: DIR/VERSION.js or .ts for the transformation with this VersionID, libraries likewise, and
        /// @rs/NAME/vN.js below it. Changes take effect at once [default: the config backend].
        #[arg(value_name = "DIR")]
        dir: PathBuf = "dir", "serve", "dir", Kind::Path, values::path;

        /// Also serve the playground of --dir, for browsers on this machine [default: no playground].
        ///
        /// Its address, with the token that it requires, is printed on standard output. See `sluicegate help play`.
        #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL",
            value_parser = values::switch)]
        play: bool = "play", "serve", "play", Kind::Switch, values::switch;

        /// The config backend that has the code, if there is no --dir [default: the variable CONFIG_BACKEND_URL].
        ///
        /// Its secret is in the variable CONFIG_BACKEND_HOSTED_SECRET.
        #[arg(value_name = "URL", value_parser = values::service)]
        backend_url: Url = "backend-url", "serve", "backend-url", Kind::Url, values::service;

        /// The longest request body, unpacked [default: 200MiB].
        #[arg(value_name = "SIZE", value_parser = values::text_size)]
        body_limit: usize = "body-limit", "serve", "body-limit", Kind::Size, values::text_size;

        /// How long a client may be silent in the middle of a body, and how long a body may take, plus a second for
        /// each 16 KiB; a slower one is answered with 408 [default: 30s].
        #[arg(value_name = "TIME", value_parser = values::limit)]
        body_timeout: Duration = "body-timeout", "serve", "body-timeout", Kind::Duration, values::limit;

        /// Requests under way or waiting; further ones are answered with 503, to be sent again [default: 256].
        ///
        /// One transformation may use three quarters of them.
        #[arg(value_name = "N", value_parser = values::requests)]
        max_requests: usize = "max-requests", "serve", "max-requests", Kind::Count, values::requests;

        /// Memory for the bodies of all requests, their answers and what their code logs, together; further requests
        /// are answered with 503 [default: 1GiB].
        #[arg(value_name = "SIZE", value_parser = values::memory)]
        request_memory: usize = "request-memory", "serve", "request-memory", Kind::Size, values::memory;

        /// Worker processes of all transformations together, idle ones included [default: one for each 16 MiB of
        /// memory, up to 2048; 8, and 4 per core, at least].
        ///
        /// A transformation that has none takes those of the one that is expected to be idle longest.
        #[arg(value_name = "N", value_parser = values::processes)]
        max_processes: usize = "max-processes", "serve", "max-processes", Kind::Count, values::processes;

        /// Serve even if a layer of the sandbox is missing, with a warning [default: refuse to start].
        ///
        /// `sluicegate doctor` shows which are in place on this machine.
        #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL",
            value_parser = values::switch)]
        allow_missing_sandbox: bool = "allow-missing-sandbox", "serve", "allow-missing-sandbox",
            Kind::Switch, values::switch;

        /// Be a mirror of another server: code that names a function which asks the network is not run, and its requests are
        /// answered 297, which rudder-server takes as "mirror filtered" [default: all code is run].
        #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL",
            value_parser = values::switch)]
        mirror: bool = "mirror", "serve", "mirror", Kind::Switch, values::switch;

        /// Start the code afresh for each request, if its events of one source and destination have less than 16 MiB
        /// [default: variables keep their values].
        ///
        /// For code that relies on it, such as a set of seen events. Each request takes some milliseconds more.
        #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL",
            value_parser = values::switch)]
        fresh_state: bool = "fresh-state", "serve", "fresh-state", Kind::Switch, values::switch;

        /// Answer the endpoints that run posted code only with `Authorization: Bearer TOKEN` [default: answer every
        /// request].
        ///
        /// Set it as the variable: every user of this machine can read arguments.
        #[arg(value_name = "TOKEN", value_parser = values::token)]
        test_token: String = "test-token", "serve", "test-token", Kind::Text("a secret text"), values::token;

        /// How much is logged to standard error [default: info].
        #[arg(value_name = "LEVEL", value_parser = words::<LogLevel>())]
        log_level: LogLevel = "log-level", "serve", "log-level", Kind::Word(LogLevel::WORDS), values::word;
    }

    /// What every command takes.
    #[command(next_help_heading = "Global options")]
    GlobalFlags {
        /// Whether messages are coloured [default: auto, on a terminal and without NO_COLOR].
        #[arg(global = true, value_name = "WHEN", value_parser = words::<When>())]
        color: When = "color", "run", "color", Kind::Word(When::WORDS), values::word;
    }
}

/// Where libraries come from. Not a row of the table: these repeat, and the file has a table of its own for them.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Libraries and data")]
pub struct LibraryFlags {
    /// A folder of libraries; may be repeated [default: none].
    ///
    /// Every *.js, *.mjs, *.ts and *.mts in it (tests and declarations apart) can be imported by its handle, the
    /// camelCase of its name, or by its name as it stands: `import { f } from "jsLib1"` finds js-lib-1.js as well as
    /// jsLib1.js. @rs/NAME/vN.js below it is imported as "@rs/NAME/vN". Folders given here replace those of the config
    /// file.
    #[arg(short = 'L', long = "library-dir", value_name = "DIR")]
    pub library_dir: Option<Vec<PathBuf>>,
    /// A library by its handle, e.g. --library jsLib1=lib/one.js; may be repeated [default: none].
    ///
    /// It wins over one of the same handle from a folder or from the config file.
    #[arg(long = "library", value_name = "HANDLE=PATH", value_parser = values::library)]
    pub library: Vec<Library>,
}

impl LibraryFlags {
    fn from_matches(matches: &ArgMatches) -> Self {
        fn all<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, id: &str) -> Option<Vec<T>> {
            Some(matches.try_get_many::<T>(id).ok().flatten()?.cloned().collect())
        }
        Self { library_dir: all(matches, "library_dir"), library: all(matches, "library").unwrap_or_default() }
    }

    /// Combines two sources. Folders are replaced as a whole, libraries one by one.
    fn or(mut self, lower: Self) -> Self {
        let named: BTreeSet<String> = self.library.iter().map(|library| library.handle.clone()).collect();
        self.library.extend(lower.library.into_iter().filter(|library| !named.contains(&library.handle)));
        Self { library_dir: self.library_dir.or(lower.library_dir), library: self.library }
    }
}

/// The settings of one source.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the groups say what they are")]
pub struct Settings {
    pub libraries: LibraryFlags,
    pub data: DataFlags,
    pub limits: LimitFlags,
    pub numbers: NumberFlags,
    pub sandbox: SandboxFlags,
    pub network: NetworkFlags,
    pub events: EventFlags,
    pub failures: FailureFlags,
    pub messages: MessageFlags,
    pub serve: ServeFlags,
    pub global: GlobalFlags,
}

impl Settings {
    /// Returns all rows of the table.
    pub fn table() -> impl Iterator<Item = &'static Setting> {
        [
            DataFlags::TABLE,
            LimitFlags::TABLE,
            NumberFlags::TABLE,
            SandboxFlags::TABLE,
            NetworkFlags::TABLE,
            EventFlags::TABLE,
            FailureFlags::TABLE,
            MessageFlags::TABLE,
            ServeFlags::TABLE,
            GlobalFlags::TABLE,
        ]
        .into_iter()
        .flatten()
    }

    /// Returns the typed values; a flag that the command does not have is not set.
    pub fn from_matches(matches: &ArgMatches) -> Self {
        Self {
            libraries: LibraryFlags::from_matches(matches),
            data: DataFlags::from_matches(matches),
            limits: LimitFlags::from_matches(matches),
            numbers: NumberFlags::from_matches(matches),
            sandbox: SandboxFlags::from_matches(matches),
            network: NetworkFlags::from_matches(matches),
            events: EventFlags::from_matches(matches),
            failures: FailureFlags::from_matches(matches),
            messages: MessageFlags::from_matches(matches),
            serve: ServeFlags::from_matches(matches),
            global: GlobalFlags::from_matches(matches),
        }
    }

    /// Parses the text of one setting.
    ///
    /// # Errors
    /// When the text is not valid for the setting.
    pub fn set(&mut self, flag: &str, text: &str) -> Result<(), String> {
        self.data
            .set(flag, text)
            .or_else(|| self.limits.set(flag, text))
            .or_else(|| self.numbers.set(flag, text))
            .or_else(|| self.sandbox.set(flag, text))
            .or_else(|| self.network.set(flag, text))
            .or_else(|| self.events.set(flag, text))
            .or_else(|| self.failures.set(flag, text))
            .or_else(|| self.messages.set(flag, text))
            .or_else(|| self.serve.set(flag, text))
            .or_else(|| self.global.set(flag, text))
            .unwrap_or_else(|| Err("no such setting".to_owned()))
    }

    /// Combines two sources: a setting comes from `lower` if this source does not set it.
    pub fn or(self, lower: Self) -> Self {
        Self {
            libraries: self.libraries.or(lower.libraries),
            data: self.data.or(lower.data),
            limits: self.limits.or(lower.limits),
            numbers: self.numbers.or(lower.numbers),
            sandbox: self.sandbox.or(lower.sandbox),
            network: self.network.or(lower.network),
            events: self.events.or(lower.events),
            failures: self.failures.or(lower.failures),
            messages: self.messages.or(lower.messages),
            serve: self.serve.or(lower.serve),
            global: self.global.or(lower.global),
        }
    }
}
