//! `serve --play`: the playground next to the server, and clients that it rejects.

use std::net::{IpAddr, TcpStream, UdpSocket};

use serde_json::{Value, json};

use super::client::{Answer, Server, answer, event, request};
use crate::support::Dir;

const CODE: &str = "export function transformEvent(event) { event.seen = true; return event; }";

fn server(args: &[&str]) -> (Server, String) {
    let files = [("orders-v1.js", CODE), ("price-tools.js", "export const half = (n) => n / 2;")];
    let mut server = Server::with(&files, &[&["--play"], args].concat());
    let address = server.printed();
    let page = format!("http://127.0.0.1:{}/play/#", server.address.port());
    let token = address.strip_prefix(&page).unwrap_or_else(|| panic!("{address}")).to_owned();
    (server, token)
}

fn ask(server: &Server, method: &str, path: &str, token: &str, host: &str, body: &Value) -> Answer {
    let mut stream = server.connect();
    send(&mut stream, method, path, &[("x-sluicegate-token", token)], host, body)
}

fn send(
    stream: &mut TcpStream,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    host: &str,
    body: &Value,
) -> Answer {
    use std::io::Write;
    let headers = [headers, &[("Content-Type", "application/json")]].concat();
    let text = request(method, path, &headers, body.to_string().as_bytes(), false);
    let text = String::from_utf8(text).unwrap().replace("Host: test", &format!("Host: {host}"));
    stream.write_all(text.as_bytes()).unwrap();
    answer(&mut std::io::BufReader::new(stream))
}

#[test]
fn it_shows_and_saves_the_code_that_requests_run() {
    let (server, token) = server(&[]);
    let host = server.address.to_string();
    let page = ask(&server, "GET", "/play/", "", &host, &json!(null));
    assert_eq!(page.status, 200);
    assert!(page.text().contains("<title>sluicegate play</title>"));
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    for (path, status) in
        [("/play/main.js", 200), ("/play", 308), ("/", 404), ("/main.js", 404), ("/play/nothing", 404)]
    {
        assert_eq!(ask(&server, "GET", path, "", &host, &json!(null)).status, status, "{path}");
    }
    let project = ask(&server, "GET", "/play/api/project", &token, &host, &json!(null)).json();
    assert_eq!(project["files"][0]["path"], "orders-v1.js");
    // Libraries are those of the folder itself, as for requests.
    assert_eq!(project["files"][1]["handle"], "priceTools");
    let code = "import { half } from 'priceTools';\nexport function transformEvent(e) { return { n: half(e.n) }; }";
    let draft = json!({ "file": "orders-v1.js", "texts": { "orders-v1.js": code }, "events": "{\"n\":4}" });
    let tried = ask(&server, "POST", "/play/api/try", &token, &host, &draft).json();
    assert_eq!(tried["answer"]["verdicts"][0]["events"], json!([{ "n": 2 }]), "{tried}");
    assert_eq!(tried["network"], json!(null));

    let rows = |n: i32| {
        let mut event = event("orders-v1", json!({ "n": n }), "m");
        event["libraries"] = json!([{ "VersionID": "price-tools" }]);
        server.rows(&json!([event]))[0]["output"].clone()
    };
    assert_eq!(rows(4), json!({ "n": 4, "seen": true }), "a draft changes nothing for the server");
    let file = ask(&server, "GET", "/play/api/file?path=orders-v1.js", &token, &host, &json!(null)).json();
    let saved = json!({ "text": code, "base": file["version"] });
    assert_eq!(ask(&server, "PUT", "/play/api/file?path=orders-v1.js", &token, &host, &saved).status, 200);
    // The folder is watched: the server notices a change with a delay.
    while rows(4) != json!({ "n": 2 }) {
        std::thread::yield_now();
    }
}

#[test]
fn only_its_own_page_is_answered() {
    let (server, token) = server(&[]);
    let host = server.address.to_string();
    let status = |token: &str, host: &str| ask(&server, "GET", "/play/api/project", token, host, &json!(null)).status;
    assert_eq!(status(&token, &host), 200);
    assert_eq!(status(&token, "localhost"), 200);
    assert_eq!(status("", &host), 401);
    assert_eq!(status(&token.replace(|_| true, "0"), &host), 401);
    assert_eq!(status(&token, "evil.example"), 403);
    let mut stream = server.connect();
    let headers = [("x-sluicegate-token", token.as_str()), ("Origin", "http://evil.example")];
    assert_eq!(send(&mut stream, "GET", "/play/api/project", &headers, &host, &json!(null)).status, 403);
    for path in ["../secret.js", "/etc/passwd", "a/../../b.js", ".hidden.js", "sluicegate.toml"] {
        let path = format!("/play/api/file?path={path}");
        assert_eq!(ask(&server, "GET", &path, &token, &host, &json!(null)).status, 400, "{path}");
    }
    // The server's own endpoints need no token and accept any host name.
    assert_eq!(ask(&server, "GET", "/health", "", "sluicegate.internal", &json!(null)).status, 200);
}

/// An address of this machine that is not loopback; a connection to it looks like one from elsewhere.
fn outer_address() -> Option<IpAddr> {
    // Sends nothing: it only asks the system which address it would use.
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

#[test]
fn a_server_that_everybody_reaches_has_a_playground_for_this_machine_only() {
    let Some(outer) = outer_address() else {
        eprintln!("SKIPPED: this machine has no address beside loopback");
        return;
    };
    let (server, token) = server(&["--listen", "0.0.0.0:0"]);
    let port = server.address.port();
    let host = format!("127.0.0.1:{port}");
    let from = |ip: IpAddr, path: &str| {
        let mut stream = TcpStream::connect((ip, port)).unwrap();
        send(&mut stream, "GET", path, &[("x-sluicegate-token", &token)], &host, &json!(null))
    };
    assert_eq!(from("127.0.0.1".parse().unwrap(), "/play/api/project").status, 200);
    for path in ["/play", "/play/", "/play/main.js", "/play/api/project"] {
        let answer = from(outer, path);
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.problem(403).contains("this machine only"));
    }
    assert_eq!(from(outer, "/health").status, 200);
}

#[test]
fn without_the_flag_there_is_none() {
    let server = Server::with(&[("orders-v1.js", CODE)], &[]);
    for path in ["/play", "/play/", "/play/api/project"] {
        server.get(path).problem(404);
    }
}

#[test]
fn a_playground_that_cannot_be_reached_is_refused() {
    let dir = Dir::new();
    dir.file("code/t.js", CODE);
    let url = "http://127.0.0.1:1";
    for (args, says) in [
        (vec!["--play", "--backend-url", url], "--play needs --dir"),
        (
            vec!["--play", "--dir", "code", "--listen", "192.0.2.1:9090"],
            "this machine only, which cannot reach it under",
        ),
        (vec!["--play", "--dir", "code", "--listen", "127.0.0.9:9090"], "listen on 127.0.0.1, or on 0.0.0.0"),
        (vec!["--play", "--dir", "nowhere", "--listen", "127.0.0.1:0"], "nowhere"),
    ] {
        let done = dir.run(&[&["serve"], &args[..]].concat(), "");
        assert!(done.code == 2 && done.err.contains(says) && done.text().is_empty(), "{args:?}: {}", done.err);
    }
}

#[test]
fn the_token_is_not_among_the_messages() {
    let dir = Dir::new();
    dir.file("code/t.js", CODE);
    let args = ["serve", "--dir", "code", "--listen", "127.0.0.1:0", "--play", "--log-level", "debug"];
    let mut child = dir.command(&args).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    let (address, token) = line.trim().strip_prefix("http://").and_then(|rest| rest.split_once("/play/#")).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let headers = [("x-sluicegate-token", token)];
    assert_eq!(send(&mut stream, "GET", "/play/api/project", &headers, address, &json!(null)).status, 200);
    // SAFETY: sends a signal to a child that has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGTERM) }, 0);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("answered") && !said.contains(token), "{said}");
}
