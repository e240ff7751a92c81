//! What was read of the disks, in memory, a block of 4 KiB at a time.
//!
//! The cache is cut into shards, each with a lock of its own, so that workers hardly ever meet. A
//! hit holds its shard for as long as it takes to copy. What is thrown out is decided as S3-FIFO
//! does: a block that comes in is on probation, and only what is asked for again there, or comes
//! back soon after, gets among those that a scan can't drive out.

mod shard;

use shard::Shard;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of a block.
pub const BLOCK: usize = 4096;
/// Sectors of a block.
pub const BLOCK_SECTORS: u64 = 8;
/// Parts that are locked apart from each other; fewer where each would have hardly a block.
const SHARDS: usize = 64;
/// Fewest blocks of a shard that is worth it.
const LEAST_BLOCKS: usize = 64;
/// Blocks that are looked for one by one when they are thrown out; with more, all are looked at.
const FEW_BLOCKS: u64 = 16;
/// Bits of a [`BlockId`] that number the block; what is above names the store.
const BLOCK_BITS: u32 = 48;

/// A block of a file or device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(u64);

/// Sectors of a block, a bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sectors(u8);

/// A block that is not in the cache yet.
pub struct Fresh(Box<[u8; BLOCK]>);

/// Blocks of all stores.
pub struct Cache {
    shards: Vec<Mutex<Shard>>,
    capacity: usize,
}

impl BlockId {
    /// The block of this number, below 2^48, of a store.
    pub const fn new(store: u16, block: u64) -> Self {
        Self((store as u64) << BLOCK_BITS | block & ((1 << BLOCK_BITS) - 1))
    }

    /// A number that looks like chance.
    const fn mixed(self) -> u64 {
        // Neighbours go to different shards, and a multiplication alone would leave the low bits.
        let mixed = self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed ^ mixed >> 32
    }
}

impl Sectors {
    /// Those of this range, within 0 to 8.
    pub const fn range(sectors: Range<usize>) -> Self {
        Self(((1_u16 << sectors.end) - 1) as u8 & !(((1_u16 << sectors.start) - 1) as u8))
    }

    /// The first ones, at most 8.
    pub const fn first(count: usize) -> Self {
        Self::range(0..count)
    }

    const fn includes(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }
}

impl Fresh {
    /// What will be in it.
    pub fn bytes_mut(&mut self) -> &mut [u8; BLOCK] {
        &mut self.0
    }
}

impl Cache {
    /// A cache of at most so many blocks, none of which takes memory before it is needed.
    pub fn new(capacity: usize) -> Self {
        let shards = (capacity / LEAST_BLOCKS).clamp(1, SHARDS);
        let shard = || Mutex::new(Shard::new(capacity / shards));
        Self {
            shards: (0..shards).map(|_| shard()).collect(),
            capacity: capacity / shards * shards,
        }
    }

    /// Blocks that it holds at most.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Blocks that it holds.
    pub fn used(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).used()).sum()
    }

    fn shard(&self, id: BlockId) -> MutexGuard<'_, Shard> {
        lock(&self.shards[(id.mixed() >> 40) as usize % self.shards.len()])
    }

    /// Whether any of the block is there.
    pub fn contains(&self, id: BlockId) -> bool {
        self.shard(id).contains(id)
    }

    /// Looks at a block, if these sectors of it are there.
    pub fn read<R>(
        &self,
        id: BlockId,
        sectors: Sectors,
        look: impl FnOnce(&[u8; BLOCK]) -> R,
    ) -> Option<R> {
        self.shard(id).read(id, sectors).map(look)
    }

    /// A block to be filled; `None` where there is no cache.
    pub fn prepare(&self) -> Option<Fresh> {
        (self.capacity > 0).then(|| Fresh(Box::new([0; BLOCK])))
    }

    /// Takes a block in, these sectors of which say something, in the place of what there was of
    /// it.
    pub fn install(&self, id: BlockId, block: Fresh, valid: Sectors) {
        self.shard(id).install(id, block.0, valid);
    }

    /// Changes these sectors of a block, if it is there.
    pub fn update(&self, id: BlockId, sectors: Sectors, change: impl FnOnce(&mut [u8])) {
        self.shard(id).update(id, sectors, change);
    }

    /// Throws out what there is of these blocks of a store.
    pub fn forget(&self, store: u16, blocks: Range<u64>) {
        // The last block that a number can name, of which there never is one.
        let last = (1 << BLOCK_BITS) - 1;
        let blocks = blocks.start.min(last)..blocks.end.clamp(blocks.start.min(last), last);
        if blocks.end - blocks.start <= FEW_BLOCKS {
            for block in blocks {
                let id = BlockId::new(store, block);
                self.shard(id).forget(id);
            }
        } else {
            let range = BlockId::new(store, blocks.start)..BlockId::new(store, blocks.end);
            self.shards.iter().for_each(|shard| lock(shard).forget_all(&range));
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn put(cache: &Cache, id: BlockId, fill: u8) {
        let mut block = cache.prepare().unwrap();
        block.bytes_mut().fill(fill);
        cache.install(id, block, Sectors::first(8));
    }

    fn is_hit(cache: &Cache, block: u64) -> bool {
        cache.read(BlockId::new(0, block), Sectors::first(8), |_| ()).is_some()
    }

    #[test]
    fn ranges_are_bits() {
        assert_eq!(Sectors::range(0..8), Sectors(0xFF));
        assert_eq!(Sectors::range(1..3), Sectors(0b110));
        assert_eq!(Sectors::first(1), Sectors(1));
        assert_eq!(Sectors::range(8..8), Sectors(0));
    }

    /// Once through everything, ten times as much as fits, must not drive out what is in use.
    #[test]
    fn a_scan_leaves_the_hot_set() {
        let cache = Cache::new(4096);
        let hot = 0..2048;
        for _ in 0..4 {
            for block in hot.clone() {
                if !is_hit(&cache, block) {
                    put(&cache, BlockId::new(0, block), 1);
                }
            }
        }
        let rate = || hot.clone().filter(|block| is_hit(&cache, *block)).count() * 100 / 2048;
        let before = rate();
        for block in 100_000..140_960 {
            assert!(!is_hit(&cache, block));
            put(&cache, BlockId::new(0, block), 2);
        }
        let after = rate();
        assert!(before == 100 && after >= 90, "{before} % before the scan, {after} % after it");
        assert_eq!(cache.used(), cache.capacity());
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let cache = Cache::new(0);
        assert!(cache.prepare().is_none());
        assert!(!is_hit(&cache, 1));
        cache.forget(0, 0..u64::MAX);
    }

    proptest! {
        /// Whatever is found is what was put there last; nothing that was thrown out is found.
        #[test]
        fn hits_are_true(
            capacity in 1_usize..300,
            steps in prop::collection::vec((0_u8..5, 0_u64..400, 0_usize..8, 1_usize..9), 1..1500),
        ) {
            let cache = Cache::new(capacity);
            let mut model: HashMap<u64, [Option<u8>; 8]> = HashMap::new();
            for (number, (what, block, first, count)) in steps.into_iter().enumerate() {
                let id = BlockId::new((block % 2) as u16, block);
                let sectors = first..(first + count).min(8);
                let fill = number as u8;
                match what {
                    0 => {
                        let mut fresh = cache.prepare().unwrap();
                        fresh.bytes_mut().fill(fill);
                        cache.install(id, fresh, Sectors::first(sectors.end));
                        let filled = |at| (at < sectors.end).then_some(fill);
                        model.insert(block, std::array::from_fn(filled));
                    }
                    1 => {
                        cache.update(id, Sectors::range(sectors.clone()), |bytes| {
                            bytes[sectors.start * 512..sectors.end * 512].fill(fill);
                        });
                        if let Some(known) = model.get_mut(&block) {
                            known[sectors].fill(Some(fill));
                        }
                    }
                    2 => {
                        let blocks = block..block + count as u64 * 60;
                        cache.forget((block % 2) as u16, blocks.clone());
                        model.retain(|at, _| !(blocks.contains(at) && at % 2 == block % 2));
                    }
                    _ => {
                        let seen = cache.read(id, Sectors::range(sectors.clone()), |bytes| {
                            sectors.clone().map(|at| bytes[at * 512 + 7]).collect::<Vec<_>>()
                        });
                        if let Some(seen) = seen {
                            let known = model.get(&block).copied().unwrap_or_default();
                            for (at, byte) in sectors.zip(seen) {
                                prop_assert_eq!(known[at], Some(byte));
                            }
                        }
                    }
                }
                prop_assert!(cache.used() <= capacity);
            }
        }
    }
}
