//! Blocks of the disks in memory, 4 KiB each: what was read of them, and what is still to be written.
//!
//! A hit takes no lock: the block's chunk is looked up, pinned, and copied from. Everything else is
//! done under the lock of one of the shards that the cache is cut into. What is thrown out is
//! decided as S3-FIFO does: a block that comes in is on probation, and only what is asked for again
//! there, or comes back soon after, gets among those that a scan can't drive out.
//!
//! The memory comes in arenas, the first at the start and the others when nothing else is to be
//! done, so that a start takes no time, and no request waits for memory to be zeroed.

mod growth;
mod index;
mod pool;
mod queue;
mod shard;

pub use growth::keep_growing;

use aoe_xsk::{HugePages, Pages, Region};
use index::Index;
use pool::{Claimed, Pool};
use shard::{Shard, Tables};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
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
/// The part of the room that stays free when the first of the parts is full.
pub const UNEVEN: usize = 32;
/// Bits of a [`BlockId`] that number the block; what is above names the store.
const BLOCK_BITS: u32 = 48;
/// Bytes of a sector.
const SECTOR: usize = BLOCK / BLOCK_SECTORS as usize;

/// A block of a file or device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(u64);

/// Sectors of a block, a bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sectors(u8);

/// A block that is not in the cache yet.
pub struct Fresh<'a> {
    cache: &'a Cache,
    chunk: Option<Claimed<'a>>,
}

/// Whether data that its disk does not have yet was taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Laid {
    /// Its block had nothing of the kind.
    First,
    /// Its block is to be written anyway.
    More,
    /// There is no room.
    NoRoom,
}

/// Blocks of all stores.
pub struct Cache {
    tables: Tables,
    shards: Box<[Mutex<Shard>]>,
    capacity: usize,
    /// Chunks that it has memory for.
    chunks: AtomicUsize,
    /// Blocks of which something is newer than the disk's.
    dirty: AtomicUsize,
    /// What its memory is to be on, and what the last of it is on.
    huge_pages: HugePages,
    pages: Mutex<Option<Pages>>,
}

impl BlockId {
    /// The block of this number, below 2^48, of a store.
    pub const fn new(store: u16, block: u64) -> Self {
        Self((store as u64) << BLOCK_BITS | block & ((1 << BLOCK_BITS) - 1))
    }

    /// A number that looks like chance, and spreads neighbours more evenly than that would.
    const fn mixed(self) -> u64 {
        self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// Which of 2 to the power of `bits` parts it is in.
    const fn part(self, bits: u32) -> usize {
        (self.mixed() >> 1 >> (63 - bits)) as usize
    }
}

impl Sectors {
    /// None.
    pub const NONE: Self = Self(0);

    /// Those of this range, within 0 to 8.
    pub const fn range(sectors: Range<usize>) -> Self {
        Self(((1_u16 << sectors.end) - 1) as u8 & !(((1_u16 << sectors.start) - 1) as u8))
    }

    /// The first ones, at most 8.
    pub const fn first(count: usize) -> Self {
        Self::range(0..count)
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of these are among them.
    pub const fn includes(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// They and others.
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Those that are among others, too.
    pub const fn within(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Whether this one is among them.
    pub const fn has(self, sector: usize) -> bool {
        self.0 & 1 << sector != 0
    }

    /// Copies them from one block to another.
    fn copy(self, from: &[u8; BLOCK], to: &mut [u8; BLOCK]) {
        let (from, to) = (from.chunks_exact(SECTOR), to.chunks_exact_mut(SECTOR));
        for (_, (from, to)) in from.zip(to).enumerate().filter(|(at, _)| self.has(*at)) {
            to.copy_from_slice(from);
        }
    }
}

/// These sectors of a store by the blocks that they are in: each with its number, which sectors of
/// it those are, and where its bytes are.
pub fn pieces(sectors: &Range<u64>) -> impl Iterator<Item = (u64, Sectors, Range<usize>)> + use<> {
    let Range { start, end } = *sectors;
    (start / BLOCK_SECTORS..end.div_ceil(BLOCK_SECTORS)).map(move |block| {
        let first = block * BLOCK_SECTORS;
        let from = start.saturating_sub(first) as usize;
        let until = (end - first).min(BLOCK_SECTORS) as usize;
        (block, Sectors::range(from..until), from * SECTOR..until * SECTOR)
    })
}

impl Fresh<'_> {
    /// What will be in it.
    pub fn bytes_mut(&mut self) -> &mut [u8; BLOCK] {
        let chunk = self.chunk.as_mut();
        chunk.unwrap_or_else(|| unreachable!("it is taken only at its end")).bytes_mut()
    }

    /// Takes it in as this block, these sectors of which say something. What the cache has of the
    /// block already stays.
    pub fn install(mut self, id: BlockId, valid: Sectors) {
        let Some(chunk) = self.chunk.take() else { return };
        chunk.name(id);
        self.cache.shard(id).install(&self.cache.tables, chunk, valid);
    }
}

impl Drop for Fresh<'_> {
    fn drop(&mut self) {
        if let Some(chunk) = self.chunk.take() {
            let id = chunk.header().id();
            self.cache.shard(id).give(chunk.number());
        }
    }
}

impl Cache {
    /// A cache of at most so many blocks, which has memory for none of them yet.
    ///
    /// # Errors
    ///
    /// Where there is no memory for its index.
    pub fn new(capacity: usize, huge_pages: HugePages) -> Result<Self, aoe_xsk::Error> {
        let shards = 1 << (capacity / LEAST_BLOCKS).clamp(1, SHARDS).ilog2();
        let (pool, index) = (Pool::new(capacity), Index::new(capacity, huge_pages)?);
        Ok(Self {
            tables: Tables { pool, index },
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            capacity,
            chunks: AtomicUsize::new(0),
            dirty: AtomicUsize::new(0),
            huge_pages,
            pages: Mutex::default(),
        })
    }

    /// Blocks that it holds at most.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Blocks that it has memory for now.
    pub fn chunks(&self) -> usize {
        self.chunks.load(Ordering::Relaxed)
    }

    /// Blocks that it holds.
    pub fn used(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).used()).sum()
    }

    /// Blocks of which something is newer than the disk's.
    pub fn dirty(&self) -> usize {
        self.dirty.load(Ordering::Relaxed)
    }

    /// What the last of its memory is on.
    pub fn pages(&self) -> String {
        lock(&self.pages).as_ref().map_or_else(|| "no memory".to_owned(), Pages::to_string)
    }

    fn shard(&self, id: BlockId) -> MutexGuard<'_, Shard> {
        // All blocks of one place in the index belong to one shard: it has no fewer places.
        lock(&self.shards[id.part(self.shards.len().ilog2())])
    }

    /// Whether any of the block is there.
    pub fn contains(&self, id: BlockId) -> bool {
        let _locked = self.shard(id);
        self.tables.index.find(&self.tables.pool, id).is_some()
    }

    /// Looks at a block, if these sectors of it are there. It may fail to find what is just being
    /// changed: [`read_again`](Self::read_again) does not.
    pub fn read<R>(
        &self,
        id: BlockId,
        sectors: Sectors,
        look: impl FnOnce(&[u8; BLOCK]) -> R,
    ) -> Option<R> {
        let Tables { pool, index } = &self.tables;
        index.pin(pool, id, sectors).map(|pinned| look(pinned.bytes()))
    }

    /// The same, for who has found nothing.
    pub fn read_again<R>(
        &self,
        id: BlockId,
        sectors: Sectors,
        look: impl FnOnce(&[u8; BLOCK]) -> R,
    ) -> Option<R> {
        let _locked = self.shard(id);
        self.read(id, sectors, look)
    }

    /// Has a look at those of these sectors of a block that are there. Returns which those are.
    pub fn gather(
        &self,
        id: BlockId,
        sectors: Sectors,
        look: impl FnOnce(&[u8; BLOCK], Sectors),
    ) -> Sectors {
        let Tables { pool, index } = &self.tables;
        let _locked = self.shard(id);
        let number = index.find(pool, id);
        let there = number.map_or(Sectors::NONE, |number| pool.header(number).valid());
        let there = there.within(sectors);
        if let Some(pinned) = number.and_then(|number| pool.pin(number, id, there)) {
            look(pinned.bytes(), there);
        }
        there
    }

    /// A block to be filled; `None` where there is no room for it.
    pub fn prepare(&self, id: BlockId) -> Option<Fresh<'_>> {
        let chunk = self.shard(id).claim(&self.tables)?;
        // Where it goes if nothing comes of it.
        chunk.name(id);
        Some(Fresh { cache: self, chunk: Some(chunk) })
    }

    /// Changes these sectors of a block, if it is there.
    pub fn update(&self, id: BlockId, sectors: Sectors, change: impl Fn(&mut [u8; BLOCK])) {
        self.shard(id).update(&self.tables, id, sectors, change);
    }

    /// Takes on these sectors of a block, which its disk does not have yet.
    pub fn lay(&self, id: BlockId, sectors: Sectors, change: impl Fn(&mut [u8; BLOCK])) -> Laid {
        let Tables { pool, index } = &self.tables;
        let mut shard = self.shard(id);
        let number = if let Some(number) = shard.update(&self.tables, id, sectors, &change) {
            number
        } else if index.find(pool, id).is_some() {
            return Laid::NoRoom;
        } else {
            // The other half is for what is read, and for what comes while it is written.
            if self.dirty() >= (self.capacity / 2).max(1) {
                return Laid::NoRoom;
            }
            let Some(mut chunk) = shard.claim(&self.tables) else { return Laid::NoRoom };
            change(chunk.bytes_mut());
            chunk.name(id);
            let number = chunk.number();
            shard.install(&self.tables, chunk, sectors);
            number
        };
        let header = pool.header(number);
        if !header.is_dirty() {
            self.dirty.fetch_add(1, Ordering::Relaxed);
        }
        let before = header.dirty.get();
        header.dirty.set(before.and(sectors));
        if before.is_empty() { Laid::First } else { Laid::More }
    }

    /// Takes what is dirty of a block for writing: has a look at it, at which sectors those are,
    /// and at which are there. Until [`settle`](Self::settle) the block stays.
    pub fn take_dirty(&self, id: BlockId, look: impl FnOnce(&[u8; BLOCK], Sectors, Sectors)) {
        let Tables { pool, index } = &self.tables;
        let _locked = self.shard(id);
        let Some(number) = index.find(pool, id) else { return };
        let header = pool.header(number);
        let (dirty, valid) = (header.dirty.take(), header.valid());
        header.writing.set(header.writing.get().and(dirty));
        if let Some(pinned) = pool.pin(number, id, dirty) {
            look(pinned.bytes(), dirty, valid);
        }
    }

    /// What was taken of a block is written, or is not and is dirty again.
    pub fn settle(&self, id: BlockId, written: bool) {
        let Tables { pool, index } = &self.tables;
        let _locked = self.shard(id);
        let Some(number) = index.find(pool, id) else { return };
        let header = pool.header(number);
        let taken = header.writing.take();
        if !written {
            header.dirty.set(header.dirty.get().and(taken));
        }
        if !taken.is_empty() && !header.is_dirty() {
            self.dirty.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Throws out what there is of these blocks of a store, but for what is dirty.
    pub fn forget(&self, store: u16, blocks: Range<u64>) {
        // The last block that a number can name, of which there never is one.
        let last = (1 << BLOCK_BITS) - 1;
        let blocks = blocks.start.min(last)..blocks.end.clamp(blocks.start.min(last), last);
        if blocks.end - blocks.start <= FEW_BLOCKS {
            for block in blocks {
                let id = BlockId::new(store, block);
                self.shard(id).forget(&self.tables, id);
            }
        } else {
            let range = BlockId::new(store, blocks.start)..BlockId::new(store, blocks.end);
            self.shards.iter().for_each(|shard| lock(shard).forget_all(&self.tables, &range));
        }
    }

    /// Takes on more memory. Returns the pages that it got; `None` where it has as much as it may.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub fn grow(&self) -> Result<Option<Pages>, aoe_xsk::Error> {
        let chunks = (self.capacity - self.chunks()).min(pool::ARENA_CHUNKS);
        if chunks == 0 {
            return Ok(None);
        }
        let region = Region::map(Pool::bytes(chunks), self.huge_pages)?;
        // What the kernel would write to its swap is faster on the disk that it is from.
        let _ = region.lock();
        let pages = region.pages().clone();
        *lock(&self.pages) = Some(pages.clone());
        let mut shards: Vec<_> = self.shards.iter().map(lock).collect();
        for (at, number) in self.tables.pool.add(region).enumerate() {
            let of = shards.len();
            shards[at % of].add(number);
        }
        self.chunks.fetch_add(chunks, Ordering::Relaxed);
        Ok(Some(pages))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
