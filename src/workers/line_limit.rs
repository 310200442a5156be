//! The verdict on a line over the limit, shared by all checks of the limit.

use sluicegate_engine::verdict::{Failure, FailureKind};

/// Returns the failure of a line over the limit.
pub(crate) fn line_too_long(len: u64, limit: usize) -> Failure {
    let message = format!("the line of {len} bytes is over the limit of {limit} bytes; raise --line-limit");
    Failure::new(FailureKind::LineTooLong, message)
}
