//! Writes to a store that writes back: they are done once they are in the cache.

use super::super::cache::{BlockId, Laid, pieces};
use super::{Engine, What, put_back};
use crate::target::{Fault, Operation as Asked, Outcome, Range};
use aoe_common::wire::SECTOR_SIZE;

impl Engine {
    /// Lays the writes that have come together into the cache. Those that find no room wait for
    /// [`Message::Room`](crate::mailbox::Message::Room).
    pub(super) fn lay_writes(&mut self, number: usize) {
        let keys = std::mem::take(&mut self.lanes[number].writes);
        // After all of them have come.
        let reach = self.lanes[number].store.backing().reach();
        let (mut keys, mut kept) = (keys, 0);
        for at in 0..keys.len() {
            let key = keys[at];
            if let Err(fault) = self.check_write(number, key, reach) {
                self.complete(key, Err(fault));
            } else if !self.lay(key) {
                keys[kept] = key;
                kept += 1;
            } else if self.is_forced(key) {
                self.save(number, key);
            } else {
                self.complete(key, Ok(()));
            }
        }
        if let Some(writeback) = self.lanes[number].store.writeback().filter(|_| kept > 0) {
            writeback.make_room(self.driver.home());
        }
        let done = kept..keys.len();
        put_back(keys, done, &mut self.lanes[number].writes);
    }

    /// Whether a write has to be durable before it is answered.
    fn is_forced(&self, key: usize) -> bool {
        let request = self.parked[key].what.request();
        matches!(request.map(|request| request.operation), Some(Asked::Write { fua: true, .. }))
    }

    /// Brings a write's data into the cache. Returns whether all of it is there.
    fn lay(&mut self, key: usize) -> bool {
        let parked = &mut self.parked[key];
        let disk = &self.disks[parked.export];
        let (What::Job(job), Some(writeback)) = (&parked.what, disk.store().writeback()) else {
            unreachable!("it was looked at")
        };
        let Asked::Write { range, .. } = job.request.operation else {
            unreachable!("only writes are among the writes")
        };
        let mut at = 0;
        for (block, sectors, bytes) in pieces(&disk.range(range)) {
            let (from, length) = (job.request.data_offset() + at, bytes.len());
            let id = BlockId::new(disk.store().number(), block);
            // What found room before stays: others may have read it from there.
            if !parked.settled.has(at / SECTOR_SIZE) {
                let copy =
                    |block: &mut [u8; _]| job.packet.copy_out(from, &mut block[bytes.clone()]);
                match self.cache.lay(id, sectors, copy) {
                    Laid::First => writeback.note(block),
                    Laid::More => {}
                    Laid::NoRoom => return false,
                }
            }
            parked.settled.add(at / SECTOR_SIZE, length / SECTOR_SIZE);
            at += length;
        }
        true
    }

    /// Has a request go on when everything that is dirty now is durable.
    pub(super) fn save(&self, number: usize, key: usize) {
        if let Some(writeback) = self.lanes[number].store.writeback() {
            writeback.save(self.driver.home(), key);
        }
    }

    /// It is, or can't be.
    pub(super) fn saved(&mut self, key: usize, outcome: Outcome) {
        let is_there = matches!(self.parked[key].what, What::Job(_));
        let request = self.parked[key].what.request();
        let trims = matches!(request.map(|request| request.operation), Some(Asked::Trim));
        match outcome {
            Ok(()) if trims && is_there => self.delegate_trim(key),
            Ok(()) if !is_there => self.complete(key, Err(Fault::Unavailable)),
            outcome => self.complete(key, outcome),
        }
    }

    /// Reads those sectors that the cache has, which may be newer than the disk's. As long as the
    /// request keeps its place in the order they stay as they are, wherever the others come from.
    /// Returns whether all are there.
    pub(super) fn gather(&mut self, key: usize, range: Range) -> bool {
        let parked = &mut self.parked[key];
        let disk = &self.disks[parked.export];
        let What::Job(job) = &mut parked.what else { return false };
        let mut at = 0;
        for (block, sectors, bytes) in pieces(&disk.range(range)) {
            let id = BlockId::new(disk.store().number(), block);
            let to = job.request.data_offset() + at;
            let first = bytes.start / SECTOR_SIZE;
            self.cache.gather(id, sectors, |block, there| {
                for sector in (first..bytes.end / SECTOR_SIZE).filter(|one| there.has(*one)) {
                    let data = &block[sector * SECTOR_SIZE..(sector + 1) * SECTOR_SIZE];
                    job.packet.copy_in(to + (sector - first) * SECTOR_SIZE, data);
                    parked.settled.add(at / SECTOR_SIZE + sector - first, 1);
                }
            });
            at += bytes.len();
        }
        (0..usize::from(range.sectors)).all(|sector| parked.settled.has(sector))
    }
}
