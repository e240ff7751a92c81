//! The memory that disks read into and write from: buffers that are lent to the kernel whole.
//!
//! Neither packets nor blocks of the cache are ever lent: a packet may be given up when its time is
//! over, and a block may be read by others, while a disk takes as long as it wants.
#![allow(
    unsafe_code,
    reason = "buffers share one region, and their owners know which part is whose"
)]

use aoe_xsk::{Error, HugePages, Region};
use std::ptr::NonNull;
use std::sync::Arc;

/// Bytes of a buffer for a request or two: the blocks around the most sectors of a frame.
pub(super) const SMALL: usize = 16 << 10;
/// Bytes of a buffer for what was merged, or is read ahead.
pub(super) const LARGE: usize = 128 << 10;
/// Buffers of each size.
const SMALL_BUFFERS: usize = 128;
const LARGE_BUFFERS: usize = 16;
/// Buffers of both sizes.
pub(super) const BUFFERS: usize = SMALL_BUFFERS + LARGE_BUFFERS;

/// The free buffers of one worker.
pub(super) struct Staging {
    region: Arc<Region>,
    small: Vec<Buffer>,
    large: Vec<Buffer>,
}

/// Memory that belongs to whoever holds it, aligned to a page.
pub(super) struct Buffer {
    start: NonNull<u8>,
    bytes: usize,
    /// Keeps it mapped.
    region: Arc<Region>,
}

// SAFETY: a buffer is the only way to its part of the region, which any thread may touch.
unsafe impl Send for Buffer {}

impl Staging {
    /// Maps the memory.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub(super) fn new(huge_pages: HugePages) -> Result<Self, Error> {
        let bytes = SMALL_BUFFERS * SMALL + LARGE_BUFFERS * LARGE;
        let region = Arc::new(Region::map(bytes, huge_pages)?);
        let cut = |offset: usize, bytes: usize| {
            assert!(offset + bytes <= region.bytes());
            let start = NonNull::new(region.base().wrapping_add(offset));
            let start = start.expect("a mapping is not at address 0");
            Buffer { start, bytes, region: Arc::clone(&region) }
        };
        // No two of them overlap, and each is made once: that is what `Buffer` rests on.
        let small = (0..SMALL_BUFFERS).map(|at| cut(at * SMALL, SMALL)).collect();
        let behind = SMALL_BUFFERS * SMALL;
        let large = (0..LARGE_BUFFERS).map(|at| cut(behind + at * LARGE, LARGE)).collect();
        Ok(Self { small, large, region })
    }

    /// The memory that all buffers are in.
    pub(super) fn region(&self) -> &Region {
        &self.region
    }

    /// A buffer of at least so many bytes, none of which say anything. `None` where all are taken:
    /// some come back when requests are done.
    pub(super) fn take(&mut self, bytes: usize) -> Option<Buffer> {
        if bytes <= SMALL {
            // What is large is kept for what needs it, as long as it can be.
            self.small.pop().or_else(|| self.large.pop())
        } else {
            self.large.pop()
        }
    }

    /// As [`Self::take`], but leaves some for requests: for what nobody has asked for yet.
    pub(super) fn take_spare(&mut self) -> Option<Buffer> {
        if self.large.len() > LARGE_BUFFERS / 4 { self.large.pop() } else { None }
    }

    /// Takes a buffer back.
    pub(super) fn give(&mut self, buffer: Buffer) {
        if buffer.bytes == SMALL { &mut self.small } else { &mut self.large }.push(buffer);
    }
}

impl Buffer {
    /// How many bytes it has.
    pub(super) const fn len(&self) -> usize {
        self.bytes
    }

    /// What is in it.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the part was checked to lie within the region, which `self.region` keeps mapped;
        // mapped memory is initialized; and whoever holds the buffer is alone with it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }

    /// What is in it, to be changed.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }

    /// Its first byte, for the kernel.
    pub(super) const fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Keeps it mapped until the process ends: the kernel may still use it.
    pub(super) fn leak(self) {
        self.region.leak();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_share_no_byte() {
        let mut staging = Staging::new(HugePages::Use).unwrap();
        let mut taken = Vec::new();
        while let Some(mut buffer) = staging.take(1) {
            buffer.bytes_mut().fill(taken.len() as u8);
            taken.push(buffer);
        }
        assert_eq!(taken.len(), BUFFERS);
        assert_eq!(taken.iter().filter(|buffer| buffer.len() == LARGE).count(), LARGE_BUFFERS);
        for (number, buffer) in taken.iter().enumerate() {
            assert!(buffer.bytes().iter().all(|byte| *byte == number as u8), "buffer {number}");
            assert_eq!(buffer.start() as usize % 4096, 0);
        }
        taken.into_iter().for_each(|buffer| staging.give(buffer));
        assert!(staging.take(LARGE).is_some_and(|buffer| buffer.len() == LARGE));
        assert!(staging.take(SMALL).is_some_and(|buffer| buffer.len() == SMALL));
    }

    #[test]
    fn what_nobody_asked_for_leaves_some() {
        let mut staging = Staging::new(HugePages::Use).unwrap();
        let spare: Vec<Buffer> = std::iter::from_fn(|| staging.take_spare()).collect();
        assert_eq!(spare.len(), LARGE_BUFFERS * 3 / 4);
        assert!(staging.take(LARGE).is_some());
    }
}
