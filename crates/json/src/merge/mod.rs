//! A line and its output, walked side by side: the fast way to put back what V8 has lost.
//!
//! Mostly an output is its line with a few edits. As long as both are the same but for how numbers are spelt, what goes
//! out is the line. Where they differ, what V8 has printed goes out, and they meet again behind it: behind the value that
//! was changed, at the next key that both have, or where the object or array ends. The structure of the line says what
//! stands where in it; that of the output is not needed.
//!
//! The rules are those of [`Restorer`](crate::restore::Restorer), to the byte. What would take more than this is declined:
//! a changed output of a line with white space; an object that was edited, if a key may occur twice in it, or V8 may have
//! moved it to the front, or it is written with an escape; numbers that V8 does not print (those of a BigInt, say); edits in
//! this many positions that it would take long to find them.

mod search;

use std::ops::Range;

use search::{Search, SourceLine};

use crate::number::{in_number, is_canonical, is_lossy, number_end, only_zeros, value_of};
use crate::sink::Sink;
use crate::string::{string_end, unescape_utf16};
use crate::structural_index::StructuralIndex;
use crate::token::{Token, Tokens};

/// Goes through lines; its memory is reused.
#[derive(Default)]
pub struct Merger {
    structure: StructuralIndex,
    search: Search,
    pieces: Vec<Piece>,
}

/// A part of what goes out.
enum Piece {
    SourceLine(Range<usize>),
    Text(Range<usize>),
}

impl Merger {
    /// Appends `text`, which V8 has printed after the code had the event of `line`, with what V8 has lost put back; the line
    /// itself if both mean the same. `false` if that is declined; then nothing was appended. The line has no number of which
    /// JavaScript loses value.
    pub fn restore(&mut self, line: &[u8], text: &[u8], out: &mut dyn Sink) -> bool {
        let Self { structure, search, pieces } = self;
        if !structure.find(line) {
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
        // What is unchanged keeps its white space, what is changed has none: that takes knowing where each begins.
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

/// What they have begun to differ behind.
#[derive(PartialEq)]
enum Before {
    /// A token that has ended in both.
    Ended,
    /// One that goes on in at least one of them.
    GoesOn,
    /// A number, of which what is left in the line was put out.
    Kept,
}

/// Both under way. They are in step where a token of either starts, at the same path.
struct Walk<'a> {
    line: SourceLine<'a>,
    text: &'a [u8],
    search: &'a mut Search,
    pieces: &'a mut Vec<Piece>,
    /// The number of the line's current position.
    at: usize,
    text_at: usize,
    /// Up to where the line is put out, or out of step the text.
    from: usize,
    /// Whether they have meant the same so far.
    same: bool,
}

impl Walk<'_> {
    /// Goes through both, and gives whether they mean the same.
    fn all(mut self) -> Option<bool> {
        self.from = self.line.place(0)?;
        loop {
            let (start, before) = (self.line.place(self.at)?, self.at);
            let common = common(&self.line.text[start..], &self.text[self.text_at..]);
            let stop = start + common;
            self.text_at += common;
            self.at += how_many_less(&self.line.positions[before..], stop);
            let token = if self.at > before { self.before(stop)? } else { Before::Ended };
            if token == Before::Kept {
                continue;
            }
            if token == Before::GoesOn {
                self.at -= 1;
                self.text_at -= stop - self.line.place(self.at)?;
                self.difference()?;
            } else if self.text_at == self.text.len() {
                self.pieces.push(Piece::SourceLine(self.from..stop));
                // Behind the last token is the line's end.
                return (self.at + 1 == self.line.positions.len()).then_some(self.same);
            } else if self.line.place(self.at)? == stop {
                self.difference()?;
            } else {
                // White space in the line.
                self.diverge(stop);
                self.resync(self.at, self.text_at);
            }
        }
    }

    /// The token before the current one, where they begin to differ.
    fn before(&mut self, stop: usize) -> Option<Before> {
        let token = self.at - 1;
        let goes_on = match self.line.byte(token)? {
            // The quote that ends a string comes right behind the one that starts it.
            b'"' => token > 0 && self.line.byte(token - 1)? != b'"',
            b'-' | b'0'..=b'9' => {
                let end = self.line.number_end(token)?;
                let text_goes_on = self.text.get(self.text_at).is_some_and(in_number);
                // So V8 spells most of the numbers that it spells in another way.
                if !text_goes_on && only_zeros(self.line.text, stop, end) {
                    self.keep_number(end);
                    return Some(Before::Kept);
                }
                text_goes_on || end > stop
            }
            _ => false,
        };
        Some(if goes_on { Before::GoesOn } else { Before::Ended })
    }

    /// In step, at tokens that differ.
    fn difference(&mut self) -> Option<()> {
        let (at, start, text_at) = (self.at, self.line.place(self.at)?, self.text_at);
        match (*self.line.text.get(start)?, *self.text.get(text_at)?) {
            (b'-' | b'0'..=b'9', b'-' | b'0'..=b'9') => self.numbers(start),
            (b'"', b'"') if self.line.byte(at + 2)? != b':' => {
                let (end, _) = string_end(self.text, text_at + 1);
                if unescape_utf16(self.line.string(at)?) == unescape_utf16(self.text.get(text_at + 1..end)?) {
                    // As it came.
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

    /// Both at a value, and that of the text is another one.
    fn changed(&mut self, start: usize) -> Option<()> {
        self.same = false;
        self.diverge(start);
        let text_end = self.foreign(self.text_at)?;
        let next = self.search.next(self.line, self.at)?;
        self.resync(next, text_end);
        Some(())
    }

    /// Both at a number, and the two are not spelt the same.
    fn numbers(&mut self, start: usize) -> Option<()> {
        let (end, text_end) = (self.line.number_end(self.at)?, number_end(self.text, self.text_at));
        let came = &self.line.text[start..end];
        if value_of(came) != value_of(&self.text[self.text_at..text_end]) {
            return self.changed(start);
        }
        // The text may have the digits of a BigInt.
        if is_canonical(came) || is_lossy(&self.text[self.text_at..text_end]) {
            return None;
        }
        (self.at, self.text_at) = (self.at + 1, text_end);
        self.keep_number(end);
        Some(())
    }

    /// In step behind a number, which is to be the line's and ends there.
    fn keep_number(&mut self, end: usize) {
        let next = self.line.positions[self.at] as usize;
        if next != end {
            self.pieces.push(Piece::SourceLine(self.from..end));
            self.from = next;
        }
    }

    /// Both in one object, at keys that differ, or one of them at its end.
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

    /// Both in one array, and one of them at its end.
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

    /// Out of step, from here on in the line.
    fn diverge(&mut self, here: usize) {
        self.pieces.push(Piece::SourceLine(self.from..here));
        self.from = self.text_at;
    }

    /// In step again.
    fn resync(&mut self, at: usize, text_at: usize) {
        self.pieces.push(Piece::Text(self.from..text_at));
        (self.at, self.text_at) = (at, text_at);
        self.from = self.line.place(at).unwrap_or(self.line.text.len());
    }

    /// Out of step, goes past a value of the text whose path the line has not; gives where it ends.
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

/// How many numbers of an ascending list are less than another, which are not many.
fn how_many_less(positions: &[u32], stop: usize) -> usize {
    let stop = u32::try_from(stop).unwrap_or(u32::MAX);
    let (eights, rest) = positions.as_chunks::<8>();
    let mut less = 0;
    for eight in eights {
        let more = eight.iter().map(|place| u32::from(*place < stop)).sum::<u32>();
        less += more as usize;
        if more < 8 {
            return less;
        }
    }
    less + rest.iter().take_while(|place| **place < stop).count()
}

/// How many bytes both start with.
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
