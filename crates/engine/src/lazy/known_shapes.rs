//! Remembers the shapes of an event's objects by the keys of its line.
//!
//! To find an object's shape, each of its keys must be compared with those of the known shapes. But most lines of a
//! stream have the same keys in the same objects. Two lines with the same key skeleton have the same shapes, so one
//! comparison of skeletons replaces all comparisons of keys.

use sluicegate_json::key_skeleton::KeySkeleton;

/// Number of skeletons remembered. A power of two.
const SKELETONS: usize = 8;

/// Maximum length of a remembered skeleton, in bytes. To compare a longer one costs more than to compare the keys of a
/// few objects.
const MAX_LEN: usize = 2048;

/// A skeleton is replaced after this many lookups in a row that miss it. A stream in which each line has new keys thus
/// rarely pays for storing a skeleton.
const MAX_MISSES: u8 = 4;

/// The shapes of the current line's objects, by place.
#[derive(Default)]
pub(super) struct KnownShapes {
    skeletons: [Known; SKELETONS],
    /// The index of the current line's skeleton.
    current: Option<usize>,
}

/// The shapes of lines with one skeleton.
#[derive(Default)]
struct Known {
    skeleton: Vec<u8>,
    misses: u8,
    /// The index of the shape for each place.
    shapes: Vec<Option<u8>>,
}

impl KnownShapes {
    /// Starts a line with these keys. `None` if its keys are unknown.
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

    /// Returns the index of the shape of the object at a place. `None` if it is unknown.
    #[inline]
    pub(super) fn get(&self, place: Option<usize>) -> Option<usize> {
        let known = &self.skeletons[self.current?];
        known.shapes.get(place?).copied().flatten().map(usize::from)
    }

    /// Remembers the index of the shape of the object at a place.
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
        // The array adds brackets, so this is another skeleton.
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
