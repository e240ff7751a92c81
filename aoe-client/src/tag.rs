//! Tags: how a reply is told from all others.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Set in every tag of a user-space initiator. The kernel's driver never sets it, and ignores
/// replies that have it.
const USER_SPACE: u32 = 1 << 31;
/// How many bits count requests; the rest tell one initiator from another.
const SEQUENCE_BITS: u32 = 21;
const SEQUENCE_MASK: u32 = (1 << SEQUENCE_BITS) - 1;

/// The tags of one initiator: bit 31, ten bits drawn at random, then a sequence number.
///
/// Several initiators on one interface have the same MAC address, and each of them receives the
/// replies to all. The random bits keep their tags apart; the sequence is long enough that a tag
/// comes again only when nothing can be left of its last use.
#[derive(Debug)]
pub(crate) struct Tags {
    owner: u32,
    next: u32,
}

impl Tags {
    pub(crate) fn new() -> Self {
        // Every RandomState has keys of its own, and that is all the randomness needed here.
        let random = RandomState::new().build_hasher().finish() as u32;
        Self { owner: USER_SPACE | (random & !SEQUENCE_MASK), next: 0 }
    }

    pub(crate) fn take(&mut self) -> u32 {
        let tag = self.owner | self.next;
        self.next = (self.next + 1) & SEQUENCE_MASK;
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_ignores_every_tag_and_none_comes_again_soon() {
        let mut tags = Tags::new();
        let first = tags.take();
        assert_ne!(first & USER_SPACE, 0);
        for _ in 0..SEQUENCE_MASK {
            let tag = tags.take();
            assert_ne!(tag, first);
            assert_eq!(tag & !SEQUENCE_MASK, first & !SEQUENCE_MASK);
        }
        assert_eq!(tags.take(), first);
    }
}
