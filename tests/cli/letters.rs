//! Dead letters of several runs in one file; some of the runs are killed in the middle.

use std::collections::BTreeMap;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::Dir;
use crate::support::live::Live;

/// Far more lines than the pipes can hold.
const LINES: u64 = 40_000;

/// Input of which every second line fails.
fn input() -> String {
    (1..=LINES).map(|n| if n % 2 == 0 { format!("nope {n}\n") } else { format!("{{\"n\":{n}}}\n") }).collect()
}

#[test]
fn each_failed_line_has_one_whole_letter_whatever_process_is_killed() {
    let dir = Dir::with("export function transformEvent(event) { return event; }");
    // The run is killed when the answer to this line has come.
    let places: [u64; 5] = [1, 701, 7001, 20_001, LINES + 1];
    for place in places {
        let start = || Live::start(dir.command(&["run", "t.js", "-q", "-j", "1", "--errors", "dead.jsonl"]));
        let (mut killed, mut other) = (start(), start());
        let feeds = [&mut killed, &mut other].map(|live| {
            let mut pipe = live.take_input();
            // Writing to a killed run fails.
            std::thread::spawn(move || std::io::Write::write_all(&mut pipe, input().as_bytes()).is_ok())
        });
        let mut read = 0;
        for n in (1..=LINES).step_by(2).take_while(|n| *n <= place) {
            assert_eq!(killed.line(), format!("{{\"n\":{n}}}"));
            read = n;
        }
        if place < LINES {
            killed.signal(Signal::KILL);
        }
        for n in (1..=LINES).step_by(2) {
            assert_eq!(other.line(), format!("{{\"n\":{n}}}"));
        }
        let (killed, other) = (killed.end().0, other.end().0);
        assert_eq!((killed.code, other.code), (if place < LINES { 137 } else { 1 }, 1), "{}{}", killed.err, other.err);
        for feed in feeds {
            let _ = feed.join().unwrap();
        }

        let mut letters: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        let mut torn = 0;
        for line in dir.read("dead.jsonl").lines() {
            match serde_json::from_str::<Value>(line) {
                Ok(letter) => {
                    let line = letter["input_line"].as_u64().unwrap();
                    assert_eq!(letter["event"], format!("nope {line}"));
                    letters.entry(letter["run"].as_str().unwrap().to_owned()).or_default().push(line);
                }
                // The fragment that a process was writing when it was killed is on its own line.
                Err(_) => torn += 1,
            }
        }
        assert!(torn <= 1, "{torn} torn letters");
        let mut runs: Vec<Vec<u64>> = letters.into_values().collect();
        runs.sort_by_key(Vec::len);
        let all: Vec<u64> = (1..=LINES / 2).map(|n| 2 * n).collect();
        assert_eq!(runs.pop().as_ref(), Some(&all), "the one that went on has all of them");
        // The killed run has the letters of all lines before the last answered one, and perhaps a few more, in order.
        let mine = runs.pop().unwrap_or_default();
        assert_eq!(mine, all[..mine.len()], "killed at {place}");
        assert!(mine.len() as u64 >= read / 2, "{} letters, and line {read} was answered", mine.len());
        std::fs::remove_file(dir.path().join("dead.jsonl")).unwrap();
    }
}
