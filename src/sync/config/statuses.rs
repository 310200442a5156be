//! The meanings of HTTP statuses.

use std::ops::Range;

use super::super::error::{Error, Result};
use super::super::table::Table;

/// What an HTTP status means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The events are accepted.
    Ok,
    /// The request is tried again later.
    Retry,
    /// The destination refuses this sync; nothing else is sent to it.
    Stop,
    /// One of the events is wrong.
    Reject,
}

/// The meanings of HTTP statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Vec<(Meaning, Range<u16>)>);

impl Default for Statuses {
    fn default() -> Self {
        use Meaning::{Ok, Reject, Retry, Stop};
        let one = |status: u16| status..status + 1;
        let (stop, retry) = ([401, 403].map(one), [408, 425, 429].map(one));
        let mut all: Vec<_> = stop.into_iter().map(|range| (Stop, range)).collect();
        all.extend(retry.into_iter().map(|range| (Retry, range)));
        all.extend([(Ok, 200..300), (Stop, 300..400), (Reject, 400..500), (Retry, 500..600)]);
        Self(all)
    }
}

impl Statuses {
    /// Returns what a status means. An unknown status is tried again.
    pub fn meaning(&self, status: u16) -> Meaning {
        self.0.iter().find(|(_, range)| range.contains(&status)).map_or(Meaning::Retry, |(meaning, _)| *meaning)
    }
}

pub(super) fn statuses_of(table: Table<'_, '_>) -> Result<Statuses> {
    let mut single = Vec::new();
    let mut classes = Vec::new();
    let keys = [("ok", Meaning::Ok), ("retry", Meaning::Retry), ("stop", Meaning::Stop), ("reject", Meaning::Reject)];
    for (key, meaning) in keys {
        for (text, range) in table.words_or_numbers(key)?.unwrap_or_default() {
            let class = text.strip_suffix("xx").and_then(|digit| digit.parse::<u16>().ok());
            match (text.parse::<u16>(), class) {
                (Ok(status), _) if (100..600).contains(&status) => single.push((meaning, status..status + 1)),
                (_, Some(class)) if (1..6).contains(&class) => classes.push((meaning, class * 100..(class + 1) * 100)),
                _ => {
                    let message =
                        format!("{} has `{text}`: expected a status such as 409, or \"4xx\"", table.path(key));
                    return Err(Error::new(message).at(range));
                }
            }
        }
    }
    table.finish()?;
    // A single status wins over its class, and both win over the defaults.
    single.extend(classes);
    single.extend(Statuses::default().0);
    Ok(Statuses(single))
}
