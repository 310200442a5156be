//! Starts the process that runs a query, ends it, and says in words how it ended.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Map, Value};

use super::super::config::{AdbcConfig, Text};
use super::super::error::{Error, Result, plain};
use super::{ANSWER, Answer, COMMAND, Failure, Query, Request, Step, drivers};
use crate::engine::nearest;
use crate::own_process::own_command;

/// How long a process has to end after its standard input has, before it is killed: longer than it gives its own query.
const GRACE: Timespec = Timespec { tv_sec: 4, tv_nsec: 0 };

/// How much is kept of what a driver writes to standard error.
const TAIL: u64 = 4 << 10;

/// A query that runs.
pub struct Reading {
    child: Child,
    answer: JoinHandle<Option<Answer>>,
    said: JoinHandle<String>,
    database: String,
    timeout: Duration,
    /// What no message may repeat.
    secrets: Vec<String>,
}

/// A query that was started: its rows, what to end it by, and itself.
pub struct Started {
    /// JSON lines.
    pub rows: ChildStdout,
    /// The end of this is the end of the query.
    pub hold: OwnedFd,
    /// What becomes of it.
    pub reading: Reading,
}

/// What is asked instead of the config's own query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// What comes first.
    pub steps: Vec<Step>,
    /// The query; the config's own if there is none.
    pub sql: Option<String>,
    /// Whether a database that is a file is opened for writing.
    pub writes: bool,
}

/// How many rows are handed on at a time.
const MANY: usize = 10_000;

/// A row, as an object.
pub type Object = Map<String, Value>;

/// Asks, and hands the rows on, some at a time. Of each column its name, and whether its values are nested.
///
/// # Errors
/// As [`start`], when the query fails, and what `each` says.
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
    // A process that still writes must not wait.
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
        timeout_ms: u64::try_from(config.timeout.as_millis()).unwrap_or(u64::MAX),
        json: config.json.clone(),
    };
    let request =
        Request { driver: driver_of(config, dir)?, entrypoint: config.entrypoint.clone(), query: Some(query) };
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let failed = |error: io::Error| {
        Error::new(format!("cannot start the process that reads {}: {}", config.database, plain(&error)))
    };
    let (mut child, answer) = spawn(&request, dir).map_err(failed)?;
    let (Some(stdin), Some(rows), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
        return Err(failed(io::ErrorKind::BrokenPipe.into()));
    };
    let reading = Reading {
        child,
        answer: std::thread::spawn(move || answer_of(answer)),
        said: std::thread::spawn(move || said(stderr)),
        database: config.database.clone(),
        timeout: config.timeout,
        secrets,
    };
    Ok(Started { rows, hold: stdin.into(), reading })
}

/// Starts the process and tells it what to do; the answer comes from the other end.
fn spawn(request: &Request, dir: &Path) -> io::Result<(Child, File)> {
    let (ours, theirs) = io::pipe()?;
    let mut command = own_command(COMMAND);
    command
        .current_dir(dir)
        // Ctrl-C in a terminal is for the sync, which ends it properly.
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
    Ok((child, File::from(OwnedFd::from(ours))))
}

fn answer_of(mut from: File) -> Option<Answer> {
    let mut line = String::new();
    from.read_to_string(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

/// The last of what a driver writes to standard error.
fn said(mut from: impl Read) -> String {
    let (mut tail, mut part) = (Vec::new(), [0; TAIL as usize]);
    while let Ok(n @ 1..) = from.read(&mut part) {
        tail.extend_from_slice(&part[..n]);
        let over = tail.len().saturating_sub(TAIL as usize);
        tail.drain(..over);
    }
    super::sentence::sentence(&String::from_utf8_lossy(&tail))
}

/// Which version of ADBC the driver at this path speaks.
///
/// # Errors
/// Why it can't be loaded.
pub fn probe(driver: &Path) -> std::result::Result<String, String> {
    let request = Request { driver: driver.to_owned(), entrypoint: None, query: None };
    let probed = || -> io::Result<Option<Answer>> {
        let (mut child, answer) = spawn(&request, Path::new("."))?;
        drop(child.stdin.take());
        drop(child.stdout.take());
        drop(child.stderr.take());
        let answer = answer_of(answer);
        child.wait()?;
        Ok(answer)
    };
    match probed() {
        Ok(Some(Answer::Loaded(version))) => Ok(format!("{}.{}", version / 1_000_000, version / 1_000 % 1_000)),
        Ok(Some(Answer::Failed(failure))) => Err(words(&failure, "", Duration::ZERO, 0).message),
        Ok(_) => Err("it ends the process that loads it".to_owned()),
        Err(error) => Err(plain(&error)),
    }
}

/// The driver that a config names or means.
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

/// What could not be written as it is; and of each column its name, and whether its values are nested.
pub type Ended = (Vec<String>, Vec<(String, bool)>);

impl Reading {
    /// Waits for the end, after all rows were read; `rows` is how many there were. What could not be written as it is.
    ///
    /// # Errors
    /// When not all rows were written.
    pub fn end(self, rows: u64) -> Result<Ended> {
        let secrets = self.secrets.clone();
        self.ended(rows).map_err(|mut error| {
            for secret in secrets {
                error.message = error.message.replace(&secret, "…");
            }
            error
        })
    }

    fn ended(mut self, rows: u64) -> Result<Ended> {
        let answer = self.answer.join().ok().flatten();
        // A driver may have a bad end after a good answer; it is the answer that counts.
        let is_late = !self.child.try_wait().is_ok_and(|status| status.is_some()) && !ends_in_time(&self.child);
        if is_late {
            let _ = self.child.kill();
        }
        let status = self.child.wait();
        let said = self.said.join().unwrap_or_default();
        match answer {
            Some(Answer::Done { rows: written, warnings, columns }) if written == rows => Ok((warnings, columns)),
            Some(Answer::Done { rows: written, .. }) => {
                Err(Error::new(format!("the database {} gave {written} rows, and {rows} arrived", self.database)))
            }
            Some(Answer::Failed(failure)) => Err(words(&failure, &self.database, self.timeout, rows)),
            Some(Answer::Loaded(_)) | None => {
                let how = match status {
                    Ok(status) => status.signal().map_or(status.to_string(), |signal| format!("signal {signal}")),
                    Err(error) => plain(&error),
                };
                let said = if said.is_empty() { said } else { format!(": {said}") };
                let after = after(rows);
                Err(Error::new(format!(
                    "the process that reads the database {} ended{after} ({how}){said}",
                    self.database
                )))
            }
        }
    }

    /// Waits for the end of a query that is no longer wanted, and does not wait for ever.
    pub fn give_up(mut self) {
        if !ends_in_time(&self.child) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Whether a process ends within [`GRACE`].
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

/// A failure in words.
fn words(failure: &Failure, database: &str, timeout: Duration, rows: u64) -> Error {
    const DRIVERS: &str = "`sluicegate sync doctor` says which drivers there are";
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
            Error::new(format!("cannot open the database {database}: {why}")).help("see source.options, and that the database is there")
        }
        Failure::Query(why) => Error::new(format!("the database {database} refuses the query: {why}")),
        Failure::Twice(name) => Error::new(format!("the query has two columns called {name}"))
            .help(format!("give one of them another name: … as {name}_2")),
        Failure::NoForm { column, kind } => {
            Error::new(format!("the column {column} has the type {kind}, which has no form in JSON")).help(cast(column))
        }
        Failure::NoJson(name) => Error::new(format!("source.json names the column {name}, and the query has none"))
            .help("names are matched exactly, letter by letter"),
        Failure::Changed => Error::new("another run of this sync has written its state meanwhile")
            .help("one run at a time: run the sync again when the other one has ended"),
        Failure::Rows(why) => Error::new(format!("the database {database} failed{}: {why}", after(rows))),
        Failure::TimedOut => Error::new(format!(
            "the query was not done within {} (source.query_timeout)",
            humantime::format_duration(timeout)
        ))
        .help("it was cancelled. Is something locked? If it is just slow, give it more time"),
        Failure::Output(why) => Error::new(format!("the rows of the database {database} could not be handed on: {why}")),
    }
}
