//! What memory the daemon has, and what for.

use super::report::Counts;
use crate::storage::cache::{BLOCK, Cache};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};
use std::fs;

/// The cache of all disks, and what the kernel says of the whole process. All sizes in bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MemoryReport {
    /// What the cache may come to have.
    pub cache_capacity: u64,
    /// What it has memory for now.
    pub cache_mapped: u64,
    /// What is in it.
    pub cache_used: u64,
    /// What of that its disks do not have yet.
    pub cache_dirty: u64,
    /// Pages behind it.
    pub cache_pages: String,
    /// In memory, and of that kept from being swapped out, and pinned for cards and disks.
    pub process: Counts,
}

/// What the kernel calls it, and what we do.
const PROCESS: [(&str, &str); 4] = [
    ("VmRSS:", "resident"),
    ("VmLck:", "locked"),
    ("VmPin:", "pinned"),
    ("HugetlbPages:", "hugetlb"),
];

impl MemoryReport {
    /// As it is now.
    pub fn of(cache: &Cache) -> Self {
        let bytes = |blocks: usize| (blocks * BLOCK) as u64;
        Self {
            cache_capacity: bytes(cache.capacity()),
            cache_mapped: bytes(cache.chunks()),
            cache_used: bytes(cache.used()),
            cache_dirty: bytes(cache.dirty()),
            cache_pages: cache.pages(),
            process: process(&fs::read_to_string("/proc/self/status").unwrap_or_default()),
        }
    }
}

impl Display for MemoryReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { cache_capacity, cache_mapped, cache_used, cache_dirty, cache_pages, process } =
            self;
        let mib = |bytes: &u64| bytes.div_ceil(1 << 20);
        if *cache_capacity > 0 {
            write!(f, "cache: {} of {} MiB used", mib(cache_used), mib(cache_capacity))?;
            write!(f, ", memory for {} MiB, {cache_pages}", mib(cache_mapped))?;
            if *cache_dirty > 0 {
                write!(f, ", {} MiB not yet on disk", mib(cache_dirty))?;
            }
            writeln!(f)?;
        }
        let parts: Vec<_> =
            process.iter().map(|(name, bytes)| format!("{} MiB {name}", mib(bytes))).collect();
        writeln!(f, "memory: {}", parts.join(", "))
    }
}

/// Sizes from the text of `/proc/PID/status`.
fn process(status: &str) -> Counts {
    let lines = status.lines();
    lines
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let label = words.next()?;
            let (_, name) = PROCESS.iter().find(|(known, _)| *known == label)?;
            Some(((*name).to_owned(), words.next()?.parse::<u64>().ok()? * 1024))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_what_a_process_has() {
        let status =
            "Name:\tx\nVmRSS:\t  2048 kB\nVmLck:\t 4 kB\nHugetlbPages:\t 0 kB\nThreads: 3\n";
        let told = process(status);
        assert_eq!(told["resident"], 2 << 20);
        assert_eq!((told["locked"], told["hugetlb"], told.len()), (4096, 0, 3));
    }

    #[test]
    fn what_is_not_on_disk_is_told() {
        let mut report = MemoryReport { cache_capacity: 8 << 20, ..MemoryReport::default() };
        assert!(!report.to_string().contains("not yet on disk"));
        report.cache_dirty = 1;
        assert!(report.to_string().contains("1 MiB not yet on disk"));
        report.cache_capacity = 0;
        assert!(!report.to_string().contains("cache"));
    }
}
