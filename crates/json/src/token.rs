//! A valid JSON text, token by token, and where in the document each stands.
//!
//! Nothing recurses, so depth costs memory and not the stack.

use crate::number::number_end;
use crate::validator;

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

/// Equal keys have equal hashes, however they are written.
pub fn key_hash(key: &[u8]) -> u64 {
    if key.contains(&b'\\') {
        let units = unescape(key);
        // Lone surrogates never meet a key that is written without escapes, so any bytes will do for them.
        let text = String::from_utf16(&units).unwrap_or_else(|_| format!("{units:?}"));
        return bytes_hash(text.as_bytes());
    }
    bytes_hash(key)
}

fn bytes_hash(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut chunks = bytes.chunks_exact(8);
    let hash = chunks
        .by_ref()
        .fold(bytes.len() as u64, |hash, eight| mix(hash, u64::from_le_bytes(eight.try_into().expect("eight bytes"))));
    let rest = chunks.remainder().iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
    let hash = mix(hash, rest);
    hash ^ hash >> 29
}

/// The UTF-16 code units that a JSON string stands for; lone surrogates stay what they are.
pub fn unescape(text: &[u8]) -> Vec<u16> {
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(backslash) = memchr::memchr(b'\\', rest) {
        units.extend(String::from_utf8_lossy(&rest[..backslash]).encode_utf16());
        let escape = rest.get(backslash + 1).copied().unwrap_or(b'\\');
        let mut length = 2;
        units.push(match escape {
            b'b' => 8,
            b'f' => 12,
            b'n' => 10,
            b'r' => 13,
            b't' => 9,
            b'u' => {
                length = 6;
                let hex = rest.get(backslash + 2..backslash + 6).and_then(|hex| std::str::from_utf8(hex).ok());
                hex.and_then(|hex| u16::from_str_radix(hex, 16).ok()).unwrap_or(0xFFFD)
            }
            other => u16::from(other),
        });
        rest = rest.get(backslash + length..).unwrap_or_default();
    }
    units.extend(String::from_utf8_lossy(rest).encode_utf16());
    units
}

/// The index of the quote that ends the string which starts at `at`, and whether V8 would write it the same way.
pub fn string_end(text: &[u8], mut at: usize) -> (usize, bool) {
    let mut plain = true;
    loop {
        at = validator::next_stop(text, at);
        match text.get(at) {
            None | Some(b'"') => return (at.min(text.len()), plain),
            Some(b'\\') => {
                plain &= !matches!(text.get(at + 1), Some(b'u' | b'/'));
                at += 2;
            }
            Some(_) => at += 1,
        }
    }
}

/// Whether the string that ends before `at` is a key.
pub fn is_key(text: &[u8], at: usize) -> bool {
    text[at.min(text.len())..].iter().find(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'\r')) == Some(&b':')
}
