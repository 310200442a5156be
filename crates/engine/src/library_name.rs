//! Converts names to camelCase as lodash does, which RudderStack uses: import names must be the same here, or imports
//! fail. Digits are separate words, letters lose their accents, apostrophes are removed.

/// The class of a character, for splitting into words.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Upper,
    /// Everything other than an ASCII capital, a digit or a separator; this includes other scripts.
    Lower,
    Digit,
    Between,
}

fn class(c: char) -> Class {
    match c {
        'A'..='Z' => Class::Upper,
        '0'..='9' => Class::Digit,
        'a'..='z' => Class::Lower,
        '\0'..='\u{bf}' | '×' | '÷' | '\u{2000}'..='\u{206f}' => Class::Between,
        c if c.is_whitespace() => Class::Between,
        _ => Class::Lower,
    }
}

/// The camelCase of a name.
pub(crate) fn camel_case(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for c in name.chars() {
        match without_accent(c) {
            Some(letters) => plain.push_str(letters),
            None if matches!(c, '\u{300}'..='\u{36f}' | '\u{fe20}'..='\u{fe2f}' | '\'' | '’') => {}
            None => plain.push(c),
        }
    }
    let mut handle = String::with_capacity(plain.len());
    for word in words(&plain) {
        let word = word.to_lowercase();
        let mut letters = word.chars();
        match letters.next() {
            Some(first) if !handle.is_empty() => handle.extend(first.to_uppercase()),
            Some(first) => handle.push(first),
            None => continue,
        }
        handle.push_str(letters.as_str());
    }
    handle
}

fn words(text: &str) -> Vec<&str> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let run = |from: usize, wanted: Class| chars[from..].iter().take_while(|(_, c)| class(*c) == wanted).count();
    let mut words = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let kind = class(chars[at].1);
        let mut len = run(at, kind);
        match kind {
            Class::Between => {
                at += len;
                continue;
            }
            Class::Upper => {
                // The last of several capitals starts the next word: `URLParser`.
                let lower = run(at + len, Class::Lower);
                match (lower, len) {
                    (0, _) => {}
                    (lower, 1) => len += lower,
                    (_, several) => len = several - 1,
                }
            }
            Class::Digit => {
                // `1st` is one word.
                let next = |n: usize| chars.get(at + len + n).map(|(_, c)| *c);
                let ending = match chars[at + len - 1].1 {
                    '1' => ('s', 't'),
                    '2' => ('n', 'd'),
                    '3' => ('r', 'd'),
                    _ => ('t', 'h'),
                };
                let ends = next(2).is_none_or(|c| matches!(class(c), Class::Between | Class::Upper));
                if ends && next(0) == Some(ending.0) && next(1) == Some(ending.1) {
                    len += 2;
                }
            }
            Class::Lower => {}
        }
        let end = chars.get(at + len).map_or(text.len(), |(end, _)| *end);
        words.push(&text[chars[at].0..end]);
        at += len;
    }
    words
}

/// A Latin letter without its accents and other marks.
fn without_accent(c: char) -> Option<&'static str> {
    const LETTERS: &[(&str, &str)] = &[
        ("A", "ÀÁÂÃÄÅĀĂĄ"),
        ("a", "àáâãäåāăą"),
        ("Ae", "Æ"),
        ("ae", "æ"),
        ("C", "ÇĆĈĊČ"),
        ("c", "çćĉċč"),
        ("D", "ÐĎĐ"),
        ("d", "ðďđ"),
        ("E", "ÈÉÊËĒĔĖĘĚ"),
        ("e", "èéêëēĕėęě"),
        ("G", "ĜĞĠĢ"),
        ("g", "ĝğġģ"),
        ("H", "ĤĦ"),
        ("h", "ĥħ"),
        ("I", "ÌÍÎÏĨĪĬĮİ"),
        ("i", "ìíîïĩīĭįı"),
        ("IJ", "Ĳ"),
        ("ij", "ĳ"),
        ("J", "Ĵ"),
        ("j", "ĵ"),
        ("K", "Ķ"),
        ("k", "ķĸ"),
        ("L", "ĹĻĽĿŁ"),
        ("l", "ĺļľŀł"),
        ("N", "ÑŃŅŇŊ"),
        ("n", "ñńņňŋ"),
        ("'n", "ŉ"),
        ("O", "ÒÓÔÕÖØŌŎŐ"),
        ("o", "òóôõöøōŏő"),
        ("Oe", "Œ"),
        ("oe", "œ"),
        ("R", "ŔŖŘ"),
        ("r", "ŕŗř"),
        ("S", "ŚŜŞŠ"),
        ("s", "śŝşšſ"),
        ("ss", "ß"),
        ("T", "ŢŤŦ"),
        ("t", "ţťŧ"),
        ("Th", "Þ"),
        ("th", "þ"),
        ("U", "ÙÚÛÜŨŪŬŮŰŲ"),
        ("u", "ùúûüũūŭůűų"),
        ("W", "Ŵ"),
        ("w", "ŵ"),
        ("Y", "ÝŶŸ"),
        ("y", "ýÿŷ"),
        ("Z", "ŹŻŽ"),
        ("z", "źżž"),
    ];
    if c.is_ascii() {
        return None;
    }
    LETTERS.iter().find(|(_, accented)| accented.contains(c)).map(|(plain, _)| *plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_what_an_import_of_the_same_library_says_elsewhere() {
        for (name, handle) in [
            ("js Lib1", "jsLib1"),
            ("URL Parser 2", "urlParser2"),
            ("hash_v2", "hashV2"),
            ("ABC", "abc"),
            ("alreadyCamel", "alreadyCamel"),
            ("URLParser", "urlParser"),
            ("md5hash", "md5Hash"),
            ("s3 upload2go", "s3Upload2Go"),
            ("9 lives", "9Lives"),
            ("1st place", "1stPlace"),
            ("1stop", "1Stop"),
            ("Crème Brûlée", "cremeBrulee"),
            ("straße", "strasse"),
            ("user's things", "usersThings"),
            ("__a--b..c__", "aBC"),
            ("漢字 lib", "漢字Lib"),
            ("", ""),
            (" - ", ""),
        ] {
            assert_eq!(camel_case(name), handle, "{name}");
        }
    }
}
