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

/// The line of an event that was dropped.
pub const DROPPED: &[u8] = b"{\"verdict\":\"dropped\"}\n";

/// The line of an event that failed.
pub fn failed(failure: &Failure, out: &mut Vec<u8>) {
    #[derive(serde::Serialize)]
    struct FailedLine<'a> {
        verdict: &'static str,
        #[serde(flatten)]
        failure: &'a Failure,
    }
    serde_json::to_writer(&mut *out, &FailedLine { verdict: "failed", failure }).expect("a failure is plain data");
    out.push(b'\n');
}
