//! The playground in a real Chromium (`tests/playground`), and its API without a browser.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};

use crate::support::Dir;
use crate::support::web_server::{Reply, Web};

#[test]
fn chromium_opens_edits_sees_errors_saves_and_adds_cases() {
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    if !Path::new(&chromium).exists() {
        let missing = format!("there is no {chromium}; install Debian's package chromium, or name one in CHROMIUM");
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        // Written directly, because the test harness hides the output of passing tests.
        let _ = writeln!(std::io::stderr(), "\nSKIPPED: the playground was not tried in a browser: {missing}\n");
        return;
    }
    let output = Command::new("tests/playground/run.sh").arg(env!("CARGO_BIN_EXE_sluicegate")).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    assert!(text.matches("\nok ").count() >= 15, "{text}");
}

/// A playground that ends when this is dropped.
struct Play {
    child: Child,
    /// `127.0.0.1:PORT`
    host: String,
    token: String,
}

impl Play {
    fn start(dir: &Dir, args: &[&str]) -> Self {
        let mut child = dir.command(&[&["play"], args].concat()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (host, token) = line.trim().strip_prefix("http://").and_then(|rest| rest.split_once("/#")).expect(&line);
        Self { host: host.to_owned(), token: token.to_owned(), child }
    }

    /// Status and body of a request to the API.
    fn ask(&self, request: &str, body: &str) -> (u16, String) {
        let head = format!("{request} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.host);
        let own = format!("x-sluicegate-token: {}\r\ncontent-type: application/json\r\n", self.token);
        self.send(&format!("{head}{own}content-length: {}\r\n\r\n{body}", body.len()))
    }

    fn send(&self, text: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn code_that_ends_its_worker_ends_nothing_else() {
    let dir = Dir::with("export function transformEvent(event) { return event; }");
    let play = Play::start(&dir, &["--cpu-limit", "1s", "--heap-limit", "16MiB"]);
    let attempt = |code: &str| {
        let texts = serde_json::json!({ "t.js": code });
        let body = serde_json::json!({ "file": "t.js", "texts": texts, "events": "{\"hostile\":1.0}" });
        let (status, answer) = play.ask("POST /api/try", &body.to_string());
        assert_eq!(status, 200, "{answer}");
        answer
    };
    for (file, kind) in [
        // Only killing the worker process stops this code.
        ("loop-bigint-tostring.js", "failed"),
        ("memory-repeat-many.js", "failed"),
        ("loop-for.js", "timeout"),
        ("memory-array.js", "memory"),
        ("load-loop.js", "did not finish loading"),
    ] {
        let answer = attempt(&std::fs::read_to_string(Path::new("tests/hostile").join(file)).unwrap());
        assert!(answer.contains(kind), "{file}: {answer}");
        let calm = attempt("export function transformEvent(event) { return event; }");
        assert!(calm.contains(r#""events":[{"hostile":1.0}]"#), "{file}: {calm}");
    }
}

#[test]
fn typescript_that_no_parser_gets_through_is_an_error_like_any_other() {
    let dir = Dir::new();
    let deep = format!("export const f = (e: string) => {}1{};", "(".repeat(200_000), ")".repeat(200_000));
    dir.file("lib/deep.ts", &deep);
    dir.file("t.ts", "export function transformEvent(e: object): object { return e; }");
    let play = Play::start(&dir, &[]);
    let attempt = |code: &str| {
        let body = serde_json::json!({ "file": "t.ts", "texts": { "t.ts": code }, "events": "{}" });
        play.ask("POST /api/try", &body.to_string()).1
    };
    assert!(attempt(&deep).contains("nested too deep"));
    assert!(attempt("export const transformEvent = (e: object): object => e;").contains(r#""verdict":"ok""#));
    // The limit also applies to a library on disk.
    dir.file("sluicegate.toml", "[libraries]\ndirs = [\"lib\"]\n");
    assert!(attempt("export const transformEvent = (e: object): object => e;").contains("nested too deep"));
    assert_eq!(play.ask("GET /api/project", "").0, 200);
}

#[test]
fn lineage_and_tests_are_those_of_the_commands() {
    let dir = Dir::with("export function transformEvent({ a, b }) { return a > 1 ? { sum: a + b } : null; }");
    dir.file("t.test.js", "test('adds', () => { expect(transform({ a: 2, b: 3 })).toEmit({ sum: 6 }); });");
    let play = Play::start(&dir, &[]);
    let json = |(status, text): (u16, String)| {
        assert_eq!(status, 200, "{text}");
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    let events = "{\"a\":2,\"b\":3,\"c\":4}\n{\"a\":7,\"b\":1}";
    let body = serde_json::json!({ "file": "t.js", "texts": {}, "events": events });
    let lineage = json(play.ask("POST /api/lineage", &body.to_string()));
    let edges: Vec<String> =
        lineage["edges"].as_array().unwrap().iter().map(|edge| format!("{} {}", edge["from"], edge["to"])).collect();
    assert_eq!(edges, ["\"a\" \"sum\"", "\"b\" \"sum\""]);
    assert_ne!(lineage["decides"]["a"]["drop"], 0);
    assert_eq!((&lineage["neverRead"], &lineage["events"]["all"]), (&serde_json::json!(["c"]), &2.into()));
    for (events, says) in [("5", "about the fields of objects"), ("{", "not JSON")] {
        let body = serde_json::json!({ "file": "t.js", "texts": {}, "events": events });
        let refused = json(play.ask("POST /api/lineage", &body.to_string()));
        assert!(refused["problem"]["message"].as_str().unwrap().contains(says), "{refused}");
    }
    let tests = json(play.ask("POST /api/test", ""));
    let test = &tests["files"][0]["tests"][0];
    assert_eq!(
        (&tests["failed"], &test["status"], &test["position"]["file"]),
        (&1.into(), &"failed".into(), &"t.test.js".into())
    );
}

#[test]
fn a_browser_is_told_the_address_in_a_file_of_ones_own() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::with("export const transformEvent = (event) => event;");
    let opener = dir
        .file("bin/xdg-open", "#!/bin/sh\nls -l \"$1\" > opened.new; cat \"$1\" >> opened.new; mv opened.new opened\n");
    std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", dir.path().join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = dir.command(&["play", "--open"]);
    let mut child = command.env("PATH", path).env("XDG_RUNTIME_DIR", dir.path()).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    while !dir.path().join("opened").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it goes on");
        std::thread::yield_now();
    }
    let opened = dir.read("opened");
    assert!(opened.starts_with("-rw-------") && opened.contains(&format!("url={}\"", address.trim())), "{opened}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_request_that_is_no_request_gets_a_4xx() {
    let dir = Dir::with("export function transformEvent(event) { return event; }");
    let play = Play::start(&dir, &[]);
    let host = &play.host;
    for (text, status) in [
        (format!("GET /api/project HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"), 401),
        ("GET /api/project HTTP/1.0\r\nHost: evil.example\r\n\r\n".to_owned(), 403),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), 403),
        (format!("GET /nothing HTTP/1.0\r\nHost: {host}\r\n\r\n"), 404),
        (format!("POST / HTTP/1.0\r\nHost: {host}\r\n\r\n"), 405),
        ("nonsense\r\n\r\n".to_owned(), 400),
    ] {
        assert_eq!(play.send(&text).0, status, "{text}");
    }
    for (request, body, status) in [
        ("POST /api/try", "{}", 400),
        ("POST /api/try", "[", 400),
        ("POST /api/case", r#"{"file":"new.js","events":"{}","name":"x"}"#, 400),
        ("POST /api/case", r#"{"file":"../t.js","events":"{}","name":"x"}"#, 400),
        ("POST /api/case", r#"{"file":"t.js","events":"oops","name":"x"}"#, 422),
        ("GET /api/file", "", 400),
        ("GET /api/file?path=sluicegate.toml", "", 400),
        ("GET /api/file?path=missing.js", "", 400),
        ("PUT /api/file?path=t.js", r#"{"text":"x","base":null}"#, 409),
        ("PUT /api/file?path=../x.js", r#"{"text":"x","base":null}"#, 400),
        ("PUT /api/file?path=x.sh", r#"{"text":"x","base":null}"#, 400),
        ("DELETE /api/file?path=t.js", "", 405),
    ] {
        let (got, answer) = play.ask(request, body);
        assert_eq!(got, status, "{request} {body}: {answer}");
    }
    assert_eq!(play.ask("GET /api/project", "").0, 200);
}

#[test]
fn what_cannot_be_served_says_so() {
    let dir = Dir::new();
    dir.file("broken/sluicegate.toml", "[limit]\ncpu = 1\n");
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (args, says) in [
        (vec!["play", "nowhere"], "there is no folder nowhere"),
        (vec!["play", "broken"], "broken/sluicegate.toml"),
        (vec!["play", "--port", &port], "cannot listen on 127.0.0.1:"),
        (vec!["play", "-L", "nowhere"], "cannot read the library folder nowhere"),
    ] {
        let done = dir.run(&args, "");
        assert!(done.code == 2 && done.err.contains(says) && done.text().is_empty(), "{args:?}: {}", done.err);
    }
}

#[test]
fn code_asks_whom_the_flags_the_environment_or_the_folder_allow() {
    let web = Web::start(|asked| Reply::json(&format!("{{\"asked\":\"{}\"}}", asked.path)));
    let code = format!(
        "export async function transformEvent(event) {{\n  const answer = await fetchV2('{}');\n  {}\n  return answer.body;\n}}",
        web.url("/u1"),
        "if (event.oops) throw new Error(answer.body.asked);"
    );
    let dir = Dir::with(&code);
    let host = format!("127.0.0.1:{}", web.port());
    let attempt = |play: &Play, event: &str| {
        let body = serde_json::json!({ "file": "t.js", "events": event });
        let (status, answer) = play.ask("POST /api/try", &body.to_string());
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str::<serde_json::Value>(&answer).unwrap()
    };
    // The network is off unless it is allowed.
    let play = Play::start(&dir, &[]);
    let closed = attempt(&play, "{}");
    assert_eq!((&closed["network"], web.requests().len()), (&serde_json::Value::Null, 0), "{closed}");
    assert_eq!(closed["answer"]["verdicts"][0]["verdict"], "failed");
    // The config file and its allowed hosts are read again.
    dir.file("sluicegate.toml", format!("[network]\nallow = [\"{host}\"]\n"));
    let open = attempt(&play, "{}");
    assert_eq!(open["answer"]["verdicts"][0]["events"], serde_json::json!([{ "asked": "/u1" }]), "{open}");
    assert_eq!(open["network"], host);
    dir.file("sluicegate.toml", "");
    assert_eq!(attempt(&play, "{}")["answer"]["verdicts"][0]["verdict"], "failed");
    drop(play);
    assert_eq!(web.requests().len(), 1);

    let play = Play::start(&dir, &["--allow-net", &host]);
    for n in 2..5 {
        assert_eq!(attempt(&play, "{}")["answer"]["verdicts"][0]["verdict"], "ok");
        assert_eq!(web.requests().len(), n, "each trial asks once, by the worker that stays");
    }
    let failed = attempt(&play, "{\"oops\":1}");
    let verdict = &failed["answer"]["verdicts"][0];
    assert_eq!((&verdict["kind"], &verdict["line"]), (&"exception".into(), &3.into()), "{failed}");
    assert_eq!(verdict["message"], "/u1");
}

#[test]
fn answers_after_the_end_of_a_preview_are_dropped() {
    let web = Web::start(|asked| Reply::json(&format!("\"{}\"", asked.path)));
    let dir = Dir::with("");
    let play = Play::start(&dir, &["--allow-net", &format!("127.0.0.1:{}", web.port())]);
    let url = web.url("");
    for n in 0..20 {
        // The code does not wait for the first request, which is answered at any time.
        let code = format!(
            "export async function transformEvent() {{ fetchV2('{url}/left{n}'); return {{ got: (await fetchV2('{url}/{n}')).body }}; }}"
        );
        let body = serde_json::json!({ "file": "t.js", "texts": { "t.js": code }, "events": "{}" });
        let (_, answer) = play.ask("POST /api/try", &body.to_string());
        assert!(answer.contains(&format!("{{\"got\":\"/{n}\"}}")), "{n}: {answer}");
    }
}
