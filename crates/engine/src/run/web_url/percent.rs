//! Percent-encoding, and the sets of characters that are encoded in each part of a URL.

pub(super) fn is_in_c0_set(char: char) -> bool {
    !(' '..='~').contains(&char)
}

pub(super) fn is_in_fragment_set(char: char) -> bool {
    is_in_c0_set(char) || matches!(char, ' ' | '"' | '<' | '>' | '`')
}

pub(super) fn is_in_query_set(char: char) -> bool {
    is_in_c0_set(char) || matches!(char, ' ' | '"' | '#' | '<' | '>')
}

pub(super) fn is_in_path_set(char: char) -> bool {
    is_in_query_set(char) || matches!(char, '?' | '^' | '`' | '{' | '}')
}

pub(super) fn is_in_userinfo_set(char: char) -> bool {
    is_in_path_set(char) || matches!(char, '/' | ':' | ';' | '=' | '@' | '[' | '\\' | ']' | '|')
}

/// A text with the characters of a set percent-encoded.
pub(super) fn percent_encode(text: &str, is_in_set: impl Fn(char) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    text.chars().for_each(|char| push_encoded(&mut encoded, char, &is_in_set));
    encoded
}

pub(super) fn push_encoded(out: &mut String, char: char, is_in_set: impl Fn(char) -> bool) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if !is_in_set(char) {
        return out.push(char);
    }
    for byte in char.encode_utf8(&mut [0; 4]).bytes() {
        let [high, low] = [byte >> 4, byte & 15].map(|digit| HEX[digit as usize] as char);
        out.extend(['%', high, low]);
    }
}
