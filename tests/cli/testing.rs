//! `sluicegate test`: its output for each kind of failure, and its options.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Dir, Done};

/// Each folder of `tests/golden/testing` is a project, with the expected output of `test` next to it. `UPDATE_GOLDEN=1`
/// rewrites the texts.
#[test]
fn every_kind_of_failure_is_told_as_it_should_be() {
    let mut projects: Vec<_> =
        fs::read_dir("tests/golden/testing").unwrap().map(|entry| entry.unwrap().path()).collect();
    projects.retain(|path| path.is_dir());
    projects.sort();
    assert!(projects.len() >= 16);
    let mut wrong = String::new();
    for project in projects {
        let dir = Dir::new();
        copy(&project, dir.path());
        let mut command = dir.command(&["test", "--test-timeout", "1s", "-j", "1"]);
        // Further arguments of a project are in a file, one per line.
        command.args(fs::read_to_string(project.join(".args")).unwrap_or_default().lines());
        let done: Done = command.env("CI", "1").output().unwrap().into();
        let text = format!("{}{}exit code {}\n", without_times(done.text()), done.err, done.code);
        let golden = project.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, text).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != text {
            wrong.push_str(&format!("── {}\n{text}", project.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Replaces times: `12 ms` becomes `N ms`.
pub fn without_times(text: &str) -> String {
    let mut out = String::new();
    for part in text.split_inclusive(" ms") {
        match part.strip_suffix(" ms") {
            Some(before) => {
                out.push_str(&format!("{}N ms", before.trim_end_matches(|char: char| char.is_ascii_digit())))
            }
            None => out.push_str(part),
        }
    }
    out
}

const CODE: &str = "export function transformEvent(event) { if (event.n > 1) throw new Error('much'); return event; }";

#[test]
fn exit_codes_tell_the_result_of_the_tests() {
    let dir = Dir::new();
    let code = |args: &[&str]| dir.run(args, "").code;
    assert_eq!(code(&["test"]), 2, "no test found is a failure");
    dir.file("t.js", CODE);
    dir.file("t.test.js", "test('one', () => { expect(transform({ n: 1 })).toEmit({ n: 1 }); });");
    assert_eq!(code(&["test"]), 0);
    assert_eq!(code(&["test", "--filter", "two"]), 2, "nor one that matches");
    dir.file("u.test.js", "test('two', () => { expect(1).toBe(2); });");
    assert_eq!(code(&["test"]), 1);
    assert_eq!(code(&["test", "t.test.js"]), 0);
    assert_eq!(code(&["test", "missing.test.js"]), 2);
    dir.file("v.test.js", "syntax error");
    assert_eq!(code(&["test"]), 2);
}

#[test]
fn update_is_refused_under_ci() {
    let dir = Dir::new();
    dir.file(
        "t.test.js",
        "test('one', () => { expect({ a: 1 }).toMatchSnapshot(); expect([1]).toMatchInlineSnapshot(); });",
    );
    let ci: Done = dir.command(&["test", "--update"]).env("CI", "true").output().unwrap().into();
    assert_eq!(ci.code, 2);
    assert!(ci.err.contains("--update is refused"), "{}", ci.err);
    let run = |args: &[&str]| -> Done { dir.command(args).env_remove("CI").output().unwrap().into() };
    assert_eq!(run(&["test"]).code, 0);
    assert!(dir.read("__snapshots__/t.test.js.snap").contains("\"a\": 1"));
    assert!(dir.read("t.test.js").contains("toMatchInlineSnapshot(`"), "{}", dir.read("t.test.js"));
    let changed = dir.read("t.test.js").replace("\"a\": 1", "\"a\": 2").replace("{ a: 1 }", "{ a: 2 }");
    dir.file("t.test.js", changed);
    assert_eq!(run(&["test"]).code, 1);
    assert_eq!(run(&["test", "--update"]).code, 0);
    assert!(dir.read("__snapshots__/t.test.js.snap").contains("\"a\": 2"));
    assert_eq!(run(&["test"]).code, 0);
}

#[test]
fn the_json_report_says_the_same() {
    let dir = Dir::with(CODE);
    dir.file(
        "t.test.js",
        "test('one', () => { log('x'); }); test('two', () => { expect(1).toBe(2); }); test.skip('three');",
    );
    let done = dir.run(&["test", "--reporter", "json"], "");
    let value: Value = serde_json::from_str(done.text()).unwrap();
    assert_eq!(
        (value["passed"].as_u64(), value["failed"].as_u64(), value["skipped"].as_u64()),
        (Some(1), Some(1), Some(1))
    );
    let failed = &value["files"][0]["tests"][1];
    assert_eq!(failed["position"]["line"], 1);
    assert_eq!(failed["error"]["differences"][0]["actual"], "1");
    let tap = dir.run(&["test", "--reporter", "tap"], "");
    assert!(
        tap.text().starts_with("TAP version 14\nok 1 - t.test.js › one\nnot ok 2") && tap.text().ends_with("1..3\n")
    );
    let junit = dir.run(&["test", "--reporter", "junit"], "");
    assert!(junit.text().contains("<testsuites name=\"sluicegate\" tests=\"3\" failures=\"1\""));
    let github = dir.run(&["test", "--reporter", "github"], "");
    let annotation = "::error file=t.test.js,line=1,col=65,title=two::the values differ%0A";
    assert!(
        github.text().contains("1 failed, 1 passed, 1 skipped in 1 file") && github.text().contains(annotation),
        "{}",
        github.text()
    );
    let list = dir.run(&["test", "--list"], "");
    assert_eq!(list.lines(), ["t.test.js › one", "t.test.js › two", "t.test.js › three"]);
}

/// A test must behave like a run in all these points.
#[test]
fn a_test_has_the_limits_the_lockdown_and_the_libraries_of_a_run() {
    let dir = Dir::new();
    dir.file("sluicegate.toml", "[limits]\ncpu = \"50ms\"\noutput = \"1KiB\"\n[libraries]\ndirs = [\"lib\"]\n");
    dir.file("lib/js-lib.ts", "export const twice = (n: number): number => n * 2;");
    dir.file(
        "t.js",
        "import { twice } from 'jsLib';
        export function transformEvent(event) {
          if (event.loop) for (;;);
          if (event.large) return { text: 'x'.repeat(2000) };
          if (event.eval) return { n: eval('1') };
          return { n: twice(event.n), globals: typeof WebAssembly + typeof require, frozen: Object.isFrozen(Array.prototype) };
        }",
    );
    dir.file(
        "t.test.js",
        "import { twice } from 'jsLib';
        import { twice as same } from './lib/js-lib.ts';
        test('limits', () => {
          expect(transform({ loop: 1 })).toFailWith('timeout');
          expect(transform({ large: 1 })).toFailWith('output_too_large');
        });
        test('lockdown', () => {
          expect(transform({ n: 2 })).toEmit({ n: 4, globals: 'undefinedundefined', frozen: true });
          expect(transform({ eval: 1 })).toFailWith('exception');
          expect(() => eval('1')).toThrow();
          expect(typeof WebAssembly).toBe('undefined');
        });
        test('libraries', () => { expect([twice(1), same(2)]).toEqual([2, 4]); });",
    );
    let done = dir.run(&["test"], "");
    assert_eq!(done.code, 0, "{}{}", done.text(), done.err);
}

#[test]
fn fixed_clock_and_seed_change_nothing_else() {
    let dir = Dir::with("export function transformEvent(e, metadata) {
        const d = new Date();
        return { now: Date.now(), iso: d.toISOString(), is: d instanceof Date && d.constructor === Date, at: +new Date(5),
          r: Math.random(), key: getCredential('k'), source: metadata(e).sourceId };
      }");
    dir.file("t.test.js", "test('scene', () => {
        const options = { now: '2024-02-29T00:00:00Z', seed: 3, credentials: { k: 'value' }, metadata: { sourceId: 's' } };
        const [one] = transform({}, options).events;
        expect(one).toMatchObject({ now: 1709164800000, iso: '2024-02-29T00:00:00.000Z', is: true, at: 5, key: 'value', source: 's' });
        expect(transform({}, { ...options, now: 1709164800001 }).events[0].r).toBe(one.r);
        expect(transform({}).events[0].now).toBeGreaterThan(1.7e12);
      });");
    let done = dir.run(&["test"], "");
    assert_eq!(done.code, 0, "{}{}", done.text(), done.err);
}

/// A worker of tests has the same sandbox as one of `run`.
#[test]
fn tests_run_in_the_sandbox_of_production() {
    let dir = Dir::new();
    dir.file("t.test.js", "test('never ends', () => { for (;;); });");
    let mut child = dir.command(&["test", "--test-timeout", "1m"]).spawn().unwrap();
    // Each thread has its own list of children.
    let threads = format!("/proc/{}/task", child.id());
    let children =
        || fs::read_dir(&threads).into_iter().flatten().flatten().map(|thread| thread.path().join("children"));
    let status = loop {
        assert!(child.try_wait().unwrap().is_none(), "it ended before its worker was seen");
        let workers: String = children().filter_map(|path| fs::read_to_string(path).ok()).collect();
        let status = fs::read_to_string(format!("/proc/{}/status", workers.trim())).unwrap_or_default();
        if status.contains("Seccomp:\t2") {
            break status;
        }
        std::thread::yield_now();
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
}

/// A snapshot in its own file is written once, and compared from then on.
#[test]
fn a_file_snapshot_is_a_file_of_the_project() {
    let dir = Dir::new();
    dir.file(
        "t.test.js",
        "test('page', async () => { await expect('<p>1</p>\\n').toMatchFileSnapshot('./out/page.html'); });",
    );
    let run = |args: &[&str]| -> Done { dir.command(args).env_remove("CI").output().unwrap().into() };
    assert_eq!(run(&["test"]).code, 0);
    assert_eq!(dir.read("out/page.html"), "<p>1</p>\n");
    dir.file("out/page.html", "<p>2</p>\n");
    let done = run(&["test"]);
    assert!(done.code == 1 && done.text().contains("    - <p>2</p>\n    + <p>1</p>\n"), "{}", done.text());
    assert_eq!(run(&["test", "--update"]).code, 0);
    assert_eq!(dir.read("out/page.html"), "<p>1</p>\n");
}

/// Writing an inline snapshot moves the code below it: the reported place is that in the new file.
#[test]
fn a_failure_below_a_snapshot_that_was_written_has_its_place() {
    let dir = Dir::new();
    dir.file(
        "t.test.js",
        "test('one', () => { expect({ a: 1 }).toMatchInlineSnapshot(); });\ntest('two', () => {\n  expect(1).toBe(2);\n});\n",
    );
    let done: Done = dir.command(&["test"]).env_remove("CI").output().unwrap().into();
    assert!(
        done.text().contains(" --> t.test.js:7:13\n") && done.text().contains("7 |   expect(1).toBe(2);\n"),
        "{}",
        done.text()
    );
}

#[test]
fn snapshots_are_counted_one_by_one() {
    let dir = Dir::new();
    let code = "test('one', () => { expect(1).toMatchSnapshot(); expect(2).toMatchSnapshot(); });";
    dir.file("t.test.js", code);
    let run = |args: &[&str]| -> Done { dir.command(args).env_remove("CI").output().unwrap().into() };
    assert!(run(&["test"]).text().contains("1 passed in 1 file · 2 snapshots written · "));
    dir.file("t.test.js", code.replace("expect(2)", "expect(3)"));
    assert!(run(&["test", "--update"]).text().contains("1 passed in 1 file · 1 snapshot written · "));
    assert!(run(&["test"]).text().starts_with("✓ t.test.js"));
}

/// Reads until `wanted` has come. If it never comes, the test's own time limit ends the test.
fn read_until(from: &mut impl std::io::Read, wanted: &str) -> String {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&seen).contains(wanted) {
        assert_eq!(from.read(&mut byte).unwrap_or(0), 1, "{wanted} did not come: {}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

/// Runs in a terminal that `script` creates: keys choose which tests run.
#[test]
fn keys_choose_what_watch_runs() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let dir = Dir::new();
    dir.file("a.test.js", "test('one', () => {}); test('two', () => { expect(1).toBe(2); });");
    dir.file("b.test.js", "test('three', () => {});");
    let mut child = Command::new("timeout")
        .args(["60", "script", "-qfec", concat!(env!("CARGO_BIN_EXE_sluicegate"), " test --watch -j 1"), "/dev/null"])
        .current_dir(dir.path())
        .env("NO_COLOR", "1")
        .env_remove("CI")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut keys, mut out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut press = |key: &str| keys.write_all(key.as_bytes()).and_then(|()| keys.flush()).unwrap();
    let ready = "q quit";
    assert!(read_until(&mut out, ready).contains("1 failed, 2 passed in 2 files"));
    press("f");
    let failed = read_until(&mut out, ready);
    assert!(failed.contains("1 failed, 1 filtered out in 1 file"), "{failed}");
    press("p");
    read_until(&mut out, "all files): ");
    press("b.test\n");
    let file = read_until(&mut out, ready);
    assert!(file.contains("1 passed in 1 file"), "{file}");
    press("a");
    assert!(read_until(&mut out, ready).contains("1 failed, 2 passed in 2 files"));
    dir.file("a.test.js", "test('one', () => {});");
    assert!(read_until(&mut out, ready).contains("1 passed in 1 file"));
    press("q");
    assert!(child.wait().unwrap().success());
}
