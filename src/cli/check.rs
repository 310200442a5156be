//! `sluicegate check`: reports whether a transformation loads, what it exports and imports, and what is wrong with it.

use serde_json::json;

use super::code_checks;
use super::config::CheckConfig;
use super::diagnostic::Diagnostic;
use super::program::Unread;
use crate::tally::exit;
use crate::testing::report::annotate;
use crate::workers::{self, RunError};
use sluicegate_engine::verdict::Position;
use sluicegate_engine::{Export, LoadError, Loaded, Program};

/// The facts about a program that loads.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The function that it exports.
    pub export: Export,
    /// The libraries that the transformation or its libraries import; `None` if unknown.
    pub used: Option<Vec<String>>,
}

impl From<Loaded> for Checked {
    fn from(loaded: Loaded) -> Self {
        Checked { export: loaded.export, used: Some(loaded.libraries) }
    }
}

/// The output of `check`, and the exit code.
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
    /// Returns the findings as annotations that GitHub shows at the lines of a pull request.
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

/// Checks a program in a worker process, loading it as a run would. With `as_json` each finding is a JSON object on its
/// own line; a program without findings gets one object too.
///
/// # Errors
/// When no worker can be started.
pub fn check(config: &CheckConfig, as_json: bool) -> anyhow::Result<CheckReport> {
    match workers::check(&config.program, &config.options, config.sandbox) {
        Ok((loaded, _)) => Ok(say(config, Ok(loaded.into()), as_json)),
        Err(RunError::Load(error)) => Ok(say(config, Err(error), as_json)),
        Err(error) => Err(error.into()),
    }
}

/// Returns the report on a transformation that cannot be read.
pub fn unread(unread: Unread, as_json: bool) -> CheckReport {
    let Unread { path, mut error } = unread;
    error.rule.get_or_insert_with(|| "load-read".to_owned());
    let code = exit::COULD_NOT_RUN;
    if as_json {
        let text = findings_json(&path.display().to_string(), &[error]);
        return CheckReport { text, findings: Vec::new(), code };
    }
    CheckReport { text: String::new(), findings: vec![error], code }
}

fn say(config: &CheckConfig, checked: Result<Checked, LoadError>, as_json: bool) -> CheckReport {
    let CheckConfig { program, library_paths, .. } = config;
    let used = checked.as_ref().map(|checked| checked.used.clone()).unwrap_or_default().unwrap_or_default();
    let mut findings = code_checks::findings(program, library_paths, &used, checked.is_ok());
    match checked {
        Ok(checked) => {
            let code = if findings.is_empty() { exit::COMPLETE } else { exit::EVENTS_FAILED };
            if as_json && findings.is_empty() {
                return CheckReport { text: ok_json(program, &checked), findings, code };
            }
            if as_json {
                return CheckReport { text: findings_json(&program.name, &findings), findings: Vec::new(), code };
            }
            let text = if findings.is_empty() { ok_text(program, &checked) } else { String::new() };
            CheckReport { text, findings, code }
        }
        Err(error) => {
            let error = Diagnostic::from_load_error(&error, library_paths);
            // The static checks may have found the same mistake.
            let start = |one: &Diagnostic| one.place.as_ref().map(|at| (at.file.clone(), at.line, at.columns.start));
            if let Some(place) = start(&error) {
                findings.retain(|finding| start(finding).as_ref() != Some(&place));
            }
            findings.insert(0, error);
            if as_json {
                let text = findings_json(&program.name, &findings);
                return CheckReport { text, findings: Vec::new(), code: exit::COULD_NOT_RUN };
            }
            CheckReport { text: String::new(), findings, code: exit::COULD_NOT_RUN }
        }
    }
}

/// Returns `orders.js: ok: exports transformEvent; imports jsLib1, warehouseActionsUtils`.
fn ok_text(program: &Program, checked: &Checked) -> String {
    let imports = match checked.used.as_deref() {
        None | Some([]) => String::new(),
        Some(used) => format!("; imports {}", used.join(", ")),
    };
    format!("{}: ok: exports {}{imports}\n", program.name, checked.export.name())
}

fn ok_json(program: &Program, checked: &Checked) -> String {
    let object = json!({
        "transformation": program.name,
        "ok": true,
        "exports": checked.export.name(),
        "libraries": checked.used.as_deref().unwrap_or_default(),
        "codeHash": program.code_hash(),
    });
    format!("{object}\n")
}

/// Returns a line for each finding; all lines have the same fields.
fn findings_json(transformation: &str, findings: &[Diagnostic]) -> String {
    let line = |finding: &Diagnostic| {
        let place = finding.place.as_ref();
        let object = json!({
            "transformation": transformation,
            "ok": false,
            "rule": finding.rule,
            "message": finding.message,
            "help": finding.help,
            "file": place.map(|place| &place.file),
            "line": place.map(|place| place.line),
            "column": place.map(|place| place.columns.start),
            "endColumn": place.map(|place| place.columns.end),
            "source": place.and_then(|place| place.source.as_ref()),
            "stack": finding.frames,
        });
        format!("{object}\n")
    };
    findings.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::cli::golden;
    use crate::cli::program::{self, Loaded as Files, Sources};
    use sluicegate_engine::{Engine, Limits, Options};

    /// Runs the check in this process: the test program cannot start workers.
    fn check_here(config: &CheckConfig, as_json: bool) -> CheckReport {
        let engine = Engine::new(config.program.clone(), config.options.clone());
        say(config, engine.map(|engine| engine.loaded().into()), as_json)
    }

    /// Returns the config for a folder in `tests/golden/check`: its `transform.js` with the libraries in its `lib`.
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

    /// Each folder of `tests/golden/check` is a project; its `expected.txt` is the output of `check`.
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
        let values = |case: &str| -> (Vec<Value>, u8) {
            let outcome = check_here(&config(&Path::new("tests/golden/check").join(case)), true);
            assert!(outcome.findings.is_empty());
            (outcome.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), outcome.code)
        };
        let (ok, code) = values("ok");
        assert_eq!((ok.len(), &ok[0]["ok"], &ok[0]["exports"], code), (1, &json!(true), &json!("transformEvent"), 0));
        let (error, code) = values("syntax-error");
        assert_eq!((&error[0]["ok"], &error[0]["rule"], code), (&json!(false), &json!("load-syntax"), 2));
        assert_eq!(error[0]["line"], 3);
        // All findings have the same fields, including those of code that does not load.
        let (findings, code) = values("only-fails");
        assert_eq!((findings.len() > 5, code), (true, 1));
        for finding in findings.iter().chain(&error) {
            let mut fields: Vec<&str> = finding.as_object().unwrap().keys().map(String::as_str).collect();
            fields.sort_unstable();
            assert_eq!(fields.join(" "), "column endColumn file help line message ok rule source stack transformation");
        }
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
