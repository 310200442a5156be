//! Measures the time from an event's time limit to its verdict, and to the next event's verdict: by construct, over the
//! binary's pipes, one line at a time. The tests check only the verdicts; `scripts/kill` prints the table.

use std::io::{BufRead, BufReader, Write};
use std::time::{Duration, Instant};

use crate::support::Dir;

/// The limit, and the time allowed after it.
const LIMIT: Duration = Duration::from_millis(50);

/// What stops a construct.
#[derive(Clone, Copy, PartialEq)]
enum By {
    /// V8, at its next interrupt check.
    Interrupt,
    /// V8, after a second time limit: the event's heap grows, so the event may still fail with `memory`.
    Growth,
    /// Only killing the worker process.
    Wall,
}

impl By {
    fn name(self) -> &'static str {
        match self {
            By::Interrupt | By::Growth => "V8",
            By::Wall => "process",
        }
    }

    /// The maximum times for a verdict after the limit, and for the next event after that.
    fn promised(self) -> (Duration, Duration) {
        let (verdict, next) = match self {
            By::Interrupt => (20, 30),
            By::Growth => (LIMIT.as_millis() as u64 + 60, 30),
            By::Wall => (250, 150),
        };
        (LIMIT + Duration::from_millis(verdict), Duration::from_millis(next))
    }
}

/// A name, the body of a function that gets `event`, and what stops it.
const CONSTRUCTS: &[(&str, &str, By)] = &[
    ("for (;;)", "for (;;);", By::Interrupt),
    ("while, with work in it", "let n = 0; while (true) n = Math.sin(n + 1);", By::Interrupt),
    ("try/finally in a loop", "for (;;) { try { continue; } finally { continue; } }", By::Interrupt),
    ("catch, again and again", "const f = () => { for (;;) { try { f(); } catch {} } }; f();", By::Interrupt),
    ("getter, while it is written out", "return { get a() { for (;;); } };", By::Interrupt),
    ("toJSON", "return { a: { toJSON() { for (;;); } } };", By::Interrupt),
    ("Proxy trap", "return new Proxy({}, { ownKeys() { for (;;); } });", By::Interrupt),
    ("Symbol.toPrimitive", "return { a: `${{ [Symbol.toPrimitive]() { for (;;); } }}` };", By::Interrupt),
    ("sort comparator", "[1, 2, 3].sort(() => { for (;;); });", By::Interrupt),
    ("replace callback", "'a'.replace('a', () => { for (;;); });", By::Interrupt),
    ("iterator", "for (const x of { [Symbol.iterator]: () => ({ next: () => ({ done: false }) }) });", By::Interrupt),
    ("generator", "for (const x of (function* () { for (;;) yield 1; })());", By::Interrupt),
    ("promise chain", "const f = () => Promise.resolve().then(f); return f();", By::Growth),
    ("microtask flood, floating", "const f = () => { Promise.resolve().then(f); }; f(); return event;", By::Interrupt),
    ("await in a loop", "return (async () => { for (;;) await 0; })();", By::Interrupt),
    ("getter of what was thrown", "throw { get stack() { for (;;); }, toString() { for (;;); } };", By::Interrupt),
    ("regular expression that backtracks", "/^(a+)+$/.test('a'.repeat(40) + 'b');", By::Interrupt),
    ("regular expression, in a loop", "for (;;) /a*b/.test('a'.repeat(1000));", By::Interrupt),
    ("BigInt", "let n = 3n; for (;;) n = (n * n) % (1n << 4000n);", By::Interrupt),
    ("JSON.parse with a reviver", "JSON.parse('[1,2]', () => { for (;;); });", By::Interrupt),
    ("Intl in a loop", "for (;;) (1.5).toLocaleString('de');", By::Interrupt),
    ("search in a long text", "'a'.repeat(2e7).lastIndexOf('a'.repeat(1e5) + 'b');", By::Wall),
    (
        "search in a long array",
        "const a = new Array(1e6).fill('a'.repeat(9)); for (const x of [1]) a.forEach((y) => a.includes(`b${y}`));",
        By::Interrupt,
    ),
    ("a loop in native code", "Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1);", By::Wall),
    ("last index of, over a hole", "Array.prototype.lastIndexOf.call({ length: 2 ** 53 - 1 }, 1);", By::Wall),
    ("reverse of nothing, very long", "Array.prototype.reverse.call({ length: 2 ** 53 - 1 });", By::Wall),
];

struct Times {
    verdict: Duration,
    next: Duration,
}

/// Runs one hostile event among ordinary ones, and measures when its verdict and the next one came.
fn measure(body: &str) -> Result<Times, String> {
    let dir = Dir::with(&format!(
        "const hostile = (event) => {{ {body} }};\nexport const transformEvent = (event) => (event.n === 0 ? hostile(event) : event);\n"
    ));
    let args = "run t.js -j1 --emit verdicts --line-buffered --quiet --cpu-limit 50ms --wall-limit 5s";
    let mut child = dir.command(&args.split(' ').collect::<Vec<_>>()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut ask = |n: u32| {
        let asked = Instant::now();
        writeln!(stdin, "{{\"n\":{n}}}").unwrap();
        let answer = lines.next().unwrap().unwrap();
        (asked.elapsed(), answer)
    };
    for n in 1..200 {
        ask(n);
    }
    let (verdict, answer) = ask(0);
    let (next, after) = ask(1);
    drop(stdin);
    child.wait().unwrap();
    if !answer.contains("\"kind\":\"timeout\"") {
        return Err(answer);
    }
    assert_eq!(after, "{\"verdict\":\"ok\",\"events\":[{\"n\":1}]}");
    Ok(Times { verdict, next })
}

#[test]
fn what_hits_its_time_limit_gets_its_verdict_and_the_next_event_its_own() {
    let rounds: Option<usize> = std::env::var("SLUICEGATE_TEST_ROUNDS").ok().map(|text| text.parse().unwrap());
    let mut wrong = Vec::new();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    if rounds.is_some() {
        println!(
            "| Construct | Stopped by | Verdict: median, worst | Promised | Next event: median, worst | Promised |"
        );
        println!("|---|---|---|---|---|---|");
    }
    for (name, body, by) in CONSTRUCTS {
        let mut verdicts = Vec::new();
        let mut nexts = Vec::new();
        for _ in 0..rounds.unwrap_or(1) {
            match measure(body) {
                Ok(times) => {
                    verdicts.push(times.verdict);
                    nexts.push(times.next);
                }
                Err(answer) => wrong.push(format!("{name}: {answer}")),
            }
        }
        verdicts.sort();
        nexts.sort();
        if let (Some(_), Some(worst), Some(last)) = (rounds, verdicts.last(), nexts.last()) {
            let (median, next) = (verdicts[verdicts.len() / 2], nexts[nexts.len() / 2]);
            let (promised, promised_next) = by.promised();
            let late = if *worst > promised || *last > promised_next { " (!)" } else { "" };
            println!(
                "| {name}{late} | {} | {:.0} ms, {:.0} ms | {:.0} ms | {:.0} ms, {:.0} ms | {:.0} ms |",
                by.name(),
                millis(median),
                millis(*worst),
                millis(promised),
                millis(next),
                millis(*last),
                millis(promised_next)
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
