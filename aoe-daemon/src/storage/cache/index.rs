//! Which chunk a block is in.

use super::pool::{Link, Number, Pinned, Pool, Table};
use super::{BlockId, Sectors};
use aoe_xsk::HugePages;

/// Chunks that are looked at without the lock: while others change the index, more than there are
/// may come by.
const MOST_STEPS: usize = 32;

/// Chains of chunks, one for each place that a block may be at. They are changed under the lock of
/// the place's shard. Without it a block may seem not to be there while others come and go.
pub(super) struct Index {
    heads: Table<Link>,
    /// What numbers their places has so many bits.
    bits: u32,
}

impl Index {
    /// An index for about so many blocks.
    ///
    /// # Errors
    ///
    /// Where there is no memory for it.
    pub(super) fn new(blocks: usize, huge_pages: HugePages) -> Result<Self, aoe_xsk::Error> {
        let bits = blocks.next_power_of_two().ilog2();
        Ok(Self { heads: Table::new(1 << bits, huge_pages)?, bits })
    }

    fn head(&self, id: BlockId) -> &Link {
        &self.heads[id.part(self.bits)]
    }

    /// Pins the chunk that these sectors of a block are in. Needs no lock; without it, what is
    /// there may not be found.
    pub(super) fn pin<'a>(&self, pool: &'a Pool, id: BlockId, of: Sectors) -> Option<Pinned<'a>> {
        let mut next = self.head(id).get();
        for _ in 0..MOST_STEPS {
            let number = next?;
            let header = pool.header(number);
            if header.id() == id {
                return pool.pin(number, id, of);
            }
            next = header.next.get();
        }
        None
    }

    /// The chunk of a block.
    pub(super) fn find(&self, pool: &Pool, id: BlockId) -> Option<Number> {
        let mut next = self.head(id).get();
        while let Some(number) = next {
            let header = pool.header(number);
            if header.id() == id {
                return next;
            }
            next = header.next.get();
        }
        None
    }

    /// Takes a chunk on, which has been named.
    pub(super) fn link(&self, pool: &Pool, number: Number) {
        let header = pool.header(number);
        let head = self.head(header.id());
        header.next.set(head.get());
        head.set(Some(number));
    }

    /// Lets go of a chunk.
    pub(super) fn unlink(&self, pool: &Pool, number: Number) {
        let header = pool.header(number);
        let mut link = self.head(header.id());
        while let Some(other) = link.get() {
            if other == number {
                // Who stands on it is led on to the others.
                link.set(header.next.get());
                return;
            }
            link = &pool.header(other).next;
        }
    }
}
