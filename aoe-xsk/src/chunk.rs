//! One chunk of packet memory in the hands of the application.
//!
//! A `Chunk` is a token: whoever holds it owns 4096 bytes that nobody else reads or writes, neither
//! another token nor the kernel. It can't be copied, it is made by the [`Umem`](crate::Umem) when
//! the chunk leaves the kernel or the free list, and it is consumed when the chunk goes back.
#![allow(unsafe_code, reason = "turns an owned address into slices; everything above is safe")]

use std::ptr::NonNull;
use std::slice;

/// Bytes of a chunk. The largest that the kernel takes in aligned mode.
pub const CHUNK_SIZE: usize = 4096;

/// The sole right to the bytes of one chunk.
#[derive(Debug)]
pub(crate) struct Chunk {
    base: NonNull<u8>,
}

// SAFETY: a chunk is plain memory that belongs to its token alone (the promise made to `new`), so
// that the right to it can move to another thread like a Box<[u8]> does.
unsafe impl Send for Chunk {}

impl Chunk {
    /// Makes the token for the chunk at `base`.
    ///
    /// # Safety
    ///
    /// `base` points to [`CHUNK_SIZE`] initialised bytes. Until [`Self::surrender`] is called, or
    /// for ever if it never is, they stay mapped and are used through this token alone.
    pub(crate) unsafe fn new(base: NonNull<u8>) -> Self {
        Self { base }
    }

    /// Where the chunk is; it says which one of its memory it is.
    pub(crate) fn address(&self) -> usize {
        self.base.as_ptr() as usize
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `new`'s caller promised that these bytes are initialised, stay mapped, and are
        // used through this token alone, which is borrowed for as long as the slice.
        unsafe { slice::from_raw_parts(self.base.as_ptr(), CHUNK_SIZE) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and this token is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.base.as_ptr(), CHUNK_SIZE) }
    }

    /// Gives the right up. The bytes may go to the kernel or to another token now.
    pub(crate) fn surrender(self) {
        std::mem::forget(self);
    }
}

impl Drop for Chunk {
    /// A dropped token is a chunk that is lost to its queue for good. In release builds it shows in
    /// the census; in debug builds it is reported where it happens.
    fn drop(&mut self) {
        debug_assert!(
            std::thread::panicking(),
            "a packet was dropped instead of being sent, recycled or abandoned"
        );
    }
}
