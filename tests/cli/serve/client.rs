//! A server for each test, and a minimal HTTP client that can misbehave as a test needs.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Dir;

/// Long enough for a busy machine, short enough to end a test that hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running server.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    pub dir: Dir,
    messages: Option<JoinHandle<String>>,
}

/// An answer of the server.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Server {
    /// Starts a server with these files in its folder.
    pub fn with(files: &[(&str, &str)], args: &[&str]) -> Self {
        let dir = Dir::new();
        for (name, text) in files {
            dir.file(&format!("code/{name}"), text);
        }
        Self::start(dir, &[&["--dir", "code"], args].concat(), &[])
    }

    /// Starts a server with these arguments and variables.
    pub fn start(dir: Dir, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let all = [&["serve", "--listen", "127.0.0.1:0"], args].concat();
        let mut command = dir.command(&all);
        command.env_remove("CONFIG_BACKEND_URL").envs(variables.iter().copied());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("the server ended: {said}")).unwrap();
            if let Some((_, address)) = line.split_once("http://") {
                break address.trim_end_matches(['"', '}']).parse().unwrap();
            }
            said.push_str(&line);
        };
        // The server must not wait for a reader of its messages.
        let messages = std::thread::spawn(move || lines.map_while(Result::ok).map(|line| line + "\n").collect());
        Self { child, address, dir, messages: Some(messages) }
    }

    /// The next line of the server's standard output, to which it writes almost nothing.
    pub fn printed(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(&request(method, path, headers, body, false)).unwrap();
        answer(&mut BufReader::new(stream))
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, JSON, body.to_string().as_bytes())
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    /// The rows for these events, including those about dropped events.
    pub fn rows(&self, events: &Value) -> Vec<Value> {
        let headers = [JSON, &[("X-Feature-Filter-Code", "?1")]].concat();
        let answer = self.send("POST", "/customTransform", &headers, events.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("apiVersion"), Some("2"));
        answer.json().as_array().unwrap().clone()
    }

    /// The value of one metric.
    pub fn metric(&self, line: &str) -> f64 {
        let text = self.get("/metrics").text();
        let value = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_default()
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: sends a signal to a child that has not been waited for.
        assert_eq!(unsafe { libc::kill(self.pid(), signal) }, 0);
    }

    /// Ends the server; returns its standard error since it started to listen.
    pub fn said_until_the_end(mut self) -> String {
        self.signal(libc::SIGTERM);
        self.messages.take().unwrap().join().unwrap()
    }

    /// Waits until the server ends; returns its exit code, or -1 if a signal killed it.
    pub fn end(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];

pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8], keep: bool) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n", body.len());
    if !keep {
        text.push_str("Connection: close\r\n");
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}

/// Reads one answer with a length.
pub fn answer(from: &mut impl BufRead) -> Answer {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {line:?}")).parse().unwrap();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    let len = answer.header("content-length").map_or(0, |len| len.parse().unwrap());
    answer.body.resize(len, 0);
    from.read_exact(&mut answer.body).unwrap();
    answer
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let name = name.to_ascii_lowercase();
        self.headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Asserts that the answer is a problem with this status, and returns its message.
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("apiVersion"), Some("2"));
        self.json()["error"].as_str().unwrap_or_else(|| panic!("no error: {}", self.text())).to_owned()
    }
}

/// An event for this version of a transformation.
pub fn event(version: &str, message: Value, id: &str) -> Value {
    json!({
        "message": message,
        "metadata": { "messageId": id, "sourceId": "s", "destinationId": "d", "workspaceId": "w" },
        "destination": { "Transformations": [{ "VersionID": version }] },
        "libraries": [],
    })
}

/// `count` events `{"n": …}`.
pub fn events(version: &str, count: usize) -> Value {
    (0..count).map(|n| event(version, json!({ "n": n }), &format!("m{n}"))).collect()
}
