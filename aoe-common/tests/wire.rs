//! What only the other end, of the wire or of a BPF map, would notice in the types.

use aoe_common::address::{AddressError, Destination};
use aoe_common::steer::{ServedKey, SourceKey};
use aoe_common::wire::ata::status;
use aoe_common::wire::mac_mask::{MaskError, mask_capacity};
use aoe_common::wire::reserve::reserve_capacity;
use aoe_common::wire::{AoeError, Mac, MacError};
use std::collections::HashSet;

/// Most of these entries behind this many bytes of headers that an MTU and 8 bits of count allow.
fn most(mtu: usize, headers: usize, entry: usize) -> usize {
    (0..=255).rev().find(|count| headers + count * entry <= mtu).unwrap_or(0)
}

#[test]
fn lists_are_as_long_as_a_frame_and_their_count_allow() {
    for mtu in 0..=9216 {
        assert_eq!(mask_capacity(mtu), most(mtu, 10 + 4, 8), "MAC mask list, MTU {mtu}");
        assert_eq!(reserve_capacity(mtu), most(mtu, 10 + 2, 6), "reservation, MTU {mtu}");
    }
}

#[test]
fn mask_errors_are_known_by_their_codes_and_no_others_are() {
    for code in 0..=255 {
        let known = MaskError::from_code(code).map(|error| error as u8);
        assert_eq!(known, (1..=3).contains(&code).then_some(code));
    }
}

#[test]
fn every_error_is_told_in_words_of_its_own() {
    let aoe = (1..=6).filter_map(AoeError::from_code).map(|error| error.to_string());
    let mask = (1..=3).filter_map(MaskError::from_code).map(|error| error.to_string());
    let address = [
        AddressError::WildcardShelf,
        AddressError::UnsetShelf,
        AddressError::WildcardSlot,
        AddressError::Syntax,
    ];
    let address = address.iter().map(ToString::to_string).chain([MacError.to_string()]);
    let words: HashSet<String> = aoe.chain(mask).chain(address).collect();
    assert_eq!(words.len(), 6 + 3 + 4 + 1);
    assert!(words.iter().all(|words| words.contains(char::is_alphabetic)), "{words:?}");
}

#[test]
fn linux_finds_a_failure_in_any_of_four_bits() {
    assert_eq!(status::FAILED, 0xA9);
}

#[test]
fn keys_differ_in_the_kernel_where_they_differ_here() {
    let names = [(0, 0, 1), (0, 1, 0), (1, 0, 0), (4094, 0xFFFF, 0xFF)];
    let names = names.map(|(vlan, shelf, slot)| ServedKey::new(vlan, Destination { shelf, slot }));
    assert_eq!(names.map(ServedKey::bits), [1, 0x100, 0x100_0000, 0xF_FEFF_FFFF]);

    let source = SourceKey::new(names[1], Mac([2, 0, 0, 0, 0, 1]));
    assert_eq!(source.bits(), [0x100, 0x0200_0000_0001]);
}
