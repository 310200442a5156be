//! Reads the memory that V8's objects consist of.
//!
//! V8's API has no cheap way to ask what an object's shape is or what it refers to. The answer is in a few words of the
//! object. Their layout is known for one version of V8 only, and whoever reads them tests on objects of its own first that
//! the answers are right.

use deno_core::v8;

/// The version whose objects look like this.
const VERSION: &str = "15.0.245.2";

/// A word with this bit is an address, plus the bit.
pub(crate) const POINTER: usize = 1;

/// Whether this is the version of V8 whose layout is known.
pub(crate) fn is_layout_known() -> bool {
    v8::V8::get_version().split('-').next() == Some(VERSION)
}

/// An object's address, plus the bit.
pub(crate) fn tagged<T>(handle: v8::Local<T>) -> usize {
    // SAFETY: a handle is the address of a word that has the object's address, plus the bit.
    unsafe { *std::ptr::from_ref::<T>(&handle).cast::<usize>() }
}

/// An object's first three words: its map, its properties and its elements.
pub(crate) fn words(object: v8::Local<v8::Object>) -> [usize; 3] {
    // SAFETY: every object starts with these three words. Nothing here lets the collector move it.
    unsafe { *((tagged(object) - POINTER) as *const [usize; 3]) }
}
