//! The frames that supervisor and worker exchange over a socket. Large data goes through shared memory instead (see
//! [`super::shared`]); a frame contains its position.
//!
//! A frame consists of a kind, a length and a payload of that many bytes, little-endian. The supervisor trusts no
//! frame: it checks every field, and ends a worker that sends an invalid frame.

use std::io::{self, Read};

/// Bytes of a frame's header: kind and length.
pub const HEADER: usize = 8;

/// The largest payload that is accepted from a worker, in bytes. It fits the failures and logs of one part, which is
/// reported when they reach a mebibyte, and those of one more event.
pub const MAX_PAYLOAD: usize = 16 << 20;

/// The largest payload that is accepted for a preview, whose frames contain its outputs.
pub const MAX_PREVIEW: usize = 256 << 20;

/// The kinds of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// To the worker, once: the program and how to run it, as JSON.
    Start = 1,
    /// From the worker, once: the program's export, or why it could not be loaded, as JSON.
    Ready = 2,
    /// To the worker: a [`Work`].
    Work = 3,
    /// From the worker: a [`Part`].
    Part = 4,
    /// To the worker: the output slot with this number is free again.
    Free = 5,
    /// To the worker, once, as the first frame: how to set itself up, as JSON. Contains no code.
    Setup = 6,
    /// From the worker: a network request, see [`Message`].
    Ask = 7,
    /// To the worker: the answer to a network request.
    Answer = 8,
    /// From the worker: no event waits for its earlier requests any longer.
    Forget = 9,
    /// From the worker: all its events wait for the network, so it can start more.
    Waits = 10,
    /// From the worker: it returns units, or the last lines of units, see [`GivenBack`].
    GiveBack = 11,
    /// To the worker: it will be idle for a while, and should release memory that it does not need.
    Trim = 12,
    /// To the worker, instead of `Start`, any number of times: a program and a few events, as JSON.
    Preview = 16,
    /// From the worker: the state of a preview, as JSON.
    PreviewReply = 17,
}

impl Kind {
    fn from_u32(kind: u32) -> Option<Self> {
        use Kind::{
            Answer, Ask, Forget, Free, GiveBack, Part, Preview, PreviewReply, Ready, Setup, Start, Trim, Waits, Work,
        };
        [Start, Ready, Work, Part, Free, Setup, Ask, Answer, Forget, Waits, GiveBack, Trim, Preview, PreviewReply]
            .into_iter()
            .find(|k| *k as u32 == kind)
    }
}

/// Lines to transform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// The unit's number, unique in a run.
    pub unit: u64,
    /// The offset of its first byte in the input region.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
    /// The number of its first line in its file, from 1.
    pub first_line: u64,
}

/// A network request or its answer: JSON, and the number that links the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Chosen by the worker, which never uses a number twice.
    pub id: u64,
    /// See `js/runtime/network.js`.
    pub text: &'a str,
}

impl<'a> Message<'a> {
    /// Appends the message as a frame.
    pub fn put(&self, kind: Kind, out: &mut Vec<u8>) {
        put(out, kind, |out| {
            out.extend_from_slice(&self.id.to_le_bytes());
            out.extend_from_slice(self.text.as_bytes());
        });
    }

    /// Parses a message. Returns `None` if the payload is invalid.
    pub fn get(payload: &'a [u8]) -> Option<Self> {
        let (id, text) = payload.split_first_chunk()?;
        Some(Self { id: u64::from_le_bytes(*id), text: std::str::from_utf8(text).ok()? })
    }
}

/// Lines of a unit that a worker returns without having started them: all lines from a number on, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenBack {
    /// The unit.
    pub unit: u64,
    /// The first line that is returned.
    pub from: u64,
}

impl GivenBack {
    /// Appends a list as a frame.
    pub fn put(list: &[Self], out: &mut Vec<u8>) {
        put(out, Kind::GiveBack, |out| {
            for Self { unit, from } in list {
                out.extend_from_slice(&unit.to_le_bytes());
                out.extend_from_slice(&from.to_le_bytes());
            }
        });
    }

    /// Parses a list. Returns `None` if the payload is invalid.
    pub fn get(payload: &[u8]) -> Option<Vec<Self>> {
        let mut fields = Fields(payload);
        let mut list = Vec::new();
        while !fields.0.is_empty() {
            list.push(Self { unit: fields.u64()?, from: fields.u64()? });
        }
        Some(list)
    }
}

/// The verdicts of the next lines of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The unit.
    pub unit: u64,
    /// The number of lines in the part.
    pub lines: u32,
    /// The number of lines with output.
    pub ok: u32,
    /// The number of dropped lines, including blank ones.
    pub dropped: u32,
    /// The number of blank lines.
    pub blank: u32,
    /// The number of output events.
    pub events_out: u64,
    /// The output slot that holds the output, if there is any.
    pub slot: u32,
    /// The bytes of output in the slot.
    pub bytes: u64,
    /// The lines that failed, in order.
    pub failures: Vec<LineFailure>,
    /// Numbers that the code has read and JavaScript cannot represent. The list is short, because a worker reports only
    /// the first number.
    pub reads: Vec<LineNote>,
    /// Formatted log lines.
    pub logs: Vec<u8>,
    /// The lines that were dropped, in order, numbered as in [`LineFailure::line`]; only for rows, see [`super::row`].
    pub dropped_lines: Vec<u32>,
    /// Network requests that were sent again since the previous part.
    pub repeated: u64,
    /// Network requests of these lines, without repeated requests.
    pub requests: u64,
    /// CPU time since the previous part, in nanoseconds.
    pub cpu: u64,
    /// V8's heap in use, in bytes; only for rows, and 0 if it was not measured.
    pub heap: u64,
}

/// A line that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineFailure {
    /// The number of the line, from 0 at the start of the unit.
    pub line: u32,
    /// Bytes of output in the slot before this line's output.
    pub output_at: u64,
    /// The failure, as JSON.
    pub failure: Vec<u8>,
}

/// A message about a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineNote {
    /// The number of the line, as in [`LineFailure::line`].
    pub line: u32,
    /// The message, as JSON.
    pub note: Vec<u8>,
}

/// Appends a frame to `out`.
pub fn put(out: &mut Vec<u8>, kind: Kind, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&(kind as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    payload(out);
    let len = u32::try_from(out.len() - start - HEADER).expect("a frame is far smaller than 4 GiB");
    out[start + 4..start + HEADER].copy_from_slice(&len.to_le_bytes());
}

impl Work {
    /// Appends the work as a frame.
    pub fn put(&self, out: &mut Vec<u8>) {
        put(out, Kind::Work, |out| {
            for field in [self.unit, self.offset, self.len, self.first_line] {
                out.extend_from_slice(&field.to_le_bytes());
            }
        });
    }

    /// Parses the work. Returns `None` if the payload is invalid.
    pub fn get(payload: &[u8]) -> Option<Self> {
        let mut fields = Fields(payload);
        let work = Self { unit: fields.u64()?, offset: fields.u64()?, len: fields.u64()?, first_line: fields.u64()? };
        fields.0.is_empty().then_some(work)
    }
}

impl Part {
    /// Returns whether the part keeps a slot until it has left, even without output. So a worker with many failures or
    /// logs waits until they have been written.
    pub fn holds_slot(&self) -> bool {
        self.bytes > 0 || !self.failures.is_empty() || !self.logs.is_empty()
    }

    /// Appends the part as a frame.
    pub fn put(&self, out: &mut Vec<u8>) {
        put(out, Kind::Part, |out| {
            let Self { unit, events_out, bytes, repeated, requests, cpu, heap, .. } = *self;
            for field in [unit, events_out, bytes, repeated, requests, cpu, heap] {
                out.extend_from_slice(&field.to_le_bytes());
            }
            let (failures, logs) = (self.failures.len() as u32, self.logs.len() as u32);
            let (dropped_lines, reads) = (self.dropped_lines.len() as u32, self.reads.len() as u32);
            for field in
                [self.lines, self.ok, self.dropped, self.blank, self.slot, failures, logs, dropped_lines, reads]
            {
                out.extend_from_slice(&field.to_le_bytes());
            }
            for line in &self.dropped_lines {
                out.extend_from_slice(&line.to_le_bytes());
            }
            for failed in &self.failures {
                out.extend_from_slice(&failed.line.to_le_bytes());
                out.extend_from_slice(&failed.output_at.to_le_bytes());
                out.extend_from_slice(&(failed.failure.len() as u32).to_le_bytes());
                out.extend_from_slice(&failed.failure);
            }
            for noted in &self.reads {
                out.extend_from_slice(&noted.line.to_le_bytes());
                out.extend_from_slice(&(noted.note.len() as u32).to_le_bytes());
                out.extend_from_slice(&noted.note);
            }
            out.extend_from_slice(&self.logs);
        });
    }

    /// Parses a part. Returns `None` if the payload is invalid or inconsistent.
    pub fn get(payload: &[u8]) -> Option<Self> {
        let mut fields = Fields(payload);
        let (unit, events_out, bytes) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let (repeated, requests, cpu, heap) = (fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?);
        let (lines, ok, dropped, blank) = (fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
        let (slot, failures, logs, dropped_lines) = (fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
        let reads = fields.u32()?;
        let part = Part { unit, lines, ok, dropped, blank, events_out, slot, bytes, ..Part::default() };
        let mut part = Part { repeated, requests, cpu, heap, ..part };
        let sum = u64::from(ok) + u64::from(dropped) + u64::from(failures);
        if sum != u64::from(lines) || blank > dropped {
            return None;
        }
        // The numbers of dropped lines are sent only for rows.
        if dropped_lines != 0 && dropped_lines != dropped {
            return None;
        }
        for _ in 0..dropped_lines {
            let line = fields.u32()?;
            if part.dropped_lines.last().is_some_and(|before| *before >= line) {
                return None;
            }
            part.dropped_lines.push(line);
        }
        let mut output_at = 0;
        for _ in 0..failures {
            let failed = LineFailure {
                line: fields.u32()?,
                output_at: fields.u64()?,
                failure: {
                    let n = fields.u32()?;
                    fields.bytes(n)?
                },
            };
            let in_order = part.failures.last().is_none_or(|before| before.line < failed.line);
            if !in_order || failed.output_at < output_at || failed.output_at > bytes {
                return None;
            }
            output_at = failed.output_at;
            part.failures.push(failed);
        }
        for _ in 0..reads {
            let line = fields.u32()?;
            let len = fields.u32()?;
            part.reads.push(LineNote { line, note: fields.bytes(len)? });
        }
        part.logs = fields.bytes(logs)?;
        fields.0.is_empty().then_some(part)
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn u32(&mut self) -> Option<u32> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*field))
    }

    fn u64(&mut self) -> Option<u64> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*field))
    }

    fn bytes(&mut self, len: u32) -> Option<Vec<u8>> {
        let (field, rest) = self.0.split_at_checked(len as usize)?;
        self.0 = rest;
        Some(field.to_vec())
    }
}

/// Parses a frame's header: its kind and the length of its payload. Returns `None` if it is invalid.
pub fn header(bytes: [u8; HEADER]) -> Option<(Kind, usize)> {
    let kind = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let len = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
    let kind = Kind::from_u32(kind)?;
    let most = match kind {
        Kind::Ready | Kind::Part | Kind::Ask | Kind::Forget | Kind::Waits | Kind::GiveBack => MAX_PAYLOAD,
        // These kinds are sent to a worker, which trusts the supervisor. Only `PreviewReply` comes from a preview's worker.
        Kind::Start
        | Kind::Work
        | Kind::Free
        | Kind::Setup
        | Kind::Answer
        | Kind::Preview
        | Kind::PreviewReply
        | Kind::Trim => MAX_PREVIEW,
    };
    (len <= most).then_some((kind, len))
}

/// Reads one frame into `payload`. Returns `None` at the end of the stream.
pub fn read(from: &mut impl Read, payload: &mut Vec<u8>) -> io::Result<Option<Kind>> {
    let mut head = [0; HEADER];
    match from.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "not a frame");
    let (kind, len) = header(head).ok_or_else(broken)?;
    payload.clear();
    // The buffer grows with the received bytes, not with the length claimed in the header.
    if from.take(len as u64).read_to_end(payload)? == len { Ok(Some(kind)) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_part_that_contradicts_itself_is_refused() {
        let good = Part {
            lines: 2,
            ok: 1,
            failures: vec![LineFailure { line: 1, ..LineFailure::default() }],
            ..Part::default()
        };
        let bytes = |part: &Part| {
            let mut out = Vec::new();
            part.put(&mut out);
            out.split_off(HEADER)
        };
        assert_eq!(Part::get(&bytes(&good)), Some(good.clone()));
        assert_eq!(Part::get(&bytes(&Part { lines: 3, ..good.clone() })), None);
        assert_eq!(Part::get(&bytes(&Part { blank: 1, ..good.clone() })), None);
        let mut twice = good.clone();
        twice.failures.push(LineFailure { line: 1, ..LineFailure::default() });
        twice.lines = 3;
        assert_eq!(Part::get(&bytes(&twice)), None);
        let outside = Part { failures: vec![LineFailure { output_at: 9, ..LineFailure::default() }], lines: 2, ..good };
        assert_eq!(Part::get(&bytes(&outside)), None);
    }

    proptest! {
        #[test]
        fn work_survives_the_journey(unit: u64, offset: u64, len: u64, first_line: u64) {
            let work = Work { unit, offset, len, first_line };
            let mut out = Vec::new();
            work.put(&mut out);
            let mut payload = Vec::new();
            prop_assert_eq!(read(&mut out.as_slice(), &mut payload).unwrap(), Some(Kind::Work));
            prop_assert_eq!(Work::get(&payload), Some(work));
        }

        #[test]
        fn what_is_given_back_survives_the_journey(list: Vec<(u64, u64)>) {
            let list: Vec<GivenBack> = list.into_iter().map(|(unit, from)| GivenBack { unit, from }).collect();
            let mut out = Vec::new();
            GivenBack::put(&list, &mut out);
            prop_assert_eq!(GivenBack::get(&out[HEADER..]), Some(list));
        }

        #[test]
        fn messages_survive_the_journey(id: u64, text: String) {
            let message = Message { id, text: &text };
            let mut out = Vec::new();
            message.put(Kind::Ask, &mut out);
            let mut payload = Vec::new();
            prop_assert_eq!(read(&mut out.as_slice(), &mut payload).unwrap(), Some(Kind::Ask));
            prop_assert_eq!(Message::get(&payload), Some(message));
        }

        #[test]
        fn no_bytes_break_the_reader(bytes: Vec<u8>) {
            let mut payload = Vec::new();
            let _ = read(&mut bytes.as_slice(), &mut payload);
            let _ = Part::get(&bytes);
            let _ = Work::get(&bytes);
            let _ = Message::get(&bytes);
            let _ = GivenBack::get(&bytes);
        }

        #[test]
        fn parts_survive_the_journey(ok in 0u32..1000, dropped in 0u32..1000, lines in prop::collection::btree_set(0u32..5000, 0..20), logs: Vec<u8>) {
            let failures: Vec<LineFailure> = lines.iter().map(|line| LineFailure { line: *line, output_at: 0, failure: logs.clone() }).collect();
            let reads = lines.iter().take(2).map(|line| LineNote { line: *line, note: logs.clone() }).collect();
            let part =
                Part { lines: ok + dropped + failures.len() as u32, ok, dropped, failures, reads, logs, ..Part::default() };
            let mut out = Vec::new();
            part.put(&mut out);
            prop_assert_eq!(Part::get(&out[HEADER..]), Some(part));
        }
    }
}
