//! The memory of the cache: arenas on huge pages, cut into chunks of one block each.
//!
//! A chunk is *pinned* by who reads it, any number at once, and *claimed* by who changes it, alone.
//! Both are one step on one word of its header, whoever else is about; that is all that the
//! soundness of the cache rests on. What a chunk holds is the business of its shard.
#![allow(unsafe_code, reason = "who may touch a chunk is decided by its header")]

use super::{BLOCK, BlockId, Sectors};
use aoe_xsk::{HugePages, Region};
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::ops::Deref;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

/// Bytes of an arena; the last one may have fewer.
const ARENA: usize = 64 << 20;
/// Chunks of an arena. Their headers are behind them, on the same large pages: to look one up in
/// pages of 4 KiB takes as long as to copy a sector.
pub(super) const ARENA_CHUNKS: usize = ARENA / (BLOCK + size_of::<Header>());
/// Chunks are numbered as if an arena had this power of two of them.
const ARENA_BITS: u32 = ARENA_CHUNKS.next_power_of_two().ilog2();

/// How often a block was asked for is counted up to this.
pub(super) const MOST_HITS: u32 = 3;

/// The word of a header: which sectors of it say something, hits, claim, and pins from there on.
const VALID: u32 = 0xFF;
const HIT: u32 = 1 << 8;
const HITS: u32 = MOST_HITS * HIT;
const CLAIM: u32 = 1 << 10;
const PIN: u32 = 1 << 11;

/// The number of a chunk, from 1 on.
pub(super) type Number = NonZeroU32;

/// All chunks. Arenas are added while others are used, and stay.
pub(super) struct Pool {
    arenas: Box<[OnceLock<Arena>]>,
}

struct Arena {
    region: Region,
    chunks: usize,
}

/// Things that are what they are when all of their bytes are 0, on large pages.
pub(super) struct Table<T> {
    region: Region,
    _of: PhantomData<T>,
}

/// A thing that any thread may look at, and that all bytes may be 0 of.
///
/// # Safety
///
/// It is made of atomics and nothing else.
pub(super) unsafe trait Atomics {}

// SAFETY: it is one.
unsafe impl Atomics for Link {}
// SAFETY: it has nothing else.
unsafe impl Atomics for Header {}

/// What is known of a chunk. All but the first two belong to its shard, which is locked by whoever
/// looks at them.
pub(super) struct Header {
    /// Changed only under a claim.
    id: AtomicU64,
    word: AtomicU32,
    /// The next chunk that has the same place in the index; others follow it without the lock.
    pub(super) next: Link,
    /// The neighbours in its queue.
    pub(super) older: Link,
    pub(super) newer: Link,
    /// Sectors that are newer than the disk's.
    pub(super) dirty: Mask,
    /// Sectors that are being written.
    pub(super) writing: Mask,
    /// Which queue it is in.
    pub(super) is_settled: AtomicBool,
}

/// A chunk's number, or none.
pub(super) struct Link(AtomicU32);

/// A set of sectors.
pub(super) struct Mask(AtomicU8);

/// A chunk that stays as it is until this is dropped.
pub(super) struct Pinned<'a> {
    chunk: Chunk<'a>,
}

/// A chunk that nobody else reads or changes. It is empty when this is dropped.
pub(super) struct Claimed<'a> {
    number: Number,
    chunk: Chunk<'a>,
    /// How often it had been asked for, and which sectors said something.
    hits: u32,
    valid: Sectors,
    /// What the word of its header will be.
    word: u32,
}

#[derive(Clone, Copy)]
struct Chunk<'a> {
    header: &'a Header,
    bytes: *mut [u8; BLOCK],
}

// SAFETY: a chunk's bytes may be touched from any thread: who may touch them follows from the
// header, which is made of atomics.
unsafe impl Send for Chunk<'_> {}

impl Pool {
    /// Room for the arenas of so many chunks, none of which is there yet.
    pub(super) fn new(chunks: usize) -> Self {
        let arenas = chunks.div_ceil(ARENA_CHUNKS);
        Self { arenas: (0..arenas).map(|_| OnceLock::new()).collect() }
    }

    /// Bytes of an arena of so many chunks.
    pub(super) const fn bytes(chunks: usize) -> usize {
        chunks * (BLOCK + size_of::<Header>())
    }

    /// Adds the next arena, of as many chunks as there are whole ones in this memory, which nobody
    /// has used. Returns their numbers; none where there is no room for it.
    pub(super) fn add(&self, region: Region) -> impl Iterator<Item = Number> + use<> {
        let chunks = (region.bytes() / Self::bytes(1)).min(ARENA_CHUNKS);
        let mut arena = Some(Arena { region, chunks });
        let at = self.arenas.iter().position(|place| {
            place.get_or_init(|| arena.take().unwrap_or_else(|| unreachable!("it was not added")));
            arena.is_none()
        });
        let first = at.unwrap_or(0) << ARENA_BITS;
        let numbers = first..first + if at.is_some() { chunks } else { 0 };
        numbers.filter_map(|index| Number::new(index as u32 + 1))
    }

    fn chunk(&self, number: Number) -> Chunk<'_> {
        let index = number.get() as usize - 1;
        let arena = self.arenas[index >> ARENA_BITS].get();
        let arena = arena.unwrap_or_else(|| unreachable!("it was numbered"));
        let at = index & ((1 << ARENA_BITS) - 1);
        // There are as many headers as chunks.
        let header = &arena.headers()[at];
        Chunk { header, bytes: arena.region.base().wrapping_add(at * BLOCK).cast() }
    }

    pub(super) fn header(&self, number: Number) -> &Header {
        self.chunk(number).header
    }

    /// Pins a chunk, if it has these sectors of this block, of which there is at least one.
    pub(super) fn pin(&self, number: Number, id: BlockId, wanted: Sectors) -> Option<Pinned<'_>> {
        let chunk = self.chunk(number);
        let word = &chunk.header.word;
        let pinned = word.fetch_update(Ordering::Acquire, Ordering::Relaxed, |word| {
            let is_there = Sectors((word & VALID) as u8).includes(wanted) && !wanted.is_empty();
            // Who claims it empties it, so that this also says that nobody does.
            is_there.then(|| word + PIN + if word & HITS < HITS { HIT } else { 0 })
        });
        let pinned = pinned.ok().map(|_| Pinned { chunk })?;
        // From here on it does not change.
        (chunk.header.id() == id).then_some(pinned)
    }

    /// Claims a chunk, unless somebody reads or has claimed it.
    pub(super) fn claim(&self, number: Number) -> Option<Claimed<'_>> {
        let chunk = self.chunk(number);
        let claimed =
            chunk.header.word.fetch_update(Ordering::Acquire, Ordering::Relaxed, |word| {
                (word < CLAIM).then_some(CLAIM)
            });
        let word = claimed.ok()?;
        let (valid, hits) = (Sectors((word & VALID) as u8), word / HIT);
        Some(Claimed { number, chunk, hits, valid, word: 0 })
    }
}

impl Arena {
    fn headers(&self) -> &[Header] {
        // SAFETY: the region has room for as many chunks and then headers, and is zeroed; the
        // headers are aligned, being behind whole blocks; and nothing else is ever written there.
        unsafe { things(&self.region, self.chunks * BLOCK, self.chunks) }
    }
}

impl<T: Atomics> Table<T> {
    /// Memory for so many.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub(super) fn new(count: usize, huge_pages: HugePages) -> Result<Self, aoe_xsk::Error> {
        let region = Region::map(count * size_of::<T>(), huge_pages)?;
        Ok(Self { region, _of: PhantomData })
    }
}

impl<T: Atomics> Deref for Table<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the region has room for them, is zeroed and aligned to a page, and is written to
        // only as what they are.
        unsafe { things(&self.region, 0, self.region.bytes() / size_of::<T>()) }
    }
}

/// So many things in a region, from this byte on.
///
/// # Safety
///
/// They are within it and aligned, it was zeroed, and this part of it is used for nothing else.
unsafe fn things<T: Atomics>(region: &Region, from: usize, count: usize) -> &[T] {
    // SAFETY: zeroes are a value of `Atomics`, which may be changed through shared references; the
    // caller says the rest.
    unsafe { std::slice::from_raw_parts(region.base().wrapping_add(from).cast(), count) }
}

impl Header {
    /// The block that it holds, or held.
    pub(super) fn id(&self) -> BlockId {
        BlockId(self.id.load(Ordering::Relaxed))
    }

    /// Sectors that say something.
    pub(super) fn valid(&self) -> Sectors {
        Sectors((self.word.load(Ordering::Relaxed) & VALID) as u8)
    }

    pub(super) fn hits(&self) -> u32 {
        (self.word.load(Ordering::Relaxed) & HITS) / HIT
    }

    /// Has been asked for once less, or never.
    pub(super) fn cool(&self, hits: u32) {
        let cooled = |word| Some((word & !HITS) | (hits * HIT));
        let _ = self.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, cooled);
    }

    /// Lets nobody pin it any more. Those who have keep it.
    pub(super) fn empty(&self) {
        self.word.fetch_and(!(VALID | HITS), Ordering::Relaxed);
    }

    /// Leaves no more than these sectors.
    pub(super) fn leave(&self, sectors: Sectors) {
        self.word.fetch_and(!VALID | u32::from(sectors.0), Ordering::Relaxed);
    }

    /// Whether any of it is newer than the disk's, or may be.
    pub(super) fn is_dirty(&self) -> bool {
        !self.unsaved().is_empty()
    }

    pub(super) fn unsaved(&self) -> Sectors {
        self.dirty.get().and(self.writing.get())
    }
}

impl Link {
    pub(super) fn get(&self) -> Option<Number> {
        // Who comes upon a chunk in the index without the lock has to see it as it was put there.
        Number::new(self.0.load(Ordering::Acquire))
    }

    pub(super) fn set(&self, number: Option<Number>) {
        self.0.store(number.map_or(0, Number::get), Ordering::Release);
    }
}

impl Mask {
    pub(super) fn get(&self) -> Sectors {
        Sectors(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn set(&self, sectors: Sectors) {
        self.0.store(sectors.0, Ordering::Relaxed);
    }

    pub(super) fn take(&self) -> Sectors {
        let sectors = self.get();
        self.set(Sectors::NONE);
        sectors
    }
}

impl Pinned<'_> {
    pub(super) fn bytes(&self) -> &[u8; BLOCK] {
        // SAFETY: the chunk is within an arena that stays mapped; mapped memory is initialized; and
        // as long as it is pinned nobody can claim it, without which nobody writes to it.
        unsafe { &*self.chunk.bytes }
    }
}

impl Drop for Pinned<'_> {
    fn drop(&mut self) {
        self.chunk.header.word.fetch_sub(PIN, Ordering::Release);
    }
}

impl<'a> Claimed<'a> {
    pub(super) const fn number(&self) -> Number {
        self.number
    }

    pub(super) const fn header(&self) -> &'a Header {
        self.chunk.header
    }

    pub(super) const fn bytes_mut(&mut self) -> &mut [u8; BLOCK] {
        // SAFETY: the chunk is within an arena that stays mapped, mapped memory is initialized, and
        // while it is claimed it can neither be pinned nor claimed once more.
        unsafe { &mut *self.chunk.bytes }
    }

    /// Names the block that will be in it.
    pub(super) fn name(&self, id: BlockId) {
        self.chunk.header.id.store(id.0, Ordering::Relaxed);
    }

    /// What was in it when it was claimed.
    pub(super) const fn valid(&self) -> Sectors {
        self.valid
    }

    /// Lets others read it, these sectors of which say something. It has been asked for as often as
    /// before.
    pub(super) fn publish(mut self, valid: Sectors) {
        self.word = u32::from(valid.0) | (self.hits * HIT);
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        self.chunk.header.word.store(self.word, Ordering::Release);
    }
}
