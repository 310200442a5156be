//! Restores what V8 lost, the fast way: walks through a line and its output in parallel.
//!
//! Most outputs are their line with a few edits. While both are equal, up to the spelling of numbers, the line's bytes
//! are copied. Where they differ, V8's bytes are copied until the two can be matched again: after the changed value, at
//! the next common key, or at the end of the object or array. Only the line needs a structural index.
//!
//! The result is identical to that of [`Restorer`](crate::restore::Restorer), byte for byte. These cases are declined:
//!
//! - The line is not an object or array.
//! - The line has white space, and the output is changed.
//! - An edited object may have a duplicate key, a key with an escape, or a key that looks like
//!   an array index, which V8 moves.
//! - The output has numbers that V8 does not print, such as those of a BigInt.
//! - There are so many edits that searching for the next match would take long.

mod search;

use std::ops::Range;

use search::{Search, SourceLine};

use crate::number::{in_number, is_canonical, is_lossy, number_end, only_zeros, value_of};
use crate::sink::Sink;
use crate::string::{string_end, unescape_utf16};
use crate::structural_index::StructuralIndex;
use crate::token::{Token, Tokens};

/// Merges lines with their outputs. Its memory is reused.
#[derive(Default)]
pub struct Merger {
    structure: StructuralIndex,
    search: Search,
    pieces: Vec<Piece>,
}

/// A part of the result.
enum Piece {
    SourceLine(Range<usize>),
    Text(Range<usize>),
}

impl Merger {
    /// Appends to `out` the text that V8 printed for the event of `line`, with what V8 lost restored; the line itself
    /// if both have the same meaning. `false` if this is declined; then nothing is appended. The line must have no
    /// number of which JavaScript loses value.
    pub fn restore(&mut self, line: &[u8], text: &[u8], out: &mut dyn Sink) -> bool {
        let Self { structure, search, pieces } = self;
        let is_container = |structure: &StructuralIndex| {
            structure.positions().first().is_some_and(|first| matches!(line.get(*first as usize), Some(b'{' | b'[')))
        };
        if !structure.find(line) || !is_container(structure) {
            return false;
        }
        let (compact, escapes) = (!structure.any_space(), structure.any_escape());
        let line = SourceLine { text: line, positions: structure.positions(), compact, escapes };
        search.start(line);
        pieces.clear();
        let walk = Walk { line, text, search, pieces, at: 0, text_at: 0, from: 0, same: true };
        let Some(same) = walk.all() else { return false };
        if same {
            out.push(line.text);
            return true;
        }
        // Unchanged parts keep their white space and changed parts have none. This walk can't tell where each begins.
        if !compact {
            return false;
        }
        for piece in &self.pieces {
            out.push(match piece {
                Piece::SourceLine(range) => &line.text[range.clone()],
                Piece::Text(range) => &text[range.clone()],
            });
        }
        true
    }
}

/// The token before the first difference.
#[derive(PartialEq)]
enum PreviousToken {
    /// The token ends there in both.
    Ended,
    /// The token continues in at least one of them.
    GoesOn,
    /// The token is a number. The line's spelling of it is kept.
    NumberKept,
}

/// The state of a walk. Line and text are in sync if a token of each starts at the current positions, at the same path.
struct Walk<'a> {
    line: SourceLine<'a>,
    text: &'a [u8],
    search: &'a mut Search,
    pieces: &'a mut Vec<Piece>,
    /// The index of the line's current position.
    at: usize,
    text_at: usize,
    /// The start of the next piece: in the line, or, while out of sync, in the text.
    from: usize,
    /// Whether both have the same meaning so far.
    same: bool,
}

impl Walk<'_> {
    /// Walks both to their ends. Returns whether they have the same meaning.
    fn all(mut self) -> Option<bool> {
        self.from = self.line.position(0)?;
        loop {
            let (start, before) = (self.line.position(self.at)?, self.at);
            let common = common(&self.line.text[start..], &self.text[self.text_at..]);
            let stop = start + common;
            self.text_at += common;
            self.at += how_many_less(&self.line.positions[before..], stop);
            let token = if self.at > before { self.before(stop)? } else { PreviousToken::Ended };
            if token == PreviousToken::NumberKept {
                continue;
            }
            if token == PreviousToken::GoesOn {
                self.at -= 1;
                self.text_at -= stop - self.line.position(self.at)?;
                self.difference()?;
            } else if self.text_at == self.text.len() {
                self.pieces.push(Piece::SourceLine(self.from..stop));
                // The last position is the line's end.
                return (self.at + 1 == self.line.positions.len()).then_some(self.same);
            } else if self.line.position(self.at)? == stop {
                self.difference()?;
            } else {
                // White space in the line.
                self.diverge(stop);
                self.resync(self.at, self.text_at);
            }
        }
    }

    /// Determines the kind of the token before the first difference.
    fn before(&mut self, stop: usize) -> Option<PreviousToken> {
        let token = self.at - 1;
        let goes_on = match self.line.byte(token)? {
            // The quotes that start and end a string are adjacent in the index.
            b'"' => token > 0 && self.line.byte(token - 1)? != b'"',
            b'-' | b'0'..=b'9' => {
                let end = self.line.number_end(token)?;
                let text_goes_on = self.text.get(self.text_at).is_some_and(in_number);
                // V8 drops trailing zeros. That is the most frequent difference.
                if !text_goes_on && only_zeros(self.line.text, stop, end) {
                    self.keep_number(end);
                    return Some(PreviousToken::NumberKept);
                }
                text_goes_on || end > stop
            }
            _ => false,
        };
        Some(if goes_on { PreviousToken::GoesOn } else { PreviousToken::Ended })
    }

    /// Handles two different tokens.
    fn difference(&mut self) -> Option<()> {
        let (at, start, text_at) = (self.at, self.line.position(self.at)?, self.text_at);
        match (*self.line.text.get(start)?, *self.text.get(text_at)?) {
            (b'-' | b'0'..=b'9', b'-' | b'0'..=b'9') => self.numbers(start),
            (b'"', b'"') if self.line.byte(at + 2)? != b':' => {
                let (end, _) = string_end(self.text, text_at + 1);
                if unescape_utf16(self.line.string(at)?) == unescape_utf16(self.text.get(text_at + 1..end)?) {
                    // Only the spelling differs: the line's is kept.
                    (self.at, self.text_at) = (at + 2, end + 1);
                } else {
                    self.same = false;
                    self.diverge(start);
                    self.resync(at + 2, end + 1);
                }
                Some(())
            }
            (b'"', b'"') | (b'}', _) | (_, b'}') => self.members(start),
            (b']', _) | (_, b']') => self.elements(start),
            (b',' | b':', _) | (_, b',' | b':') => None,
            _ => self.changed(start),
        }
    }

    /// Handles a changed value.
    fn changed(&mut self, start: usize) -> Option<()> {
        self.same = false;
        self.diverge(start);
        let text_end = self.foreign(self.text_at)?;
        let next = self.search.next(self.line, self.at)?;
        self.resync(next, text_end);
        Some(())
    }

    /// Handles two numbers with different spellings.
    fn numbers(&mut self, start: usize) -> Option<()> {
        let (end, text_end) = (self.line.number_end(self.at)?, number_end(self.text, self.text_at));
        let original = &self.line.text[start..end];
        if value_of(original) != value_of(&self.text[self.text_at..text_end]) {
            return self.changed(start);
        }
        // The text may have the digits of a BigInt.
        if is_canonical(original) || is_lossy(&self.text[self.text_at..text_end]) {
            return None;
        }
        (self.at, self.text_at) = (self.at + 1, text_end);
        self.keep_number(end);
        Some(())
    }

    /// Keeps the line's number, which ends at `end`.
    fn keep_number(&mut self, end: usize) {
        let next = self.line.positions[self.at] as usize;
        if next != end {
            self.pieces.push(Piece::SourceLine(self.from..end));
            self.from = next;
        }
    }

    /// Handles different keys in one object, or the end of one of the two objects.
    fn members(&mut self, start: usize) -> Option<()> {
        self.same = false;
        self.diverge(start);
        let object = self.search.object(self.line, self.at)?;
        let mut text_at = self.text_at;
        loop {
            text_at += usize::from(self.text.get(text_at) == Some(&b','));
            match self.text.get(text_at)? {
                b'}' => {
                    self.resync(self.search.end_of(object), text_at);
                    return Some(());
                }
                b'"' => {}
                _ => return None,
            }
            let (key_end, _) = string_end(self.text, text_at + 1);
            if let Some(at) = self.search.find(self.line, object, self.text.get(text_at + 1..key_end)?)? {
                self.resync(at, text_at);
                return Some(());
            }
            if self.text.get(key_end + 1) != Some(&b':') {
                return None;
            }
            text_at = self.foreign(key_end + 2)?;
        }
    }

    /// Handles the end of one of two arrays.
    fn elements(&mut self, start: usize) -> Option<()> {
        self.same = false;
        self.diverge(start);
        let array = self.search.around(self.line, self.at)?;
        let end = self.search.partner(self.line, array)?;
        let mut text_at = self.text_at;
        while *self.text.get(text_at)? != b']' {
            text_at = self.foreign(text_at + usize::from(self.text[text_at] == b','))?;
        }
        self.resync(end, text_at);
        Some(())
    }

    /// From here on in the line, the text's bytes are copied.
    fn diverge(&mut self, here: usize) {
        self.pieces.push(Piece::SourceLine(self.from..here));
        self.from = self.text_at;
    }

    /// From here on, the line's bytes are copied again.
    fn resync(&mut self, at: usize, text_at: usize) {
        self.pieces.push(Piece::Text(self.from..text_at));
        (self.at, self.text_at) = (at, text_at);
        self.from = self.line.position(at).unwrap_or(self.line.text.len());
    }

    /// Skips a value of the text that the line does not have. Returns its end.
    fn foreign(&mut self, start: usize) -> Option<usize> {
        let mut depth = 0;
        let mut tokens = Tokens::from(self.text, start);
        loop {
            match tokens.next()? {
                Token::Open(_) => depth += 1,
                Token::Close(_) => depth -= 1,
                Token::Key(_) if depth == 0 => return None,
                Token::Key(_) | Token::String(_) | Token::Number(_) | Token::Literal(_) => {}
            }
            if depth <= 0 {
                return (depth == 0).then_some(tokens.at);
            }
        }
    }
}

/// The number of ascending positions below `stop`. Optimized for small results.
fn how_many_less(positions: &[u32], stop: usize) -> usize {
    let stop = u32::try_from(stop).unwrap_or(u32::MAX);
    let (eights, rest) = positions.as_chunks::<8>();
    let mut less = 0;
    for eight in eights {
        let more = eight.iter().map(|position| u32::from(*position < stop)).sum::<u32>();
        less += more as usize;
        if more < 8 {
            return less;
        }
    }
    less + rest.iter().take_while(|position| **position < stop).count()
}

/// The length of the common prefix.
fn common(one: &[u8], other: &[u8]) -> usize {
    let (ones, others) = (one.as_chunks::<8>().0, other.as_chunks::<8>().0);
    for (at, (a, b)) in ones.iter().zip(others).enumerate() {
        let differ = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differ != 0 {
            return at * 8 + differ.trailing_zeros() as usize / 8;
        }
    }
    let at = ones.len().min(others.len()) * 8;
    at + one[at..].iter().zip(&other[at..]).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests;
