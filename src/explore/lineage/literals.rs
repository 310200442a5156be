//! The literals of an author's code: texts and numbers that it may compare with, and keys that it may write.

use std::collections::HashSet;

use serde_json::Value;

/// The texts and numbers in the code, with which it compares values.
#[derive(Clone, Debug, Default)]
pub struct Literals {
    /// Texts, and property names of objects.
    pub texts: Vec<String>,
    /// Numbers.
    pub numbers: Vec<f64>,
    /// Names, and the words in texts.
    pub words: HashSet<String>,
    /// The alternatives in a pattern: `Firefox|Chrome`.
    pub alternatives: Vec<Vec<String>>,
}

impl Literals {
    /// Finds the literals of these sources. The text is only scanned, not parsed, because extra literals do no harm.
    pub fn of<'a>(sources: impl IntoIterator<Item = &'a str>) -> Self {
        let mut found = Self::default();
        for source in sources {
            found.scan(source);
            let is_part = |char: char| char.is_alphanumeric() || char == '_' || char == '|';
            for list in source.split(|char| !is_part(char)).filter(|list| list.contains('|')) {
                let words: Vec<String> = list.split('|').filter(|word| !word.is_empty()).map(str::to_owned).collect();
                if words.len() > 1 {
                    found.alternatives.push(words);
                }
            }
        }
        found
    }

    /// Returns whether a value is in the code, so that the code may output it or compare
    /// with it. Empty values, booleans, `null`, 0 and 1 always count as present.
    pub fn know(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => text.is_empty() || self.texts.contains(text),
            Value::Number(number) => {
                number.as_f64().is_some_and(|number| [0.0, 1.0].contains(&number) || self.numbers.contains(&number))
            }
            Value::Null | Value::Bool(_) => true,
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
        }
    }

    fn scan(&mut self, source: &str) {
        let chars: Vec<char> = source.chars().collect();
        let mut at = 0;
        while at < chars.len() {
            let char = chars[at];
            if char == '/' && chars.get(at + 1) == Some(&'/') {
                while at < chars.len() && chars[at] != '\n' {
                    at += 1;
                }
            } else if char == '/' && chars.get(at + 1) == Some(&'*') {
                while at < chars.len() && !(chars[at] == '*' && chars.get(at + 1) == Some(&'/')) {
                    at += 1;
                }
                at += 2;
            } else if matches!(char, '\'' | '"' | '`') {
                let start = at + 1;
                at = start;
                while at < chars.len() && chars[at] != char && (char == '`' || chars[at] != '\n') {
                    at += 1 + usize::from(chars[at] == '\\');
                }
                let text: String = chars[start.min(chars.len())..at.min(chars.len())].iter().collect();
                self.add_text(&text);
                at += 1;
            } else if char.is_ascii_digit() {
                let start = at;
                while at < chars.len() && (chars[at].is_ascii_digit() || matches!(chars[at], '.' | '_')) {
                    at += 1;
                }
                let text: String = chars[start..at].iter().filter(|char| **char != '_').collect();
                if let Ok(number) = text.parse()
                    && !self.numbers.contains(&number)
                {
                    self.numbers.push(number);
                }
            } else if char.is_alphabetic() || matches!(char, '_' | '$') {
                let start = at;
                while at < chars.len() && (chars[at].is_alphanumeric() || matches!(chars[at], '_' | '$')) {
                    at += 1;
                }
                self.words.insert(chars[start..at].iter().collect());
                // A key of a table: `{ de: 'Germany' }`.
                let after = chars[at..].iter().position(|char| !char.is_whitespace()).map(|gap| chars[at + gap]);
                let before = chars[..start].iter().rev().find(|char| !char.is_whitespace());
                if after == Some(':') && matches!(before, Some('{' | ',')) {
                    let text: String = chars[start..at].iter().collect();
                    self.add_text(&text);
                }
            } else {
                at += 1;
            }
        }
    }

    fn add_text(&mut self, text: &str) {
        self.words.insert(text.to_owned());
        self.words
            .extend(text.split(|char: char| !(char.is_alphanumeric() || "_$-".contains(char))).map(str::to_owned));
        let usable = !text.is_empty() && text.len() <= 60 && !text.contains(['\\', '\n', '$']);
        if usable && !self.texts.iter().any(|known| known == text) {
            self.texts.push(text.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_those_of_the_code() {
        let found =
            Literals::of(["// 'no'\nconst t = { de: 'Germany', fr: \"France\" }; /* 7 */ if (x > 1_000.5) y = `z`;"]);
        assert_eq!(found.texts, ["de", "Germany", "fr", "France", "z"]);
        assert_eq!(found.numbers, [1000.5]);
    }
}
