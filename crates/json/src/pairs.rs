//! Rewrites arrays of `[key, value]` pairs as the text of an object.

/// A unit of a text: a byte of Latin-1 or UTF-8, or a unit of UTF-16.
pub trait Unit: Copy + From<u8> + Into<u16> {}

impl<T: Copy + From<u8> + Into<u16>> Unit for T {}

/// Numbers with more characters are declined: their double may be zero.
const MAX_NUMBER: usize = 300;

/// Writes `[["a",1],["b",null]]` as `{"a":1}`. A pair without a value, or whose value is `null`, `false`, `""`
/// or zero, is omitted. Returns `false` if the text is declined: a key has an escape, a value is an array, an
/// object or a number with an exponent, or there is white space; the text may or may not be valid then. An
/// accepted text is valid JSON if the object is.
pub fn object_of_pairs<T: Unit>(text: &[T], object: &mut Vec<T>) -> bool {
    object.clear();
    object.push(b'{'.into());
    Pairs { text, at: 0 }.all(object).is_some()
}

struct Pairs<'t, T> {
    text: &'t [T],
    at: usize,
}

impl<T: Unit> Pairs<'_, T> {
    fn all(mut self, object: &mut Vec<T>) -> Option<()> {
        self.expect(b'[')?;
        if self.unit() == Some(u16::from(b']')) {
            self.at += 1;
        } else {
            loop {
                self.pair(object)?;
                match self.next()? {
                    0x2C => {}
                    0x5D => break,
                    _ => return None,
                }
            }
        }
        object.push(b'}'.into());
        (self.at == self.text.len()).then_some(())
    }

    /// Reads a pair, and adds it unless it must be omitted.
    fn pair(&mut self, object: &mut Vec<T>) -> Option<()> {
        self.expect(b'[')?;
        let key = self.at;
        if self.string()? {
            return None;
        }
        let key_end = self.at;
        if self.unit() == Some(u16::from(b']')) {
            self.at += 1;
            return Some(());
        }
        self.expect(b',')?;
        let value = self.at;
        if self.value()? {
            if object.len() > 1 {
                object.push(b','.into());
            }
            object.extend_from_slice(&self.text[key..key_end]);
            object.push(b':'.into());
            object.extend_from_slice(&self.text[value..self.at]);
        }
        self.expect(b']')
    }

    /// Skips a value. Returns whether to keep it.
    fn value(&mut self) -> Option<bool> {
        let start = self.at;
        match u8::try_from(self.unit()?).ok()? {
            b'"' => self.string().map(|_| self.at - start > 2),
            b't' => self.word(b"true").map(|()| true),
            b'f' => self.word(b"false").map(|()| false),
            b'n' => self.word(b"null").map(|()| false),
            b'-' | b'0'..=b'9' => self.number(),
            _ => None,
        }
    }

    /// Skips a string. Returns whether it has an escape.
    fn string(&mut self) -> Option<bool> {
        self.expect(b'"')?;
        let mut escaped = false;
        loop {
            match self.next()? {
                0x22 => return Some(escaped),
                0x5C => {
                    escaped = true;
                    self.next()?;
                }
                0..0x20 => return None,
                _ => {}
            }
        }
    }

    /// Skips a number without an exponent. Returns whether it is nonzero. A nonzero number is not validated here:
    /// the parser of the object does that.
    fn number(&mut self) -> Option<bool> {
        let rest = &self.text[self.at..];
        let in_number = |unit: &T| matches!((*unit).into(), 0x2B | 0x2D | 0x2E | 0x30..=0x39 | 0x45 | 0x65);
        let number = &rest[..rest.iter().take(MAX_NUMBER + 1).take_while(|unit| in_number(unit)).count()];
        self.at += number.len();
        if number.len() > MAX_NUMBER || number.iter().any(|unit| matches!((*unit).into(), 0x45 | 0x65)) {
            return None;
        }
        if number.iter().any(|unit| matches!((*unit).into(), 0x31..=0x39)) {
            return Some(true);
        }
        // A zero is omitted from the object, so it must be validated here.
        let is = |at: usize, unit: u8| number.get(at).copied().map(Into::into) == Some(u16::from(unit));
        let digits = usize::from(is(0, b'-'));
        let whole = is(digits, b'0') && number.len() == digits + 1;
        whole.then_some(false)
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        word.iter().try_for_each(|byte| self.expect(*byte))
    }

    fn unit(&self) -> Option<u16> {
        self.text.get(self.at).map(|unit| (*unit).into())
    }

    fn next(&mut self) -> Option<u16> {
        let unit = self.unit()?;
        self.at += 1;
        Some(unit)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == u16::from(byte)).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn object_of(text: &str) -> Option<String> {
        let mut narrow = Vec::new();
        let narrow = object_of_pairs(text.as_bytes(), &mut narrow).then(|| String::from_utf8(narrow).unwrap());
        let (units, mut wide): (Vec<u16>, _) = (text.encode_utf16().collect(), Vec::new());
        let wide = object_of_pairs(&units, &mut wide).then(|| String::from_utf16(&wide).unwrap());
        assert_eq!(narrow, wide);
        narrow
    }

    #[test]
    fn pairs_with_a_value_make_an_object() {
        for (pairs, object) in [
            ("[]", "{}"),
            (r#"[["a",1]]"#, r#"{"a":1}"#),
            (r#"[["a",0],["b",-0],["c",null],["d",false],["e",""],["f"]]"#, "{}"),
            (
                r#"[["a","0"],["b",-0.5],["c",true],["a","\"]"],["é","日"]]"#,
                r#"{"a":"0","b":-0.5,"c":true,"a":"\"]","é":"日"}"#,
            ),
        ] {
            assert_eq!(object_of(pairs).as_deref(), Some(object), "{pairs}");
        }
    }

    #[test]
    fn whatever_else_is_declined() {
        for text in [
            "",
            "[",
            "{}",
            "null",
            "[[]]",
            "[1]",
            "[[1,2]]",
            r#"[["a",1]"#,
            r#"[["a",1]]]"#,
            r#"[["a",1],]"#,
            r#"[["a",1,2]]"#,
            r#"[["a",]]"#,
            r#"[["a", 1]]"#,
            r#"[["\u0061",1]]"#,
            r#"[["a",[1]]]"#,
            r#"[["a",{}]]"#,
            r#"[["a",1e-400]]"#,
            r#"[["a",00]]"#,
            r#"[["a",0.]]"#,
            r#"[["a",0.0]]"#,
            r#"[["a",-]]"#,
            r#"[["a",nul]]"#,
            "[[\"a\",\"\n\"]]",
            r#"[["a"#,
        ] {
            assert_eq!(object_of(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_is_the_object_of_the_pairs(pairs in prop::collection::vec((
            "[a-c]{1,2}",
            prop_oneof![Just("null".to_owned()), Just("false".to_owned()), Just("true".to_owned()), "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,2})?",
                r#""([a-zé日]|\\["\\/n]|\\u00e9){0,5}""#],
        ), 0..9)) {
            let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!(r#"["{key}",{value}]"#)).collect();
            let text = format!("[{}]", pairs.join(","));
            if let Some(object) = object_of(&text) {
                let pairs: Vec<(String, Value)> = serde_json::from_str(&text).unwrap();
                let kept = |value: &Value| !(value.is_null() || *value == false || *value == "" || value.as_f64() == Some(0.0));
                let expected: Map<_, _> = pairs.into_iter().filter(|(_, value)| kept(value)).collect();
                prop_assert_eq!(serde_json::from_str::<Value>(&object).unwrap(), Value::Object(expected), "{}", text);
            }
        }
    }
}
