//! Generates the man page from the same table as `--help`.
//!
//! Options of several commands are listed once, under OPTIONS; each command names the ones that it takes.

use std::collections::BTreeMap;

use clap::{Arg, Command, CommandFactory};

use super::args::Cli;
use super::roff::Roff;

/// The parts of a command's help text: examples, exit codes, and the other paragraphs.
#[derive(Debug, Default)]
struct Ending<'a> {
    examples: Vec<&'a str>,
    codes: Vec<&'a str>,
    notes: Vec<&'a str>,
}

/// The date of the last change to the page, apart from changes to the table.
const DATE: &str = "2026-11-28";

/// Environment variables that are not settings.
const VARIABLES: &[(&str, &str)] = &[
    ("NO_COLOR", "If it is set, messages are not coloured. So it is where TERM is `dumb`."),
    ("CI", "If it is set, `sluicegate test` writes no snapshots, and refuses --update."),
    ("TMPDIR", "Where dead letters go that are not read from standard error."),
    ("XDG_RUNTIME_DIR", "Where `sluicegate play` notes its address, so that it can be found again."),
];

const FILES: &[(&str, &str)] = &[
    (
        "sluicegate.toml",
        "Settings: that of the current folder or the nearest above, else the one beside the transformation.",
    ),
    ("*.test.js, *.spec.ts, __tests__/", "Tests in code, for `sluicegate test`."),
    ("*.case.json, meta.json", "Tests as data: an event, and what comes out of it."),
    ("__snapshots__/*.snap", "What `toMatchSnapshot()` has accepted."),
    ("sluicegate.d.ts", "The types of everything that code can call, as `sluicegate types` writes them."),
];

/// Returns the man page: the program, its commands, and the common options.
pub fn man() -> Vec<u8> {
    let mut program = Cli::command().disable_help_flag(true).disable_help_subcommand(true);
    program.build();
    let commands = commands(&program);
    let shared = shared(&program, &commands);
    let mut page = Roff::default();
    let version = format!("sluicegate {}", program.get_version().unwrap_or_default());
    page.control("TH", &["SLUICEGATE", "1", DATE, &version, "User Commands"]);
    page.control("SH", &["NAME"]);
    page.text("sluicegate - run JavaScript over every event of a stream");
    page.control("SH", &["SYNOPSIS"]);
    for (number, usage) in commands.iter().flat_map(|command| usages(command)).enumerate() {
        if number > 0 {
            page.control("br", &[]);
        }
        page.usage(&usage);
    }
    page.control("SH", &["DESCRIPTION"]);
    paragraphs(&mut page, &long_about(&program));
    page.control("SH", &["COMMANDS"]);
    for command in &commands {
        one_command(&mut page, command, &shared);
    }
    page.control("SH", &["OPTIONS"]);
    options(&mut page, &program, &shared);
    page.control("SH", &["FILES"]);
    entries(&mut page, FILES);
    page.control("SH", &["ENVIRONMENT"]);
    let setting = "Each option that is a setting, in capitals: `SLUICEGATE_CPU_LIMIT=200ms` for --cpu-limit 200ms. An option wins over \
                   its variable, a variable over sluicegate.toml. One that is not known is an error.";
    entries(&mut page, &[("SLUICEGATE_*", setting)]);
    entries(&mut page, VARIABLES);
    page.control("SH", &["EXIT STATUS"]);
    for command in &commands {
        let text = after_help(command);
        let codes = ending(&text).codes;
        if !codes.is_empty() {
            page.tag(&[command.get_name().to_owned()], None);
        }
        for (number, code) in codes.iter().enumerate() {
            if number > 0 {
                page.control("br", &[]);
            }
            page.text(code);
        }
    }
    page.control("SH", &["EXAMPLES"]);
    for (number, command) in commands.iter().filter(|command| after_help(command).contains("Examples:")).enumerate() {
        if number > 0 {
            page.control("PP", &[]);
        }
        page.text(&format!("`{}`:", full_name(command)));
        let text = after_help(command);
        page.control("RS", &["4"]).example(&ending(&text).examples).control("RE", &[]);
    }
    page.control("SH", &["SEE ALSO"]);
    page.text(
        "`sluicegate help COMMAND` says the same of one command; the folder docs of the sources has the documentation.",
    );
    page.control("PP", &[]).text("jq(1), mlr(1), node(1)");
    page.finish().into_bytes()
}

/// Returns all visible commands. The subcommands of `sync` follow `sync`.
fn commands(program: &Command) -> Vec<&Command> {
    let mut found = Vec::new();
    for command in program.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help") {
        found.push(command);
        found.extend(commands(command));
    }
    found
}

/// Headings with the options that several commands share, in the order of the commands.
type Shared<'a> = Vec<(&'a str, Vec<&'a Arg>)>;

fn shared<'a>(program: &Command, commands: &[&'a Command]) -> Shared<'a> {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    let own = || commands.iter().flat_map(|command| own_arguments(program, command));
    own().for_each(|arg| *count.entry(identity(arg)).or_default() += 1);
    let mut found: Shared<'a> = Vec::new();
    let mut seen = Vec::new();
    for arg in own() {
        let id = identity(arg);
        if count[&id] < 2 || seen.contains(&id) || arg.is_positional() {
            continue;
        }
        seen.push(id);
        let heading = arg.get_help_heading().unwrap_or("Others");
        match found.iter_mut().find(|(known, _)| *known == heading) {
            Some((_, options)) => options.push(arg),
            None => found.push((heading, vec![arg])),
        }
    }
    found
}

/// Returns the arguments of a command, without those that all commands have.
fn own_arguments<'a>(program: &Command, command: &'a Command) -> impl Iterator<Item = &'a Arg> {
    let everywhere: Vec<String> = program.get_arguments().map(|arg| arg.get_id().to_string()).collect();
    command.get_arguments().filter(move |arg| {
        !arg.is_hide_set() && !everywhere.contains(&arg.get_id().to_string()) && arg.get_id() != "help"
    })
}

/// Options with the same name and meaning count as one.
fn identity(arg: &Arg) -> String {
    format!("{} {}", arg.get_id(), help(arg))
}

fn one_command(page: &mut Roff, command: &Command, shared: &Shared<'_>) {
    page.control("SS", &[&full_name(command)]);
    paragraphs(page, &long_about(command));
    let text = after_help(command);
    for note in ending(&text).notes {
        page.control("PP", &[]).text(note);
    }
    let is_shared =
        |arg: &Arg| shared.iter().any(|(_, options)| options.iter().any(|one| identity(one) == identity(arg)));
    let everywhere = ["color", "config", "help", "version"];
    let all = command.get_arguments().filter(|arg| !arg.is_hide_set() && !everywhere.contains(&arg.get_id().as_str()));
    let (common, own): (Vec<&Arg>, Vec<&Arg>) = all.partition(|arg| is_shared(arg));
    own.iter().for_each(|arg| argument(page, arg));
    if !common.is_empty() {
        let names: Vec<String> = common.iter().filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect();
        page.control("PP", &[]).text(&format!("It also takes, see OPTIONS: {}.", names.join(", ")));
    }
}

fn options(page: &mut Roff, program: &Command, shared: &Shared<'_>) {
    for arg in program.get_arguments().filter(|arg| !arg.is_hide_set()) {
        argument(page, arg);
    }
    page.tag(&["-h".to_owned(), "--help".to_owned()], None);
    page.text("Print help; -h a summary of it.");
    for (heading, options) in shared {
        page.control("SS", &[heading]);
        options.iter().for_each(|arg| argument(page, arg));
    }
}

/// Writes an option or an argument, with its description.
fn argument(page: &mut Roff, arg: &Arg) {
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let flags: Vec<String> = short.into_iter().chain(long).collect();
    let takes_value = arg.get_action().takes_values();
    let names = arg
        .get_value_names()
        .filter(|_| takes_value)
        .map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    page.tag(&flags, names.as_deref());
    let help = help(arg);
    for (number, paragraph) in help.split("\n\n").enumerate() {
        if number > 0 {
            page.control("IP", &[]);
        }
        let values: Vec<String> =
            arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
        let paragraph = paragraph.trim_end();
        let end = if paragraph.ends_with(['.', '!', '?']) { "" } else { "." };
        if number == 0
            && takes_value
            && !values.is_empty()
            && values.iter().any(|value| !["`true`", "`false`"].contains(&value.as_str()))
        {
            page.text(&format!("{paragraph}{end} One of {}.", values.join(", ")));
        } else {
            page.text(&format!("{paragraph}{end}"));
        }
    }
}

fn help(arg: &Arg) -> String {
    arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default()
}

fn long_about(command: &Command) -> String {
    command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string).unwrap_or_default()
}

fn paragraphs(page: &mut Roff, text: &str) {
    for (number, paragraph) in text.split("\n\n").enumerate() {
        if number > 0 {
            page.control("PP", &[]);
        }
        page.text(paragraph);
    }
}

fn entries(page: &mut Roff, entries: &[(&str, &str)]) {
    for (name, text) in entries {
        page.tag(&[(*name).to_owned()], None).text(text);
    }
}

/// Returns the usage lines of a command.
fn usages(command: &Command) -> Vec<String> {
    let usage = command.clone().render_usage().to_string();
    usage.lines().map(|line| line.trim().trim_start_matches("Usage: ").trim().to_owned()).collect()
}

fn full_name(command: &Command) -> String {
    command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn after_help(command: &Command) -> String {
    command.get_after_help().map(ToString::to_string).unwrap_or_default()
}

fn ending(text: &str) -> Ending<'_> {
    let mut ending = Ending::default();
    for paragraph in text.split("\n\n").map(str::trim_end).filter(|paragraph| !paragraph.is_empty()) {
        if let Some(lines) = paragraph.strip_prefix("Examples:\n") {
            ending.examples.extend(lines.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)));
        } else if let Some(codes) = paragraph.strip_prefix("Exit codes:") {
            ending.codes.extend(codes.lines().map(str::trim).filter(|code| !code.is_empty()));
        } else {
            ending.notes.push(paragraph);
        }
    }
    ending
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> String {
        String::from_utf8(man()).unwrap()
    }

    #[test]
    fn the_page_has_the_sections_of_a_man_page_in_their_order() {
        let page = page();
        let sections: Vec<&str> =
            page.lines().filter_map(|line| line.strip_prefix(".SH \"")?.strip_suffix('"')).collect();
        assert_eq!(
            sections,
            [
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "COMMANDS",
                "OPTIONS",
                "FILES",
                "ENVIRONMENT",
                "EXIT STATUS",
                "EXAMPLES",
                "SEE ALSO"
            ]
        );
    }

    #[test]
    fn every_command_has_a_part_and_what_they_share_stands_once() {
        let page = page();
        for command in ["run", "check", "sync", "sync retry", "serve", "init"] {
            assert!(page.contains(&format!(".SS \"sluicegate {command}\"\n")), "{command}");
        }
        assert_eq!(page.matches(".TP\n\\fB\\-\\-heap\\-limit\\fR").count(), 1);
        assert_eq!(page.matches(".TP\n\\fB\\-\\-config\\fR").count(), 1);
        assert!(!page.contains("worker process, started by the others") && !page.contains("sluicegate help\"\n"));
    }

    #[test]
    fn no_line_is_too_long_or_ends_in_a_blank() {
        let mut example = false;
        for line in page().lines() {
            example = (example || line == ".EX") && line != ".EE";
            assert!(line == line.trim_end() && !line.is_empty(), "{line:?}");
            assert!(example || line.len() <= 80, "{line}");
        }
    }
}
