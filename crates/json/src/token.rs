//! Splits a valid JSON text into tokens. It does not recurse, so nesting costs no stack.

use crate::number::number_end;
use crate::string::{is_key, string_end};

/// A piece of JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// `{` or `[`.
    Open(u8),
    /// `}` or `]`.
    Close(u8),
    /// A key without its quotes; escapes as written.
    Key(&'a [u8]),
    /// Another string, without its quotes.
    String(&'a [u8]),
    /// A number as it is written.
    Number(&'a [u8]),
    /// `true`, `false` or `null`.
    Literal(&'a [u8]),
}

/// The tokens of a text that is known to be valid JSON.
pub struct Tokens<'a> {
    text: &'a [u8],
    /// The end of the last token.
    pub at: usize,
}

impl<'a> Tokens<'a> {
    /// The tokens of a whole text.
    pub fn new(text: &'a [u8]) -> Self {
        Self::from(text, 0)
    }

    /// The tokens from `at` on, where one starts.
    pub fn from(text: &'a [u8], at: usize) -> Self {
        Self { text, at }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let text = self.text;
        loop {
            let start = self.at;
            let first = *text.get(start)?;
            self.at += 1;
            match first {
                b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' => {}
                b'{' | b'[' => return Some(Token::Open(first)),
                b'}' | b']' => return Some(Token::Close(first)),
                b'"' => {
                    let (end, _) = string_end(text, self.at);
                    let inside = &text[self.at..end];
                    self.at = (end + 1).min(text.len());
                    return Some(if is_key(text, self.at) { Token::Key(inside) } else { Token::String(inside) });
                }
                b'-' | b'0'..=b'9' => {
                    self.at = number_end(text, start);
                    return Some(Token::Number(&text[start..self.at]));
                }
                _ => {
                    let rest = &text[start..];
                    let length = rest.iter().position(|b| !b.is_ascii_alphabetic()).unwrap_or(rest.len()).max(1);
                    self.at = start + length;
                    return Some(Token::Literal(&text[start..self.at]));
                }
            }
        }
    }
}
