//! Hashes of keys. Both are the same on every processor.

use crate::string::unescape_utf16;

/// A hash of a key as written: cheap, and good enough to tell apart the keys of one object.
#[inline]
pub fn quick_hash(key: &[u8]) -> u32 {
    let word = |at: usize| key.get(at..at + 8).map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")));
    let mixed = match key.len() {
        0..8 => key.iter().fold(0u64, |all, byte| all << 8 | u64::from(*byte)),
        len => word(0).unwrap_or_default() ^ word(len - 8).unwrap_or_default().rotate_left(29),
    };
    ((mixed ^ (key.len() as u64) << 57).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

/// A hash of a key's meaning: keys with the same characters have the same hash, with or without escapes.
pub fn key_hash(key: &[u8]) -> u64 {
    if key.contains(&b'\\') {
        let units = unescape_utf16(key);
        // Keys with lone surrogates never equal a key without escapes, so any bytes will do for them.
        let text = String::from_utf16(&units).unwrap_or_else(|_| format!("{units:?}"));
        return bytes_hash(text.as_bytes());
    }
    bytes_hash(key)
}

fn bytes_hash(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut chunks = bytes.chunks_exact(8);
    let hash = chunks
        .by_ref()
        .fold(bytes.len() as u64, |hash, eight| mix(hash, u64::from_le_bytes(eight.try_into().expect("eight bytes"))));
    let rest = chunks.remainder().iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
    let hash = mix(hash, rest);
    hash ^ hash >> 29
}
