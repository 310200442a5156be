//! Events of an HTTP request as lines. Each line has the form of the row that answers it if the event passes unchanged:
//! `{"output":EVENT,"metadata":METADATA,"statusCode":200}`. The worker replaces the event with its output and changes
//! nothing else. The lengths of event and metadata precede the row, so that their ends need not be searched again. A
//! length is encoded as letters from `a` to `p`, four bits each.

use super::slots::Filling;
use sluicegate_engine::{Event, OutputFraming};

/// The number of letters of a length.
const LETTERS: usize = 8;

/// The start of a row.
pub const OPEN: &[u8] = b"{\"output\":";
const METADATA: &[u8] = b",\"metadata\":";
const CLOSE: &[u8] = b",\"statusCode\":200}";

/// The size of a line without the event and its metadata, line end included.
pub const OVERHEAD: usize = 2 * LETTERS + OPEN.len() + METADATA.len() + CLOSE.len() + 1;

/// Appends one event and its metadata, which is JSON. `one_line` says that neither contains a line end.
///
/// # Panics
/// When there is no room for both and [`OVERHEAD`], or either is longer than 4 GiB.
pub fn put(slot: &mut Filling, event: &[u8], metadata: &[u8], one_line: bool) {
    let push = if one_line { Filling::push_plain } else { Filling::push };
    slot.push_plain(&letters(event.len()));
    slot.push_plain(&letters(metadata.len()));
    slot.push_plain(OPEN);
    push(slot, event);
    slot.push_plain(METADATA);
    push(slot, metadata);
    slot.push_plain(CLOSE);
    slot.end_line();
}

/// Returns the length of a line without its line end, from the bytes at its start. Returns `None` if these are
/// not two lengths.
pub fn len(bytes: &[u8]) -> Option<usize> {
    let (event, metadata) = lengths(bytes)?;
    (OVERHEAD - 1).checked_add(event)?.checked_add(metadata)
}

/// Returns the event in a line that [`put`] wrote, and the parts of the row before and after it.
#[allow(clippy::type_complexity, reason = "used once, by the worker")]
pub fn get(line: &[u8]) -> Option<(Event<'_>, (&[u8], &[u8]))> {
    let (event_len, metadata_len) = lengths(line)?;
    let (before, rest) = line[2 * LETTERS..].split_at_checked(OPEN.len())?;
    let (event, after) = rest.split_at_checked(event_len)?;
    let metadata = after.get(METADATA.len()..)?.get(..metadata_len)?;
    let metadata = (metadata.first() == Some(&b'{')).then_some(metadata);
    Some((Event { json: event, metadata }, (before, after)))
}

/// Returns both lengths, from the bytes at the start of a line.
fn lengths(bytes: &[u8]) -> Option<(usize, usize)> {
    let (event, rest) = bytes.split_first_chunk()?;
    let (metadata, _) = rest.split_first_chunk()?;
    Some((number(*event)?, number(*metadata)?))
}

const FIRST_LETTERS: u64 = u64::from_be_bytes([b'a'; LETTERS]);

/// Encodes a length as letters, the highest four bits first.
fn letters(len: usize) -> [u8; LETTERS] {
    let len = u32::try_from(len).expect("far less than 4 GiB fits into a slot");
    // Spreads the bits: first to halves, then to bytes, then to half bytes.
    let mut bits = u64::from(len);
    for (shift, mask) in [(16, 0x0000_FFFF_0000_FFFF), (8, 0x00FF_00FF_00FF_00FF), (4, 0x0F0F_0F0F_0F0F_0F0F)] {
        bits = (bits | bits << shift) & mask;
    }
    (bits + FIRST_LETTERS).to_be_bytes()
}

fn number(letters: [u8; LETTERS]) -> Option<usize> {
    let mut bits = u64::from_be_bytes(letters).wrapping_sub(FIRST_LETTERS);
    if bits & 0xF0F0_F0F0_F0F0_F0F0 != 0 {
        return None;
    }
    for (shift, mask) in [(4, 0x00FF_00FF_00FF_00FF), (8, 0x0000_FFFF_0000_FFFF), (16, 0xFFFF_FFFF)] {
        bits = (bits | bits >> shift) & mask;
    }
    usize::try_from(bits).ok()
}

/// Returns the framing of rows: a comma after each row.
pub fn framing<'a>(around: (&'a [u8], &'a [u8])) -> OutputFraming<'a> {
    OutputFraming { open: b"", around, between: b",", close: b",", keep_partial_output: true }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::lines::FILL;
    use super::super::shared::{create, pages};
    use super::super::slots::Slots;
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_length_survives_the_journey(len: u32, letters: [u8; LETTERS]) {
            proptest::prop_assert_eq!(number(super::letters(len as usize)), Some(len as usize));
            let is_one = letters.iter().all(|letter| (b'a'..=b'p').contains(letter));
            proptest::prop_assert_eq!(number(letters).is_some(), is_one);
        }
    }

    #[test]
    fn a_row_survives_the_journey() {
        let (_fd, memory) = create("test", pages(FILL), true).unwrap();
        let mut slots = Slots::new(Arc::new(memory), pages(FILL), 1);
        for (event, metadata) in [("{\"a\":\n\"é\"}", "{\"messageId\":\"m1\"}"), ("{}", "null")] {
            let mut slot = slots.take().unwrap();
            put(&mut slot, event.as_bytes(), metadata.as_bytes(), !event.contains('\n'));
            assert_eq!(slot.len(), event.len() + metadata.len() + OVERHEAD);
            let lines = slot.finish(0, 0);
            let line = lines.bytes().strip_suffix(b"\n").unwrap();
            assert!(!line.contains(&b'\n'));
            assert_eq!(len(lines.bytes()), Some(line.len()));
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
            "zzzzzzzzaaaaaaaa{\"output\":",
            "aaaaaappaaaaaaaa{\"output\":{}",
            "aaaaaaaaaaaaaaba{\"output\":,",
        ] {
            assert!(get(line.as_bytes()).is_none(), "{line}");
        }
    }
}
