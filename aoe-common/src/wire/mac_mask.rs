//! The argument of a MAC mask list command: bytes 24 to 27 of an untagged frame, directives behind
//! it.
//!
//! An empty list lets everybody talk to the target; with another one, requests from stations that
//! are not on it are dropped without an answer.

use super::{ETHERNET_HEADER, FRAME_HEADER, Mac};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// MAC mask list argument.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct MacMaskHeader {
    /// Ignored in requests, 0 in replies.
    pub reserved: u8,
    /// [Command](mask_command); echoed by the reply.
    pub command: u8,
    /// Why an edit stopped, a [`MaskError`] code; 0 in requests and where it did not.
    pub error: u8,
    /// Number of [`Directive`]s behind this; where an edit stopped, how many were carried out.
    pub count: u8,
}

/// One directive of a request, or one entry of the list in a reply.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Directive {
    /// Ignored in requests, 0 in replies.
    pub reserved: u8,
    /// What to do with the address, a [`directive`]; 0 in replies.
    pub command: u8,
    /// The address.
    pub mac: Mac,
}

/// Commands of a MAC mask list.
pub mod mask_command {
    /// Return the list.
    pub const READ: u8 = 0;
    /// Carry out directives, then return the list.
    pub const EDIT: u8 = 1;
}

/// Values of [`Directive::command`].
pub mod directive {
    /// Nothing.
    pub const NONE: u8 = 0;
    /// Put the address on the list.
    pub const ADD: u8 = 1;
    /// Take the address off the list.
    pub const DELETE: u8 = 2;
}

/// Why an edit stopped before its last directive. Those before it stay carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MaskError {
    /// For a reason that the protocol has no number for.
    Unspecified = 1,
    /// The directive makes no sense.
    BadDirective = 2,
    /// The list has no room for another address.
    ListFull = 3,
}

impl MaskError {
    /// The error with this code on the wire, if AoEr11 knows it.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Unspecified,
            2 => Self::BadDirective,
            3 => Self::ListFull,
            _ => return None,
        })
    }
}

impl core::fmt::Display for MaskError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "unspecified error",
            Self::BadDirective => "bad directive",
            Self::ListFull => "the list is full",
        })
    }
}

/// Most entries of a list whose reply fits one frame on a link of this MTU; its count has 8 bits.
pub const fn mask_capacity(mtu: usize) -> usize {
    let headers = FRAME_HEADER - ETHERNET_HEADER + size_of::<MacMaskHeader>();
    let entries = mtu.saturating_sub(headers) / size_of::<Directive>();
    if entries < u8::MAX as usize { entries } else { u8::MAX as usize }
}

const _: () = {
    assert!(size_of::<MacMaskHeader>() == 4);
    assert!(size_of::<Directive>() == 8);
    assert!(mask_capacity(1500) == 185);
    assert!(mask_capacity(9000) == 255);
};
