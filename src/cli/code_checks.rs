//! Finds mistakes without running the code, for `check`: undefined names, unused imports and
//! exports, and code that can only fail. Each finding has its line and says what to write instead.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::diagnostic::Diagnostic;
use crate::parser_process::{self, Names};
use sluicegate_engine::{GLOBALS, Program, instead_of, nearest};

/// Names that are not globals but are defined.
const OTHERS: [&str; 1] = ["arguments"];

/// Returns the findings in a program: in its transformation, and in the libraries
/// that it uses. Unused imports and exports are reported only if the program `loads`.
pub(super) fn findings(
    program: &Program,
    paths: &BTreeMap<String, PathBuf>,
    used: &[String],
    loads: bool,
) -> Vec<Diagnostic> {
    let libraries = used
        .iter()
        .filter_map(|handle| Some((paths.get(handle)?.display().to_string(), program.libraries.get(handle)?.as_str())));
    let modules = std::iter::once((program.name.clone(), program.code.as_str())).chain(libraries);
    // Code that cannot be parsed does not load either, which is reported separately.
    let modules: Vec<(String, &str, Names)> =
        modules.filter_map(|(file, code)| Some((file, code, parser_process::names(code).ok()?))).collect();
    // Modules share their globals: a global that one module creates exists for the others.
    let makes_any = modules.iter().any(|(_, _, names)| names.makes_any);
    let made: HashSet<String> = modules.iter().flat_map(|(_, _, names)| names.made.iter().cloned()).collect();
    let mut found = Vec::new();
    for (file, code, mut names) in modules {
        names.undeclared.retain(|name| !makes_any && !made.contains(&name.name));
        let is_entry = file == program.name;
        found.extend(in_module(&file, code, names, loads, is_entry));
    }
    found
}

fn in_module(file: &str, code: &str, names: Names, loads: bool, is_entry: bool) -> Vec<Diagnostic> {
    let known = || GLOBALS.split_whitespace().chain(OTHERS);
    let undeclared = names.undeclared.into_iter().filter(|name| !known().any(|known| known == name.name)).map(|name| {
        let help = match (instead_of(&name.name), nearest(&name.name, known())) {
            (Some(instead), _) => instead.to_owned(),
            (None, Some(near)) => format!("is it {near}? Otherwise declare it, or import it"),
            (None, None) => "declare it, or import it from a library".to_owned(),
        };
        ("undefined-name".to_owned(), name.range, format!("{} is not defined", name.name), help)
    });
    let unused = names.unused_imports.into_iter().filter(|_| loads).map(|name| {
        let help = "leave it out: what is imported is loaded in every worker".to_owned();
        ("unused-import".to_owned(), name.range, format!("{} is imported and not used", name.name), help)
    });
    // Not reported in libraries: their exports are for other modules, and their constants are their authors' choice.
    let only_of_entries = ["unused-export", "swapped-parameters", "lossy-number"];
    let tests = OnceCell::new();
    let faults = names.faults.into_iter().filter(|fault| {
        let name = code.get(fault.range.clone()).unwrap_or_default();
        // An export that a test in the same folder mentions is used.
        !(fault.rule == "unused-export" && tests.get_or_init(|| tests_beside(file)).contains(name))
    });
    let faults = faults.filter(|fault| {
        is_entry && (loads || fault.rule != "unused-export") || !only_of_entries.contains(&fault.rule.as_str())
    });
    let faults = faults.map(|fault| (fault.rule, fault.range, fault.message, fault.help));
    let mut all: Vec<_> = undeclared.chain(unused).chain(faults).collect();
    all.sort_by_key(|(_, range, ..)| range.start);
    all.into_iter()
        .map(|(rule, range, message, help)| {
            Diagnostic::new(message).at(file, code, range).with_types().help(help).rule(rule)
        })
        .collect()
}

/// Returns the code of the tests in the folder of a file.
fn tests_beside(file: &str) -> String {
    let dir = Path::new(file).parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_test = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        [".test.", ".spec."].iter().any(|part| name.contains(part))
    };
    files.filter(is_test).filter_map(|path| std::fs::read_to_string(path).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_engine::{Engine, Options};

    #[test]
    fn the_list_is_what_code_finds() {
        let code =
            "export const transformEvent = () => ({ all: Object.getOwnPropertyNames(globalThis).sort().join(' ') });";
        let mut engine = Engine::new(Program::new("t.js", code), Options::default()).unwrap();
        let mut out = Vec::new();
        engine.transform(b"{}", &mut out);
        let list: Vec<&str> = GLOBALS.split_whitespace().collect();
        assert_eq!(String::from_utf8(out).unwrap(), format!("{{\"all\":\"{}\"}}\n", list.join(" ")));
    }

    fn in_entry(code: &str) -> Vec<Diagnostic> {
        findings(&Program::new("t.js", code), &BTreeMap::new(), &[], true)
    }

    #[test]
    fn a_global_of_one_module_is_there_for_the_others() {
        let program = Program::new("t.js", "import 'lib'; export const transformEvent = (event) => [cache, other];");
        let program = program.with_library("lib", "globalThis.cache = 1;");
        let paths = BTreeMap::from([("lib".to_owned(), PathBuf::from("lib.js"))]);
        let found = findings(&program, &paths, &["lib".to_owned()], true);
        let texts: Vec<_> = found.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(texts, ["other is not defined"]);
    }

    #[test]
    fn what_is_there_is_no_finding_and_what_is_not_says_what_to_write() {
        let code = "export function transformEvent(event) { log(arguments.length, URL, crypto); return event; }";
        assert!(in_entry(code).is_empty());
        let found = in_entry("export const transformEvent = (event) => Buffr.from(Objct.keys(event));");
        let texts: Vec<_> = found.iter().map(|finding| (finding.message.as_str(), finding.help.as_deref())).collect();
        assert_eq!(texts[1], ("Objct is not defined", Some("is it Object? Otherwise declare it, or import it")));
        assert_eq!(texts[0].0, "Buffr is not defined");
    }
}
