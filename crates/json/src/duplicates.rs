//! Keys that stand twice in one object. V8 reads the last one; what is copied from the line must not have the others.

use crate::hash::{key_hash, quick_hash};
use crate::structural_index::StructuralIndex;
use crate::token::{Token, Tokens};

/// The size of the table of keys; a power of two.
const SLOTS: usize = 4096;

/// A text with more keys is looked through in another way, so that half of the table stays free.
const MAX_KEYS: usize = SLOTS / 2;

/// A key in the table: its object, and the index of its position in the text.
#[derive(Clone, Copy, Default)]
struct Slot {
    object: u32,
    at: u32,
}

/// Looks for keys that stand twice; its memory is reused.
pub struct Duplicates {
    structure: StructuralIndex,
    /// A hash table with open addressing. What texts before this one have left in it counts as free.
    slots: Box<[Slot; SLOTS]>,
    /// How many objects there were in all texts.
    objects: u32,
    /// The objects around the current position; 0 for an array.
    open: Vec<u32>,
}

impl Default for Duplicates {
    fn default() -> Self {
        let slots = Box::new([Slot::default(); SLOTS]);
        Self { structure: StructuralIndex::default(), slots, objects: 0, open: Vec::new() }
    }
}

impl Duplicates {
    /// Whether a key stands twice in any object of a valid text.
    pub fn any(&mut self, text: &[u8]) -> bool {
        self.quickly(text).unwrap_or_else(|| thoroughly(text))
    }

    /// `None` if a key has an escape, or there are too many keys.
    fn quickly(&mut self, text: &[u8]) -> Option<bool> {
        if !self.structure.find(text) || self.structure.any_escape() && has_key_with_escape(text, &self.structure) {
            return None;
        }
        if self.objects > u32::MAX / 2 {
            self.slots.fill(Slot::default());
            self.objects = 0;
        }
        self.open.clear();
        let earlier = self.objects;
        let mut keys = 0;
        let positions = self.structure.positions();
        let mut at = 0;
        while at + 1 < positions.len() {
            let place = positions[at] as usize;
            match text[place] {
                b'"' => {
                    let end = positions[at + 1] as usize;
                    let key_at = at;
                    at += 2;
                    if positions.get(at).is_none_or(|next| text.get(*next as usize) != Some(&b':')) {
                        continue;
                    }
                    let object = self.open.last().copied()?;
                    keys += 1;
                    if keys > MAX_KEYS {
                        return None;
                    }
                    let key = &text[place + 1..end];
                    let mut slot = quick_hash(key) as usize ^ object.wrapping_mul(0x9E37_79B9) as usize;
                    while let held = self.slots[slot % SLOTS]
                        && held.object > earlier
                    {
                        let held_at = held.at as usize;
                        if held.object == object
                            && key == &text[positions[held_at] as usize + 1..positions[held_at + 1] as usize]
                        {
                            return Some(true);
                        }
                        slot = slot.wrapping_add(1);
                    }
                    self.slots[slot % SLOTS] = Slot { object, at: key_at as u32 };
                }
                b'{' => {
                    self.objects += 1;
                    self.open.push(self.objects);
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

fn has_key_with_escape(text: &[u8], structure: &StructuralIndex) -> bool {
    let positions = structure.positions();
    let colons =
        positions.iter().enumerate().filter(|(at, place)| *at > 1 && text.get(**place as usize) == Some(&b':'));
    colons
        .map(|(at, _)| (positions[at - 2] as usize, positions[at - 1] as usize))
        .any(|(start, end)| text[start..end].contains(&b'\\'))
}

/// The same for any text.
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
    use super::*;

    #[test]
    fn keys_of_inner_objects_hide_none_of_an_outer_one() {
        let mut duplicates = Duplicates::default();
        for n in (0..3 * SLOTS).step_by(if cfg!(miri) { 1000 } else { 1 }) {
            let text = format!(r#"{{"a":{{"k{n}":1,"b":2}},"c":0,"a":1}}"#);
            assert!(duplicates.any(text.as_bytes()), "{text}");
        }
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
