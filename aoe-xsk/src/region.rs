//! The memory that packets live in: one mapping, populated, on the largest pages to be had.
//!
//! Huge pages save the TLB misses of touching a different 4 KiB chunk for every frame, and let the
//! kernel pin 512 chunks at once. Three kinds are tried in order: hugetlb pages that are free in the
//! kernel's pool, or are made for this; transparent huge pages; plain pages. Each step down is
//! remembered with its reason, for the log.

mod pool;

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::str::FromStr;
use std::sync::Arc;

use memmap2::{Advice, MmapMut, MmapOptions, MmapRaw};
use pool::Raised;

use crate::error::Error;

/// The size of a huge page on every architecture that has 4 KiB pages, in bytes.
const HUGE_PAGE: usize = 2 << 20;

/// How far to go for huge pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HugePages {
    /// Raise the kernel's pool by those that are missing while they are mapped. It is as large as
    /// before afterwards; the pages return to all memory when the region is unmapped, or the process
    /// is ended by whatever. Needs the right to write to `/sys/kernel/mm/hugepages`.
    Reserve,
    /// Take those that are free in the pool, else transparent ones.
    #[default]
    Use,
    /// Plain pages only.
    Off,
}

/// A text that names no [`HugePages`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("huge pages are reserve, use or off")]
pub struct NoSuchHugePages;

impl FromStr for HugePages {
    type Err = NoSuchHugePages;

    fn from_str(text: &str) -> Result<Self, NoSuchHugePages> {
        match text {
            "reserve" => Ok(Self::Reserve),
            "use" => Ok(Self::Use),
            "off" => Ok(Self::Off),
            _ => Err(NoSuchHugePages),
        }
    }
}

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

impl HugePages {
    /// The kinds of page, best first.
    const fn attempts(self) -> &'static [(PageKind, Attempt)] {
        use PageKind::{Huge, Plain, Transparent};
        match self {
            Self::Reserve => {
                &[(Huge, map_reserved), (Transparent, map_transparent), (Plain, map_plain)]
            }
            Self::Use => &[(Huge, map_huge), (Transparent, map_transparent), (Plain, map_plain)],
            Self::Off => &[(Plain, map_only_plain)],
        }
    }
}

/// Zeroed, populated memory, unmapped when dropped unless it was [leaked](Region::leak).
pub struct Region {
    memory: Arc<MmapRaw>,
    offset: usize,
    bytes: usize,
    pages: Pages,
}

impl Region {
    /// Maps so many bytes, on the best pages to be had. It takes the time of populating them, and
    /// may be done by any thread at any time.
    ///
    /// # Errors
    ///
    /// Where there is no memory: every attempt with its reason.
    pub fn map(bytes: usize, huge_pages: HugePages) -> Result<Self, Error> {
        Self::map_with(bytes, huge_pages.attempts())
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

fn map_reserved(bytes: usize) -> Result<Mapping, String> {
    // It is put back only when they are mapped, or can't be.
    let raised = Raised::by(bytes.div_ceil(HUGE_PAGE) as u64);
    map_huge(bytes).map_err(|error| match raised.map(|raised| raised.shortage()) {
        Ok(None) => error,
        Ok(Some(reason)) | Err(reason) => format!("{error}; {reason}"),
    })
}

fn map_huge(bytes: usize) -> Result<Mapping, String> {
    let bytes = bytes.next_multiple_of(HUGE_PAGE);
    let pages = bytes / HUGE_PAGE;
    let refused =
        |error: io::Error| format!("no {pages} free huge pages, see vm.nr_hugepages ({error})");
    let memory = MmapOptions::new().len(bytes).huge(Some(21)).map_anon().map_err(refused)?;
    // Promised pages may be refused all the same, by a cgroup: better now than by a signal later.
    memory.advise(Advice::PopulateWrite).map_err(refused)?;
    Ok(Mapping { memory: memory.into(), offset: 0 })
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

/// Plain pages, also where the kernel makes all memory huge that can be.
fn map_only_plain(bytes: usize) -> Result<Mapping, String> {
    let memory = MmapOptions::new().len(bytes).map_anon().map_err(|error| error.to_string())?;
    // Refused only by kernels that have no transparent huge pages.
    let _ = memory.advise(Advice::NoHugePage);
    Ok(Mapping { memory: populate(memory, 0, bytes).into(), offset: 0 })
}

/// Touches every page now, so that no page fault waits for the first frame that comes by.
fn populate(mut memory: MmapMut, offset: usize, bytes: usize) -> MmapMut {
    // Linux 5.14 does it in one call; where that is refused, writing does the same.
    if memory.advise_range(Advice::PopulateWrite, offset, bytes).is_err() {
        memory[offset..offset + bytes].iter_mut().step_by(4096).for_each(|byte| *byte = 0);
    }
    memory
}

/// Whether the mapping that starts at `address` has at least one transparent huge page. The kernel
/// promises none for the advice, and tells what it did in smaps alone.
fn has_huge_pages(address: usize) -> bool {
    File::open("/proc/self/smaps").is_ok_and(|smaps| tells_of_huge_pages(smaps, address))
}

/// The same of the mapping that holds `address`, from the text of smaps. It is read up to there and
/// no further: the kernel looks at every page of what is read of, and newer mappings come earlier.
fn tells_of_huge_pages(smaps: impl io::Read, address: usize) -> bool {
    let mut inside = false;
    for line in BufReader::new(smaps).lines().map_while(Result::ok) {
        if let Some(range) = address_range(&line) {
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
        let region = Region::map(4 << 20, HugePages::Use).unwrap();
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
    fn without_huge_pages_there_are_none_and_that_is_no_step_down() {
        let region = Region::map(4 << 20, HugePages::Off).unwrap();
        assert_eq!(region.pages().to_string(), "4 KiB pages");
        assert!(!has_huge_pages(region.base() as usize));
    }

    #[test]
    fn smaps_is_read_up_to_the_mapping() {
        struct Beyond;
        impl io::Read for Beyond {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("it has been found")
            }
        }
        let other = "1000-2000 rw-p 0 00:00 0\nAnonHugePages:     2048 kB\n";
        let tells = |kilobytes: u32| {
            let ours = format!("4000-6000 rw-p 0 00:00 0\nAnonHugePages:  {kilobytes} kB\n");
            let text = [other, &ours].concat();
            tells_of_huge_pages(io::Read::chain(text.as_bytes(), Beyond), 0x4000)
        };
        assert!(tells(2048) && !tells(0));
        assert!(!tells_of_huge_pages(other.as_bytes(), 0x4000), "it is not there");
    }

    #[test]
    fn smaps_headings_are_told_from_their_contents() {
        let heading = "7f12-7f34 rw-p 00000000 00:00 0";
        assert_eq!(address_range(heading), Some(0x7f12..0x7f34));
        assert_eq!(address_range("AnonHugePages:      2048 kB"), None);
    }

    #[test]
    fn policies_have_names() {
        for (text, policy) in
            [("reserve", HugePages::Reserve), ("use", HugePages::Use), ("off", HugePages::Off)]
        {
            assert_eq!(text.parse(), Ok(policy));
        }
        assert_eq!("Use".parse::<HugePages>(), Err(NoSuchHugePages));
    }
}
