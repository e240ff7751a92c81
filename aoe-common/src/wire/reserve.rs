//! The argument of a reserve/release command: bytes 24 and 25 of an untagged frame, MAC addresses
//! behind it.
//!
//! With an empty list the target is free. With another one, ATA commands from stations that are
//! not on it are refused, but for IDENTIFY DEVICE.

use super::{ETHERNET_HEADER, FRAME_HEADER, Mac};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Reserve/release argument.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ReserveHeader {
    /// [Command](reserve_command); echoed by the reply.
    pub command: u8,
    /// Number of MAC addresses behind this.
    pub count: u8,
}

/// Commands of reserve/release. A reply carries the list as it is then.
pub mod reserve_command {
    /// Return the list.
    pub const READ: u8 = 0;
    /// Replace the list, if it is empty or the source is on it. An empty list is the release.
    pub const SET: u8 = 1;
    /// Replace the list in any case.
    pub const FORCE_SET: u8 = 2;
}

/// Most entries of a list whose reply fits one frame on a link of this MTU; its count has 8 bits.
pub const fn reserve_capacity(mtu: usize) -> usize {
    let headers = FRAME_HEADER - ETHERNET_HEADER + size_of::<ReserveHeader>();
    let entries = mtu.saturating_sub(headers) / size_of::<Mac>();
    if entries < u8::MAX as usize { entries } else { u8::MAX as usize }
}

const _: () = {
    assert!(size_of::<ReserveHeader>() == 2);
    assert!(reserve_capacity(1500) == 248);
    assert!(reserve_capacity(9000) == 255);
};
