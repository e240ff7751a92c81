//! Writing: neighbours as one, one flush for all that is on the disk by then, and only then the
//! cache and the answer.

use super::super::cache::{BLOCK_SECTORS, BlockId, pieces};
use super::super::helper::Chore;
use super::super::operation::{Done, Kind, Operation, Purpose};
use super::super::order::Sectors;
use super::super::staging::{Buffer, LARGE};
use super::super::store::is_no_space;
use super::super::transfer;
use super::{Chain, Engine, What, put_back};
use crate::target::{Fault, Operation as Asked, Outcome};
use aoe_common::wire::SECTOR_SIZE;
use std::io;
use std::ops::Range as Bytes;
use std::sync::Arc;

/// Writes of neighbouring sectors that are written as one.
pub(super) struct Group {
    lane: usize,
    members: Chain,
    /// How many those are.
    count: usize,
    /// What is written of the store: whole units of it.
    bytes: Bytes<u64>,
    /// How much of it is on the disk.
    written: usize,
}

impl Group {
    pub(super) const fn members(&self) -> Chain {
        self.members
    }
}

impl Engine {
    /// Hands the writes that have come together over to the disk, neighbours as one. Those that go
    /// on where a write in flight ends wait for it, so that more of them come together.
    pub(super) fn hand_over_writes(&mut self, number: usize) {
        if self.lanes[number].writes.is_empty() {
            return;
        }
        if self.lanes[number].store.writeback().is_some() {
            self.lay_writes(number);
            return;
        }
        let mut keys = std::mem::take(&mut self.lanes[number].writes);
        keys.sort_unstable_by_key(|key| self.changed(*key).start);
        // After all of them have come.
        let reach = self.lanes[number].store.backing().reach();
        let (mut next, mut kept) = (0, 0);
        while next < keys.len() {
            if let Err(fault) = self.check_write(number, keys[next], reach) {
                self.complete(keys[next], Err(fault));
                next += 1;
                continue;
            }
            let (bytes, together, is_whole) = self.adjacent(number, &keys[next..], reach);
            let members = next..next + together;
            if self.follows(number, &bytes) {
                keys.copy_within(members, kept);
                kept += together;
            } else {
                let Some(buffer) = self.lend(number, bytes.end - bytes.start) else {
                    // None is free: some come back soon.
                    self.activate(number);
                    break;
                };
                self.begin_group(number, bytes, &keys[members], buffer, is_whole);
            }
            next += together;
        }
        put_back(keys, kept..next, &mut self.lanes[number].writes);
    }

    /// Whether these bytes go on where a write in flight ends, and are less than half of what can be
    /// written at once.
    fn follows(&self, lane: usize, bytes: &Bytes<u64>) -> bool {
        bytes.end - bytes.start < LARGE as u64 / 2
            && self.in_flight(lane).any(|group| group.bytes.end == bytes.start)
    }

    fn in_flight(&self, lane: usize) -> impl Iterator<Item = &Group> {
        self.groups.iter().map(|(_, group)| group).filter(move |group| group.lane == lane)
    }

    fn begin_group(
        &mut self,
        lane: usize,
        bytes: Bytes<u64>,
        keys: &[usize],
        buffer: Buffer,
        is_whole: bool,
    ) {
        let mut members = Chain::default();
        for key in keys {
            members.add(&mut self.parked, *key);
        }
        let group = Group { lane, members, count: keys.len(), bytes, written: 0 };
        let group = self.groups.insert(group);
        if is_whole {
            self.write_group(group, buffer);
        } else {
            self.submit_group(group, Kind::Read, buffer);
        }
    }

    /// The sectors of the store that a write changes.
    fn changed(&self, key: usize) -> Sectors {
        let parked = &self.parked[key];
        match parked.what.request().map(|request| request.operation) {
            Some(Asked::Write { range, .. }) => self.disks[parked.export].range(range),
            _ => unreachable!("only writes are among the writes"),
        }
    }

    /// Whether a write may be carried out, to a file or device that reaches so far.
    pub(super) fn check_write(&self, number: usize, key: usize, reach: u64) -> Outcome {
        if !matches!(self.parked[key].what, What::Job(_)) {
            // Its time is over.
            return Err(Fault::Unavailable);
        }
        let end = self.changed(key).end * SECTOR_SIZE as u64;
        self.lanes[number].store.check_within(end, reach)
    }

    /// What is written of the store for the first of these writes with those that go on where it
    /// ends, how many those are, and whether they bring all of it.
    fn adjacent(&self, number: usize, keys: &[usize], reach: u64) -> (Bytes<u64>, usize, bool) {
        let Sectors { start, mut end } = self.changed(keys[0]);
        let unit = self.lanes[number].store.unit();
        // The first and the last unit may have to be written whole.
        let most = (LARGE as u64 - 2 * unit) / SECTOR_SIZE as u64;
        let mut together = 1;
        for key in &keys[1..] {
            let next = self.changed(*key);
            let fits = next.start == end && next.end - start <= most;
            let is_alone = self.parked[keys[0]].alone || self.parked[*key].alone;
            if !fits || is_alone || self.check_write(number, *key, reach).is_err() {
                break;
            }
            end = next.end;
            together += 1;
        }
        let (start, end) = (start * SECTOR_SIZE as u64, end * SECTOR_SIZE as u64);
        let bytes = start / unit * unit..end.next_multiple_of(unit);
        let is_whole = bytes == (start..end);
        (bytes, together, is_whole)
    }

    /// Lays the members' data over what is in the buffer, and writes all of it.
    fn write_group(&mut self, group: usize, mut buffer: Buffer) {
        let start = self.groups[group].bytes.start;
        let mut next = self.groups[group].members.0;
        while let Some(key) = next {
            let sectors = self.changed(key);
            let parked = &self.parked[key];
            next = parked.next;
            // Where its time is over, what was there stays.
            if let What::Job(job) = &parked.what {
                let at = (sectors.start * SECTOR_SIZE as u64 - start) as usize;
                let length = job.request.operation.data_length();
                let target = &mut buffer.bytes_mut()[at..at + length];
                job.packet.copy_out(job.request.data_offset(), target);
            }
        }
        self.submit_group(group, Kind::Write, buffer);
    }

    /// Reads or writes what is left of a group.
    fn submit_group(&mut self, group: usize, kind: Kind, buffer: Buffer) {
        let Group { lane, bytes, written, .. } = &self.groups[group];
        let store = Arc::clone(&self.lanes[*lane].store);
        let position = bytes.start + *written as u64;
        let bytes = *written..(bytes.end - bytes.start) as usize;
        let purpose = Purpose::Group(group);
        self.driver.submit(Operation {
            store,
            kind,
            purpose,
            buffer: Some(buffer),
            bytes,
            position,
        });
    }

    pub(super) fn group_done(&mut self, group: usize, done: Done) {
        let Done { operation, result } = done;
        let Some(buffer) = operation.buffer else { unreachable!("writes have a buffer") };
        let lane = usize::from(operation.store.number());
        match (operation.kind, result) {
            (Kind::Read, Ok(bytes)) if bytes == operation.bytes.len() => {
                self.write_group(group, buffer);
                return;
            }
            (Kind::Read, result) => self.not_merged(group, &result),
            (_, Ok(bytes)) if bytes == operation.bytes.len() => {
                let Group { mut members, .. } = self.groups.remove(group);
                while let Some(key) = members.pop(&mut self.parked) {
                    self.lanes[lane].written.push(key);
                }
            }
            (_, Ok(bytes)) if bytes > 0 => {
                // What follows may not be writable: the kernel says so when it is asked again.
                self.groups[group].written += bytes;
                self.submit_group(group, Kind::Write, buffer);
                return;
            }
            (_, Ok(_)) => self.not_written(group, &io::ErrorKind::WriteZero.into()),
            (_, Err(reason)) => self.not_written(group, &reason),
        }
        self.take_back(lane, buffer);
        self.activate(lane);
    }

    /// What surrounds a write could not be read. Nothing was changed.
    fn not_merged(&mut self, group: usize, result: &io::Result<usize>) {
        let Group { lane, members, .. } = self.groups.remove(group);
        let store = Arc::clone(&self.lanes[lane].store);
        let fault = match result {
            Ok(_) => store.missing(),
            Err(reason) => match store.not_read(0, reason) {
                Fault::ReadFailed => Fault::WriteFailed,
                fault => fault,
            },
        };
        self.fail_group(members, fault);
    }

    fn not_written(&mut self, group: usize, reason: &io::Error) {
        let Group { lane, mut members, count, .. } = self.groups.remove(group);
        if is_no_space(reason) && count > 1 {
            // There may be space for some of them.
            while let Some(key) = members.pop(&mut self.parked) {
                self.parked[key].alone = true;
                self.lanes[lane].writes.push(key);
            }
            return;
        }
        let fault = self.lanes[lane].store.not_changed(reason);
        self.fail_group(members, fault);
    }

    fn fail_group(&mut self, mut members: Chain, fault: Fault) {
        while let Some(key) = members.pop(&mut self.parked) {
            self.forget(key);
            self.complete(key, Err(fault));
        }
    }

    /// Has the disk make durable what it has been given.
    pub(super) fn hand_over_sync(&mut self, number: usize) {
        let lane = &self.lanes[number];
        if lane.is_syncing || lane.written.is_empty() {
            return;
        }
        // As long as more is still to be written than has been, one flush is better spent later.
        let writing: usize = self.in_flight(number).map(|group| group.count).sum();
        if lane.written.len() < writing + lane.writes.len() {
            return;
        }
        let lane = &mut self.lanes[number];
        lane.is_syncing = true;
        std::mem::swap(&mut lane.written, &mut lane.syncing);
        let store = Arc::clone(&lane.store);
        let (kind, purpose) = (Kind::Sync, Purpose::Sync);
        self.driver.submit(Operation {
            store,
            kind,
            purpose,
            buffer: None,
            bytes: 0..0,
            position: 0,
        });
    }

    pub(super) fn sync_done(&mut self, done: &Done) {
        let store = &done.operation.store;
        let number = usize::from(store.number());
        if let Err(reason) = &done.result {
            store.fail(&reason.to_string());
        }
        // Also where another thread was told of a failure, and even if that is cleared by now: it
        // may have been about these.
        let backing = store.backing();
        let (failed, failures) = (backing.is_failed(), backing.failures());
        let mut keys = std::mem::take(&mut self.lanes[number].syncing);
        for key in keys.drain(..) {
            if !failed && self.parked[key].failures == failures {
                self.renew(key);
                self.complete(key, Ok(()));
            } else {
                self.forget(key);
                self.complete(key, Err(Fault::WriteFailed));
            }
        }
        let lane = &mut self.lanes[number];
        lane.syncing = keys;
        lane.is_syncing = false;
        self.activate(number);
    }

    /// Brings the cache up to what a write has made of the disk.
    fn renew(&mut self, key: usize) {
        let parked = &self.parked[key];
        let What::Job(job) = &parked.what else {
            // Its packet is gone.
            self.forget(key);
            return;
        };
        let Asked::Write { range, .. } = job.request.operation else { return };
        let disk = &self.disks[parked.export];
        let mut from = job.request.data_offset();
        for (block, sectors, bytes) in pieces(&disk.range(range)) {
            let id = BlockId::new(disk.store().number(), block);
            self.cache.update(id, sectors, |block| {
                job.packet.copy_out(from, &mut block[bytes.clone()]);
            });
            from += bytes.len();
        }
    }

    /// Takes out of the cache what a request may or may not have changed.
    fn forget(&mut self, key: usize) {
        let parked = &self.parked[key];
        let Some(Asked::Write { range, .. }) =
            parked.what.request().map(|request| request.operation)
        else {
            return;
        };
        let disk = &self.disks[parked.export];
        let Sectors { start, end } = disk.range(range);
        let blocks = start / BLOCK_SECTORS..end.div_ceil(BLOCK_SECTORS);
        self.cache.forget(disk.store().number(), blocks);
    }

    /// Does a write to memory.
    pub(super) fn write_now(&mut self, key: usize) -> Outcome {
        let parked = &self.parked[key];
        match &parked.what {
            What::Job(job) => match job.request.operation {
                Asked::Write { range, .. } => {
                    transfer::write(&self.disks[parked.export], job, range)
                }
                _ => unreachable!("only writes are written"),
            },
            _ => Err(Fault::Unavailable),
        }
    }

    pub(super) fn delegate_trim(&mut self, key: usize) {
        let parked = &self.parked[key];
        let disk = &self.disks[parked.export];
        let What::Job(job) = &parked.what else {
            self.complete(key, Err(Fault::Unavailable));
            return;
        };
        let size = SECTOR_SIZE as u64;
        let bytes = disk.trimmed(job).into_iter();
        let bytes = bytes.map(|Sectors { start, end }| (start * size, (end - start) * size));
        let store = Arc::clone(disk.store());
        let chore = Chore::Trim { store: Arc::clone(&store), key, bytes: bytes.collect() };
        self.driver.delegate(&store, chore);
    }

    pub(super) fn trimmed(&mut self, key: usize, bytes: &[(u64, u64)], outcome: Outcome) {
        let store = Arc::clone(self.disks[self.parked[key].export].store());
        let block = BLOCK_SECTORS * SECTOR_SIZE as u64;
        for (start, length) in bytes {
            let blocks = start / block..(start + length).div_ceil(block);
            self.cache.forget(store.number(), blocks);
        }
        if outcome.is_err() || store.is_memory() {
            self.complete(key, outcome);
            return;
        }
        let number = usize::from(store.number());
        self.lanes[number].written.push(key);
        self.activate(number);
    }
}
