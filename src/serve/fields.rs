//! Extracts the values of named fields from JSON objects as text, without parsing them.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Returns the texts of an object's values with these names; `None` for a value that is `null` or missing.
///
/// # Errors
/// When the text is not an object, or has one of these names twice.
pub fn of<'a, const N: usize>(text: &'a [u8], names: &[&'static str; N]) -> serde_json::Result<[Option<&'a str>; N]> {
    whole(text, Fields(names))
}

/// The beginning of the error about a list that is too long.
pub const TOO_MANY: &str = "there are more than";

/// Returns the texts for each object of a list with at most `max` objects.
///
/// # Errors
/// When the text is not a list of objects, repeats one of the names in an object, or has more than `max` objects.
pub fn of_each<'a, const N: usize>(
    text: &'a [u8],
    names: &[&'static str; N],
    max: usize,
) -> serde_json::Result<Vec<[Option<&'a str>; N]>> {
    whole(text, Each(Fields(names), max))
}

fn whole<'a, S: DeserializeSeed<'a>>(text: &'a [u8], seed: S) -> serde_json::Result<S::Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end().map(|()| value)
}

#[derive(Clone, Copy)]
struct Fields<'n, const N: usize>(&'n [&'static str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Fields<'_, N> {
    type Value = [Option<&'de str>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
    type Value = [Option<&'de str>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let Some(place) = self.0.iter().position(|name| *name == key) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if found[place].replace(map.next_value::<&'de RawValue>()?.get()).is_some() {
                return Err(A::Error::duplicate_field(self.0[place]));
            }
        }
        Ok(found.map(|text| text.filter(|text| *text != "null")))
    }
}

struct Each<'n, const N: usize>(Fields<'n, N>, usize);

impl<'de, const N: usize> DeserializeSeed<'de> for Each<'_, N> {
    type Value = Vec<[Option<&'de str>; N]>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Each<'_, N> {
    type Value = Vec<[Option<&'de str>; N]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = list.next_element_seed(self.0)? {
            if all.len() == self.1 {
                return Err(A::Error::custom(format_args!("{TOO_MANY} {}", self.1)));
            }
            all.push(one);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_texts_by_name_and_only_those_of_objects() {
        let text = br#" {"a": [1, "]"],"c":null,"\u0062":"x","d":{"a":2}} "#;
        assert_eq!(of(text, &["a", "b", "c", "e"]).unwrap(), [Some(r#"[1, "]"]"#), Some("\"x\""), None, None]);
        let each = of_each(br#"[{"a":1},{},{"b":2}]"#, &["a"], 3).unwrap();
        assert_eq!(each, [[Some("1")], [None], [None]]);
        for (bad, why) in [
            ("[1]", "invalid type: sequence, expected an object"),
            (r#"{"a":1,"a":2}"#, "duplicate field `a`"),
            (r#"{"a":1}}"#, "trailing characters"),
        ] {
            let error = of(bad.as_bytes(), &["a"]).unwrap_err().to_string();
            assert!(error.starts_with(why), "{error}");
        }
        assert!(of_each(b"[{},{},{}]", &["a"], 2).unwrap_err().to_string().starts_with(TOO_MANY));
        assert!(of_each(br#"[{"a":1},[2]]"#, &["a"], 3).unwrap_err().to_string().contains("line 1 column 9"));
    }
}
