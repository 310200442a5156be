//! Reads the words of V8's heap objects directly.
//!
//! V8's API has no cheap way to get an object's shape or its references. Both are in a few words of the object. The
//! layout of these words is known for one version of V8 only. Each module that reads them first runs a self-test on its
//! own objects and disables itself if the test fails.

use deno_core::v8;

/// The version of V8 whose layout is known.
const VERSION: &str = "15.0.245.2";

/// The tag bit of a reference. A word with this bit is an object's address plus the bit.
pub(crate) const POINTER: usize = 1;

/// Whether the layout of this V8's objects is known.
pub(crate) fn is_layout_known() -> bool {
    v8::V8::get_version().split('-').next() == Some(VERSION)
}

/// Returns an object's address plus [`POINTER`].
pub(crate) fn tagged<T>(handle: v8::Local<T>) -> usize {
    // SAFETY: a handle is the address of a word that has the object's address, plus the bit.
    unsafe { *std::ptr::from_ref::<T>(&handle).cast::<usize>() }
}

/// Returns an object's first three words: its map, its properties and its elements.
pub(crate) fn words(object: v8::Local<v8::Object>) -> [usize; 3] {
    // SAFETY: every object starts with these three words. Nothing here lets the garbage collector move the object.
    unsafe { *((tagged(object) - POINTER) as *const [usize; 3]) }
}
