use super::*;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::thread;

/// A cache that has all its memory.
fn full_grown(capacity: usize) -> Cache {
    let cache = Cache::new(capacity, HugePages::Use).unwrap();
    while cache.grow().unwrap().is_some() {}
    cache
}

fn put(cache: &Cache, id: BlockId, fill: u8) {
    let mut block = cache.prepare(id).unwrap();
    block.bytes_mut().fill(fill);
    block.install(id, Sectors::first(8));
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
    let cache = full_grown(4096);
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
    let cache = full_grown(0);
    assert!(cache.prepare(BlockId::new(0, 1)).is_none());
    assert!(!is_hit(&cache, 1));
    cache.forget(0, 0..u64::MAX);
}

/// Sectors of a model of the cache: what is in each, and whether it is dirty.
type Model = HashMap<u64, [Option<(u8, bool)>; 8]>;

fn fill(bytes: &mut [u8], sectors: &Range<usize>, with: u8) {
    bytes[sectors.start * SECTOR..sectors.end * SECTOR].fill(with);
}

proptest! {
    /// Whatever is found is what was put there last; nothing that was thrown out is found, unless
    /// its disk does not have it yet: that never gets lost.
    #[test]
    fn hits_are_true(
        capacity in 1_usize..300,
        steps in prop::collection::vec((0_u8..9, 0_u64..400, 0_usize..8, 1_usize..9), 1..1500),
    ) {
        let cache = full_grown(capacity);
        let mut model = Model::new();
        for (number, (what, block, first, count)) in steps.into_iter().enumerate() {
            let id = BlockId::new((block % 2) as u16, block);
            let sectors = first..(first + count).min(8);
            let mask = Sectors::range(sectors.clone());
            let with = number as u8;
            match what {
                0 => {
                    let Some(mut fresh) = cache.prepare(id) else { continue };
                    fresh.bytes_mut().fill(with);
                    fresh.install(id, Sectors::first(sectors.end));
                    let known = model.entry(block).or_default();
                    for sector in &mut known[..sectors.end] {
                        // It may have been thrown out unnoticed, unless it is dirty.
                        if !sector.is_some_and(|(_, dirty)| dirty) {
                            *sector = None;
                        }
                    }
                    let seen = cache.gather(id, Sectors::first(8), |bytes, there| {
                        for at in (0..8).filter(|at| there.has(*at)) {
                            let found = bytes[at * SECTOR + 7];
                            known[at].get_or_insert((found, false));
                        }
                    });
                    prop_assert!(seen.includes(Sectors::first(sectors.end)));
                }
                1 => {
                    cache.update(id, mask, |bytes| fill(bytes, &sectors, with));
                    if let Some(known) = model.get_mut(&block) {
                        for sector in &mut known[sectors] {
                            *sector = Some((with, sector.is_some_and(|(_, dirty)| dirty)));
                        }
                    }
                }
                2 => {
                    let blocks = block..block + count as u64 * 60;
                    cache.forget((block % 2) as u16, blocks.clone());
                    let gone = |at: &u64| blocks.contains(at) && at % 2 == block % 2;
                    for (_, known) in model.iter_mut().filter(|(at, _)| gone(at)) {
                        for sector in known {
                            *sector = sector.filter(|(_, dirty)| *dirty);
                        }
                    }
                }
                3 | 4 => {
                    let laid = cache.lay(id, mask, |bytes| fill(bytes, &sectors, with));
                    if laid != Laid::NoRoom {
                        let known = model.entry(block).or_default();
                        let was_clean = !known.iter().flatten().any(|(_, dirty)| *dirty);
                        prop_assert_eq!(laid == Laid::First, was_clean);
                        known[sectors].fill(Some((with, true)));
                    }
                }
                5 => {
                    let known = model.entry(block).or_default();
                    cache.take_dirty(id, |_, dirty, _| {
                        assert!((0..8).all(|at| dirty.has(at) == known[at].is_some_and(|k| k.1)));
                    });
                    cache.settle(id, count % 2 == 0);
                    if count % 2 == 0 {
                        known.iter_mut().flatten().for_each(|(_, dirty)| *dirty = false);
                    }
                }
                _ => {
                    let known = model.get(&block).copied().unwrap_or_default();
                    let is_dirty = known[sectors.clone()].iter().all(|k| k.is_some_and(|k| k.1));
                    let seen = cache.read(id, mask, |bytes| {
                        sectors.clone().map(|at| bytes[at * SECTOR + 7]).collect::<Vec<_>>()
                    });
                    prop_assert!(seen.is_some() || !is_dirty, "what nobody else has is lost");
                    for (at, byte) in sectors.zip(seen.into_iter().flatten()) {
                        prop_assert_eq!(known[at].map(|(with, _)| with), Some(byte));
                    }
                }
            }
            prop_assert!(cache.used() <= capacity);
            let is_dirty = |known: &&[Option<(u8, bool)>; 8]| known.iter().flatten().any(|k| k.1);
            prop_assert_eq!(cache.dirty(), model.values().filter(is_dirty).count());
        }
    }
}

/// Readers that take no lock see a block as somebody has left it, never between two states.
#[test]
fn no_hit_is_torn() {
    let cache = full_grown(96);
    let done = AtomicBool::new(false);
    let all = Sectors::first(8);
    thread::scope(|scope| {
        for seed in 0..2_u64 {
            let (cache, done) = (&cache, &done);
            scope.spawn(move || {
                let mut at = seed;
                let mut hits = 0_u64;
                while !done.load(Ordering::Relaxed) || hits == 0 {
                    at = (at * 25 + 13) % 128;
                    let id = BlockId::new(0, at);
                    hits += cache
                        .read(id, all, |bytes| {
                            assert_eq!(u64::from(bytes[0]), at, "it is another block");
                            assert!(bytes[9..].iter().all(|byte| *byte == bytes[8]), "torn");
                        })
                        .map_or(0, |()| 1);
                }
            });
        }
        for step in 0..60_000_u64 {
            let at = step * 37 % 128;
            let id = BlockId::new(0, at);
            let write = |bytes: &mut [u8; BLOCK]| {
                bytes.fill(step as u8);
                bytes[0] = at as u8;
            };
            match step % 5 {
                0 => {
                    if let Some(mut fresh) = cache.prepare(id) {
                        write(fresh.bytes_mut());
                        fresh.install(id, all);
                    }
                }
                1 => cache.forget(0, at..at + 1),
                2 => drop(cache.lay(id, all, write)),
                3 => {
                    cache.take_dirty(id, |_, _, _| ());
                    cache.settle(id, true);
                }
                _ => cache.update(id, all, write),
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_is_dirty_stays_and_leaves_room_for_nothing() {
    let cache = full_grown(64);
    let all = Sectors::first(8);
    for block in 0..32 {
        assert_eq!(cache.lay(BlockId::new(3, block), all, |bytes| bytes.fill(1)), Laid::First);
    }
    let other = BlockId::new(3, 64);
    assert_eq!(cache.lay(other, all, |bytes| bytes.fill(1)), Laid::NoRoom, "half of it is dirty");
    for block in 100..1000 {
        put(&cache, BlockId::new(3, block), 3);
    }
    let is_there = |block: &u64| cache.read(BlockId::new(3, *block), all, |_| ()).is_some();
    assert_eq!((0..32).filter(is_there).count(), 32);
    let first = BlockId::new(3, 0);
    assert_eq!(cache.lay(first, all, |bytes| bytes.fill(2)), Laid::More);
    let mut taken = 0;
    cache.take_dirty(first, |bytes, dirty, _| taken = if dirty == all { bytes[0] } else { 0 });
    assert_eq!(taken, 2);
    // Being written is not written yet.
    assert_eq!(cache.lay(other, all, |bytes| bytes.fill(1)), Laid::NoRoom);
    cache.settle(first, true);
    assert_eq!(cache.lay(other, all, |bytes| bytes.fill(1)), Laid::First);
    assert_eq!(cache.dirty(), 32);
}

/// A cache with room for a disk and a little more keeps all of it.
#[test]
fn a_disk_that_fits_stays() {
    let blocks = 40_000;
    let cache = full_grown(blocks + blocks / UNEVEN + 256);
    for block in 0..blocks as u64 {
        put(&cache, BlockId::new(0, block), 1);
    }
    assert_eq!((0..blocks as u64).filter(|block| is_hit(&cache, *block)).count(), blocks);
}
