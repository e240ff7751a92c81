//! A part of the cache, and what has to leave it.

use super::{BLOCK, BlockId, Sectors};
use hashbrown::{HashMap, HashSet};
use std::collections::VecDeque;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

/// How often a block was asked for is counted up to this.
const MOST_HITS: u8 = 3;

/// Blocks in two queues. Those that leave `probation` without having been asked for again leave
/// the cache; a while longer their names are `ghosts`, and who is named there when it comes in is
/// `settled` at once.
pub(super) struct Shard {
    blocks: HashMap<BlockId, Slot, BuildHasherDefault<Mixed>>,
    probation: VecDeque<BlockId>,
    settled: VecDeque<BlockId>,
    ghosts: HashSet<BlockId, BuildHasherDefault<Mixed>>,
    /// The ghosts in their order, with some that are none any more.
    departed: VecDeque<BlockId>,
    capacity: usize,
}

struct Slot {
    bytes: Box<[u8; BLOCK]>,
    valid: Sectors,
    hits: u8,
    is_settled: bool,
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
    pub(super) fn new(capacity: usize) -> Self {
        let (blocks, probation, settled, ghosts, departed) = Default::default();
        Self { blocks, probation, settled, ghosts, departed, capacity }
    }

    pub(super) fn used(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn contains(&self, id: BlockId) -> bool {
        self.blocks.contains_key(&id)
    }

    pub(super) fn read(&mut self, id: BlockId, sectors: Sectors) -> Option<&[u8; BLOCK]> {
        let slot = self.blocks.get_mut(&id).filter(|slot| slot.valid.includes(sectors))?;
        if slot.hits < MOST_HITS {
            slot.hits += 1;
        }
        Some(&slot.bytes)
    }

    pub(super) fn install(&mut self, id: BlockId, bytes: Box<[u8; BLOCK]>, valid: Sectors) {
        if let Some(slot) = self.blocks.get_mut(&id) {
            (slot.bytes, slot.valid) = (bytes, valid);
            return;
        }
        if self.capacity == 0 {
            return;
        }
        while self.blocks.len() >= self.capacity {
            self.evict();
        }
        let is_settled = self.ghosts.remove(&id);
        self.blocks.insert(id, Slot { bytes, valid, hits: 0, is_settled });
        if is_settled { &mut self.settled } else { &mut self.probation }.push_back(id);
    }

    pub(super) fn update(&mut self, id: BlockId, sectors: Sectors, change: impl FnOnce(&mut [u8])) {
        if let Some(slot) = self.blocks.get_mut(&id) {
            change(&mut slot.bytes[..]);
            slot.valid = slot.valid.and(sectors);
        }
    }

    pub(super) fn forget(&mut self, id: BlockId) {
        if let Some(slot) = self.blocks.remove(&id) {
            let queue = if slot.is_settled { &mut self.settled } else { &mut self.probation };
            queue.retain(|other| *other != id);
        }
    }

    pub(super) fn forget_all(&mut self, ids: &Range<BlockId>) {
        self.blocks.retain(|id, _| !ids.contains(id));
        self.probation.retain(|id| !ids.contains(id));
        self.settled.retain(|id| !ids.contains(id));
    }

    /// Throws one block out.
    fn evict(&mut self) {
        // Probation has a tenth of the room.
        while self.probation.len() * 10 > self.capacity || self.settled.is_empty() {
            let Some(id) = self.probation.pop_front() else { return };
            let Some(slot) = self.blocks.get_mut(&id) else { continue };
            if slot.hits > 0 {
                (slot.hits, slot.is_settled) = (0, true);
                self.settled.push_back(id);
                continue;
            }
            self.blocks.remove(&id);
            while self.departed.len() >= self.capacity {
                let Some(oldest) = self.departed.pop_front() else { break };
                self.ghosts.remove(&oldest);
            }
            self.ghosts.insert(id);
            self.departed.push_back(id);
            return;
        }
        while let Some(id) = self.settled.pop_front() {
            let Some(slot) = self.blocks.get_mut(&id) else { continue };
            if slot.hits == 0 {
                self.blocks.remove(&id);
                return;
            }
            // Once more around for every time that it was asked for.
            slot.hits -= 1;
            self.settled.push_back(id);
        }
    }
}
