//! Detects personal data by names and values, and finds where it goes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The kinds, with names for the last step of a path, in lower case and without `_`, `-` and blanks.
const NAMES: &[(&str, &[&str])] = &[
    ("e-mail", &["email", "emailaddress", "mail", "useremail"]),
    ("phone", &["phone", "phonenumber", "mobile", "mobilephone", "tel", "telephone", "msisdn", "fax"]),
    ("name", &["firstname", "lastname", "fullname", "surname", "givenname", "familyname", "middlename"]),
    (
        "address",
        &["address", "street", "addressline1", "addressline2", "streetaddress", "postalcode", "zip", "zipcode"],
    ),
    ("birthday", &["birthday", "birthdate", "dateofbirth", "dob"]),
    ("national id", &["ssn", "socialsecuritynumber", "nationalid", "passport", "passportnumber", "taxid", "nino"]),
    ("card", &["creditcard", "cardnumber", "ccnumber", "pan", "cvv", "cvc"]),
    ("bank account", &["iban", "accountnumber", "routingnumber", "bic", "swift"]),
    ("IP address", &["ip", "ipaddress", "clientip"]),
    ("secret", &["password", "passwd", "secret", "token", "accesstoken", "apikey", "refreshtoken"]),
];

/// Returns the kind of personal data that a value looks like.
pub fn kind_of(text: &str) -> Option<&'static str> {
    let text = text.trim();
    if is_email(text) {
        Some("e-mail")
    } else if is_card(text) {
        Some("card")
    } else if is_phone(text) {
        Some("phone")
    } else {
        None
    }
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let plain = |text: &str, extra: &str| {
        !text.is_empty() && text.chars().all(|char| char.is_alphanumeric() || extra.contains(char))
    };
    let Some((_, last)) = domain.rsplit_once('.') else { return false };
    text.len() <= 254
        && plain(local, ".!#$%&'*+/=?^_`{|}~-")
        && plain(domain, ".-")
        && !domain.starts_with('.')
        && last.len() >= 2
        && last.chars().all(char::is_alphabetic)
}

/// Returns whether a text has 13 to 19 digits in groups, a card's first digit, and a valid check digit (Luhn).
fn is_card(text: &str) -> bool {
    if !text.chars().all(|char| char.is_ascii_digit() || " -".contains(char)) {
        return false;
    }
    let digits: Vec<u32> = text.chars().filter_map(|char| char.to_digit(10)).collect();
    (13..=19).contains(&digits.len())
        && (2..=6).contains(&digits[0])
        && luhn(&digits)
        && digits.iter().any(|d| *d != digits[0])
}

fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => *digit,
            (_, twice) if twice > 9 => twice - 9,
            (_, twice) => twice,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Returns whether a text is a phone number as people write it:
/// with a plus, brackets or gaps. Bare digits could be anything.
fn is_phone(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let rest = text.strip_prefix('+').unwrap_or(text);
    let allowed = rest.chars().all(|char| char.is_ascii_digit() || " ()-./".contains(char));
    let grouped =
        text.starts_with('+') || text.starts_with('(') || rest.contains(' ') || rest.matches('-').count() == 2;
    // Dates and IP addresses are excluded.
    let is_date = text.len() >= 10 && text.as_bytes().get(4) == Some(&b'-') && text.as_bytes().get(7) == Some(&b'-');
    allowed && grouped && (7..=15).contains(&digits) && !is_date && rest.matches('.').count() < 3
}

/// Returns the kind of personal data that the last name of a path suggests.
pub fn kind_of_name(path: &str) -> Option<&'static str> {
    let last = path.rsplit(['.', ')']).next().unwrap_or(path).trim_end_matches("[]");
    let plain: String = last.chars().filter(|char| char.is_alphanumeric()).collect::<String>().to_lowercase();
    NAMES.iter().find(|(_, names)| names.contains(&plain.as_str())).map(|(kind, _)| *kind)
}

/// Personal data in the output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// The input.
    pub from: String,
    /// The kind: e-mail, phone, card, …
    pub what: String,
    /// Whether its name, its values or both suggest that.
    pub because: String,
    /// The outputs that it reaches.
    pub to: Vec<String>,
}

/// Returns the personal data among the inputs of edges, with the outputs that it reaches.
pub(super) fn hints<'a>(
    personal: &BTreeMap<String, BTreeMap<String, u64>>,
    came: &BTreeMap<String, u64>,
    edges: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<Hint> {
    let mut hints: BTreeMap<&str, Hint> = BTreeMap::new();
    for (from, to) in edges {
        let name = kind_of_name(from).filter(|_| came.contains_key(from) || from.contains('('));
        // At least one value in twenty must match: a few values look like card numbers by chance.
        let values = personal.get(from).and_then(|kinds| {
            let (kind, count) = kinds.iter().max_by_key(|(_, count)| **count)?;
            (*count * 20 >= came.get(from).copied().unwrap_or(1)).then_some(kind.as_str())
        });
        let (what, because) = match (name, values) {
            (Some(name), Some(value)) if name == value => (value, "name and values"),
            (_, Some(value)) => (value, "values"),
            (Some(name), None) => (name, "name"),
            (None, None) => continue,
        };
        let hint = hints.entry(from).or_insert_with(|| Hint {
            from: from.to_owned(),
            what: what.to_owned(),
            because: because.to_owned(),
            to: Vec::new(),
        });
        if !hint.to.iter().any(|known| known == to) {
            hint.to.push(to.to_owned());
        }
    }
    hints.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_look_personal() {
        for (text, kind) in [
            ("ada@example.com", "e-mail"),
            ("ada.l+x@mail.example.co", "e-mail"),
            ("4111 1111 1111 1111", "card"),
            ("5500005555555559", "card"),
            ("+44 20 7946 0958", "phone"),
            ("(555) 123-4567", "phone"),
            ("555-123-4567", "phone"),
        ] {
            assert_eq!(kind_of(text), Some(kind), "{text}");
        }
        for text in [
            "4111111111111112",
            "2024-03-04",
            "203.0.113.7",
            "a@b",
            "12345678",
            "1.2.3",
            "",
            "@x.com",
            "0000000000000000",
        ] {
            assert_eq!(kind_of(text), None, "{text}");
        }
    }

    #[test]
    fn names_that_say_so() {
        assert_eq!(kind_of_name("traits.email"), Some("e-mail"));
        assert_eq!(kind_of_name("users[].First_Name"), Some("name"));
        assert_eq!(kind_of_name("new_truth(json).phone"), Some("phone"));
        assert_eq!(kind_of_name("traits.email_hash"), None);
    }
}
