//! Writing dirty blocks to their disk.

use super::super::cache::{BLOCK, BLOCK_SECTORS, BlockId, Cache, Sectors as Mask};
use super::super::operation::{Done, Kind, Operation, Purpose};
use super::super::solo::Solo;
use super::super::staging::{Buffer, LARGE};
use super::super::store::Store;
use aoe_common::wire::SECTOR_SIZE;
use aoe_xsk::HugePages;
use slab::Slab;
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// A thread's way of writing the dirty blocks of one store.
pub(super) struct Writer {
    store: Arc<Store>,
    cache: Arc<Cache>,
    solo: Solo,
    runs: Slab<Run>,
    /// What went wrong in this round.
    failed: Option<io::Error>,
    is_synced: bool,
}

/// Neighbouring blocks that are written from one buffer.
struct Run {
    /// Its first block, and how many they are.
    first: u64,
    blocks: u64,
    /// Bytes of it that are still to be written, whole units.
    parts: VecDeque<Range<usize>>,
}

impl Writer {
    pub(super) fn new(
        store: &Arc<Store>,
        cache: &Arc<Cache>,
        huge_pages: HugePages,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            store: Arc::clone(store),
            cache: Arc::clone(cache),
            solo: Solo::new(huge_pages)?,
            runs: Slab::new(),
            failed: None,
            is_synced: false,
        })
    }

    pub(super) const fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub(super) const fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// Opens its ring. From then on it belongs to this thread.
    pub(super) fn open_ring(&mut self) {
        self.solo.open_ring(std::slice::from_ref(&self.store));
    }

    /// Writes these blocks, which are in order, and makes them durable. Where that fails all of
    /// them are dirty still.
    ///
    /// # Errors
    ///
    /// The first thing that went wrong.
    pub(super) fn write(&mut self, blocks: &[u64]) -> io::Result<()> {
        let mut left = blocks;
        loop {
            while self.failed.is_none() && !left.is_empty() {
                let together = together(left);
                let Some(buffer) = self.solo.take(together * BLOCK) else { break };
                self.begin(left[0], together as u64, buffer);
                left = &left[together..];
            }
            if self.runs.is_empty() {
                break;
            }
            self.wait();
        }
        if self.failed.is_none() {
            self.is_synced = false;
            self.submit(Kind::Sync, Purpose::Sync, None, 0..0, 0);
            while !self.is_synced {
                self.wait();
            }
        }
        let failed = self.failed.take();
        self.settle(blocks, failed.is_none());
        failed.map_or(Ok(()), Err)
    }

    fn settle(&self, blocks: &[u64], written: bool) {
        for block in blocks {
            if written {
                // Who has read it before it was written must not bring that into the cache later,
                // when the block has left it.
                let first = block * BLOCK_SECTORS;
                self.store.order().spoil(&(first..first + BLOCK_SECTORS));
            }
            self.cache.settle(self.id(*block), written);
        }
    }

    fn id(&self, block: u64) -> BlockId {
        BlockId::new(self.store.number(), block)
    }

    fn begin(&mut self, first: u64, blocks: u64, buffer: Buffer) {
        let run = self.runs.insert(Run { first, blocks, parts: VecDeque::new() });
        let all = Mask::first(BLOCK_SECTORS as usize);
        let is_whole = |block| self.cache.gather(self.id(block), all, |_, _| ()) == all;
        if self.store.unit() <= SECTOR_SIZE as u64 || (first..first + blocks).all(is_whole) {
            self.load(run, buffer);
            return;
        }
        // Units are written whole, and what surrounds the changes is on the disk alone.
        let bytes = 0..blocks as usize * BLOCK;
        self.submit(Kind::Read, Purpose::Fill(run), Some(buffer), bytes, first * BLOCK as u64);
    }

    /// Brings what is dirty into the buffer, and writes it.
    fn load(&mut self, run: usize, mut buffer: Buffer) {
        let Run { first, blocks, .. } = self.runs[run];
        let unit = self.store.unit() as usize;
        let mut parts: VecDeque<Range<usize>> = VecDeque::new();
        for block in 0..blocks {
            let at = block as usize * BLOCK;
            let target = &mut buffer.bytes_mut()[at..at + BLOCK];
            self.cache.take_dirty(self.id(first + block), |bytes, dirty, valid| {
                for sector in (0..BLOCK_SECTORS as usize).filter(|sector| valid.has(*sector)) {
                    let part = sector * SECTOR_SIZE..(sector + 1) * SECTOR_SIZE;
                    target[part.clone()].copy_from_slice(&bytes[part.clone()]);
                    if dirty.has(sector) {
                        add(&mut parts, at + part.start..at + part.end, unit);
                    }
                }
            });
        }
        let end = parts.back().map_or(0, |last| first * BLOCK as u64 + last.end as u64);
        self.runs[run].parts = parts;
        if self.store.check_changeable(end).is_err() {
            // What was cut off would grow again, full of holes.
            self.fail(io::Error::other("the file ends before what is to be written"));
        }
        self.go_on(run, buffer);
    }

    /// Writes the next part of a run.
    fn go_on(&mut self, run: usize, buffer: Buffer) {
        let Run { first, parts, .. } = &mut self.runs[run];
        match parts.pop_front() {
            Some(bytes) if self.failed.is_none() => {
                let position = *first * BLOCK as u64 + bytes.start as u64;
                self.submit(Kind::Write, Purpose::Group(run), Some(buffer), bytes, position);
            }
            _ => {
                self.runs.remove(run);
                self.solo.give(buffer);
            }
        }
    }

    fn submit(
        &mut self,
        kind: Kind,
        purpose: Purpose,
        buffer: Option<Buffer>,
        bytes: Range<usize>,
        position: u64,
    ) {
        let store = Arc::clone(&self.store);
        self.solo.submit(Operation { store, kind, purpose, buffer, bytes, position });
    }

    fn fail(&mut self, reason: io::Error) {
        self.failed.get_or_insert(reason);
    }

    /// Waits for something to be done, and goes on with it.
    fn wait(&mut self) {
        let done = self.solo.next_done();
        self.done(done);
    }

    fn done(&mut self, done: Done) {
        let Done { operation: Operation { purpose, buffer, bytes, .. }, result } = done;
        let moved = match result {
            Ok(moved) => moved,
            Err(reason) => {
                self.fail(reason);
                0
            }
        };
        match (purpose, buffer) {
            (Purpose::Fill(run), Some(buffer)) if self.failed.is_none() => self.load(run, buffer),
            (Purpose::Group(run) | Purpose::Fill(run), Some(buffer)) => {
                if moved == 0 {
                    self.fail(io::ErrorKind::WriteZero.into());
                } else if moved < bytes.len() {
                    // The kernel says why when it is asked for the rest.
                    self.runs[run].parts.push_front(bytes.start + moved..bytes.end);
                }
                self.go_on(run, buffer);
            }
            (Purpose::Sync, _) => self.is_synced = true,
            (_, None) => unreachable!("what is read or written has a buffer"),
        }
    }
}

/// How many blocks from the first one on are neighbours, and fit a buffer.
fn together(blocks: &[u64]) -> usize {
    let most = blocks.iter().take(LARGE / BLOCK).enumerate();
    most.take_while(|(at, block)| **block == blocks[0] + *at as u64).count()
}

/// Adds bytes to those that are to be written, as whole units, behind all that are there.
fn add(parts: &mut VecDeque<Range<usize>>, bytes: Range<usize>, unit: usize) {
    let (start, end) = (bytes.start / unit * unit, bytes.end.next_multiple_of(unit));
    match parts.back_mut().filter(|last| last.end >= start) {
        Some(last) => last.end = end,
        None => parts.push_back(start..end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_written_together_as_far_as_a_buffer_goes() {
        assert_eq!(together(&[7]), 1);
        assert_eq!(together(&[7, 9]), 1);
        assert_eq!(together(&[7, 8, 9, 11]), 3);
        let many: Vec<u64> = (100..200).collect();
        assert_eq!(together(&many), LARGE / BLOCK);
    }

    #[test]
    fn only_what_is_dirty_is_written_and_units_whole() {
        let parts = |unit| {
            let mut parts = VecDeque::new();
            for sector in [1, 2, 5, 8, 25] {
                add(&mut parts, sector * 512..(sector + 1) * 512, unit);
            }
            parts.into_iter().map(|part| part.start / 512..part.end / 512).collect::<Vec<_>>()
        };
        assert_eq!(parts(512), [1..3, 5..6, 8..9, 25..26]);
        assert_eq!(parts(4096), [0..16, 24..32]);
    }
}
