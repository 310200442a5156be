//! The worker's file descriptors.

/// The socket for frames.
pub const SOCKET: i32 = crate::sandbox::SOCKET;
/// The input region, sealed.
pub const INPUT: i32 = 4;
/// The worker's output region.
pub const OUTPUT: i32 = 5;
