//! Errors for people: the message, the place, the line of source with a caret, and what to do.
//!
//! ```text
//! error: import from jsLib failed. Module not found.
//!  --> orders.js:1:20
//!   |
//! 1 | import { a } from "jsLib";
//!   |                   ^^^^^^^
//! help: did you mean `jsLib1`?
//! ```
//!
//! A [`Diagnostic`] is the data; engine errors and config file errors are rendered
//! alike. The source is not trusted: control characters cannot reach the terminal,
//! and a long line of a minified library is cut to the part around the caret.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use unicode_width::UnicodeWidthStr;

use sluicegate_engine::verdict::{Failure, FailureKind, Position};
use sluicegate_engine::{LoadError, ModuleId, Program, is_typescript};

/// The width of the shown part of a source line, and its maximum width before the caret.
const WIDTH: usize = 110;
const BEFORE: usize = 60;
/// The replacement of a tab.
const TAB: &str = "    ";

/// An error, with its place and help text if these are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong.
    pub message: String,
    /// Where it is.
    pub place: Option<SourceLocation>,
    /// V8's frames, a line each, for code that threw.
    pub frames: Vec<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// The kind of a finding of `check`; stable, for machines.
    pub rule: Option<String>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLocation {
    /// The file, as the user would open it.
    pub file: String,
    /// The file's name in stack traces, if it differs.
    pub alias: Option<String>,
    /// Line, from 1.
    pub line: u32,
    /// Columns in UTF-16 code units, from 1, the end exclusive.
    pub columns: Range<u32>,
    /// The text of the line.
    pub source: Option<String>,
}

impl Diagnostic {
    /// Creates an error without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// Adds the help text.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the rule of a finding of `check`.
    pub fn rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }

    /// Adds the place: a byte range of a file's text.
    pub fn at(mut self, file: impl Into<String>, text: &str, range: Range<usize>) -> Self {
        let start = text.floor_char_boundary(range.start.min(text.len()));
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let end = text.floor_char_boundary(range.end.clamp(start, line_end));
        let utf16 = |text: &str| text.encode_utf16().count() as u32;
        let column = utf16(&text[line_start..start]) + 1;
        self.place = Some(SourceLocation {
            file: file.into(),
            alias: None,
            line: text[..start].matches('\n').count() as u32 + 1,
            columns: column..column + utf16(&text[start..end]).max(1),
            source: Some(text[line_start..line_end].trim_end_matches('\r').to_owned()),
        });
        self
    }

    /// Creates the error of a program that does not load. `paths` are the files of the libraries, by import name.
    pub fn from_load_error(error: &LoadError, paths: &BTreeMap<String, PathBuf>) -> Self {
        let place = error.position.as_ref().map(|at| {
            let columns = at.column..error.end_column.max(at.column + 1);
            SourceLocation::of(at, columns, error.source_line.clone(), paths)
        });
        Self {
            message: error.message.clone(),
            place,
            frames: error.stack.iter().flat_map(|stack| frames(stack)).collect(),
            help: error.help.clone(),
            rule: serde_json::to_value(error.kind)
                .ok()
                .and_then(|kind| Some(format!("load-{}", kind.as_str()?.replace('_', "-")))),
        }
    }

    /// Creates the error of a failed event, with the source line if it is known.
    pub fn from_failure(failure: &Failure, program: &Program, paths: &BTreeMap<String, PathBuf>) -> Self {
        let place = failure
            .position
            .as_ref()
            .map(|at| SourceLocation::of(at, at.column..at.column + 1, program.source_line(at), paths));
        let name = failure.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        // V8's line number counts within the text of the event, which is a single line.
        let text = match failure.kind {
            FailureKind::InvalidJson => failure.message.replace("(line 1 column ", "(column in the line: "),
            _ => failure.message.clone(),
        };
        Self {
            message: format!("{name}{text} ({})", failure.kind),
            place,
            frames: failure.stack.iter().flat_map(|stack| frames(stack)).collect(),
            ..Self::default()
        }
    }

    /// Replaces the source line by the author's line: TypeScript is checked with its types replaced by blanks.
    pub fn with_types(mut self) -> Self {
        if let Some(place) = &mut self.place
            && let Some(line) = &mut place.source
            && let Some(typed) = typed_line(Path::new(&place.file), place.line, line)
        {
            *line = typed;
        }
        self
    }

    /// Renders the complete text, with a newline at the end.
    pub fn render(&self, color: bool) -> String {
        let paint = Paint(color);
        let mut out = format!("{}: {}\n", paint.error("error"), visible(&self.message));
        if let Some(place) = &self.place {
            place.render(&paint, &mut out);
        }
        for frame in &self.frames {
            out.push_str(&format!("    {}\n", visible(frame)));
        }
        if let Some(help) = &self.help {
            out.push_str(&format!("{}: {}\n", paint.help("help"), visible(help)));
        }
        out
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{}:{}:{}: ", place.file, place.line, place.columns.start)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

/// Returns a line of a TypeScript file with its types; `blank` is the same line with the
/// types replaced by blanks. `None` for other files, and if the file has changed since.
fn typed_line(path: &Path, line: u32, blank: &str) -> Option<String> {
    if !is_typescript(path) {
        return None;
    }
    let text = std::fs::read_to_string(path).ok()?;
    let typed = text.trim_start_matches('\u{feff}').lines().nth(line.checked_sub(1)? as usize)?;
    let is_same = |(typed, blank): (u16, u16)| {
        typed == blank || blank == 0x3b || char::from_u32(blank.into()).is_some_and(char::is_whitespace)
    };
    let same_length = typed.encode_utf16().count() == blank.encode_utf16().count();
    (same_length && typed.encode_utf16().zip(blank.encode_utf16()).all(is_same)).then(|| typed.to_owned())
}

/// Returns the frames of a stack.
fn frames(stack: &str) -> impl Iterator<Item = String> + '_ {
    stack.lines().skip_while(|line| !is_frame(line)).map(|frame| frame.trim_start().to_owned())
}

fn is_frame(line: &str) -> bool {
    line.starts_with("    at ")
}

impl SourceLocation {
    fn of(at: &Position, columns: Range<u32>, source: Option<String>, paths: &BTreeMap<String, PathBuf>) -> Self {
        let library = ModuleId::parse(&at.file).library();
        let path = paths.get(library.unwrap_or(&at.file));
        let own_path = path.map_or(Path::new(&at.file), PathBuf::as_path);
        let source = source.map(|line| typed_line(own_path, at.line, &line).unwrap_or(line));
        Self {
            file: path.map_or_else(|| at.file.clone(), |path| path.display().to_string()),
            alias: library.and(path).map(|_| at.file.clone()),
            line: at.line,
            columns,
            source,
        }
    }

    fn render(&self, paint: &Paint, out: &mut String) {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let alias = self.alias.as_ref().map(|alias| format!(" ({alias})")).unwrap_or_default();
        let place = format!("{}:{}:{}{alias}", self.file, self.line, self.columns.start);
        out.push_str(&format!("{margin}{} {}\n", paint.gutter("-->"), visible(&place)));
        let Some(source) = &self.source else { return };
        let (text, offset, length) = excerpt(source, &self.columns);
        let bar = paint.gutter("|");
        out.push_str(&format!("{margin} {bar}\n"));
        out.push_str(format!("{} {bar} {text}", paint.gutter(&number)).trim_end());
        let carets = paint.error(&"^".repeat(length));
        out.push_str(&format!("\n{margin} {bar} {}{carets}\n", " ".repeat(offset)));
    }
}

/// Returns the shown part of a line, and the start and the length of the carets below it, in terminal columns.
fn excerpt(source: &str, columns: &Range<u32>) -> (String, usize, usize) {
    let start = byte_of(source, columns.start);
    let end = byte_of(source, columns.end).max(start);
    let (before, marked, after) = (visible(&source[..start]), visible(&source[start..end]), visible(&source[end..]));
    let (before, cut) = last_columns(&before, BEFORE);
    let offset = before.width() + if cut { 1 } else { 0 };
    let marked = first_columns(&marked, WIDTH - BEFORE);
    let length = marked.width().max(1);
    let after_room = WIDTH.saturating_sub(offset + length);
    let tail = first_columns(&after, after_room);
    let more = tail.len() < after.len();
    let text = format!("{}{before}{marked}{tail}{}", if cut { "…" } else { "" }, if more { "…" } else { "" });
    (text, offset, length)
}

/// Returns the byte at which a column starts; the end of the text for a column past it.
fn byte_of(source: &str, column: u32) -> usize {
    let mut units = 1;
    for (byte, char) in source.char_indices() {
        if units >= column {
            return byte;
        }
        units += char.len_utf16() as u32;
    }
    source.len()
}

/// Returns the longest end of a text that fits, and whether the text was cut.
fn last_columns(text: &str, most: usize) -> (&str, bool) {
    let mut from = text.len();
    for (byte, _) in text.char_indices().rev() {
        if text[byte..].width() > most {
            return (&text[from..], true);
        }
        from = byte;
    }
    (text, false)
}

/// Returns the longest start of a text that fits.
fn first_columns(text: &str, most: usize) -> &str {
    let mut fits = 0;
    for (byte, char) in text.char_indices() {
        let end = byte + char.len_utf8();
        if text[..end].width() > most {
            break;
        }
        fits = end;
    }
    &text[..fits]
}

/// Makes a text harmless to a terminal: tabs become spaces, control characters
/// become visible symbols, and characters that reorder text are replaced.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|char| char.is_control() || is_reordering(char)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' => out.push('\n'),
            '\t' => out.push_str(TAB),
            '\0'..='\x1f' => out.extend(char::from_u32(0x2400 + char as u32)),
            '\x7f' => out.push('\u{2421}'),
            _ if char.is_control() || is_reordering(char) => out.push('\u{fffd}'),
            _ => out.push(char),
        }
    }
    Cow::Owned(out)
}

fn is_reordering(char: char) -> bool {
    matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether to use colours.
struct Paint(bool);

impl Paint {
    fn wrap(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn error(&self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    fn gutter(&self, text: &str) -> String {
        self.wrap("1;34", text)
    }

    fn help(&self, text: &str) -> String {
        self.wrap("1;36", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carets(source: &str, columns: Range<u32>) -> String {
        let place = SourceLocation { file: "t.js".into(), alias: None, line: 7, columns, source: Some(source.into()) };
        let text = Diagnostic { message: "m".into(), place: Some(place), ..Diagnostic::default() }.render(false);
        text.lines().skip(3).map(|line| line.get(4..).unwrap_or_default().to_owned() + "\n").collect()
    }

    #[test]
    fn carets_stand_below_wide_characters_and_tabs() {
        assert_eq!(carets("let x = };", 9..10), "let x = };\n        ^\n");
        assert_eq!(carets("\tlet x = };", 10..11), "    let x = };\n            ^\n");
        // Each is two columns on the terminal and one code unit for V8.
        assert_eq!(carets("'注文' };", 6..7), "'注文' };\n       ^\n");
        // One character, two code units, two columns.
        assert_eq!(carets("'🎉' };", 6..7), "'🎉' };\n     ^\n");
        assert_eq!(carets("'注文' };", 1..5), "'注文' };\n^^^^^^\n");
        // A combining accent takes no column.
        assert_eq!(carets("'e\u{301}' };", 6..7), "'e\u{301}' };\n    ^\n");
    }

    #[test]
    fn a_place_beyond_the_line_is_its_end() {
        assert_eq!(carets("let x = ", 9..12), "let x =\n        ^\n");
        assert_eq!(carets("", 1..2), "\n^\n");
        assert_eq!(carets("ab", 90..99), "ab\n  ^\n");
    }

    #[test]
    fn a_minified_line_is_cut_around_the_caret() {
        let source = format!("{}HERE{}", "a;".repeat(50_000), "b;".repeat(50_000));
        let shown = carets(&source, 100_001..100_005);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].width() <= WIDTH + 2, "{shown}");
        assert!(lines[0].starts_with('…') && lines[0].ends_with('…') && lines[0].contains("a;HEREb;"), "{shown}");
        assert_eq!(lines[1].find('^'), Some(BEFORE + 1));
        assert!(lines[1].ends_with("^^^^") && lines[1].matches('^').count() == 4);
    }

    #[test]
    fn source_cannot_write_to_the_terminal() {
        assert_eq!(carets("'\x1b[2J' };", 8..9), "'␛[2J' };\n       ^\n");
        assert_eq!(carets("a\u{202e}b", 3..4), "a\u{fffd}b\n  ^\n");
        let message = Diagnostic::new("Error: \x1b]0;owned\x07\u{9b}31m").render(false);
        assert_eq!(message, "error: Error: ␛]0;owned␇\u{fffd}31m\n");
    }

    #[test]
    fn colours_are_asked_for() {
        let place =
            SourceLocation { file: "t.js".into(), alias: None, line: 1, columns: 1..2, source: Some("x".into()) };
        let error = Diagnostic { place: Some(place), ..Diagnostic::new("m").help("h") };
        assert_eq!(
            error.render(true),
            "\x1b[1;31merror\x1b[0m: m\n \x1b[1;34m-->\x1b[0m t.js:1:1\n  \x1b[1;34m|\x1b[0m\n\
             \x1b[1;34m1\x1b[0m \x1b[1;34m|\x1b[0m x\n  \x1b[1;34m|\x1b[0m \x1b[1;31m^\x1b[0m\n\
             \x1b[1;36mhelp\x1b[0m: h\n"
        );
        assert!(!error.render(false).contains('\x1b'));
    }
}
