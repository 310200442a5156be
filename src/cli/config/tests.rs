//! Checks what command line, environment and file resolve to together.

use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use super::*;
use crate::cli::args::{Cli, Command};
use crate::cli::settings::Setting;
use crate::cli::{config_file, golden, values};
use sluicegate_engine::UnsafeIntegers;

const IDENTITY: &str = "export function transformEvent(event) { return event; }";

/// A folder with a transformation, `t.js`, and a config file.
struct Project {
    dir: tempfile::TempDir,
    /// The current folder.
    folder: PathBuf,
    variables: BTreeMap<&'static str, String>,
}

impl Project {
    fn new(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("t.js"), IDENTITY).unwrap();
        if !config.is_empty() {
            fs::write(dir.path().join(config_file::NAME), config).unwrap();
        }
        Self { dir, folder: PathBuf::from("/no such folder"), variables: BTreeMap::new() }
    }

    fn with(self, file: &str, text: &str) -> Self {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Makes the project's folder the current one.
    fn here(mut self) -> Self {
        self.folder = self.path("");
        self
    }

    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.variables.insert(name, value.to_owned());
        self
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// Resolves a command line. `DIR` in a flag is replaced by the folder.
    fn run(&self, flags: &[&str]) -> std::result::Result<RunConfig, String> {
        let dir = self.dir.path().display().to_string();
        let mut words = vec!["sluicegate".to_owned(), "run".to_owned(), self.path("t.js").display().to_string()];
        words.extend(flags.iter().map(|flag| flag.replace("DIR", &dir)));
        let cli = Cli::read(words).map_err(|error| error.to_string())?;
        let Command::Run(args) = cli.command else { panic!("not run") };
        let variable = |name: &str| self.variables.get(name).map(OsString::from);
        let names = || -> Vec<OsString> { self.variables.keys().map(OsString::from).collect() };
        let env = Env { variable: &variable, names: &names, folder: &self.folder };
        run(&args, &cli.global, env).map_err(|error| error.render(false).replace(&dir, "DIR"))
    }
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let config = Project::new("").run(&[]).unwrap();
    assert_eq!(config.options, Options { unsafe_integers: UnsafeIntegers::Warn, ..Options::default() });
    assert_eq!(config.inputs, [Input::Stdin]);
    assert!(config.workers >= 1);
    assert_eq!((config.emit, config.on_error), (Emit::Events, OnError::DeadLetter));
    // The tests may run on a terminal.
    assert!(matches!(config.errors, Target::Stderr | Target::Temporary), "{:?}", config.errors);
    assert_eq!((config.fail_on, config.logs, config.batch_size), (FailOn::Error, None, 200));
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let project = Project::new("[limits]\ncpu = \"1ms\"\nheap = \"10MiB\"\nlog = \"1KiB\"\n[run]\nworkers = 3\n")
        .here()
        .set("SLUICEGATE_CPU_LIMIT", "2ms")
        .set("SLUICEGATE_HEAP_LIMIT", "20MiB")
        .set("SLUICEGATE_BATCH_SIZE", "");
    let config = project.run(&["--cpu-limit", "3ms"]).unwrap();
    assert_eq!(config.options.limits.cpu, Duration::from_millis(3));
    assert_eq!(config.options.limits.heap, 20 << 20);
    assert_eq!(config.options.limits.log, 1 << 10);
    assert_eq!((config.workers, config.batch_size), (3, BATCH_SIZE));
}

#[test]
fn the_file_is_looked_for_from_the_current_folder_upwards() {
    let mut project = Project::new("[run]\nworkers = 3\n").with("a/b/c/x.jsonl", "");
    project.folder = project.path("a/b/c");
    assert_eq!(project.run(&[]).unwrap().workers, 3);
    let project = project.with("a/sluicegate.toml", "[run]\nworkers = 4\n");
    assert_eq!(project.run(&[]).unwrap().workers, 4, "the nearest one");
    let beside = Project::new("[run]\nbatch-size = 5\n");
    assert_eq!(beside.run(&[]).unwrap().batch_size, 5, "without one above, that beside the transformation");
}

#[test]
fn a_variable_that_is_no_setting_is_refused() {
    let refused = |name: &'static str| Project::new("").set(name, "1s").run(&[]).unwrap_err();
    let text = refused("SLUICEGATE_CPU_LIMITS");
    assert!(
        text.contains("SLUICEGATE_CPU_LIMITS is not a setting") && text.contains("is it SLUICEGATE_CPU_LIMIT?"),
        "{text}"
    );
    assert!(refused("SLUICEGATE_XYZZY_PLUGH").contains("unset SLUICEGATE_XYZZY_PLUGH"));
    for name in ["SLUICEGATE_TEST_ROUNDS", "SLUICEGATE_BIN", "OTHER"] {
        assert!(Project::new("").set(name, "1").run(&[]).is_ok(), "{name}");
    }
    assert!(Project::new("").set("SLUICEGATE_NOTHING", "").run(&[]).is_ok(), "an empty one says nothing");
}

#[test]
fn a_switch_of_the_file_can_be_turned_off() {
    let project = Project::new("[run]\nunordered = true\nquiet = true\n").here().set("SLUICEGATE_QUIET", "0");
    let config = project.run(&[]).unwrap();
    assert_eq!((config.unordered, config.quiet), (true, false));
    assert!(!project.run(&["--unordered=false"]).unwrap().unordered);
}

#[test]
fn the_named_config_file_replaces_the_one_that_is_found() {
    let project = Project::new("[run]\nworkers = 3\n")
        .with("other.toml", "[run]\nbatch-size = 7\n")
        .with("third.toml", "[run]\nbatch-size = 8\n");
    let config = project.run(&["--config", "DIR/other.toml", "-j2"]).unwrap();
    assert_eq!((config.workers, config.batch_size), (2, 7));
    let third = project.path("third.toml").display().to_string();
    let project = project.set("SLUICEGATE_CONFIG", &third);
    assert_eq!(project.run(&[]).unwrap().batch_size, 8);
    assert_eq!(project.run(&["--config", "DIR/other.toml"]).unwrap().batch_size, 7);
}

#[test]
fn libraries_are_laid_over_each_other_handle_by_handle() {
    let project = Project::new("[libraries]\ndirs = [\"lib\"]\na = \"a1.js\"\nb = \"b1.js\"\n")
        .with("lib/c.js", "c1")
        .with("more/c.js", "c2")
        .with("a1.js", "a1")
        .with("b1.js", "b1")
        .with("b2.js", "b2");
    let libraries = |flags: &[&str]| project.run(flags).unwrap().program.libraries;
    let expect = |a: &str, b: &str, c: &str| {
        [("a", a), ("b", b), ("c", c)].map(|(handle, text)| (handle.to_owned(), text.to_owned())).into()
    };
    assert_eq!(libraries(&[]), expect("a1", "b1", "c1"));
    assert_eq!(libraries(&["--library", "b=DIR/b2.js"]), expect("a1", "b2", "c1"));
    assert_eq!(libraries(&["-L", "DIR/more"]), expect("a1", "b1", "c2"));
}

#[test]
fn libraries_can_come_from_the_environment() {
    let project = Project::new("").with("lib/c.js", "c").with("b.js", "b");
    let lib = project.path("lib").display().to_string();
    let named = format!("b={}", project.path("b.js").display());
    let project = project.set("SLUICEGATE_LIBRARY_DIR", &lib).set("SLUICEGATE_LIBRARY", &named);
    let libraries = project.run(&[]).unwrap().program.libraries;
    assert_eq!(libraries.keys().collect::<Vec<_>>(), ["b", "c"]);
}

#[test]
fn dead_letters_go_nowhere_only_when_the_output_carries_the_failure() {
    let project = Project::new("");
    let errors = |flags: &[&str]| project.run(flags).unwrap().errors;
    assert_eq!(errors(&[]), Target::Stderr);
    assert_eq!(errors(&["--on-error", "stop"]), Target::Stderr);
    assert_eq!(errors(&["--on-error", "pass"]), Target::Nowhere);
    assert_eq!(errors(&["--emit", "verdicts"]), Target::Nowhere);
    assert_eq!(errors(&["--emit", "verdicts", "--errors", "-"]), Target::Stderr);
    assert_eq!(errors(&["--on-error=pass", "--errors=DIR/e"]), Target::File(project.path("e")));
}

#[test]
fn a_cpu_limit_raises_an_unset_wall_limit() {
    let project = Project::new("");
    let wall = |flags: &[&str]| project.run(flags).unwrap().options.limits.wall.as_secs();
    assert_eq!(wall(&["--timeout", "30s"]), 30);
    assert_eq!(wall(&["--cpu-limit", "30s", "--wall-limit", "7s"]), 7);
    assert_eq!(wall(&["--cpu-limit", "200ms"]), 5);
}

#[test]
fn logs_are_kept_only_if_they_go_somewhere() {
    let project = Project::new("");
    assert!(!project.run(&[]).unwrap().options.logs);
    assert!(project.run(&["--logs", "-"]).unwrap().options.logs);
}

/// `tests/golden/flags.txt`: the messages about invalid flags, variables and files.
#[test]
fn each_mistake_says_what_to_do() {
    let project = Project::new("").with("events.jsonl", "{}\n").with("broken.toml", "[limits]\nheap = \"1MiB\"\n");
    let flags: &[&[&str]] = &[
        &["DIR/missing.jsonl"],
        &["DIR"],
        &["-", "-"],
        &["--heap-limit", "1MiB"],
        &["--heap-limit", "plenty"],
        &["--cpu-limit", "5"],
        &["--timeout", "0s"],
        &["-j", "2000"],
        &["-j", "-1"],
        &["--batch-size", "0"],
        &["--line-limit", "0"],
        &["--fail-on", "101%"],
        &["--emit", "event"],
        &["--on-error", "ignore"],
        &["--unordered=maybe"],
        &["--unordered", "--emit", "verdicts"],
        &["--unordered", "--emit", "framed"],
        &["--library", "jsLib1"],
        &["--cpu-limt", "1s"],
        &["--config", "DIR/missing.toml"],
        &["--config", "DIR"],
        &["--config", "DIR/broken.toml"],
        &["DIR/events.jsonl", "--errors", "DIR/events.jsonl"],
        &["--allow-net", "https://api.example.com"],
        &["--allow-net", "a.example,b c"],
        &["--geolocation-url", "geo.internal"],
        &["--logs", "DIR/t.js"],
        &["--logs", "DIR"],
        &["--logs", "DIR/new", "--errors", "DIR/new"],
    ];
    let mut text = String::new();
    for words in flags {
        let error = project.run(words).expect_err(&words.join(" "));
        let error = error.replace(&project.dir.path().display().to_string(), "DIR");
        text.push_str(&format!("# {}\n{error}\n", words.join(" ")));
    }
    for (name, value) in
        [("SLUICEGATE_HEAP_LIMIT", "1MiB"), ("SLUICEGATE_QUIET", "perhaps"), ("SLUICEGATE_LIBRARY", "a")]
    {
        let error = Project::new("").set(name, value).run(&[]).unwrap_err();
        text.push_str(&format!("# {name}={value}\n{error}\n"));
    }
    golden::check(Path::new("tests/golden/flags.txt"), &text).unwrap_or_else(|wrong| panic!("{wrong}"));
}

#[test]
fn every_row_of_the_table_is_a_flag_a_variable_and_a_key() {
    let text = |setting: &Setting| match setting.kind {
        values::Kind::Size => "9MiB",
        values::Kind::Duration => "20ms",
        values::Kind::Count => "3",
        values::Kind::Switch => "true",
        values::Kind::Word(words) => words[0],
        values::Kind::Text(_) if setting.flag == "listen" => "[::1]:0",
        values::Kind::Text(_) if setting.flag == "test-token" => "long-enough",
        values::Kind::Text(_) => "never",
        values::Kind::Url => "http://geo.example",
        values::Kind::List(_) => "localhost:80,b.example",
        values::Kind::Path | values::Kind::Target => "some/file",
    };
    for setting in Settings::table() {
        let (flag, value) = (format!("--{}={}", setting.flag, text(setting)), text(setting));
        let words: &[&str] = if setting.table == "serve" { &["serve"] } else { &["run", "t.js"] };
        let cli = Cli::read([&["sluicegate"], words, &[&flag]].concat()).unwrap();
        let from_flag = cli.global.typed;
        let name = setting.variable();
        let variable = |asked: &str| (asked == name).then(|| OsString::from(value));
        let env = Env { variable: &variable, names: &Vec::new, folder: Path::new("") };
        assert_eq!(from_flag, from_environment(env).unwrap(), "{flag}");
        assert_ne!(from_flag, Settings::default(), "{flag}");
    }
}
