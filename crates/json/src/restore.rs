//! Restores in an output what V8's JSON has lost of its line. These are the rules, to the byte:
//!
//! - An output with the same meaning as its line is replaced by the line.
//! - Otherwise each part that has the same meaning as the part at the same place of the line (the same keys and
//!   indices from the root) is replaced by the line's bytes: white space, escapes, spelling of numbers.
//!   Everything else is as V8 prints it.
//! - The last of several duplicate keys counts, and the others are not part of a changed output.
//! - A number of which JavaScript loses value keeps its digits even if it was moved. The driver knows the objects and
//!   arrays that such numbers came in, and prints their digits. A number that was moved without its object is
//!   identified by its value alone, if that is unambiguous. See [`Restorer::restore`].
//!
//! The implementation builds two trees, so it costs more than [`Merger`](crate::merge::Merger), which does the same
//! for most outputs. Both texts are valid JSON: V8 has read the line and printed the output. Nothing is recursive,
//! so depth costs memory but no stack.

use crate::hash::key_hash;
use crate::number::{FIRST_UNSAFE, is_lossy, same_decimal, value_of};
use crate::sink::Sink;
use crate::string::unescape_utf16;
use crate::token::{Token, Tokens};

/// No node.
const NONE: u32 = u32::MAX;

/// The driver's suffix for a number that is exact as printed, although its double may have other
/// digits in the line. V8 never prints it.
const EXACT: &[u8] = b"e0";

/// The driver's text for an infinite value of which it knows nothing else. Lines don't spell a number like that.
const INFINITE: [&[u8]; 2] = [b"1e+0999", b"-1e+0999"];

/// Restores outputs. Its memory is reused.
#[derive(Default)]
pub struct Restorer {
    line: Tree,
    text: Tree,
    /// For each node of the text, the node that it is compared with.
    pairs: Vec<Pair>,
    keys: Vec<Key>,
    /// The texts of numbers of other lines that may be in the outputs of this one.
    pub elsewhere: Vec<Vec<u8>>,
    /// The numbers that were moved without their object and keep the digits of their doubles, because several
    /// numbers of the line have that double.
    pub lost: Vec<f64>,
}

/// A JSON text as nodes, each before its children.
#[derive(Default)]
struct Tree {
    nodes: Vec<Node>,
    open: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Node {
    /// The first byte of its type: a brace, bracket or quote, `0` for numbers and `l` for literals.
    kind: u8,
    start: u32,
    end: u32,
    /// Its key, without quotes, if it is a member of an object.
    key: (u32, u32),
    parent: u32,
    /// The node after this one and everything inside it.
    next: u32,
    children: u32,
}

/// The comparison of a node of the text with one of the line.
#[derive(Clone, Copy)]
struct Pair {
    /// The node of the line at the same place.
    of: u32,
    /// Whether their meanings differ.
    differs: bool,
    /// Whether an object in the line's node has a duplicate key.
    duplicates: bool,
}

/// A key of an edited object of the line.
#[derive(Clone, Copy)]
struct Key {
    hash: u64,
    node: u32,
}

impl Tree {
    fn read(&mut self, text: &[u8]) {
        self.nodes.clear();
        self.open.clear();
        let mut key = (0, 0);
        let mut tokens = Tokens::new(text);
        while let Some(token) = tokens.next() {
            let end = tokens.at;
            let (kind, length) = match token {
                Token::Key(text) => {
                    key = ((end - 1 - text.len()) as u32, (end - 1) as u32);
                    continue;
                }
                Token::Close(_) => {
                    if let Some(closed) = self.open.pop() {
                        let next = self.nodes.len() as u32;
                        let node = &mut self.nodes[closed as usize];
                        (node.end, node.next) = (end as u32, next);
                    }
                    continue;
                }
                Token::Open(bracket) => (bracket, 1),
                Token::String(text) => (b'"', text.len() + 2),
                Token::Number(text) => (b'0', text.len()),
                Token::Literal(text) => (b'l', text.len()),
            };
            let (number, parent) = (self.nodes.len() as u32, self.open.last().copied().unwrap_or(NONE));
            if let Some(parent) = self.nodes.get_mut(parent as usize) {
                parent.children += 1;
            }
            let start = (end - length) as u32;
            self.nodes.push(Node { kind, start, end: end as u32, key, parent, next: number + 1, children: 0 });
            if matches!(token, Token::Open(_)) {
                self.open.push(number);
            }
        }
    }

    fn get(&self, node: u32) -> &Node {
        &self.nodes[node as usize]
    }

    /// The indices of a node's children.
    fn children(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        let end = self.get(node).next;
        let mut at = node + 1;
        std::iter::from_fn(move || {
            let child = at;
            (child < end).then(|| {
                at = self.get(child).next;
                child
            })
        })
    }
}

impl Node {
    fn text<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        &text[self.start as usize..self.end as usize]
    }

    fn key<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        &text[self.key.0 as usize..self.key.1 as usize]
    }
}

impl Restorer {
    /// Appends a value of a changed event unchanged, but without duplicate keys: the last value of each is kept, and
    /// each object that contains duplicates is written as V8 would print it.
    pub fn without_duplicates(&mut self, value: &[u8], out: &mut dyn Sink) {
        self.text.read(value);
        let Self { text: tree, pairs, keys, .. } = self;
        pairs.clear();
        pairs.resize(tree.nodes.len(), Pair { of: NONE, differs: false, duplicates: false });
        for at in (0..tree.nodes.len()).rev() {
            let members =
                Members { lines: tree, texts: tree, line: value, text: value, original: at as u32, output: at as u32 };
            pairs[at].duplicates |= tree.nodes[at].kind == b'{' && members.distinct(keys) < keys.len();
            if let Some(parent) = pairs.get(tree.nodes[at].parent as usize).copied() {
                pairs[tree.nodes[at].parent as usize].duplicates = parent.duplicates | pairs[at].duplicates;
            }
        }
        // What is still to be written, in reverse order: a node, or a closing bracket.
        let mut left: Vec<Result<(u32, bool), u8>> = vec![Ok((0, false))];
        while let Some(next) = left.pop() {
            let (at, comma) = match next {
                Ok(node) => node,
                Err(bracket) => {
                    out.push(&[bracket]);
                    continue;
                }
            };
            let node = self.text.get(at);
            if comma {
                out.push(b",");
            }
            let in_object = self.text.nodes.get(node.parent as usize).is_some_and(|parent| parent.kind == b'{');
            if in_object && at != 0 {
                out.push(&printed(node.key(value)));
                out.push(b":");
            }
            if !self.pairs[at as usize].duplicates {
                out.push(node.text(value));
                continue;
            }
            out.push(&[node.kind]);
            left.push(Err(if node.kind == b'{' { b'}' } else { b']' }));
            let children: Vec<u32> = if node.kind == b'{' {
                let members = Members {
                    lines: &self.text,
                    texts: &self.text,
                    line: value,
                    text: value,
                    original: at,
                    output: at,
                };
                members.in_v8_order(&mut self.keys)
            } else {
                self.text.children(at).collect()
            };
            left.extend(children.iter().enumerate().rev().map(|(place, child)| Ok((*child, place > 0))));
        }
    }

    /// Reads a line whose outputs are to be restored.
    pub fn start(&mut self, line: &[u8]) {
        self.line.read(line);
    }

    /// Appends `text`, which V8 has printed after the code had the event of `line`, with what V8 has lost restored; the
    /// line itself if both have the same meaning. The line must have been read by [`Self::start`].
    ///
    /// If the driver knew the digits of a number that V8 would print differently (`9007199254740993`,
    /// `1e400`), the text has these digits. If they are digits that V8 prints too, but must not be mistaken
    /// for another number of the line with the same double, the driver has appended `e0`. An infinite value of
    /// which nothing is known is `1e+0999`.
    pub fn restore(&mut self, line: &[u8], text: &[u8], out: &mut dyn Sink) {
        self.text.read(text);
        self.pair(line, text);
        if !self.pairs[0].differs {
            out.push(line);
            return;
        }
        let (mut copied, mut at, mut lost) = (0, 0, Vec::new());
        while at < self.text.nodes.len() as u32 {
            let (node, pair) = (*self.text.get(at), self.pairs[at as usize]);
            let instead = if pair.of != NONE && !pair.differs && !pair.duplicates {
                at = node.next;
                Some(self.line.get(pair.of).text(line))
            } else {
                at += 1;
                if node.kind == b'0' {
                    match self.moved(line, text, at - 1) {
                        Ok(moved) => moved,
                        Err(double) => {
                            lost.push(double);
                            double.is_infinite().then_some(&b"null"[..])
                        }
                    }
                } else {
                    None
                }
            };
            if let Some(instead) = instead {
                out.push(&text[copied..node.start as usize]);
                out.push(instead);
                copied = node.end as usize;
            }
        }
        out.push(&text[copied..]);
        self.lost.append(&mut lost);
    }

    /// Finds the node that each node of the text is compared with, and whether they have the same meaning.
    fn pair(&mut self, line: &[u8], text: &[u8]) {
        let Self { line: lines, text: texts, pairs, keys, .. } = self;
        pairs.clear();
        pairs.resize(texts.nodes.len(), Pair { of: NONE, differs: true, duplicates: false });
        pairs[0].of = 0;
        for at in 0..texts.nodes.len() as u32 {
            let of = pairs[at as usize].of;
            if of == NONE {
                continue;
            }
            let (original, output) = (lines.get(of), texts.get(at));
            let mut duplicates = false;
            let same = match (original.kind, output.kind) {
                (b'{', b'{') => {
                    let members = Members { lines, texts, line, text, original: of, output: at };
                    members.pair_in_order(pairs).unwrap_or_else(|| members.pair_by_key(pairs, keys, &mut duplicates))
                }
                (b'[', b'[') => {
                    for (original, output) in lines.children(of).zip(texts.children(at)) {
                        pairs[output as usize].of = original;
                    }
                    original.children == output.children
                }
                (b'"', b'"') => same_string(original.text(line), output.text(text)),
                (b'0', b'0') => same_number(original.text(line), output.text(text)),
                (b'l', b'l') => original.text(line) == output.text(text),
                _ => false,
            };
            (pairs[at as usize].differs, pairs[at as usize].duplicates) = (!same, duplicates);
        }
        for at in (1..texts.nodes.len()).rev() {
            let Pair { differs, duplicates, .. } = pairs[at];
            let parent = &mut pairs[texts.nodes[at].parent as usize];
            parent.differs |= differs;
            parent.duplicates |= duplicates;
        }
    }

    /// Returns the replacement for a number of the text that differs from the number at its place in the line. `None`
    /// if it needs no replacement. An error if several candidates are equally good.
    fn moved<'t>(&'t self, line: &'t [u8], text: &'t [u8], at: u32) -> Result<Option<&'t [u8]>, f64> {
        let number = self.text.get(at).text(text);
        if let Some(exact) = number.strip_suffix(EXACT) {
            return Ok(Some(exact));
        }
        let value = value_of(number);
        let infinite = INFINITE.contains(&number);
        if value.abs() < FIRST_UNSAFE || is_lossy(number) && !infinite {
            return Ok(None);
        }
        // JavaScript prints an infinite value as null.
        let unknown = infinite.then_some(&b"null"[..]);
        // Look the number up by its value alone. Fractions were excluded above, since the code may have computed them.
        let mut found: Option<&[u8]> = None;
        let mut doubt = false;
        let elsewhere = || self.elsewhere.iter().map(Vec::as_slice).filter(|original| value_of(original) == value);
        let candidates = || {
            let numbers = self.line.nodes.iter().enumerate().filter(|(_, node)| node.kind == b'0');
            numbers
                .map(|(number, node)| (number as u32, node.text(line)))
                .filter(|(_, original)| value_of(original) == value)
        };
        for (_, original) in candidates() {
            doubt |= found.is_some_and(|found| !same_decimal(found, original));
            found = Some(original);
        }
        if doubt {
            found = Some(self.most_alike(line, text, at, candidates()).ok_or(value)?);
        }
        if found.is_none() {
            let other = elsewhere().next();
            if elsewhere().any(|original| other.is_some_and(|other| !same_decimal(other, original))) {
                return Err(value);
            }
            return Ok(other.filter(|original| is_lossy(original)).or(unknown));
        }
        Ok(found.filter(|original| is_lossy(original)))
    }

    /// Chooses from several numbers of the line that have the same double as a number of the text. Returns the number
    /// with the same key whose object is most similar to the object around the number of the text: that object is most
    /// likely a copy. `None` if the choice is ambiguous.
    fn most_alike<'t>(
        &self,
        line: &'t [u8],
        text: &[u8],
        at: u32,
        candidates: impl Iterator<Item = (u32, &'t [u8])>,
    ) -> Option<&'t [u8]> {
        let (mut best, mut found, mut doubt) = (0, None::<&[u8]>, false);
        for (number, original) in candidates {
            let alike = self.alike(line, text, number, at);
            if alike > best {
                (best, found, doubt) = (alike, Some(original), false);
            } else if alike > 0 && alike == best {
                doubt |= found.is_some_and(|found| !same_decimal(found, original));
            }
        }
        found.filter(|_| !doubt)
    }

    /// Counts the scalars that are equal in the objects around a number of the line and a number of the text. 0 if the
    /// keys of the two numbers differ.
    fn alike(&self, line: &[u8], text: &[u8], original: u32, output: u32) -> usize {
        let (original_parent, output_parent) = (self.line.get(original).parent, self.text.get(output).parent);
        if original_parent == NONE
            || output_parent == NONE
            || self.line.get(original_parent).kind != self.text.get(output_parent).kind
        {
            return 0;
        }
        let object = self.text.get(output_parent).kind == b'{';
        let place = |tree: &Tree, parent: u32, child: u32| tree.children(parent).position(|one| one == child);
        let together = if object {
            same_string(self.line.get(original).key(line), self.text.get(output).key(text))
        } else {
            place(&self.line, original_parent, original) == place(&self.text, output_parent, output)
        };
        if !together {
            return 0;
        }
        let same = |one: u32, other: u32| {
            let (one, other) = (self.line.get(one), self.text.get(other));
            match (one.kind, other.kind) {
                (b'"', b'"') => same_string(one.text(line), other.text(text)),
                (b'0', b'0') => same_number(one.text(line), other.text(text)),
                _ => one.text(line) == other.text(text),
            }
        };
        let mut alike = 0;
        let mut others = self.line.children(original_parent);
        for child in self.text.children(output_parent) {
            let other = if object {
                let key = self.text.get(child).key(text);
                self.line.children(original_parent).find(|one| same_string(self.line.get(*one).key(line), key))
            } else {
                others.next()
            };
            alike += usize::from(child != output && other.is_some_and(|other| same(other, child)));
        }
        alike
    }
}

/// An object of the line and the object at the same place of the text.
struct Members<'a> {
    lines: &'a Tree,
    texts: &'a Tree,
    line: &'a [u8],
    text: &'a [u8],
    original: u32,
    output: u32,
}

impl Members<'_> {
    /// Pairs members as long as both objects have the same keys in the same order. Returns whether the text
    /// has no others. `None` if a key differs or the line has more, since the line may have duplicate keys.
    /// The keys of the text are distinct.
    fn pair_in_order(&self, pairs: &mut [Pair]) -> Option<bool> {
        let mut output = self.texts.children(self.output);
        for original in self.lines.children(self.original) {
            let output = output.next()?;
            let keys = (self.lines.get(original).key(self.line), self.texts.get(output).key(self.text));
            if !same_string(keys.0, keys.1) {
                return None;
            }
            pairs[output as usize].of = original;
        }
        Some(output.next().is_none())
    }

    /// Sorts the keys of the line's object, equal ones together and in order. Returns the number of distinct keys.
    fn distinct(&self, keys: &mut Vec<Key>) -> usize {
        keys.clear();
        let key = |node: u32| self.lines.get(node).key(self.line);
        keys.extend(self.lines.children(self.original).map(|node| Key { hash: key_hash(key(node)), node }));
        keys.sort_unstable_by_key(|key| (key.hash, key.node));
        keys.chunk_by(|one, next| one.hash == next.hash && same_string(key(one.node), key(next.node))).count()
    }

    /// The members of the line's object that count, in V8's order: array indices first, then by
    /// the first position of their keys.
    fn in_v8_order(&self, keys: &mut Vec<Key>) -> Vec<u32> {
        self.distinct(keys);
        let key = |node: u32| self.lines.get(node).key(self.line);
        let equal = keys.chunk_by(|one, next| one.hash == next.hash && same_string(key(one.node), key(next.node)));
        let mut members: Vec<(u64, u32)> = equal
            .map(|group| {
                let name = printed(key(group[0].node));
                let index = Some(&name[1..name.len() - 1]).filter(|name| is_index(name));
                let index = index.map(|digits| digits.iter().fold(0, |all, digit| all * 10 + u64::from(digit - b'0')));
                // After all indices.
                let place = index.unwrap_or((1 << 32) + u64::from(group[0].node));
                (place, group[group.len() - 1].node)
            })
            .collect();
        members.sort_unstable();
        members.into_iter().map(|(_, node)| node).collect()
    }

    /// Pairs members by their keys. Returns whether both have the same keys in V8's order.
    fn pair_by_key(&self, pairs: &mut [Pair], keys: &mut Vec<Key>, duplicates: &mut bool) -> bool {
        let key = |node: u32| self.lines.get(node).key(self.line);
        let distinct = self.distinct(keys);
        *duplicates = distinct < keys.len();
        let mut same = self.texts.get(self.output).children as usize == distinct;
        let mut before = 0;
        for output in self.texts.children(self.output) {
            let name = self.texts.get(output).key(self.text);
            let hash = key_hash(name);
            let first = keys.partition_point(|key| key.hash < hash);
            let mut found = keys[first..]
                .iter()
                .take_while(|key| key.hash == hash)
                .map(|key| key.node)
                .filter(|node| same_string(key(*node), name));
            let Some(first) = found.next() else {
                same = false;
                pairs[output as usize].of = NONE;
                continue;
            };
            // The last value counts, at the position of the first.
            pairs[output as usize].of = found.last().unwrap_or(first);
            // V8 moves indices before all other keys.
            if !is_index(name) {
                same &= first > before;
                before = first;
            }
        }
        same
    }
}

/// A string as V8 prints it, with quotes. `text` has no quotes.
fn printed(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    if !text.contains(&b'\\') {
        out.extend_from_slice(text);
    } else {
        for unit in char::decode_utf16(unescape_utf16(text)) {
            match unit {
                Ok('"') => out.extend(b"\\\""),
                Ok('\\') => out.extend(b"\\\\"),
                Ok('\n') => out.extend(b"\\n"),
                Ok('\r') => out.extend(b"\\r"),
                Ok('\t') => out.extend(b"\\t"),
                Ok('\u{8}') => out.extend(b"\\b"),
                Ok('\u{c}') => out.extend(b"\\f"),
                Ok(control @ '\0'..' ') => out.extend(format!("\\u{:04x}", control as u32).into_bytes()),
                Ok(other) => out.extend(other.encode_utf8(&mut [0; 4]).bytes()),
                Err(lone) => out.extend(format!("\\u{:04x}", lone.unpaired_surrogate()).into_bytes()),
            }
        }
    }
    out.push(b'"');
    out
}

/// Whether JavaScript treats a key as an array index, and so moves it before all other keys.
fn is_index(key: &[u8]) -> bool {
    let digits =
        key.len() <= 10 && key.iter().all(u8::is_ascii_digit) && (key.first() != Some(&b'0') || key.len() == 1);
    digits
        && !key.is_empty()
        && key.iter().fold(0, |all, digit| all * 10 + u64::from(digit - b'0')) < u64::from(u32::MAX)
}

/// Whether two strings have the same meaning. Both are with quotes, or both without.
fn same_string(one: &[u8], other: &[u8]) -> bool {
    one == other || (one.contains(&b'\\') || other.contains(&b'\\')) && unescape_utf16(one) == unescape_utf16(other)
}

/// Whether a number of the text is the one in the line.
fn same_number(original: &[u8], output: &[u8]) -> bool {
    if original == output {
        return true;
    }
    if let Some(exact) = output.strip_suffix(EXACT) {
        return same_decimal(original, exact);
    }
    value_of(original) == value_of(output)
        && (INFINITE.contains(&output) || !is_lossy(output) || same_decimal(original, output))
}

#[cfg(test)]
mod tests;
