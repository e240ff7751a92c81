//! Who has to wait for whom: overlapping requests take effect in the order of their arrival.
//!
//! One [`Order`] for each file or device, over all queues and interfaces, behind a lock that is
//! held for as long as it takes to look through the requests in flight. Requests that share no
//! sector, and reads among themselves, never wait for each other. A read that the cache answers
//! does not come here.
//!
//! The order also knows of the *fills*: reads of whole blocks for the cache, which are wider than
//! what was asked for. Nothing waits for them. Instead, a write that touches a block between the
//! start and the end of its fill spoils it for the cache: what was read may be older than what was
//! written.

use super::cache::BLOCK_SECTORS;
use crate::mailbox::{Mailbox, Message};
use slab::Slab;
use std::ops::Range;
use std::sync::Arc;

/// Sectors of a file or device, counted from its start.
pub(super) type Sectors = Range<u64>;

/// Most blocks of one fill.
pub(super) const FILL_BLOCKS: u64 = u32::BITS as u64;

/// What a request does to its sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Looks at them.
    Shared,
    /// Changes them.
    Exclusive,
}

/// The place of a request in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(usize);

/// A fill in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FillId(usize);

/// What is in flight on one file or device.
#[derive(Default)]
pub(super) struct Order {
    entries: Slab<Entry>,
    /// How many have come so far.
    arrivals: u64,
    fills: Slab<Fill>,
}

struct Entry {
    sectors: Sectors,
    access: Access,
    arrival: u64,
    /// Earlier ones that it conflicts with.
    waits: usize,
    /// Whose it is.
    home: Arc<Mailbox>,
    key: usize,
}

struct Fill {
    first: u64,
    blocks: u64,
    /// A bit for each block that must not go into the cache.
    spoiled: u32,
}

impl Order {
    /// Takes a request on, behind all that have come before. Returns its place, and whether it may
    /// go ahead; otherwise `home` is told [`Message::Ready`] with `key` when it may.
    pub(super) fn enter(
        &mut self,
        sectors: Sectors,
        access: Access,
        home: &Arc<Mailbox>,
        key: usize,
    ) -> (Place, bool) {
        let waits =
            self.entries.iter().filter(|(_, other)| other.conflicts(&sectors, access)).count();
        if access == Access::Exclusive {
            self.spoil(&sectors);
        }
        self.arrivals += 1;
        let (arrival, home) = (self.arrivals, Arc::clone(home));
        let place = self.entries.insert(Entry { sectors, access, arrival, waits, home, key });
        (Place(place), waits == 0)
    }

    /// Lets go of a place that still waits, and tells whether it did: who has been told to go ahead,
    /// or is about to be, keeps it.
    pub(super) fn abandon(&mut self, place: Place) -> bool {
        let waits = self.entries[place.0].waits > 0;
        if waits {
            self.leave(place);
        }
        waits
    }

    /// Lets go of a place, and tells those that need wait no longer.
    pub(super) fn leave(&mut self, place: Place) {
        let gone = self.entries.remove(place.0);
        for (_, entry) in &mut self.entries {
            if entry.arrival > gone.arrival && entry.conflicts(&gone.sectors, gone.access) {
                entry.waits -= 1;
                if entry.waits == 0 && entry.home.post(Message::Ready(entry.key)).is_err() {
                    unreachable!("a mailbox has room for every packet of its worker, and more");
                }
            }
        }
    }

    /// Keeps fills in flight from bringing these sectors into the cache.
    pub(super) fn spoil(&mut self, sectors: &Sectors) {
        self.fills.iter_mut().for_each(|(_, fill)| fill.spoil(sectors));
    }

    /// Notes that blocks are being read for the cache, at most [`FILL_BLOCKS`].
    pub(super) fn begin_fill(&mut self, first: u64, blocks: u64) -> FillId {
        debug_assert!((1..=FILL_BLOCKS).contains(&blocks));
        let mut fill = Fill { first, blocks, spoiled: 0 };
        for (_, entry) in &self.entries {
            if entry.access == Access::Exclusive {
                fill.spoil(&entry.sectors);
            }
        }
        FillId(self.fills.insert(fill))
    }

    /// Which blocks of a fill are spoiled by now, a bit for each.
    pub(super) fn spoiled(&self, fill: FillId) -> u32 {
        self.fills[fill.0].spoiled
    }

    /// Ends a fill, and returns which of its blocks must not go into the cache. What may has to be
    /// there before the order is let go of.
    pub(super) fn end_fill(&mut self, fill: FillId) -> u32 {
        self.fills.remove(fill.0).spoiled
    }
}

impl Entry {
    fn conflicts(&self, sectors: &Sectors, access: Access) -> bool {
        let overlap = self.sectors.start < sectors.end && sectors.start < self.sectors.end;
        overlap && (self.access == Access::Exclusive || access == Access::Exclusive)
    }
}

impl Fill {
    fn spoil(&mut self, sectors: &Sectors) {
        let from = (sectors.start / BLOCK_SECTORS).max(self.first);
        let to = sectors.end.div_ceil(BLOCK_SECTORS).min(self.first + self.blocks);
        if from < to {
            self.spoiled |= bits(from - self.first..to - self.first);
        }
    }
}

/// The bits of this range, at most all 32.
pub(super) fn bits(range: Range<u64>) -> u32 {
    let up_to = |bit: u64| (1_u64 << bit) - 1;
    (up_to(range.end) & !up_to(range.start)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn mailbox() -> Arc<Mailbox> {
        Arc::new(Mailbox::new(64).unwrap())
    }

    fn woken(mailbox: &Mailbox) -> Vec<usize> {
        let mut keys = Vec::new();
        while let Some(message) = mailbox.take() {
            let Message::Ready(key) = message else { panic!("not of the order") };
            keys.push(key);
        }
        keys
    }

    #[test]
    fn only_overlapping_changes_wait() {
        let (mut order, home) = (Order::default(), mailbox());
        let enter =
            |order: &mut Order, sectors, access, key| order.enter(sectors, access, &home, key);
        let (first, ready) = enter(&mut order, 0..8, Access::Exclusive, 1);
        assert!(ready);
        let touching = enter(&mut order, 8..16, Access::Exclusive, 2).1;
        assert!(touching, "they touch, and do not overlap");
        let (read, ready) = enter(&mut order, 7..9, Access::Shared, 3);
        assert!(!ready, "it overlaps both writes");
        let (other_read, ready) = enter(&mut order, 0..1, Access::Shared, 4);
        assert!(!ready);
        let (write, ready) = enter(&mut order, 0..1, Access::Exclusive, 5);
        assert!(!ready);
        assert!(enter(&mut order, 16..32, Access::Shared, 6).1);
        assert!(enter(&mut order, 16..17, Access::Shared, 7).1, "reads do not wait for reads");

        let (given_up, ready) = order.enter(0..1, Access::Exclusive, &home, 8);
        assert!(!ready);
        let (behind, ready) = order.enter(0..1, Access::Shared, &home, 9);
        assert!(!ready);
        assert!(order.abandon(given_up), "it waits");
        assert!(!order.abandon(first), "it does not");
        assert!(order.abandon(behind));

        order.leave(first);
        assert_eq!(
            woken(&home),
            [4],
            "the other read has one more to wait for, and so has the write"
        );
        order.leave(other_read);
        assert_eq!(woken(&home), [5]);
        order.leave(write);
        assert_eq!(woken(&home), [0_usize; 0]);
        let _ = read;
    }

    #[test]
    fn writes_spoil_the_fills_that_they_meet() {
        let (mut order, home) = (Order::default(), mailbox());
        let (before, _) = order.enter(0..1, Access::Exclusive, &home, 0);
        let early = order.begin_fill(0, 2);
        order.leave(before);
        let late = order.begin_fill(0, 32);
        assert_eq!(order.spoiled(early), 0b01);
        assert_eq!(order.spoiled(late), 0, "that write is on the disk");
        order.enter(15..17, Access::Exclusive, &home, 0);
        order.enter(31 * 8..32 * 8, Access::Exclusive, &home, 0);
        order.enter(32 * 8..33 * 8, Access::Exclusive, &home, 0);
        order.enter(24..32, Access::Shared, &home, 0);
        assert_eq!(order.end_fill(early), 0b11);
        assert_eq!(order.end_fill(late), 0b110 | 1 << 31);
    }

    proptest! {
        /// Whatever comes and goes: of two that conflict, the later is never let in before the
        /// earlier has left, and everybody is let in, in the end.
        #[test]
        fn conflicts_keep_their_order(
            requests in prop::collection::vec((0_u64..24, 1_u64..6, any::<bool>()), 1..60),
            choices in prop::collection::vec(any::<prop::sample::Index>(), 1..200),
        ) {
            let (mut order, home) = (Order::default(), mailbox());
            let mut coming = requests.iter().enumerate();
            let mut inside: Vec<(usize, Place)> = Vec::new();
            let mut waiting: Vec<(usize, Place)> = Vec::new();
            let mut gone = HashSet::new();
            let conflict = |one: usize, other: usize| {
                let (a, length, writes) = requests[one];
                let (b, other_length, also) = requests[other];
                a < b + other_length && b < a + length && (writes || also)
            };
            for choice in choices.iter().cycle() {
                let which = choice.index(3);
                if which > 0 || inside.is_empty() {
                    if let Some((key, (start, length, writes))) = coming.next() {
                        let access = if *writes { Access::Exclusive } else { Access::Shared };
                        let (place, ready) =
                            order.enter(*start..start + length, access, &home, key);
                        if ready { inside.push((key, place)) } else { waiting.push((key, place)) }
                    }
                }
                if which == 0 || coming.len() == 0 {
                    if inside.is_empty() {
                        prop_assert!(waiting.is_empty(), "nobody is let in any more");
                        if coming.len() == 0 { break }
                        continue;
                    }
                    let (key, place) = inside.swap_remove(choice.index(inside.len()));
                    gone.insert(key);
                    order.leave(place);
                    for key in woken(&home) {
                        let at = waiting.iter().position(|(other, _)| *other == key);
                        inside.push(waiting.swap_remove(at.expect("it waits")));
                    }
                }
                for (key, _) in &inside {
                    let earlier = (0..*key).find(|one| conflict(*one, *key) && !gone.contains(one));
                    prop_assert_eq!(earlier, None, "{} is inside too early", key);
                }
            }
        }
    }
}
