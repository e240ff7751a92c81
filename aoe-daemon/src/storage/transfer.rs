//! Moving data between packets and the file or device of an image.

use super::Job;
use super::discard::discard;
use super::image::Image;
use crate::pace::Pace;
use crate::target::{Fault, Outcome, Range, Request, Span, trim_ranges};
use aoe_common::wire::SECTOR_SIZE;
use aoe_xsk::{MAX_CHUNKS, Packet};
use rustix::io::{Errno, ReadWriteFlags, preadv, preadv2, pwritev};
use std::io::{IoSlice, IoSliceMut};
use std::time::Instant;
use tracing::error;

/// Most bytes that are read only to see whether they can be: who asks for more has the range
/// checked. A frame must not keep the writes behind it waiting for tens of megabytes.
const MOST_VERIFIED: usize = 128 << 10;

/// An image with what it takes to read and write it, for any number of threads.
pub(super) struct Transfer {
    image: Image,
    read_errors: Pace,
    no_space: Pace,
    cut: Pace,
}

impl Transfer {
    pub(super) fn new(image: Image) -> Self {
        let (read_errors, no_space, cut) = Default::default();
        Self { image, read_errors, no_space, cut }
    }

    pub(super) const fn image(&self) -> &Image {
        &self.image
    }

    /// Reads from the page cache; `None` where that would have to wait, or may have to.
    pub(super) fn read_cached(&self, job: &mut Job, range: Range) -> Option<Outcome> {
        let mut slices = data_mut(job, range);
        let position = self.image.offset + range.byte_offset();
        let flags = ReadWriteFlags::NOWAIT;
        match preadv2(&self.image.backing.file, &mut slices, position, flags) {
            Ok(bytes) if bytes == range.bytes() => Some(Ok(())),
            // Not cached, or only in part, or the filesystem can't tell, or an error that the
            // thread will meet again.
            _ => None,
        }
    }

    pub(super) fn read(&self, job: &mut Job, range: Range) -> Outcome {
        self.read_into(&mut data_mut(job, range), range.lba)
    }

    /// Reads sectors that nobody gets to see.
    pub(super) fn verify(&self, span: Span) -> Outcome {
        let mut buffer = vec![0; MOST_VERIFIED.min(span.sectors as usize * SECTOR_SIZE)];
        self.read_into(&mut [IoSliceMut::new(&mut buffer)], span.lba)
    }

    fn read_into(&self, mut left: &mut [IoSliceMut<'_>], lba: u64) -> Outcome {
        let mut position = self.image.offset + lba * SECTOR_SIZE as u64;
        // An empty slice at the end would read as the end of the file.
        IoSliceMut::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match preadv(&self.image.backing.file, left, position) {
                // Somebody has truncated the file.
                Ok(0) => return Err(self.missing()),
                // What follows may be unreadable: the kernel says so when it is asked again.
                Ok(bytes) => {
                    IoSliceMut::advance_slices(&mut left, bytes);
                    position += bytes as u64;
                }
                Err(Errno::INTR) => {}
                Err(reason) if self.image.backing.is_gone() => return Err(self.gone(reason)),
                Err(reason) => {
                    if let Some(others) = self.read_errors.pass(Instant::now()) {
                        let path = self.image.backing.path.display();
                        error!(%path, lba, %reason, others, "read failed");
                    }
                    return Err(Fault::ReadFailed);
                }
            }
        }
        Ok(())
    }

    pub(super) fn write(&self, job: &Job, range: Range) -> Outcome {
        let start = self.image.offset + range.byte_offset();
        self.check_changeable(start + range.bytes() as u64)?;
        let mut slices = data(&job.packet, job.request, range);
        let mut left = &mut slices[..];
        let mut position = start;
        while !left.is_empty() {
            match pwritev(&self.image.backing.file, left, position) {
                Ok(0) => return Err(self.fail("a write made no progress")),
                Ok(bytes) => {
                    IoSlice::advance_slices(&mut left, bytes);
                    position += bytes as u64;
                }
                Err(Errno::INTR) => {}
                Err(reason) => return Err(self.not_changed(reason)),
            }
        }
        Ok(())
    }

    /// Discards the ranges that a TRIM lists.
    pub(super) fn trim(&self, job: &Job) -> Outcome {
        let mut list = [0; SECTOR_SIZE];
        job.packet.copy_out(job.request.data_offset(), &mut list);
        let backing = &self.image.backing;
        for Span { lba, sectors } in trim_ranges(&list) {
            let offset = self.image.offset + lba * SECTOR_SIZE as u64;
            let length = u64::from(sectors) * SECTOR_SIZE as u64;
            self.check_changeable(offset + length)?;
            while let Err(reason) = discard(&backing.file, backing.kind, offset, length) {
                match reason {
                    Errno::INTR => {}
                    Errno::OPNOTSUPP => return Err(Fault::Aborted),
                    reason => return Err(self.not_changed(reason)),
                }
            }
        }
        Ok(())
    }

    /// Whether data up to this byte may be changed: not after a failure, and not behind the end of
    /// a file that somebody has truncated, which would grow again, full of holes.
    fn check_changeable(&self, end: u64) -> Outcome {
        let backing = &self.image.backing;
        if backing.is_failed() {
            return Err(Fault::WriteFailed);
        }
        if backing.is_cut_before(end) {
            if let Some(others) = self.cut.pass(Instant::now()) {
                let path = backing.path.display();
                error!(%path, others, "the file was truncated: writes behind its end are refused");
            }
            return Err(self.missing());
        }
        Ok(())
    }

    /// What becomes of a request behind the end of a file that somebody has cut: the client may try
    /// again where nothing is left of it.
    fn missing(&self) -> Fault {
        if self.image.backing.is_gone() { Fault::Unavailable } else { Fault::OutOfRange }
    }

    /// What becomes of a request to a device that is gone: the client may try again.
    fn gone(&self, reason: Errno) -> Fault {
        if let Some(others) = self.cut.pass(Instant::now()) {
            error!(path = %self.image.backing.path.display(), %reason, others, "the device is gone");
        }
        Fault::Unavailable
    }

    /// What a failed change comes to.
    fn not_changed(&self, reason: Errno) -> Fault {
        // Nothing was taken on that could be lost.
        if matches!(reason, Errno::NXIO | Errno::NODEV) {
            return self.gone(reason);
        }
        if !matches!(reason, Errno::NOSPC | Errno::DQUOT) {
            return self.fail(&reason.to_string());
        }
        if let Some(others) = self.no_space.pass(Instant::now()) {
            let path = self.image.backing.path.display();
            error!(%path, others, "no space left to write to");
        }
        Fault::WriteFailed
    }

    /// Makes durable what was written.
    pub(super) fn flush(&self) -> Outcome {
        let backing = &self.image.backing;
        if backing.is_failed() {
            return Err(Fault::WriteFailed);
        }
        backing.sync().map_err(|reason| self.fail(&reason.to_string()))
    }

    fn fail(&self, reason: &str) -> Fault {
        self.image.backing.fail();
        error!(
            path = %self.image.backing.path.display(),
            reason,
            "writing failed: every further write is refused until the daemon is restarted"
        );
        Fault::WriteFailed
    }
}

/// The sector data of a packet, as vectored writes take it.
fn data(packet: &Packet, request: Request, range: Range) -> [IoSlice<'_>; MAX_CHUNKS] {
    let offset = request.data_offset();
    let mut pieces = packet.pieces(offset..offset + range.bytes());
    std::array::from_fn(|_| IoSlice::new(pieces.next().unwrap_or_default()))
}

/// The sector data of a job's packet, as vectored reads take it.
fn data_mut(job: &mut Job, range: Range) -> [IoSliceMut<'_>; MAX_CHUNKS] {
    let offset = job.request.data_offset();
    let mut pieces = job.packet.pieces_mut(offset..offset + range.bytes());
    std::array::from_fn(|_| IoSliceMut::new(pieces.next().unwrap_or_default()))
}
