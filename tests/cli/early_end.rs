//! Runs that end early or cannot write: a closed output, a full disk, a signal. All lines that were read are answered.

use std::os::unix::process::CommandExt;
use std::process::Stdio;

use rustix::process::{Signal, kill_process_group};
use serde_json::Value;

use crate::support::live::Live;
use crate::support::{Dir, Done};

const CODE: &str = "export function transformEvent(event) {
  if (event.fail) throw new Error('as asked');
  if (event.loop) for (;;);
  console.log(event.n);
  return event;
}";

fn numbers(range: std::ops::Range<u32>) -> String {
    range.map(|n| format!("{{\"n\":{n}}}\n")).collect()
}

fn full() -> Stdio {
    std::fs::File::options().write(true).open("/dev/full").unwrap().into()
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let dir = Dir::with(CODE);
    let mut command = dir.command(&["run", "t.js"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    // More than all buffers in between can hold; the run need not read all of it.
    let done = crate::support::finish(command.stdout(writer).spawn().unwrap(), numbers(0..200_000).into_bytes());
    assert_eq!((done.code, done.err.as_str()), (0, ""));

    // With JSON statistics, only answered lines count as read.
    let mut live = Live::start(dir.command(&["run", "t.js", "--stats", "json"]));
    let mut input = live.take_input();
    let feed = std::thread::spawn(move || std::io::Write::write_all(&mut input, numbers(0..200_000).as_bytes()));
    assert_eq!(live.line(), "{\"n\":0}");
    let done = live.close_output();
    let _ = feed.join().unwrap();
    let stats: Value = serde_json::from_str(&done.err).unwrap();
    assert_eq!((done.code, &stats["ended"], &stats["conserved"]), (0, &"closed".into(), &true.into()), "{stats}");
}

#[test]
fn a_full_disk_under_the_output_is_an_error() {
    let dir = Dir::with(CODE);
    let done = crate::support::finish(dir.command(&["run", "t.js"]).stdout(full()).spawn().unwrap(), b"{}\n".to_vec());
    assert_eq!(done.code, 2);
    assert!(
        done.err.ends_with("error: cannot write standard output: No space left on device (os error 28)\n"),
        "{}",
        done.err
    );
    assert!(done.err.starts_with("1 in = 0 ok + 0 dropped + 0 failed + 1 not written · 0 events out"), "{}", done.err);
    // With verdicts, the line of a failed event was not written either; dead letters were.
    for emit in ["verdicts", "events"] {
        let args = ["run", "t.js", "--emit", emit, "--errors", "-"];
        let child = dir.command(&args).stdout(full()).spawn().unwrap();
        let done = crate::support::finish(child, b"{\"fail\":1}\n\n{}\n".to_vec());
        let counted = done.err.contains(" not written · 0 events out") && done.err.contains(" = 0 ok + ");
        assert!(done.code == 2 && counted && !done.err.contains('≠'), "{}", done.err);
        assert_eq!(done.dead_letters().len(), 1);
    }
}

#[test]
fn dead_letters_that_their_file_does_not_take_follow_on_standard_error() {
    let dir = Dir::with(CODE);
    let long = "x".repeat(600_000);
    let input = format!("{{\"n\":1}}\n{{\"n\":2,\"fail\":1}}\nnope\n{long}\n{{\"n\":3}}\n{{\"n\":4,\"fail\":1}}\n");
    let args = ["run", "t.js", "--errors", "/dev/full", "--line-limit", "1KiB"];
    let done = dir.run(&args, &input);
    assert_eq!((done.code, done.text()), (2, "{\"n\":1}\n{\"n\":3}\n"));
    assert_eq!(
        done.summary(),
        "6 in = 2 ok + 0 dropped + 4 failed (1 invalid_json, 1 line_too_long, 2 exception) · 2 events out"
    );
    let lines: Vec<_> = done.dead_letters().iter().map(|letter| letter["input_line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [2, 3, 4, 6]);
    let said: Vec<&str> = done.err.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(
        said,
        [
            "error: cannot write dead letters to /dev/full: No space left on device (os error 28); they follow here",
            "error: cannot write dead letters to /dev/full: No space left on device (os error 28)",
        ]
    );
}

#[test]
fn a_long_line_that_the_dead_letter_file_does_not_take_follows_whole() {
    let dir = Dir::with(CODE);
    let input = format!("{}\n{{\"n\":1}}\n", "x".repeat(600_000));
    let done = dir.run(&["run", "t.js", "--errors", "/dev/full", "--line-limit", "1KiB"], &input);
    assert_eq!((done.code, done.text()), (2, "{\"n\":1}\n"));
    assert_eq!(done.dead_letters()[0]["event_base64"].as_str().unwrap().len(), 800_000);
}

#[test]
fn logs_that_their_file_does_not_take_follow_on_standard_error() {
    let done = Dir::with(CODE).run(&["run", "t.js", "--logs", "/dev/full"], numbers(1..3));
    assert_eq!((done.code, done.text()), (2, numbers(1..3).as_str()));
    let logged: Vec<_> = done.dead_letters().iter().map(|line| line["message"].to_string()).collect();
    assert_eq!(logged, ["\"1\"", "\"2\""]);
}

/// A run whose current event never ends. After it come lines that the run has read and lines that it has not.
fn in_mid_stream(dir: &Dir, args: &[&str]) -> (Live, String) {
    let mut command = dir.command(&[&["run", "t.js", "--cpu-limit", "200ms", "--line-buffered"], args].concat());
    // As a shell starts it: a signal from the keyboard goes to the whole process group.
    command.process_group(0);
    // The test itself may run under `nohup`.
    // SAFETY: resets a handler, which is allowed between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_DFL);
            Ok(())
        })
    };
    let mut live = Live::start(command);
    let mut written = numbers(0..1);
    live.write(&written);
    assert_eq!(live.line(), "{\"n\":0}");
    // Small enough to be written and read in one piece.
    let more = numbers(1..2) + "{\"loop\":1}\n" + &numbers(2..100) + "{\"torn\":";
    assert!(more.len() < 4096);
    live.write(&more);
    written += &more;
    assert_eq!(live.line(), "{\"n\":1}");
    (live, written)
}

/// Every whole line that was read from the pipe is answered, in order.
fn all_that_was_taken_is_answered(done: &Done, written: &str, left: &[u8]) {
    let taken = written.strip_suffix(std::str::from_utf8(left).unwrap()).unwrap();
    let taken: Vec<&str> = taken[..taken.rfind('\n').map_or(0, |end| end + 1)].lines().collect();
    let answered: Vec<&str> = taken.iter().copied().filter(|line| line.contains("\"n\"")).collect();
    // The first two were read earlier.
    assert_eq!(done.lines(), answered[2..]);
    let failed = taken.len() - answered.len();
    let kinds = if failed > 0 { " (1 timeout)" } else { "" };
    let counts = format!(
        "{} in = {} ok + 0 dropped + {failed} failed{kinds} · {} events out",
        taken.len(),
        answered.len(),
        answered.len()
    );
    assert!(done.err.contains(&counts), "wanted {counts}\n   got {}", done.err);
    assert_eq!(done.dead_letters().len(), failed);
    assert_eq!(failed, 1, "the endless event was the current one");
}

#[test]
fn a_signal_in_mid_stream_lets_everything_in_flight_finish() {
    for (signal, code, word) in
        [(Signal::INT, 130, "interrupted"), (Signal::TERM, 143, "terminated"), (Signal::HUP, 129, "hung up")]
    {
        let dir = Dir::with(CODE);
        let (live, written) = in_mid_stream(&dir, &[]);
        live.signal(signal);
        let (done, left) = live.end();
        assert_eq!(done.code, code, "{}", done.err);
        all_that_was_taken_is_answered(&done, &written, &left);
        assert!(done.err.ends_with(&format!(" · {word}\n")), "{}", done.err);
    }
}

#[test]
fn under_nohup_a_hang_up_is_nothing() {
    let dir = Dir::with(CODE);
    let mut command = dir.command(&["run", "t.js", "--line-buffered"]);
    // SAFETY: as above.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
            Ok(())
        })
    };
    let mut live = Live::start(command);
    live.write("{\"n\":0}\n");
    assert_eq!(live.line(), "{\"n\":0}");
    live.signal(Signal::HUP);
    live.write("{\"n\":1}\n");
    assert_eq!(live.line(), "{\"n\":1}");
    drop(live.take_input());
    let (done, _) = live.end();
    assert!(done.code == 0 && done.err.starts_with("2 in = 2 ok"), "{}", done.err);
}

#[test]
fn ctrl_c_does_not_kill_the_workers() {
    let dir = Dir::with(CODE);
    let (live, written) = in_mid_stream(&dir, &[]);
    kill_process_group(live.pid(), Signal::INT).unwrap();
    let (done, left) = live.end();
    assert_eq!(done.code, 130);
    all_that_was_taken_is_answered(&done, &written, &left);
    assert!(!done.err.contains("workers replaced"), "{}", done.err);
}

#[test]
fn a_second_signal_ends_a_run_that_would_take_for_ever() {
    let dir = Dir::with(CODE);
    let args = ["--cpu-limit", "1h", "--wall-limit", "1h", "--stats", "json"];
    let (mut live, _) = in_mid_stream(&dir, &args);
    while !live.has_ended() {
        live.signal(Signal::TERM);
        std::thread::yield_now();
    }
    let (done, _) = live.end();
    assert_eq!(done.code, 143);
    // Abandoned events are reported.
    let stats: Value = serde_json::from_str(done.err.lines().last().unwrap()).unwrap();
    assert_eq!((&stats["conserved"], &stats["ended"]), (&false.into(), &"signal".into()));
}
