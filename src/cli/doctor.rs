//! `sluicegate doctor`: checks this machine. It does not guess from the kernel's features: it starts a worker, as a run
//! would, and prints what the worker reports about its sandbox.

use std::fmt::Write;

use serde_json::json;

use crate::tally::exit;
use crate::workers::{self, Sandbox, SandboxLayer};
use sluicegate_engine::{Limits, Options, Program};

/// Returns the table, and the exit code: 0 if every layer of the sandbox is in place.
///
/// # Errors
/// When no worker can be started.
pub fn doctor(as_json: bool) -> anyhow::Result<(String, u8)> {
    let program = Program::new("doctor.js", "export const transformEvent = (event) => event;");
    let options = Options::default();
    let (_, report) = workers::check(&program, &options, Sandbox::default())?;
    let code = if report.lacking().is_none() { exit::COMPLETE } else { exit::COULD_NOT_RUN };
    let facts = facts(&options.limits);
    let text = if as_json {
        let facts: serde_json::Map<_, _> =
            facts.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        format!("{}\n", json!({ "ok": code == exit::COMPLETE, "walls": report.0, "machine": facts }))
    } else {
        table(&report.0, &facts)
    };
    Ok((text, code))
}

fn table(layers: &[SandboxLayer], facts: &[(&str, String)]) -> String {
    let mut text = String::from("Layers of the sandbox around a worker\n");
    for layer in layers {
        let state = if layer.holds { "in place" } else { "missing" };
        let _ = writeln!(text, "  {:<18} {state:<8}  {}", layer.name, layer.detail);
    }
    text.push_str("\nThis machine\n");
    for (name, value) in facts {
        let _ = writeln!(text, "  {name:<18} {value}");
    }
    text
}

/// Says whether the processor has the feature with which V8 protects the memory of its machine code.
fn protection_keys() -> String {
    let has = std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| {
        let flags = text.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
        flags.split_whitespace().any(|flag| flag == "ospke")
    });
    match has {
        true => "yes: V8's machine code is written to by its compilers only".to_owned(),
        false => "none: a bug in V8 could write machine code; --jitless has none to write to".to_owned(),
    }
}

fn facts(limits: &Limits) -> Vec<(&'static str, String)> {
    let uname = rustix::system::uname();
    let cores = std::thread::available_parallelism().map_or_else(|error| error.to_string(), |cores| cores.to_string());
    let memory = rustix::system::sysinfo();
    let memory = memory.totalram as u64 * u64::from(memory.mem_unit);
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    vec![
        ("sluicegate", env!("CARGO_PKG_VERSION").to_owned()),
        ("V8", sluicegate_engine::v8_version().to_owned()),
        (
            "kernel",
            format!(
                "{} {} {}",
                uname.sysname().to_string_lossy(),
                uname.release().to_string_lossy(),
                uname.machine().to_string_lossy()
            ),
        ),
        ("cores", cores),
        ("protection keys", protection_keys()),
        ("memory", format!("{} MiB", memory >> 20)),
        ("open files", files.map_or("unlimited".to_owned(), |files| files.to_string())),
        (
            "default limits",
            format!(
                "{} CPU, {} wall, {} MiB heap",
                humantime::format_duration(limits.cpu),
                humantime::format_duration(limits.wall),
                limits.heap >> 20
            ),
        ),
    ]
}
