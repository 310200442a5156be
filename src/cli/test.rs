//! `sluicegate test`: finds the tests, loads each transformation as `run` would, and prints the results.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::args::{Global, TestArgs};
use super::config::{for_tests, for_transformation};
use super::diagnostic::Diagnostic;
use super::program::{self, Loaded, Sources as Files, plain};
use super::report::MessageStyle;
use super::setting_sources::Env;
use super::settings::Settings;
use super::test_coverage::tell_coverage;
use super::test_import::{import, snapshot_file, tidy};
use super::test_init::init;
use super::test_report::Pretty;
use super::test_watch::{FailedTests, Selection, watch};
use crate::config::Reporter;
use crate::tally::exit;
use crate::testing::coverage::Coverage;
use crate::testing::data::{self, About, Code, DataError, DataUnit};
use crate::testing::discover::{self, Kind, subject_of};
use crate::testing::report::{self, Tap};
use crate::testing::{self, FileResult, Plan, Sources, Status, Subject, TestResult, Totals, Unit, UnitTests};
use sluicegate_engine::testing::Module;
use sluicegate_engine::verdict::Position;
use sluicegate_engine::{LoadError, LoadErrorKind, ModuleId, Options, Program};

/// Runs the tests; returns the exit code.
///
/// # Errors
/// When they cannot be run.
pub fn test(args: &TestArgs, global: &Global, message_style: MessageStyle) -> anyhow::Result<u8> {
    if let Some(transformation) = &args.init {
        return super::print(init(transformation)?.as_bytes());
    }
    let ci = std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
    if args.update && ci {
        return Err(Diagnostic::new("--update is refused where CI is set: snapshots are looked at before they change")
            .help("run `sluicegate test --update` on your own machine, read the difference, and commit it")
            .into());
    }
    let paths = if args.paths.is_empty() { vec![PathBuf::from(".")] } else { args.paths.clone() };
    let runner = Runner { args, global, message_style, ci };
    let first = Selection { paths, names: args.filter.clone(), update: args.update };
    if !args.watch {
        return Ok(runner.once(&first)?.0);
    }
    watch(&first.paths, args.filter.as_deref(), &mut |selection| match runner.once(selection) {
        Ok((_, failed)) => failed,
        Err(error) => {
            message_style.error(&error);
            FailedTests::new()
        }
    })?;
    Ok(exit::COMPLETE)
}

/// Runs the tests of a folder without writing anything. Returns the results as
/// JSON; the files in it are relative to `real`, the folder's canonical path.
///
/// # Errors
/// When they cannot be run.
pub(super) fn results(dir: &Path, real: &Path, global: &Global) -> anyhow::Result<String> {
    let started = Instant::now();
    let paths = [dir.to_owned()];
    let project = Project { flags: global.typed.clone(), global: global.clone(), roots: roots(&paths)? };
    let (units, mut files) = project.units(&paths)?;
    let args = TestArgs::default();
    let runner = Runner { args: &args, global, message_style: MessageStyle::default(), ci: true };
    let plan = runner.plan(units, &Selection { paths: paths.to_vec(), names: None, update: false })?;
    let mut totals = Totals::default();
    files.iter().for_each(|file| totals.add(file));
    let ran = testing::run(&plan, &project, &mut |file| files.push(file))?;
    let totals = Totals { broken: totals.broken + ran.broken, ..ran };
    let relative = |path: &str| {
        let found = Path::new(path).canonicalize().ok();
        found
            .and_then(|found| Some(found.strip_prefix(real).ok()?.to_str()?.to_owned()))
            .unwrap_or_else(|| path.to_owned())
    };
    for file in &mut files {
        let libraries = std::mem::take(&mut file.libraries);
        let place = |at: &mut Position| {
            let library = ModuleId::parse(&at.file).library().and_then(|handle| libraries.get(handle)?.to_str());
            at.file = relative(library.unwrap_or(&at.file));
        };
        file.file = relative(&file.file);
        file.load_error.iter_mut().filter_map(|error| error.position.as_mut()).for_each(place);
        for test in &mut file.tests {
            test.file = test.file.as_deref().map(relative);
            test.position.iter_mut().for_each(place);
        }
    }
    Ok(report::json(&files, &totals, started.elapsed().as_secs_f64()))
}

/// Runs tests with the settings of the flags.
struct Runner<'a> {
    args: &'a TestArgs,
    global: &'a Global,
    message_style: MessageStyle,
    ci: bool,
}

impl Runner<'_> {
    /// Runs the selected tests once; returns the exit code and the failed tests.
    fn once(&self, selection: &Selection) -> anyhow::Result<(u8, FailedTests)> {
        let Self { args, global, message_style, .. } = *self;
        let started = Instant::now();
        let project = Project { flags: global.typed.clone(), global: global.clone(), roots: roots(&args.paths)? };
        let (units, broken) = project.units(&selection.paths)?;
        let mut totals = Totals::default();
        let mut printer = ResultPrinter::new(args, message_style);
        for file in broken {
            totals.add(&file);
            printer.print(file)?;
        }
        let plan = self.plan(units, selection)?;
        let mut failed = None;
        let mut covered = Coverage::default();
        let ran = testing::run(&plan, &project, &mut |mut file| {
            project.add_coverage(&mut covered, &mut file);
            if let Err(error) = printer.print(file) {
                failed.get_or_insert(error);
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        totals = Totals { broken: totals.broken + ran.broken, ..ran };
        printer.end(&totals, started.elapsed())?;
        if totals.passed + totals.failed + totals.skipped + totals.todo + totals.broken == 0 {
            return Err(nothing_found(selection.names.as_deref(), totals.filtered).into());
        }
        let enough = !plan.coverage || tell_coverage(args, &covered.files())?;
        let code = match totals {
            Totals { broken: 1.., .. } => exit::COULD_NOT_RUN,
            Totals { failed: 1.., .. } => exit::EVENTS_FAILED,
            _ if !enough => exit::EVENTS_FAILED,
            _ => exit::COMPLETE,
        };
        Ok((code, printer.failed()))
    }

    fn plan(&self, units: Vec<Unit>, selection: &Selection) -> anyhow::Result<Plan> {
        let Self { args, global, ci, .. } = *self;
        Ok(Plan {
            units,
            filter: selection.names.clone(),
            update: selection.update,
            ci,
            fail_fast: args.fail_fast,
            list_only: args.list,
            seed: args.seed,
            time: args.test_timeout.unwrap_or(Duration::from_secs(5)),
            workers: match args.workers.unwrap_or(0) {
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                workers => workers,
            },
            coverage: !args.list && (args.coverage || args.coverage_lcov.is_some() || args.min_coverage.is_some()),
            isolation: args.isolation,
            sandbox: for_tests(global.typed.clone(), global, Env::here())?,
        })
    }
}

fn nothing_found(filter: Option<&str>, filtered: usize) -> Diagnostic {
    match (filter, filtered) {
        (Some(filter), 1..) => {
            Diagnostic::new(format!("no test was run: none of {filtered} has a name that matches {filter}"))
                .help("`sluicegate test --list` shows the names")
        }
        _ => Diagnostic::new("no test was found")
            .help("write one in a file named after the transformation: orders.test.js for orders.js"),
    }
}

/// Returns the folders from which tests may import files.
fn roots(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut roots = vec![std::env::current_dir()?.canonicalize()?];
    for path in paths {
        if let Ok(path) = path.canonicalize() {
            let dir = if path.is_dir() { Some(path.as_path()) } else { path.parent() };
            roots.extend(dir.map(Path::to_owned));
        }
    }
    Ok(roots)
}

/// Finds the files of the project.
struct Project {
    flags: Settings,
    global: Global,
    roots: Vec<PathBuf>,
}

impl Project {
    /// Returns the units to run, and the files that cannot be run.
    fn units(&self, paths: &[PathBuf]) -> anyhow::Result<(Vec<Unit>, Vec<FileResult>)> {
        let found = discover::find(paths).map_err(|(path, error)| {
            Diagnostic::new(format!("cannot look for tests in {}: {}", path.display(), plain(&error)))
                .help("name a folder, or a test file such as orders.test.js")
        })?;
        let mut units = Vec::new();
        let mut broken = Vec::new();
        let mut break_off = |file: &Path, error: LoadError| {
            let file = file.display().to_string();
            broken.push(FileResult { file, load_error: Some(error), ..FileResult::default() });
        };
        let mut cases: BTreeMap<(PathBuf, Option<PathBuf>), Vec<serde_json::Value>> = BTreeMap::new();
        let mut yaml = Vec::new();
        for (path, kind) in found {
            match kind {
                Kind::Code => match program::read_module(&path, "the test") {
                    Ok(code) => units.push(Unit {
                        name: path.display().to_string(),
                        tests: UnitTests::Code(code),
                        libraries: self.library_paths(&path),
                        subject: self.named_after(&path),
                    }),
                    Err(error) => break_off(&path, load_error(error)),
                },
                Kind::Case => match data::case(&path) {
                    Ok((transformation, case)) => {
                        let about = transformation.or_else(|| subject_of(&path));
                        let dir = path.parent().unwrap_or(Path::new("")).to_owned();
                        cases.entry((dir, about)).or_default().push(case);
                    }
                    Err(error) => break_off(&error.file.clone(), data_error(&error)),
                },
                Kind::Yaml => yaml.push(path),
                Kind::Meta => match data::meta(&path) {
                    Ok(found) => units.extend(found.into_iter().map(|unit| self.data_unit(unit))),
                    Err(error) => break_off(&error.file.clone(), data_error(&error)),
                },
            }
        }
        for ((dir, about), cases) in cases {
            let subject = match &about {
                Some(path) => self.read(path),
                None => Err(
                    "no transformation was found for these cases: name it with \"transformation\": \"./orders.js\" \
                             in the case, or call the case orders.NAME.case.json"
                        .to_owned(),
                ),
            };
            units.push(Unit {
                name: dir.join("*.case.json").display().to_string(),
                tests: as_cases(&cases),
                libraries: about.map(|path| self.library_paths(&path)).unwrap_or_default(),
                subject,
            });
        }
        match data::rudder(&yaml) {
            Ok(found) => units.extend(found.into_iter().map(|unit| self.data_unit(unit))),
            Err(error) => break_off(&error.file.clone(), data_error(&error)),
        }
        Ok((units, broken))
    }

    fn data_unit(&self, unit: DataUnit) -> Unit {
        let mut libraries = match &unit.about {
            About::Code(Code::File(path)) => self.library_paths(path),
            _ => BTreeMap::new(),
        };
        let subject = match &unit.about {
            About::Code(Code::File(path)) => self.read(path),
            About::Code(Code::Text(name, code)) => self.with_settings(Path::new(name), Some(code)),
            About::Nothing(why) => Err(why.clone()),
        };
        let subject = subject.and_then(|mut subject| {
            for (handle, code) in &unit.libraries {
                let code = match code {
                    Code::File(path) => program::read_module(path, "the library").map_err(|error| error.to_string())?,
                    Code::Text(_, code) => code.clone(),
                };
                subject.program.libraries.entry(handle.clone()).or_insert(code);
            }
            Ok(subject)
        });
        for (handle, code) in unit.libraries {
            if let Code::File(path) = code {
                libraries.entry(handle).or_insert(path);
            }
        }
        Unit { name: unit.name, tests: as_cases(&unit.cases), subject, libraries }
    }

    /// Loads the transformation that a test file is named after.
    fn named_after(&self, test: &Path) -> Result<Subject, String> {
        match subject_of(test) {
            Some(path) => self.read(&path),
            None => self.with_settings(test, Some("")).and(Err(format!(
                "{} is named after no transformation, so transform(event) does not know which one is meant: call the \
                 file like it (orders.test.js for orders.js), or use transform.of('./orders.js')",
                test.display()
            ))),
        }
    }

    fn read(&self, path: &Path) -> Result<Subject, String> {
        self.with_settings(path, None)
    }

    /// Loads a transformation as `run` would: with its config file,
    /// libraries and limits. `code` replaces the file's code.
    fn with_settings(&self, path: &Path, code: Option<&str>) -> Result<Subject, String> {
        let (files, options) = for_transformation(self.flags.clone(), &self.global, path, Env::here())
            .map_err(|error| error.to_string())?;
        let program = match code {
            None => program::read(&files).map(|Loaded { program, .. }| program),
            Some(code) => program::read_libraries(&files)
                .map(|(libraries, _)| Program { libraries, ..Program::new(path.display().to_string(), code) }),
        };
        let program = program.map_err(|error| error.to_string())?;
        Ok(Subject { program, options: Options { logs: true, ..options } })
    }

    /// Returns the files of the libraries of a test, by import name.
    fn library_paths(&self, test: &Path) -> BTreeMap<String, PathBuf> {
        let about = subject_of(test).unwrap_or_else(|| test.to_owned());
        let found = for_transformation(self.flags.clone(), &self.global, &about, Env::here());
        found.ok().and_then(|(files, _): (Files, _)| program::read_libraries(&files).ok()).unwrap_or_default().1
    }
}

impl Project {
    /// Adds the coverage of a unit. Only the author's files count:
    /// no tests, no shipped libraries, no code without a file.
    fn add_coverage(&self, coverage: &mut Coverage, file: &mut FileResult) {
        for script in std::mem::take(&mut file.coverage) {
            let path = match ModuleId::parse(&script.name).library() {
                Some(handle) => file.libraries.get(handle).cloned(),
                None => Some(PathBuf::from(&script.name)),
            };
            let Some(path) = path.map(|path| tidy(&path)).filter(|path| program::module_stem(path).is_some()) else {
                continue;
            };
            if let Ok(code) = program::read_module(&path, "the module") {
                coverage.add(&path, &code, &script);
            }
        }
    }
}

fn as_cases(cases: &[serde_json::Value]) -> UnitTests {
    UnitTests::Cases(serde_json::Value::from(cases.to_vec()).to_string())
}

impl Sources for Project {
    fn module(&self, specifier: &str, importer: &Path, form: Option<&str>) -> Result<Module, String> {
        if specifier.starts_with("./") || specifier.starts_with("../") {
            return import(specifier, importer, form, &self.roots);
        }
        if let Ok(subject) = self.with_settings(importer, Some(""))
            && let Some(code) = subject.program.library(specifier)
        {
            return Ok(Module { name: ModuleId::Library(specifier).to_string(), code: code.to_owned() });
        }
        Err(format!(
            "import from {specifier} failed. Module not found: it is neither a file (./name.js) nor a known library; name the \
             folder of a library with -L, or as dirs of [libraries] in sluicegate.toml"
        ))
    }

    fn file(&self, path: &str, from: &Path) -> Result<PathBuf, String> {
        snapshot_file(path, from, &self.roots)
    }

    fn subject(&self, path: &str, from: &Path) -> Result<Subject, String> {
        self.read(&tidy(&from.parent().unwrap_or(Path::new("")).join(path)))
    }
}

fn load_error(error: Diagnostic) -> LoadError {
    let place = error.place;
    LoadError {
        kind: LoadErrorKind::Syntax,
        message: error.message,
        end_column: place.as_ref().map_or(0, |place| place.columns.end),
        source_line: place.as_ref().and_then(|place| place.source.clone()),
        position: place.map(|place| Position { file: place.file, line: place.line, column: place.columns.start }),
        stack: None,
        help: error.help,
    }
}

fn data_error(error: &DataError) -> LoadError {
    let file = error.file.display().to_string();
    let (line, column) = error.at.unwrap_or((0, 0));
    let source = std::fs::read_to_string(&error.file).unwrap_or_default();
    let position = error.at.map(|_| Position { file: file.clone(), line: line as u32, column: column as u32 });
    LoadError {
        kind: LoadErrorKind::Syntax,
        message: format!("{file} is not a case: {}", error.message),
        end_column: column as u32 + 1,
        source_line: error.at.and_then(|_| source.lines().nth(line.saturating_sub(1)).map(str::to_owned)),
        position,
        stack: None,
        help: None,
    }
}

/// Prints results in the requested format.
struct ResultPrinter {
    reporter: Reporter,
    list: bool,
    pretty: Pretty,
    tap: Tap,
    all: Vec<FileResult>,
}

impl ResultPrinter {
    /// Returns the failed tests, each with the file that contains it.
    fn failed(&self) -> FailedTests {
        let tests = self.all.iter().flat_map(|file| file.tests.iter().map(move |test| (file, test)));
        let failed = tests.filter(|(_, test)| test.status == Status::Failed);
        let place = |file: &FileResult, test: &TestResult| {
            // RudderStack's input files are not tests by themselves.
            let own = test.file.as_ref().map(PathBuf::from).filter(|path| discover::is_test(path));
            own.unwrap_or_else(|| PathBuf::from(&file.file))
        };
        failed.map(|(file, test)| (place(file, test), test.name.clone())).collect()
    }

    fn new(args: &TestArgs, message_style: MessageStyle) -> Self {
        let reporter = args.reporter.unwrap_or_default();
        if reporter == Reporter::Tap && !args.list {
            let _ = std::io::stdout().lock().write_all(Tap::HEAD.as_bytes());
        }
        Self { reporter, list: args.list, pretty: Pretty::new(message_style), tap: Tap::default(), all: Vec::new() }
    }

    fn print(&mut self, file: FileResult) -> anyhow::Result<()> {
        let text = match self.reporter {
            _ if self.list => {
                let names = file
                    .tests
                    .iter()
                    .map(|test| format!("{} › {}\n", test.file.as_ref().unwrap_or(&file.file), test.name));
                let error = file.load_error.as_ref().map(|error| format!("{}: {error}\n", file.file));
                names.chain(error).collect()
            }
            Reporter::Pretty | Reporter::Github => self.pretty.file(&file),
            Reporter::Tap => self.tap.file(&file),
            Reporter::Json | Reporter::Junit => String::new(),
        };
        self.all.push(file);
        super::print(text.as_bytes())?;
        Ok(())
    }

    fn end(&mut self, totals: &Totals, elapsed: Duration) -> anyhow::Result<()> {
        let seconds = elapsed.as_secs_f64();
        let text = match self.reporter {
            _ if self.list => String::new(),
            Reporter::Pretty => self.pretty.end(&self.all, totals, elapsed),
            Reporter::Github => self.pretty.end(&self.all, totals, elapsed) + &report::github(&self.all),
            Reporter::Json => report::json(&self.all, totals, seconds),
            Reporter::Junit => report::junit(&self.all, totals, seconds),
            Reporter::Tap => self.tap.plan(),
        };
        super::print(text.as_bytes())?;
        Ok(())
    }
}
