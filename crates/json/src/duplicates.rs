//! Finds duplicate keys in an object. V8 keeps the last one; text copied from the line must not contain the others.

use crate::hash::{key_hash, quick_hash};
use crate::key_skeleton::KeySkeleton;
use crate::structural_index::StructuralIndex;
use crate::token::{Token, Tokens};

/// Size of the hash table of keys; a power of two.
const SLOTS: usize = 4096;

/// Texts with more keys are checked in another way, so that half of the table stays free.
const MAX_KEYS: usize = SLOTS / 2;

/// Number of key sequences remembered; a power of two.
const SEQUENCES: usize = 16;

/// A remembered sequence is replaced after this many consecutive misses, so a stream in which all sequences
/// differ does not pay for remembering them.
const MAX_MISSES: u8 = 4;

/// Skeletons longer than this, in bytes, are not remembered.
const MAX_KNOWN_LEN: usize = 64 << 10;

/// Finds duplicate keys. Its memory is reused.
pub struct Duplicates {
    structure: StructuralIndex,
    table: KeyTable,
    /// The objects around the current position; 0 for an array.
    open: Vec<u32>,
    /// Key sequences of earlier texts without duplicate keys, by the length of their skeletons.
    known: [KeySequence; SEQUENCES],
}

impl Default for Duplicates {
    fn default() -> Self {
        let known = std::array::from_fn(|_| KeySequence::default());
        Self { structure: StructuralIndex::default(), table: KeyTable::default(), open: Vec::new(), known }
    }
}

impl Duplicates {
    /// Whether any object of a valid text has a duplicate key.
    pub fn any(&mut self, text: &[u8]) -> bool {
        self.quickly(text).unwrap_or_else(|| thoroughly(text))
    }

    /// Does the same for a text whose `keys` are known. Cheapest if an earlier text had the same
    /// keys in the same order.
    pub fn any_of(&mut self, text: &[u8], keys: &KeySkeleton) -> bool {
        let keys = keys.bytes();
        let known = &mut self.known[keys.len() % SEQUENCES];
        if known.keys == keys {
            known.misses = 0;
            return false;
        }
        let Some(twice) = self.table.any(keys, &mut self.open) else { return thoroughly(text) };
        let known = &mut self.known[keys.len() % SEQUENCES];
        known.misses = known.misses.saturating_add(1);
        let may_replace = keys.len() <= MAX_KNOWN_LEN && (known.keys.is_empty() || known.misses >= MAX_MISSES);
        if !twice && may_replace {
            known.misses = 0;
            known.keys.clear();
            known.keys.extend_from_slice(keys);
        }
        twice
    }

    /// The fast check. `None` if a key has an escape, or if there are too many keys.
    fn quickly(&mut self, text: &[u8]) -> Option<bool> {
        if !self.structure.find(text) || self.structure.any_escape() && has_key_with_escape(text, &self.structure) {
            return None;
        }
        self.table.start();
        self.open.clear();
        let mut keys = 0;
        let positions = self.structure.positions();
        let key_at = |at: usize| &text[positions[at] as usize + 1..positions[at + 1] as usize];
        let mut at = 0;
        while at + 1 < positions.len() {
            match text[positions[at] as usize] {
                b'"' => {
                    let key = at;
                    at += 2;
                    if positions.get(at).is_none_or(|next| text.get(*next as usize) != Some(&b':')) {
                        continue;
                    }
                    let object = self.open.last().copied()?;
                    keys += 1;
                    if keys > MAX_KEYS {
                        return None;
                    }
                    if self.table.has(object, key as u32, |at| key_at(at as usize)) {
                        return Some(true);
                    }
                }
                b'{' => {
                    self.open.push(self.table.new_object());
                    at += 1;
                }
                b'[' => {
                    self.open.push(0);
                    at += 1;
                }
                b'}' | b']' => {
                    self.open.pop();
                    at += 1;
                }
                _ => at += 1,
            }
        }
        Some(false)
    }
}

/// A hash table with open addressing, for the keys of one text. Slots of earlier texts count as free.
struct KeyTable {
    slots: Box<[Slot; SLOTS]>,
    /// The number of objects in all texts so far.
    objects: u32,
    /// The number of objects in earlier texts.
    earlier: u32,
}

/// A key in the table: its object and its position.
#[derive(Clone, Copy, Default)]
struct Slot {
    object: u32,
    at: u32,
}

impl Default for KeyTable {
    fn default() -> Self {
        Self { slots: Box::new([Slot::default(); SLOTS]), objects: 0, earlier: 0 }
    }
}

impl KeyTable {
    /// Starts a text.
    fn start(&mut self) {
        if self.objects > u32::MAX / 2 {
            self.slots.fill(Slot::default());
            self.objects = 0;
        }
        self.earlier = self.objects;
    }

    fn new_object(&mut self) -> u32 {
        self.objects += 1;
        self.objects
    }

    /// Adds the key at `at` to an object. Returns whether the object already has it. `key_at`
    /// returns the text of any added key.
    #[inline(always)]
    fn has<'t>(&mut self, object: u32, at: u32, key_at: impl Fn(u32) -> &'t [u8]) -> bool {
        let key = key_at(at);
        let mut slot = quick_hash(key) as usize ^ object.wrapping_mul(0x9E37_79B9) as usize;
        while let held = self.slots[slot % SLOTS]
            && held.object > self.earlier
        {
            if held.object == object && key == key_at(held.at) {
                return true;
            }
            slot = slot.wrapping_add(1);
        }
        self.slots[slot % SLOTS] = Slot { object, at };
        false
    }

    /// Whether an object in a [`KeySkeleton`] has a duplicate key. `None` if there are too many keys.
    fn any(&mut self, skeleton: &[u8], open: &mut Vec<u32>) -> Option<bool> {
        self.start();
        open.clear();
        let key_at = |at: u32| {
            let rest = &skeleton[at as usize..];
            &rest[..memchr::memchr(b'"', rest).unwrap_or(rest.len())]
        };
        let (mut at, mut keys) = (0, 0);
        while let Some(byte) = skeleton.get(at) {
            at += 1;
            match byte {
                b'"' => {
                    keys += 1;
                    if keys > MAX_KEYS {
                        return None;
                    }
                    let object = open.last().copied().unwrap_or_default();
                    if self.has(object, at as u32, key_at) {
                        return Some(true);
                    }
                    at += key_at(at as u32).len() + 1;
                }
                b'{' => open.push(self.new_object()),
                b'[' => open.push(0),
                _ => drop(open.pop()),
            }
        }
        Some(false)
    }
}

/// The skeleton of a text without duplicate keys.
#[derive(Default)]
struct KeySequence {
    keys: Vec<u8>,
    /// The number of texts with another skeleton since this one was last seen.
    misses: u8,
}

fn has_key_with_escape(text: &[u8], structure: &StructuralIndex) -> bool {
    let positions = structure.positions();
    let colons =
        positions.iter().enumerate().filter(|(at, place)| *at > 1 && text.get(**place as usize) == Some(&b':'));
    colons
        .map(|(at, _)| (positions[at - 2] as usize, positions[at - 1] as usize))
        .any(|(start, end)| text[start..end].contains(&b'\\'))
}

/// The slow check, for any text.
fn thoroughly(text: &[u8]) -> bool {
    let mut open: Vec<Vec<u64>> = Vec::new();
    for token in Tokens::new(text) {
        match token {
            Token::Open(_) => open.push(Vec::new()),
            Token::Close(_) => {
                let mut keys = open.pop().unwrap_or_default();
                keys.sort_unstable();
                if keys.windows(2).any(|pair| pair[0] == pair[1]) {
                    return true;
                }
            }
            Token::Key(key) => {
                if let Some(keys) = open.last_mut() {
                    keys.push(key_hash(key));
                }
            }
            Token::String(_) | Token::Number(_) | Token::Literal(_) => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample;

    use super::*;
    use crate::validator::Validator;

    #[test]
    fn keys_of_inner_objects_hide_none_of_an_outer_one() {
        let mut duplicates = Duplicates::default();
        for n in (0..3 * SLOTS).step_by(if cfg!(miri) { 1000 } else { 1 }) {
            let text = format!(r#"{{"a":{{"k{n}":1,"b":2}},"c":0,"a":1}}"#);
            assert!(duplicates.any(text.as_bytes()), "{text}");
        }
    }

    /// The result of `any_of` if the keys are known; checks the text as it is and with white space.
    fn any_of(duplicates: &mut Duplicates, text: &str) -> Option<bool> {
        let mut validator = Validator::default();
        let [compact, spaced] = [text.to_owned(), format!(" {text}").replace("\":", "\" : ").replace(",\"", ", \"")]
            .map(|text| {
                validator.find(text.as_bytes());
                Some(duplicates.any_of(text.as_bytes(), validator.keys()?))
            });
        assert_eq!(compact, spaced, "{text}");
        compact
    }

    #[test]
    fn a_known_sequence_is_that_of_its_own_objects_only() {
        let mut duplicates = Duplicates::default();
        for _ in 0..20 {
            for (text, twice) in [
                (r#"{"a":{"b":1,"c":2},"d":3}"#, false),
                (r#"{"a":{"b":1},"c":2,"a":3}"#, true),
                (r#"{"a":{"b":1,"c":2,"a":3}}"#, false),
                (r#"{"a":{"b":1,"c":2,"b":3}}"#, true),
                (r#"{"a":[{"b":1},{"b":2},{}],"c":3}"#, false),
                (r#"{"a":[{"b":1,"b":2},{}],"c":3}"#, true),
                (r#"{"a":"{\",\"b","b":",\"b\"","c":3}"#, false),
                (r#"{"a long key of seventeen":1,"a long key of seventeeN":2}"#, false),
                (r#"{"a long key of seventeen":1,"a long key of seventeen":2}"#, true),
                (r#"{"":1,"x":2}"#, false),
                (r#"{"":1,"":2}"#, true),
                ("{}", false),
            ] {
                assert_eq!(any_of(&mut duplicates, text), Some(twice), "{text}");
            }
        }
    }

    #[test]
    fn a_sequence_is_known_wherever_its_keys_are() {
        let texts = [
            r#"{"a":1,"quite a long key":2,"b":{"sixteen bytes":3,"x":["yes","no"]}}"#,
            r#"{"a":"{\"a\":","quite a long key":"","b":{"sixteen bytes":"日","x":["{",""]}}"#,
        ];
        let skeleton = r#"{"a""quite a long key""b"{"sixteen bytes""x"[]}}"#;
        for text in texts {
            for text in [text.to_owned(), text.replace("\":", "\": ")] {
                let mut validator = Validator::default();
                assert!(validator.find(text.as_bytes()));
                assert_eq!(String::from_utf8_lossy(validator.keys().unwrap().bytes()), skeleton, "{text}");
            }
        }
    }

    proptest! {
        /// Few keys, so that there are many duplicates, and the same objects repeatedly.
        #[test]
        fn with_or_without_positions_the_answer_is_the_same(texts in vec((sample::select(vec![1, 2, 3]), object()), 1..12)) {
            let (mut one, mut other) = (Duplicates::default(), Duplicates::default());
            for (times, text) in &texts {
                for _ in 0..*times {
                    prop_assert_eq!(any_of(&mut one, text), Some(other.any(text.as_bytes())), "{}", text);
                    prop_assert_eq!(other.any(text.as_bytes()), thoroughly(text.as_bytes()), "{}", text);
                }
            }
        }
    }

    fn object() -> impl Strategy<Value = String> {
        let key = "[abc]|long key number [1-2]|the longest of all of these keys, number [1-2]";
        let leaf = prop_oneof![Just("1".to_owned()), Just(r#""{\"a\":""#.to_owned()), Just("{}".to_owned())];
        let value = leaf.prop_recursive(3, 12, 3, move |inner| {
            let pairs = vec((key, inner.clone()), 0..4);
            prop_oneof![
                pairs.prop_map(|pairs| object_of(&pairs)),
                vec(inner, 0..3).prop_map(|all| format!("[{}]", all.join(",")))
            ]
        });
        vec((key, value), 0..4).prop_map(|pairs| object_of(&pairs))
    }

    fn object_of(pairs: &[(String, String)]) -> String {
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}", pairs.join(","))
    }

    #[test]
    fn keys_that_stand_twice_are_found_wherever_they_are() {
        let mut duplicates = Duplicates::default();
        let many: String = (0..if cfg!(miri) { 600 } else { 20_000 }).map(|n| format!("\"k{n}\":{n},")).collect();
        for (text, twice) in [
            (r#"{"a":1,"b":{"a":2},"c":[{"a":3},{"a":4}]}"#, false),
            (r#"{"a":1,"b":{"a":2},"a":3}"#, true),
            (r#"{"a":{"b":1,"c":[{"b":1}],"b":2}}"#, true),
            (r#"[{"a":1,"\u0061":2}]"#, true),
            (r#"{"a\n":1,"b\n":"\n","c":"\":"}"#, false),
            (r#" { "a" : ":" , "b" : ":" } "#, false),
            (r#""a""#, false),
            (&format!("{{{many}\"last\":0}}"), false),
            (&format!("{{{many}\"k0\":0}}"), true),
        ] {
            for _ in 0..3 {
                assert_eq!(duplicates.any(text.as_bytes()), twice, "{text}");
            }
        }
    }
}
