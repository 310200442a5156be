//! JSON text for sluicegate: finds its structure, validates it, detects what V8's JSON would lose between parsing and
//! printing, and restores it. Implements RFC 8259 and ECMAScript's `JSON`; independent of V8, I/O and threads.
//!
//! Modules that walk over a text:
//!
//! - [`structural_index`]: the positions of all structural characters, 64 bytes at a time.
//! - [`object_index`]: the top-level entries of one object, with the separators inside of its values.
//! - [`validator`]: token by token, for texts that the fast walks decline.
//! - [`skip`]: the end of a container, without looking inside.
//! - [`cursor`]: fields of nested objects, one after the other.
//! - [`pairs`]: arrays of key-value pairs, rewritten as an object.
//!
//! Most of these walks are passes of `simd`: one loop over blocks of 64 bytes, compiled in four
//! forms that give the same results.
//!
//! Basic modules: [`string`], [`number`], `token`, `hash`, `key_escapes`, [`key_skeleton`], `scan_report`, [`sink`].
//!
//! Round trips: [`canonical`] tells whether a text is what `JSON.stringify` would print, [`roundtrip`] tells what would
//! be lost, [`restore`] restores it, and [`merge`] does so faster where it can.

pub mod canonical;
pub mod cursor;
pub mod duplicates;
mod hash;
mod key_escapes;
pub mod key_skeleton;
pub mod merge;
pub mod number;
pub mod object_index;
pub mod pairs;
pub mod restore;
pub mod roundtrip;
mod scan_report;
mod simd;
pub mod sink;
pub mod skip;
pub mod string;
pub mod structural_index;
mod token;
pub mod validator;

pub use cursor::{Cursor, Memory};
pub use sink::Sink;
