//! Tests as data, without code: inputs and the expected outputs.
//!
//! Three formats are read. sluicegate's own format has a file per case (`*.case.json`), and covers
//! everything that a JavaScript test can do. The other two are RudderStack's, unchanged: the YAML of
//! its command line, with folders of input and output files with the same names, and the `meta.json`
//! of its GitHub action. In these, an expected `[]` asserts a drop, which their own runner cannot
//! check. Without an expected file, the test only checks that the code runs without an error.
//!
//! Events are passed on as text, so that a large integer reaches the code unchanged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::project_files;
use sluicegate_engine::handle_of;

/// The cases of one transformation.
#[derive(Clone, Debug)]
pub struct DataUnit {
    /// Its name in results.
    pub name: String,
    /// The transformation.
    pub about: About,
    /// Libraries that the project's files name, by import name.
    pub libraries: BTreeMap<String, Code>,
    /// The cases, in the form that `js/testing/cases.js` takes.
    pub cases: Vec<Value>,
}

/// The transformation of a set of cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// A transformation with source, in a file or in the YAML itself.
    Code(Code),
    /// No transformation was found; holds the reason.
    Nothing(String),
}

/// Source code: in a file, or as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// A file.
    File(PathBuf),
    /// Text from a file of another kind; the first part is its name in stack traces.
    Text(String, String),
}

/// A data file that is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub message: String,
    /// Line and column, from 1, if known.
    pub at: Option<(usize, usize)>,
}

type Result<T> = std::result::Result<T, DataError>;

fn wrong(file: &Path, message: impl Into<String>) -> DataError {
    DataError { file: file.to_owned(), message: message.into(), at: None }
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).map_err(|error| wrong(file, format!("it cannot be read: {error}")))
}

fn parse<'a, T: Deserialize<'a>>(file: &Path, text: &'a str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        DataError { file: file.to_owned(), message, at: Some((error.line(), error.column().max(1))) }
    })
}

// --- *.case.json ----------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile<'a> {
    name: Option<String>,
    /// Relative to the case's folder.
    transformation: Option<String>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow, default)]
    events: Vec<&'a RawValue>,
    metadata: Option<Value>,
    credentials: Option<Value>,
    /// Recorded answers, see `js/testing/fetch.js`.
    fetch: Option<serde_json::Map<String, Value>>,
    now: Option<Value>,
    seed: Option<u32>,
    #[serde(default)]
    skip: bool,
    expect: Expect,
    #[serde(default)]
    budget: Budget,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Expect {
    Word(String),
    Fields(ExpectFields),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectFields {
    events: Option<Vec<Value>>,
    failure: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    cpu: Option<String>,
    heap: Option<String>,
    output: Option<String>,
}

/// Reads a `*.case.json`; returns its transformation, if it names one, and the case.
///
/// # Errors
/// When the file is not a valid case.
pub fn case(file: &Path) -> Result<(Option<PathBuf>, Value)> {
    let text = read(file)?;
    let case: CaseFile<'_> = parse(file, &text)?;
    let events: Vec<&str> = case.event.into_iter().chain(case.events).map(RawValue::get).collect();
    if events.is_empty() {
        return Err(wrong(file, "it has neither `event` nor `events`"));
    }
    let expect = match case.expect {
        Expect::Word(word) if word == "drop" => json!({ "events": [] }),
        Expect::Word(word) if word == "ok" => json!({}),
        Expect::Fields(ExpectFields { events: Some(events), failure: None }) => json!({ "events": events }),
        Expect::Fields(ExpectFields { events: None, failure: Some(failure) }) => json!({ "failure": failure }),
        _ => {
            let forms = "{\"events\": […]}, \"drop\", \"ok\" or {\"failure\": {\"kind\": \"…\", \"message\": \"…\"}}";
            return Err(wrong(file, format!("`expect` is one of {forms}")));
        }
    };
    let mut options = json!({});
    for (key, value) in [
        ("metadata", case.metadata),
        ("credentials", case.credentials),
        ("fetch", case.fetch.map(Value::from)),
        ("now", case.now),
        ("seed", case.seed.map(Value::from)),
    ] {
        if let Some(value) = value {
            options[key] = value;
        }
    }
    let name = case.name.unwrap_or_else(|| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.strip_suffix(".case.json").unwrap_or(&name).to_owned()
    });
    let events: Vec<String> = events.into_iter().map(one_line).collect();
    let mut made = json!({ "name": name, "events": events, "options": options, "expect": expect, "skip": case.skip });
    made["budget"] = budget(file, &case.budget)?;
    made["file"] = file.display().to_string().into();
    let transformation = case.transformation.map(|path| beside(file, &path)).transpose()?;
    Ok((transformation, made))
}

/// Returns JSON text on one line, as in the input: line ends between tokens become blanks.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

fn budget(file: &Path, budget: &Budget) -> Result<Value> {
    let size = |key: &str, text: &Option<String>| -> Result<Value> {
        let Some(text) = text else { return Ok(Value::Null) };
        let size = text.parse::<ByteSize>();
        size.map(|size| size.as_u64().into())
            .map_err(|_| wrong(file, format!("`budget.{key}` is a size such as \"256KiB\"")))
    };
    let mut made = serde_json::Map::new();
    let cpu = match &budget.cpu {
        None => Value::Null,
        Some(text) => {
            let time = humantime::parse_duration(text);
            let time = time.map_err(|_| wrong(file, "`budget.cpu` is a time such as \"500us\""))?;
            (time.as_nanos() as u64).into()
        }
    };
    for (key, value) in
        [("cpu", cpu), ("heap", size("heap", &budget.heap)?), ("output", size("output", &budget.output)?)]
    {
        if !value.is_null() {
            made.insert(key.to_owned(), value);
        }
    }
    Ok(made.into())
}

// --- RudderStack's YAML ---------------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct Resource {
    version: Option<String>,
    kind: Option<String>,
    spec: Option<Spec>,
}

#[derive(Deserialize)]
struct Spec {
    id: Option<String>,
    name: Option<String>,
    language: Option<String>,
    code: Option<String>,
    file: Option<String>,
    import_name: Option<String>,
    #[serde(default)]
    tests: Vec<Suite>,
}

#[derive(Deserialize)]
struct Suite {
    name: Option<String>,
    input: Option<String>,
    output: Option<String>,
}

/// Returns the transformations in these YAML files, each with the libraries in them. A transformation
/// that cannot be tested becomes a skipped case. Files that are not resources of RudderStack are ignored.
///
/// # Errors
/// When a resource is invalid.
pub fn rudder(files: &[PathBuf]) -> Result<Vec<DataUnit>> {
    let mut units = Vec::new();
    let mut libraries = BTreeMap::new();
    for file in files {
        let text = read(file)?;
        // The folder may contain other YAML files; only RudderStack's resources contain this text.
        if !text.contains("rudder/v") {
            continue;
        }
        let resource: Resource = serde_saphyr::from_str(&text)
            .map_err(|error| wrong(file, error.to_string().lines().next().unwrap_or_default().to_owned()))?;
        let (Some(version), Some(kind), Some(spec)) = (resource.version, resource.kind, resource.spec) else {
            continue;
        };
        if !version.starts_with("rudder/") {
            continue;
        }
        let label = spec.name.clone().or(spec.id.clone()).unwrap_or_else(|| file.display().to_string());
        if let Some(reason) = other_language(spec.language.as_deref()) {
            if kind == "transformation" {
                units.push(skipped(file, &label, &reason));
            }
            continue;
        }
        let code = match (&spec.code, &spec.file) {
            (Some(code), None) => Code::Text(file.display().to_string(), code.clone()),
            (None, Some(path)) => Code::File(beside(file, path)?),
            _ => return Err(wrong(file, "spec has `code` or `file`, one of the two")),
        };
        match kind.as_str() {
            "transformation-library" => {
                libraries.insert(spec.import_name.clone().unwrap_or_else(|| handle_of(&label)), code);
            }
            "transformation" => {
                let mut cases = Vec::new();
                for suite in &spec.tests {
                    cases.extend(folder_cases(file, suite)?);
                }
                if cases.is_empty() {
                    units.push(skipped(file, &label, "it has no tests: spec.tests names none"));
                    continue;
                }
                units.push(DataUnit {
                    name: file.display().to_string(),
                    about: About::Code(code),
                    libraries: BTreeMap::new(),
                    cases,
                });
            }
            _ => {}
        }
    }
    units.iter_mut().for_each(|unit| unit.libraries.clone_from(&libraries));
    Ok(units)
}

/// Returns why a transformation in this language does not run; `None` for JavaScript.
fn other_language(language: Option<&str>) -> Option<String> {
    let language = language.filter(|language| !language.eq_ignore_ascii_case("javascript"))?;
    // Uses the common spelling of the name.
    let name = if language.to_ascii_lowercase().starts_with("python") { "Python" } else { language };
    Some(format!("it is written in {name}, and sluicegate runs JavaScript"))
}

/// Returns a unit for a transformation that is listed but does not run.
fn skipped(file: &Path, name: &str, reason: &str) -> DataUnit {
    let case = json!({
        "name": name, "events": [], "options": {}, "expect": {}, "skip": true, "reason": reason,
        "file": file.display().to_string(),
    });
    DataUnit {
        name: file.display().to_string(),
        about: About::Nothing(reason.to_owned()),
        libraries: BTreeMap::new(),
        cases: vec![case],
    }
}

/// Returns one case for each input file of a suite, in the order of their names.
fn folder_cases(file: &Path, suite: &Suite) -> Result<Vec<Value>> {
    let input = beside(file, suite.input.as_deref().unwrap_or("./input"))?;
    let output = beside(file, suite.output.as_deref().unwrap_or("./output"))?;
    let entries = fs::read_dir(&input)
        .map_err(|error| wrong(file, format!("the input folder {} cannot be read: {error}", input.display())))?;
    let mut inputs: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    inputs.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    inputs.sort();
    let prefix = suite.name.as_ref().map(|name| format!("{name} › ")).unwrap_or_default();
    inputs
        .iter()
        .map(|input| {
            let expected = output.join(input.file_name().unwrap_or_default());
            let stem = input.file_stem().unwrap_or_default().to_string_lossy();
            own(file, input.clone())?;
            own(file, expected.clone())?;
            in_and_out(format!("{prefix}{stem}"), input, expected.is_file().then_some(expected.as_path()))
        })
        .collect()
}

/// Returns the case of an input file and an expected file; each contains an array or one event.
fn in_and_out(name: String, input: &Path, expected: Option<&Path>) -> Result<Value> {
    let text = read(input)?;
    let events: Vec<String> = if text.trim_start().starts_with('[') {
        parse::<Vec<&RawValue>>(input, &text)?.into_iter().map(|event| one_line(event.get())).collect()
    } else {
        vec![one_line(parse::<&RawValue>(input, &text)?.get())]
    };
    let expect = match expected {
        None => json!({}),
        Some(file) => match parse::<Value>(file, &read(file)?)? {
            Value::Array(events) => json!({ "events": events }),
            event => json!({ "events": [event] }),
        },
    };
    let file = input.display().to_string();
    Ok(json!({ "name": name, "events": events, "options": {}, "expect": expect, "file": file }))
}

// --- the action's meta.json -----------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct Meta {
    transformations: Option<Vec<MetaTransformation>>,
    #[serde(default)]
    libraries: Vec<MetaLibrary>,
}

#[derive(Deserialize)]
struct MetaTransformation {
    file: String,
    name: Option<String>,
    language: Option<String>,
    #[serde(rename = "test-input-file")]
    input: Option<String>,
    #[serde(rename = "expected-output")]
    expected: Option<String>,
}

#[derive(Deserialize)]
struct MetaLibrary {
    file: String,
    name: String,
}

/// Returns the transformations of a `meta.json`; none if the file belongs to something else.
///
/// # Errors
/// When the file is the action's and is invalid.
pub fn meta(file: &Path) -> Result<Vec<DataUnit>> {
    let text = read(file)?;
    let Ok(meta) = serde_json::from_str::<Meta>(&text) else { return Ok(Vec::new()) };
    let Some(transformations) = meta.transformations else { return Ok(Vec::new()) };
    let libraries: BTreeMap<String, Code> = meta
        .libraries
        .iter()
        .map(|library| Ok((handle_of(&library.name), Code::File(near(file, &library.file)?))))
        .collect::<Result<_>>()?;
    let mut units = Vec::new();
    for one in transformations {
        let name = one.name.clone().unwrap_or_else(|| one.file.clone());
        if let Some(reason) = other_language(one.language.as_deref()) {
            units.push(skipped(file, &name, &reason));
            continue;
        }
        let Some(input) = &one.input else {
            units.push(skipped(file, &name, "it has no tests: there is no test-input-file"));
            continue;
        };
        let expected = one.expected.as_ref().map(|path| near(file, path)).transpose()?;
        units.push(DataUnit {
            name: file.display().to_string(),
            about: About::Code(Code::File(near(file, &one.file)?)),
            libraries: libraries.clone(),
            cases: vec![in_and_out(name, &near(file, input)?, expected.as_deref())?],
        });
    }
    Ok(units)
}

fn beside(file: &Path, path: &str) -> Result<PathBuf> {
    own(file, joined(file, path))
}

fn joined(file: &Path, path: &str) -> PathBuf {
    let path = path.strip_prefix("./").unwrap_or(path);
    file.parent().unwrap_or(Path::new("")).join(path)
}

/// Returns the path after checking that it is inside the project.
fn own(file: &Path, path: PathBuf) -> Result<PathBuf> {
    project_files::check(file, &path).map_err(|message| wrong(file, message))?;
    Ok(path)
}

/// Resolves a path of the action's file. These paths are relative to the root of the repository:
/// tries the file's own folder, the current folder, and then the parent folders, the nearest first.
fn near(file: &Path, path: &str) -> Result<PathBuf> {
    let relative = path.strip_prefix("./").unwrap_or(path);
    let absolute = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let beside = joined(file, path);
    if beside.exists() || Path::new(relative).exists() {
        return own(file, if beside.exists() { beside } else { PathBuf::from(relative) });
    }
    own(file, absolute.ancestors().skip(1).map(|dir| dir.join(relative)).find(|path| path.exists()).unwrap_or(beside))
}
