//! Bringing what was read of a disk into the cache.

use super::cache::{BLOCK, BlockId, Cache, Sectors};
use super::order::{FILL_BLOCKS, FillId};
use super::store::Store;
use aoe_common::wire::SECTOR_SIZE;

/// Ends a fill: puts what was read from this position on into the cache, but for what was written
/// since it began.
pub(super) fn keep(cache: &Cache, store: &Store, position: u64, got: &[u8], id: FillId) {
    let first = position / BLOCK as u64;
    let spoiled = store.order().spoiled(id);
    let mut fresh = [const { None }; FILL_BLOCKS as usize];
    for (at, data) in got.chunks(BLOCK).enumerate() {
        if spoiled & 1 << at != 0 {
            continue;
        }
        let block = BlockId::new(store.number(), first + at as u64);
        let Some(mut chunk) = cache.prepare(block) else { continue };
        chunk.bytes_mut()[..data.len()].copy_from_slice(data);
        fresh[at] = Some((chunk, block, Sectors::first(data.len() / SECTOR_SIZE)));
    }
    let mut order = store.order();
    let spoiled = order.end_fill(id);
    for (at, fresh) in fresh.into_iter().enumerate() {
        // Under the lock: a write that comes now finds it in the cache.
        if let Some((chunk, block, valid)) = fresh.filter(|_| spoiled & 1 << at == 0) {
            chunk.install(block, valid);
        }
    }
}
