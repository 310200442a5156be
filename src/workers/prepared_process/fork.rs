//! How the prepared process forks: children of its parent.
//!
//! The child is to be the supervisor's own, which waits for it and kills it as it does any other worker. `fork` has no way to say
//! that, so this is the system call that is behind it, with one flag more. What the C library does beside the call is for
//! programs with threads or with locks held, and this process has neither; but for one thing, the library's note of the
//! thread's number, which the kernel writes as it does for `fork`.

use std::io;

use libc::pid_t;

/// The thread that may fork.
pub(super) struct Forker {
    /// Where the C library keeps the number of the calling thread.
    tid: *mut pid_t,
}

impl Forker {
    /// For the calling thread.
    ///
    /// # Errors
    /// If the kernel does not say where the C library keeps the thread's number, or it isn't there.
    pub(super) fn new() -> io::Result<Self> {
        const PR_GET_TID_ADDRESS: libc::c_int = 40;
        let mut tid: *mut pid_t = std::ptr::null_mut();
        // SAFETY: the kernel writes one pointer, for which there is room.
        if unsafe { libc::prctl(PR_GET_TID_ADDRESS, &raw mut tid, 0, 0, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: what the C library has told the kernel to clear when the thread ends lies in the thread's own record.
        if tid.is_null() || unsafe { tid.read() } != rustix::thread::gettid().as_raw_nonzero().get() {
            return Err(io::Error::other("the C library does not keep the thread's number where the kernel clears it"));
        }
        Ok(Self { tid })
    }

    /// Forks. In the child the answer is `None`; else it is the child's number.
    ///
    /// # Safety
    /// This is the only thread of the process, and the one that `self` was made on.
    pub(super) unsafe fn fork(&self) -> io::Result<Option<pid_t>> {
        let flags = libc::CLONE_PARENT | libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD;
        let (flags, none, tid) = (i64::from(flags), 0_i64, self.tid as i64);
        // SAFETY: as `fork`: the child has a copy of everything, the stack included. The caller sees to the rest.
        #[cfg(target_arch = "x86_64")]
        let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, tid, none) };
        // SAFETY: as above; elsewhere the last two are the other way round.
        #[cfg(not(target_arch = "x86_64"))]
        let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, tid) };
        match pid {
            -1 => Err(io::Error::last_os_error()),
            0 => Ok(None),
            pid => Ok(Some(pid as pid_t)),
        }
    }
}

/// Has all memory of this process be there in its children from the start.
pub(super) fn inherit_memory() -> io::Result<()> {
    // What was only needed to prepare.
    #[cfg(target_env = "gnu")]
    // SAFETY: gives free memory back.
    unsafe {
        libc::malloc_trim(0);
    }
    // May be refused, which costs time only.
    let memory = std::fs::File::options().read(true).write(true).open("/proc/self/mem").ok();
    for line in std::fs::read_to_string("/proc/self/maps")?.lines() {
        let mut fields = line.split_ascii_whitespace();
        let range = fields.next().and_then(|range| range.split_once('-'));
        let ends = range.map(|(start, end)| (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16)));
        let Some((Ok(start), Ok(end))) = ends else { continue };
        // V8 asks the kernel to leave its memory out, for the sake of programs that start others.
        // SAFETY: changes nothing but what a child inherits. The kernel's own mappings refuse it, and are inherited anyway.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DOFORK) };
        let (rights, path) = (fields.next().unwrap_or_default(), fields.nth(3).unwrap_or_default());
        if let Some(memory) = memory.as_ref().filter(|_| path.starts_with('/') && rights.starts_with("r-x")) {
            inherit_pages(memory, start as u64);
        }
    }
    Ok(())
}

/// Of a file that was only read, such as the program itself, the kernel leaves out what pages are in memory, and a child
/// finds them again one by one, which takes it as long as all the rest of its start. It does not do so where a page of
/// the mapping is the process's own: so the first one is overwritten with what is in it.
fn inherit_pages(memory: &std::fs::File, start: u64) {
    use std::os::unix::fs::FileExt;
    let mut byte = [0];
    if memory.read_exact_at(&mut byte, start).is_ok() {
        let _ = memory.write_all_at(&byte, start);
    }
}
