//! Tests every form against the definition of each check. Also has helpers with which other modules test all forms.

use std::cell::Cell;

use proptest::prelude::*;

use super::*;

thread_local! {
    /// The form that [`run`] uses on this thread instead of the best one.
    pub(super) static FORCED: Cell<Option<Form>> = const { Cell::new(None) };
}

/// The result of `compute` in every form that this processor has, the scalar one first.
pub fn in_every_form<T>(mut compute: impl FnMut() -> T) -> Vec<T> {
    let forms = Form::ALL.into_iter().filter(|form| form.is_available());
    let results = forms.map(|form| {
        FORCED.set(Some(form));
        compute()
    });
    let results = results.collect();
    FORCED.set(None);
    results
}

/// The result of `compute`, which must be the same in every form.
pub fn same_in_every_form<T: PartialEq + std::fmt::Debug>(compute: impl FnMut() -> T) -> T {
    let mut results = in_every_form(compute);
    let first = results.swap_remove(0);
    assert!(results.iter().all(|other| *other == first), "the forms differ: {first:?} and {results:?}");
    first
}

/// Makes all checks on each block.
struct Ask<'a> {
    blocks: Vec<([u64; 10], u64)>,
    kept: &'a mut Vec<u8>,
}

impl Pass for Ask<'_> {
    type Output = Vec<([u64; 10], u64)>;
    const COMPRESSES: bool = true;

    fn block<I: Isa>(&mut self, isa: I, block: I::Block, _: usize, inside: u64) -> ControlFlow<Self::Output> {
        let digits = isa.within(block, b'0', b'9');
        let answers = [
            isa.equal(block, b'"'),
            isa.equal(block, 0xC3),
            isa.equal_with(block, 0x20, b'{'),
            isa.within(block, 0, 0x1F),
            digits,
            isa.within(block, b'-', b'.'),
            isa.operators(block) & !isa.within(block, 0, 0x1F),
            isa.spaces(block),
            isa.hex_digits(block),
            isa.prefix_xor(digits),
        ];
        isa.push_kept(block, digits & inside, self.kept);
        self.blocks.push((answers, inside));
        ControlFlow::Continue(())
    }

    fn finish(self) -> Self::Output {
        self.blocks
    }
}

fn expected(bytes: &[u8; BLOCK]) -> [u64; 10] {
    let of = |is: fn(u8) -> bool| bytes.iter().rev().fold(0, |bits, byte| bits << 1 | u64::from(is(*byte)));
    let digits = of(|byte| byte.is_ascii_digit());
    let xor = (0..BLOCK).fold(0, |bits, at| bits | u64::from((digits << (63 - at)).count_ones() % 2) << at);
    [
        of(|byte| byte == b'"'),
        of(|byte| byte == 0xC3),
        of(|byte| matches!(byte, b'{' | b'[')),
        of(|byte| byte < b' '),
        digits,
        of(|byte| matches!(byte, b'-' | b'.')),
        of(|byte| matches!(byte, b'{' | b'}' | b'[' | b']' | b':' | b',')),
        of(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')),
        of(|byte| byte.is_ascii_hexdigit()),
        xor,
    ]
}

proptest! {
    #[test]
    fn every_form_answers_every_question(text in prop::collection::vec(any::<u8>(), 0..300)) {
        let (blocks, kept) = same_in_every_form(|| {
            let mut kept = Vec::new();
            (run(&text, || Ask { blocks: Vec::new(), kept: &mut kept }), kept)
        });
        let digits: Vec<u8> = text.iter().copied().filter(u8::is_ascii_digit).collect();
        prop_assert_eq!(kept, digits);
        let padded = text.chunks(BLOCK).map(|chunk| {
            let mut block = [0; BLOCK];
            block[..chunk.len()].copy_from_slice(chunk);
            (expected(&block), !0 >> (BLOCK - chunk.len()))
        });
        prop_assert_eq!(blocks, padded.collect::<Vec<_>>());
    }
}

#[test]
fn every_byte_is_told_apart_in_every_place() {
    for byte in (0..=255).step_by(if cfg!(miri) { 51 } else { 1 }) {
        for at in 0..BLOCK {
            let mut block = [b'x'; BLOCK];
            block[at] = byte;
            let ask = || {
                let mut kept = Vec::new();
                run(&block, || Ask { blocks: Vec::new(), kept: &mut kept })
            };
            assert_eq!(same_in_every_form(ask), [(expected(&block), !0)], "byte {byte} at {at}");
        }
    }
}

#[test]
fn the_best_form_is_used() {
    let best = Form::ALL.into_iter().rfind(|form| form.is_available()).unwrap();
    assert_eq!(Form::current(), best);
    // The form that CI expects on the processor that it emulates.
    if let Ok(expected) = std::env::var("SLUICEGATE_JSON_FORM") {
        assert_eq!(format!("{best:?}"), expected);
    }
}
