//! Memory that a process at rest need not hold.

use std::fs;

use napi_derive::napi;

use crate::task::{Promise, blocking};

/// Gives freed memory back to the system, and lets go of the pages of program code: they are the files' own and come
/// back from the page cache when they are used, so that only code in use counts.
#[napi]
pub fn release_memory() -> Promise<()> {
    blocking(|| {
        // SAFETY: touches memory only that is free.
        unsafe { libc::malloc_trim(0) };
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        for (start, length) in maps.lines().filter_map(code_of_a_file) {
            // SAFETY: a mapping that can be executed and not written has no content of its own to lose.
            unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED) };
        }
        Ok(())
    })
}

/// Address and length of a line of /proc/PID/maps (proc(5)), as
/// "0074a000-03044000 r-xp 00349000 08:01 1234   /usr/bin/node".
fn code_of_a_file(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let executable = fields.next()? == "r-xp";
    let of_a_file = fields.nth(3)?.starts_with('/');
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    (executable && of_a_file).then_some((start, end - start))
}
