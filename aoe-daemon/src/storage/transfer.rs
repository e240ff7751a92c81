//! Between packets and a store that is memory: no waiting, and nothing in between.

use super::Job;
use super::disk::Disk;
use crate::target::{Outcome, Range};
use aoe_common::wire::SECTOR_SIZE;
use aoe_xsk::MAX_CHUNKS;
use rustix::io::{Errno, preadv, pwritev};
use std::io::{self, IoSlice, IoSliceMut};

/// Reads into the packet.
pub(super) fn read(disk: &Disk, job: &mut Job, range: Range) -> Outcome {
    let store = disk.store();
    let mut position = disk.range(range).start * SECTOR_SIZE as u64;
    let offset = job.request.data_offset();
    let mut pieces = job.packet.pieces_mut(offset..offset + range.bytes());
    let mut slices: [_; MAX_CHUNKS] =
        std::array::from_fn(|_| IoSliceMut::new(pieces.next().unwrap_or_default()));
    let mut left = &mut slices[..];
    // An empty slice at the end would read as the end of the file.
    IoSliceMut::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match preadv(store.file(), left, position) {
            // Somebody has truncated the file.
            Ok(0) => return Err(store.missing()),
            Ok(bytes) => {
                IoSliceMut::advance_slices(&mut left, bytes);
                position += bytes as u64;
            }
            Err(Errno::INTR) => {}
            Err(reason) => return Err(store.not_read(range.lba, &reason.into())),
        }
    }
    Ok(())
}

/// Writes from the packet.
pub(super) fn write(disk: &Disk, job: &Job, range: Range) -> Outcome {
    let store = disk.store();
    let mut position = disk.range(range).start * SECTOR_SIZE as u64;
    store.check_changeable(position + range.bytes() as u64)?;
    let offset = job.request.data_offset();
    let mut pieces = job.packet.pieces(offset..offset + range.bytes());
    let mut slices: [_; MAX_CHUNKS] =
        std::array::from_fn(|_| IoSlice::new(pieces.next().unwrap_or_default()));
    let mut left = &mut slices[..];
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match pwritev(store.file(), left, position) {
            Ok(0) => return Err(store.not_changed(&io::ErrorKind::WriteZero.into())),
            Ok(bytes) => {
                IoSlice::advance_slices(&mut left, bytes);
                position += bytes as u64;
            }
            Err(Errno::INTR) => {}
            Err(reason) => return Err(store.not_changed(&reason.into())),
        }
    }
    Ok(())
}
