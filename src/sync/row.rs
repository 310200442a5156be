//! Rows: a line of the source as columns, its key, and its fingerprint.
//!
//! Values keep their source text, so no number changes. The fingerprint covers the mapped columns only, sorted by name:
//! rows with the same values in another column order, with other escapes or other white space are equal. A null equals
//! a missing column, because some sources leave nulls out.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::config::{Config, EventConfig};

/// The most bytes of a key.
pub const MAX_KEY: usize = 1024;

/// How deep values may be nested.
const MAX_DEPTH: usize = 64;

/// The hash of a row's mapped columns.
pub type Fingerprint = [u8; 16];

/// The columns of a row, in the order of the line.
pub struct Columns<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Columns<'a> {
    /// Parses a line.
    ///
    /// # Errors
    /// When it is not an object; the error is a message.
    pub fn parse(line: &'a str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => "it is JSON, but not an object".to_owned(),
            _ => format!("it is not JSON (column {})", error.column()),
        })
    }

    /// Returns the value of a column; `None` if it is missing or null.
    pub fn value(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(column, _)| column == name).map(|(_, value)| *value).filter(|value| value.get() != "null")
    }

    /// Returns the value of a column as text: a string without its quotes, anything else as written.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.value(name).map(as_text)
    }
}

/// Returns a string without its quotes, and anything else as written.
pub fn as_text(value: &RawValue) -> Cow<'_, str> {
    let raw = value.get();
    match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
        Some(_) => serde_json::from_str::<String>(raw).map_or(Cow::Borrowed(raw), Cow::Owned),
        None => Cow::Borrowed(raw),
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Columns<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Object<'a> {
            type Value = Columns<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut columns = Vec::with_capacity(16);
                while let Some(Name(name)) = map.next_key()? {
                    columns.push((name, map.next_value::<&'a RawValue>()?));
                }
                Ok(Columns(columns))
            }
        }
        deserializer.deserialize_map(Object(std::marker::PhantomData))
    }
}

/// A name, borrowed from the line unless it has escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Text<'a> {
            type Value = Name<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text(std::marker::PhantomData))
    }
}

/// Why a row is invalid. An invalid row is counted and not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// The line is not a row.
    NotARow(String),
    /// The row has no key column.
    NoKeyColumn,
    /// The key is null or empty.
    NullKey,
    /// The key is neither a string nor a whole number, or it is too long.
    BadKey(String),
    /// Another value of the row cannot be used.
    BadValue {
        /// The key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// Other rows have the same key.
    Duplicate {
        /// The key.
        key: String,
    },
}

impl Invalid {
    /// Returns the name of the reason, for machines and counts.
    pub fn name(&self) -> &'static str {
        match self {
            Invalid::NotARow(_) => "not_a_row",
            Invalid::NoKeyColumn => "no_key_column",
            Invalid::NullKey => "null_key",
            Invalid::BadKey(_) => "bad_key",
            Invalid::BadValue { .. } => "bad_value",
            Invalid::Duplicate { .. } => "duplicate_key",
        }
    }

    /// Returns the key, if it is known.
    pub fn key(&self) -> Option<&str> {
        match self {
            Invalid::BadValue { key, .. } | Invalid::Duplicate { key } => Some(key),
            _ => None,
        }
    }

    /// Formats the reason for people. `column` is the key column.
    pub fn sentence(&self, column: &str) -> String {
        match self {
            Invalid::NotARow(reason) | Invalid::BadKey(reason) | Invalid::BadValue { reason, .. } => reason.clone(),
            Invalid::NoKeyColumn => format!("it has no column {column}, which is the key"),
            Invalid::NullKey => format!("its key, {column}, is null or empty"),
            Invalid::Duplicate { key } => {
                format!(
                    "several rows have the key {key}; none of them is sent, because it is not known which one is right"
                )
            }
        }
    }
}

/// A valid row.
pub struct Row {
    /// Its key.
    pub key: String,
    /// The hash of its mapped columns.
    pub fingerprint: Fingerprint,
}

/// The columns of a row, looked up once: most rows of a source have the same columns.
struct Layout {
    names: Vec<String>,
    /// The index of the key column.
    key: Option<usize>,
    /// The index of the hash column.
    hash: Option<usize>,
    /// The indices of the mapped columns, sorted by name.
    mapped: Vec<usize>,
}

/// Reads rows and hashes them. Each thread has its own.
pub struct RowReader<'a> {
    config: &'a Config,
    layout: Layout,
    buffer: Vec<u8>,
}

impl<'a> RowReader<'a> {
    /// Creates a reader for the rows of this sync.
    pub fn new(config: &'a Config) -> Self {
        let layout = Layout { names: Vec::new(), key: None, hash: None, mapped: Vec::new() };
        Self { config, layout, buffer: Vec::new() }
    }

    /// Reads one line.
    ///
    /// # Errors
    /// When the line is not a row that can be sent.
    pub fn read(&mut self, line: &[u8]) -> Result<Row, Invalid> {
        let line = simdutf8::basic::from_utf8(line).map_err(|_| {
            let valid = std::str::from_utf8(line).err().map_or(0, |error| error.valid_up_to());
            Invalid::NotARow(format!("it is not UTF-8 (byte {})", valid + 1))
        })?;
        let Columns(columns) = Columns::parse(line).map_err(Invalid::NotARow)?;
        let layout = &mut self.layout;
        let same = layout.names.len() == columns.len()
            && layout.names.iter().zip(&columns).all(|(name, (column, _))| name == column);
        if !same {
            *layout = layout_of(self.config, &columns)?;
        }
        let value = layout.key.map(|index| columns[index].1).ok_or(Invalid::NoKeyColumn)?;
        let key = key_of(value, &self.config.source.key)?;
        if let Some(hash) = layout.hash.map(|index| unhex(&as_text(columns[index].1)))
            && let Ok(fingerprint) = hash.try_into()
        {
            return Ok(Row { key, fingerprint });
        }
        self.buffer.clear();
        for index in &self.layout.mapped {
            let (name, value) = &columns[*index];
            if value.get() == "null" {
                continue;
            }
            part(&mut self.buffer, b'n', name.as_bytes());
            if !canonical(&mut self.buffer, value, 0) {
                let reason = format!("the value of {name} is nested more than {MAX_DEPTH} deep");
                return Err(Invalid::BadValue { key, reason });
            }
        }
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&blake3::hash(&self.buffer).as_bytes()[..16]);
        Ok(Row { key, fingerprint })
    }
}

fn layout_of(config: &Config, columns: &[(Cow<'_, str>, &RawValue)]) -> Result<Layout, Invalid> {
    let names: Vec<String> = columns.iter().map(|(name, _)| name.to_string()).collect();
    let mut mapped: Vec<usize> = (0..names.len()).filter(|index| is_mapped(&config.event, &names[*index])).collect();
    mapped.sort_by(|a, b| names[*a].cmp(&names[*b]));
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Invalid::NotARow(format!("it has the column {} twice", twice[0])));
    }
    let key = names.iter().position(|name| *name == config.source.key);
    let hash = names.iter().position(|name| config.in_warehouse && name == HASH);
    Ok(Layout { names, key, hash, mapped })
}

/// The column with the hash of a row, in queries of a database that holds the state.
pub const HASH: &str = "sluicegate:hash";

/// The column that tells what a line is (a row, a gone key, or the total), in the same queries.
pub const KIND: &str = "sluicegate:kind";

/// A line of a comparing query that is not a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A key that the source no longer has.
    Gone(String),
    /// How many rows the source has.
    Total(u64),
}

/// Parses a line that is not a row; returns `None` for any other line.
pub fn found(line: &[u8]) -> Option<Found> {
    let Columns(columns) = Columns::parse(std::str::from_utf8(line).ok()?).ok()?;
    let of = |name: &str| columns.iter().rev().find(|(column, _)| column == name).map(|(_, value)| as_text(value));
    match of(KIND)?.as_ref() {
        "gone" => Some(Found::Gone(of(HASH)?.into_owned())),
        "total" => Some(Found::Total(of(HASH)?.parse().ok()?)),
        _ => None,
    }
}

/// Decodes hexadecimal digits.
pub fn unhex(text: &str) -> Vec<u8> {
    let nibble = |digit: u8| (digit as char).to_digit(16).unwrap_or_default() as u8;
    text.as_bytes().chunks_exact(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect()
}

/// Returns whether a column is compared and sent.
pub fn is_mapped(event: &EventConfig, name: &str) -> bool {
    if name == HASH || name == KIND {
        return false;
    }
    let used = || {
        let columns = [&event.user_id, &event.anonymous_id, &event.group_id, &event.timestamp];
        columns.into_iter().flatten().any(|column| column == name)
            || event.external_id.as_ref().is_some_and(|id| id.column == name)
            || event.identifiers.iter().any(|column| column == name)
            || event.rename.iter().any(|(column, _)| column == name)
    };
    match &event.columns {
        Some(columns) => columns.iter().any(|column| column == name) || used(),
        None => !event.ignore.iter().any(|column| column == name) || used(),
    }
}

/// Returns the key as text.
fn key_of(value: &RawValue, column: &str) -> Result<String, Invalid> {
    let raw = value.get();
    let key = match raw.as_bytes().first() {
        Some(b'n') => return Err(Invalid::NullKey),
        Some(b'"') => as_text(value).into_owned(),
        Some(b'-' | b'0'..=b'9') if !raw.contains(['.', 'e', 'E']) && raw != "-0" => raw.to_owned(),
        _ => {
            let shown: String = raw.chars().take(40).collect();
            return Err(Invalid::BadKey(format!("its key, {column}, is {shown}: a key is a text or a whole number")));
        }
    };
    if key.is_empty() {
        return Err(Invalid::NullKey);
    }
    if key.len() > MAX_KEY {
        return Err(Invalid::BadKey(format!("its key, {column}, has {} bytes; the maximum is {MAX_KEY}", key.len())));
    }
    Ok(key)
}

fn part(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Appends a value in its canonical form; returns `false` if it is nested too deeply.
fn canonical(out: &mut Vec<u8>, value: &RawValue, depth: usize) -> bool {
    let raw = value.get();
    match raw.as_bytes().first() {
        Some(b'"') => part(out, b's', as_text(value).as_bytes()),
        Some(b'{' | b'[') if depth == MAX_DEPTH => return false,
        Some(b'{') => {
            let Ok(Columns(mut entries)) = serde_json::from_str::<Columns<'_>>(raw) else { return false };
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            out.push(b'{');
            out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
            for (name, value) in entries {
                part(out, b'n', name.as_bytes());
                if !canonical(out, value, depth + 1) {
                    return false;
                }
            }
        }
        Some(b'[') => {
            let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(raw) else { return false };
            out.push(b'[');
            out.extend_from_slice(&(items.len() as u32).to_le_bytes());
            return items.into_iter().all(|item| canonical(out, item, depth + 1));
        }
        _ => part(out, b'v', raw.as_bytes()),
    }
    true
}

/// Returns the mapped columns of a line as an object, in the form stored as the previous row.
pub fn mapped_object(config: &Config, columns: &Columns<'_>) -> Vec<u8> {
    let mut out = vec![b'{'];
    for (name, value) in columns.0.iter().filter(|(name, _)| is_mapped(&config.event, name)) {
        if out.len() > 1 {
            out.push(b',');
        }
        text(&mut out, name);
        out.push(b':');
        out.extend_from_slice(value.get().as_bytes());
    }
    out.push(b'}');
    out
}

/// Appends a string as JSON.
pub fn text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a text is JSON, and memory takes it");
}

/// Hashes a key, for sorting and lookups.
pub fn key_hash(key: &str) -> [u8; 16] {
    let mut hash = [0; 16];
    hash.copy_from_slice(&blake3::hash(key.as_bytes()).as_bytes()[..16]);
    hash
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(event: &str) -> Config {
        let text = format!(
            "[source]\nstdin = true\nkey = \"id\"\n[event]\n{event}\n[[sink]]\nname = \"o\"\nkind = \"file\"\npath = \"o\"\n"
        );
        Config::parse(&text, Path::new("s.toml")).unwrap()
    }

    fn fingerprint(config: &Config, line: &str) -> Fingerprint {
        RowReader::new(config)
            .read(line.as_bytes())
            .map(|row| row.fingerprint)
            .unwrap_or_else(|error| panic!("{error:?}"))
    }

    #[test]
    fn the_same_values_are_the_same_row() {
        let config = config("ignore = [\"seen_at\"]");
        let row = fingerprint(&config, r#"{"id":1,"a":"é","b":{"x":1,"y":[2,null]}}"#);
        for same in [
            r#" { "b" : {"y": [2, null], "x":1} , "id":1, "a":"\u00e9"} "#,
            r#"{"id":1,"a":"é","b":{"x":1,"y":[2,null]},"c":null}"#,
            r#"{"id":1,"a":"é","b":{"x":1,"y":[2,null]},"seen_at":7}"#,
        ] {
            assert_eq!(fingerprint(&config, same), row, "{same}");
        }
        for other in [
            r#"{"id":2,"a":"é","b":{"x":1,"y":[2,null]}}"#,
            r#"{"id":1,"a":"e","b":{"x":1,"y":[2,null]}}"#,
            r#"{"id":1,"a":"é","b":{"x":"1","y":[2,null]}}"#,
            r#"{"id":1,"a":"é","b":{"x":1,"y":[2]}}"#,
            r#"{"id":1,"b":"é","a":{"x":1,"y":[2,null]}}"#,
        ] {
            assert_ne!(fingerprint(&config, other), row, "{other}");
        }
    }

    #[test]
    fn a_row_that_cannot_be_sent_says_why() {
        let config = config("");
        let deep = format!("{{\"id\":1,\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
        for (line, name) in [
            ("7", "not_a_row"),
            ("{\"id\":1", "not_a_row"),
            ("{\"id\":1,\"id\":2}", "not_a_row"),
            ("{\"a\":1}", "no_key_column"),
            ("{\"id\":null}", "null_key"),
            ("{\"id\":\"\"}", "null_key"),
            ("{\"id\":1.5}", "bad_key"),
            ("{\"id\":true}", "bad_key"),
            ("{\"id\":[1]}", "bad_key"),
            (deep.as_str(), "bad_value"),
        ] {
            let invalid = RowReader::new(&config).read(line.as_bytes()).err().unwrap_or_else(|| panic!("{line}"));
            assert_eq!(invalid.name(), name, "{line}: {invalid:?}");
        }
        assert_eq!(RowReader::new(&config).read(b"{\"id\":\"\xff\"}").err().unwrap().name(), "not_a_row");
    }

    #[test]
    fn a_number_and_its_text_are_one_key() {
        let config = config("");
        let key = |line: &str| RowReader::new(&config).read(line.as_bytes()).map(|row| row.key).ok();
        assert_eq!(key(r#"{"id":9007199254740993}"#), key(r#"{"id":"9007199254740993"}"#));
    }
}
