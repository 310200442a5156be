//! Forks children that become children of this process's parent.
//!
//! The child must be the supervisor's own, so that the supervisor waits for it and kills it like any other worker.
//! `fork` cannot do that, so this makes the underlying system call with one more flag. What the C library's `fork` does
//! in addition is for programs with threads or held locks, and this process has neither. The exception is the thread id
//! that the library keeps; the kernel writes it, as for `fork`.

use std::io;

use libc::pid_t;

/// The thread that may fork.
pub(super) struct Forker {
    /// The address at which the C library keeps the id of the calling thread.
    tid: *mut pid_t,
}

impl Forker {
    /// Creates a forker for the calling thread.
    ///
    /// # Errors
    /// If the kernel does not report the address of the C library's thread id, or if the id there is a different one.
    pub(super) fn new() -> io::Result<Self> {
        const PR_GET_TID_ADDRESS: libc::c_int = 40;
        let mut tid: *mut pid_t = std::ptr::null_mut();
        // SAFETY: the kernel writes one pointer, and `tid` has room for it.
        if unsafe { libc::prctl(PR_GET_TID_ADDRESS, &raw mut tid, 0, 0, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the C library told the kernel to clear this address when the thread ends, so it lies in the
        // thread's own record.
        if tid.is_null() || unsafe { tid.read() } != rustix::thread::gettid().as_raw_nonzero().get() {
            return Err(io::Error::other("the C library does not keep the thread's number where the kernel clears it"));
        }
        Ok(Self { tid })
    }

    /// Forks. Returns `None` in the child, and the child's pid in this process.
    ///
    /// # Safety
    /// This must be the only thread of the process, and the thread that created `self`.
    pub(super) unsafe fn fork(&self) -> io::Result<Option<pid_t>> {
        let flags = libc::CLONE_PARENT | libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD;
        let (flags, none, tid) = (i64::from(flags), 0_i64, self.tid as i64);
        // SAFETY: like `fork`, the child gets a copy of everything, including the stack. The caller
        // guarantees the rest.
        #[cfg(target_arch = "x86_64")]
        let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, tid, none) };
        // SAFETY: as above; on other architectures the last two arguments are swapped.
        #[cfg(not(target_arch = "x86_64"))]
        let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, tid) };
        match pid {
            -1 => Err(io::Error::last_os_error()),
            0 => Ok(None),
            pid => Ok(Some(pid as pid_t)),
        }
    }
}

/// Makes children inherit all memory of this process, with its pages already mapped.
pub(super) fn inherit_memory() -> io::Result<()> {
    // Releases memory that only the preparation needed.
    #[cfg(target_env = "gnu")]
    // SAFETY: only returns free memory to the kernel.
    unsafe {
        libc::malloc_trim(0);
    }
    // The open may be refused, which only costs time.
    let memory = std::fs::File::options().read(true).write(true).open("/proc/self/mem").ok();
    for line in std::fs::read_to_string("/proc/self/maps")?.lines() {
        let mut fields = line.split_ascii_whitespace();
        let range = fields.next().and_then(|range| range.split_once('-'));
        let ends = range.map(|(start, end)| (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16)));
        let Some((Ok(start), Ok(end))) = ends else { continue };
        // V8 asks the kernel to exclude its memory from children, for the sake of programs that start others.
        // SAFETY: only changes what a child inherits. The kernel refuses it for its own mappings, which are
        // inherited anyway.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DOFORK) };
        let (rights, path) = (fields.next().unwrap_or_default(), fields.nth(3).unwrap_or_default());
        if let Some(memory) = memory.as_ref().filter(|_| path.starts_with('/') && rights.starts_with("r-x")) {
            inherit_pages(memory, start as u64);
        }
    }
    Ok(())
}

/// Makes children inherit the page table entries of a file mapping. If a mapping was only read, such as the program
/// itself, the kernel does not copy its entries, and the child faults each page in again, which takes as long as all
/// the rest of its start. The kernel copies the entries if a page of the mapping is private to the process. So this
/// overwrites the first byte with itself.
fn inherit_pages(memory: &std::fs::File, start: u64) {
    use std::os::unix::fs::FileExt;
    let mut byte = [0];
    if memory.read_exact_at(&mut byte, start).is_ok() {
        let _ = memory.write_all_at(&byte, start);
    }
}
