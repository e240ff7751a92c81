//! A queue of chunks, linked by their headers.

use super::pool::{Number, Pool};

/// Chunks in the order in which they have come.
#[derive(Default)]
pub(super) struct Queue {
    oldest: Option<Number>,
    newest: Option<Number>,
    len: usize,
}

impl Queue {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn push(&mut self, pool: &Pool, number: Number) {
        let header = pool.header(number);
        header.older.set(self.newest);
        header.newer.set(None);
        match self.newest.replace(number) {
            Some(before) => pool.header(before).newer.set(Some(number)),
            None => self.oldest = Some(number),
        }
        self.len += 1;
    }

    /// Takes the oldest one.
    pub(super) fn pop(&mut self, pool: &Pool) -> Option<Number> {
        let number = self.oldest?;
        self.remove(pool, number);
        Some(number)
    }

    /// Takes one that is in this queue.
    pub(super) fn remove(&mut self, pool: &Pool, number: Number) {
        let header = pool.header(number);
        let (older, newer) = (header.older.get(), header.newer.get());
        match older {
            Some(older) => pool.header(older).newer.set(newer),
            None => self.oldest = newer,
        }
        match newer {
            Some(newer) => pool.header(newer).older.set(older),
            None => self.newest = older,
        }
        self.len -= 1;
    }
}
