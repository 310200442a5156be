//! One verdict per input line, for hosts that count lines: `{"verdict":"ok","events":[…]}`.

use sluicegate_engine::OutputFraming;
use sluicegate_engine::verdict::Failure;

/// Around the outputs of an event that went out.
pub const OK: OutputFraming<'static> = OutputFraming {
    open: b"{\"verdict\":\"ok\",\"events\":[",
    around: (b"", b""),
    between: b",",
    close: b"]}\n",
    keep_partial_output: false,
};

/// The line of an event that was dropped, with the metadata of its envelope.
pub fn dropped(metadata: Option<&[u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"verdict\":\"dropped\"");
    close(metadata, out);
}

/// The line of an event that failed, likewise.
pub fn failed(failure: &Failure, metadata: Option<&[u8]>, out: &mut Vec<u8>) {
    #[derive(serde::Serialize)]
    struct FailedLine<'a> {
        verdict: &'static str,
        #[serde(flatten)]
        failure: &'a Failure,
    }
    serde_json::to_writer(&mut *out, &FailedLine { verdict: "failed", failure }).expect("a failure is plain data");
    let closed = out.pop();
    debug_assert_eq!(closed, Some(b'}'), "a failure is an object");
    close(metadata, out);
}

fn close(metadata: Option<&[u8]>, out: &mut Vec<u8>) {
    if let Some(metadata) = metadata {
        out.extend_from_slice(b",\"metadata\":");
        out.extend_from_slice(metadata);
    }
    out.extend_from_slice(b"}\n");
}
