//! Why a request must not be sent.

use aoe_common::wire::Mac;

/// Why a request must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// The interface's own address is a multicast or broadcast address.
    #[error("a group address can't be the source of a request")]
    GroupSource,
    /// One frame would change every target of the segment.
    #[error("a change at a wildcard address would be made by every target that hears it")]
    WildcardChange,
    /// No sectors: the protocol gives that no meaning.
    #[error("a transfer needs at least one sector")]
    NoSectors,
    /// More sectors than both ends of the path can take in one frame.
    #[error("{sectors} sectors in one request, where the path takes {limit}")]
    TooManySectors {
        /// Asked for.
        sectors: u8,
        /// The path's limit.
        limit: u8,
    },
    /// The command can't express the address.
    #[error("sector {lba} is past what the disk's commands can address")]
    Unaddressable {
        /// First sector.
        lba: u64,
    },
    /// The data is not as long as the request says.
    #[error("{bytes} bytes of data for a request that takes {expected}")]
    WrongData {
        /// The data's length.
        bytes: usize,
        /// What it had to be.
        expected: usize,
    },
    /// The config string is longer than the protocol or a frame allows.
    #[error("the config string has {bytes} bytes, and {limit} are the most")]
    ConfigTooLong {
        /// The string's length.
        bytes: usize,
        /// The limit in bytes, 1024 unless the link's frames are shorter.
        limit: usize,
    },
    /// The list has more entries than its count or a frame can hold.
    #[error("the list has {entries} entries, and {limit} are the most that a frame can hold")]
    ListTooLong {
        /// The list's length.
        entries: usize,
        /// The limit in entries.
        limit: usize,
    },
    /// The address on the list belongs to no single station.
    #[error("{mac} is a group address, which no station sends from")]
    GroupAddress {
        /// The address.
        mac: Mac,
    },
    /// An edit that edits nothing.
    #[error("an edit of the MAC mask list needs at least one directive")]
    NoDirectives,
    /// A directive that is none of those that there are, or has a reserved byte set.
    #[error("directive {number} is none that a MAC mask list has")]
    BadDirective {
        /// Its place among the directives, from 1.
        number: usize,
    },
}
