//! Resolves the relative imports of tests: modules of the project, and data as modules.
//!
//! A path is completed as by TypeScript and bundlers: `./orders` is `orders.ts` or `orders.js`, `./orders.js` may be
//! `orders.ts`, and a folder means its `index`. The format of data comes from `with { type: 'json' }`, or else from the
//! file name.

use std::fmt::Write as _;
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::program::{self, plain};
use sluicegate_engine::testing::Module;

/// The suffixes that are tried if a path is not a file.
const ENDINGS: &[&str] = &[".ts", ".js", ".mts", ".mjs", "/index.ts", "/index.js"];

/// The format of imported data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    JsonLines,
    Text,
}

/// Returns the module that a test file or one of its modules imports by a relative path.
///
/// # Errors
/// When there is no such module; the text says why.
pub(super) fn import(
    specifier: &str,
    importer: &Path,
    form: Option<&str>,
    roots: &[PathBuf],
) -> Result<Module, String> {
    let failed = |why: &str| format!("import from {specifier} failed. {why}");
    // Vite's syntax for importing a file's text.
    let (path, form) = match specifier.strip_suffix("?raw") {
        Some(path) => (path, Some("text")),
        None => (specifier, form),
    };
    let path = tidy(&importer.parent().unwrap_or(Path::new("")).join(path));
    let form = form_of(&path, form).map_err(|why| failed(&why))?;
    let found = if form.is_some() { path.is_file().then(|| path.clone()) } else { complete(&path) };
    let Some(path) = found else { return Err(failed(&format!("There is no file {}.", path.display()))) };
    let real = path.canonicalize().map_err(|error| failed(&plain(&error)))?;
    if !is_inside(&real, roots) {
        return Err(failed("Tests import files of their own project only."));
    }
    let Some(form) = form else {
        let code = program::read_module(&path, "the module").map_err(|error| error.to_string())?;
        return Ok(Module { name: path.display().to_string(), code });
    };
    let text = fs::read_to_string(&path).map_err(|error| failed(&plain(&error)))?;
    let code = as_module(text.trim_start_matches('\u{feff}'), form, &path)?;
    let word = if form == Form::Text { "?text" } else { "" };
    Ok(Module { name: format!("{}{word}", path.display()), code })
}

/// Returns the format of an imported data file; `None` for a module.
fn form_of(path: &Path, form: Option<&str>) -> Result<Option<Form>, String> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match (form, extension) {
        (Some("json"), _) | (None, "json") => Ok(Some(Form::Json)),
        (Some("jsonl"), _) | (None, "jsonl" | "ndjson") => Ok(Some(Form::JsonLines)),
        (Some("text"), _) | (None, "txt" | "csv" | "md") => Ok(Some(Form::Text)),
        (Some(other), _) => Err(format!("There is no type '{other}'; there are 'json', 'jsonl' and 'text'.")),
        (None, _) => Ok(None),
    }
}

/// Finds the file of a module whose path may lack the extension or have that of the compiled JavaScript.
fn complete(path: &Path) -> Option<PathBuf> {
    let mut candidates = vec![path.to_owned()];
    for (written, meant) in [("js", "ts"), ("mjs", "mts")] {
        if path.extension().is_some_and(|extension| extension == written) {
            candidates.push(path.with_extension(meant));
        }
    }
    let text = path.to_str()?;
    candidates.extend(ENDINGS.iter().map(|ending| PathBuf::from(format!("{text}{ending}"))));
    candidates.into_iter().find(|path| path.is_file() && is_module(path))
}

fn is_module(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| ["js", "mjs", "ts", "mts"].contains(&extension))
}

/// Returns whether a file, given by its real path, is inside the project and in no hidden folder.
fn is_inside(real: &Path, roots: &[PathBuf]) -> bool {
    let hidden = |part: Component<'_>| part.as_os_str().to_str().is_some_and(|name| name.starts_with('.'));
    roots.iter().any(|root| real.strip_prefix(root).is_ok_and(|inner| !inner.components().any(hidden)))
}

/// Resolves the path of a snapshot file.
///
/// # Errors
/// When a test may not write to it; the text says why.
pub(super) fn snapshot_file(path: &str, test: &Path, roots: &[PathBuf]) -> Result<PathBuf, String> {
    let hidden = Path::new(path)
        .components()
        .any(|part| matches!(part, Component::Normal(name) if name.to_str().is_none_or(|name| name.starts_with('.'))));
    let path = tidy(&test.parent().unwrap_or(Path::new("")).join(path));
    // The folder may not exist yet, so the nearest existing parent is checked.
    let there = path.ancestors().skip(1).find_map(|dir| {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        dir.canonicalize().ok()
    });
    let climbs = path.components().any(|part| part == Component::ParentDir);
    if climbs || !there.is_some_and(|dir| is_inside(&dir, roots)) {
        return Err(format!("toMatchFileSnapshot: {} is not a file of this project", path.display()));
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_source = is_module(&path) || hidden || name == "package.json" || name.ends_with(".toml");
    if is_source || path.is_symlink() {
        return Err(format!(
            "toMatchFileSnapshot: {} is a source of the project; name a file that only holds the snapshot, such as \
             __snapshots__/name.txt",
            path.display()
        ));
    }
    Ok(path)
}

/// Converts data to a module: the value is the default export, and the fields of a JSON object are named exports.
fn as_module(text: &str, form: Form, path: &Path) -> Result<String, String> {
    let literal = |text: &str| Value::from(text).to_string();
    Ok(match form {
        Form::Text => format!("export default {};\n", literal(text)),
        Form::JsonLines => {
            let mut code = "export default [\n".to_owned();
            for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                check_json(line, path, index)?;
                let _ = writeln!(code, "JSON.parse({}),", literal(line));
            }
            code.push_str("];\n");
            code
        }
        Form::Json => {
            let value = check_json(text, path, 0)?;
            let mut code = format!("const data = JSON.parse({});\nexport default data;\n", literal(text));
            let fields = value.as_object().into_iter().flat_map(serde_json::Map::keys);
            for (index, key) in fields.filter(|key| *key != "default").enumerate() {
                let key = literal(key);
                let _ = writeln!(code, "const field{index} = data[{key}]; export {{ field{index} as {key} }};");
            }
            code
        }
    })
}

fn check_json(text: &str, path: &Path, lines_before: usize) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        format!("{}:{}:{} is not JSON: {message}", path.display(), lines_before + error.line(), error.column().max(1))
    })
}

/// Removes `.` from a path and, where possible, `..`.
pub(super) fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(tidy.components().next_back(), Some(Component::Normal(_))) => {
                tidy.pop();
            }
            part => tidy.push(part),
        }
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_completed_and_stays_in_the_project() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for (name, text) in [
            ("a.ts", "export const a: number = 1;"),
            ("lib/index.js", "export const b = 2;"),
            ("x.json", "{\"n\": 1, \"default\": 2}"),
            ("bad.json", "{\n  \"n\": }"),
            ("e.jsonl", "{\"a\":1}\n\n{\"a\":2}\n"),
            (".env", "secret"),
        ] {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let roots = [root.clone()];
        let test = root.join("t.test.ts");
        let get = |specifier: &str, form| import(specifier, &test, form, &roots).map(|module| module.code);
        assert!(get("./a", None).unwrap().contains("export const a"));
        assert!(get("./a.js", None).unwrap().contains("export const a"));
        assert!(get("./lib", None).unwrap().contains("export const b"));
        assert!(get("./x.json", None).unwrap().contains("export { field0 as \"n\" };"));
        assert!(get("./x.json", Some("text")).unwrap().starts_with("export default \"{"));
        assert_eq!(get("./e.jsonl", None).unwrap().matches("JSON.parse").count(), 2);
        assert!(get("./bad.json", None).unwrap_err().contains("bad.json:2:8 is not JSON"));
        assert!(get("./x.json", Some("yaml")).unwrap_err().contains("'json', 'jsonl' and 'text'"));
        assert!(get("./.env", Some("text")).unwrap_err().contains("of their own project only"));
        assert!(get("../../etc/passwd", Some("text")).is_err());
        assert!(get("./none", None).unwrap_err().contains("There is no file"));
        let keep = |path: &str| snapshot_file(path, &test, &roots);
        assert!(keep("snapshots/new/one.txt").is_ok());
        assert!(keep("a.ts").is_err() && keep("../one.txt").is_err() && keep(".git/config").is_err());
    }
}
