//! Compromised workers that send invalid sequences of frames: random ones, some of them valid.
//!
//! Such a worker can only cause its own end and failures of its own events. The run continues, its counts add up, and
//! only input comes out. `cargo test --test sandbox frames` tries some, `cargo test --test sandbox -- frames 1200`
//! continues for 1200 seconds.

use std::fs::File;
use std::io::{Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use sluicegate::engine::verdict::{Failure, FailureKind};
use sluicegate::engine::{Options, Program};
use sluicegate::wire::frame::{self, Kind, LineFailure, Part, Work};
use sluicegate::wire::input::Open;
use sluicegate::workers::{self, Job, RunError};

/// The program whose workers are compromised.
pub const NAME: &str = "frames";

/// The number of runs in a test.
const RUNS: u64 = 30;

const LINES: u64 = 400;

/// All lines have this length, so that a worker can compute how many lines a unit has.
const LINE_LEN: u64 = 22;

/// A run that takes longer hangs. Each takes tenths of a second, or a few seconds if a worker stops sending.
const HANGS: Duration = Duration::from_secs(120);

fn line(number: u64) -> String {
    format!("{{\"n\":{number:05},\"s\":\"abc\"}}")
}

/// Random numbers from the only source that a worker has.
fn chance(below: u64) -> u64 {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())
        .expect("a worker may ask for chance");
    u64::from_le_bytes(bytes) % below
}

/// The unit that a worker got, and its answers so far.
struct Given {
    work: Work,
    told: u32,
}

impl Given {
    fn left(&self) -> u32 {
        (self.work.len / LINE_LEN) as u32 - self.told
    }
}

/// Runs in the worker in place of the engine: sends frames for a while, and ends.
pub fn worker() {
    // Half of the workers are honest, so that runs reach their ends.
    if chance(2) == 0 {
        return;
    }
    // SAFETY: the one descriptor that a worker has; this process ends below, and nothing else reads or writes it meanwhile.
    let mut socket = ManuallyDrop::new(unsafe { UnixStream::from_raw_fd(3) });
    let mut units = Vec::new();
    let mut out = Vec::new();
    if chance(8) != 0 {
        ready(&mut out);
    }
    for _ in 0..chance(40) {
        if chance(2) == 0 {
            speak(&mut units, &mut out);
        } else if out.is_empty() || socket.write_all(&out).is_ok() {
            out.clear();
            let mut payload = Vec::new();
            let mut from: &UnixStream = &socket;
            match frame::read(&mut from, &mut payload) {
                Ok(Some(Kind::Work)) => units.extend(Work::get(&payload).map(|work| Given { work, told: 0 })),
                Ok(Some(_)) => {}
                _ => break,
            }
        }
    }
    let _ = socket.write_all(&out);
    match chance(12) {
        // Sends nothing more.
        0 => loop {
            std::thread::park();
        },
        1 => std::process::abort(),
        // SAFETY: ends this process.
        code => unsafe { libc::_exit(code as i32) },
    }
}

fn ready(out: &mut Vec<u8>) {
    let loaded = serde_json::json!({ "Loaded": [{ "export": "Event", "libraries": [] }, []] });
    frame::put(out, Kind::Ready, |out| out.extend_from_slice(loaded.to_string().as_bytes()));
}

/// Sends one frame, or something similar.
fn speak(units: &mut Vec<Given>, out: &mut Vec<u8>) {
    let any = |out: &mut Vec<u8>, kind: Kind| {
        let len = chance(64);
        frame::put(out, kind, |out| out.extend((0..len).map(|_| chance(256) as u8)));
    };
    match chance(24) {
        0 => ready(out),
        1 => any(out, Kind::Ready),
        2 => frame::put(out, Kind::Ready, |out| out.extend_from_slice(b"{\"Failed\":{}}")),
        3 => frame::put(out, Kind::Waits, |_| {}),
        4 => any(out, Kind::Part),
        5 => any(out, [Kind::Start, Kind::Setup, Kind::Work, Kind::Free][chance(4) as usize]),
        6 => any(out, [Kind::Ask, Kind::Answer, Kind::Forget, Kind::Preview, Kind::PreviewReply][chance(5) as usize]),
        // An invalid kind, or a length that is far too large.
        7 => out.extend((0..8 + chance(8)).map(|_| chance(256) as u8)),
        8 => out.extend_from_slice(&[4, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f]),
        _ => part(units, out),
    }
}

/// Verdicts for lines that the worker has; one in three has a mistake.
fn part(units: &mut Vec<Given>, out: &mut Vec<u8>) {
    let Some(at) = (!units.is_empty()).then(|| chance(units.len() as u64) as usize) else { return };
    let given = &mut units[at];
    let lines = 1 + chance(u64::from(given.left().max(1))) as u32;
    let failed = chance(3).min(u64::from(lines)) as u32;
    let failure = serde_json::to_vec(&Failure::new(FailureKind::Exception, "made up".to_owned())).expect("plain data");
    let mut part = Part {
        unit: given.work.unit,
        lines,
        dropped: lines - failed,
        slot: chance(4) as u32,
        failures: (0..failed)
            .map(|n| LineFailure { line: given.told + n, output_at: 0, failure: failure.clone() })
            .collect(),
        ..Part::default()
    };
    match chance(30) {
        0 => part.unit += chance(3),
        1 => part.lines += 1,
        2 => part.bytes = 1 + chance(1 << 40),
        3 => (part.ok, part.dropped, part.events_out, part.bytes) = (part.dropped, 0, u64::from(part.dropped), 100),
        4 => part.slot = chance(1 << 32) as u32,
        5 => part.blank = chance(1 << 32) as u32,
        6 => part.logs = vec![b'x'; chance(1 << 20) as usize],
        7 => part.failures.iter_mut().for_each(|failed| failed.failure = vec![b'{'; chance(20) as usize]),
        8 => part.failures.iter_mut().for_each(|failed| failed.line = chance(1 << 32) as u32),
        9 => part.dropped_lines = (0..part.dropped).map(|_| chance(1 << 10) as u32).collect(),
        _ => {}
    }
    given.told += lines;
    if given.left() == 0 {
        units.remove(at);
    }
    part.put(out);
}

/// Runs as a supervisor, in a separate process: transforms the file and prints the result.
pub fn supervisor(file: &Path) -> Result<String, String> {
    let mut options = Options::default();
    options.limits.cpu = Duration::from_millis(50);
    options.limits.wall = Duration::from_millis(50);
    let code = "export const transformEvent = (event) => event;";
    let job = Job { workers: 2, ..Job::new(Program::new(NAME, code), options) };
    let inputs = vec![Open::lines(NAME.to_owned(), File::open(file).map_err(|error| error.to_string())?)];
    let (summary, ended) = workers::run(job, inputs, &mut |_| {});
    match ended {
        Ok(()) if summary.tally.lines_in == LINES && summary.tally.is_conserved() => Ok(summary.tally.to_string()),
        Ok(()) => Err(format!("the books do not balance: {}", summary.tally)),
        // No worker has loaded the program yet: the error comes from the answer of the first worker.
        Err(RunError::Load(_) | RunError::Start(_)) if summary.tally.lines_in == 0 => Ok("not begun".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Runs until `seconds` have passed, or a fixed number of times. Returns the number of runs that began, or the first
/// error.
pub fn try_all(seconds: Option<u64>) -> Result<String, String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = dir.path().join("lines.jsonl");
    let lines: Vec<String> = (0..LINES).map(line).collect();
    std::fs::write(&file, lines.join("\n") + "\n").map_err(|error| error.to_string())?;
    let (start, mut runs, mut begun) = (Instant::now(), 0u64, 0u64);
    let more = |runs: u64| match seconds {
        Some(seconds) => start.elapsed() < Duration::from_secs(seconds),
        None => runs < RUNS,
    };
    while more(runs) {
        runs += 1;
        let (said, out) = one(&file)?;
        begun += u64::from(said != "not begun");
        let mut inputs = lines.iter();
        for line in out.lines() {
            if !inputs.any(|input| input == line) {
                return Err(format!("run {runs}: this came out, and did not go in, or not there: {line:.300}"));
            }
        }
    }
    Ok(format!("{runs} runs, {begun} of them with a worker that loaded"))
}

/// One run: the supervisor's result, and the output.
fn one(file: &Path) -> Result<(String, String), String> {
    let mut child = Command::new(std::env::current_exe().map_err(|error| error.to_string())?)
        .arg("supervise")
        .arg(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let (mut out, mut err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let (mut text, mut said) = (String::new(), String::new());
        let read = out.read_to_string(&mut text).and_then(|_| err.read_to_string(&mut said));
        let _ = tell.send((read.is_ok(), text, said));
    });
    let Ok((true, text, said)) = told.recv_timeout(HANGS) else {
        let _ = child.kill();
        return Err("a run hangs, or what came out is not UTF-8".to_owned());
    };
    match child.wait() {
        Ok(status) if status.success() => Ok((said.trim().to_owned(), text)),
        status => Err(format!("{said} ({status:?})")),
    }
}
