//! What `JSON.parse` and `JSON.stringify` lose, and how it is put back.
//!
//! V8 reads every number as a double and prints the shortest text for it: `9007199254740993` would leave as
//! `…992`, `1.0` as `1`, `1e400` as `null`. Nor does it keep white space or escapes. The contract promises that numbers
//! which the code did not touch leave as they came, and that an unchanged event leaves as the same bytes. So:
//!
//! - [`survey`] says in one pass whether a line holds anything that V8 would print differently. For most lines it does
//!   not, and V8's text is the answer.
//! - Otherwise [`compare`] walks input and output side by side. If they mean the same, the input's bytes are the
//!   answer. If not, with [`Originals`] each number of the output that stands at the same path as in the input, with the
//!   same value, keeps the input's digits; one with more digits than a double holds keeps them wherever the code moved it.
//! - [`Merger`](crate::merge::Merger) does most of that faster. What it declines is done here.
//!
//! Both texts are known to be valid JSON here: V8 has read the one and written the other. Nothing recurses, so depth
//! costs memory and not the stack.

use std::collections::HashMap;

use crate::hash::key_hash;
pub use crate::number::may_hold_infinite;
use crate::number::{is_canonical, is_long, number_end, value_of};
pub use crate::scan_report::{RoundTripLoss, ScanReport};
use crate::sink::Sink;
use crate::string::{is_key, string_end, unescape_utf16};
use crate::token::{Path, Token, Tokens};
use crate::validator::Validator;

/// Looks through a line once, in whatever way it can be looked through; `duplicates` is true if a key may occur twice in
/// one object.
pub fn survey(line: &[u8], validator: &mut Validator) -> ScanReport {
    // What is too deep for the fast way goes the slow one.
    validator.survey(line).unwrap_or_else(|| ScanReport { losses: scan(line), duplicates: true })
}

/// Looks through a valid text of any depth.
fn scan(line: &[u8]) -> RoundTripLoss {
    let mut losses = RoundTripLoss::default();
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b'"' => {
                let start = at + 1;
                let (end, plain) = string_end(line, start);
                losses.form |= !plain;
                at = end + 1;
                // A digit may be written as an escape.
                losses.index_keys |=
                    line.get(start).is_some_and(|first| first.is_ascii_digit() || *first == b'\\') && is_key(line, at);
            }
            b'-' | b'0'..=b'9' => {
                let end = number_end(line, at);
                losses.number(&line[at..end]);
                at = end;
            }
            b' ' | b'\t' | b'\n' | b'\r' => {
                losses.form = true;
                at += 1;
            }
            _ => at += 1,
        }
    }
    losses
}

/// The line with its objects as lists, `{"a":[1]}` as `[0,"a",[1,1]]`, if a key is written with an escape.
///
/// V8's `JSON.parse` expects the keys of the object that it read last in the same place, and compares them with the text
/// of the line before its escapes are read: after `{"q\\":1}` it takes the key `"q\u0041"` for `q\`, in the next event as
/// well. Nothing of the kind happens to a string in a list, from which the driver makes the object.
pub fn as_lists(line: &[u8]) -> Option<Vec<u8>> {
    let mut from = 0;
    loop {
        from += memchr::memchr(b'\\', line.get(from..)?)?;
        let (end, _) = string_end(line, from);
        from = end + 1;
        if is_key(line, from) {
            break;
        }
    }
    let mut lists = Vec::with_capacity(line.len() + line.len() / 4);
    for token in Tokens::new(line) {
        if !lists.is_empty() && !matches!(token, Token::Close(_)) {
            lists.push(b',');
        }
        match token {
            Token::Open(b'{') => lists.extend_from_slice(b"[0"),
            Token::Open(_) => lists.extend_from_slice(b"[1"),
            Token::Close(_) => lists.push(b']'),
            Token::Key(text) | Token::String(text) => {
                lists.push(b'"');
                lists.extend_from_slice(text);
                lists.push(b'"');
            }
            Token::Number(text) | Token::Literal(text) => lists.extend_from_slice(text),
        }
    }
    Some(lists)
}

/// How an output relates to the line it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// They mean the same.
    Same,
    /// They do not.
    Different,
    /// They would have to be compared in V8's own order of keys.
    Unsure,
}

/// Compares a line with V8's text for what became of it.
pub fn compare(line: &[u8], survey: ScanReport, output: &[u8]) -> Likeness {
    let (mut left, mut right) = (Tokens::new(line), Tokens::new(output));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Likeness::Same,
            (Some(a), Some(b)) if same_token(a, b) => {}
            _ if survey.losses.index_keys => return Likeness::Unsure,
            // A key that occurs twice is printed once, so the text is shorter, unless a number became longer.
            _ if survey.duplicates
                && (output.len() < line.len() || survey.losses.numbers)
                && has_duplicate_keys(line) =>
            {
                return Likeness::Unsure;
            }
            _ => return Likeness::Different,
        }
    }
}

fn same_token(a: Token<'_>, b: Token<'_>) -> bool {
    match (a, b) {
        (Token::Key(a), Token::Key(b)) | (Token::String(a), Token::String(b)) => {
            a == b || unescape_utf16(a) == unescape_utf16(b)
        }
        (Token::Number(a), Token::Number(b)) => a == b || value_of(a) == value_of(b),
        (a, b) => a == b,
    }
}

/// Whether an object anywhere in `text` has the same key twice.
fn has_duplicate_keys(text: &[u8]) -> bool {
    let mut open: Vec<Vec<u64>> = Vec::new();
    for token in Tokens::new(text) {
        match token {
            Token::Open(_) => open.push(Vec::new()),
            Token::Close(_) => {
                if let Some(mut keys) = open.pop() {
                    keys.sort_unstable();
                    if keys.windows(2).any(|pair| pair[0] == pair[1]) {
                        return true;
                    }
                }
            }
            Token::Key(key) => {
                if let Some(keys) = open.last_mut() {
                    keys.push(key_hash(key));
                }
            }
            _ => {}
        }
    }
    false
}

/// The numbers of a line, for outputs to be given their digits.
pub struct Originals<'a> {
    by_path: HashMap<u64, &'a [u8]>,
    /// Those with more digits than a double holds, by what it does hold; nothing where that is the same of two of them.
    long: HashMap<u64, Option<&'a [u8]>>,
}

impl<'a> Originals<'a> {
    /// The numbers of `line`, to be looked up by path and by value.
    pub fn of(line: &'a [u8]) -> Self {
        let (mut by_path, mut long) = (HashMap::new(), HashMap::new());
        let mut path = Path::default();
        for token in Tokens::new(line) {
            let place = path.step(token);
            let Token::Number(text) = token else { continue };
            // Where a key occurs twice, the last one wins.
            by_path.insert(place, text);
            if is_long(text) {
                // Two texts for one double: then nobody can say which of them moved.
                let known = long.entry(value_of(text).to_bits()).or_insert(Some(text));
                if *known != Some(text) {
                    *known = None;
                }
            }
        }
        Self { by_path, long }
    }

    /// Appends `output` to `sink`, with the line's digits for the numbers that the code did not touch.
    pub fn restore(&self, output: &[u8], sink: &mut dyn Sink) {
        let mut path = Path::default();
        let mut copied = 0;
        let mut tokens = Tokens::new(output);
        while let Some(token) = tokens.next() {
            let place = path.step(token);
            let Token::Number(text) = token else { continue };
            let here = self.by_path.get(&place).copied();
            // Most numbers need not be read.
            if here == Some(text) || here.is_none() && self.long.is_empty() && !text.contains(&b'e') {
                continue;
            }
            let value = value_of(text);
            let here = here.filter(|original| value_of(original) == value && !is_canonical(original));
            let original = here.or_else(|| self.long.get(&value.to_bits()).copied().flatten());
            // The driver marks infinite numbers with a text that V8 never prints.
            let original = original.or(value.is_infinite().then_some(b"null"));
            if let Some(original) = original {
                let start = tokens.at - text.len();
                sink.push(&output[copied..start]);
                sink.push(original);
                copied = tokens.at;
            }
        }
        sink.push(&output[copied..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ways of looking through a line, which must agree.
    fn seen(line: &[u8]) -> ScanReport {
        let survey = survey(line, &mut Validator::default());
        assert_eq!(survey.losses, scan(line));
        survey
    }

    fn restored(line: &str, output: &str) -> String {
        let mut sink = Vec::new();
        Originals::of(line.as_bytes()).restore(output.as_bytes(), &mut sink);
        String::from_utf8(sink).unwrap()
    }

    #[test]
    fn a_canonical_line_loses_nothing() {
        let line = br#"{"a":1,"b":[-1.5,0.000001,"x\n\"\\",true,null],"c":{"d":9007199254740991}}"#;
        assert_eq!(seen(line), ScanReport::default());
    }

    #[test]
    fn every_loss_is_seen() {
        let numbers = ["9007199254740993", "1.0", "-0", "1e5", "0.10", "12345678901234567890", "0.0000001"];
        for number in numbers {
            assert!(seen(format!(r#"{{"a":{number}}}"#).as_bytes()).losses.numbers, "{number}");
        }
        assert!(seen(br#"{"a":1e400}"#).losses.infinite);
        assert!(!seen(br#"{"a":1e300}"#).losses.infinite);
        assert!(seen(br#"{"a": 1}"#).losses.form);
        assert!(seen(br#"{"a":"\u0041"}"#).losses.form);
        assert!(seen(br#"{"a":"\/"}"#).losses.form);
        for line in [r#"{"1":2}"#, r#"{"1" :2}"#, r#"{"\u0031":2}"#] {
            assert!(seen(line.as_bytes()).losses.index_keys, "{line}");
        }
        assert!(seen(br#"{"a":1,"a":2}"#).duplicates);
    }

    #[test]
    fn only_keys_with_escapes_make_lists() {
        assert_eq!(as_lists(br#"{"a":"\"b\":","c":{"d":"\\"}}"#), None);
        let lists = as_lists(br#"{"a" : [1,{}], "q\\":"\n" , "b":[[],null,-1.5e3]}"#).unwrap();
        assert_eq!(String::from_utf8(lists).unwrap(), r#"[0,"a",[1,1,[0]],"q\\","\n","b",[1,[1],null,-1.5e3]]"#);
    }

    #[test]
    fn meaning_is_compared_not_text() {
        let line = br#"{ "a" : "\u00e9", "b": [1.0, 1e400, -0] }"#;
        let survey = seen(line);
        assert_eq!(compare(line, survey, r#"{"a":"é","b":[1,1e999,0]}"#.as_bytes()), Likeness::Same);
        assert_eq!(compare(line, survey, r#"{"a":"e","b":[1,1e999,0]}"#.as_bytes()), Likeness::Different);
        assert_eq!(compare(line, survey, r#"{"a":"é","b":[1,1e999]}"#.as_bytes()), Likeness::Different);
    }

    #[test]
    fn an_order_of_keys_that_only_v8_knows_is_not_decided_here() {
        let both = [
            (r#"{"b":1,"1":2}"#, r#"{"1":2,"b":1}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#"{"a":1,"a":1e20}"#, r#"{"a":100000000000000000000}"#),
        ];
        for (line, output) in both {
            assert_eq!(compare(line.as_bytes(), seen(line.as_bytes()), output.as_bytes()), Likeness::Unsure);
        }
    }

    #[test]
    fn untouched_numbers_keep_their_digits() {
        let line = r#"{"id":9007199254740993,"f":1.0,"deep":{"list":[1,2.50,1e400]},"gone":-0}"#;
        assert_eq!(
            restored(line, r#"{"id":9007199254740992,"f":1,"deep":{"list":[1,2.5,1e999]},"new":1}"#),
            r#"{"id":9007199254740993,"f":1.0,"deep":{"list":[1,2.50,1e400]},"new":1}"#
        );
    }

    #[test]
    fn a_changed_number_is_not_restored() {
        assert_eq!(restored(r#"{"a":1.0,"b":1e400}"#, r#"{"a":2,"b":-1e999}"#), r#"{"a":2,"b":null}"#);
    }

    #[test]
    fn an_untouched_number_does_not_get_the_digits_of_another() {
        assert_eq!(
            restored(r#"{"a":1,"b":1.00000000000000000001}"#, r#"{"a":1,"b":2,"c":1}"#),
            r#"{"a":1,"b":2,"c":1.00000000000000000001}"#
        );
    }

    #[test]
    fn long_digits_survive_a_move_and_short_ones_are_only_numbers() {
        let line = r#"{"id":9007199254740993,"price":1.0}"#;
        assert_eq!(
            restored(line, r#"{"user":{"id":9007199254740992},"p":1}"#),
            r#"{"user":{"id":9007199254740993},"p":1}"#
        );
        let twins = r#"{"a":9007199254740993,"b":9007199254740992}"#;
        assert_eq!(restored(twins, r#"{"c":9007199254740992}"#), r#"{"c":9007199254740992}"#);
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!("{}1.0{}", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(restored(&deep, &deep.replace("1.0", "1")), deep);
    }
}
