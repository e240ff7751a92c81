//! The memory that packets live in: one mapping, populated, on the largest pages to be had.
//!
//! Huge pages save the TLB misses of touching a different 4 KiB chunk for every frame, and let the
//! kernel pin 512 chunks at once. Three kinds are tried in order: hugetlb pages that the
//! administrator has reserved, transparent huge pages, plain pages. Each step down is remembered
//! with its reason, for the log.

use std::fmt;
use std::sync::Arc;

use memmap2::{Advice, MmapMut, MmapOptions, MmapRaw};

use crate::error::Error;

/// The size of a huge page on every architecture that has 4 KiB pages, in bytes.
const HUGE_PAGE: usize = 2 << 20;

/// The kind of page that backs a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageKind {
    /// Reserved 2 MiB pages (hugetlb).
    Huge,
    /// 2 MiB pages that the kernel put together for us, wholly or partly.
    Transparent,
    /// Pages of 4 KiB.
    Plain,
}

/// The pages that a region got, and why not better ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pages {
    /// What backs the region.
    pub kind: PageKind,
    /// One sentence for each better kind that was not to be had.
    pub stepped_down: Vec<String>,
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            PageKind::Huge => "huge pages (hugetlb)",
            PageKind::Transparent => "transparent huge pages",
            PageKind::Plain => "4 KiB pages",
        })?;
        for reason in &self.stepped_down {
            write!(f, "; {reason}")?;
        }
        Ok(())
    }
}

/// A mapping, and where in it the first huge page starts.
struct Mapping {
    memory: MmapRaw,
    offset: usize,
}

type Attempt = fn(usize) -> Result<Mapping, String>;

/// The kinds of page, best first.
const ATTEMPTS: [(PageKind, Attempt); 3] = [
    (PageKind::Huge, map_huge),
    (PageKind::Transparent, map_transparent),
    (PageKind::Plain, map_plain),
];

/// Zeroed, populated memory, unmapped when dropped unless it was [leaked](Region::leak).
pub struct Region {
    memory: Arc<MmapRaw>,
    offset: usize,
    bytes: usize,
    pages: Pages,
}

impl Region {
    /// Maps so many bytes, on the best pages to be had.
    ///
    /// # Errors
    ///
    /// Where there is no memory: every attempt with its reason.
    pub fn map(bytes: usize) -> Result<Self, Error> {
        Self::map_with(bytes, &ATTEMPTS)
    }

    fn map_with(bytes: usize, attempts: &[(PageKind, Attempt)]) -> Result<Self, Error> {
        let mut stepped_down = Vec::new();
        for (kind, attempt) in attempts {
            match attempt(bytes) {
                Ok(Mapping { memory, offset }) => {
                    let pages = Pages { kind: *kind, stepped_down };
                    return Ok(Self { memory: Arc::new(memory), offset, bytes, pages });
                }
                Err(reason) => stepped_down.push(reason),
            }
        }
        Err(Error::Memory { bytes, reason: stepped_down.join("; ") })
    }

    /// The first byte, aligned to a page of the kind that was got. Valid for [`Self::bytes`].
    pub fn base(&self) -> *mut u8 {
        self.memory.as_mut_ptr().wrapping_add(self.offset)
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What it is on.
    pub fn pages(&self) -> &Pages {
        &self.pages
    }

    /// Has the kernel never write it to its swap.
    ///
    /// # Errors
    ///
    /// Where no more memory may be locked.
    pub fn lock(&self) -> std::io::Result<()> {
        self.memory.lock()
    }

    /// Keeps the memory mapped until the process ends.
    pub fn leak(&self) {
        std::mem::forget(Arc::clone(&self.memory));
    }
}

fn map_huge(bytes: usize) -> Result<Mapping, String> {
    let bytes = bytes.next_multiple_of(HUGE_PAGE);
    let map = MmapOptions::new().len(bytes).huge(Some(21)).populate().map_anon();
    map.map(|memory| Mapping { memory: memory.into(), offset: 0 }).map_err(|error| {
        let pages = bytes / HUGE_PAGE;
        format!("no {pages} free huge pages, see vm.nr_hugepages ({error})")
    })
}

fn map_transparent(bytes: usize) -> Result<Mapping, String> {
    // Only a 2 MiB range that starts at a multiple of 2 MiB can become a huge page.
    let memory = MmapOptions::new()
        .len(bytes.next_multiple_of(HUGE_PAGE) + HUGE_PAGE)
        .map_anon()
        .map_err(|error| format!("no memory to align ({error})"))?;
    let address = memory.as_ptr() as usize;
    let offset = address.next_multiple_of(HUGE_PAGE) - address;
    memory
        .advise_range(Advice::HugePage, offset, bytes)
        .map_err(|error| format!("no transparent huge pages ({error})"))?;
    let memory = populate(memory, offset, bytes);
    if !has_huge_pages(address + offset) {
        return Err("the kernel gave no transparent huge pages, see \
                    /sys/kernel/mm/transparent_hugepage/enabled"
            .to_owned());
    }
    Ok(Mapping { memory: memory.into(), offset })
}

fn map_plain(bytes: usize) -> Result<Mapping, String> {
    let map = MmapOptions::new().len(bytes).populate().map_anon();
    map.map(|memory| Mapping { memory: memory.into(), offset: 0 })
        .map_err(|error| error.to_string())
}

/// Touches every page now, so that no page fault waits for the first frame that comes by.
fn populate(mut memory: MmapMut, offset: usize, bytes: usize) -> MmapMut {
    // Linux 5.14 does it in one call; where that is refused, writing does the same.
    if memory.advise_range(Advice::PopulateWrite, offset, bytes).is_err() {
        memory[offset..offset + bytes].iter_mut().step_by(4096).for_each(|byte| *byte = 0);
    }
    memory
}

/// Whether the mapping that holds `address` has at least one transparent huge page. The kernel
/// promises none for the advice, and tells what it did in smaps alone.
fn has_huge_pages(address: usize) -> bool {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let mut inside = false;
    for line in smaps.lines() {
        if let Some(range) = address_range(line) {
            inside = range.contains(&address);
        } else if inside && line.starts_with("AnonHugePages:") {
            return line.split_whitespace().nth(1).is_some_and(|kilobytes| kilobytes != "0");
        }
    }
    false
}

/// The addresses of a mapping, from the line of smaps that opens its paragraph.
fn address_range(line: &str) -> Option<std::ops::Range<usize>> {
    let (from, to) = line.split_whitespace().next()?.split_once('-')?;
    Some(usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(_: usize) -> Result<Mapping, String> {
        Err("refused by the test".to_owned())
    }

    #[test]
    fn a_step_down_is_told() {
        let attempts: [(PageKind, Attempt); 2] =
            [(PageKind::Huge, refuse), (PageKind::Plain, map_plain)];
        let region = Region::map_with(1 << 20, &attempts).unwrap();
        assert_eq!(region.pages().kind, PageKind::Plain);
        assert_eq!(region.pages().to_string(), "4 KiB pages; refused by the test");
    }

    #[test]
    fn no_page_at_all_is_an_error_with_every_reason() {
        let attempts: [(PageKind, Attempt); 2] =
            [(PageKind::Huge, refuse), (PageKind::Plain, refuse)];
        let error = Region::map_with(4096, &attempts).err().unwrap().to_string();
        assert_eq!(error.matches("refused by the test").count(), 2, "{error}");
    }

    #[test]
    fn whatever_was_got_is_aligned_and_better_kinds_are_accounted_for() {
        let region = Region::map(4 << 20).unwrap();
        let steps = region.pages().stepped_down.len();
        let alignment = match region.pages().kind {
            PageKind::Huge => (0, HUGE_PAGE),
            PageKind::Transparent => (1, HUGE_PAGE),
            PageKind::Plain => (2, 4096),
        };
        assert_eq!((steps, region.base() as usize % alignment.1), (alignment.0, 0));
        assert_eq!(region.bytes(), 4 << 20);
    }

    #[test]
    fn smaps_headings_are_told_from_their_contents() {
        let heading = "7f12-7f34 rw-p 00000000 00:00 0";
        assert_eq!(address_range(heading), Some(0x7f12..0x7f34));
        assert_eq!(address_range("AnonHugePages:      2048 kB"), None);
    }
}
