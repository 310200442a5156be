//! The verdict on a line that is longer than the limit, wherever that is noticed.

use sluicegate_engine::verdict::{Failure, FailureKind};

/// The verdict on a line over the limit.
pub(crate) fn line_too_long(len: u64, limit: usize) -> Failure {
    let message = format!("the line of {len} bytes is over the limit of {limit} bytes; raise --line-limit");
    Failure::new(FailureKind::LineTooLong, message)
}
