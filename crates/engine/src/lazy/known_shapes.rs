//! Remembers the shapes of an event's objects by the keys of its line.
//!
//! To find the shape of an object, each of its keys is compared with those of the shapes that are known. Most lines of a
//! stream have the same keys in the same objects. So the shapes of one line are those of the next one with the same key
//! skeleton, which takes one comparison to know.

use sluicegate_json::key_skeleton::KeySkeleton;

/// This many skeletons are remembered; a power of two.
const SKELETONS: usize = 8;

/// A longer skeleton is not remembered, in bytes: to compare it costs more than to compare the keys of a few objects.
const MAX_LEN: usize = 2048;

/// A skeleton is replaced by another one after this many lines in a row that do not have it. A stream in which each line
/// has new keys does not pay for remembering them.
const MAX_MISSES: u8 = 4;

/// The shapes of objects in the current line, by place.
#[derive(Default)]
pub(super) struct KnownShapes {
    skeletons: [Known; SKELETONS],
    /// Which of them is that of the current line.
    current: Option<usize>,
}

/// What is known of lines with one skeleton.
#[derive(Default)]
struct Known {
    skeleton: Vec<u8>,
    misses: u8,
    /// The number of the shape for each place.
    shapes: Vec<Option<u8>>,
}

impl KnownShapes {
    /// A line with these keys begins; `None` if its keys are not known.
    pub(super) fn start(&mut self, keys: Option<&KeySkeleton>) {
        self.current = None;
        let Some(keys) = keys.map(KeySkeleton::bytes).filter(|keys| keys.len() <= MAX_LEN) else { return };
        let number = keys.len() % SKELETONS;
        let known = &mut self.skeletons[number];
        if known.skeleton != keys {
            known.misses = known.misses.saturating_add(1);
            if !known.skeleton.is_empty() && known.misses < MAX_MISSES {
                return;
            }
            known.skeleton.clear();
            known.skeleton.extend_from_slice(keys);
            known.shapes.clear();
        }
        known.misses = 0;
        self.current = Some(number);
    }

    /// The number of the shape of the object at a place, if it is known.
    #[inline]
    pub(super) fn get(&self, place: Option<usize>) -> Option<usize> {
        let known = &self.skeletons[self.current?];
        known.shapes.get(place?).copied().flatten().map(usize::from)
    }

    /// The shape of the object at a place has this number.
    pub(super) fn set(&mut self, place: Option<usize>, shape: usize) {
        let (Some(current), Some(place), Ok(shape)) = (self.current, place, u8::try_from(shape)) else { return };
        let shapes = &mut self.skeletons[current].shapes;
        if shapes.len() <= place {
            shapes.resize(place + 1, None);
        }
        shapes[place] = Some(shape);
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_json::validator::Validator;

    use super::*;

    fn start(known: &mut KnownShapes, line: &str) {
        let mut validator = Validator::default();
        assert!(validator.find(line.as_bytes()), "{line}");
        known.start(validator.keys());
    }

    #[test]
    fn a_line_with_the_same_keys_has_the_same_shapes() {
        let mut known = KnownShapes::default();
        start(&mut known, r#"{"a":{"b":1},"c":2}"#);
        assert_eq!(known.get(Some(0)), None);
        known.set(Some(0), 3);
        known.set(Some(1), 4);
        start(&mut known, r#"{ "a": {"b": "x"}, "c": [1, 2] }"#);
        // An array has brackets in the skeleton.
        assert_eq!(known.get(Some(0)), None);
        start(&mut known, r#"{"a": {"b": "x"}, "c": null}"#);
        assert_eq!([0, 1, 2].map(|place| known.get(Some(place))), [Some(3), Some(4), None]);
        assert_eq!(known.get(None), None);
    }

    #[test]
    fn other_keys_of_the_same_length_replace_them_after_some_lines() {
        let mut known = KnownShapes::default();
        start(&mut known, r#"{"a":1,"b":2}"#);
        known.set(Some(0), 1);
        for _ in 1..MAX_MISSES {
            start(&mut known, r#"{"b":1,"a":2}"#);
            known.set(Some(0), 7);
            assert_eq!(known.get(Some(0)), None);
        }
        start(&mut known, r#"{"b":1,"a":2}"#);
        assert_eq!(known.get(Some(0)), None);
        known.set(Some(0), 2);
        start(&mut known, r#"{"a":1,"b":2}"#);
        assert_eq!(known.get(Some(0)), None);
        start(&mut known, r#"{"b":1,"a":2}"#);
        assert_eq!(known.get(Some(0)), Some(2));
    }

    #[test]
    fn lines_whose_keys_are_not_known_have_no_shapes() {
        let mut known = KnownShapes::default();
        start(&mut known, r#"{"a":1}"#);
        known.set(Some(0), 1);
        known.start(None);
        known.set(Some(0), 2);
        assert_eq!(known.get(Some(0)), None);
        start(&mut known, r#"{"a":1}"#);
        assert_eq!(known.get(Some(0)), Some(1));
    }
}
