//! Ownership: what goes out comes home, once, and to its own memory.

use proptest::prelude::*;

use super::*;
use crate::packet::HEADROOM;

fn umem(chunks: u32) -> Umem {
    Umem::new(chunks, HugePages::Use).unwrap()
}

#[test]
fn the_payload_of_a_frame_starts_at_a_sector() {
    assert_eq!((FRAME_OFFSET + 36) % 512, 0);
    assert_eq!(FRAME_OFFSET, 256 + HEADROOM as usize);
}

#[test]
fn chunks_are_counted_out_and_home() {
    let mut umem = umem(4);
    let packet = umem.allocate(5000).unwrap();
    assert_eq!((packet.len(), packet.chunks()), (5000, 2));
    assert_eq!((umem.census().free, umem.census().application), (2, 2));
    umem.recycle(packet);
    umem.assert_conserved();
    assert_eq!(umem.census().free, 4);
}

#[test]
fn impossible_lengths_are_refused_and_cost_nothing() {
    let mut umem = umem(5);
    let most = CHUNK_SIZE - FRAME_OFFSET + 3 * CHUNK_SIZE;
    assert!(umem.allocate(0).is_none());
    assert!(umem.allocate(most + 1).is_none());
    assert!(umem.allocate(usize::MAX).is_none());
    let packet = umem.allocate(most).unwrap();
    assert_eq!(packet.chunks(), MAX_CHUNKS);
    assert!(umem.allocate(4000).is_none(), "one chunk is left, two are needed");
    assert_eq!(umem.census().free, 1);
    umem.recycle(packet);
}

#[test]
#[should_panic(expected = "belongs to another queue")]
fn a_foreign_packet_is_refused() {
    let (mut mine, mut other) = (umem(1), umem(1));
    let packet = mine.allocate(60).unwrap();
    other.recycle(packet);
}

#[test]
fn a_packet_outlives_its_memory() {
    let mut umem = umem(2);
    let mut packet = umem.allocate(60).unwrap();
    packet.copy_in(0, &[7; 60]);
    drop(umem);
    let packet = std::thread::spawn(move || packet).join().unwrap();
    assert_eq!(packet.head(), [7; 60]);
    packet.abandon();
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "dropped instead of being sent")]
fn a_dropped_packet_is_reported_in_debug_builds() {
    let mut umem = umem(1);
    drop(umem.allocate(60));
}

#[test]
fn a_reply_longer_than_its_request_is_written_in_place() {
    let mut umem = umem(1);
    let mut packet = umem.allocate(60).unwrap();
    packet.head_mut()[..1060].fill(9);
    assert!(umem.resize(&mut packet, 1060));
    assert_eq!((packet.chunks(), packet.head()), (1, &[9; 1060][..]));
    umem.recycle(packet);
}

#[test]
fn a_closed_socket_keeps_what_it_may_still_use_until_the_queue_is_bound_again() {
    let place = (7, 0);
    let mut umem = umem(4);
    let fill = umem.lend().unwrap();
    let sent: Vec<u64> = (0..2).map(|_| transmit_one(&mut umem)).collect();
    umem.repossess([sent[1]].into_iter(), Hold::Taken(place));
    assert_eq!((umem.census().free, umem.census().retired), (3, 1));
    assert!(!umem.sent(sent[0]) && umem.arrived(fill, 60).is_none(), "both are out of date");
    umem.bound((7, 1));
    assert_eq!(umem.census().retired, 1, "another queue says nothing about this one");
    umem.bound(place);
    assert_eq!(umem.census().free, 4);
    umem.assert_conserved();
}

#[test]
fn a_zero_copy_device_keeps_everything() {
    let mut umem = umem(4);
    let _ = umem.lend().unwrap();
    let address = transmit_one(&mut umem);
    umem.repossess([address].into_iter(), Hold::Everything((7, 0)));
    assert_eq!((umem.census().free, umem.census().retired), (2, 2));
}

fn transmit_one(umem: &mut Umem) -> u64 {
    let packet = umem.allocate(60).unwrap();
    let addresses: Vec<u64> = packet.into_parts().map(|part| umem.transmit(part)).collect();
    addresses[0]
}

proptest! {
    /// The oracle for the content is a vector; for the chunks, the census.
    #[test]
    fn resizing_keeps_what_stays(lengths in prop::collection::vec(1_usize..17_000, 1..20)) {
        let mut umem = umem(6);
        let mut packet = umem.allocate(1).unwrap();
        packet.copy_in(0, &[0]);
        let mut oracle = vec![0_u8];
        for (round, len) in lengths.into_iter().enumerate() {
            let kept = oracle.len().min(len);
            if umem.resize(&mut packet, len) {
                oracle.resize(len, round as u8);
                packet.copy_in(kept, &oracle[kept..]);
            } else {
                prop_assert!(len > CHUNK_SIZE - FRAME_OFFSET + 3 * CHUNK_SIZE);
            }
            let mut content = vec![0; packet.len()];
            packet.copy_out(0, &mut content);
            prop_assert_eq!(&content, &oracle);
            prop_assert_eq!(packet.segments().map(<[u8]>::len).sum::<usize>(), packet.len());
            prop_assert_eq!(umem.census().application as usize, packet.chunks());
        }
        umem.recycle(packet);
        umem.assert_conserved();
    }

    #[test]
    fn pieces_are_the_bytes_of_the_range(from in 0_usize..9000, to in 0_usize..9000) {
        let range = from.min(to)..from.max(to);
        let content: Vec<u8> = (0..9000_u32).map(|i| (i % 251) as u8).collect();
        let mut umem = umem(3);
        let mut packet = umem.allocate(9000).unwrap();
        packet.copy_in(0, &content);
        let pieces = packet.pieces(range.clone()).collect::<Vec<_>>().concat();
        let mutable = packet.pieces_mut(range.clone()).fold(0, |sum, piece| sum + piece.len());
        umem.recycle(packet);
        prop_assert_eq!(&pieces, &content[range]);
        prop_assert_eq!(mutable, pieces.len());
    }
}
