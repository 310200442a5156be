//! The program's machine code and its constants in huge pages.
//!
//! A start runs through some ten megabytes of them, thousands of pages of a file. When a process forks, the kernel either
//! copies what it knows of each page, or has the child find each again. Of a huge page there is one thing to know in place of
//! 512. So both are copied into memory of that kind, which is then put in their place.

use std::fs::{File, read_to_string};
use std::io::{BufRead, BufReader};

/// The size of a huge page.
const HUGE: usize = 2 << 20;

/// Puts the program's machine code and its constants into huge pages, as far as the kernel has any. What it has none for stays
/// as it is.
pub(super) fn move_program() {
    let enabled = read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    if enabled.is_empty() || enabled.contains("[never]") {
        return;
    }
    // Constants that the linker does not put among the code are in a mapping of their own.
    for (address, rights) in [(move_program as *const () as usize, CODE), (HERE.as_ptr() as usize, CONSTANTS)] {
        let Some((start, end)) = mapping_of(address, rights) else { continue };
        let (start, end) = (start.next_multiple_of(HUGE), end / HUGE * HUGE);
        if start < end {
            let _ = replace(start, end - start, rights);
        }
    }
}

/// One of the program's constants.
static HERE: [u8; 64] = [1; 64];

/// What may be done with a mapping: as the kernel writes it, and as it reads it.
type Rights = (&'static str, libc::c_int);

const CODE: Rights = ("r-xp", libc::PROT_READ | libc::PROT_EXEC);
const CONSTANTS: Rights = ("r--p", libc::PROT_READ);

/// The range of addresses of the mapping that this address lies in, if it has these rights.
fn mapping_of(address: usize, rights: Rights) -> Option<(usize, usize)> {
    let maps = BufReader::new(File::open("/proc/self/maps").ok()?);
    maps.lines().map_while(Result::ok).find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
        (fields.next() == Some(rights.0) && (start..end).contains(&address)).then_some((start, end))
    })
}

/// Copies `len` bytes at `start` and puts the copy in their place. Both are whole huge pages that are only read, in a process
/// of one thread.
fn replace(start: usize, len: usize, rights: Rights) -> Option<()> {
    let (read_write, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: new memory, at a place of the kernel's choice.
    let room = unsafe { libc::mmap(std::ptr::null_mut(), len + HUGE, read_write, private, -1, 0) };
    if room == libc::MAP_FAILED {
        return None;
    }
    let copy = (room as usize).next_multiple_of(HUGE);
    // SAFETY: `copy` and the `len` bytes behind it lie in the new memory. What is there is readable, and is never written to. What is put
    // in its place has the same bytes and the same rights, in one step, by a system call that is made from another file's code.
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
