//! Memory limits.
//!
//! V8 calls back when its heap nears the limit. The callback records that, requests termination and grants enough room
//! for the code to reach the next check: V8 aborts the process if an allocation still does not fit, and one object can
//! be 1 GiB. So the room is added to the current limit, and is larger than the largest object. An event that exceeds
//! even that ends with the process, which is the next line of defence.
//!
//! `ArrayBuffer`s live outside the heap. Their allocator counts bytes and refuses allocations beyond the same limit.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use deno_core::v8;

/// Room granted beyond the limit so that a terminated event can unwind: more than one object of 1 GiB.
const HEADROOM: usize = (1 << 30) + (256 << 20);

/// Maximum memory of a process with one engine, in bytes: the heap and the `ArrayBuffer`s, the room beyond the limit,
/// the young generation, and everything else in a process.
pub fn max_memory(heap: usize) -> usize {
    2 * heap + HEADROOM + (512 << 20)
}

/// Shared between the engine and V8's callbacks; boxed, because V8 keeps its address.
pub(crate) struct HeapGuard {
    hit: AtomicBool,
    isolate: v8::IsolateHandle,
}

impl HeapGuard {
    /// Puts the callback on `isolate`. The guard must live as long as the isolate.
    pub(crate) fn install(isolate: &mut v8::Isolate) -> Box<Self> {
        let guard = Box::new(Self { hit: AtomicBool::new(false), isolate: isolate.thread_safe_handle() });
        isolate.add_near_heap_limit_callback(near_heap_limit, (&raw const *guard) as *mut c_void);
        guard
    }

    /// Removes the callback.
    pub(crate) fn remove(&self, isolate: &mut v8::Isolate) {
        isolate.remove_near_heap_limit_callback(near_heap_limit, 0);
    }

    /// Whether the limit was hit since the isolate was made.
    pub(crate) fn was_hit(&self) -> bool {
        self.hit.load(Ordering::Relaxed)
    }
}

/// Runs inside a garbage collection, so it touches nothing of V8 but the termination flag.
unsafe extern "C" fn near_heap_limit(data: *mut c_void, current: usize, _initial: usize) -> usize {
    // SAFETY: `data` is the guard that `install` put there; it outlives the isolate.
    let guard = unsafe { &*(data as *const HeapGuard) };
    guard.hit.store(true, Ordering::Relaxed);
    guard.isolate.terminate_execution();
    current.saturating_add(HEADROOM)
}

/// The memory of `ArrayBuffer`s, in bytes.
struct Buffers {
    used: AtomicUsize,
    limit: usize,
}

/// Makes an allocator that refuses allocations beyond a total of `limit` bytes.
pub(crate) fn limited_allocator(limit: usize) -> v8::UniqueRef<v8::Allocator> {
    let buffers = Arc::new(Buffers { used: AtomicUsize::new(0), limit });
    // SAFETY: the handle is a leaked `Arc<Buffers>`, which is what every function of the table expects; `drop` takes it
    // back.
    unsafe { v8::new_rust_allocator(Arc::into_raw(buffers), &VTABLE) }
}

static VTABLE: v8::RustAllocatorVtable<Buffers> =
    v8::RustAllocatorVtable { allocate, allocate_uninitialized: allocate, free, drop: drop_buffers };

unsafe extern "C" fn allocate(buffers: &Buffers, len: usize) -> *mut c_void {
    let fits = |used: usize| used.checked_add(len).filter(|sum| *sum <= buffers.limit);
    if buffers.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
        return std::ptr::null_mut();
    }
    // SAFETY: `calloc` has no precondition. A length of zero must still give a unique address.
    let memory = unsafe { libc::calloc(len.max(1), 1) };
    if memory.is_null() {
        buffers.used.fetch_sub(len, Ordering::Relaxed);
    }
    memory
}

unsafe extern "C" fn free(buffers: &Buffers, data: *mut c_void, len: usize) {
    buffers.used.fetch_sub(len, Ordering::Relaxed);
    // SAFETY: V8 passes each pointer from `allocate` back exactly once.
    unsafe { libc::free(data) };
}

unsafe extern "C" fn drop_buffers(buffers: *const Buffers) {
    // SAFETY: this is the `Arc` that `limited_allocator` leaked. V8 calls this once, as the last call.
    drop(unsafe { Arc::from_raw(buffers) });
}
