//! Databases as sources, through the real ADBC drivers of DuckDB, Postgres and SQLite.
//!
//! Drivers are fetched from PyPI once and kept. Without a network these tests print that they are skipped; CI requires
//! them.

mod bad_driver;
mod ends;
mod errors;
mod property;
mod types;
mod warehouse;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use crate::support::{Dir, Done};

/// The installed drivers: a virtual environment, and a folder with an old driver.
struct Drivers {
    venv: PathBuf,
    old: PathBuf,
}

/// An old driver of Postgres, which does not report the types of columns.
const OLD: &str = "adbc-driver-postgresql==0.8.0";

/// The drivers; `None`, with a message, if they are not available.
fn drivers() -> Option<&'static Drivers> {
    static DRIVERS: OnceLock<Result<Drivers, String>> = OnceLock::new();
    match DRIVERS.get_or_init(install) {
        Ok(drivers) => Some(drivers),
        Err(why) => {
            assert!(std::env::var_os("CI").is_none(), "{why}");
            // Written directly, because the test harness hides the output of passing tests.
            let _ = writeln!(std::io::stderr(), "\nSKIPPED: databases as sources: {why}\n");
            None
        }
    }
}

fn install() -> Result<Drivers, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("adbc");
    let (venv, old, mark) = (folder.join("venv"), folder.join("old"), folder.join("requirements.txt"));
    let requirements = Path::new("tests/fixtures/adbc/requirements.txt");
    let wanted = format!("{}{OLD}\n", std::fs::read_to_string(requirements).unwrap());
    // The mark is written when the install is complete, so that an interrupted install is repeated.
    if std::fs::read_to_string(&mark).is_ok_and(|found| found == wanted) {
        return loads(Drivers { venv, old });
    }
    let _ = std::fs::remove_dir_all(&folder);
    let run = |command: &mut Command| {
        let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
        if output.status.success() { Ok(()) } else { Err(format!("{command:?}:\n{}", said(&output))) }
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let pip = || {
        let mut pip = Command::new(venv.join("bin/pip"));
        // Only the libraries are needed, not their Python dependencies.
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        pip
    };
    run(pip().arg("--requirement").arg(requirements))?;
    run(pip().arg(OLD).arg("--target").arg(&old))?;
    std::fs::write(mark, wanted).unwrap();
    loads(Drivers { venv, old })
}

/// Checks that the drivers can be loaded: DuckDB's package needs Python's shared library, which not every Python has.
fn loads(drivers: Drivers) -> Result<Drivers, String> {
    let told = drivers.run(&Dir::new(), &["sync", "doctor"]);
    let venv = drivers.venv.display().to_string();
    match told.lines().into_iter().find(|line| line.contains(&venv) && line.contains("FAILS")) {
        Some(line) => Err(line.to_owned()),
        None => Ok(drivers),
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

impl Drivers {
    /// The `sluicegate` command with these drivers.
    fn command(&self, dir: &Dir, args: &[&str]) -> Command {
        let mut command = dir.command(args);
        command.env("VIRTUAL_ENV", &self.venv).env_remove("ADBC_DRIVER_PATH").env("CIO_KEY", "site:key");
        command
    }

    fn run(&self, dir: &Dir, args: &[&str]) -> Done {
        crate::support::finish(self.command(dir, args).spawn().unwrap(), Vec::new())
    }

    /// The library of a driver.
    fn library(&self, name: &str) -> PathBuf {
        let mut found = glob(&self.venv.join("lib"), &format!("libadbc_driver_{name}.so"));
        found.pop().unwrap_or_else(|| panic!("no driver {name}"))
    }
}

/// Files with this name below a folder.
fn glob(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(glob(&path, name));
        } else if path.file_name().is_some_and(|file| file == name) {
            found.push(path);
        }
    }
    found
}

/// A sync of a database to a file.
fn to_file(source: &str) -> Dir {
    let dir = Dir::new();
    write_config(&dir, source);
    dir
}

fn write_config(dir: &Dir, source: &str) {
    dir.file(
        "sync.toml",
        format!("[source]\n{source}\nkey = \"id\"\n[[sink]]\nname = \"out\"\nkind = \"file\"\npath = \"out.jsonl\"\n"),
    );
}

/// The events that a sync has written, without the values that differ each time.
fn traits(dir: &Dir) -> Vec<String> {
    let text = std::fs::read_to_string(dir.path().join("out.jsonl")).unwrap_or_default();
    let of = |line: &str| line.split_once("\"traits\":").unwrap().1.strip_suffix('}').unwrap().to_owned();
    text.lines().map(of).collect()
}

/// A server of the distribution's Postgres, in its own folder. It ends when this is dropped.
struct Postgres {
    bin: PathBuf,
    folder: tempfile::TempDir,
}

impl Postgres {
    /// `None`, with a message, if it is not installed.
    fn start() -> Option<Self> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok();
        let bins = versions.into_iter().flatten().map(|version| version.unwrap().path().join("bin"));
        let Some(bin) = bins.filter(|bin| bin.join("initdb").exists()).max() else {
            assert!(std::env::var_os("CI").is_none(), "there is no Postgres");
            let _ = writeln!(std::io::stderr(), "\nSKIPPED: Postgres as a source: there is no Postgres\n");
            return None;
        };
        // Not in the folder of the test: Postgres's user must have access, and a socket's path must be short.
        let folder = tempfile::tempdir().unwrap();
        if is_root() {
            assert!(Command::new("chown").arg("postgres").arg(folder.path()).status().unwrap().success());
        }
        let postgres = Self { bin, folder };
        let data = postgres.data();
        let made = postgres
            .tool("initdb", &["--pgdata", &data, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8"])
            .args(["--locale", "C.UTF-8", "--no-sync"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", said(&made));
        postgres.up();
        Some(postgres)
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    /// A command of Postgres. As root, it runs as the user `postgres`, because Postgres refuses to run as root.
    fn tool(&self, name: &str, args: &[&str]) -> Command {
        let program = self.bin.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(args).stdin(Stdio::null());
        command
    }

    fn up(&self) {
        let folder = self.folder.path().display();
        let options = format!("-k {folder} -c listen_addresses= -c fsync=off");
        let log = format!("{folder}/log");
        let args = ["--silent", "--pgdata", &self.data(), "--log", &log, "--wait", "--options", &options, "start"];
        let started = self.tool("pg_ctl", &args).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(started.success(), "{}", std::fs::read_to_string(log).unwrap_or_default());
    }

    /// Stops the server at once, as in a crash.
    fn down(&self) {
        let args = ["--silent", "--pgdata", &self.data(), "--mode", "immediate", "stop"];
        let _ = self.tool("pg_ctl", &args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }

    /// The part of a config that names this source.
    fn source(&self, query: &str) -> String {
        format!(
            "adbc = \"postgresql\"\noptions = {{ uri = \"postgresql:///postgres?host={}&user=postgres\" }}\n\
             query = '''{query}'''\n",
            self.folder.path().display()
        )
    }

    fn psql(&self) -> Command {
        let mut command = Command::new(self.bin.join("psql"));
        command.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"]).arg(self.folder.path());
        command.arg("postgres");
        command
    }

    fn ask(&self, sql: &str) -> String {
        let output = self.psql().args(["-c", sql]).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Waits until this many queries with a word in them run or wait.
    fn wait_for(&self, word: &str, count: usize) {
        let sql = format!(
            "select count(*) from pg_stat_activity where state = 'active' and query like '%{word}%' and pid <> pg_backend_pid()"
        );
        while self.ask(&sql) != count.to_string() {
            std::thread::yield_now();
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.down();
    }
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}
