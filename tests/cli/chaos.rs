//! Chaos: workers are killed and stopped at random, pipes are full, readers close the output, disks are full. Every
//! time the output is that of an undisturbed run, or its beginning, and the counts add up.
//!
//! The random choices come from a seed, which a failure names. The exact time of a signal depends on the machine.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Dir, Done, children, finish};

const CODE: &str = "export function transformEvent(event) {
  if (event.n % 1000 === 7) throw new Error('no ' + event.n);
  if (event.n % 3 === 0) return null;
  event.twice = event.n * 2;
  return event;
}";

fn input(events: usize) -> String {
    (0..events).fold(String::new(), |mut text, n| {
        let _ = writeln!(text, "{{\"n\":{n},\"text\":\"some text that takes room\"}}");
        text
    })
}

fn calm(events: usize) -> String {
    (0..events).filter(|n| n % 1000 != 7 && n % 3 != 0).fold(String::new(), |mut text, n| {
        let _ = writeln!(text, "{{\"n\":{n},\"text\":\"some text that takes room\",\"twice\":{}}}", n * 2);
        text
    })
}

/// The line with the counts: `in = ok + dropped + failed`.
fn books(events: usize) -> String {
    let failed = (0..events).filter(|n| n % 1000 == 7).count();
    let dropped = (0..events).filter(|n| n % 3 == 0 && n % 1000 != 7).count();
    let ok = events - failed - dropped;
    format!("{events} in = {ok} ok + {dropped} dropped + {failed} failed ({failed} exception) · {ok} events out")
}

/// A sequence of numbers from a seed (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn send(pid: i32, signal: i32) {
    // SAFETY: sends a signal to a process that this test started. If the process has ended, the error does no harm: its
    // parent, which is alive, has not reaped it or has just done so.
    unsafe { libc::kill(pid, signal) };
}

/// Runs the stream while workers die; returns the result and the number of signals: kills, stops.
fn under_fire(seed: u64, events: usize) -> (Done, [usize; 2]) {
    let dir = Dir::with(CODE);
    let args = ["run", "t.js", "-j2", "--errors", "dead", "--cpu-limit", "500ms", "--wall-limit", "500ms"];
    let mut child = dir.command(&args).spawn().unwrap();
    let supervisor = child.id();
    let (mut stdin, mut stdout, mut stderr) =
        (child.stdin.take().unwrap(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
    // The input comes in pieces with a signal between them, so that the signals are spread over the stream.
    let text = input(events);
    let fire = std::thread::spawn(move || {
        let mut dice = Dice(seed);
        let mut shots = [0, 0];
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let end = (at + 200_000 + dice.roll(200_000) as usize).min(bytes.len());
            if stdin.write_all(&bytes[at..end]).is_err() {
                break;
            }
            at = end;
            let workers = children(supervisor);
            if !workers.is_empty() {
                let victim = workers[dice.roll(workers.len() as u64) as usize];
                // A stopped worker takes a second and a half to be noticed, so there are few of them.
                let stop = usize::from((shots[0] + shots[1]) % 16 == 5);
                send(victim, [libc::SIGKILL, libc::SIGSTOP][stop]);
                shots[stop] += 1;
            }
        }
        shots
    });
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    });
    let mut out = Vec::new();
    stdout.read_to_end(&mut out).unwrap();
    let shots = fire.join().unwrap();
    let status = child.wait().unwrap();
    let err = errors.join().unwrap();
    let dead = dir.read("dead");
    let odd: Vec<&str> =
        dead.lines().filter(|line| !line.contains("\"exception\"")).map(|line| &line[..line.len().min(400)]).collect();
    assert_eq!(dead.lines().count(), events / 1000, "seed {seed}: {odd:?}");
    (Done { code: status.code().unwrap_or(-1), out, err }, shots)
}

#[test]
fn workers_that_are_killed_and_stopped_change_nothing() {
    const EVENTS: usize = 200_000;
    let calm = calm(EVENTS);
    // `scripts/chaos` asks for more seeds, and prints the figures.
    let more: Option<u64> = std::env::var("SLUICEGATE_TEST_SEEDS").ok().map(|text| text.parse().unwrap());
    for seed in [1, 20_261_123, 0xDEAD_BEEF].into_iter().chain(2..=more.unwrap_or(1)) {
        let (done, shots) = under_fire(seed, EVENTS);
        if more.is_some() {
            println!(
                "seed {seed}: {} SIGKILL, {} SIGSTOP; {}",
                shots[0],
                shots[1],
                done.err.lines().last().unwrap_or_default()
            );
        }
        assert!(shots[0] + shots[1] > 10, "seed {seed}: only {shots:?} signals");
        assert!(done.err.contains(&books(EVENTS)), "seed {seed}: {}", done.err);
        assert!(done.err.contains("workers replaced"), "seed {seed}: {}", done.err);
        assert_eq!(done.code, 1, "seed {seed}");
        assert!(done.out == calm.as_bytes(), "seed {seed}: the output is not that of a calm run");
    }
}

/// Regression: a worker that waited for room in its output got work whose output had to come first, so the run hung.
#[test]
fn what_a_dead_worker_left_behind_does_not_wait_behind_what_comes_later() {
    let code = "export function transformEvent(event) {
      if (event.n % 300 === 299) return { s: 'x'.repeat(5e8) + 'y' };
      return event;
    }";
    let dir = Dir::with(code);
    let args = ["run", "t.js", "-j2", "--errors", "dead", "--cpu-limit", "50ms", "--heap-limit", "32MiB"];
    let done = dir.run(&args, input(1500));
    assert!(done.summary().starts_with("1500 in = 1495 ok + 0 dropped + 5 failed"), "{}", done.err);
}

#[test]
fn a_full_pipe_and_a_slow_reader_lose_nothing() {
    const EVENTS: usize = 50_000;
    let dir = Dir::with(CODE);
    let mut child = dir.command(&["run", "t.js", "-j2", "--errors", "dead"]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feed = std::thread::spawn(move || stdin.write_all(input(EVENTS).as_bytes()));
    // The output is not read until the pipe is full, which is when no more input is taken.
    let mut stdout = child.stdout.take().unwrap();
    let readable = |stdout: &std::process::ChildStdout| rustix::io::ioctl_fionread(stdout).unwrap();
    let (mut before, mut same) = (0, 0);
    let patience = Instant::now();
    while same < 20 && patience.elapsed() < Duration::from_secs(20) {
        let now = readable(&stdout);
        same = if now == before && now > 0 { same + 1 } else { 0 };
        before = now;
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut out = Vec::new();
    let mut small = [0; 1000];
    // Small reads first, then the rest.
    for _ in 0..2000 {
        let n = stdout.read(&mut small).unwrap();
        out.extend_from_slice(&small[..n]);
    }
    stdout.read_to_end(&mut out).unwrap();
    feed.join().unwrap().unwrap();
    let done = end(child, out);
    assert!(done.out == calm(EVENTS).as_bytes());
    assert!(done.err.contains(&books(EVENTS)), "{}", done.err);
}

fn end(mut child: Child, out: Vec<u8>) -> Done {
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    Done { code: child.wait().unwrap().code().unwrap_or(-1), out, err }
}

#[test]
fn a_reader_that_leaves_ends_the_run_in_order() {
    let dir = Dir::with(CODE);
    let mut child = dir.command(&["run", "t.js", "-j2", "--errors", "dead"]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feed = std::thread::spawn(move || stdin.write_all(input(200_000).as_bytes()).is_err());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("{\"n\":1,"));
    drop(lines);
    let done = end(child, Vec::new());
    assert!(feed.join().unwrap(), "all input was taken although the output was not read");
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(done.err, "");
}

#[test]
fn sigterm_in_the_middle_finishes_what_was_read() {
    let dir = Dir::with(CODE);
    let mut child = dir.command(&["run", "t.js", "-j2", "--errors", "dead"]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feed = std::thread::spawn(move || {
        let _ = stdin.write_all(input(200_000).as_bytes());
        stdin
    });
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut out = Vec::new();
    stdout.read_until(b'\n', &mut out).unwrap();
    send(child.id() as i32, libc::SIGTERM);
    stdout.read_to_end(&mut out).unwrap();
    let done = end(child, out);
    drop(feed.join().unwrap());
    assert_eq!(done.code, 143, "{}", done.err);
    assert!(calm(200_000).as_bytes().starts_with(&done.out), "the output is not the beginning of a calm run's");
    assert!(done.err.contains(" in = "), "{}", done.err);
    let dead = dir.read("dead").lines().count();
    let counts = done.summary();
    assert!(counts.contains(&format!("{dead} failed")), "{counts}, {dead} dead letters");
}

#[test]
fn with_too_little_memory_it_says_so() {
    let dir = Dir::with(CODE);
    let mut command = std::process::Command::new("sh");
    let run = format!("ulimit -v 600000; exec {} run t.js -j1", env!("CARGO_BIN_EXE_sluicegate"));
    command.args(["-c", &run]).current_dir(dir.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let done = finish(command.spawn().unwrap(), input(100).into_bytes());
    assert_eq!((done.code, done.text()), (2, ""), "{}", done.err);
    assert!(done.err.starts_with("error: ") && !done.err.contains("panicked"), "{}", done.err);
}

#[test]
fn a_full_disk_under_errors_loses_no_dead_letter() {
    let dir = Dir::with(CODE);
    let done = dir.run(&["run", "t.js", "-j2", "--errors", "/dev/full"], input(5000));
    assert_eq!(done.code, 2, "{}", done.err);
    assert!(done.text() == calm(5000));
    assert_eq!(done.dead_letters().len(), 5, "{}", done.err);
    assert!(done.err.contains(&books(5000)), "{}", done.err);
}
