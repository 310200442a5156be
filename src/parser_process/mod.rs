//! Parses code in a separate process, for processes that must survive any input.
//!
//! The parser recurses as deeply as its input is nested, and a stack overflow ends the whole process. For some
//! TypeScript it tries several interpretations, and its time doubles with each level (`<T>(<T>(…))` for example). A
//! server reads code of many authors, and a playground reads unfinished code. So a separate process parses the code,
//! with limits on time and memory, and the end of that process is an ordinary error. The process has the sandbox of a
//! worker. Starting it takes about ten milliseconds, so answers are cached where they are needed often.

mod branches;
mod exports;
mod faults;
mod fixes;
mod globals;
mod imports;
mod names;
mod refused;

pub use branches::Branch;
pub use exports::{ModuleExport, exports};
pub use faults::Fault;
pub use fixes::{Fixes, Obstacle, apply};
pub use names::{Name, Names};

use crate::own_process::own_command;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::Mutex;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::sandbox;
use sluicegate_engine::{TypeScriptError, strip_types};

/// The name of the hidden command.
const COMMAND: &str = "parse";

/// The limit on CPU time, in seconds.
const MAX_TIME: u64 = 2;

/// The limit on address space, in bytes.
const MAX_MEMORY: u64 = 4 << 30;

/// The parser's stack: enough for everything that V8 accepts.
const STACK: usize = 64 << 20;

/// Limits how many sources are parsed at a time, over all requests.
static TURNS: Semaphore = Semaphore::const_new(4);

/// The number of sources whose result [`strip`] caches, and the limit on their size.
const MAX_CACHED: usize = 64;
const MAX_CACHED_LEN: usize = 1 << 20;

#[derive(Serialize)]
enum ParserRequest<'a> {
    Branches(&'a str),
    Imports(&'a str),
    Strip(&'a str),
    Names(&'a str),
    Fixes(&'a str),
    DeclaresFunction(&'a str),
}

type Imports = BTreeMap<String, Vec<String>>;

/// Returns the modules that `code` imports or re-exports from, each with the imported names: the local name of a
/// default import, the exported name of the others. Also accepts TypeScript.
///
/// # Errors
/// When the code is not a module, or cannot be parsed within the limits. The text contains the position,
/// if there is one.
pub async fn imports(code: &str) -> Result<Imports, String> {
    in_turn(code, |code| ask(&ParserRequest::Imports(code)).unwrap_or_else(|why| Err(format!("SyntaxError: {why}"))))
        .await
}

/// Returns the branches of `code`, in the order of the source. The code must be JavaScript, without types.
///
/// # Errors
/// As for [`imports`].
pub fn branches(code: &str) -> Result<Vec<Branch>, String> {
    ask(&ParserRequest::Branches(code)).unwrap_or_else(Err)
}

/// Returns suspicious names in `code`, JavaScript: used but not declared, imported but not used. Also returns code
/// that always fails.
///
/// # Errors
/// When the code is not a module, or cannot be parsed within the limits.
pub fn names(code: &str) -> Result<Names, String> {
    ask(&ParserRequest::Names(code))?
}

/// Returns the mistakes in `code`, JavaScript, that can be fixed automatically.
///
/// # Errors
/// As [`names`].
pub fn fixes(code: &str) -> Result<Fixes, String> {
    ask(&ParserRequest::Fixes(code))?
}

/// Returns whether `code`, JavaScript, declares one of the two functions at its top level.
///
/// # Errors
/// As [`names`].
pub fn declares_function(code: &str) -> Result<bool, String> {
    ask(&ParserRequest::DeclaresFunction(code))?
}

/// Calls [`strip_types`] from an async task.
///
/// # Errors
/// As for [`strip_types`], and when the source cannot be parsed within the limits.
pub async fn strip_in_turn(source: &str) -> Result<String, TypeScriptError> {
    in_turn(source, strip).await
}

async fn in_turn<T: Send + 'static>(code: &str, parse: impl FnOnce(&str) -> T + Send + 'static) -> T {
    let turn = TURNS.acquire().await;
    let code = code.to_owned();
    let done = tokio::task::spawn_blocking(move || parse(&code)).await.expect("nothing panics in there");
    drop(turn);
    done
}

/// Calls [`strip_types`], with a cache of recent results.
///
/// # Errors
/// As for [`strip_types`], and when the source cannot be parsed within the limits.
pub fn strip(source: &str) -> Result<String, TypeScriptError> {
    type Cache = HashMap<[u8; 32], Result<String, TypeScriptError>>;
    static CACHE: Mutex<Option<Cache>> = Mutex::new(None);
    let key = Sha256::digest(source).into();
    let lock_cache = || CACHE.lock().expect("nothing panics in here");
    if let Some(known) = lock_cache().as_ref().and_then(|cache| cache.get(&key)) {
        return known.clone();
    }
    let stripped = ask(&ParserRequest::Strip(source))
        .unwrap_or_else(|why| Err(TypeScriptError { message: format!("SyntaxError: {why}"), range: 0..0, help: None }));
    if source.len() > MAX_CACHED_LEN {
        return stripped;
    }
    let mut cache = lock_cache();
    let cache = cache.get_or_insert_default();
    if cache.len() >= MAX_CACHED {
        cache.clear();
    }
    cache.insert(key, stripped.clone());
    stripped
}

/// Sends a request to a parser process. The outer error is a failure of the process itself.
fn ask<T: DeserializeOwned + Serialize>(request: &ParserRequest<'_>) -> Result<T, String> {
    // The unit tests' program has no subcommands.
    if cfg!(test) {
        return serde_json::from_str(&answer(request)).map_err(|error| error.to_string());
    }
    let cannot = |error: io::Error| format!("the code cannot be parsed: {error}");
    let send = || -> io::Result<File> {
        let mut file = File::from(memfd_create("sluicegate-parse", MemfdFlags::CLOEXEC)?);
        serde_json::to_writer(io::BufWriter::new(&file), request)?;
        file.rewind()?;
        Ok(file)
    };
    let output = own_command(COMMAND)
        .env_clear()
        .stdin(send().map_err(cannot)?)
        .stderr(Stdio::null())
        .output()
        .map_err(cannot)?;
    match output.status.signal() {
        None => serde_json::from_slice(&output.stdout).map_err(|error| cannot(error.into())),
        Some(libc::SIGXCPU | libc::SIGKILL) => Err(format!("the code takes more than {MAX_TIME} s to parse")),
        Some(_) => Err("the code is nested too deep, or is too large".to_owned()),
    }
}

fn answer(request: &ParserRequest<'_>) -> String {
    match request {
        ParserRequest::Branches(code) => serde_json::to_string(&branches::of(code)),
        ParserRequest::Imports(code) => serde_json::to_string(&imports::of(code)),
        ParserRequest::Strip(source) => serde_json::to_string(&strip_types(source)),
        ParserRequest::Names(code) => serde_json::to_string(&names::of(code)),
        ParserRequest::Fixes(code) => serde_json::to_string(&fixes::of(code)),
        ParserRequest::DeclaresFunction(code) => serde_json::to_string(&fixes::declares_function(code)),
    }
    .expect("plain data")
}

/// Runs the parser process. Returns its exit code.
pub fn main() -> u8 {
    let limit = |resource, most| {
        // A system may lack one of these limits; the others still apply.
        let _ = setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    };
    limit(Resource::Core, 0);
    limit(Resource::Cpu, MAX_TIME);
    limit(Resource::As, MAX_MEMORY);
    sandbox::first_of_parser();
    let parse = || -> io::Result<()> {
        // All threads have started, and no code has been read yet.
        sandbox::last_of_parser().map_err(io::Error::other)?;
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        // Strings with escapes cannot be borrowed from the input.
        #[derive(Deserialize)]
        enum OwnedRequest {
            Branches(String),
            Imports(String),
            Strip(String),
            Names(String),
            Fixes(String),
            DeclaresFunction(String),
        }
        let answer = match serde_json::from_str(&text)? {
            OwnedRequest::Branches(code) => answer(&ParserRequest::Branches(&code)),
            OwnedRequest::Imports(code) => answer(&ParserRequest::Imports(&code)),
            OwnedRequest::Strip(source) => answer(&ParserRequest::Strip(&source)),
            OwnedRequest::Names(code) => answer(&ParserRequest::Names(&code)),
            OwnedRequest::Fixes(code) => answer(&ParserRequest::Fixes(&code)),
            OwnedRequest::DeclaresFunction(code) => answer(&ParserRequest::DeclaresFunction(&code)),
        };
        io::stdout().write_all(answer.as_bytes())
    };
    let parsed = std::thread::Builder::new().stack_size(STACK).spawn(parse).map(|thread| thread.join());
    u8::from(!matches!(parsed, Ok(Ok(Ok(())))))
}
