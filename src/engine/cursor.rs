//! A walk over a JSON text for those who only want to know where its values lie: a body with many events in it, say, each
//! of which is somebody else's to parse.
//!
//! It goes from one place of the text's structure to the next, and is as strict as the walks over lines: whatever it goes
//! past is JSON. `None` from any of its functions: it is not, or not what was asked for, or nested too deeply.

use super::skeleton::{Look, Number, Open, Walk};
use super::structure::Structure;

/// The structure of a text; its memory is reused.
#[derive(Default)]
pub struct Places {
    structure: Structure,
    open: Vec<Open>,
    hashes: Vec<u32>,
    nothing: Nothing,
}

/// A place in a text, right before a value or a token.
pub struct Cursor<'t, 'p> {
    text: &'t str,
    walk: Walk<'p, Nothing>,
}

/// A value that was gone past.
#[derive(Clone, Copy)]
pub struct Mark<'t> {
    /// Its text.
    pub text: &'t str,
    places: usize,
}

/// All that is wanted is where it ends.
#[derive(Default)]
struct Nothing;

impl Look for Nothing {
    fn number(&mut self, _: &[u8], _: Number) {}
    fn key(&mut self, _: &[u8], _: bool, _: &mut Vec<u32>, _: usize) {}
}

impl Places {
    /// The start of a text.
    pub fn of<'t, 'p>(&'p mut self, text: &'t str) -> Option<Cursor<'t, 'p>>
    where
        't: 'p,
    {
        let Self { structure, open, hashes, nothing } = self;
        Some(Cursor { text, walk: Walk::over(text.as_bytes(), structure, open, hashes, nothing)? })
    }
}

impl<'t> Cursor<'t, '_> {
    /// The byte here, the first of a token.
    #[inline]
    pub fn byte(&self) -> Option<u8> {
        self.walk.byte()
    }

    /// Goes past this bracket, colon or comma.
    #[inline]
    pub fn expect(&mut self, byte: u8) -> Option<()> {
        self.walk.expect(byte)
    }

    /// Goes past a key and its colon. The key is as it is written, and not written with an escape.
    pub fn key(&mut self) -> Option<&'t str> {
        let key = self.walk.key(0)?;
        let plain = self.walk.structure.escapes(key.start, key.end).next().is_none();
        plain.then_some(&self.text[key])
    }

    /// Goes past a value.
    pub fn value(&mut self) -> Option<Mark<'t>> {
        let (first, start) = (self.walk.at, self.walk.place()?);
        let end = self.walk.value()?;
        Some(Mark { text: &self.text[start..end], places: self.walk.at - first })
    }

    /// Goes past an object or a list that is written just as this one, which was gone past, without looking at what is in it.
    pub fn again(&mut self, mark: Mark<'t>) -> Option<Mark<'t>> {
        let start = self.walk.place()?;
        let text = self.text.get(start..)?;
        if !mark.text.starts_with(['{', '[']) || !text.starts_with(mark.text) {
            return None;
        }
        self.walk.at += mark.places;
        Some(Mark { text: &text[..mark.text.len()], ..mark })
    }

    /// Goes past an object or a list with `go`, and gives its text.
    pub fn within(&mut self, go: impl FnOnce(&mut Self) -> Option<()>) -> Option<&'t str> {
        let start = self.walk.place()?;
        go(self)?;
        let last = *self.walk.places.get(self.walk.at.checked_sub(1)?)? as usize;
        self.text.get(start..=last)
    }

    /// Whether nothing but white space follows.
    pub fn is_over(&self) -> bool {
        self.walk.at + 1 == self.walk.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_past_once_is_known_again_and_is_json_all_the_same() {
        let text = r#" [ {"a":[1,"]"]} ,{"a":[1,"]"]}, {"a":[1,"]"]]}] "#;
        let mut places = Places::default();
        let mut at = places.of(text).unwrap();
        at.expect(b'[').unwrap();
        let first = at.value().unwrap();
        assert_eq!(first.text, r#"{"a":[1,"]"]}"#);
        at.expect(b',').unwrap();
        assert_eq!(at.again(first).unwrap().text, first.text);
        at.expect(b',').unwrap();
        assert!(at.again(first).is_none(), "it is written otherwise");
        assert!(at.value().is_none() && !at.is_over(), "it is no JSON");
        let mut at = places.of(r#"{"a":1,"b":[{}] } "#).unwrap();
        let whole = at.within(|at| {
            at.expect(b'{')?;
            assert_eq!((at.key()?, at.value()?.text), ("a", "1"));
            at.expect(b',')?;
            assert_eq!((at.key()?, at.value()?.text), ("b", "[{}]"));
            at.expect(b'}')
        });
        assert_eq!((whole, at.is_over()), (Some(r#"{"a":1,"b":[{}] }"#), true));
        assert!(places.of(r#"{"\u0061":1}"#).and_then(|mut at| at.expect(b'{').and_then(|()| at.key())).is_none());
    }
}
