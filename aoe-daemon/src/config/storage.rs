//! How disks are read and written, whatever they are.

use anyhow::{Result, ensure};
use aoe_common::size::{SizeError, parse_bytes};
use clap::ValueEnum;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Seconds until a request is given up, where nothing else is said. Initiators give up later.
const USUAL_IO_TIMEOUT: u64 = 30;
/// Most seconds until a request is given up: an hour.
pub(super) const MAX_IO_TIMEOUT: u64 = 3600;

/// What all exports have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageConfig {
    /// Memory for what was read.
    pub cache: CacheSize,
    /// Whether disks are read into the cache before anybody asks for them.
    pub preload: bool,
    /// After how long a request that its disk does not answer is given up, 1 second at least.
    pub io_timeout: Duration,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            cache: CacheSize::Auto,
            preload: false,
            io_timeout: Duration::from_secs(USUAL_IO_TIMEOUT),
        }
    }
}

/// Fails where there is to be no cache, and something that needs one.
pub(super) fn check_cache(cache: CacheSize, preload: bool, writeback: bool) -> Result<()> {
    let is_there = cache != CacheSize::Bytes(0);
    ensure!(is_there || !preload, "preload contradicts cache 0: leave one of them out");
    ensure!(
        is_there || !writeback,
        "durability writeback contradicts cache 0, for it keeps writes there: leave one of them out"
    );
    Ok(())
}

/// When writes are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Durability {
    /// Once they are on stable storage.
    #[default]
    Always,
    /// Once they are in the cache. They are made durable by a flush, or when they are old or many.
    Writeback,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "always",
            Self::Writeback => "writeback",
        })
    }
}

/// How much memory the cache has at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheSize {
    /// All files and devices, but at most half of what can be had.
    Auto,
    /// All files and devices, as large as they are at the start.
    All,
    /// So many bytes; 0 for no cache.
    Bytes(u64),
}

impl FromStr for CacheSize {
    type Err = SizeError;

    /// Reads `all` or a size.
    fn from_str(text: &str) -> Result<Self, SizeError> {
        match text {
            "all" => Ok(Self::All),
            size => parse_bytes(size).map(Self::Bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_has_a_size_or_is_as_large_as_all_disks() {
        let sizes = [
            ("all", CacheSize::All),
            ("0", CacheSize::Bytes(0)),
            ("4096", CacheSize::Bytes(4096)),
            ("2G", CacheSize::Bytes(2 << 30)),
        ];
        for (text, size) in sizes {
            assert_eq!(text.parse(), Ok(size), "{text}");
        }
        for text in ["", "ALL", "auto", "-1", "50%"] {
            assert_eq!(text.parse::<CacheSize>(), Err(SizeError::NoNumber), "{text}");
        }
    }
}
