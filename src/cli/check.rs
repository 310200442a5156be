//! `sluicegate check`: does it load, what does it export, what can it import?

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::config::CheckConfig;
use super::diagnostic::Diagnostic;
use crate::tally::exit;
use crate::workers::{self, RunError};
use sluicegate_engine::{Export, LoadError, Loaded, Program, handle_of};

/// What is known of a program that loads.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The function that it exports.
    pub export: Export,
    /// The handles that were imported, by the transformation or by its libraries; `None` if that is not known.
    pub used: Option<Vec<String>>,
}

impl From<Loaded> for Checked {
    fn from(loaded: Loaded) -> Self {
        Checked { export: loaded.export, used: Some(loaded.libraries) }
    }
}

/// What `check` has to say, and the exit code.
#[derive(Debug)]
pub struct CheckReport {
    /// For standard output.
    pub text: String,
    /// For standard error.
    pub error: Option<Diagnostic>,
    /// The exit code.
    pub code: u8,
}

/// Checks a program, in a worker process, as a run would load it. With `as_json` all that there is to say is one JSON
/// object.
///
/// # Errors
/// When no worker could be started.
pub fn check(config: &CheckConfig, as_json: bool) -> anyhow::Result<CheckReport> {
    match workers::check(&config.program, &config.options, config.sandbox) {
        Ok((loaded, _)) => Ok(say(config, Ok(loaded.into()), as_json)),
        Err(RunError::Load(error)) => Ok(say(config, Err(error), as_json)),
        Err(error) => Err(error.into()),
    }
}

fn say(config: &CheckConfig, checked: Result<Checked, LoadError>, as_json: bool) -> CheckReport {
    let CheckConfig { program, library_paths, .. } = config;
    match checked {
        Ok(checked) => {
            let text = if as_json { ok_json(program, &checked) } else { ok_text(program, &checked) };
            CheckReport { text, error: None, code: exit::COMPLETE }
        }
        Err(error) if as_json => {
            let text = format!("{}\n", error_json(program, &error, library_paths));
            CheckReport { text, error: None, code: exit::COULD_NOT_RUN }
        }
        Err(error) => {
            let error = Diagnostic::from_load_error(&error, library_paths);
            CheckReport { text: String::new(), error: Some(error), code: exit::COULD_NOT_RUN }
        }
    }
}

/// The handles that an import may name, without those that are only another spelling of one, and whether each is used.
fn libraries<'a>(program: &'a Program, checked: &Checked) -> Vec<(&'a str, Option<bool>)> {
    let is_used = |handle: &str| checked.used.as_ref().map(|used| used.iter().any(|used| used == handle));
    program
        .handles()
        .into_iter()
        .filter(|handle| {
            let canonical = handle_of(handle);
            let spelling = canonical != *handle && program.library(&canonical) == program.library(handle);
            !spelling || is_used(handle) == Some(true)
        })
        .map(|handle| (handle, is_used(handle)))
        .collect()
}

/// `orders.js: ok: exports transformEvent; libraries: jsLib1 (used), warehouseActionsUtils`.
fn ok_text(program: &Program, checked: &Checked) -> String {
    let list: Vec<String> = libraries(program, checked)
        .into_iter()
        .map(|(handle, used)| if used == Some(true) { format!("{handle} (used)") } else { handle.to_owned() })
        .collect();
    format!("{}: ok: exports {}; libraries: {}\n", program.name, checked.export.name(), list.join(", "))
}

fn ok_json(program: &Program, checked: &Checked) -> String {
    let list: Vec<Value> = libraries(program, checked)
        .into_iter()
        .map(|(handle, used)| match used {
            Some(used) => json!({ "handle": handle, "used": used }),
            None => json!({ "handle": handle }),
        })
        .collect();
    let object = json!({
        "transformation": program.name,
        "ok": true,
        "exports": checked.export.name(),
        "libraries": list,
        "codeHash": program.code_hash(),
    });
    format!("{object}\n")
}

fn error_json(program: &Program, error: &LoadError, paths: &BTreeMap<String, PathBuf>) -> Value {
    let mut object = json!({
        "kind": error.kind,
        "message": error.message,
        "stack": error.stack,
        "help": error.help,
    });
    if let Some(place) = Diagnostic::from_load_error(error, paths).place {
        object["file"] = json!(place.file);
        object["line"] = json!(place.line);
        object["column"] = json!(place.columns.start);
        object["endColumn"] = json!(place.columns.end);
        object["sourceLine"] = json!(place.source);
    }
    json!({ "transformation": program.name, "ok": false, "error": object })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::cli::golden;
    use crate::cli::program::{self, Loaded as Files, Sources};
    use sluicegate_engine::{Engine, Limits, Options};

    /// A check without a worker process: the test's own program is not one that could start workers.
    fn check_here(config: &CheckConfig, as_json: bool) -> CheckReport {
        let engine = Engine::new(config.program.clone(), config.options.clone());
        say(config, engine.map(|engine| engine.loaded().into()), as_json)
    }

    /// A folder of `tests/golden/check` as a check of its `transform.js` with the libraries in its `lib`.
    fn config(case: &Path) -> CheckConfig {
        let lib = case.join("lib");
        let sources = Sources {
            transformation: case.join("transform.js"),
            library_dirs: if lib.is_dir() { vec![lib] } else { Vec::new() },
            ..Sources::default()
        };
        let Files { program, paths } = program::read(&sources).unwrap();
        let limits = Limits { cpu: Duration::from_millis(200), heap: 32 << 20, ..Limits::default() };
        CheckConfig {
            program,
            library_paths: paths,
            options: Options { limits, ..Options::default() },
            sandbox: workers::Sandbox::default(),
        }
    }

    /// Each folder of `tests/golden/check` is a project, and its `expected.txt` what `check` says of it.
    #[test]
    fn what_check_says() {
        golden::each("tests/golden/check", "", |case| {
            let outcome = check_here(&config(case), false);
            let error = outcome.error.map(|error| error.render(false)).unwrap_or_default();
            format!("{}{error}exit code {}\n", outcome.text, outcome.code)
        });
    }

    #[test]
    fn json_says_the_same() {
        let value = |case: &str| -> (Value, u8) {
            let outcome = check_here(&config(&Path::new("tests/golden/check").join(case)), true);
            assert_eq!(outcome.error, None);
            (serde_json::from_str(&outcome.text).unwrap(), outcome.code)
        };
        let (ok, code) = value("ok");
        assert_eq!((&ok["ok"], &ok["exports"], code), (&json!(true), &json!("transformEvent"), 0));
        let (error, code) = value("syntax-error");
        assert_eq!((&error["ok"], &error["error"]["kind"], code), (&json!(false), &json!("syntax"), 2));
        assert_eq!(error["error"]["line"], 3);
    }

    #[test]
    fn a_library_that_is_used_is_marked_and_spellings_are_listed_once() {
        let program =
            Program::new("t.js", "").with_library("js-lib-1", "export {}").with_library("jsLib1", "export {}");
        let mut checked = Checked { export: Export::Event, used: Some(vec!["jsLib1".into()]) };
        assert_eq!(
            ok_text(&program, &checked),
            "t.js: ok: exports transformEvent; libraries: base64, hash, jsLib1 (used), objects, uuid, warehouseActionsUtils\n"
        );
        checked.used = Some(vec!["js-lib-1".into()]);
        assert_eq!(
            ok_text(&program, &checked),
            "t.js: ok: exports transformEvent; libraries: base64, hash, js-lib-1 (used), jsLib1, objects, uuid, \
             warehouseActionsUtils\n"
        );
    }
}
