//! Puts packets together from RX descriptors.
//!
//! A batch of descriptors may end within a packet, so what has arrived is kept for the next one.
//! Until a packet is complete its chunks have no tokens, only an entry in the book: nothing is lost
//! if the queue is closed meanwhile.

use crate::packet::{MAX_CHUNKS, Packet};
use crate::umem::{Fragment, Umem};

/// Why a packet that has arrived is not delivered. Its chunks are free again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It has more than [`MAX_CHUNKS`] chunks.
    Oversized,
    /// A descriptor named no chunk of ours, or an impossible part of one.
    Invalid,
}

/// The packet whose end has not arrived yet.
pub(crate) struct Assembler {
    fragments: [Fragment; MAX_CHUNKS],
    count: usize,
    /// Set once the packet can't be delivered any more; the rest of it is skipped.
    unusable: Option<Unusable>,
}

impl Assembler {
    pub(crate) fn new() -> Self {
        let nothing = Fragment { chunk: 0, start: 0, len: 0 };
        Self { fragments: [nothing; MAX_CHUNKS], count: 0, unusable: None }
    }

    /// Takes the next descriptor. Returns the packet, or why there is none, at the packet's end.
    pub(crate) fn push(
        &mut self,
        umem: &mut Umem,
        descriptor: libc::xdp_desc,
    ) -> Option<Result<Packet, Unusable>> {
        match umem.arrived(descriptor.addr, descriptor.len) {
            None => self.spoil(umem, Unusable::Invalid),
            Some(fragment) if self.unusable.is_some() => umem.discard(fragment.chunk),
            Some(fragment) if self.count == MAX_CHUNKS => {
                umem.discard(fragment.chunk);
                self.spoil(umem, Unusable::Oversized);
            }
            Some(fragment) => {
                self.fragments[self.count] = fragment;
                self.count += 1;
            }
        }
        if descriptor.options & libc::XDP_PKT_CONTD != 0 {
            return None;
        }
        let count = std::mem::take(&mut self.count);
        Some(match self.unusable.take() {
            Some(reason) => Err(reason),
            None => Ok(umem.assemble(&self.fragments[..count])),
        })
    }

    fn spoil(&mut self, umem: &mut Umem, reason: Unusable) {
        let count = std::mem::take(&mut self.count);
        for fragment in &self.fragments[..count] {
            umem.discard(fragment.chunk);
        }
        self.unusable.get_or_insert(reason);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::book::Owner;
    use crate::chunk::CHUNK_SIZE;
    use crate::region::HugePages;

    const CONTINUED: u32 = libc::XDP_PKT_CONTD;

    fn descriptor(addr: u64, len: u32, options: u32) -> libc::xdp_desc {
        libc::xdp_desc { addr, len, options }
    }

    fn umem(chunks: u32) -> Umem {
        Umem::new(chunks, HugePages::Use).unwrap()
    }

    /// Lends a chunk and lets it arrive.
    fn arrive(
        assembler: &mut Assembler,
        umem: &mut Umem,
        len: u32,
        options: u32,
    ) -> Option<Result<Packet, Unusable>> {
        let addr = umem.lend().unwrap() + 476;
        assembler.push(umem, descriptor(addr, len, options))
    }

    #[test]
    fn a_packet_of_three_descriptors_is_one_packet() {
        let (mut umem, mut assembler) = (umem(8), Assembler::new());
        assert!(arrive(&mut assembler, &mut umem, 3620, CONTINUED).is_none());
        assert!(arrive(&mut assembler, &mut umem, 3620, CONTINUED).is_none());
        assert_eq!(umem.census().assembly, 2);
        let packet = arrive(&mut assembler, &mut umem, 100, 0).unwrap().unwrap();
        assert_eq!((packet.len(), packet.chunks()), (7340, 3));
        umem.recycle(packet);
        umem.assert_conserved();
        assert_eq!(umem.census().free, 8);
    }

    #[test]
    fn an_oversized_packet_is_skipped_to_its_end() {
        let (mut umem, mut assembler) = (umem(8), Assembler::new());
        for _ in 0..6 {
            assert!(arrive(&mut assembler, &mut umem, 3620, CONTINUED).is_none());
        }
        let end = arrive(&mut assembler, &mut umem, 1, 0).unwrap();
        assert_eq!(end.unwrap_err(), Unusable::Oversized);
        assert_eq!(umem.census().free, 8);
        let next = arrive(&mut assembler, &mut umem, 60, 0).unwrap().unwrap();
        assert_eq!(next.len(), 60, "the next packet is unharmed");
        umem.recycle(next);
    }

    #[test]
    fn descriptors_that_are_not_ours_spoil_their_packet_only() {
        let (mut umem, mut assembler) = (umem(4), Assembler::new());
        let size = CHUNK_SIZE as u64;
        let lent = umem.lend().unwrap();
        let bad = [
            descriptor(4 * size, 60, 0),
            descriptor(u64::MAX, 60, 0),
            descriptor(lent + size, 60, 0),
            descriptor(lent + 476, u32::MAX, 0),
        ];
        for descriptor in bad {
            let end = assembler.push(&mut umem, descriptor).unwrap();
            assert_eq!(end.unwrap_err(), Unusable::Invalid, "{descriptor:?}");
            umem.assert_conserved();
        }
        assert_eq!(umem.census().free, 4, "the chunk with the bad length is free again");
    }

    #[test]
    fn a_repeated_descriptor_makes_no_second_packet() {
        let (mut umem, mut assembler) = (umem(2), Assembler::new());
        let addr = umem.lend().unwrap();
        let packet = assembler.push(&mut umem, descriptor(addr, 60, 0)).unwrap().unwrap();
        assert!(assembler.push(&mut umem, descriptor(addr, 60, 0)).unwrap().is_err());
        umem.recycle(packet);
    }

    proptest! {
        /// Any cut of a stream of packets into descriptors gives the packets of at most four
        /// chunks, in order, and loses no chunk.
        #[test]
        fn packets_come_out_as_they_went_in(sizes in prop::collection::vec(1_usize..8, 1..40)) {
            let (mut umem, mut assembler) = (umem(16), Assembler::new());
            for chunks in sizes {
                for i in 1..chunks {
                    prop_assert!(arrive(&mut assembler, &mut umem, i as u32, CONTINUED).is_none());
                }
                let end = arrive(&mut assembler, &mut umem, chunks as u32, 0).unwrap();
                match end {
                    Ok(packet) => {
                        let lengths: Vec<_> = packet.segments().map(<[u8]>::len).collect();
                        umem.recycle(packet);
                        prop_assert_eq!(lengths, (1..=chunks).collect::<Vec<_>>());
                        prop_assert!(chunks <= MAX_CHUNKS);
                    }
                    Err(reason) => {
                        prop_assert_eq!(reason, Unusable::Oversized);
                        prop_assert!(chunks > MAX_CHUNKS);
                    }
                }
                prop_assert_eq!(umem.count(Owner::Free), 16);
                umem.assert_conserved();
            }
        }
    }
}
