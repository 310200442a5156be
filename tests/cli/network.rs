//! `fetch`, `fetchV2` and `geolocation` against a real server on this machine: their results, the effect of failed
//! requests, and hosts that never get a request. The last part tests the operator's list: a table of hostile URLs and
//! redirects, whose target servers must not see a single connection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::support::live::Live;
use crate::support::web_server::{Reply, Web};
use crate::support::{Dir, Done};

/// Calls the function that the event names, with its arguments.
const CODE: &str = "const functions = { fetch, fetchV2, geolocation };
export async function transformEvent(event) {
  try {
    return { answer: await functions[event.call ?? 'fetchV2'](event.url, event.options) };
  } catch (error) {
    return { refused: `${error}`, real: error instanceof Error };
  }
}";

/// Runs events with these flags; returns the outputs as objects.
fn run(flags: &[&str], events: &[Value]) -> (Vec<Value>, Done) {
    let input: String = events.iter().map(|event| format!("{event}\n")).collect();
    let done = Dir::with(CODE).run(&[&["run", "t.js", "-j1"], flags].concat(), input);
    assert_eq!(done.code, 0, "{}", done.err);
    let out: Vec<Value> = done.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(out.len(), events.len(), "{}", done.err);
    (out, done)
}

fn allow(web: &Web) -> String {
    web.address.to_string()
}

#[test]
fn the_functions_give_what_the_contract_says() {
    let web = Web::start(|asked| {
        match asked.path.as_str() {
        "/json" => Reply::new(404, &[("X-One", "1"), ("x-one", "2")], "{\"a\":[1],\"__proto__\":2}"),
        "/text" => Reply::new(200, &[], "just text"),
        "/bom" => Reply::new(200, &[], "\u{feff}{\"a\":1}"),
        "/bytes" => Reply::new(200, &[], b"\xff\xfea"),
        "/empty" => Reply { head: "204 No Content\r\n".into(), body: Vec::new() },
        "/geo/geoip/8.8.8.8" => Reply::json("{\"country\":\"US\"}"),
        "/geo/geoip/2001:4860::8888" => Reply::new(503, &[], "down"),
        "/geo/geoip/1.1.1.1" => Reply::redirect(302, "/json"),
        "/geo/geoip/9.9.9.9" => Reply::new(200, &[], "no json"),
        path => Reply::json(&json!({ "method": asked.method, "path": path, "body": asked.body, "type": asked.header("content-type"), "x": asked.header("x-a"), "auth": asked.header("authorization") }).to_string()),
    }
    });
    let url = |path: &str| web.url(path);
    let geo = web.url("/geo/");
    let (out, _) = run(
        &["--allow-net", &allow(&web), "--geolocation-url", &geo, "--concurrency", "1"],
        &[
            json!({"call": "fetch", "url": url("/json")}),
            json!({"call": "fetch", "url": url("/text")}),
            json!({"call": "fetch", "url": "http://127.0.0.1:1/"}),
            json!({"url": url("/json")}),
            json!({"url": url("/text")}),
            json!({"url": url("/bom")}),
            json!({"url": url("/bytes")}),
            json!({"url": url("/empty")}),
            json!({"url": url("/echo?a=b#c"), "options": {"method": "post", "body": "x=1", "headers": {"X-A": "b", "Host": "evil"}}}),
            json!({"url": url("/echo"), "options": {"method": "PUT", "body": "{}", "headers": [["content-type", "application/json"]]}}),
            json!({"url": format!("http://us%40er:pw@{}/echo", web.address)}),
            json!({"call": "geolocation", "url": "8.8.8.8"}),
            json!({"call": "geolocation", "url": "2001:4860::8888"}),
            json!({"call": "geolocation", "url": "1.1.1.1"}),
            json!({"call": "geolocation", "url": "9.9.9.9"}),
            json!({"call": "geolocation", "url": ""}),
            json!({"call": "geolocation", "url": "999.1.1.1"}),
            json!({"call": "geolocation", "url": "08.1.1.1"}),
            json!({"call": "geolocation", "url": "8.8.8.8/../../json"}),
            json!({"call": "geolocation", "url": "fe80::1%2f.."}),
            json!({"call": "geolocation", "url": "::ffff:8.8.8"}),
            json!({"url": "gopher://x/"}),
            json!({}),
            json!({"url": "http://no.such.name.invalid/"}),
        ],
    );
    let mut out = out.into_iter();
    let mut next = || out.next().unwrap();
    assert_eq!(next(), serde_json::from_str::<Value>("{\"answer\":{\"a\":[1],\"__proto__\":2}}").unwrap());
    assert_eq!(next(), json!({"answer": "ERROR"}));
    assert_eq!(next(), json!({"answer": "ERROR"}));
    let whole = next();
    assert_eq!((&whole["answer"]["status"], &whole["answer"]["url"]), (&json!(404), &json!(url("/json"))));
    assert_eq!((&whole["answer"]["headers"]["x-one"], &whole["answer"]["body"]["a"]), (&json!("1, 2"), &json!([1])));
    assert_eq!(next()["answer"]["body"], "just text");
    assert_eq!(next()["answer"]["body"], json!({"a": 1}));
    assert_eq!(next()["answer"]["body"], "\u{fffd}\u{fffd}a");
    assert_eq!(next()["answer"], json!({"url": url("/empty"), "status": 204, "headers": {}, "body": ""}));
    let text = "text/plain;charset=UTF-8";
    assert_eq!(
        next()["answer"]["body"],
        json!({"method": "POST", "path": "/echo?a=b", "body": "x=1", "type": text, "x": "b", "auth": null})
    );
    assert_eq!(next()["answer"]["body"]["type"], "application/json");
    let login = next();
    assert_eq!(login["answer"]["body"]["auth"], "Basic dXNAZXI6cHc=");
    assert_eq!(login["answer"]["url"], url("/echo"));
    assert_eq!(next(), json!({"answer": {"country": "US"}}));
    for why in [
        "request to fetch geolocation failed with status code: 503",
        "request to fetch geolocation failed with status code: 302",
        "the answer of the geolocation service is not JSON",
        "ip address is required",
        "invalid ip address",
        "invalid ip address",
        "invalid ip address",
        "invalid ip address",
        "invalid ip address",
        "invalid protocol, only http and https are supported",
        "fetch url is required",
        "request to http://no.such.name.invalid/ failed, reason: no.such.name.invalid:80 is not among the hosts that --allow-net allows",
    ] {
        assert_eq!(next(), json!({"refused": format!("Error: {why}"), "real": true}));
    }
    assert!(web.requests().iter().all(|asked| asked.header("host") == Some(&allow(&web))));
    // Connections are kept: one for the code, one for the service. Redirects and broken connections cost one more each.
    assert!(web.connections() <= 4, "{} connections", web.connections());
}

/// `geolocation` accepts an address in any notation, and sends it to the service unchanged.
#[test]
fn addresses_are_located_in_every_notation() {
    let web = Web::start(|asked| Reply::json(&json!(asked.path).to_string()));
    let addresses = [
        "192.168.001.001",
        "01.02.03.04",
        "0x7f.1",
        "2130706433",
        "1.2.3",
        "255.255.255.255",
        "::ffff:127.0.0.1",
        "64:ff9b::1.2.3.4",
        "2001:0DB8:0000:0000:0000:0000:0000:0001",
        "fe80::1",
        "::",
    ];
    let events: Vec<Value> = addresses.iter().map(|ip| json!({"call": "geolocation", "url": ip})).collect();
    let (out, _) = run(&["--geolocation-url", &web.url("/")], &events);
    for (ip, one) in addresses.iter().zip(out) {
        assert_eq!(one["answer"], format!("/geoip/{ip}"));
    }
    let wrong = [
        "256.1.1.1",
        "1.2.3.256",
        "1.1.16777216",
        "4294967296",
        "1.2.3.4.5",
        "0x",
        "1..2",
        "1.2.3.",
        "1:2:3:4:5:6:7:8:9",
        "::1::",
        "::ffff:1.2.3.999",
        "g::1",
        " 1.1.1.1",
        "1.1.1.1 ",
        "[::1]",
        "..",
        "%",
        "fe80::1%",
        "localhost",
    ];
    let events: Vec<Value> = wrong.iter().map(|ip| json!({"call": "geolocation", "url": ip})).collect();
    let (out, _) = run(&["--geolocation-url", &web.url("/")], &events);
    for (ip, one) in wrong.iter().zip(out) {
        assert_eq!(one["refused"], "Error: invalid ip address", "{ip}");
    }
    assert_eq!(web.requests().len(), addresses.len());
}

#[test]
fn nothing_is_asked_unless_it_is_allowed() {
    let web = Web::start(|_| Reply::json("1"));
    let events = [json!({"url": web.url("/")}), json!({"call": "fetch", "url": web.url("/")})];
    let (out, _) = run(&[], &events);
    let why = format!(
        "Error: request to {} failed, reason: network access is off, --allow-net names the hosts that may be asked",
        web.url("/")
    );
    assert_eq!(out, [json!({"refused": why, "real": true}), json!({"answer": "ERROR"})]);
    let (out, _) = run(&["--allow-net", "localhost", "--strict-fetch"], &events);
    let why = "Error: blocked request to non-public address: 127.0.0.1";
    assert!(out.iter().all(|one| one["refused"] == why), "{out:?}");
    assert_eq!(web.connections(), 0);
    // A variable or a file can also allow hosts, and `localhost` is an ordinary name.
    let dir = Dir::with(CODE);
    dir.file("sluicegate.toml", format!("[network]\nallow = [\"localhost:{}\", \"api.example.com\"]\n", web.port()));
    let local = format!("{}\n", json!({"url": format!("http://LOCALHOST.:{}/", web.port())}));
    assert!(dir.run(&["run", "t.js"], &local).text().contains("\"status\":200"));
    let mut command = dir.command(&["run", "t.js"]);
    command.env("SLUICEGATE_ALLOW_NET", "nobody.example");
    let done = crate::support::finish(command.spawn().unwrap(), local.into_bytes());
    assert!(done.text().contains("is not among the hosts"), "{}", done.text());
}

/// A server that answers only after this many clients have sent requests.
fn crowd(size: usize) -> Web {
    let here = Arc::new((Mutex::new(0), Condvar::new()));
    Web::start(move |asked| {
        let mut count = here.0.lock().unwrap();
        *count += 1;
        here.1.notify_all();
        drop(here.1.wait_while(count, |count| *count < size).unwrap());
        Reply::json(&format!("\"{}\"", asked.path))
    })
}

#[test]
fn requests_of_one_event_and_of_one_batch_are_under_way_together() {
    let web = crowd(8);
    let dir = Dir::with(&format!(
        "export async function transformEvent(event) {{
          const all = await Promise.all(event.of.map((n) => fetch('{}' + n)));
          return {{ all }};
        }}",
        web.url("/")
    ));
    let done = dir.run(&["run", "t.js", "-j1", "--allow-net", &allow(&web)], "{\"of\":[1,2,3,4,5,6,7,8]}\n");
    assert_eq!(done.text(), "{\"all\":[\"/1\",\"/2\",\"/3\",\"/4\",\"/5\",\"/6\",\"/7\",\"/8\"]}\n", "{}", done.err);

    let web = crowd(3);
    dir.file(
        "t.js",
        format!(
            "export const transformBatch = (events) => Promise.all(events.map(async (event) => {{
              event.got = await fetch('{}' + event.n);
              return event;
            }}));",
            web.url("/")
        ),
    );
    let done = dir.run(&["run", "t.js", "-j1", "--allow-net", &allow(&web)], "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    assert_eq!(
        done.text(),
        "{\"n\":1,\"got\":\"/1\"}\n{\"n\":2,\"got\":\"/2\"}\n{\"n\":3,\"got\":\"/3\"}\n",
        "{}",
        done.err
    );
}

/// The first event times out while it waits. Its answers come after the third event's request, whose own answer comes
/// last.
#[test]
fn an_event_that_waits_too_long_fails_alone_and_late_answers_are_dropped() {
    let third = Arc::new((Mutex::new(false), Condvar::new()));
    let web = Web::start(move |asked| {
        let mut came = third.0.lock().unwrap();
        if asked.path == "/3" {
            *came = true;
            third.1.notify_all();
        } else {
            drop(third.1.wait_while(came, |came| !*came).unwrap());
        }
        Reply::json(&format!("\"{}\"", asked.path))
    });
    let dir = Dir::with(&format!(
        "export async function transformEvent(event) {{
          if (event.n === 2) return event;
          const [got] = await Promise.all([fetch('{0}' + event.n), event.n === 1 ? fetch('{0}1b') : 0]);
          return {{ n: event.n, got }};
        }}",
        web.url("/")
    ));
    let flags = ["run", "t.js", "-j1", "--concurrency", "1", "--wall-limit", "2s", "--allow-net", &allow(&web)];
    let done = dir.run(&flags, "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    assert_eq!(done.text(), "{\"n\":2}\n{\"n\":3,\"got\":\"/3\"}\n", "{}", done.err);
    let letters = done.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0]["kind"], &letters[0]["input_line"]), (&json!("timeout"), &json!(1)));
    assert_eq!(
        letters[0]["message"],
        "the event took more than 2s by the clock, with 2 requests to the network unanswered"
    );
    assert_eq!(done.summary(), "3 in = 2 ok + 0 dropped + 1 failed (1 timeout) · 2 events out");
}

/// Waiting takes no CPU time: an event may wait far longer than it may compute.
#[test]
fn waiting_does_not_count_as_computing() {
    let web = Web::start(|_| {
        std::thread::sleep(std::time::Duration::from_millis(400));
        Reply::json("1")
    });
    let (out, _) = run(&["--allow-net", &allow(&web), "--cpu-limit", "300ms"], &[json!({"url": web.url("/")})]);
    assert_eq!(out[0]["answer"]["body"], 1);
}

#[test]
fn a_worker_that_is_killed_while_it_waits_costs_nothing_but_a_second_request() {
    let times = Arc::new(AtomicUsize::new(0));
    let counted = times.clone();
    let killed = Arc::new((Mutex::new(false), Condvar::new()));
    let done = killed.clone();
    let web = Web::start(move |_| {
        if counted.fetch_add(1, Ordering::SeqCst) == 0 {
            drop(done.1.wait_while(done.0.lock().unwrap(), |done| !*done).unwrap());
        }
        Reply::json("\"there\"")
    });
    let dir = Dir::with(CODE);
    let input = format!("{{\"call\":\"fetch\",\"url\":\"{}\"}}\n{{\"call\":\"geolocation\"}}\n", web.url("/"));
    let mut live = Live::start(dir.command(&["run", "t.js", "-j1", "--allow-net", &allow(&web)]));
    live.write(&input);
    web.wait(1);
    for worker in live.workers() {
        kill_process(worker, Signal::KILL).unwrap();
    }
    web.wait(2);
    *killed.0.lock().unwrap() = true;
    killed.1.notify_all();
    let done = live.finish();
    assert_eq!(done.lines().first(), Some(&"{\"answer\":\"there\"}"), "{}", done.err);
    assert_eq!(done.lines().len(), 2);
    assert_eq!(times.load(Ordering::SeqCst), 2);
}

/// Requests that no event waits for are sent, and their answers reach the code that sent them.
#[test]
fn what_no_event_waits_for_is_asked_all_the_same() {
    let web = Web::start(|asked| Reply::json(&format!("\"{}\"", asked.path)));
    let dir = Dir::with(&format!(
        "let seen = [];
        export async function transformEvent(event) {{
          fetchV2('{0}' + event.n).then((answer) => seen.push(answer.body));
          while (event.n === 3 && seen.length < 3) await fetchV2('{0}more');
          return {{ seen: seen.toSorted() }};
        }}",
        web.url("/")
    ));
    let done = dir.run(&["run", "t.js", "-j1", "--allow-net", &allow(&web)], "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    assert_eq!(done.lines().last(), Some(&"{\"seen\":[\"/1\",\"/2\",\"/3\"]}"), "{}", done.err);
}

/// Two hundred requests are never answered, and no event waits for them. The next event's request is answered at once.
#[test]
fn what_an_event_leaves_behind_is_not_in_the_way_of_the_next_one() {
    let end = Arc::new((Mutex::new(false), Condvar::new()));
    let never = end.clone();
    let web = Web::start(move |asked| {
        if asked.path == "/never" {
            drop(never.1.wait_while(never.0.lock().unwrap(), |end| !*end).unwrap());
        }
        Reply::json("\"here\"")
    });
    let dir = Dir::with(&format!(
        "export async function transformEvent(event) {{
          if (event.leave) for (let i = 0; i < 200; i++) fetchV2('{0}never');
          if (event.wait) await fetchV2('{0}never');
          return {{ got: event.leave ? 0 : await fetch('{0}') }};
        }}",
        web.url("/")
    ));
    let input = "{\"leave\":1}\n{}\n{\"leave\":1}\n{\"leave\":1,\"wait\":1}\n{}\n";
    let done = dir.run(&["run", "t.js", "-j1", "--wall-limit", "3s", "--allow-net", &allow(&web)], input);
    let (left, got) = ("{\"got\":0}", "{\"got\":\"here\"}");
    assert_eq!(done.lines(), [left, got, left, got], "{}", done.err);
    assert_eq!(done.dead_letters().len(), 1);
    *end.0.lock().unwrap() = true;
    end.1.notify_all();
}

/// Sixteen answers of 3 MiB are sent to a worker that computes and does not read. The event of the other worker must
/// come out meanwhile: the supervisor writes to both, and must not wait for either.
#[test]
fn a_worker_that_does_not_read_its_answers_does_not_block_others() {
    let large = format!("\"{}\"", "x".repeat(3 << 20));
    let web = Web::start(move |_| Reply::json(&large));
    let dir = Dir::with(&format!(
        "export async function transformEvent(event) {{
          if (event.spin) {{
            for (let i = 0; i < 16; i++) fetchV2('{}');
            for (;;);
          }}
          return event;
        }}",
        web.url("/")
    ));
    let limits = ["--cpu-limit", "20s", "--wall-limit", "30s", "--unordered", "--line-buffered"];
    let allowed = allow(&web);
    let args = [&["run", "t.js", "-j2", "--allow-net", &allowed], &limits[..]].concat();
    let mut live = Live::start(dir.command(&args));
    live.write("{\"spin\":true}\n");
    web.wait(16);
    // This makes the pool start a second worker.
    live.write("{\"n\":1}\n");
    assert_eq!(live.line(), "{\"n\":1}");
    // The first event runs for long; the test does not wait for its end.
    live.signal(Signal::KILL);
    live.end();
}

#[test]
fn asking_without_end_has_an_end() {
    let web = Web::start(|_| Reply::json("1"));
    let dir = Dir::with(&format!(
        "export async function transformEvent(event) {{
          let refused = 0;
          let why;
          for (let i = 0; i < 300; i++) fetchV2('{0}' + i).catch((error) => {{ refused++; why = error.message; }});
          await fetchV2('{0}').catch(() => {{}});
          if (event.body) await fetchV2('{0}', {{ method: 'POST', body: 'x'.repeat(event.body) }});
          return {{ refused, why }};
        }}",
        web.url("/")
    ));
    let done = dir.run(&["run", "t.js", "-j1", "--allow-net", &allow(&web)], "{}\n{}\n");
    for line in done.lines() {
        let out: Value = serde_json::from_str(line).unwrap();
        assert_eq!(out["refused"], 44, "{out}");
        assert!(out["why"].as_str().unwrap().ends_with("one event may make 256 requests, and it has"), "{out}");
    }
    assert_eq!(done.lines().len(), 2, "{}", done.err);
}

#[test]
fn answers_that_are_too_large_too_long_or_not_http_are_errors() {
    let big = "x".repeat(5 << 20);
    let web = Web::start(move |asked| match asked.path.as_str() {
        "/big" => Reply::new(200, &[], &big),
        // Five kilobytes when compressed.
        "/bomb" => Reply::new(200, &[("Content-Encoding", "gzip")], bomb()),
        "/headers" => Reply::new(200, &[("X-Long", &"x".repeat(70 << 10))], ""),
        "/many" => Reply { head: format!("200 OK\r\n{}\r\n", "a: b\r\n".repeat(500)), body: Vec::new() },
        "/nonsense" => Reply { head: "nonsense".into(), body: Vec::new() },
        _ => Reply::json("1"),
    });
    let (out, _) = run(
        &["--allow-net", &allow(&web)],
        &["/big", "/bomb", "/headers", "/many", "/nonsense"].map(|path| json!({"url": web.url(path)})),
    );
    for (one, why) in out.iter().zip([
        "the answer is larger than 4 MiB",
        "the answer is larger than 4 MiB",
        "the headers of the answer are longer than 65536 bytes",
        "",
        "",
    ]) {
        assert!(one["refused"].as_str().is_some_and(|text| text.contains(why)), "{one} {why}");
    }
}

/// 5 MiB of zeros, compressed.
fn bomb() -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = std::process::Command::new("gzip")
        .arg("-c")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("gzip is on every machine");
    let mut stdin = encoder.stdin.take().unwrap();
    let feed = std::thread::spawn(move || stdin.write_all(&vec![0; 5 << 20]));
    let packed = encoder.wait_with_output().unwrap().stdout;
    feed.join().unwrap().unwrap();
    packed
}

#[test]
fn redirects_change_what_is_sent_as_browsers_do() {
    let other = Web::start(|asked| {
        Reply::json(&json!({"method": asked.method, "body": asked.body, "auth": asked.header("authorization"), "cookie": asked.header("cookie"), "x": asked.header("x-key"), "type": asked.header("content-type")}).to_string())
    });
    let to = other.url("/end");
    let web = Web::start(move |asked| match asked.path.split_once("/to/") {
        Some((status, "here")) => Reply::redirect(status[1..].parse().unwrap(), "/end"),
        Some((status, _)) => Reply::redirect(status[1..].parse().unwrap(), &to),
        None if asked.path == "/loop" => Reply::redirect(302, "/loop"),
        None => Reply::json(
            &json!({"method": asked.method, "body": asked.body, "auth": asked.header("authorization")}).to_string(),
        ),
    });
    let options = |method: &str| json!({"method": method, "body": "b", "headers": {"Authorization": "Bearer t", "Cookie": "c=1", "X-Key": "k"}});
    let (out, _) = run(
        &["--allow-net", &format!("{},{}", web.address, other.address)],
        &[
            json!({"url": web.url("/307/to/here"), "options": options("POST")}),
            json!({"url": web.url("/302/to/here"), "options": options("POST")}),
            json!({"url": web.url("/303/to/there"), "options": options("PUT")}),
            json!({"url": web.url("/308/to/there"), "options": options("PUT")}),
            json!({"url": web.url("/302/to/here"), "options": {"redirect": "manual"}}),
            json!({"url": web.url("/302/to/here"), "options": {"redirect": "error"}}),
            json!({"url": web.url("/302/to/here"), "options": {"follow": 0}}),
            json!({"url": web.url("/loop")}),
        ],
    );
    assert_eq!(out[0]["answer"]["body"], json!({"method": "POST", "body": "b", "auth": "Bearer t"}));
    assert_eq!(out[1]["answer"]["body"], json!({"method": "GET", "body": "", "auth": "Bearer t"}));
    assert_eq!(
        out[2]["answer"]["body"],
        json!({"method": "GET", "body": "", "auth": null, "cookie": null, "x": "k", "type": null})
    );
    assert_eq!(out[2]["answer"]["url"], other.url("/end"));
    assert_eq!(out[3]["answer"]["body"]["method"], "PUT");
    assert_eq!(out[3]["answer"]["body"]["auth"], Value::Null);
    assert_eq!((&out[4]["answer"]["status"], &out[4]["answer"]["headers"]["location"]), (&json!(302), &json!("/end")));
    for (one, why) in out[5..].iter().zip(["`redirect` is \"error\"", "more than 0 times", "more than 10 times"]) {
        assert!(one["refused"].as_str().unwrap().contains(why), "{one}");
    }
}

/// URLs that must never get a request: this machine, in all notations. `PORT` is the canary's.
const HOSTILE: &[&str] = &[
    "http://127.0.0.1:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://2130706433:PORT/",
    "http://0x7f000001:PORT/",
    "http://0x7f.1:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://017700000001:PORT/",
    "http://0x7f.0x0.0x0.0x1:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://127.0.0.01:PORT/",
    "http://127.0.0.1..:PORT/",
    "http://2130706433..:PORT/",
    "http://0x7f.1...:PORT/",
    "http://localhost..:PORT/",
    "http://127.2.3.4:PORT/",
    "http://0.0.0.0:PORT/",
    "http://0:PORT/",
    "http://0x0:PORT/",
    "http://[::1]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[::]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "http://[::ffff:0:127.0.0.1]:PORT/",
    "http://[64:ff9b::127.0.0.1]:PORT/",
    "http://[2002:7f00:1::]:PORT/",
    "http://localhost:PORT/",
    "http://LOCALHOST:PORT/",
    "http://localhost.:PORT/",
    "http://LocalHost:PORT/\u{0}",
    "http://l\u{24de}calhost:PORT/",
    "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1:PORT/",
    "http://127\u{3002}0\u{3002}0\u{3002}1:PORT/",
    "http://%31%32%37.0.0.1:PORT/",
    "http://%6cocalhost:PORT/",
    "http://allowed.example@127.0.0.1:PORT/",
    "http://allowed.example:80@127.0.0.1:PORT/",
    "http://allowed.example%40@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT\\@allowed.example/",
    "http://127.0.0.1:PORT#@allowed.example/",
    "http:127.0.0.1:PORT/",
    "http:///127.0.0.1:PORT/",
    "http:\\\\127.0.0.1:PORT\\",
    " http://127.0.0.1:PORT/ ",
    "ht\ntp://127.0.0.1:PORT/",
    "HTTP://127.0.0.1:PORT/",
    "https://127.0.0.1:PORT/",
    "http://127.0.0.1%00.allowed.example:PORT/",
    "http://[fe80::1%25lo]:PORT/",
    "http://[::1%25lo]:PORT/",
    "//127.0.0.1:PORT/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:a9fe:a9fe]/latest/meta-data/",
    "http://0xa9fea9fe/",
    "http://2852039166/",
    "http://[fd00:ec2::254]/",
    "http://100.100.100.200/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "file:///etc/passwd",
    "ftp://127.0.0.1:PORT/",
    "gopher://127.0.0.1:PORT/_x",
    "ws://127.0.0.1:PORT/",
    "data:text/plain,x",
    "javascript:1",
    "unix:/var/run/docker.sock",
    "http://",
    "",
];

#[test]
fn hostile_urls_and_redirects_to_them_are_refused_without_a_connection() {
    let canary = Web::start(|_| Reply::json("\"leaked\""));
    let port = canary.port();
    // The same port on the IPv6 loopback address, if the machine has one.
    let sixth = Web::start_at(&format!("[::1]:{port}"), |_| Reply::json("\"leaked\"")).ok();
    let hostile: Vec<String> = HOSTILE.iter().map(|url| url.replace("PORT", &port.to_string())).collect();
    let targets = hostile.clone();
    // A real, allowed server that redirects: directly, after another redirect, by a relative path, with every status.
    let redirector = Web::start(move |asked| {
        let (hops, number) = asked.path[1..].split_once('/').unwrap();
        let number: usize = number.parse().unwrap();
        let status = [301, 302, 303, 307, 308][number % 5];
        match hops {
            "0" => Reply::redirect(status, targets[number].replace(['\n', '\u{0}'], "").trim()),
            "1" => Reply::redirect(status, &format!("/0/{number}")),
            _ => Reply::redirect(status, &format!("./../1/{number}")),
        }
    });
    let mut events = Vec::new();
    for (number, url) in hostile.iter().enumerate() {
        events.push(json!({ "url": url }));
        if leads_away(url) {
            for hops in 0..3 {
                events.push(json!({ "url": redirector.url(&format!("/{hops}/{number}")) }));
            }
        }
    }
    assert!(events.len() >= 200, "{}", events.len());
    // The first list allows no other host that is used here, so the name decides. The second one allows every name, so
    // the address decides.
    for list in [format!("{},allowed.example", redirector.address), format!("*,{}", redirector.address)] {
        let (out, _) = run(&["--allow-net", &list], &events);
        for (event, one) in events.iter().zip(&out) {
            let why = one["refused"].as_str().unwrap_or_else(|| panic!("{event}: {one} with {list}"));
            let refused = [
                "its host is not one",
                "is not among the hosts",
                "has a private address",
                "invalid protocol",
                "blocked request to non-public address: ",
                "is not a valid URL",
                "not a URL",
                "no header has",
            ];
            assert!(refused.iter().any(|word| why.contains(word)), "{event}: {why}");
        }
    }
    assert_eq!(canary.connections(), 0);
    assert_eq!(sixth.map_or(0, |sixth| sixth.connections()), 0);
    assert!(redirector.requests().len() > 200, "{}", redirector.requests().len());
}

/// Whether a redirect to this text leads away from the redirector.
fn leads_away(text: &str) -> bool {
    match text.trim_start().split_once(':') {
        // With the same scheme and without slashes, the text is a relative path.
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest.starts_with(['/', '\\']) && rest.len() > 2,
        Some(_) => true,
        None => false,
    }
}

#[test]
fn the_environment_names_no_proxy() {
    let (canary, web) = (Web::start(|_| Reply::json("\"proxy\"")), Web::start(|_| Reply::json("\"web\"")));
    let dir = Dir::with(CODE);
    let mut command = dir.command(&["run", "t.js", "--allow-net", &allow(&web)]);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(name, canary.url("/"));
    }
    let input = format!("{}\n", json!({"call": "fetch", "url": web.url("/")}));
    let done = crate::support::finish(command.spawn().unwrap(), input.into_bytes());
    assert_eq!(done.text(), "{\"answer\":\"web\"}\n", "{}", done.err);
    assert_eq!(canary.connections(), 0);
}

/// A server with TLS, trusted through `SSL_CERT_FILE`, that redirects to one without: only data that is not secret may
/// go there.
#[test]
fn what_was_sent_over_tls_does_not_go_on_without() {
    let plain = Web::start(|_| Reply::json("\"plain\""));
    let to = plain.url("/");
    let web = Web::start_tls(move |asked| match asked.path.as_str() {
        "/down" => Reply::redirect(307, &to),
        _ => Reply::json("\"tls\""),
    });
    let url = |path: &str| format!("https://localhost:{}{path}", web.port());
    let events = [
        json!({"url": url("/")}),
        json!({"url": url("/down")}),
        json!({"url": url("/down"), "options": {"headers": {"Authorization": "Bearer x"}}}),
        json!({"url": url("/down"), "options": {"headers": {"X-Key": "x"}}}),
        json!({"url": url("/down"), "options": {"method": "POST", "body": "x"}}),
        json!({"url": url("/down").replace("localhost", "me:pw@localhost")}),
    ];
    let input: String = events.iter().map(|event| format!("{event}\n")).collect();
    let dir = Dir::with(CODE);
    let ask = |certificates: &str| {
        let allowed = format!("localhost,{}", plain.address);
        let mut command = dir.command(&["run", "t.js", "-j1", "--allow-net", &allowed]);
        let certificates = std::fs::canonicalize("tests/fixtures").unwrap().join(certificates);
        command.env("SSL_CERT_FILE", certificates).env("SSL_CERT_DIR", "/nonexistent");
        let done = crate::support::finish(command.spawn().unwrap(), input.clone().into_bytes());
        done.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let out = ask("tls.crt");
    assert_eq!((&out[0]["answer"]["body"], &out[1]["answer"]["body"]), (&json!("tls"), &json!("plain")), "{out:?}");
    for one in &out[2..] {
        assert!(one["refused"].as_str().unwrap().contains("it redirects from https to http://127.0.0.1"), "{one}");
    }
    assert_eq!(plain.requests().len(), 1);
    // Without certificates no server is trusted, and the message says so.
    for one in ask("nothing") {
        assert!(one["refused"].as_str().unwrap().contains("no certificates"), "{one}");
    }
}

/// A credential may appear in a URL, plain or encoded, and in an answer of a server. It is masked in all texts for
/// people: in dead letters and in logs.
#[test]
fn credentials_are_masked_in_urls_too() {
    let web = Web::start(|_| Reply::redirect(302, "http://10.0.0.1/?key=top%20s3cret/ß"));
    let dir = Dir::with(
        "export async function transformEvent(event) {
          const key = getCredential('key');
          const url = event.url + (event.encoded ? encodeURIComponent(key) : key);
          log('asking', url);
          await fetchV2(url);
        }",
    );
    dir.file("c.json", "{\"key\": \"top s3cret/ß\"}");
    let events = [
        json!({"url": "http://nobody.example/?key="}),
        json!({"url": "http://nobody.example/?key=", "encoded": true}),
        json!({"url": "http://nobody.example/", "encoded": true}),
        json!({"url": web.url("/"), "encoded": true}),
        json!({"url": "http://me:", "encoded": true}),
    ];
    let input: String = events.iter().map(|event| format!("{event}\n")).collect();
    let args = [
        "run",
        "t.js",
        "--credentials",
        "c.json",
        "--logs",
        "log",
        "--allow-net",
        &allow(&web),
        "--emit",
        "verdicts",
        "--errors",
        "dead",
        "-q",
    ];
    let done = dir.run(&args, input);
    let all = format!("{}{}{}{}", done.text(), done.err, dir.read("log"), dir.read("dead"));
    assert_eq!(done.lines().len(), events.len());
    assert!(all.contains("key=***"), "{all}");
    for secret in ["s3cret", "S3CRET"] {
        assert!(!all.contains(secret), "{all}");
    }
}
