//! Events of an HTTP request as lines, each laid out like the row that answers it if the event passes unchanged:
//! `{"output":EVENT,"metadata":METADATA,"statusCode":200}`. The worker puts the output in the event's place and nothing
//! else has to be written. In front of it stand two lengths in hexadecimal, so that nobody has to look for the ends of
//! what has been parsed once already.

use super::slots::Filling;
use crate::engine::{Event, Rendering};

/// Digits of each length.
const DIGITS: usize = 8;

const OPEN: &[u8] = b"{\"output\":";
const METADATA: &[u8] = b",\"metadata\":";
const CLOSE: &[u8] = b",\"statusCode\":200}";

/// What stands before the event and around its metadata, in bytes, line end included.
pub const OVERHEAD: usize = 2 * DIGITS + OPEN.len() + METADATA.len() + CLOSE.len() + 1;

/// Appends one event and its metadata, the texts of two JSON objects.
///
/// # Panics
/// When there is no room for both and [`OVERHEAD`], or either is longer than 4 GiB.
pub fn put(slot: &mut Filling, event: &[u8], metadata: &[u8]) {
    let mut lengths = [0; 2 * DIGITS];
    for (digits, len) in lengths.chunks_exact_mut(DIGITS).zip([event.len(), metadata.len()]) {
        let len = u32::try_from(len).expect("far less than 4 GiB fits into a slot");
        for (place, digit) in digits.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(len >> (4 * (DIGITS - 1 - place))) as usize & 15];
        }
    }
    for part in [&lengths[..], OPEN, event, METADATA, metadata, CLOSE] {
        slot.push(part);
    }
    slot.end_line();
}

/// The event in a line that [`put`] wrote, and what of the row stands before and after it.
#[allow(clippy::type_complexity, reason = "used once, by the worker")]
pub fn get(line: &[u8]) -> Option<(Event<'_>, (&[u8], &[u8]))> {
    let number = |digits: &[u8]| usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let (lengths, row) = line.split_at_checked(2 * DIGITS)?;
    let (event_len, metadata_len) = (number(&lengths[..DIGITS])?, number(&lengths[DIGITS..])?);
    let (before, rest) = row.split_at_checked(OPEN.len())?;
    let (event, after) = rest.split_at_checked(event_len)?;
    let metadata = after.get(METADATA.len()..)?.get(..metadata_len)?;
    let metadata = (metadata.first() == Some(&b'{')).then_some(metadata);
    Some((Event { json: event, metadata }, (before, after)))
}

/// The rendering of rows: a comma after each.
pub fn rendering<'a>(around: (&'a [u8], &'a [u8])) -> Rendering<'a> {
    Rendering { open: b"", around, between: b",", close: b",", beside_faults: true }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::lines::FILL;
    use super::super::shared::{create, pages};
    use super::super::slots::Slots;
    use super::*;

    #[test]
    fn a_row_survives_the_journey() {
        let (_fd, memory) = create("test", pages(FILL), true).unwrap();
        let slots = Slots::new(Arc::new(memory), pages(FILL), 1);
        for (event, metadata) in [("{\"a\":\n\"é\"}", "{\"messageId\":\"m1\"}"), ("{}", "null")] {
            let mut slot = slots.take().unwrap();
            put(&mut slot, event.as_bytes(), metadata.as_bytes());
            assert_eq!(slot.len(), event.len() + metadata.len() + OVERHEAD);
            let lines = slot.finish(0, 0);
            let line = lines.bytes().strip_suffix(b"\n").unwrap();
            assert!(!line.contains(&b'\n'));
            let (found, (before, after)) = get(line).unwrap();
            assert_eq!(found.json, event.replace('\n', " ").as_bytes());
            assert_eq!(found.metadata.is_some(), metadata != "null");
            let row = [before, found.json, after].concat();
            let row: serde_json::Value = serde_json::from_slice(&row).unwrap();
            assert_eq!(row["statusCode"], 200);
            assert_eq!(row["metadata"], serde_json::from_str::<serde_json::Value>(metadata).unwrap());
        }
    }

    #[test]
    fn what_is_no_row_is_refused() {
        for line in [
            "",
            "{}",
            "zzzzzzzz00000000{\"output\":",
            "000000ff00000000{\"output\":{}",
            "0000000000000010{\"output\":,",
        ] {
            assert!(get(line.as_bytes()).is_none(), "{line}");
        }
    }
}
