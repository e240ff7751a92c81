//! Reading: from the cache, or in whole blocks that then go there.

use super::super::cache::{BLOCK, BlockId, Cache, pieces};
use super::super::disk::Disk;
use super::super::fill::keep;
use super::super::operation::{Done, Kind, Operation, Purpose};
use super::super::order::{FillId, bits};
use super::super::staging::{Buffer, LARGE};
use super::super::{Job, transfer};
use super::parked::Settled;
use super::{Chain, Engine, What, put_back};
use crate::target::{Fault, Operation as Asked, Outcome, Range};
use aoe_common::wire::SECTOR_SIZE;
use std::ops::Range as Bytes;
use std::sync::Arc;

/// A read of a disk that is in flight, for those who wait for it and for the cache.
pub(super) struct Fill {
    lane: usize,
    /// What is read of the store.
    bytes: Bytes<u64>,
    waiting: Chain,
    /// As which it is known to the order; `None` where nothing of it goes into the cache.
    id: Option<FillId>,
}

impl Engine {
    /// Does a read at once, if that takes no waiting.
    pub(super) fn read_now(&self, export: usize, job: &mut Job, range: Range) -> Option<Outcome> {
        read_at_once(&self.cache, &self.disks[export], job, range, Look::First)
    }

    /// The same for a request that is parked.
    pub(super) fn read_parked(&mut self, key: usize, range: Range) -> Option<Outcome> {
        let parked = &mut self.parked[key];
        let What::Job(job) = &mut parked.what else { return None };
        read_at_once(&self.cache, &self.disks[parked.export], job, range, Look::Again)
    }

    /// Hands the reads that have come together over to the disk, neighbours as one.
    pub(super) fn hand_over_reads(&mut self, number: usize) {
        let mut keys = std::mem::take(&mut self.lanes[number].reads);
        keys.sort_unstable_by_key(|key| self.wanted(*key).start);
        let mut left = &keys[..];
        while let Some((key, rest)) = left.split_first() {
            if !matches!(self.parked[*key].what, What::Job(_)) {
                // Its time is over.
                self.complete(*key, Err(Fault::Unavailable));
                left = rest;
                continue;
            }
            if self.join_fill(number, *key) {
                left = rest;
                continue;
            }
            let (bytes, together) = self.neighbours(left);
            let Some(buffer) = self.lend(number, bytes.end - bytes.start) else { break };
            let caches = self.is_cacheable(*key);
            let fill = self.fill(number, bytes, buffer, caches);
            for key in &left[..together] {
                self.fills[fill].waiting.add(&mut self.parked, *key);
            }
            left = &left[together..];
        }
        if !left.is_empty() {
            // No buffer is free: some come back soon.
            self.activate(number);
        }
        let done = 0..keys.len() - left.len();
        put_back(keys, done, &mut self.lanes[number].reads);
    }

    /// Whether what a read brings goes into the cache.
    fn is_cacheable(&self, key: usize) -> bool {
        let parked = &self.parked[key];
        let is_read = matches!(parked.what.request().map(|r| r.operation), Some(Asked::Read(_)));
        is_read && !parked.alone && self.cache.capacity() > 0
    }

    /// What has to be read of the store for a request, in bytes.
    fn wanted(&self, key: usize) -> Bytes<u64> {
        let parked = &self.parked[key];
        let disk = &self.disks[parked.export];
        let sectors = match parked.what.request().map(|request| request.operation) {
            Some(Asked::Read(range)) => disk.range(range),
            Some(Asked::Verify(span)) => disk.sectors(span.lba, span.sectors.into()),
            _ => unreachable!("only reads are among the reads"),
        };
        let size = SECTOR_SIZE as u64;
        let unit = if self.is_cacheable(key) { BLOCK as u64 } else { disk.store().unit() };
        let start = sectors.start * size / unit * unit;
        let end = (sectors.end * size).next_multiple_of(unit);
        // VERIFY reads no more than a buffer takes: it must not keep others waiting for megabytes.
        start..end.min(start + LARGE as u64)
    }

    /// What the first of these reads wants together with its neighbours, and how many those are.
    fn neighbours(&self, keys: &[usize]) -> (Bytes<u64>, usize) {
        let Bytes { start, mut end } = self.wanted(keys[0]);
        let caches = self.is_cacheable(keys[0]);
        let mut together = 1;
        for key in &keys[1..] {
            let next = self.wanted(*key);
            let longer = end.max(next.end);
            if !caches
                || !self.is_cacheable(*key)
                || next.start > end
                || longer - start > LARGE as u64
                || !matches!(self.parked[*key].what, What::Job(_))
            {
                break;
            }
            end = longer;
            together += 1;
        }
        (start..end, together)
    }

    /// Has a read wait for a fill that is in flight, if one brings what it wants.
    fn join_fill(&mut self, number: usize, key: usize) -> bool {
        if !self.is_cacheable(key) {
            return false;
        }
        let wanted = self.wanted(key);
        let block = BLOCK as u64;
        let found = self.fills.iter_mut().find(|(_, fill)| {
            let covers = fill.bytes.start <= wanted.start && wanted.end <= fill.bytes.end;
            let Some(id) = fill.id.filter(|_| covers && fill.lane == number) else { return false };
            let first = (wanted.start - fill.bytes.start) / block;
            let blocks = bits(first..first + (wanted.end - wanted.start) / block);
            // What was written since it began is not in it.
            self.lanes[number].store.order().spoiled(id) & blocks == 0
        });
        let Some((_, fill)) = found else { return false };
        fill.waiting.add(&mut self.parked, key);
        true
    }

    /// Starts to read.
    pub(super) fn fill(
        &mut self,
        lane: usize,
        bytes: Bytes<u64>,
        buffer: Buffer,
        caches: bool,
    ) -> usize {
        let store = Arc::clone(&self.lanes[lane].store);
        let length = (bytes.end - bytes.start) as usize;
        let position = bytes.start;
        let block = BLOCK as u64;
        let id = caches
            .then(|| store.order().begin_fill(position / block, (length as u64).div_ceil(block)));
        let fill = self.fills.insert(Fill { lane, bytes, waiting: Chain::default(), id });
        let purpose = Purpose::Fill(fill);
        let buffer = Some(buffer);
        let bytes = 0..length;
        self.driver.submit(Operation { store, kind: Kind::Read, purpose, buffer, bytes, position });
        fill
    }

    /// Whether a fill in flight brings this block of a store.
    pub(super) fn is_filling(&self, lane: usize, block: u64) -> bool {
        let position = block * BLOCK as u64;
        self.fills.iter().any(|(_, fill)| fill.lane == lane && fill.bytes.contains(&position))
    }

    pub(super) fn fill_done(&mut self, fill: usize, done: Done) {
        let Fill { lane, bytes, mut waiting, id } = self.fills.remove(fill);
        let Done { operation, result } = done;
        let Some(buffer) = operation.buffer else { unreachable!("reads have a buffer") };
        let got = &buffer.bytes()[..*result.as_ref().unwrap_or(&0)];
        while let Some(key) = waiting.pop(&mut self.parked) {
            self.deliver(lane, key, bytes.start, got, result.as_ref().err());
        }
        if let Some(id) = id {
            keep(&self.cache, &self.lanes[lane].store, bytes.start, got, id);
        }
        self.take_back(lane, buffer);
    }

    /// Answers a read from what was read at this position.
    fn deliver(
        &mut self,
        number: usize,
        key: usize,
        position: u64,
        got: &[u8],
        error: Option<&std::io::Error>,
    ) {
        let parked = &mut self.parked[key];
        let disk = &self.disks[parked.export];
        let What::Job(job) = &mut parked.what else {
            self.complete(key, Err(Fault::Unavailable));
            return;
        };
        let (lba, sectors, is_seen) = match job.request.operation {
            Asked::Read(range) => (range.lba, range.sectors.into(), true),
            Asked::Verify(span) => (span.lba, u64::from(span.sectors), false),
            _ => unreachable!("only reads wait for a fill"),
        };
        let start = (disk.sectors(lba, sectors).start * SECTOR_SIZE as u64 - position) as usize;
        let end = start + sectors as usize * SECTOR_SIZE;
        // What is verified may be more than what was read of it.
        let end = if is_seen { end } else { end.min(LARGE) };
        if let Some(data) = got.get(start..end) {
            if is_seen {
                copy_missing(job, parked.settled, data);
            }
            self.complete(key, Ok(()));
            return;
        }
        if !std::mem::replace(&mut parked.alone, true) {
            // What was read with it may be to blame.
            self.lanes[number].reads.push(key);
            self.activate(number);
            return;
        }
        let end = position + end as u64;
        let store = disk.store();
        let fault = match error {
            Some(error) => store.not_read(lba, error),
            None if got.is_empty() || store.backing().is_cut_before(end) => store.missing(),
            None => store.not_read(lba, &std::io::ErrorKind::UnexpectedEof.into()),
        };
        self.complete(key, Err(fault));
    }
}

/// Copies what was read of a disk into a packet, but for the sectors that it has.
fn copy_missing(job: &mut Job, settled: Settled, data: &[u8]) {
    let to = job.request.data_offset();
    if settled.is_empty() {
        job.packet.copy_in(to, data);
        return;
    }
    for (sector, data) in data.chunks(SECTOR_SIZE).enumerate() {
        if !settled.has(sector) {
            job.packet.copy_in(to + sector * SECTOR_SIZE, data);
        }
    }
}

/// How well the cache is searched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Without a lock, which may miss what is just being changed.
    First,
    /// Once more, with one.
    Again,
}

/// Reads from memory or from the cache; `None` where that would have to wait.
fn read_at_once(
    cache: &Cache,
    disk: &Disk,
    job: &mut Job,
    range: Range,
    look: Look,
) -> Option<Outcome> {
    if disk.store().is_memory() {
        return Some(transfer::read(disk, job, range));
    }
    let number = disk.store().number();
    let mut to = job.request.data_offset();
    let is_there = pieces(&disk.range(range)).all(|(block, sectors, bytes)| {
        let id = BlockId::new(number, block);
        let length = bytes.len();
        let copy = |block: &[u8; BLOCK]| job.packet.copy_in(to, &block[bytes]);
        let found = match look {
            Look::First => cache.read(id, sectors, copy),
            Look::Again => cache.read_again(id, sectors, copy),
        };
        to += length;
        found.is_some()
    });
    is_there.then_some(Ok(()))
}
