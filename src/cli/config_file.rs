//! `sluicegate.toml`, read into [`Settings`].
//!
//! ```toml
//! [run]
//! workers = 4
//! errors = "dead.jsonl"
//!
//! [limits]
//! cpu = "200ms"
//! heap = "64MiB"
//!
//! [libraries]
//! dirs = ["lib"]
//! jsLib1 = "shared/js-lib-1.js"
//! ```
//!
//! An unknown key is an error. If it were ignored, a mistyped limit would be
//! noticed only in production. Paths are relative to the file that names them.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostic;
use super::settings::{Setting, Settings};
use super::values::{Kind, Library};
use crate::sync::table::type_name;
use sluicegate_engine::{Limits, nearest};

/// The name of the config file.
pub const NAME: &str = "sluicegate.toml";

/// Who wrote a config file; the allowed settings depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// The user who runs the program. May set everything.
    Operator,
    /// The author of the code next to the file. May set libraries
    /// in the file's folder, the batch size, and lower limits.
    Author,
}

/// Parses the config file at `path`; `text` is its contents.
///
/// # Errors
/// When the text is not TOML, has an unknown key or an invalid value, or sets something that its writer may not set.
pub fn parse(text: &str, path: &Path, writer: Writer) -> Result<Settings, Diagnostic> {
    let file = File { text, path, base: path.parent().unwrap_or(Path::new("")), writer };
    let document = DeTable::parse(text).map_err(|error| {
        let message = error.message().trim_end().replace('\n', ", ");
        file.error(format!("this is not TOML: {message}"), error.span().unwrap_or(0..0))
    })?;
    let mut settings = Settings::default();
    for (table, span, value) in in_order(document.get_ref()) {
        match (table, value.get_ref()) {
            ("libraries", DeValue::Table(entries)) => file.libraries(entries, &mut settings)?,
            ("run" | "limits" | "network" | "serve", DeValue::Table(entries)) => {
                file.table(table, entries, &mut settings)?;
            }
            ("run" | "limits" | "network" | "serve" | "libraries", other) => {
                let message = format!("{table} is a table, not {}", type_name(other));
                return Err(file.error(message, value.span()).help(format!("write [{table}] on a line of its own")));
            }
            _ => return Err(file.unknown_table(table, span)),
        }
    }
    Ok(settings)
}

struct File<'a> {
    text: &'a str,
    path: &'a Path,
    base: &'a Path,
    writer: Writer,
}

/// Returns the entries in the order of the file, so that the first mistake is reported first.
fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<(&'t str, Range<usize>, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value)).collect();
    entries.sort_by_key(|(_, span, _)| span.start);
    entries
}

impl File<'_> {
    fn error(&self, message: String, span: Range<usize>) -> Diagnostic {
        Diagnostic::new(message).at(self.path.display().to_string(), self.text, span)
    }

    fn table(&self, table: &str, entries: &DeTable<'_>, settings: &mut Settings) -> Result<(), Diagnostic> {
        for (key, span, value) in in_order(entries) {
            let Some(setting) = Settings::table().find(|setting| setting.table == table && setting.key == key) else {
                return Err(self.unknown_key(table, key, span));
            };
            let text = self.text_of(setting, value)?;
            settings
                .set(setting.flag, &text)
                .map_err(|reason| self.error(format!("{table}.{key} has an invalid value: {reason}"), value.span()))?;
            if self.writer == Writer::Author {
                self.refuse(setting, settings, span)?;
            }
        }
        Ok(())
    }

    /// Returns the value as text, if it has the right type. Paths are resolved against the file's folder.
    fn text_of(&self, setting: &Setting, value: &Spanned<DeValue<'_>>) -> Result<String, Diagnostic> {
        let text = match (setting.kind, value.get_ref()) {
            (Kind::Size | Kind::Count, DeValue::Integer(number)) if number.radix() == 10 => {
                Some(number.as_str().replace('_', ""))
            }
            (Kind::Switch, DeValue::Boolean(switch)) => Some(switch.to_string()),
            (Kind::List(_), DeValue::Array(items)) => {
                let texts: Option<Vec<&str>> = items.iter().map(|item| item.get_ref().as_str()).collect();
                texts.map(|texts| texts.join(","))
            }
            (
                Kind::Size | Kind::Duration | Kind::Word(_) | Kind::Text(_) | Kind::List(_) | Kind::Url,
                DeValue::String(text),
            ) => Some(text.to_string()),
            (Kind::Target, DeValue::String(text)) if text == "-" => Some(text.to_string()),
            (Kind::Path | Kind::Target, DeValue::String(text)) if !text.is_empty() => {
                let path = self.resolve(text).into_os_string().into_string();
                Some(path.map_err(|_| {
                    self.error("this path lies in a folder whose name is not UTF-8".to_owned(), value.span())
                        .help("name the file with a flag instead")
                })?)
            }
            (Kind::Path | Kind::Target, DeValue::String(_)) => Some(String::new()),
            _ => None,
        };
        text.ok_or_else(|| {
            let (expects, found) = (setting.kind.expects(), type_name(value.get_ref()));
            let message =
                format!("{}.{} has a wrong type: expected {expects}, found {found}", setting.table, setting.key);
            self.error(message, value.span())
        })
    }

    fn resolve(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// Rejects a setting that the author of the code may not change.
    fn refuse(&self, setting: &Setting, settings: &Settings, span: Range<usize>) -> Result<(), Diagnostic> {
        let (limits, default) = (&settings.limits, Limits::default());
        let Setting { table, key, .. } = *setting;
        let raised = match (table, key) {
            ("run", "batch-size") => return Ok(()),
            ("limits", "cpu") => limits.cpu_limit > Some(default.cpu),
            ("limits", "wall") => limits.wall_limit > Some(default.wall),
            ("limits", "heap") => limits.heap_limit > Some(default.heap),
            ("limits", "output") => limits.output_limit > Some(default.output),
            ("limits", "line") => limits.line_limit > Some(default.line),
            ("limits", "log") => limits.log_limit > Some(default.log),
            _ => {
                let message =
                    format!("a config file beside the code cannot set {table}.{key}: that is for who runs it");
                return Err(self.error(message, span).help(self.named()));
            }
        };
        if raised {
            let message = format!("a config file beside the code can only lower {table}.{key}, not raise it");
            return Err(self.error(message, span).help(self.named()));
        }
        Ok(())
    }

    /// Resolves a library's path. For an author, the real path, with links resolved, must be in the file's folder.
    fn library(&self, path: &str, span: Range<usize>) -> Result<PathBuf, Diagnostic> {
        let resolved = self.resolve(path);
        let here = if self.base.as_os_str().is_empty() { Path::new(".") } else { self.base };
        if self.writer == Writer::Author
            && let (Ok(here), Ok(real)) = (here.canonicalize(), resolved.canonicalize())
            && !real.starts_with(here)
        {
            let message = format!("the library {path} lies outside of the config file's folder");
            return Err(self.error(message, span).help(self.named()));
        }
        Ok(resolved)
    }

    fn named(&self) -> String {
        format!("if you trust what it says, name it: --config {}", self.path.display())
    }

    fn libraries(&self, entries: &DeTable<'_>, settings: &mut Settings) -> Result<(), Diagnostic> {
        for (key, _, value) in in_order(entries) {
            match (key, value.get_ref()) {
                ("dirs", DeValue::Array(items)) => {
                    let mut dirs = Vec::new();
                    for item in items.iter() {
                        let Some(dir) = item.get_ref().as_str().filter(|dir| !dir.is_empty()) else {
                            let found = type_name(item.get_ref());
                            let message = format!("libraries.dirs has a wrong type: expected paths, found {found}");
                            return Err(self.error(message, item.span()));
                        };
                        dirs.push(self.library(dir, item.span())?);
                    }
                    settings.libraries.library_dir = Some(dirs);
                }
                ("dirs", other) => {
                    let found = type_name(other);
                    let message = format!("libraries.dirs has a wrong type: expected a list of paths, found {found}");
                    return Err(self.error(message, value.span()).help("write dirs = [\"lib\"]"));
                }
                (handle, DeValue::String(path)) if !path.is_empty() => {
                    let path = self.library(path, value.span())?;
                    settings.libraries.library.push(Library { handle: handle.to_owned(), path });
                }
                (handle, other) => {
                    let found = type_name(other);
                    let message = format!("libraries.{handle} has a wrong type: expected a path, found {found}");
                    let help = format!("write {handle} = \"lib/{handle}.js\"; folders of libraries are named by dirs");
                    return Err(self.error(message, value.span()).help(help));
                }
            }
        }
        Ok(())
    }

    fn unknown_table(&self, name: &str, span: Range<usize>) -> Diagnostic {
        let error = self.error(format!("unknown table or key {name}"), span);
        if let Some(setting) = Settings::table().find(|setting| setting.key == name || setting.flag == name) {
            return error.help(format!("{} belongs in the table [{}]", setting.key, setting.table));
        }
        match nearest(name, ["run", "limits", "network", "serve", "libraries"]) {
            Some(near) => error.help(format!("did you mean [{near}]?")),
            None => error.help("the tables are [run], [limits], [network], [serve] and [libraries]"),
        }
    }

    fn unknown_key(&self, table: &str, key: &str, span: Range<usize>) -> Diagnostic {
        let error = self.error(format!("unknown key {key} in [{table}]"), span);
        let named = |setting: &&Setting| setting.key == key || setting.flag == key;
        if let Some(setting) = Settings::table().find(named) {
            return error.help(match setting.table == table {
                true => format!("in the file it is called {}", setting.key),
                false => format!("{} belongs in the table [{}]", setting.key, setting.table),
            });
        }
        let keys = || Settings::table().filter(|setting| setting.table == table).map(|setting| setting.key);
        match nearest(key, keys()) {
            Some(near) => error.help(format!("did you mean {near}?")),
            None => error.help(format!("the keys of [{table}] are {}", keys().collect::<Vec<_>>().join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::cli::golden;
    use crate::config::{Emit, Target};

    #[test]
    fn every_setting_can_be_written() {
        let mut text = String::new();
        for table in ["run", "limits", "network", "serve"] {
            text.push_str(&format!("[{table}]\n"));
            for setting in Settings::table().filter(|setting| setting.table == table) {
                let value = match setting.kind {
                    Kind::Size => "\"9MiB\"".to_owned(),
                    Kind::Duration => "\"20ms\"".to_owned(),
                    Kind::Count => "3".to_owned(),
                    Kind::Switch => "true".to_owned(),
                    Kind::Word(words) => format!("\"{}\"", words[0]),
                    Kind::Url => "\"http://geo.example\"".to_owned(),
                    Kind::Text(_) if setting.flag == "listen" => "\"[::1]:0\"".to_owned(),
                    Kind::Text(_) if setting.flag == "test-token" => "\"long-enough\"".to_owned(),
                    Kind::Text(_) => "\"never\"".to_owned(),
                    Kind::List(_) => "[\"localhost:80\", \"b.example\"]".to_owned(),
                    Kind::Path | Kind::Target => "\"some/file\"".to_owned(),
                };
                text.push_str(&format!("{} = {value}\n", setting.key));
            }
        }
        let settings = parse(&text, Path::new("sluicegate.toml"), Writer::Operator).unwrap();
        assert_eq!(settings.limits.cpu_limit, Some(Duration::from_millis(20)));
        assert_eq!(settings.limits.heap_limit, Some(9 << 20));
        assert_eq!(settings.events.emit, Some(Emit::Events));
        assert_eq!(settings.network.allow_net, "localhost:80,b.example".parse().ok());
        let url = format!("{:?}", settings.network.geolocation_url);
        let text = format!("{settings:?}").replace("library_dir: None", "").replace(&url, "");
        assert!(!text.contains("None"), "{text}");
    }

    #[test]
    fn paths_are_relative_to_the_file_and_a_dash_is_no_path() {
        let text = "[run]\nerrors = \"dead.jsonl\"\nlogs = \"-\"\ncredentials = \"/etc/c.json\"\n\
                    [libraries]\ndirs = [\"lib\"]\njsLib1 = \"one.js\"\n\"@rs/hash/v1\" = \"h.js\"\n";
        let settings = parse(text, Path::new("project/sluicegate.toml"), Writer::Operator).unwrap();
        assert_eq!(settings.failures.errors, Some(Target::File("project/dead.jsonl".into())));
        assert_eq!(settings.messages.logs, Some(Target::Stderr));
        assert_eq!(settings.data.credentials, Some("/etc/c.json".into()));
        assert_eq!(settings.libraries.library_dir, Some(vec!["project/lib".into()]));
        let library = |handle: &str, path: &str| Library { handle: handle.into(), path: path.into() };
        assert_eq!(
            settings.libraries.library,
            [library("jsLib1", "project/one.js"), library("@rs/hash/v1", "project/h.js")]
        );
    }

    #[test]
    fn sizes_may_be_numbers() {
        let settings = parse("[limits]\nheap = 16_777_216\n", Path::new(NAME), Writer::Operator).unwrap();
        assert_eq!(settings.limits.heap_limit, Some(16 << 20));
    }

    /// Each `tests/golden/config/*.toml` is invalid; the `.txt` file next to it is the error message.
    #[test]
    fn mistakes_are_named_with_their_place() {
        golden::each("tests/golden/config", "toml", |path| {
            let text = std::fs::read_to_string(path).unwrap();
            match parse(&text, Path::new(NAME), Writer::Operator) {
                Ok(settings) => format!("no error: {settings:?}\n"),
                Err(error) => error.render(false),
            }
        });
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}|(\\[?(run|limits|libraries)\\]?\n?( ?[a-z-]{1,8} ?= ?(\"[^\"]*\"|[0-9]+|\\[.*\\])\n)*){0,4}") {
            let _ = parse(&text, Path::new(NAME), Writer::Operator).map_err(|error| error.render(true));
        }
    }

    #[test]
    fn what_lies_beside_the_code_decides_only_what_its_author_may() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("code/lib")).unwrap();
        std::fs::write(dir.path().join("secret.js"), "").unwrap();
        std::os::unix::fs::symlink("../../secret.js", dir.path().join("code/lib/link.js")).unwrap();
        let file = dir.path().join("code/sluicegate.toml");
        let get = |text: &str| parse(text, &file, Writer::Author).map_err(|error| error.message);
        let fine = "[run]\nbatch-size = 5\n[limits]\ncpu = \"20ms\"\nheap = \"128MiB\"\n[libraries]\ndirs = [\"lib\"]\nnew = \"new.js\"\n";
        assert_eq!(get(fine).unwrap().limits.cpu_limit, Some(Duration::from_millis(20)));
        for (text, words) in [
            ("[network]\nallow = [\"*\"]\n", "cannot set network.allow"),
            ("[run]\nerrors = \"/etc/passwd\"\n", "cannot set run.errors"),
            ("[run]\ncredentials = \"c.json\"\n", "cannot set run.credentials"),
            ("[run]\nrequire-sandbox = false\n", "cannot set run.require-sandbox"),
            ("[serve]\nlisten = \"[::1]:0\"\n", "cannot set serve.listen"),
            ("[limits]\ncpu = \"2s\"\n", "can only lower limits.cpu"),
            ("[limits]\nheap = \"1GiB\"\n", "can only lower limits.heap"),
            ("[libraries]\na = \"../secret.js\"\n", "outside of the config file's folder"),
            ("[libraries]\na = \"lib/link.js\"\n", "outside of the config file's folder"),
            ("[libraries]\ndirs = [\"..\"]\n", "outside of the config file's folder"),
        ] {
            let message = get(text).expect_err(text);
            assert!(message.contains(words), "{text}: {message}");
            // In a file that the operator names, every setting is allowed.
            parse(text, &file, Writer::Operator).expect(text);
        }
    }
}
