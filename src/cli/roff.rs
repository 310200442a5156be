//! Text for `man`: the macros of the man package, escaping and line breaks.

/// The longest input line that checkers of man pages accept.
const WIDTH: usize = 78;

/// A page under construction.
#[derive(Debug, Default)]
pub(super) struct Roff {
    out: String,
}

impl Roff {
    /// Writes a macro with its arguments; each argument is one word.
    pub(super) fn control(&mut self, name: &str, words: &[&str]) -> &mut Self {
        self.out.push('.');
        self.out.push_str(name);
        for word in words {
            let escaped = word.replace('\\', "\\e").replace('"', "\\(dq");
            self.out.push_str(&format!(" \"{escaped}\""));
        }
        self.out.push('\n');
        self
    }

    /// Writes running text. Flags and text between backticks are bold.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        let mut bold = false;
        let words = text.split_whitespace().map(|word| inline(word, &mut bold)).collect::<Vec<_>>();
        self.wrapped(&words)
    }

    /// Writes a command's usage: literal words are bold, placeholders are italic.
    pub(super) fn usage(&mut self, usage: &str) -> &mut Self {
        let words = usage.split_whitespace().map(|word| {
            let start = word.find(|char: char| char.is_ascii_uppercase()).filter(|_| word.starts_with(['<', '[']));
            let Some(start) = start else { return format!("\\fB{}\\fR", escape(word, true)) };
            let len = word[start..].find(|char: char| !char.is_ascii_uppercase() && !"_|".contains(char));
            let end = len.map_or(word.len(), |len| start + len);
            let around = |text: &str| text.replace(['<', '>'], "");
            format!("{}\\fI{}\\fR{}", around(&word[..start]), &word[start..end], around(&word[end..]))
        });
        let words = words.collect::<Vec<_>>();
        self.wrapped(&words)
    }

    /// Writes the line that starts an entry: `-o, --output FILE`.
    pub(super) fn tag(&mut self, flags: &[String], value: Option<&str>) -> &mut Self {
        let flags = flags.iter().map(|flag| format!("\\fB{}\\fR", escape(flag, true))).collect::<Vec<_>>().join(", ");
        let value = value.map(|value| format!(" \\fI{}\\fR", escape(value, true))).unwrap_or_default();
        // An argument has no flags; the entry then starts with the value.
        self.out.push_str(&format!(".TP\n{}\n", format!("{flags}{value}").trim_start()));
        self
    }

    /// Writes lines that are printed unchanged.
    pub(super) fn example(&mut self, lines: &[&str]) -> &mut Self {
        self.out.push_str(".EX\n");
        for line in lines {
            self.out.push_str(&guard(&escape(line, true)));
            self.out.push('\n');
        }
        self.out.push_str(".EE\n");
        self
    }

    /// Returns the page.
    pub(super) fn finish(self) -> String {
        self.out
    }

    fn wrapped(&mut self, words: &[String]) -> &mut Self {
        let mut line = String::new();
        for word in words {
            if !line.is_empty() && line.len() + word.len() >= WIDTH {
                self.out.push_str(&guard(&line));
                self.out.push('\n');
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.out.push_str(&guard(&line));
        self.out.push('\n');
        self
    }
}

/// Formats one word of running text.
fn inline(word: &str, bold: &mut bool) -> String {
    let mut out = String::new();
    let bare = word.trim_start_matches(['(', '"']);
    let is_flag = !*bold
        && bare.starts_with('-')
        && bare[1..].starts_with(|char: char| char == '-' || char.is_ascii_alphabetic());
    if is_flag {
        let start = word.len() - bare.len();
        let len = bare.find(|char: char| !char.is_ascii_alphanumeric() && char != '-').unwrap_or(bare.len());
        let end = start + len;
        return format!(
            "{}\\fB{}\\fR{}",
            escape(&word[..start], false),
            escape(&word[start..end], true),
            escape(&word[end..], true)
        );
    }
    for (number, part) in word.split('`').enumerate() {
        if number > 0 {
            *bold = !*bold;
            out.push_str(if *bold { "\\fB" } else { "\\fR" });
        }
        out.push_str(&escape(part, *bold));
    }
    out
}

/// Escapes characters that are special to roff. In text that can be typed, hyphens and quotes stay plain characters.
fn escape(text: &str, typed: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\e"),
            '-' if typed => out.push_str("\\-"),
            '\'' if typed => out.push_str("\\(aq"),
            '`' if typed => out.push_str("\\(ga"),
            '^' if typed => out.push_str("\\(ha"),
            '~' if typed => out.push_str("\\(ti"),
            character if character.is_ascii() => out.push(character),
            other => out.push_str(&format!("\\[u{:04X}]", u32::from(other))),
        }
    }
    out
}

/// Protects a line whose first character would make roff take it for a macro.
fn guard(line: &str) -> String {
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_and_means_nothing_to_roff() {
        let mut page = Roff::default();
        page.text(&format!("{}a\\b `x -y` (--heap-limit 8MiB), well-known", "word ".repeat(15)));
        page.text(".gz is a name …");
        let words = ["word"; 15].join(" ");
        assert_eq!(
            page.finish(),
            format!(
                "{words}\na\\eb \\fBx \\-y\\fR (\\fB\\-\\-heap\\-limit\\fR 8MiB), well-known\n\\&.gz is a name \\[u2026]\n"
            )
        );
    }

    #[test]
    fn a_usage_has_three_kinds_of_words() {
        let mut page = Roff::default();
        page.usage("sluicegate run [OPTIONS] <TRANSFORMATION> [FILES]...");
        assert_eq!(
            page.finish(),
            "\\fBsluicegate\\fR \\fBrun\\fR [\\fIOPTIONS\\fR] \\fITRANSFORMATION\\fR\n[\\fIFILES\\fR]...\n"
        );
    }
}
