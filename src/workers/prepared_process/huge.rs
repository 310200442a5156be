//! The program's machine code in huge pages.
//!
//! A start runs through some ten megabytes of machine code, thousands of pages of a file. When a process forks, the kernel either
//! copies what it knows of each page, or has the child find each again. Of a huge page there is one thing to know in place of
//! 512. So the code is copied into memory of that kind, which is then put in its place.

use std::fs::{File, read_to_string};
use std::io::{BufRead, BufReader};

/// The size of a huge page.
const HUGE: usize = 2 << 20;

/// Puts the program's machine code into huge pages. Says whether it is there; if not, nothing has changed.
pub(super) fn move_code() -> bool {
    let enabled = read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    if enabled.is_empty() || enabled.contains("[never]") {
        return false;
    }
    let Some((start, end)) = own_code() else { return false };
    let (start, end) = (start.next_multiple_of(HUGE), end / HUGE * HUGE);
    start < end && replace(start, end - start).is_some()
}

/// The range of addresses in which the program's own machine code lies, this function among it.
fn own_code() -> Option<(usize, usize)> {
    let here = own_code as *const () as usize;
    let maps = BufReader::new(File::open("/proc/self/maps").ok()?);
    maps.lines().map_while(Result::ok).find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
        (fields.next() == Some("r-xp") && (start..end).contains(&here)).then_some((start, end))
    })
}

/// Copies `len` bytes at `start` and puts the copy in their place. Both are whole huge pages of code that only this thread runs.
fn replace(start: usize, len: usize) -> Option<()> {
    let (read_write, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: new memory, at a place of the kernel's choice.
    let room = unsafe { libc::mmap(std::ptr::null_mut(), len + HUGE, read_write, private, -1, 0) };
    if room == libc::MAP_FAILED {
        return None;
    }
    let copy = (room as usize).next_multiple_of(HUGE);
    // SAFETY: `copy` and the `len` bytes behind it lie in the new memory. The code is readable, and nobody writes to it. What is put
    // in its place has the same bytes and the same rights, in one step, by a system call that is made from another file's code.
    unsafe {
        libc::madvise(copy as *mut libc::c_void, len, libc::MADV_HUGEPAGE);
        std::ptr::copy_nonoverlapping(start as *const u8, copy as *mut u8, len);
        let is_huge = libc::mprotect(copy as *mut libc::c_void, len, libc::PROT_READ | libc::PROT_EXEC) == 0
            && is_huge(copy, len)
            && libc::mremap(
                copy as *mut libc::c_void,
                len,
                len,
                libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
                start as *mut libc::c_void,
            ) == start as *mut libc::c_void;
        // What lies before and behind the copy; and the copy, if it is still there.
        if is_huge {
            libc::munmap(room, copy - room as usize);
            libc::munmap((copy + len) as *mut libc::c_void, room as usize + HUGE - copy);
        } else {
            libc::munmap(room, len + HUGE);
        }
        is_huge.then_some(())
    }
}

/// Whether the kernel had huge pages for all of it.
fn is_huge(start: usize, len: usize) -> bool {
    let Ok(smaps) = File::open("/proc/self/smaps") else { return false };
    let head = format!("{start:x}-{:x} ", start + len);
    let lines = BufReader::new(smaps).lines().map_while(Result::ok);
    let huge = lines.skip_while(|line| !line.starts_with(&head)).find_map(|line| {
        let kib = line.strip_prefix("AnonHugePages:")?.trim().strip_suffix(" kB")?;
        kib.parse::<usize>().ok()
    });
    huge == Some(len >> 10)
}
