//! The top level of an event, without parsing what lies below.
//!
//! [`Skeleton::find`] walks one line, checks that it is JSON to the last byte, and notes where each value of the
//! top-level object starts and ends. It is strict: whatever it accepts, `JSON.parse` accepts too, so a value that is
//! never parsed cannot hide an error. What it does not want to deal with (duplicate keys, escapes in keys) it declines,
//! and the event is parsed in full.

use std::ops::Range;

/// The top level of an event.
#[derive(Default)]
pub(super) struct Skeleton {
    /// Key (without its quotes) and value of each property, in order.
    pub(super) entries: Vec<(Range<usize>, Range<usize>)>,
    open: Vec<u8>,
}

impl Skeleton {
    /// Looks through a line. `false` if it is not an object, not JSON, or declined.
    pub(super) fn find(&mut self, text: &[u8]) -> bool {
        self.entries.clear();
        self.walk(text).is_some()
    }

    fn walk(&mut self, text: &[u8]) -> Option<()> {
        let mut at = space(text, 0);
        if text.get(at) != Some(&b'{') {
            return None;
        }
        at = space(text, at + 1);
        if text.get(at) == Some(&b'}') {
            return (space(text, at + 1) == text.len()).then_some(());
        }
        loop {
            if text.get(at) != Some(&b'"') {
                return None;
            }
            let end = string(text, at + 1)?;
            let key = at + 1..end - 1;
            let name = &text[key.clone()];
            let awkward = name.contains(&b'\\') || name.first().is_none_or(u8::is_ascii_digit) || !name.is_ascii();
            if awkward || matches!(name, b"__proto__" | b"toJSON" | b"then" | b"constructor") {
                return None;
            }
            at = space(text, end);
            if text.get(at) != Some(&b':') {
                return None;
            }
            at = space(text, at + 1);
            let end = value(text, at, &mut self.open)?;
            self.entries.push((key, at..end));
            at = space(text, end);
            match text.get(at)? {
                b',' => at = space(text, at + 1),
                b'}' => break,
                _ => return None,
            }
        }
        if space(text, at + 1) != text.len() {
            return None;
        }
        let same = |a: &Range<usize>, b: &Range<usize>| text[a.clone()] == text[b.clone()];
        let twice = (1..self.entries.len()).any(|n| self.entries[..n].iter().any(|e| same(&e.0, &self.entries[n].0)));
        (!twice).then_some(())
    }
}

#[inline]
fn space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// Bytes that end the plain part of a string: quote, backslash, control characters.
static STOPS: [bool; 256] = {
    let mut stops = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        stops[byte] = true;
        byte += 1;
    }
    stops[b'"' as usize] = true;
    stops[b'\\' as usize] = true;
    stops
};

/// The end of the string whose first character is at `at`: behind its closing quote.
#[inline]
fn string(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        // Four at a time: most strings are short, so this beats setting up a search.
        while let Some(four) = text.get(at..at + 4) {
            let hit = four.iter().position(|byte| STOPS[*byte as usize]);
            at += hit.unwrap_or(4);
            if hit.is_some() {
                break;
            }
        }
        while !STOPS[*text.get(at)? as usize] {
            at += 1;
        }
        match text[at] {
            b'"' => return Some(at + 1),
            b'\\' => {
                at += match text.get(at + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
                    b'u' if text.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => 6,
                    _ => return None,
                };
            }
            _ => return None,
        }
    }
}

/// The end of the value that starts at `at`. `open` is scratch memory for the brackets.
fn value(text: &[u8], mut at: usize, open: &mut Vec<u8>) -> Option<usize> {
    open.clear();
    loop {
        // A value starts here.
        match text.get(at)? {
            b'"' => at = string(text, at + 1)?,
            b'{' => {
                at = space(text, at + 1);
                if text.get(at)? == &b'}' {
                    at += 1;
                } else {
                    open.push(b'{');
                    at = key(text, at)?;
                    continue;
                }
            }
            b'[' => {
                at = space(text, at + 1);
                if text.get(at)? == &b']' {
                    at += 1;
                } else {
                    open.push(b'[');
                    continue;
                }
            }
            b't' => at = literal(text, at, b"true")?,
            b'f' => at = literal(text, at, b"false")?,
            b'n' => at = literal(text, at, b"null")?,
            _ => at = number(text, at)?,
        }
        // A value has ended here; so may brackets.
        loop {
            let Some(bracket) = open.last() else { return Some(at) };
            at = space(text, at);
            match (text.get(at)?, bracket) {
                (b',', b'[') => {
                    at = space(text, at + 1);
                    break;
                }
                (b',', b'{') => {
                    at = key(text, space(text, at + 1))?;
                    break;
                }
                (b']', b'[') | (b'}', b'{') => {
                    open.pop();
                    at += 1;
                }
                _ => return None,
            }
        }
    }
}

/// A key and its colon; gives the start of the value.
#[inline]
fn key(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at)? != &b'"' {
        return None;
    }
    let at = space(text, string(text, at + 1)?);
    (text.get(at)? == &b':').then(|| space(text, at + 1))
}

fn literal(text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    text.get(at..)?.starts_with(word).then_some(at + word.len())
}

/// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
fn number(text: &[u8], mut at: usize) -> Option<usize> {
    let digits = |mut at: usize| {
        let start = at;
        while text.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        (at > start).then_some(at)
    };
    if text.get(at) == Some(&b'-') {
        at += 1;
    }
    at = if text.get(at) == Some(&b'0') { at + 1 } else { digits(at)? };
    if text.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        at = digits(at)?;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepts(text: &str) -> bool {
        Skeleton::default().find(text.as_bytes())
    }

    #[test]
    fn it_finds_the_top_level() {
        let text = r#" { "a" : [1, {"x": "]}"}] ,"b":-1.5e+7, "c":"\u00e9\"" } "#;
        let mut skeleton = Skeleton::default();
        assert!(skeleton.find(text.as_bytes()));
        let found: Vec<_> = skeleton.entries.iter().map(|(key, value)| (&text[key.clone()], &text[value.clone()])).collect();
        assert_eq!(found, [("a", r#"[1, {"x": "]}"}]"#), ("b", "-1.5e+7"), ("c", r#""\u00e9\"""#)]);
        assert!(accepts("{}"));
    }

    #[test]
    fn it_accepts_nothing_that_is_not_json() {
        for text in [
            "", "[]", "1", "{", "}", "{}x", "{,}", r#"{"a"}"#, r#"{"a":}"#, r#"{"a":1,}"#, r#"{"a":[1,]}"#, r#"{"a":{"b":1,}}"#,
            r#"{"a":01}"#, r#"{"a":1.}"#, r#"{"a":.5}"#, r#"{"a":+1}"#, r#"{"a":1e}"#, r#"{"a":-}"#, r#"{"a":tru}"#,
            r#"{"a":"\x"}"#, r#"{"a":"\u12g4"}"#, "{\"a\":\"\n\"}", r#"{"a":"x}"#, r#"{"a":[}}"#, r#"{'a':1}"#, r#"{"a" 1}"#,
            r#"{"a":1 "b":2}"#, r#"{"a":NaN}"#, r#"{"a":[1 2]}"#, r#"{"a":{"b"1}}"#, r#"{"a":{1:2}}"#, r#"{"a":nullx}"#,
        ] {
            assert!(!accepts(text), "{text}");
        }
    }

    #[test]
    fn it_declines_what_would_be_awkward() {
        for text in [r#"{"a":1,"a":2}"#, r#"{"__proto__":1}"#, r#"{"\u0061":1}"#, r#"{"1":1}"#, r#"{"é":1}"#, r#"{"":1}"#] {
            assert!(!accepts(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_it_accepts_serde_json_accepts(text in r#"\{("[ab]":([\[\]{},:"\\eE0-9.+tfn -]|true|null|"x"){0,8},?){0,3}\}"#) {
            if accepts(&text) {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
            }
        }
    }
}
