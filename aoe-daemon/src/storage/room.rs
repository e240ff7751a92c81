//! How large the cache may be.

use super::cache::{BLOCK, UNEVEN};
use crate::config::CacheSize;
use std::fs;
use thiserror::Error;
use tracing::warn;

/// The part of the available memory that no cache takes: packet buffers, buffers of the disks and
/// all other programs need some.
const KEPT: u64 = 8;

/// Bytes that even the smallest has beyond what is in it.
const LEAST: u64 = 1 << 20;

/// More was asked for than can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a cache of {wanted} bytes is more than can be had: {available} bytes of memory are available, \
     of which it may take {most}; give --cache less, or leave it out for half of them"
)]
pub struct TooLarge {
    wanted: u64,
    available: u64,
    most: u64,
}

/// What may be taken of the memory that is available at the start.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    size: CacheSize,
    /// Bytes.
    available: u64,
}

impl Room {
    /// Room for a cache of this size, of what is available now.
    ///
    /// # Errors
    ///
    /// So many bytes were asked for, and there are less.
    pub fn now(size: CacheSize) -> Result<Self, TooLarge> {
        Self { size, available: available() }.checked()
    }

    fn checked(self) -> Result<Self, TooLarge> {
        let (most, available) = (self.most(), self.available);
        match self.size {
            CacheSize::Bytes(wanted) if wanted > most => Err(TooLarge { wanted, available, most }),
            _ => Ok(self),
        }
    }

    const fn most(&self) -> u64 {
        self.available - self.available / KEPT
    }

    /// Blocks of a cache for disks of so many bytes in all.
    ///
    /// Of all disks it is as much as can be had: they may have grown since somebody has counted,
    /// and are served all the same.
    pub fn blocks(&self, disks: u64) -> usize {
        let Self { size, available } = *self;
        let most = self.most();
        let bytes = match size {
            CacheSize::Auto => roomy(disks).min(available / 2),
            CacheSize::All => {
                if disks > most {
                    warn!(
                        disks,
                        available,
                        cache = most,
                        "there is not enough memory for a cache of all disks: it has a part of them"
                    );
                }
                roomy(disks).min(most)
            }
            CacheSize::Bytes(wanted) => wanted,
        };
        bytes.div_ceil(BLOCK as u64).min(usize::MAX as u64) as usize
    }
}

/// Bytes of a cache that has room for all of so many.
const fn roomy(bytes: u64) -> u64 {
    bytes + (bytes / UNEVEN as u64).next_multiple_of(BLOCK as u64) + LEAST
}

/// Bytes of memory that could be had without swapping, as the kernel reckons; none where it does
/// not tell.
fn available() -> u64 {
    meminfo("MemAvailable:")
}

/// Whether a cache that was promised memory may have some of it now, whatever other programs have
/// taken since.
pub fn has_to_spare() -> bool {
    available() >= meminfo("MemTotal:") / KEPT
}

/// Bytes, by the name of their line.
fn meminfo(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn bytes(size: CacheSize, disks: u64) -> Result<u64, TooLarge> {
        let room = Room { size, available: 16 * GIB }.checked()?;
        Ok((room.blocks(disks) * BLOCK) as u64)
    }

    #[test]
    fn half_of_the_memory_is_left_unless_more_is_asked_for() {
        assert_eq!(bytes(CacheSize::Auto, GIB), Ok(roomy(GIB)));
        assert_eq!(bytes(CacheSize::Auto, 100 * GIB), Ok(8 * GIB));
        assert_eq!(bytes(CacheSize::All, 10 * GIB), Ok(roomy(10 * GIB)));
        assert_eq!(roomy(GIB), GIB + GIB / 32 + LEAST);
        assert_eq!(bytes(CacheSize::All, 100 * GIB), Ok(14 * GIB));
    }

    #[test]
    fn a_size_is_had_or_refused() {
        for size in [0, 4096, GIB, 14 * GIB] {
            assert_eq!(bytes(CacheSize::Bytes(size), GIB), Ok(size));
        }
        assert_eq!(bytes(CacheSize::Bytes(512), GIB), Ok(4096), "not none");
        let error = bytes(CacheSize::Bytes(14 * GIB + 512), GIB).unwrap_err().to_string();
        for number in [14 * GIB + 512, 16 * GIB, 14 * GIB] {
            assert!(error.contains(&number.to_string()), "{error}");
        }
    }

    #[test]
    fn the_kernel_tells_how_much_can_be_had() {
        assert!(available() > 1 << 20, "{}", available());
    }
}
