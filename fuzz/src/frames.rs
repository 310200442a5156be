//! Frames: reading any bytes from a compromised worker never panics and never results in an inconsistent value. A frame
//! that was read has the same bytes when it is written again.

use sluicegate::wire::frame::{self, HEADER, Kind, Part, Work};

/// Reads the bytes as a stream of frames, and as the payload of each kind.
pub fn check(data: &[u8]) {
    let mut stream = data;
    let mut payload = Vec::new();
    while let Ok(Some(kind)) = frame::read(&mut stream, &mut payload) {
        let mut again = Vec::new();
        frame::put(&mut again, kind, |out| out.extend_from_slice(&payload));
        let end = data.len() - stream.len();
        assert!(data[..end].ends_with(&again), "a frame is not what it was read from");
        payloads(&payload);
    }
    payloads(data);
}

fn payloads(bytes: &[u8]) {
    if let Some(work) = Work::get(bytes) {
        let mut again = Vec::new();
        work.put(&mut again);
        assert_eq!(&again[HEADER..], bytes);
    }
    let Some(part) = Part::get(bytes) else { return };
    let mut again = Vec::new();
    part.put(&mut again);
    assert_eq!(&again[HEADER..], bytes);
    let head: [u8; HEADER] = again[..HEADER].try_into().expect("a header");
    assert_eq!(frame::header(head), Some((Kind::Part, bytes.len())));
    // The supervisor relies on this.
    assert_eq!(u64::from(part.ok) + u64::from(part.dropped) + part.failures.len() as u64, u64::from(part.lines));
    assert!(part.blank <= part.dropped);
    assert!(part.failures.is_sorted_by(|a, b| a.line < b.line && a.output_at <= b.output_at));
    assert!(part.failures.iter().all(|failed| failed.output_at <= part.bytes));
}
