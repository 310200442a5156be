//! Converts bytes to events and back: the bounded line reader with offsets, the frames between supervisor and worker,
//! their shared memory, dead letters, verdict lines and rows. This module does not use V8.

pub mod dead_letter;
pub mod envelope;
pub mod field;
pub mod frame;
pub mod input;
mod line_block;
pub mod lines;
pub mod row;
pub mod shared;
pub mod slots;
pub mod stderr;
pub mod verdict_line;
