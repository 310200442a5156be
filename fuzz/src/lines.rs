//! The line reader: for any input, and however it arrives, every byte comes out once and in order, with the right line
//! numbers and offsets.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, memfd_create};
use sluicegate::wire::input::Open;
use sluicegate::wire::lines::{Piece, Reader, slot_len};
use sluicegate::wire::shared::{self, Mapping};

/// The maximum size of an expanded input, in bytes.
const MAX_INPUT: usize = 5 << 18;

const SLOTS: usize = 2;

thread_local! {
    /// Reused for every input: creating the mapping and faulting in its pages would take most of the time.
    static MEMORY: Arc<Mapping> =
        Arc::new(shared::create("fuzz", slot_len(0) * SLOTS, true).expect("memory").1);
}

/// Reads the bytes as lines. The first byte says how the input arrives, the rest is the input. `\x01` and a byte stand
/// for a run of up to a mebibyte, so that some lines do not fit into a slot.
pub fn check(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else { return };
    let input = expanded(rest);
    let slot = slot_len(0);
    let memory = MEMORY.with(Arc::clone);
    let stop = eventfd(0, EventfdFlags::empty()).expect("a descriptor");
    let reader = Reader::new(memory, slot, SLOTS, stop);
    let (file, feeder) = source(*how, &input);
    let mut found = Found::default();
    reader.run(vec![Open::lines("fuzz".into(), file)], &mut |piece| found.take(piece)).expect("it can be read");
    if let Some(feeder) = feeder {
        feeder.join().expect("everything was read");
    }
    let bom = if input.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    if found.ends_long && !input.ends_with(b"\n") {
        found.bytes.pop();
    }
    assert!(found.bytes == input[bom..], "the bytes that come out are not those that went in");
    let lines = input[bom..].split_inclusive(|byte| *byte == b'\n').count() as u64;
    assert_eq!(found.next_line - 1, lines, "lines were counted wrongly");
}

fn expanded(bytes: &[u8]) -> Vec<u8> {
    let mut input = Vec::new();
    let mut bytes = bytes.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            1 => {
                let count = usize::from(*bytes.next().unwrap_or(&0)) << 12;
                input.resize((input.len() + count).min(MAX_INPUT), b'x');
            }
            _ => input.push(*byte),
        }
    }
    input.truncate(MAX_INPUT);
    input
}

/// The input as a file, or as a pipe that a thread feeds in pieces.
fn source(how: u8, input: &[u8]) -> (File, Option<std::thread::JoinHandle<()>>) {
    if how & 1 == 0 {
        let mut file = File::from(memfd_create("fuzz-input", MemfdFlags::CLOEXEC).expect("memory"));
        file.write_all(input).expect("room");
        file.rewind().expect("a file");
        return (file, None);
    }
    let (out, mut into) = std::io::pipe().expect("a pipe");
    let pieces = usize::from(how >> 1) + 1;
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || {
        for piece in input.chunks(input.len().div_ceil(pieces).max(1)) {
            into.write_all(piece).expect("a reader");
        }
    });
    (File::from(OwnedFd::from(out)), Some(feeder))
}

/// The pieces that the reader has returned so far.
struct Found {
    bytes: Vec<u8>,
    next_line: u64,
    offset: Option<u64>,
    /// Whether the last piece was a long line, which comes without its line end.
    ends_long: bool,
}

impl Default for Found {
    fn default() -> Self {
        Self { bytes: Vec::new(), next_line: 1, offset: None, ends_long: false }
    }
}

impl Found {
    fn take(&mut self, piece: Piece) -> bool {
        self.ends_long = matches!(piece, Piece::Long(_));
        match piece {
            Piece::Lines(lines) => {
                let bytes = lines.bytes();
                self.at(lines.first_line, lines.offset, bytes.len());
                assert_eq!(bytes.split_inclusive(|byte| *byte == b'\n').count() as u64, lines.count);
                let middle = lines.count / 2;
                let parts = [lines.part(0, middle), lines.part(middle, lines.count - middle)];
                assert!([parts[0].bytes(), parts[1].bytes()].concat() == bytes, "parts are not the whole");
                assert_eq!(parts[1].offset, lines.offset + parts[0].len as u64);
                self.bytes.extend_from_slice(bytes);
                self.next_line += lines.count;
            }
            Piece::Long(long) => {
                let start = self.bytes.len();
                long.reader().read_to_end(&mut self.bytes).expect("it can be read again");
                let len = self.bytes.len() - start;
                assert_eq!(len as u64, long.len);
                assert!(!self.bytes[start..].contains(&b'\n'), "a long line is one line");
                self.at(long.line, long.offset, len + 1);
                self.bytes.push(b'\n');
                self.next_line += 1;
            }
        }
        true
    }

    /// A piece starts where the one before it ended.
    fn at(&mut self, line: u64, offset: u64, len: usize) {
        assert_eq!(line, self.next_line);
        assert_eq!(offset, self.offset.unwrap_or(offset), "a gap or an overlap before line {line}");
        assert!(self.offset.is_some() || offset == 0 || offset == 3);
        self.offset = Some(offset + len as u64);
    }
}
