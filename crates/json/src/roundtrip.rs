//! Detects what `JSON.parse` and `JSON.stringify` lose.
//!
//! V8 reads every number as a double and prints the shortest text for it: `9007199254740993` would be
//! printed as `…992`, `1.0` as `1`, `1e400` as `null`. It does not keep white space or escapes either. The
//! contract promises that numbers which the code did not touch are output unchanged, and that an unchanged
//! event is output as the same bytes. So:
//!
//! - [`survey`] tells in one pass whether V8 would print any part of a line differently. For most lines it
//!   would not, and V8's text is the output.
//! - Otherwise [`Restorer`](crate::restore::Restorer) compares input and output. If they have the same meaning, the
//!   input's bytes are the output. If not, each part of the output that has the same meaning as the part at the same
//!   place of the input is replaced by the input's bytes.
//! - [`Merger`](crate::merge::Merger) does most of that faster, and declines the rest.
//!
//! Both texts are valid JSON here: V8 has read the input and printed the output. Nothing is recursive,
//! so depth costs memory but no stack.

pub use crate::number::may_hold_lossy;
use crate::number::{is_unsafe, number_end};
pub use crate::scan_report::{RoundTripLoss, ScanReport};
use crate::string::{is_key, string_end};
use crate::token::{Token, Tokens};
use crate::validator::Validator;

/// Scans a line once, with the fast or the slow scan. `duplicates` is true if an object may have a duplicate key.
pub fn survey(line: &[u8], validator: &mut Validator) -> ScanReport {
    // Lines that are too deep for the fast scan take the slow one.
    validator.survey(line).unwrap_or_else(|| ScanReport { losses: scan(line), duplicates: true })
}

/// Scans a valid text of any depth.
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

/// Whether any key of a valid text contains an escape.
pub fn has_escaped_key(text: &[u8]) -> bool {
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        let (end, _) = string_end(text, from + at);
        from = end + 1;
        if is_key(text, from) {
            return true;
        }
    }
    false
}

/// Rewrites the line with its objects as lists, `{"a":[1]}` as `[0,"a",[1,1]]`, if a key contains an escape.
///
/// This works around a bug of V8: `JSON.parse` expects the keys of the object that it read last in the same
/// place, and compares them with the text of the line before processing its escapes. After `{"q\\":1}` it
/// takes the key `"q\u0041"` for `q\`, even in the next event. Strings in a list are not affected, and the
/// driver makes the object from the list.
pub fn as_lists(line: &[u8]) -> Option<Vec<u8>> {
    if !has_escaped_key(line) {
        return None;
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

/// Lists the numbers of a valid line that JavaScript may not represent, as a JSON array; `None` if there are none. Each
/// item is an array of the keys and indices on the path to the number, followed by the number's text as a string.
pub fn unsafe_numbers(line: &[u8]) -> Option<Vec<u8>> {
    /// The position of the walk in an object or array: the last key as written, or the last index.
    enum Step<'a> {
        Key(&'a [u8]),
        Index(usize),
    }
    let (mut list, mut path) = (Vec::new(), Vec::new());
    for token in Tokens::new(line) {
        if !matches!(token, Token::Key(_) | Token::Close(_))
            && let Some(Step::Index(index)) = path.last_mut()
        {
            *index = usize::wrapping_add(*index, 1);
        }
        match token {
            Token::Open(b'{') => path.push(Step::Key(b"")),
            Token::Open(_) => path.push(Step::Index(usize::MAX)),
            Token::Close(_) => drop(path.pop()),
            Token::Key(key) => {
                if let Some(Step::Key(known)) = path.last_mut() {
                    *known = key;
                }
            }
            Token::Number(number) if is_unsafe(number) => {
                list.push(if list.is_empty() { b'[' } else { b',' });
                list.push(b'[');
                for step in &path {
                    match step {
                        Step::Key(key) => list.extend([b"\"", *key, b"\","].concat()),
                        Step::Index(index) => list.extend(format!("\"{index}\",").into_bytes()),
                    }
                }
                list.extend([b"\"", number, b"\"]"].concat());
            }
            Token::String(_) | Token::Number(_) | Token::Literal(_) => {}
        }
    }
    if list.is_empty() {
        return None;
    }
    list.push(b']');
    Some(list)
}

/// The texts of the numbers of a valid line that JavaScript may not represent.
pub fn unsafe_number_texts(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    Tokens::new(line).filter_map(|token| match token {
        Token::Number(number) if is_unsafe(number) => Some(number),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scans a line in both ways, which must agree.
    fn seen(line: &[u8]) -> ScanReport {
        let survey = survey(line, &mut Validator::default());
        assert_eq!(survey.losses, scan(line));
        survey
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
    fn unsafe_numbers_are_listed_with_their_paths() {
        let line = br#"{"a":9007199254740993,"b":[1,{"\u0063":[1e400]},[9007199254740992]],"d":1.0,"e":{}}"#;
        let listed = String::from_utf8(unsafe_numbers(line).unwrap()).unwrap();
        assert_eq!(
            listed,
            r#"[["a","9007199254740993"],["b","1","\u0063","0","1e400"],["b","2","0","9007199254740992"]]"#
        );
        assert_eq!(unsafe_numbers(br#"{"a":1}"#), None);
    }
}
