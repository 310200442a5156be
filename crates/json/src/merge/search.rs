//! Finds keys and matching brackets in an edited line.

use std::ops::Range;

use crate::hash::quick_hash;
use crate::number::number_end;

/// Up to this many keys are compared pairwise; more are sorted.
const FEW_KEYS: usize = 32;

/// The search may visit this many times the number of the line's positions.
const MAX_WORK: usize = 16;

/// A line and its structural positions.
#[derive(Clone, Copy)]
pub struct SourceLine<'a> {
    pub text: &'a [u8],
    pub positions: &'a [u32],
    /// Whether there is no white space between tokens.
    pub compact: bool,
    /// Whether any string contains an escape.
    pub escapes: bool,
}

impl<'a> SourceLine<'a> {
    pub fn position(self, at: usize) -> Option<usize> {
        self.positions.get(at).map(|position| *position as usize)
    }

    /// The first byte of the token at a position.
    pub fn byte(self, at: usize) -> Option<u8> {
        self.text.get(self.position(at)?).copied()
    }

    /// The end of the number at a position.
    pub fn number_end(self, at: usize) -> Option<usize> {
        if self.compact { self.position(at + 1) } else { Some(number_end(self.text, self.position(at)?)) }
    }

    /// The string at a position, without its quotes.
    pub fn string(self, at: usize) -> Option<&'a [u8]> {
        self.text.get(self.position(at)? + 1..self.position(at + 1)?)
    }
}

/// Search results for a line. Its memory is reused.
#[derive(Default)]
pub struct Search {
    /// For each bracket the index of its partner; empty until needed.
    partners: Vec<u32>,
    brackets: Vec<u32>,
    /// The objects around the current position, outermost first, and their keys.
    objects: Vec<Object>,
    keys: Vec<Key>,
    hashes: Vec<u32>,
    /// The number of positions that may still be visited.
    left: usize,
}

/// An object: the range between its braces, and the index of its first key.
struct Object {
    positions: Range<usize>,
    first: usize,
}

/// A key and the index of its position.
struct Key {
    hash: u32,
    at: u32,
}

impl Search {
    /// Discards the results for the previous line.
    pub fn start(&mut self, line: SourceLine<'_>) {
        self.partners.clear();
        self.objects.clear();
        self.keys.clear();
        self.left = line.positions.len() * MAX_WORK;
    }

    fn spend(&mut self, amount: usize) -> Option<()> {
        self.left = self.left.checked_sub(amount)?;
        Some(())
    }

    /// The position after the value that starts at `at`.
    pub fn next(&mut self, line: SourceLine<'_>, at: usize) -> Option<usize> {
        Some(match line.byte(at)? {
            b'{' | b'[' => self.partner(line, at)? + 1,
            b'"' => at + 2,
            _ => at + 1,
        })
    }

    /// The partner of a bracket.
    pub fn partner(&mut self, line: SourceLine<'_>, at: usize) -> Option<usize> {
        if self.partners.is_empty() {
            self.pair(line)?;
        }
        self.partners.get(at).map(|partner| *partner as usize)
    }

    /// Pairs all brackets.
    fn pair(&mut self, SourceLine { text, positions, .. }: SourceLine<'_>) -> Option<()> {
        self.partners.resize(positions.len(), 0);
        self.brackets.resize(positions.len(), 0);
        let mut count = 0;
        // The last position is the line's length.
        for (at, position) in positions[..positions.len() - 1].iter().enumerate() {
            // No branch, as it would be mispredicted. A brace differs from a bracket in one bit.
            self.brackets[count] = at as u32;
            count += usize::from(matches!(text[*position as usize] | 0x20, b'{' | b'}'));
        }
        // The open brackets reuse the front of the list.
        let mut open = 0;
        for number in 0..count {
            let at = self.brackets[number];
            if matches!(text[positions[at as usize] as usize], b'{' | b'[') {
                self.brackets[open] = at;
                open += 1;
            } else {
                open = usize::checked_sub(open, 1)?;
                let partner = self.brackets[open];
                self.partners[at as usize] = partner;
                self.partners[partner as usize] = at;
            }
        }
        (open == 0).then_some(())
    }

    /// The opening bracket of the container around a position.
    pub fn around(&mut self, line: SourceLine<'_>, mut at: usize) -> Option<usize> {
        loop {
            at = at.checked_sub(1)?;
            self.spend(1)?;
            match line.byte(at)? {
                b'{' | b'[' => return Some(at),
                b'}' | b']' => at = self.partner(line, at)?,
                _ => {}
            }
        }
    }

    /// The object around a position. `None` if it may have a duplicate key, or has a key with an escape or
    /// one that looks like an array index.
    pub fn object(&mut self, line: SourceLine<'_>, at: usize) -> Option<usize> {
        let start = self.around(line, at)?;
        while let Some(last) = self.objects.last()
            && !(last.positions.start < at && at <= last.positions.end)
        {
            self.keys.truncate(last.first);
            self.objects.pop();
        }
        if let Some(known) = self.objects.iter().rposition(|object| object.positions.start == start) {
            return Some(known);
        }
        let (first, end) = (self.keys.len(), self.partner(line, start)?);
        let mut at = start + 1;
        while at < end {
            let key = line.string(at)?;
            if key.first().is_some_and(u8::is_ascii_digit) || line.escapes && key.contains(&b'\\') {
                return None;
            }
            self.keys.push(Key { hash: quick_hash(key), at: at as u32 });
            // A colon comes before the value, and a comma or the end after it.
            at = self.next(line, at + 3)? + 1;
        }
        self.objects.push(Object { positions: start..end, first });
        self.all_differ(first).then_some(self.objects.len() - 1)
    }

    /// Whether all keys from `first` on have different hashes.
    fn all_differ(&mut self, first: usize) -> bool {
        let hashes = &mut self.hashes;
        hashes.clear();
        hashes.extend(self.keys[first..].iter().map(|key| key.hash));
        if hashes.len() <= FEW_KEYS {
            return (1..hashes.len()).all(|next| !hashes[..next].contains(&hashes[next]));
        }
        hashes.sort_unstable();
        hashes.windows(2).all(|pair| pair[0] != pair[1])
    }

    /// The position of a key in an object; `Some(None)` if the object does not have it. `None`
    /// if the search takes too long.
    pub fn find(&mut self, line: SourceLine<'_>, object: usize, key: &[u8]) -> Option<Option<usize>> {
        let end = self.objects.get(object + 1).map_or(self.keys.len(), |next| next.first);
        let keys = self.objects[object].first..end;
        self.spend(keys.len() / 4 + 1)?;
        let hash = quick_hash(key);
        let is_it = |known: &&Key| known.hash == hash && line.string(known.at as usize) == Some(key);
        Some(self.keys[keys].iter().find(is_it).map(|known| known.at as usize))
    }

    /// The end of an object.
    pub fn end_of(&self, object: usize) -> usize {
        self.objects[object].positions.end
    }
}
