//! Runs a transformation over standard input, line by line, as a program that embeds the engine would.
//!
//! ```console
//! $ echo '{"type":"track","price":2,"count":3}' | cargo run -p sluicegate-engine --example embed
//! {"type":"track","price":2,"count":3,"total":6}
//! ```

use std::io::{BufRead, Write};
use std::time::Duration;

use sluicegate_engine::verdict::Verdict;
use sluicegate_engine::{Engine, Limits, Options, Program};

const CODE: &str = "
export function transformEvent(event) {
  if (event.type !== 'track') return null;
  event.total = event.price * event.count;
  return event;
}";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let limits = Limits { cpu: Duration::from_millis(100), heap: 64 << 20, ..Limits::default() };
    let mut engine = Engine::new(Program::new("total.js", CODE), Options { limits, ..Options::default() })?;
    let (mut out, mut stdout) = (Vec::new(), std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        out.clear();
        match engine.transform(line?.as_bytes(), &mut out) {
            Verdict::Ok { .. } => stdout.write_all(&out)?,
            Verdict::Dropped => {}
            Verdict::Failed(failure) => eprintln!("{}: {}", failure.kind, failure.message),
        }
    }
    Ok(())
}
