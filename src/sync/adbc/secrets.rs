//! Removes secrets from the messages of a driver.

/// The text that replaces a secret.
const MASK: &str = "…";

/// The least length in bytes of a part of a secret that is removed at the start or the end of a text.
const PART: usize = 6;

/// Secrets that no message may contain.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    pub(super) fn new(mut secrets: Vec<String>) -> Self {
        // Some drivers put an error, and a secret in it, on one line.
        let lines: Vec<String> =
            secrets.iter().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        secrets.extend(lines);
        secrets.retain(|secret| !secret.is_empty());
        // Longer secrets first, because one secret may contain another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self(secrets)
    }

    /// Returns the text without secrets. Drivers cut long texts, and only the end of their output is kept, so a part of
    /// a secret at the start or the end of the text is removed too.
    pub(super) fn masked(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            text = text.replace(secret, MASK);
        }
        for secret in &self.0 {
            let parts = || secret.char_indices().map(|(at, _)| at);
            let is_part = |part: &&str| part.len() >= PART;
            let cut = parts().map(|at| &secret[at..]).filter(is_part).find_map(|part| text.strip_prefix(part));
            if let Some(rest) = cut {
                text = format!("{MASK}{rest}");
            }
            let cut = parts().rev().map(|at| &secret[..at]).filter(is_part).find_map(|part| text.strip_suffix(part));
            if let Some(rest) = cut {
                text = format!("{rest}{MASK}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::sentence::sentence;
    use super::*;

    #[test]
    fn a_secret_is_found_before_a_text_is_cut() {
        let secret = format!("file:{}  two  spaces\nLINE of its own.db", "x".repeat(500));
        let secrets = Secrets::new(vec![secret.clone(), "file:".to_owned(), String::new()]);
        let said = sentence(&secrets.masked(&format!("ERROR: failed to open '{secret}': no file")));
        assert_eq!(said, "failed to open '…': no file");
        let one_line = secret.replace('\n', " ").replace("  ", " ");
        assert_eq!(secrets.masked(&format!("failed to open {one_line}")), "failed to open …");
    }

    #[test]
    fn a_part_of_a_secret_at_an_end_is_one() {
        let secrets = Secrets::new(vec!["pässwörd-of-many".to_owned()]);
        assert_eq!(secrets.masked("wörd-of-many is wrong: pässwörd-"), "… is wrong: …");
        assert_eq!(secrets.masked("many of them, pä"), "many of them, pä");
    }
}
