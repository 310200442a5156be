//! Finds values in a JSON text without parsing them: the events in a request's body, for example.
//!
//! Text returned by [`Cursor::value`] is valid JSON. Text returned by [`Cursor::skip`] has balanced brackets and
//! complete strings. Every function returns `None` if the text is not what it expects, nested too deeply, or too long.

use crate::number::scalar_end;
use crate::object_index::{self, ObjectIndex};
use crate::skip;
use crate::string::{escape_len, next_special};
use crate::validator::Validator;

/// The object index covers at most this many bytes, because it takes up to six times that in memory.
const MAX_INDEXED: usize = 64 << 10;

/// The validator takes at most this many bytes, because it uses up to four times that in memory.
const MAX_VALIDATED: usize = 16 << 20;

/// Memory reused from text to text.
#[derive(Default)]
pub struct Memory {
    found: ObjectIndex,
    validator: Validator,
}

/// A position in a text: before a value or another token, or before the white space in front of it.
pub struct Cursor<'t, 'm> {
    text: &'t str,
    at: usize,
    one_line: bool,
    memory: &'m mut Memory,
}

impl<'t, 'm> Cursor<'t, 'm> {
    /// The start of a text.
    pub fn new(text: &'t str, memory: &'m mut Memory) -> Self {
        Self { text, at: 0, one_line: true, memory }
    }

    /// The first byte of the next token.
    #[inline]
    pub fn byte(&mut self) -> Option<u8> {
        loop {
            match *self.text.as_bytes().get(self.at)? {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    /// Skips this bracket, colon or comma.
    #[inline]
    pub fn expect(&mut self, byte: u8) -> Option<()> {
        let there = self.byte()? == byte;
        self.at += 1;
        there.then_some(())
    }

    /// Skips a key and its colon. Returns the key as written. `None` if it has an escape.
    #[inline]
    pub fn key(&mut self) -> Option<&'t str> {
        self.expect(b'"')?;
        let end = next_special(self.text.as_bytes(), self.at);
        let key = self.text.get(self.at..end)?;
        self.at = end;
        // An escape or a control character is declined.
        (self.text.as_bytes().get(end) == Some(&b'"')).then_some(())?;
        self.at += 1;
        self.expect(b':')?;
        Some(key)
    }

    /// Validates a value and returns its text.
    pub fn value(&mut self) -> Option<&'t str> {
        match self.byte()? {
            b'{' => match self.index_object() {
                Some(len) => self.past(len),
                None => self.validate(),
            },
            b'[' => self.validate(),
            b'"' => self.string(),
            _ => self.past(scalar_end(self.text.as_bytes(), self.at)? - self.at),
        }
    }

    /// Skips a value and returns its text. In an object, only brackets and strings are checked: they all end, and no
    /// string contains a control character.
    pub fn skip(&mut self) -> Option<&'t str> {
        if self.byte()? != b'{' {
            return self.value();
        }
        let extent = skip::skip_container(&self.text.as_bytes()[self.at..])?;
        self.one_line &= extent.one_line;
        self.past(extent.len)
    }

    /// Skips an object or array that has the same bytes as `value`, which was validated before.
    pub fn again(&mut self, value: &'t str) -> Option<&'t str> {
        self.byte()?;
        let same = value.starts_with(['{', '[']) && self.text.as_bytes()[self.at..].starts_with(value.as_bytes());
        if same { self.past(value.len()) } else { None }
    }

    /// Validates an object and returns its text. Calls `each` with each key and value; `None`
    /// from `each` ends the walk.
    pub fn object(&mut self, mut each: impl FnMut(&'t str, &'t str) -> Option<()>) -> Option<&'t str> {
        self.byte()?;
        let start = self.at;
        let text = &self.text[start..];
        if let Some(len) = self.index_object() {
            for entry in &self.memory.found.entries {
                each(&text[entry.key.clone()], &text[entry.value.clone()])?;
            }
            return self.past(len);
        }
        self.properties(|at, key| {
            let value = at.value()?;
            each(key, value)
        })?;
        // There may be line feeds between the tokens.
        self.one_line = false;
        Some(&self.text[start..self.at])
    }

    /// Walks through an object. Calls `each` with each key; `each` must skip the value.
    pub fn properties(&mut self, mut each: impl FnMut(&mut Self, &'t str) -> Option<()>) -> Option<()> {
        self.expect(b'{')?;
        if self.byte()? == b'}' {
            return self.expect(b'}');
        }
        loop {
            let key = self.key()?;
            each(self, key)?;
            if !self.goes_on(b'}')? {
                return Some(());
            }
        }
    }

    /// Skips a comma and returns true, or skips the closing bracket `end` and returns false.
    pub fn goes_on(&mut self, end: u8) -> Option<bool> {
        let found = self.byte()?;
        self.at += 1;
        match found {
            b',' => Some(true),
            other => (other == end).then_some(false),
        }
    }

    /// Whether nothing but white space follows.
    pub fn is_over(&mut self) -> bool {
        self.byte().is_none()
    }

    /// Whether all values so far are known to be on one line.
    pub fn one_line(&self) -> bool {
        self.one_line
    }

    fn past(&mut self, len: usize) -> Option<&'t str> {
        let start = self.at;
        self.at += len;
        self.text.get(start..self.at)
    }

    /// Indexes the object at the cursor, and returns its length. `None` if it is too long or is declined.
    fn index_object(&mut self) -> Option<usize> {
        let text = &self.text.as_bytes()[self.at..];
        object_index::index_first(&text[..text.len().min(MAX_INDEXED)], &mut self.memory.found)
    }

    /// Validates an object or array token by token.
    fn validate(&mut self) -> Option<&'t str> {
        let extent =
            skip::skip_container(&self.text.as_bytes()[self.at..]).filter(|extent| extent.len <= MAX_VALIDATED)?;
        self.one_line &= extent.one_line;
        let text = self.past(extent.len)?;
        self.memory.validator.is_value(text.as_bytes()).then_some(text)
    }

    fn string(&mut self) -> Option<&'t str> {
        let bytes = self.text.as_bytes();
        let mut end = self.at + 1;
        loop {
            end = next_special(bytes, end);
            match bytes.get(end)? {
                b'"' => return self.past(end + 1 - self.at),
                b'\\' => end += escape_len(bytes, end)?,
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_gone_past_once_is_known_again_and_is_json_all_the_same() {
        let text = r#" [ {"a":[1,"]"]} ,{"a":[1,"]"]}, {"a":[1,"]"]]}] "#;
        let mut memory = Memory::default();
        let mut at = Cursor::new(text, &mut memory);
        at.expect(b'[').unwrap();
        let first = at.value().unwrap();
        assert_eq!(first, r#"{"a":[1,"]"]}"#);
        at.expect(b',').unwrap();
        assert_eq!(at.again(first), Some(first));
        at.expect(b',').unwrap();
        assert!(at.again(first).is_none(), "it is written otherwise");
        assert!(at.value().is_none() && !at.is_over(), "it is no JSON");
        let odd = Cursor::new("{\"\\u0061\":1}", &mut memory).properties(|at, _| at.value().map(drop));
        assert!(odd.is_none(), "such a key is not as it is written");
    }

    #[test]
    fn an_object_is_told_by_its_properties_however_it_is_written() {
        for (text, one_line) in [(r#"{"a":1,"b":[{}]}"#, true), ("{\n\"a\" : 1 ,\"b\": [{}]} ", false)] {
            let mut memory = Memory::default();
            let mut at = Cursor::new(text, &mut memory);
            let mut found = Vec::new();
            let whole = at.object(|key, value| {
                found.push((key, value));
                Some(())
            });
            assert_eq!(whole, Some(text.trim()));
            assert_eq!(found, [("a", "1"), ("b", "[{}]")]);
            assert!(at.is_over());
            assert_eq!(at.one_line(), one_line);
        }
    }

    fn text() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            " ",
            "\n",
            "\"a\"",
            "\"\\u00e9é\\\"\"",
            "\"",
            "\\",
            "1",
            "-0.5e3",
            "01",
            "true",
            "nul",
            "{}",
            "{\"a\":1}",
            "{\"a\":1,",
            "[1,2]",
            "\"\\u12g4\"",
            "é",
        ]);
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn what_is_gone_past_is_json(text in text()) {
            let is_json = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            let mut memory = Memory::default();
            if let Some(value) = Cursor::new(&text, &mut memory).value() {
                prop_assert!(is_json(value), "{value}");
            }
            let mut at = Cursor::new(&text, &mut memory);
            if let Some(value) = at.object(|_, _| Some(())) {
                prop_assert!(is_json(value) && value.starts_with('{'), "{value}");
                prop_assert!(!at.one_line() || !value.contains(['\n', '\r']), "{value}");
            }
            let mut at = Cursor::new(&text, &mut memory);
            if let Some(value) = at.skip() {
                prop_assert!(is_json(value) || value.starts_with('{'), "{value}");
                prop_assert!(!at.one_line() || !value.contains(['\n', '\r']), "{value}");
            }
        }

        #[test]
        fn json_is_gone_past(text in text()) {
            if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok() {
                let mut memory = Memory::default();
                let mut at = Cursor::new(&text, &mut memory);
                prop_assert_eq!(at.value(), Some(text.trim()));
                prop_assert!(at.is_over());
                prop_assert_eq!(Cursor::new(&text, &mut memory).skip(), Some(text.trim()));
            }
        }
    }
}
