//! The framing of outputs and the format of logs.

use crate::config::Emit;
use crate::wire::{row, verdict_line};
use sluicegate_engine::{LogLine, OutputFraming};

pub(super) fn output_framing<'a>(emit: Emit, rows: bool, around: (&'a [u8], &'a [u8])) -> OutputFraming<'a> {
    if rows {
        return row::framing(around);
    }
    let base = match emit {
        Emit::Events | Emit::Framed => OutputFraming::LINES,
        Emit::Verdicts => verdict_line::OK,
    };
    OutputFraming { around, ..base }
}

pub(super) fn render_logs(lines: &[LogLine], line: u64, out: &mut Vec<u8>) {
    #[derive(serde::Serialize)]
    struct Rendered<'a> {
        line: u64,
        #[serde(flatten)]
        log: &'a LogLine,
    }
    for log in lines {
        serde_json::to_writer(&mut *out, &Rendered { line, log }).expect("plain data");
        out.push(b'\n');
    }
}
