//! A part of the cache, and what has to leave it.

use super::index::Index;
use super::pool::{Claimed, MOST_HITS, Number, Pool};
use super::queue::Queue;
use super::{BLOCK, BlockId, Sectors};
use hashbrown::HashSet;
use std::collections::VecDeque;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::sync::atomic::Ordering;

/// What all shards have in common.
pub(super) struct Tables {
    pub(super) pool: Pool,
    pub(super) index: Index,
}

/// Blocks in two queues. Those that leave `probation` without having been asked for again leave
/// the cache; a while longer their names are `ghosts`, and who is named there when it comes in is
/// `settled` at once.
#[derive(Default)]
pub(super) struct Shard {
    free: Vec<Number>,
    /// Empty, and free as soon as nobody reads them any more.
    retired: Vec<Number>,
    probation: Queue,
    settled: Queue,
    ghosts: HashSet<BlockId, BuildHasherDefault<Mixed>>,
    /// The ghosts in their order, with some that are none any more.
    departed: VecDeque<BlockId>,
    /// Chunks that are in its hands.
    chunks: usize,
}

/// Hashes a block by mixing its bits.
#[derive(Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a block is one number")
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = BlockId(number).mixed();
    }
}

impl Shard {
    /// Blocks that it holds.
    pub(super) const fn used(&self) -> usize {
        self.probation.len() + self.settled.len()
    }

    /// Takes on a new chunk.
    pub(super) fn add(&mut self, number: Number) {
        self.chunks += 1;
        self.free.push(number);
    }

    /// Takes back a chunk that is empty, or will be when those who read it are done.
    pub(super) fn give(&mut self, number: Number) {
        self.retired.push(number);
    }

    /// A chunk for something new; `None` where all are in use or dirty.
    pub(super) fn claim<'a>(&mut self, tables: &'a Tables) -> Option<Claimed<'a>> {
        let Tables { pool, .. } = tables;
        if let Some(claimed) = self.free.pop().and_then(|number| pool.claim(number)) {
            return Some(claimed);
        }
        for at in 0..self.retired.len() {
            if let Some(claimed) = pool.claim(self.retired[at]) {
                self.retired.swap_remove(at);
                return Some(claimed);
            }
        }
        self.evict(tables)
    }

    /// Puts a chunk in its place, which has been named, with these sectors. What the block had
    /// before is newer where it says something.
    pub(super) fn install(&mut self, tables: &Tables, mut new: Claimed<'_>, valid: Sectors) {
        let Tables { pool, index } = tables;
        let header = new.header();
        let Some(old) = index.find(pool, header.id()) else {
            self.settle_in(tables, &new);
            new.publish(valid);
            return;
        };
        let known = pool.header(old).valid();
        if known.includes(valid) {
            self.give(new.number());
            return;
        }
        if let Some(pinned) = pool.pin(old, header.id(), known) {
            known.copy(pinned.bytes(), new.bytes_mut());
        }
        self.replace(tables, old, &new);
        new.publish(known.and(valid));
    }

    /// Takes a chunk of a block that was not there on.
    fn settle_in(&mut self, tables: &Tables, new: &Claimed<'_>) {
        let header = new.header();
        header.dirty.set(Sectors::NONE);
        header.writing.set(Sectors::NONE);
        let is_settled = self.ghosts.remove(&header.id());
        self.push(tables, new.number(), is_settled);
        tables.index.link(&tables.pool, new.number());
    }

    fn push(&mut self, tables: &Tables, number: Number, settled: bool) {
        tables.pool.header(number).is_settled.store(settled, Ordering::Relaxed);
        if settled { &mut self.settled } else { &mut self.probation }.push(&tables.pool, number);
    }

    /// Puts a chunk in the place of another one of the same block.
    fn replace(&mut self, tables: &Tables, old: Number, new: &Claimed<'_>) {
        let header = tables.pool.header(old);
        new.header().dirty.set(header.dirty.take());
        new.header().writing.set(header.writing.take());
        let is_settled = header.is_settled.load(Ordering::Relaxed);
        self.drop_chunk(tables, old);
        self.push(tables, new.number(), is_settled);
        tables.index.link(&tables.pool, new.number());
    }

    /// Takes a chunk out of everything.
    fn drop_chunk(&mut self, tables: &Tables, number: Number) {
        let header = tables.pool.header(number);
        header.empty();
        let is_settled = header.is_settled.load(Ordering::Relaxed);
        if is_settled { &mut self.settled } else { &mut self.probation }
            .remove(&tables.pool, number);
        tables.index.unlink(&tables.pool, number);
        self.give(number);
    }

    /// Changes these sectors of a block, if it is there. Where that can't be done it is dropped,
    /// but for a block of which something is dirty.
    ///
    /// Returns the chunk that has it now; `None` where it was not there, or not changed.
    pub(super) fn update(
        &mut self,
        tables: &Tables,
        id: BlockId,
        sectors: Sectors,
        change: impl Fn(&mut [u8; BLOCK]),
    ) -> Option<Number> {
        let Tables { pool, index } = tables;
        let number = index.find(pool, id)?;
        if let Some(mut claimed) = pool.claim(number) {
            change(claimed.bytes_mut());
            let valid = claimed.valid().and(sectors);
            claimed.publish(valid);
            return Some(number);
        }
        // Somebody reads it: they keep what they read.
        let header = pool.header(number);
        let valid = header.valid();
        let old = pool.pin(number, id, valid);
        let (Some(old), Some(mut new)) = (old, self.claim(tables)) else {
            if !header.is_dirty() {
                self.forget(tables, id);
            }
            return None;
        };
        new.bytes_mut().copy_from_slice(old.bytes());
        drop(old);
        change(new.bytes_mut());
        new.name(id);
        self.replace(tables, number, &new);
        let number = new.number();
        new.publish(valid.and(sectors));
        Some(number)
    }

    /// Drops what there is of a block, but for what is dirty.
    pub(super) fn forget(&mut self, tables: &Tables, id: BlockId) {
        let Some(number) = tables.index.find(&tables.pool, id) else { return };
        let header = tables.pool.header(number);
        if header.is_dirty() {
            header.leave(header.unsaved());
        } else {
            self.drop_chunk(tables, number);
        }
    }

    /// The same for all of these.
    pub(super) fn forget_all(&mut self, tables: &Tables, ids: &Range<BlockId>) {
        for is_settled in [false, true] {
            for _ in 0..if is_settled { &self.settled } else { &self.probation }.len() {
                let queue = if is_settled { &mut self.settled } else { &mut self.probation };
                let Some(number) = queue.pop(&tables.pool) else { break };
                queue.push(&tables.pool, number);
                let id = tables.pool.header(number).id();
                if ids.contains(&id) {
                    self.forget(tables, id);
                }
            }
        }
    }

    /// Throws one block out.
    fn evict<'a>(&mut self, tables: &'a Tables) -> Option<Claimed<'a>> {
        let Tables { pool, index } = tables;
        // Once around for every time that all of them may have been asked for, and to move.
        for _ in 0..self.used() * (MOST_HITS as usize + 2) {
            // Probation has a tenth of the room.
            let on_probation = self.probation.len() * 10 > self.chunks || self.settled.is_empty();
            let queue = if on_probation { &mut self.probation } else { &mut self.settled };
            let number = queue.pop(pool)?;
            let header = pool.header(number);
            let hits = header.hits();
            let claimed = (hits == 0 && !header.is_dirty()).then(|| pool.claim(number)).flatten();
            let Some(claimed) = claimed else {
                // Once more around for every time that it was asked for.
                header.cool(if on_probation { 0 } else { hits.saturating_sub(1) });
                self.push(tables, number, true);
                continue;
            };
            index.unlink(pool, number);
            if on_probation {
                self.remember(header.id());
            }
            return Some(claimed);
        }
        None
    }

    fn remember(&mut self, id: BlockId) {
        while self.departed.len() >= self.chunks {
            let Some(oldest) = self.departed.pop_front() else { break };
            self.ghosts.remove(&oldest);
        }
        self.ghosts.insert(id);
        self.departed.push_back(id);
    }
}
