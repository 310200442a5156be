//! `sluicegate check`: does it load, what does it export, what can it import?

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::config::CheckConfig;
use super::diagnostic::{Diagnostic, Place};
use super::names;
use crate::tally::exit;
use crate::testing::report::annotate;
use crate::workers::{self, RunError};
use sluicegate_engine::verdict::Position;
use sluicegate_engine::{Export, LoadError, Loaded, Program};

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
    pub findings: Vec<Diagnostic>,
    /// The exit code.
    pub code: u8,
}

impl CheckReport {
    /// The findings as GitHub shows them at the lines of a pull request.
    pub fn annotations(&self) -> String {
        let mut out = String::new();
        for finding in &self.findings {
            let position = finding.place.as_ref().map(|place| Position {
                file: place.file.clone(),
                line: place.line,
                column: place.columns.start,
            });
            let file = position.as_ref().map_or("", |at| at.file.as_str());
            let help = finding.help.as_ref().map(|help| format!("\n{help}")).unwrap_or_default();
            annotate(&mut out, file, position.as_ref(), "sluicegate check", &format!("{}{help}", finding.message));
        }
        out
    }
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
    let used = checked.as_ref().map(|checked| checked.used.clone()).unwrap_or_default().unwrap_or_default();
    let mut findings = names::findings(program, library_paths, &used, checked.is_ok());
    match checked {
        Ok(checked) => {
            let code = if findings.is_empty() { exit::COMPLETE } else { exit::EVENTS_FAILED };
            if as_json {
                let text = ok_json(program, &checked, &findings);
                return CheckReport { text, findings: Vec::new(), code };
            }
            let text = if findings.is_empty() { ok_text(program, &checked) } else { String::new() };
            CheckReport { text, findings, code }
        }
        Err(error) if as_json => {
            let text = format!("{}\n", error_json(program, &error, library_paths));
            CheckReport { text, findings: Vec::new(), code: exit::COULD_NOT_RUN }
        }
        Err(error) => {
            findings.insert(0, Diagnostic::from_load_error(&error, library_paths));
            CheckReport { text: String::new(), findings, code: exit::COULD_NOT_RUN }
        }
    }
}

/// `orders.js: ok: exports transformEvent; imports jsLib1, warehouseActionsUtils`.
fn ok_text(program: &Program, checked: &Checked) -> String {
    let imports = match checked.used.as_deref() {
        None | Some([]) => String::new(),
        Some(used) => format!("; imports {}", used.join(", ")),
    };
    format!("{}: ok: exports {}{imports}\n", program.name, checked.export.name())
}

fn ok_json(program: &Program, checked: &Checked, findings: &[Diagnostic]) -> String {
    let list: Vec<Value> =
        checked.used.iter().flatten().map(|handle| json!({ "handle": handle, "used": true })).collect();
    let findings: Vec<Value> = findings
        .iter()
        .map(|finding| {
            let mut object = json!({ "message": finding.message, "help": finding.help });
            if let Some(place) = &finding.place {
                put_place(&mut object, place);
            }
            object
        })
        .collect();
    let object = json!({
        "transformation": program.name,
        "ok": findings.is_empty(),
        "exports": checked.export.name(),
        "libraries": list,
        "findings": findings,
        "codeHash": program.code_hash(),
    });
    format!("{object}\n")
}

fn put_place(object: &mut Value, place: &Place) {
    object["file"] = json!(place.file);
    object["line"] = json!(place.line);
    object["column"] = json!(place.columns.start);
    object["endColumn"] = json!(place.columns.end);
    object["sourceLine"] = json!(place.source);
}

fn error_json(program: &Program, error: &LoadError, paths: &BTreeMap<String, PathBuf>) -> Value {
    let mut object = json!({
        "kind": error.kind,
        "message": error.message,
        "stack": error.stack,
        "help": error.help,
    });
    if let Some(place) = Diagnostic::from_load_error(error, paths).place {
        put_place(&mut object, &place);
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
            let findings: String = outcome.findings.iter().map(|finding| finding.render(false)).collect();
            format!("{}{findings}exit code {}\n", outcome.text, outcome.code)
        });
    }

    #[test]
    fn json_says_the_same() {
        let value = |case: &str| -> (Value, u8) {
            let outcome = check_here(&config(&Path::new("tests/golden/check").join(case)), true);
            assert!(outcome.findings.is_empty());
            (serde_json::from_str(&outcome.text).unwrap(), outcome.code)
        };
        let (ok, code) = value("ok");
        assert_eq!((&ok["ok"], &ok["exports"], code), (&json!(true), &json!("transformEvent"), 0));
        let (error, code) = value("syntax-error");
        assert_eq!((&error["ok"], &error["error"]["kind"], code), (&json!(false), &json!("syntax"), 2));
        assert_eq!(error["error"]["line"], 3);
    }

    #[test]
    fn only_what_is_imported_is_listed() {
        let program = Program::new("t.js", "").with_library("jsLib1", "export {}");
        let mut checked = Checked { export: Export::Event, used: Some(vec!["jsLib1".into(), "uuid".into()]) };
        assert_eq!(ok_text(&program, &checked), "t.js: ok: exports transformEvent; imports jsLib1, uuid\n");
        checked.used = Some(Vec::new());
        assert_eq!(ok_text(&program, &checked), "t.js: ok: exports transformEvent\n");
    }

    #[test]
    fn findings_are_annotations_for_github() {
        let outcome = check_here(&config(Path::new("tests/golden/check/names")), false);
        let text = outcome.annotations();
        assert!(text.starts_with("::error file=tests/golden/check/names/transform.js,line=1,col="), "{text}");
        assert_eq!(text.lines().count(), outcome.findings.len());
    }
}
