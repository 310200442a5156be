//! Generates `docs/configuration.md`: every setting with its flag, its variable, its key and its help, from the
//! declarations in [`super::settings`].

use std::fmt::Write;

use clap::CommandFactory;

use super::args::Cli;
use super::settings::{Setting, Settings};

const INTRODUCTION: &str = "\
# Configuration

Every setting has a flag, an environment variable and a key in `sluicegate.toml`. A flag wins over the variable, the variable over the file,
and the file over the default. An empty variable says nothing. Paths in the file start in the file's folder.

The file is that of `--config`, else that of the current folder or the nearest above, else the one beside the transformation. The last may be by the author
of the code: it may name libraries in its own folder, set `batch-size` and lower limits, and nothing else.

This page is written by the program's own table of settings; a test keeps it current (`UPDATE_GOLDEN=1 cargo test configuration_page`).
";

const LIBRARIES: &str = "
## [libraries]

| Flag | Variable | Key |
|---|---|---|
| `-L`, `--library-dir DIR` | `SLUICEGATE_LIBRARY_DIR`, several with `:` between | `dirs`, a list |
| `--library HANDLE=PATH` | `SLUICEGATE_LIBRARY`, several with `:` between | the handle itself: `jsLib1 = \"lib/one.js\"` |
";

/// Returns the page, in Markdown.
fn page() -> String {
    let mut cli = Cli::command();
    cli.build();
    let mut page = INTRODUCTION.to_owned();
    for table in tables() {
        let _ = write!(page, "\n## [{table}]\n");
        for setting in Settings::table().filter(|setting| setting.table == table) {
            let _ = write!(page, "\n{}", entry(&cli, setting));
        }
    }
    page + LIBRARIES
}

/// Returns the tables of the file, in the order of the settings.
fn tables() -> Vec<&'static str> {
    let mut tables: Vec<&str> = Vec::new();
    for setting in Settings::table() {
        if !tables.contains(&setting.table) {
            tables.push(setting.table);
        }
    }
    tables
}

fn entry(cli: &clap::Command, setting: &Setting) -> String {
    let commands: Vec<&str> = cli
        .get_subcommands()
        .filter(|command| !command.is_hide_set() && command.get_name() != "help")
        .filter(|command| command.get_arguments().any(|arg| arg.get_long() == Some(setting.flag)))
        .map(clap::Command::get_name)
        .collect();
    let arg = cli
        .get_subcommands()
        .flat_map(clap::Command::get_arguments)
        .find(|arg| arg.get_long() == Some(setting.flag))
        .expect("every setting is a flag of a command");
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let value = arg.get_value_names().map(|names| names[0].to_string()).unwrap_or_default();
    format!(
        "### {}\n\n`--{} {}` · `{}` · `{} = …` in `[{}]`\n\n{}\n\nCommands: {}.\n",
        setting.key,
        setting.flag,
        value,
        setting.variable(),
        setting.key,
        setting.table,
        help.trim(),
        commands.join(", ")
    )
}

#[test]
fn the_page_is_current() {
    let path = "docs/configuration.md";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == page(), "{path} is not current: run `UPDATE_GOLDEN=1 cargo test configuration_page`");
}
