//! JSON text, and nothing else: where its structure is, whether it is valid, what V8's JSON would lose of it on the way through
//! a program, and how that is put back. Knows RFC 8259 and what ECMAScript's `JSON` does; knows no V8, no I/O and no threads.
//!
//! Who walks over a text, and how:
//!
//! - [`structural_index`]: the positions of all structural characters, 64 bytes at a time.
//! - [`object_index`]: the top-level entries of one object, with the separators inside of its values.
//! - [`validator`]: byte by byte, for texts that the fast walks decline.
//! - [`skip`]: the end of a container, without looking inside.
//! - [`cursor`]: fields of nested objects, one after the other.
//! - [`pairs`]: arrays of keys and values, as an object.
//!
//! Most of these walks are passes of `simd`: one loop over blocks of 64 bytes, in four forms that give the same results.
//!
//! Leaves: [`string`], [`number`], `token`, `hash`, `key_escapes`, [`key_skeleton`], `scan_report`, [`sink`].
//!
//! What V8 would lose: [`canonical`] says whether a text is what `JSON.stringify` would print, [`roundtrip`] what would be lost,
//! [`restore`] puts it back, [`merge`] does so faster where it can.

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
