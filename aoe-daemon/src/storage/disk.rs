//! The disk of an export: a part of a store, and the target before it.

use super::Job;
use super::image::Image;
use super::order::{Access, Sectors};
use super::store::Store;
use crate::record::Record;
use crate::target::{Operation, Range, trim_ranges};
use aoe_common::wire::SECTOR_SIZE;
use std::sync::Arc;

/// One disk.
pub struct Disk {
    image: Image,
    store: Arc<Store>,
    /// The target before the disk: what it permits when a request's turn has come.
    record: Arc<Record>,
}

impl Disk {
    /// The image, which is in this store, as the disk of this target.
    pub const fn new(image: Image, store: Arc<Store>, record: Arc<Record>) -> Self {
        Self { image, store, record }
    }

    /// The image that is served.
    pub const fn image(&self) -> &Image {
        &self.image
    }

    /// The file or device that it is in.
    pub const fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub(super) const fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// Whether a write or flush has failed, since when all writes are refused.
    pub fn is_failed(&self) -> bool {
        self.image.backing.is_failed()
    }

    /// Sectors of the disk as sectors of the store.
    pub(super) const fn sectors(&self, lba: u64, sectors: u64) -> Sectors {
        let start = self.image.offset / SECTOR_SIZE as u64 + lba;
        start..start + sectors
    }

    /// The same of a read or write.
    pub(super) const fn range(&self, range: Range) -> Sectors {
        self.sectors(range.lba, range.sectors as u64)
    }

    /// All sectors of the disk, however it grows.
    pub(super) const fn everything(&self) -> Sectors {
        let start = self.image.offset / SECTOR_SIZE as u64;
        match self.image.length() {
            Some(length) => start..start + length / SECTOR_SIZE as u64,
            None => start..u64::MAX,
        }
    }

    /// What a TRIM lists, as sectors of the store.
    pub(super) fn trimmed(&self, job: &Job) -> Vec<Sectors> {
        let mut list = [0; SECTOR_SIZE];
        job.packet.copy_out(job.request.data_offset(), &mut list);
        let spans = trim_ranges(&list);
        spans.map(|span| self.sectors(span.lba, span.sectors.into())).collect()
    }

    /// What a request takes of the store while it is worked on; `None` where it stands in nobody's
    /// way.
    pub(super) fn claim(&self, job: &Job) -> Option<(Sectors, Access)> {
        match job.request.operation {
            Operation::Read(range) => Some((self.range(range), Access::Shared)),
            Operation::Verify(span) => {
                Some((self.sectors(span.lba, span.sectors.into()), Access::Shared))
            }
            Operation::Write { range, .. } => {
                // What is smaller than the store's unit is read, changed and written back whole.
                let unit = self.store.unit() / SECTOR_SIZE as u64;
                let Sectors { start, end } = self.range(range);
                Some((start / unit * unit..end.next_multiple_of(unit), Access::Exclusive))
            }
            Operation::Trim => {
                let hull = self
                    .trimmed(job)
                    .into_iter()
                    .reduce(|a, b| a.start.min(b.start)..a.end.max(b.end));
                hull.map(|hull| (hull, Access::Exclusive))
            }
            Operation::Flush | Operation::LookAhead(_) => None,
        }
    }
}
