//! `examples/reverse-etl`: the whole path of a row, with real dbt, DuckDB and Postgres; and the effect on a sync of
//! faults of the stand-in for Customer.io.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{Dir, Done};

const EXAMPLE: &str = "examples/reverse-etl";

/// A copy of the example and of the transformation that it uses, without files of an earlier run.
fn copy() -> Dir {
    let dir = Dir::new();
    copy_folder(Path::new(EXAMPLE), &dir.path().join(EXAMPLE));
    copy_folder(Path::new("examples/warehouse-actions"), &dir.path().join("examples/warehouse-actions"));
    dir
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (name, to) = (entry.file_name(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            if name != ".work" && name != "__pycache__" {
                copy_folder(&entry.path(), &to);
            }
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Returns whether a test is skipped because a program is missing. CI must have all programs.
fn is_skipped(what: &str, missing: Option<String>) -> bool {
    let Some(missing) = missing else { return false };
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    // Written directly, because the test harness hides the output of passing tests.
    let _ = writeln!(std::io::stderr(), "\nSKIPPED: {what}: {missing}\n");
    true
}

fn missing_commands(commands: &[&str]) -> Option<String> {
    let missing = commands.iter().find(|command| {
        let mut which = Command::new("sh");
        !which
            .args(["-c", "command -v \"$0\" || ls /usr/lib/postgresql/*/bin/\"$0\""])
            .arg(command)
            .output()
            .unwrap()
            .status
            .success()
    })?;
    Some(format!("there is no {missing}"))
}

/// The folder in which dbt is installed. It is kept between runs.
fn dbt_venvs() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("dbt")
}

/// Runs the whole example and returns its folder and its output.
fn story(warehouse: &str) -> Option<(Dir, String)> {
    let dir = copy();
    let output = Command::new(dir.path().join(EXAMPLE).join("run"))
        .arg(warehouse)
        .env("SLUICEGATE_BIN", env!("CARGO_BIN_EXE_sluicegate"))
        .env("DBT_VENVS", dbt_venvs())
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let text = said(&output);
    let no_registry =
        text.contains("No matching distribution") || text.contains("Failed to establish a new connection");
    if is_skipped("the example of reverse ETL", no_registry.then(|| format!("dbt can't be installed:\n{text}"))) {
        return None;
    }
    assert!(output.status.success(), "{text}");
    Some((dir, text))
}

fn assert_story(text: &str) {
    let steps = [
        "day1: dbt build",
        "dbt's own comparison: 12 rows in customer_io_updates",
        "12 read = 0 unchanged + 12 new + 0 changed + 0 invalid · ",
        "12 to send = 12 sent + 0 dropped + 0 failed + 0 pending",
        "customerio received 12 items: the expected ones, to the byte",
        "salesforce received 2 items: the expected ones, to the byte",
        "gives the same 12 users",
        "day2: dbt build",
        "dbt's own comparison: 8 rows in customer_io_updates",
        "12 read = 4 unchanged + 1 new + 7 changed + 0 invalid · ",
        "8 to send = 7 sent + 1 dropped + 0 failed + 0 pending",
        "customerio received 7 items: the expected ones, to the byte",
        "salesforce received 2 items: the expected ones, to the byte",
        "gives the same 7 users",
        "dbt's own comparison: 0 rows in customer_io_updates",
        "12 read = 12 unchanged + 0 new + 0 changed + 0 invalid · ",
        "0 to send = 0 sent + 0 dropped + 0 failed + 0 pending",
        "customerio received 0 items",
        "salesforce received 0 items",
        "no request was made",
        r#"{"change":"gone","users":1}"#,
        "the expected forms, to the byte",
    ];
    let mut rest = text;
    for step in steps {
        let (_, after) = rest.split_once(step).unwrap_or_else(|| panic!("no \"{step}\" where it belongs in\n{text}"));
        rest = after;
    }
}

#[test]
fn two_days_on_duckdb_arrive_to_the_byte() {
    if is_skipped("the example of reverse ETL", missing_commands(&["python3"])) {
        return;
    }
    if let Some((dir, text)) = story("duckdb") {
        assert_story(&text);
        a_warehouse_that_dbt_writes_is_left_alone(&dir);
        its_driver_gives_the_same_rows(&dir);
    }
}

/// The rows from ADBC equal those from the command: the state knows all of them. The driver is from dbt's environment.
fn its_driver_gives_the_same_rows(dir: &Dir) {
    let example = dir.path().join(EXAMPLE);
    let config = std::fs::read_to_string(example.join("sync.toml")).unwrap();
    let query = "select * from customer_io_demo order by user_id";
    let command = format!("command = [\"python3\", \"rows.py\", \".work/warehouse.duckdb\", \"{query}\"]");
    let adbc = format!("adbc = \"duckdb\"\noptions = {{ path = \".work/warehouse.duckdb\" }}\nquery = \"{query}\"");
    let changed = config.replace(&command, &adbc);
    assert_ne!(changed, config);
    std::fs::write(example.join("sync-adbc.toml"), changed).unwrap();
    let mut command = dir.command(&["sync", "sync-adbc.toml", "--keep-settled"]);
    command.current_dir(&example).env("VIRTUAL_ENV", dbt_venvs().join("duckdb")).stdin(Stdio::null());
    command.env("CUSTOMERIO_URL", "http://127.0.0.1:1").env("SALESFORCE_URL", "http://127.0.0.1:1");
    command.env("CUSTOMERIO_AUTH", "site:key").env("SALESFORCE_TOKEN", "token");
    let done: Done = command.output().unwrap().into();
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.err.contains("12 read = 12 unchanged"), "{}", done.err);
}

/// Keeps a DuckDB file open for writing until its standard input ends.
const HOLDS_IT: &str = "import duckdb, sys
warehouse = duckdb.connect('.work/warehouse.duckdb')
print('open', flush=True)
sys.stdin.read()";

/// A DuckDB file that is open for writing can't be read: the sync reports that, and sends and deletes nothing.
fn a_warehouse_that_dbt_writes_is_left_alone(dir: &Dir) {
    let (example, venv) = (dir.path().join(EXAMPLE), dbt_venvs().join("duckdb/bin"));
    let mut writer = Command::new(venv.join("python3"))
        .args(["-c", HOLDS_IT])
        .current_dir(&example)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut open = String::new();
    BufReader::new(writer.stdout.take().unwrap()).read_line(&mut open).unwrap();
    assert_eq!(open, "open\n");
    let path = format!("{}:{}", venv.display(), std::env::var("PATH").unwrap());
    let sync = || -> Done {
        let mut command = dir.command(&["sync", "sync.toml", "--keep-settled"]);
        command.current_dir(&example).env("PATH", &path).stdin(Stdio::null());
        // Nothing listens there.
        command.env("CUSTOMERIO_URL", "http://127.0.0.1:1").env("SALESFORCE_URL", "http://127.0.0.1:1");
        command.env("CUSTOMERIO_AUTH", "site:key").env("SALESFORCE_TOKEN", "token");
        command.output().unwrap().into()
    };
    let held = sync();
    assert_eq!(held.code, 2, "{}", held.err);
    assert!(held.err.contains("Could not set lock on file"), "{}", held.err);
    drop(writer.stdin.take());
    writer.wait().unwrap();
    let free = sync();
    assert_eq!(free.code, 0, "{}", free.err);
    assert!(free.err.contains("12 read = 12 unchanged"), "{}", free.err);
}

#[test]
fn two_days_on_postgres_arrive_to_the_byte() {
    if is_skipped("the example of reverse ETL on Postgres", missing_commands(&["python3", "psql", "initdb"])) {
        return;
    }
    if let Some((_, text)) = story("postgres") {
        assert_story(&text);
    }
}

#[test]
fn the_expected_files_are_what_the_seeds_give() {
    if is_skipped("what the example expects", missing_commands(&["python3"])) {
        return;
    }
    let dir = copy();
    let output = Command::new("python3").arg(dir.path().join(EXAMPLE).join("make-expected.py")).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    for file in std::fs::read_dir(format!("{EXAMPLE}/expected")).unwrap() {
        let name = format!("{EXAMPLE}/expected/{}", file.unwrap().file_name().to_str().unwrap());
        assert_eq!(dir.read(&name), std::fs::read_to_string(&name).unwrap(), "{name}");
    }
}

#[test]
fn sqlites_types_have_the_forms_that_the_page_says() {
    if is_skipped("SQLite's types", missing_commands(&["sqlite3"])) {
        return;
    }
    let query = std::fs::read_to_string(format!("{EXAMPLE}/types-sqlite.sql")).unwrap();
    let output = Command::new("sqlite3").args(["-bail", ":memory:", &query]).output().unwrap();
    let expected = std::fs::read_to_string(format!("{EXAMPLE}/expected/types-sqlite.jsonl")).unwrap();
    assert_eq!(said(&output), expected);
}

/// The page shows the form of each type. The example's script compares the same forms with the real databases.
#[test]
fn the_page_of_warehouses_has_every_form() {
    let page = std::fs::read_to_string("docs/warehouses.md").unwrap();
    for (name, chapter) in [("duckdb", "## DuckDB"), ("postgres", "## Postgres"), ("sqlite", "## SQLite")] {
        let (_, chapter) = page.split_once(chapter).unwrap();
        let chapter = chapter.split("\n## ").next().unwrap();
        let types = std::fs::read_to_string(format!("{EXAMPLE}/expected/types-{name}.jsonl")).unwrap();
        let types: BTreeMap<String, Box<serde_json::value::RawValue>> = serde_json::from_str(&types).unwrap();
        assert!(types.len() > 8);
        for (kind, value) in types.into_iter().filter(|(_, value)| value.get() != "null") {
            let form = format!("`{}`", value.get());
            assert!(chapter.contains(&form), "{name}: {kind} is {form}");
        }
    }
}

#[test]
fn the_stand_ins_refuse_what_their_originals_refuse() {
    if is_skipped("the stand-ins", missing_commands(&["python3"])) {
        return;
    }
    let dir = copy();
    let standins = dir.path().join(EXAMPLE).join("standins");
    let output = Command::new("python3").args(["-m", "unittest", "discover", "-s"]).arg(standins).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

/// The stand-in of Customer.io, on its own port. Its process ends when this is dropped.
struct CustomerIo {
    child: Child,
    url: String,
}

impl CustomerIo {
    /// Starts the stand-in, which writes to the folder `customerio` of `dir`.
    fn start(dir: &Dir) -> Self {
        let mut child = Command::new("python3")
            .arg(format!("{EXAMPLE}/standins/customerio.py"))
            .args(["--auth", "site:key", "--folder"])
            .arg(dir.path().join("customerio"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { child, url: url.trim().to_owned() }
    }

    fn ask(&self, request: &str, body: &Value) -> Value {
        let (host, body) = (self.url.strip_prefix("http://").unwrap(), body.to_string());
        let mut stream = TcpStream::connect(host).unwrap();
        let length = body.len();
        write!(
            stream,
            "{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(body).unwrap()
    }

    fn set_faults(&self, faults: &Value) {
        self.ask("PUT /stand-in/faults", faults);
    }

    /// The ids of the people in the stand-in.
    fn people(&self) -> Vec<String> {
        let state = self.ask("GET /stand-in/state", &json!(null));
        let mut people: Vec<String> = state["people"].as_object().unwrap().keys().cloned().collect();
        people.sort();
        people
    }
}

impl Drop for CustomerIo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A field of each line of a file that the stand-in wrote.
fn field(dir: &Dir, file: &str, pointer: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.path().join("customerio").join(file)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap().pointer(pointer).unwrap().clone()).collect()
}

/// The effect of a fault on a sync of three people.
struct Case {
    name: &'static str,
    faults: Value,
    /// The exit code and a part of the output, while the fault is present.
    code: i32,
    says: &'static str,
    /// Whether an item may arrive twice, because the answer that acknowledged it was lost.
    twice: bool,
}

fn cases() -> Vec<Case> {
    let case = |name, faults, code, says, twice| Case { name, faults, code, says, twice };
    vec![
        case("none", json!([]), 0, "3 sent", false),
        case("busy once", json!([{ "fault": "busy", "retry_after": 1 }]), 0, "3 sent", false),
        case("broken once", json!([{ "fault": "broken", "status": 503 }]), 0, "3 sent", false),
        case("broken for long", json!([{ "fault": "broken", "times": 100 }]), 1, "3 pending", false),
        case("unauthorized", json!([{ "fault": "unauthorized", "times": 100 }]), 2, "401", false),
        case(
            "one is refused",
            json!([{ "fault": "reject", "id": "b", "times": 100 }]),
            1,
            "2 sent + 0 dropped + 1 failed",
            false,
        ),
        case("a wrong index", json!([{ "fault": "wrong_index" }]), -1, "", true),
        case("an error in 200", json!([{ "fault": "error_in_200" }]), -1, "", false),
        case("a slow answer", json!([{ "fault": "slow", "seconds": 60 }]), 0, "3 sent", true),
        case("no answer", json!([{ "fault": "hang_up" }]), 0, "3 sent", true),
    ]
}

const PEOPLE: &str = r#"
[source]
file = "rows.jsonl"
key = "id"
[event]
type = "identify"
[[sink]]
name = "customerio"
kind = "customerio"
url = "env:CUSTOMERIO_URL"
auth = "env:CUSTOMERIO_AUTH"
timeout = "2s"
retries = 2
backoff = "10ms"
"#;

fn sync(dir: &Dir, customerio: &CustomerIo) -> Done {
    let mut command = dir.command(&["sync", "people.toml"]);
    command.env("CUSTOMERIO_URL", &customerio.url).env("CUSTOMERIO_AUTH", "site:key").stdin(Stdio::null());
    command.output().unwrap().into()
}

#[test]
fn whatever_the_destination_does_in_the_end_it_has_every_row() {
    if is_skipped("the stand-in's faults", missing_commands(&["python3"])) {
        return;
    }
    for case in cases() {
        let dir = Dir::new();
        dir.file("rows.jsonl", "{\"id\":\"a\",\"n\":1}\n{\"id\":\"b\",\"n\":2}\n{\"id\":\"c\",\"n\":3}\n");
        dir.file("people.toml", PEOPLE);
        let customerio = CustomerIo::start(&dir);
        customerio.set_faults(&case.faults);
        let started = Instant::now();
        let first = sync(&dir, &customerio);
        let name = case.name;
        let at = |done: &Done| format!("{name}: exit code {}\n{}", done.code, done.err);
        if case.code >= 0 {
            assert_eq!(first.code, case.code, "{}", at(&first));
            assert!(first.err.contains(case.says), "{}", at(&first));
        }
        if name == "busy once" {
            assert!(started.elapsed() >= Duration::from_secs(1), "Retry-After says one second");
        }
        // Acknowledged items are not sent again; the others are not forgotten.
        let before = field(&dir, "received.jsonl", "/identifiers/id");
        customerio.set_faults(&json!([]));
        let second = sync(&dir, &customerio);
        assert_eq!(second.code, 0, "{}", at(&second));
        assert_eq!(customerio.people(), ["a", "b", "c"], "{}", at(&second));
        let received = field(&dir, "received.jsonl", "/identifiers/id");
        if !case.twice {
            assert_eq!(received.len(), 3, "{name}: {before:?}, then {received:?}");
        }
        // After that, nothing is sent.
        let requests = field(&dir, "requests.jsonl", "/status").len();
        let third = sync(&dir, &customerio);
        assert_eq!((third.code, field(&dir, "requests.jsonl", "/status").len()), (0, requests), "{}", at(&third));
        assert!(third.err.contains("3 read = 3 unchanged + 0 new + 0 changed + 0 invalid"), "{}", at(&third));
    }
}
