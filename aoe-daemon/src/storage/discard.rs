//! Discarding what a disk need not keep: holes in files, BLKDISCARD on block devices.
#![allow(unsafe_code, reason = "no safe crate has BLKDISCARD; one call is made here")]

use super::backing::Kind;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Setter, ioctl, opcode};
use std::fs::File;

/// From linux/fs.h.
const BLKDISCARD: Opcode = opcode::none(0x12, 119);

/// Discards bytes of a file or device, whole sectors of it.
///
/// Bytes of a file read as zero from then on. Those of a device may read as anything; where its own
/// sectors are larger, what covers none of them whole is kept.
///
/// # Errors
///
/// The kernel's.
pub(super) fn discard(file: &File, kind: Kind, offset: u64, length: u64) -> Result<(), Errno> {
    match kind {
        Kind::File => {
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(file, hole, offset, length)
        }
        Kind::Device { sector } => {
            let start = offset.next_multiple_of(sector);
            let end = (offset + length) / sector * sector;
            if start >= end {
                return Ok(());
            }
            let range = [start, end - start];
            // SAFETY: BLKDISCARD reads two 64-bit integers, offset and length in bytes, from where
            // its argument points, which are these, and writes to no memory of this process.
            unsafe { ioctl(file, Setter::<BLKDISCARD, [u64; 2]>::new(range)) }
        }
    }
}

/// Whether holes can be made in this file: makes one where there is nothing, behind its end.
pub(super) fn makes_holes(file: &File) -> bool {
    let Ok(metadata) = file.metadata() else { return false };
    // Far behind it: what an administrator has allocated there beforehand is kept.
    let offset = metadata.len().next_multiple_of(1 << 20) + (1 << 40);
    discard(file, Kind::File, offset, 1 << 20).is_ok()
}
