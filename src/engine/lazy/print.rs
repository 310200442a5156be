//! What goes out of a lazy event: the line, but for the values that were read or assigned.

use deno_core::v8;

use super::callbacks::field;
use super::{Shared, State};
use crate::engine::sink::Sink;

/// A value in a line that has to be printed.
pub(in crate::engine) struct Hole<'s> {
    entry: usize,
    pub(in crate::engine) value: v8::Local<'s, v8::Value>,
}

/// The values of the event that were read or assigned, in the line's order; nothing if it is not sure that all others are
/// still as they were.
pub(in crate::engine) fn holes<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    event: v8::Local<'s, v8::Object>,
) -> Option<Vec<Hole<'s>>> {
    let shared = scope.get_slot::<Shared>()?.clone();
    let state = shared.borrow();
    let mut holes = Vec::new();
    // V8 prints no white space, so where a value has changed none may be left around it.
    (state.plain_prototypes && state.skeleton.dense && state.holes_of(scope, event, 0, &mut holes)?).then_some(holes)
}

impl State {
    fn holes_of<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        object: v8::Local<'s, v8::Object>,
        node: usize,
        holes: &mut Vec<Hole<'s>>,
    ) -> Option<bool> {
        let Some(node) = self.nodes.get(node) else { return Some(false) };
        let template = self.shapes[node.shape].template.as_ref()?;
        if !template.pristine.as_ref()?.same(scope, object) {
            return Some(false);
        }
        for entry in node.entries.clone() {
            let lazy = &self.entries[entry];
            if !lazy.touched() {
                continue;
            }
            let value = field(scope, object, entry - node.entries.start)?;
            if value == self.undefined {
                return Some(false);
            }
            if let Some(child) = lazy.child
                && let Ok(object) = v8::Local::<v8::Object>::try_from(value)
                && self.node(scope, object) == Some(child)
            {
                if !self.holes_of(scope, object, child, holes)? {
                    return Some(false);
                }
            } else {
                holes.push(Hole { entry, value });
            }
        }
        Some(true)
    }

    /// Calls `with` for each value that stands for itself, in the line's order: those that nobody has touched, and those
    /// of `holes`.
    fn parts(&self, node: usize, holes: &mut &[Hole<'_>], with: &mut impl FnMut(usize, bool)) {
        let Some(node) = self.nodes.get(node) else { return };
        for entry in node.entries.clone() {
            if let Some((_, rest)) = holes.split_first().filter(|(hole, _)| hole.entry == entry) {
                *holes = rest;
                with(entry, true);
            } else if !self.entries[entry].touched() {
                with(entry, false);
            } else if let Some(child) = self.entries[entry].child {
                self.parts(child, holes, with);
            }
        }
    }

    fn put_marker(&self, entry: usize, text: &mut Vec<u8>) {
        text.extend_from_slice(self.secret.needle());
        text.extend([100, 10, 1].map(|unit| b'0' + (entry / unit % 10) as u8));
        text.push(b'"');
    }

    /// The line with a marker for each value that nobody has touched.
    pub(in crate::engine) fn expected(&self, text: &mut Vec<u8>) {
        self.marked(&[], |_| unreachable!("there are no holes"), text);
    }

    /// The same with other texts for the values of `holes`.
    pub(in crate::engine) fn marked<'t>(
        &self,
        mut holes: &[Hole<'_>],
        mut text_of: impl FnMut(usize) -> &'t [u8],
        text: &mut Vec<u8>,
    ) {
        text.clear();
        let (mut copied, mut number) = (0, 0);
        self.parts(0, &mut holes, &mut |entry, hole| {
            let span = &self.entries[entry].entry.value;
            text.extend_from_slice(&self.line[copied..span.start]);
            if hole {
                text.extend_from_slice(text_of(number));
                number += 1;
            } else {
                self.put_marker(entry, text);
            }
            copied = span.end;
        });
        text.extend_from_slice(&self.line[copied..]);
    }

    /// Where the value of a hole stood in the line.
    pub(in crate::engine) fn span(&self, hole: &Hole<'_>) -> std::ops::Range<usize> {
        self.entries[hole.entry].entry.value.clone()
    }

    /// Appends `printed`, which holds a marker for each value that is still lazy, with the bytes of the line instead.
    pub(in crate::engine) fn splice(&self, printed: &[u8], out: &mut dyn Sink) {
        let mut copied = 0;
        for at in self.secret.find_iter(printed) {
            let digits = at + self.secret.needle().len();
            let Some([hundreds, tens, ones, b'"']) = printed.get(digits..digits + 4) else { continue };
            let number =
                [hundreds, tens, ones].iter().fold(0, |all, digit| all * 10 + usize::from(digit.wrapping_sub(b'0')));
            let Some(lazy) = self.entries.get(number) else { continue };
            out.push(&printed[copied..at]);
            out.push(&self.line[lazy.entry.value.clone()]);
            copied = digits + 4;
        }
        out.push(&printed[copied..]);
    }
}
