//! A valid JSON text, token by token, and where in the document each stands.
//!
//! Nothing recurses, so depth costs memory and not the stack.

use crate::hash::key_hash;
use crate::number::number_end;
use crate::string::{is_key, string_end};

/// A piece of JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// `{` or `[`.
    Open(u8),
    /// `}` or `]`.
    Close(u8),
    /// Without its quotes, escapes as they stand.
    Key(&'a [u8]),
    /// A string that is no key, without its quotes.
    String(&'a [u8]),
    /// A number as it is written.
    Number(&'a [u8]),
    /// `true`, `false` or `null`.
    Literal(&'a [u8]),
}

/// The tokens of a text that is known to be valid JSON.
pub struct Tokens<'a> {
    text: &'a [u8],
    /// Behind the token that was given last.
    pub at: usize,
}

impl<'a> Tokens<'a> {
    /// The tokens of a whole text.
    pub fn new(text: &'a [u8]) -> Self {
        Self::from(text, 0)
    }

    /// Those from a place on where one starts.
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

/// Where in a document a token stands, as a hash of the keys and indices on the way there.
#[derive(Default)]
pub struct Path {
    open: Vec<(u64, Option<u64>)>,
    key: u64,
}

impl Path {
    /// Takes one token; gives the hash of its place.
    pub fn step(&mut self, token: Token<'_>) -> u64 {
        match token {
            Token::Key(key) => {
                self.key = key_hash(key);
                0
            }
            Token::Close(_) => {
                self.open.pop();
                0
            }
            Token::Open(bracket) => {
                let here = self.here();
                self.open.push((here, (bracket == b'[').then_some(0)));
                here
            }
            _ => self.here(),
        }
    }

    fn here(&mut self) -> u64 {
        let Some((parent, index)) = self.open.last_mut() else { return 1 };
        let step = match index {
            Some(index) => {
                *index += 1;
                *index
            }
            None => self.key,
        };
        (parent.rotate_left(23) ^ step).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}
