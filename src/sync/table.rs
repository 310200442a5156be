//! Reads one table of the config. Every value has a type and a position; a key that was never read is an error.

use std::cell::RefCell;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Error, Result};
use crate::engine::nearest;

/// A text and its position.
type TextWithSpan = (String, Range<usize>);

/// One table, and the keys that were read.
pub(super) struct Table<'t, 'i> {
    /// How messages name it, e.g. `source`.
    name: String,
    /// The position of the table.
    range: Range<usize>,
    entries: &'t DeTable<'i>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'t, 'i> Table<'t, 'i> {
    pub(super) fn new(name: impl Into<String>, range: Range<usize>, entries: &'t DeTable<'i>) -> Self {
        Self { name: name.into(), range, entries, asked: RefCell::default() }
    }

    /// An error about the whole table.
    pub(super) fn error(&self, message: impl Into<String>) -> Error {
        Error::new(message).at(self.range.clone())
    }

    /// An error about the value of a key, or about the table if the key is not there.
    pub(super) fn error_at(&self, key: &'static str, message: impl Into<String>) -> Error {
        let range = self.get(key).map_or(self.range.clone(), Spanned::span);
        Error::new(message).at(range)
    }

    /// How messages name a key of this table.
    pub(super) fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    pub(super) fn get(&self, key: &'static str) -> Option<&'t Spanned<DeValue<'i>>> {
        if !self.asked.borrow().contains(&key) {
            self.asked.borrow_mut().push(key);
        }
        self.entries.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    pub(super) fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) -> Error {
        let found = type_name(value.get_ref());
        Error::new(format!("{} has a wrong type: expected {expected}, found {found}", self.path(key))).at(value.span())
    }

    /// Reads a text that is not empty.
    pub(super) fn text(&self, key: &'static str) -> Result<Option<&'t str>> {
        self.get(key).map(|value| self.text_of(key, value)).transpose()
    }

    fn text_of(&self, key: &str, value: &'t Spanned<DeValue<'i>>) -> Result<&'t str> {
        match value.get_ref().as_str() {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(self.wrong(key, value, "a text")),
        }
    }

    pub(super) fn required_text(&self, key: &'static str, help: &str) -> Result<&'t str> {
        self.text(key)?.ok_or_else(|| {
            let place = if self.name.is_empty() { "the config".to_owned() } else { format!("[{}]", self.name) };
            self.error(format!("{place} has no {key}")).help(help)
        })
    }

    /// Reads a list of texts, none of them empty.
    pub(super) fn texts(&self, key: &'static str) -> Result<Option<Vec<&'t str>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let DeValue::Array(items) = value.get_ref() else { return Err(self.wrong(key, value, "a list of texts")) };
        items.iter().map(|item| self.text_of(key, item)).collect::<Result<_>>().map(Some)
    }

    pub(super) fn switch(&self, key: &'static str) -> Result<Option<bool>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.get_ref().as_bool().map(Some).ok_or_else(|| self.wrong(key, value, "true or false"))
    }

    /// Reads a whole number within bounds.
    pub(super) fn count(&self, key: &'static str, bounds: std::ops::RangeInclusive<u64>) -> Result<Option<u64>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = number(value.get_ref()).ok_or_else(|| self.wrong(key, value, "a whole number"))?;
        match u64::try_from(number).ok().filter(|number| bounds.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let (low, high) = (bounds.start(), bounds.end());
                Err(self.error_at(key, format!("{} has to be from {low} to {high}, not {number}", self.path(key))))
            }
        }
    }

    /// Reads a duration such as `"30s"`.
    pub(super) fn duration(&self, key: &'static str) -> Result<Option<Duration>> {
        const EXPECTED: &str = "a duration with its unit, such as \"200ms\" or \"30s\"";
        const MAX_DURATION: Duration = Duration::from_secs(24 * 3600);
        let Some(value) = self.get(key) else { return Ok(None) };
        let text = value.get_ref().as_str().ok_or_else(|| self.wrong(key, value, EXPECTED))?;
        let path = self.path(key);
        let duration = humantime::parse_duration(text.trim())
            .map_err(|_| Error::new(format!("{path} is `{text}`: expected {EXPECTED}")).at(value.span()))?;
        if duration.is_zero() || duration > MAX_DURATION {
            return Err(Error::new(format!("{path} is `{text}`: it has to be from 1ms to 24h")).at(value.span()));
        }
        Ok(Some(duration))
    }

    /// Reads a size such as `"16MiB"`, or a number of bytes.
    pub(super) fn size(&self, key: &'static str) -> Result<Option<usize>> {
        const EXPECTED: &str = "a size such as \"16MiB\", or a number of bytes";
        let Some(value) = self.get(key) else { return Ok(None) };
        let bytes = match value.get_ref() {
            DeValue::String(text) => text.trim().parse::<bytesize::ByteSize>().ok().map(|size| size.0),
            other => number(other).and_then(|number| u64::try_from(number).ok()),
        };
        match bytes.and_then(|bytes| usize::try_from(bytes).ok()).filter(|bytes| (1..=512 << 20).contains(bytes)) {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(Error::new(format!("{} expects {EXPECTED}, up to 512MiB", self.path(key))).at(value.span())),
        }
    }

    /// Reads one of a few words.
    pub(super) fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Result<Option<T>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let text = self.text_of(key, value)?;
        if let Some((_, found)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(Some(*found));
        }
        let list = words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        let error = Error::new(format!("{} is `{text}`: expected one of {list}", self.path(key))).at(value.span());
        Err(match nearest(text, words.iter().map(|(word, _)| *word)) {
            Some(near) => error.help(format!("did you mean \"{near}\"?")),
            None => error,
        })
    }

    /// Reads a table in this table.
    pub(super) fn table(&self, key: &'static str) -> Result<Option<Table<'t, 'i>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::Table(entries) => Ok(Some(Table::new(self.path(key), value.span(), entries))),
            _ => Err(self.wrong(key, value, "a table")),
        }
    }

    /// Reads the tables of a list, `[[key]]`.
    pub(super) fn tables(&self, key: &'static str) -> Result<Vec<Table<'t, 'i>>> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let help = format!("write [[{key}]] on a line of its own, with two brackets");
        let DeValue::Array(items) = value.get_ref() else {
            return Err(self.wrong(key, value, "a list of tables").help(help));
        };
        items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::Table(entries) => Ok(Table::new(self.path(key), item.span(), entries)),
                _ => Err(self.wrong(key, item, "a table").help(help.clone())),
            })
            .collect()
    }

    /// Returns the entries of a table with arbitrary keys, in the order of the file.
    pub(super) fn free_texts(&self) -> Result<Vec<(String, String, Range<usize>)>> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
            .into_iter()
            .map(|(key, value)| {
                let text = self.text_of(key.get_ref(), value)?;
                Ok((key.get_ref().to_string(), text.to_owned(), value.span()))
            })
            .collect()
    }

    /// Returns the entries of a table with arbitrary keys and boolean values, in the order of the file.
    pub(super) fn free_switches(&self) -> Result<Vec<(String, bool)>> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
            .into_iter()
            .map(|(key, value)| match value.get_ref().as_bool() {
                Some(switch) => Ok((key.get_ref().to_string(), switch)),
                None => Err(self.wrong(key.get_ref(), value, "true or false")),
            })
            .collect()
    }

    /// Returns the items of a list of numbers and texts, as text.
    pub(super) fn words_or_numbers(&self, key: &'static str) -> Result<Option<Vec<TextWithSpan>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let DeValue::Array(items) = value.get_ref() else { return Err(self.wrong(key, value, "a list")) };
        items
            .iter()
            .map(|item| match (number(item.get_ref()), item.get_ref().as_str()) {
                (Some(number), _) => Ok((number.to_string(), item.span())),
                (None, Some(text)) => Ok((text.to_owned(), item.span())),
                _ => Err(self.wrong(key, item, "a number or a text")),
            })
            .collect::<Result<_>>()
            .map(Some)
    }

    /// Returns an error if the table has a key that was never read.
    pub(super) fn finish(self) -> Result<()> {
        let asked = self.asked.borrow();
        let mut unknown: Vec<_> = self.entries.keys().filter(|key| !asked.contains(&key.get_ref().as_ref())).collect();
        unknown.sort_by_key(|key| key.span().start);
        let Some(key) = unknown.first() else { return Ok(()) };
        let name = key.get_ref();
        let place = if self.name.is_empty() { String::new() } else { format!(" in [{}]", self.name) };
        let error = Error::new(format!("unknown key {name}{place}")).at(key.span());
        Err(match nearest(name, asked.iter().copied()) {
            Some(near) => error.help(format!("did you mean {near}?")),
            None => error.help(format!("the keys{place} are {}", asked.join(", "))),
        })
    }
}

fn number(value: &DeValue<'_>) -> Option<i64> {
    match value {
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().replace('_', "").parse().ok(),
        _ => None,
    }
}

/// Names the type of a value, for a message.
pub(crate) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(text) if text.is_empty() => "an empty text",
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
