//! Finds the end of a JSON object or array by its brackets alone.
//!
//! A container ends where as many brackets have closed as have opened. A block with fewer closing brackets than are
//! open cannot contain the end, so most blocks are only counted. The content is not checked, except for strings: they
//! all end, and contain no control character.

use std::ops::ControlFlow;

use crate::simd::{self, Isa, Pass, Strings};

/// An object or array at the start of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Container {
    /// The number of bytes.
    pub len: usize,
    /// Whether it contains no control characters, line feeds included.
    pub one_line: bool,
}

/// Returns the container at the start of a text. `None` if the first byte is not an opening
/// bracket, or if the container does not end.
pub fn skip_container(text: &[u8]) -> Option<Container> {
    if !matches!(text.first(), Some(b'{' | b'[')) {
        return None;
    }
    simd::run(text, || Search { text, strings: Strings::default(), depth: 0, control: 0 })
}

/// The pass that looks for the end.
struct Search<'a> {
    text: &'a [u8],
    strings: Strings,
    /// The number of open brackets.
    depth: u32,
    /// The union of the control characters of all blocks so far.
    control: u64,
}

impl Pass for Search<'_> {
    type Output = Option<Container>;

    #[inline(always)]
    fn block<I: Isa>(&mut self, isa: I, block: I::Block, base: usize, inside: u64) -> ControlFlow<Self::Output> {
        let (backslash, all_quotes) = (isa.equal(block, b'\\'), isa.equal(block, b'"'));
        let control = isa.within(block, 0, 0x1F) & inside;
        // A brace is a bracket with one more bit.
        let (open, close) = (isa.equal_with(block, 0x20, b'{'), isa.equal_with(block, 0x20, b'}'));
        let quote = all_quotes & !self.strings.escaped(backslash);
        let in_string = self.strings.inside(isa, quote);
        let (open, mut close) = (open & !in_string, close & !in_string);
        if close.count_ones() >= self.depth {
            let mut depth = self.depth;
            while close != 0 {
                let bit = close & close.wrapping_neg();
                close ^= bit;
                // Wraps below zero if a bracket earlier in the same block opens: the sum is right.
                depth = depth.wrapping_sub(1);
                if depth.wrapping_add((open & (bit - 1)).count_ones()) == 0 {
                    let at = base + bit.trailing_zeros() as usize;
                    let one_line = self.control | control & (bit - 1) == 0;
                    // In ASCII, a closing bracket is its opening one plus two.
                    let fits = self.text[at] == self.text[0] + 2 && control & in_string & (bit - 1) == 0;
                    return ControlFlow::Break(fits.then_some(Container { len: at + 1, one_line }));
                }
            }
            self.depth = depth.wrapping_add(open.count_ones());
        } else {
            // A block may close more than it opens, but never everything that is open.
            self.depth = self.depth + open.count_ones() - close.count_ones();
        }
        self.control |= control;
        if control & in_string != 0 { ControlFlow::Break(None) } else { ControlFlow::Continue(()) }
    }

    #[inline(always)]
    fn finish(self) -> Self::Output {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simd::tests::same_in_every_form;

    /// The reference implementation, byte by byte.
    fn byte_by_byte(text: &[u8]) -> Option<Container> {
        let (mut depth, mut in_string, mut escaped, mut one_line) = (0, false, false, true);
        for (at, byte) in text.iter().enumerate() {
            let quote = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            one_line &= *byte >= b' ';
            match byte {
                _ if quote => in_string = !in_string,
                0..b' ' if in_string => return None,
                _ if in_string => {}
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            match depth {
                0 if at == 0 => return None,
                0 => return (*byte == text[0] + 2).then_some(Container { len: at + 1, one_line }),
                _ => {}
            }
        }
        None
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            8 => prop::sample::select(b"{{[[}]:,\"\"\\ a1".to_vec()),
            1 => prop::sample::select(b"\n\t\x01\xC3;={".to_vec()),
        ];
        let of_one_kind = prop_oneof![Just(b'['), Just(b'"'), Just(b'x'), Just(b'}')];
        let run = (of_one_kind, 0..90usize).prop_map(|(byte, len)| vec![byte; len]);
        let some = prop::collection::vec(byte, 0..90);
        prop::collection::vec(prop_oneof![3 => some, 1 => run], 0..5).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn it_ends_where_the_brackets_balance(text in bytes(), list: bool) {
            let text = [if list { b"[" } else { b"{" }, &text[..]].concat();
            prop_assert_eq!(same_in_every_form(|| skip_container(&text)), byte_by_byte(&text));
        }
    }

    #[test]
    fn a_container_ends_with_a_bracket_of_its_own_kind() {
        for (text, found) in [
            (r#"{"a":[1,"]}"]} x"#, Some((14, true))),
            ("[\n{}]]", Some((5, false))),
            ("[]", Some((2, true))),
            ("{]", None),
            ("{", None),
            ("{\"\n\"}", None),
            ("1", None),
            ("", None),
        ] {
            let found = found.map(|(len, one_line)| Container { len, one_line });
            assert_eq!(same_in_every_form(|| skip_container(text.as_bytes())), found, "{text}");
        }
    }
}
