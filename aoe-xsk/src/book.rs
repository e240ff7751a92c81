//! Who owns which chunk: the book that every move of a chunk is entered into.
//!
//! Each chunk has exactly one owner. A move names the owner it takes the chunk from, and is refused
//! if the book disagrees, so that a descriptor which the kernel makes up, or repeats, can never make
//! a second token for a chunk. That check costs one byte of memory a chunk and stays on in release
//! builds. It is all plain arithmetic here: no memory, no kernel.

use std::fmt;

/// Where a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Owner {
    /// On the free list.
    Free,
    /// Lent to the kernel for receiving: in the fill ring, in the driver or in the RX ring.
    Fill,
    /// Part of a packet whose end has not arrived yet.
    Assembly,
    /// In a [`Packet`](crate::Packet).
    Application,
    /// In the TX ring, in the driver or in the completion ring.
    Transmit,
    /// Out of use: a closed socket may not have let go of it yet.
    Retired,
}

const OWNERS: usize = 6;

/// How many chunks each owner has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    /// All there are.
    pub total: u32,
    /// On the free list.
    pub free: u32,
    /// With the kernel for receiving, or received and not looked at yet.
    pub fill: u32,
    /// Parts of a packet that is not complete yet.
    pub assembly: u32,
    /// In packets that the application holds, or has dropped.
    pub application: u32,
    /// With the kernel for sending.
    pub transmit: u32,
    /// Out of use until the kernel has let go of them, see
    /// [`Queue::into_umem`](crate::Queue::into_umem).
    pub retired: u32,
}

impl Census {
    /// Whether every chunk is accounted for.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        let sum = self.free + self.fill + self.assembly + self.application + self.transmit;
        sum + self.retired == self.total
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { total, free, fill, assembly, application, transmit, retired } = self;
        write!(
            f,
            "{total} chunks: {free} free, {fill} fill, {assembly} assembly, \
             {application} application, {transmit} transmit, {retired} retired"
        )
    }
}

/// The owner of every chunk, the free list, and the sums.
pub(crate) struct Book {
    owners: Box<[Owner]>,
    /// A stack, so that the chunk that is still in the CPU's cache is used next.
    free: Vec<u32>,
    counts: [u32; OWNERS],
}

impl Book {
    pub(crate) fn new(chunks: u32) -> Self {
        let mut counts = [0; OWNERS];
        counts[Owner::Free as usize] = chunks;
        Self {
            owners: vec![Owner::Free; chunks as usize].into(),
            free: (0..chunks).rev().collect(),
            counts,
        }
    }

    pub(crate) fn count(&self, owner: Owner) -> u32 {
        self.counts[owner as usize]
    }

    pub(crate) fn owner(&self, chunk: u32) -> Option<Owner> {
        self.owners.get(chunk as usize).copied()
    }

    /// Moves any free chunk to `to`.
    pub(crate) fn take(&mut self, to: Owner) -> Option<u32> {
        debug_assert_ne!(to, Owner::Free);
        let chunk = self.free.pop()?;
        self.enter(chunk, Owner::Free, to);
        Some(chunk)
    }

    /// Moves `chunk`, unless there is no such chunk or `from` does not own it. A chunk leaves the
    /// free list by [`Self::take`] only.
    #[must_use = "a refused move means that the kernel named a chunk that it does not have"]
    pub(crate) fn transfer(&mut self, chunk: u32, from: Owner, to: Owner) -> bool {
        debug_assert_ne!(from, Owner::Free);
        if self.owner(chunk) != Some(from) {
            return false;
        }
        self.enter(chunk, from, to);
        if to == Owner::Free {
            self.free.push(chunk);
        }
        true
    }

    /// Moves everything that `from` has to `to`.
    pub(crate) fn transfer_all(&mut self, from: Owner, to: Owner) {
        for chunk in 0..self.total() {
            let _ = self.transfer(chunk, from, to);
        }
    }

    fn enter(&mut self, chunk: u32, from: Owner, to: Owner) {
        self.owners[chunk as usize] = to;
        self.counts[from as usize] -= 1;
        self.counts[to as usize] += 1;
    }

    fn total(&self) -> u32 {
        u32::try_from(self.owners.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn census(&self) -> Census {
        Census {
            total: self.total(),
            free: self.count(Owner::Free),
            fill: self.count(Owner::Fill),
            assembly: self.count(Owner::Assembly),
            application: self.count(Owner::Application),
            transmit: self.count(Owner::Transmit),
            retired: self.count(Owner::Retired),
        }
    }

    /// Audits the book from its entries: the sums must be right, and the free list must hold each
    /// free chunk once and nothing else.
    ///
    /// # Panics
    ///
    /// If it does not balance.
    pub(crate) fn audit(&self) {
        let mut counts = [0; OWNERS];
        for owner in &self.owners {
            counts[*owner as usize] += 1;
        }
        assert_eq!(counts, self.counts, "the sums of the chunk book are wrong");
        let mut listed = vec![false; self.owners.len()];
        for chunk in &self.free {
            let twice = std::mem::replace(&mut listed[*chunk as usize], true);
            assert!(!twice, "chunk {chunk} is on the free list twice");
            assert_eq!(self.owner(*chunk), Some(Owner::Free), "chunk {chunk} is not free");
        }
        assert_eq!(self.free.len(), self.count(Owner::Free) as usize, "free chunks are missing");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Owner; OWNERS] = [
        Owner::Free,
        Owner::Fill,
        Owner::Assembly,
        Owner::Application,
        Owner::Transmit,
        Owner::Retired,
    ];

    #[test]
    fn a_chunk_that_the_owner_does_not_have_is_not_moved() {
        let mut book = Book::new(2);
        let chunk = book.take(Owner::Fill).unwrap();
        assert!(!book.transfer(chunk, Owner::Transmit, Owner::Free));
        assert!(!book.transfer(2, Owner::Fill, Owner::Free));
        assert!(book.transfer(chunk, Owner::Fill, Owner::Free));
        assert!(!book.transfer(chunk, Owner::Fill, Owner::Free), "a repeated descriptor");
        book.audit();
    }

    #[test]
    #[should_panic(expected = "twice")]
    fn the_audit_sees_a_chunk_listed_twice() {
        let mut book = Book::new(2);
        book.free[1] = book.free[0];
        book.audit();
    }

    proptest! {
        /// Against an oracle that is nothing but a list of owners.
        #[test]
        fn every_chunk_always_has_one_owner(
            moves in prop::collection::vec((0_u32..10, 1_usize..OWNERS, 0_usize..OWNERS), 0..300)
        ) {
            let mut book = Book::new(8);
            let mut oracle = [Owner::Free; 8];
            for (chunk, from, to) in moves {
                let (from, to) = (ALL[from], ALL[to]);
                if to == Owner::Free || oracle.get(chunk as usize) == Some(&from) {
                    let expected = oracle.get(chunk as usize) == Some(&from);
                    prop_assert_eq!(book.transfer(chunk, from, to), expected);
                    if expected {
                        oracle[chunk as usize] = to;
                    }
                } else if let Some(taken) = book.take(to) {
                    prop_assert_eq!(oracle[taken as usize], Owner::Free);
                    oracle[taken as usize] = to;
                } else {
                    prop_assert!(!oracle.contains(&Owner::Free));
                }
                book.audit();
                prop_assert!(book.census().is_conserved());
                for (index, owner) in oracle.iter().enumerate() {
                    prop_assert_eq!(book.owner(u32::try_from(index).unwrap()), Some(*owner));
                }
            }
        }
    }
}
