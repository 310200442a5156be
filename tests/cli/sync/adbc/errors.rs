//! Messages when a database can't be read. In none of these cases is anything sent or lost.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Stdio};

use super::{Drivers, Postgres, drivers, to_file, traits, write_config};
use crate::support::{Dir, Done};

/// Runs a sync that must fail, between a sync that sends two rows and one that finds them unchanged.
fn fails(drivers: &Drivers, source: &str) -> Done {
    let dir = to_file("adbc = \"duckdb\"\nquery = \"from range(2) r(id)\"");
    dir.file("no-library.so", "no library\n");
    dir.file("no-database.db", "no database at all, and long enough to be looked at\n".repeat(10));
    assert_eq!(drivers.run(&dir, &["sync", "sync.toml"]).code, 0);
    let good =
        dir.read("sync.toml").replace("key =", "\nkey =").replace("[[sink]]", "[changes]\nmode = \"mirror\"\n[[sink]]");
    write_config(&dir, source);
    let bad = dir.read("sync.toml").replace("[[sink]]", "[changes]\nmode = \"mirror\"\n[[sink]]");
    dir.file("sync.toml", bad);
    let mut done = drivers.run(&dir, &["sync", "sync.toml"]);
    assert_eq!(done.code, 2, "{source}: {}", done.err);
    dir.file("sync.toml", good);
    let after = drivers.run(&dir, &["sync", "sync.toml"]);
    assert!(after.code == 0 && after.err.contains("2 unchanged + 0 new"), "{source}: {}", after.err);
    assert_eq!(traits(&dir).len(), 2, "{source}");
    done.err = done.err.replace(&dir.path().display().to_string(), "DIR");
    done.err = done.err.replace(&drivers.venv.display().to_string(), "VENV");
    done.err = done.err.replace(&drivers.old.display().to_string(), "OLD");
    done
}

fn golden(name: &str, text: &str) {
    let path = format!("tests/golden/adbc/{name}.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{path}");
}

#[test]
fn each_error_is_a_sentence_and_loses_nothing() {
    let Some(drivers) = drivers() else { return };
    let sqlite = drivers.library("sqlite");
    let sqlite = sqlite.display();
    let mut text = String::new();
    for (name, source) in [
        ("no driver", "adbc = \"nosuch\"\nquery = \"select 1\"".to_owned()),
        ("a database that is nearly one", "adbc = \"postgresqk\"\nquery = \"select 1\"".to_owned()),
        ("no such driver", "adbc = \"duckdb\"\ndriver = \"lib/libduckdb.so\"\nquery = \"select 1\"".to_owned()),
        ("no library", "adbc = \"duckdb\"\ndriver = \"no-library.so\"\nquery = \"select 1\"".to_owned()),
        ("a wrong function", format!("adbc = \"sqlite\"\ndriver = \"{sqlite}\"\nentrypoint = \"Nosuch\"\nquery = \"selec\"")),
        (
            "the driver of another database",
            format!("adbc = \"postgresql\"\ndriver = \"{sqlite}\"\noptions = {{ uri = \"postgresql://nohost/db\" }}\nquery = \"select 1\""),
        ),
        ("no file", "adbc = \"duckdb\"\noptions = { path = \"no.db\" }\nquery = \"select 1\"".to_owned()),
        ("no database", "adbc = \"sqlite\"\noptions = { uri = \"no-database.db\" }\nquery = \"select 1\"".to_owned()),
        ("an unknown option", "adbc = \"duckdb\"\noptions = { nosuch = \"1\" }\nquery = \"select 1\"".to_owned()),
        ("a missing schema", "adbc = \"duckdb\"\nquery = \"select * from nosuch.users\"".to_owned()),
        ("a missing table", "adbc = \"sqlite\"\nquery = \"select * from users\"".to_owned()),
        ("no SQL", "adbc = \"duckdb\"\nquery = \"selec 1 as id\"".to_owned()),
        ("a value in a late row", "adbc = \"duckdb\"\nquery = \"select (case when range < 9000 then '1' else 'x' end)::int as id from range(10000)\"".to_owned()),
        ("two columns of one name", "adbc = \"duckdb\"\nquery = \"select 1 as id, 2 as id\"".to_owned()),
        ("two columns of one name in SQLite", "adbc = \"sqlite\"\nquery = \"select 1 as id, 2 as id\"".to_owned()),
        ("two columns of nearly one name in SQLite", "adbc = \"sqlite\"\nquery = \"select 1 as id, 2 as ID;\"".to_owned()),
        ("two queries", "adbc = \"sqlite\"\nquery = \"select 1 as id; select 2 as id\"".to_owned()),
        ("a type without a form", "adbc = \"duckdb\"\nquery = \"select 1 as id, 2::variant as v\"".to_owned()),
        ("no such JSON", "adbc = \"duckdb\"\njson = [\"payload\"]\nquery = \"select 1 as id\"".to_owned()),
        ("a query past its limit", "adbc = \"duckdb\"\nquery_timeout = \"1s\"\nquery = \"select sum(a.range * b.range) as id from range(100000000) a, range(100000000) b\"".to_owned()),
        ("a secret that is missing", "adbc = \"postgresql\"\noptions = { uri = \"env:NO_SUCH_URI\" }\nquery = \"select 1\"".to_owned()),
    ] {
        let done = fails(drivers, &source);
        writeln!(text, "# {name}\n{}", done.err).unwrap();
    }
    golden("errors", &text);
}

#[test]
fn errors_of_postgres_are_sentences_too() {
    let (Some(drivers), Some(postgres)) = (drivers(), Postgres::start()) else { return };
    let old = super::glob(&drivers.old, "libadbc_driver_postgresql.so").pop().unwrap();
    let old = format!("driver = \"{}\"\n", old.display());
    let mut text = String::new();
    for (name, source) in [
        ("a missing schema", postgres.source("select * from nosuch.users")),
        ("an old driver", old + &postgres.source("select 1 as id")),
        ("a value in a late row", postgres.source("select 1 / (x - 90000) as id from generate_series(1, 100000) x")),
        ("two columns of one name", postgres.source("select 1 as id, 2 as id")),
        (
            "two columns of one name, of a type that goes through JSON",
            postgres.source("select 1 as id, '::1'::inet as ip, '::2'::inet as ip"),
        ),
        ("a slow query", postgres.source("select 1 as id from pg_sleep(1000)") + "query_timeout = \"1s\"\n"),
    ] {
        let done = fails(drivers, &source);
        writeln!(text, "# {name}\n{}", done.err).unwrap();
    }
    golden("errors-postgres", &text);
    // The server no longer runs the slow query.
    postgres.wait_for("pg_sleep", 0);
}

/// A secret that a driver repeats in its error is not shown.
#[test]
fn secrets_are_not_shown() {
    let Some(drivers) = drivers() else { return };
    let dir = to_file("adbc = \"sqlite\"\noptions = { uri = \"env:SECRET_URI\" }\nquery = \"select 1 as id\"");
    let mut command = drivers.command(&dir, &["sync", "sync.toml"]);
    let child = command.env("SECRET_URI", "file:nosuch/s3cr3t.db?mode=ro").spawn().unwrap();
    let done = crate::support::finish(child, Vec::new());
    assert_eq!(done.code, 2);
    assert!(done.err.contains("failed to open '…'") && !done.err.contains("s3cr3t"), "{}", done.err);
    // A very long secret, with consecutive spaces.
    let long = format!("file:nosuch/two  spaces/{}/s3cr3t.db?mode=ro", "é".repeat(500));
    let mut command = drivers.command(&dir, &["sync", "sync.toml"]);
    let done = crate::support::finish(command.env("SECRET_URI", long).spawn().unwrap(), Vec::new());
    assert_eq!(done.code, 2);
    assert!(
        done.err.contains("failed to open '…") && !done.err.contains("two") && !done.err.contains('é'),
        "{}",
        done.err
    );
    // SQLite's URIs are not secrets.
    write_config(&dir, "adbc = \"sqlite\"\noptions = { uri = \"file:own.db?mode=rwc\" }\nquery = \"select 1 as id\"");
    is_free(drivers, &dir);
    assert!(dir.path().join("own.db").exists());
}

/// Holds a lock until it is dropped.
struct Holder(Child);

impl Holder {
    /// A program that prints a line when it has the lock.
    fn start(command: &mut std::process::Command, told: &str) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(told.as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_held(drivers: &Drivers, dir: &Dir, says: &str) {
    let done = drivers.run(dir, &["sync", "sync.toml"]);
    assert_eq!(done.code, 2, "{}", done.err);
    let help = "help: another process, dbt perhaps, holds the database: run the sync when it has ended\n";
    assert!(done.err.contains(says) && done.err.ends_with(help) && done.err.lines().count() == 2, "{}", done.err);
    assert!(traits(dir).is_empty());
}

fn is_free(drivers: &Drivers, dir: &Dir) {
    let done = drivers.run(dir, &["sync", "sync.toml"]);
    assert_eq!((done.code, traits(dir).len()), (0, 1), "{}", done.err);
}

#[test]
fn a_database_that_is_locked_says_so() {
    let Some(drivers) = drivers() else { return };
    // DuckDB: another process has the file open for writing.
    let dir = to_file("adbc = \"duckdb\"\noptions = { path = \"w.duckdb\" }\nquery = \"select * from t\"");
    let writes = "import duckdb, sys\n\
                  warehouse = duckdb.connect('w.duckdb')\n\
                  warehouse.execute('create table t as select 1 as id')\n\
                  print('open', flush=True)\n\
                  sys.stdin.read()";
    let mut python = std::process::Command::new(drivers.venv.join("bin/python3"));
    let holder = Holder::start(python.args(["-c", writes]).current_dir(dir.path()), "");
    is_held(drivers, &dir, "Could not set lock on file");
    drop(holder);
    is_free(drivers, &dir);
    // SQLite: an open transaction.
    let dir = to_file("adbc = \"sqlite\"\noptions = { uri = \"app.db\" }\nquery = \"select * from t\"");
    let writer = rusqlite::Connection::open(dir.path().join("app.db")).unwrap();
    writer.execute_batch("create table t (id); insert into t values (1); begin exclusive").unwrap();
    is_held(drivers, &dir, "database is locked");
    writer.execute_batch("commit").unwrap();
    is_free(drivers, &dir);
}

#[test]
fn a_lock_in_postgres_ends_with_the_time_of_the_query() {
    let (Some(drivers), Some(postgres)) = (drivers(), Postgres::start()) else { return };
    postgres.ask("create table t as select 1 as id");
    let dir = to_file(&(postgres.source("select * from t") + "query_timeout = \"1s\"\n"));
    let mut psql = postgres.psql();
    let holder = Holder::start(psql.stdin(Stdio::piped()), "begin; lock table t; select 'held';\n");
    let done = drivers.run(&dir, &["sync", "sync.toml"]);
    assert_eq!(done.code, 2, "{}", done.err);
    assert!(done.err.starts_with("error: the query was not done within 1s (source.query_timeout)\n"), "{}", done.err);
    drop(holder);
    is_free(drivers, &dir);
}

/// The output of `sync doctor` with the drivers of these tests, and without any.
#[test]
fn doctor_names_the_drivers_that_there_are() {
    let Some(drivers) = drivers() else { return };
    let dir = Dir::new();
    let done = drivers.run(&dir, &["sync", "doctor"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let venv = drivers.venv.display().to_string();
    for name in ["duckdb", "postgresql", "sqlite"] {
        let line = done.lines().into_iter().find(|line| line.trim_start().starts_with(name)).unwrap();
        assert!(line.contains(&venv) && line.ends_with(" (ADBC 1.1)"), "{line}");
    }
    // A manifest, a manifest with a missing library, and no other drivers.
    dir.file("own/mine.toml", format!("[Driver]\nshared = \"{}\"\n", drivers.library("sqlite").display()));
    dir.file("own/broken.toml", "[Driver]\nshared = \"/no/such.so\"\n");
    dir.file("bin/empty", "");
    let mut command = drivers.command(&dir, &["sync", "doctor"]);
    let bare = command.env("VIRTUAL_ENV", dir.path()).env("PATH", dir.path().join("bin")).env("HOME", dir.path());
    let done =
        crate::support::finish(bare.env("ADBC_DRIVER_PATH", dir.path().join("own")).spawn().unwrap(), Vec::new());
    let own = dir.path().join("own").display().to_string();
    let line =
        |name: &str| done.lines().into_iter().find(|line| line.trim_start().starts_with(name)).unwrap().to_owned();
    assert_eq!(line("mine"), format!("  mine         {own}/mine.toml (ADBC 1.1)"));
    assert!(line("broken").starts_with(&format!("  broken       {own}/broken.toml: FAILS: ")), "{}", line("broken"));
    if !Path::new("/usr/lib/libadbc_driver_snowflake.so").exists() {
        assert_eq!(line("snowflake"), "  snowflake    none: pip install adbc-driver-snowflake");
    }
    // `driver` can name a manifest, also one whose name has a dot.
    dir.file("own/mine-1.3.toml", dir.read("own/mine.toml"));
    write_config(&dir, "adbc = \"mine\"\ndriver = \"mine-1.3\"\nquery = \"select 1 as id\"");
    let mut command = drivers.command(&dir, &["sync", "sync.toml"]);
    let done =
        crate::support::finish(command.env("ADBC_DRIVER_PATH", dir.path().join("own")).spawn().unwrap(), Vec::new());
    assert_eq!((done.code, traits(&dir).len()), (0, 1), "{}", done.err);
}
