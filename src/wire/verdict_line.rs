//! One verdict per input line, for hosts that count lines: `{"verdict":"ok","events":[…]}`.

use sluicegate_engine::Rendering;
use sluicegate_engine::verdict::Failure;

/// Around the outputs of an event that went out.
pub const OK: Rendering<'static> = Rendering {
    open: b"{\"verdict\":\"ok\",\"events\":[",
    around: (b"", b""),
    between: b",",
    close: b"]}\n",
    beside_faults: false,
};

/// The line of an event that was dropped.
pub const DROPPED: &[u8] = b"{\"verdict\":\"dropped\"}\n";

/// The line of an event that failed.
pub fn failed(failure: &Failure, out: &mut Vec<u8>) {
    #[derive(serde::Serialize)]
    struct Line<'a> {
        verdict: &'static str,
        #[serde(flatten)]
        failure: &'a Failure,
    }
    serde_json::to_writer(&mut *out, &Line { verdict: "failed", failure }).expect("a failure is plain data");
    out.push(b'\n');
}
