//! Starts the process that runs a query, ends it, and reports how it ended.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Map, Value};

use super::super::config::{AdbcConfig, Text};
use super::super::error::{Error, Result, plain};
use super::output::Output;
use super::secrets::Secrets;
use super::sentence::sentence;
use super::subtree;
use super::{ANSWER, Answer, COMMAND, Failure, Query, Request, Step, drivers};
use crate::engine::nearest;
use crate::own_process::own_command;

/// How long a process has to end after its standard input was closed, before it is killed. Longer than the process's
/// own grace period for its query.
const GRACE: Timespec = Timespec { tv_sec: 4, tv_nsec: 0 };

/// How long a driver may take to load, in a probe.
const PROBE: Duration = Duration::from_secs(10);

/// The most bytes that are kept of a driver's standard error.
const TAIL: u64 = 4 << 10;

/// A running query.
pub struct Reading {
    child: Child,
    answer: JoinHandle<Option<Answer>>,
    said: JoinHandle<String>,
    database: String,
    timeout: Duration,
    /// Secrets that no message may contain.
    secrets: Secrets,
}

/// A query that was started.
pub struct Started {
    /// The rows, as JSON lines.
    pub rows: Output,
    /// Dropping this ends the query.
    pub hold: OwnedFd,
    /// Waits for the end of the query.
    pub reading: Reading,
}

/// A script that replaces the query of the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Steps before the query.
    pub steps: Vec<Step>,
    /// The query; `None` for that of the config.
    pub sql: Option<String>,
    /// Whether a database file is opened for writing.
    pub writes: bool,
}

/// The number of rows that are passed on at a time.
const MANY: usize = 10_000;

/// A row, as an object.
pub type Object = Map<String, Value>;

/// Runs a script, and passes the rows to `each`, some at a time. Returns the name of each column, and whether its
/// values are nested.
///
/// # Errors
/// When [`start`] or `each` fails, or the query fails.
pub fn ask(
    config: &AdbcConfig,
    dir: &Path,
    script: Script,
    mut each: impl FnMut(&[Object]) -> Result<()>,
) -> Result<Vec<(String, bool)>> {
    let Started { rows, hold, reading } = start(config, dir, Some(script))?;
    let (mut found, mut count): (Vec<Object>, u64) = (Vec::new(), 0);
    let mut stream = serde_json::Deserializer::from_reader(BufReader::new(rows)).into_iter();
    let wrong = loop {
        match stream.next() {
            None => break None,
            Some(Ok(row)) => {
                found.push(row);
                count += 1;
                if found.len() == MANY {
                    each(&found)?;
                    found.clear();
                }
            }
            Some(Err(error)) => break Some(error),
        }
    };
    // Closes the pipe, so that a process that still writes does not block.
    drop(stream);
    let columns = reading.end(count)?.1;
    drop(hold);
    each(&found)?;
    match wrong {
        None => Ok(columns),
        Some(error) => Err(Error::new(format!("the database {} answers nonsense: {error}", config.database))),
    }
}

/// Starts the query. Relative paths start in `dir`.
///
/// # Errors
/// When there is no driver, a secret is missing, or the process can't be started.
pub fn start(config: &AdbcConfig, dir: &Path, script: Option<Script>) -> Result<Started> {
    let script = script.unwrap_or(Script { steps: Vec::new(), sql: None, writes: false });
    let (mut options, mut secrets) = (Vec::new(), Vec::new());
    for (key, text) in &config.options {
        let value = text.read(false)?;
        if matches!(text, Text::Secret(_)) {
            secrets.push(value.clone());
        }
        options.push((key.clone(), value));
    }
    if script.writes && config.database == "duckdb" && !options.iter().any(|(key, _)| key == "access_mode") {
        options.push(("access_mode".to_owned(), "READ_WRITE".to_owned()));
    }
    let query = Query {
        database: config.database.clone(),
        options,
        steps: script.steps,
        sql: script.sql.unwrap_or_else(|| config.query.clone()),
        json: config.json.clone(),
    };
    let request = Request {
        driver: driver_of(config, dir)?,
        entrypoint: config.entrypoint.clone(),
        query: Some(query),
        timeout_ms: u64::try_from(config.timeout.as_millis()).unwrap_or(u64::MAX),
    };
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let failed = |error: io::Error| {
        Error::new(format!("cannot start the process that reads {}: {}", config.database, plain(&error)))
    };
    let (mut child, answer) = spawn(&request, dir).map_err(failed)?;
    let (Some(stdin), Some(rows), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
        return Err(failed(io::ErrorKind::BrokenPipe.into()));
    };
    let (rows, stderr) = (Output::new(rows, &child), Output::new(stderr, &child));
    let reading = Reading {
        child,
        answer: std::thread::spawn(move || answer_of(answer)),
        said: std::thread::spawn(move || said(stderr)),
        database: config.database.clone(),
        timeout: config.timeout,
        secrets: Secrets::new(secrets),
    };
    Ok(Started { rows, hold: stdin.into(), reading })
}

/// Starts the process and sends the request. The answer can be read from the returned output.
fn spawn(request: &Request, dir: &Path) -> io::Result<(Child, Output)> {
    let (ours, theirs) = io::pipe()?;
    let mut command = own_command(COMMAND);
    command
        .current_dir(dir)
        // Ctrl-C in a terminal must reach only the sync, which ends the process properly.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .fd_mappings(vec![FdMapping { parent_fd: theirs.into(), child_fd: ANSWER }])
        .map_err(io::Error::other)?;
    let mut child = command.spawn()?;
    if let Some(stdin) = &mut child.stdin {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stdin.write_all(&line)?;
    }
    let answer = Output::new(ours, &child);
    Ok((child, answer))
}

/// Reads the answer, which is one line.
fn answer_of(from: Output) -> Option<Answer> {
    let mut line = String::new();
    BufReader::new(from).read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

/// Reads a driver's standard error to its end, and returns the last bytes.
fn said(mut from: impl Read) -> String {
    let (mut tail, mut part) = (Vec::new(), [0; TAIL as usize]);
    while let Ok(n @ 1..) = from.read(&mut part) {
        tail.extend_from_slice(&part[..n]);
        let over = tail.len().saturating_sub(TAIL as usize);
        tail.drain(..over);
    }
    String::from_utf8_lossy(&tail).into_owned()
}

/// Returns the version of ADBC that the driver at this path implements.
///
/// # Errors
/// When the driver can't be loaded; the error is a message.
pub fn probe(driver: &Path) -> std::result::Result<String, String> {
    let timeout_ms = PROBE.as_millis() as u64;
    let request = Request { driver: driver.to_owned(), entrypoint: None, query: None, timeout_ms };
    let probed = || -> io::Result<Option<Answer>> {
        let (mut child, answer) = spawn(&request, Path::new("."))?;
        // Dropping this ends the process.
        let hold = child.stdin.take();
        drop(child.stdout.take());
        drop(child.stderr.take());
        let answer = answer_of(answer);
        drop(hold);
        wait_or_kill(&mut child)?;
        Ok(answer)
    };
    match probed() {
        Ok(Some(Answer::Loaded(version))) => Ok(format!("{}.{}", version / 1_000_000, version / 1_000 % 1_000)),
        Ok(Some(Answer::Failed(Failure::LoadTimedOut))) => {
            Err(format!("it is not loaded within {}", humantime::format_duration(PROBE)))
        }
        Ok(Some(Answer::Failed(failure))) => Err(words(&failure, "", PROBE, 0, &Secrets::default()).message),
        Ok(_) => Err("it ends the process that loads it".to_owned()),
        Err(error) => Err(plain(&error)),
    }
}

/// Finds the driver of a config.
fn driver_of(config: &AdbcConfig, dir: &Path) -> Result<PathBuf> {
    let name = match &config.driver {
        Some(driver) if driver.contains('/') || driver.ends_with(".so") || driver.ends_with(".toml") => {
            let path = dir.join(driver);
            return match path.is_file() {
                true => Ok(std::path::absolute(&path).unwrap_or(path)),
                false => Err(Error::new(format!("there is no driver {}", path.display()))
                    .help("source.driver is a path, from the folder of the config, or a name; `sluicegate sync doctor` says which drivers there are")),
            };
        }
        Some(driver) => driver,
        None => &config.database,
    };
    let found = drivers::find(name).into_iter().next();
    found.ok_or_else(|| {
        let error = Error::new(format!("there is no ADBC driver for {name}"));
        if let Some(near) = nearest(name, drivers::KNOWN.iter().map(|known| known.name)).filter(|near| *near != name) {
            return error.help(format!("did you mean {near}? `sluicegate sync doctor` says which drivers there are"));
        }
        let get = drivers::where_to_get(&config.database);
        error.help(format!("{get}; `sluicegate sync doctor` says where drivers are looked for"))
    })
}

/// Warnings about values that could not be written unchanged;
/// the name of each column, and whether its values are nested.
pub type Ended = (Vec<String>, Vec<(String, bool)>);

impl Reading {
    /// Waits for the end of the query after all rows were read; `rows` is how many there were.
    ///
    /// # Errors
    /// When the query has failed, or not all rows arrived.
    pub fn end(self, rows: u64) -> Result<Ended> {
        let secrets = self.secrets.clone();
        self.ended(rows).map_err(|mut error| {
            error.message = secrets.masked(&error.message);
            error
        })
    }

    fn ended(mut self, rows: u64) -> Result<Ended> {
        let answer = self.answer.join().ok().flatten();
        // A driver may crash after a good answer; only the answer counts.
        let status = wait_or_kill(&mut self.child);
        let said = self.said.join().unwrap_or_default();
        match answer {
            Some(Answer::Done { rows: written, warnings, columns }) if written == rows => Ok((warnings, columns)),
            Some(Answer::Done { rows: written, .. }) => {
                Err(Error::new(format!("the database {} gave {written} rows, and {rows} arrived", self.database)))
            }
            Some(Answer::Failed(failure)) => Err(words(&failure, &self.database, self.timeout, rows, &self.secrets)),
            Some(Answer::Loaded(_)) | None => {
                let how = match status {
                    Ok(status) => status.signal().map_or(status.to_string(), |signal| format!("signal {signal}")),
                    Err(error) => plain(&error),
                };
                let said = sentence(&self.secrets.masked(&said));
                let said = if said.is_empty() { said } else { format!(": {said}") };
                let after = after(rows);
                Err(Error::new(format!(
                    "the process that reads the database {} ended{after} ({how}){said}",
                    self.database
                )))
            }
        }
    }

    /// Waits for the end of an unwanted query, and kills it if it does not end in time.
    pub fn give_up(mut self) {
        let _ = wait_or_kill(&mut self.child);
    }
}

/// Waits for the end of a process that has nothing left to do, and kills it if it does not end in time. Processes that
/// it has started end with it.
fn wait_or_kill(child: &mut Child) -> io::Result<ExitStatus> {
    let pid = Pid::from_child(child);
    if !ends_in_time(child) {
        subtree::kill_below(pid);
        let _ = child.kill();
    }
    subtree::kill_group(pid);
    child.wait()
}

/// Returns whether a process ends within [`GRACE`].
fn ends_in_time(child: &Child) -> bool {
    let Ok(pidfd) = pidfd_open(Pid::from_child(child), PidfdFlags::empty()) else { return false };
    matches!(poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&GRACE)), Ok(1))
}

fn after(rows: u64) -> String {
    match rows {
        0 => String::new(),
        1 => " after 1 row".to_owned(),
        _ => format!(" after {rows} rows"),
    }
}

/// Turns a failure into a message.
fn words(failure: &Failure, database: &str, timeout: Duration, rows: u64, secrets: &Secrets) -> Error {
    const DRIVERS: &str = "`sluicegate sync doctor` says which drivers there are";
    // Secrets are masked first: a secret that was cut would not be found.
    let say = |why: &str| sentence(&secrets.masked(why));
    let cast = |column: &str| format!("cast it in the query: cast({column} as varchar) as {column}");
    match failure {
        Failure::Library(why) => Error::new(format!("cannot load the driver {why}")).help(DRIVERS),
        Failure::Python(why) => Error::new(why.clone())
            .help("install it (Debian's package is libpython3.N), or take DuckDB's own library: driver = \"lib/libduckdb.so\""),
        Failure::NoDriver(why) => Error::new(why.clone()).help(DRIVERS),
        Failure::Old(why) => Error::new(why.clone()).help(format!("install a newer one: {}", drivers::where_to_get(database))),
        Failure::NoFile(path) => Error::new(format!("there is no file {path}, which should be the database"))
            .help("a relative path starts in the folder of the config"),
        Failure::Connect(why) => {
            Error::new(format!("cannot open the database {database}: {}", say(why))).help("see source.options, and that the database is there")
        }
        Failure::Query(why) => Error::new(format!("the database {database} refuses the query: {}", say(why))),
        Failure::Twice(name) => Error::new(format!("the query has two columns called {name}"))
            .help(format!("give one of them another name: … as {name}_2")),
        Failure::NoForm { column, kind } => {
            Error::new(format!("the column {column} has the type {kind}, which has no form in JSON")).help(cast(column))
        }
        Failure::NoJson(name) => Error::new(format!("source.json names the column {name}, and the query has none"))
            .help("names are matched exactly, letter by letter"),
        Failure::Changed => Error::new("another run of this sync has written its state meanwhile")
            .help("one run at a time: run the sync again when the other one has ended"),
        Failure::Rows(why) => Error::new(format!("the database {database} failed{}: {}", after(rows), say(why))),
        Failure::LoadTimedOut => Error::new(format!(
            "the driver was not loaded within {} (source.query_timeout)",
            humantime::format_duration(timeout)
        ))
        .help(DRIVERS),
        Failure::TimedOut => Error::new(format!(
            "the query was not done within {} (source.query_timeout)",
            humantime::format_duration(timeout)
        ))
        .help("it was cancelled. Is something locked? If it is just slow, give it more time"),
        Failure::Output(why) => Error::new(format!("the rows of the database {database} could not be handed on: {why}")),
    }
}
