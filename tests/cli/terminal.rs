//! The screen of a terminal after a run: the output, the failures and the summary, and no remains of the progress
//! display.

use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;
use std::process::Command;

use crate::support::Dir;

/// Both ends of a terminal.
fn terminal(columns: u16) -> (File, OwnedFd) {
    let (mut ours, mut theirs) = (0, 0);
    let size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the pointers are to live variables of this function, or null where that is allowed.
    let opened = unsafe {
        libc::openpty(&raw mut ours, &raw mut theirs, std::ptr::null_mut(), std::ptr::null(), &raw const size)
    };
    assert_eq!(opened, 0);
    // SAFETY: both descriptors were just opened and have no other owner.
    unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) }
}

/// The lines on a screen after these bytes. Handles the cursor movements that sluicegate uses. No line may wrap.
fn screen(bytes: &str) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0, 0);
    let mut left = bytes.chars().peekable();
    while let Some(character) = left.next() {
        match character {
            '\n' => row += 1,
            '\r' => column = 0,
            '\u{1b}' => {
                assert_eq!(left.next(), Some('['));
                let mut argument = String::new();
                let end = loop {
                    match left.next().unwrap() {
                        digit if digit.is_ascii_digit() || digit == ';' || digit == '?' => argument.push(digit),
                        end => break end,
                    }
                };
                let count = argument.parse().unwrap_or(1);
                match end {
                    'A' => row -= count,
                    'B' => row += count,
                    'K' if argument == "2" => lines[row].clear(),
                    'K' => lines[row].truncate(column),
                    'J' => lines.truncate(row + 1),
                    'm' | 'h' | 'l' => {}
                    other => panic!("{argument}{other}"),
                }
            }
            shown => {
                while lines.len() <= row {
                    lines.push(Vec::new());
                }
                while lines[row].len() <= column {
                    lines[row].push(' ');
                }
                lines[row][column] = shown;
                column += 1;
            }
        }
        while lines.len() <= row {
            lines.push(Vec::new());
        }
    }
    let text = |line: Vec<char>| line.into_iter().collect::<String>().trim_end().to_owned();
    let mut lines: Vec<String> = lines.into_iter().map(text).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// Everything that is written to a terminal until its other end is closed.
fn all_of(mut ours: File) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = ours.read(&mut buffer) {
        text.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8(text).unwrap()
}

/// The screen after a script that ran on a wide terminal, which is its standard input, output and error.
fn at_terminal(dir: &Dir, script: &str, progress: &str) -> Vec<String> {
    let (ours, theirs) = terminal(400);
    let binary = Path::new(env!("CARGO_BIN_EXE_sluicegate")).parent().unwrap();
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(dir.path());
    command.env("PATH", format!("{}:{}", binary.display(), std::env::var("PATH").unwrap()));
    command.env("TERM", "xterm").env("TMPDIR", dir.path()).env("NO_COLOR", "1").env("SLUICEGATE_PROGRESS", progress);
    command.stdin(theirs.try_clone().unwrap()).stdout(theirs.try_clone().unwrap()).stderr(theirs);
    let mut child = command.spawn().unwrap();
    drop(command);
    let written = all_of(ours);
    child.wait().unwrap();
    screen(&written)
}

/// The lines without values that differ in each run: rates, and names of temporary files.
fn lasting(screen: &[String]) -> Vec<String> {
    let cut =
        |line: &String| match line.split_once(" events out · ").or_else(|| line.split_once("dead letters are in ")) {
            Some((before, _)) => before.to_owned(),
            None => line.clone(),
        };
    screen.iter().map(cut).collect()
}

/// Runs with standard error on a terminal; returns the exit code, the output, the final screen, and everything that was
/// written to it.
fn watch(dir: &Dir, args: &[&str], input: &str) -> (i32, String, Vec<String>, String) {
    let (ours, theirs) = terminal(60);
    let mut command = dir.command(args);
    command.env("TERM", "xterm").env("TMPDIR", dir.path()).stderr(theirs);
    let child = command.spawn().unwrap();
    // Closes this process's copy, so that reading ends when the child ends.
    drop(command);
    let reader = std::thread::spawn(move || all_of(ours));
    let done = crate::support::finish(child, input.as_bytes().to_vec());
    let written = reader.join().unwrap();
    (done.code, String::from_utf8(done.out).unwrap(), screen(&written), written)
}

#[test]
fn a_healthy_run_leaves_its_output_and_the_summary() {
    let dir = Dir::with(
        "export function transformEvent(event) { const end = Date.now() + 2; while (Date.now() < end); return event; }",
    );
    let lines: String = (0..400).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    dir.file("in.jsonl", &lines);
    let (code, out, screen, written) = watch(&dir, &["run", "t.js", "in.jsonl", "-j", "1"], "");
    assert_eq!((code, out), (0, lines));
    assert_eq!(screen.len(), 1, "{screen:#?}");
    assert!(screen[0].starts_with("400 in = 400 ok + 0 dropped + 0 failed · 400 events out · "), "{screen:#?}");
    // There was a progress line during the run.
    assert!(written.contains(" % · ") || written.contains(" events · "), "{written:?}");
    assert!(!written.contains('≠'), "{written:?}");
}

#[test]
fn output_on_the_same_terminal_stays_whole() {
    let dir = Dir::with(
        "export function transformEvent(event) { const end = Date.now() + 2; while (Date.now() < end); return event; }",
    );
    let lines: Vec<String> = (0..400).map(|n| format!("{{\"n\":{n}}}")).collect();
    dir.file("in.jsonl", lines.join("\n") + "\n");
    let screen = at_terminal(&dir, "sluicegate run t.js in.jsonl -j 1", "auto");
    assert_eq!(screen[..400], lines);
    assert_eq!(lasting(&screen[400..]), ["400 in = 400 ok + 0 dropped + 0 failed · 400"]);
}

/// The first commands of the README, exactly as written.
#[test]
fn the_first_commands_of_the_readme_leave_their_output_and_the_summary() {
    let readme = std::fs::read_to_string("README.md").unwrap();
    let dir = Dir::new();
    std::os::unix::fs::symlink(Path::new("examples").canonicalize().unwrap(), dir.path().join("examples")).unwrap();
    let block = |start: &str| readme.split(start).nth(1).unwrap().split("\n```").next().unwrap();

    let shown = block("```console\n$ ");
    let (command, expected) = shown.split_once('\n').unwrap();
    let with = at_terminal(&dir, &format!("{command} || true"), "always");
    let without = at_terminal(&dir, &format!("{command} || true"), "never");
    assert_eq!(lasting(&with), lasting(&without));
    let summary = lasting(&[expected.lines().last().unwrap().to_owned()]);
    assert!(lasting(&with).contains(&summary[0]), "{with:#?}");
    assert!(!with.iter().any(|line| line.contains('≠') || line.contains(" % · ")), "{with:#?}");

    let screen = at_terminal(&dir, &format!("cat > paid.js{}", block("```sh\ncat > paid.js")), "auto");
    assert_eq!(
        lasting(&screen),
        [
            r#"{"type":"identify","userId":"u1","traits":{"first":"Ada","last":"Lovelace","plan":"team","name":"Ada Lovelace"}}"#,
            r#"{"type":"track","userId":"u1","event":"Signed in"}"#,
            "3 in = 2 ok + 1 dropped + 0 failed · 2",
        ]
    );
    let screen = at_terminal(&dir, &format!("sluicegate check{}", block("```sh\nsluicegate check")), "auto");
    assert_eq!(screen, ["paid.js: ok: exports transformEvent"]);
}

#[test]
fn failures_are_shown_by_their_places_and_counted_in_a_table() {
    let dir = Dir::with(
        "export function transformEvent(event) {
  if (event.n % 2) throw new Error('odd');
  return event.n === 100 ? event.missing.field : event;
}",
    );
    let lines: String = (0..101).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    dir.file("in.jsonl", lines + "{\"n\":1 \"m\"}\n");
    let (code, out, screen, _) = watch(&dir, &["run", "t.js", "in.jsonl", "--color", "never"], "");
    assert_eq!((code, out.lines().count()), (1, 50));
    let text = screen.join("\n");
    for expected in [
        "error: Error: odd (exception)\n --> t.js:2:26\n  |\n2 |   if (event.n % 2) throw new Error('odd');\n",
        "help: the event is in.jsonl:2\n",
        "error: TypeError: Cannot read properties of undefined",
        "help: the event is in.jsonl:101; what stands before `.field`",
        "(column in the line: 8) (invalid_json)",
        "  events  failed as     in the code  the first\n      50  exception     t.js:2:26    in.jsonl:2\n",
        "       1  invalid_json  –            in.jsonl:102\n",
        "102 in = 50 ok + 0 dropped + 52 failed (1 invalid_json, 51 exc",
    ] {
        assert!(text.contains(expected), "{expected}\n--- not in\n{text}");
    }
    assert_eq!(text.matches("error: ").count(), 3, "{text}");
    // The dead letters are not on the screen, but in the file that the message names.
    let (_, path) = text.rsplit_once("the dead letters are in ").unwrap();
    let letters = std::fs::read_to_string(path.replace('\n', "")).unwrap();
    assert_eq!(letters.lines().count(), 52, "{path}");
    // A user who asks for them on standard error gets them there.
    let (_, _, screen, _) = watch(&dir, &["run", "t.js", "--errors", "-", "-q"], "{\"n\":1}\n");
    assert!(screen[0].starts_with("{\"input_line\":1,"), "{screen:#?}");
}
