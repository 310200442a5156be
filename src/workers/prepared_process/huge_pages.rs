//! Moves the program's machine code and constants into huge pages.
//!
//! Starting a worker touches some ten megabytes of them, thousands of pages of a file. On a fork, the kernel either
//! copies the entry of each page, or the child faults each page in again. A huge page has one entry instead of 512. So
//! code and constants are copied into huge pages, which then replace the original mappings.

use std::fs::{File, read_to_string};
use std::io::{BufRead, BufReader};

/// The size of a huge page.
const HUGE: usize = 2 << 20;

/// Moves the program's machine code and constants into huge pages, if the kernel has any. Otherwise they
/// stay where they are.
pub(super) fn move_program() {
    let enabled = read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    if enabled.is_empty() || enabled.contains("[never]") {
        return;
    }
    // Constants that the linker does not place next to the code have a mapping of their own.
    for (address, rights) in [(move_program as *const () as usize, CODE), (HERE.as_ptr() as usize, CONSTANTS)] {
        let Some((start, end)) = mapping_of(address, rights) else { continue };
        let (start, end) = (start.next_multiple_of(HUGE), end / HUGE * HUGE);
        if start < end {
            let _ = replace(start, end - start, rights);
        }
    }
}

/// One of the program's constants, to find their mapping.
static HERE: [u8; 64] = [1; 64];

/// The access rights of a mapping: as the kernel's text in `/proc/self/maps`, and as flags for `mprotect`.
type Rights = (&'static str, libc::c_int);

const CODE: Rights = ("r-xp", libc::PROT_READ | libc::PROT_EXEC);
const CONSTANTS: Rights = ("r--p", libc::PROT_READ);

/// Returns the address range of the mapping that contains this address, if it has these rights.
fn mapping_of(address: usize, rights: Rights) -> Option<(usize, usize)> {
    let maps = BufReader::new(File::open("/proc/self/maps").ok()?);
    maps.lines().map_while(Result::ok).find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
        (fields.next() == Some(rights.0) && (start..end).contains(&address)).then_some((start, end))
    })
}

/// Replaces `len` bytes at `start` with a copy in huge pages. The range must consist of whole, read-only huge pages,
/// and the process must have only one thread. Returns `None` if the original stays.
fn replace(start: usize, len: usize, rights: Rights) -> Option<()> {
    let (read_write, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: new memory, at an address that the kernel chooses.
    let room = unsafe { libc::mmap(std::ptr::null_mut(), len + HUGE, read_write, private, -1, 0) };
    if room == libc::MAP_FAILED {
        return None;
    }
    let copy = (room as usize).next_multiple_of(HUGE);
    // SAFETY: `copy` and the `len` bytes after it lie in the new memory. The original is readable and is never written
    // to. The copy that replaces it has the same bytes and the same rights. A single system call replaces it, made from
    // code in another file.
    unsafe {
        libc::madvise(copy as *mut libc::c_void, len, libc::MADV_HUGEPAGE);
        std::ptr::copy_nonoverlapping(start as *const u8, copy as *mut u8, len);
        let is_huge = libc::mprotect(copy as *mut libc::c_void, len, rights.1) == 0
            && is_huge(copy, len)
            && libc::mremap(
                copy as *mut libc::c_void,
                len,
                len,
                libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
                start as *mut libc::c_void,
            ) == start as *mut libc::c_void;
        // Unmaps the memory before and after the copy, and the copy itself if it was not moved.
        if is_huge {
            libc::munmap(room, copy - room as usize);
            libc::munmap((copy + len) as *mut libc::c_void, room as usize + HUGE - copy);
        } else {
            libc::munmap(room, len + HUGE);
        }
        is_huge.then_some(())
    }
}

/// Returns whether the whole range is in huge pages.
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
