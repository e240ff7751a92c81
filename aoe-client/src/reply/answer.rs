//! What a target that did as it was asked has to say.

use aoe_common::wire::Mac;

/// What a target that did as it was asked has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// To everything about the config string: the port's limits, and the string as it is stored
    /// now.
    Config(Config<'a>),
    /// To everything about the mask or the reservation: the list as it is now.
    Macs(MacList<'a>),
    /// To ATA commands, with exactly the bytes that were asked for: 512 for an IDENTIFY, all
    /// sectors of a read, none for what returns no data.
    Data(&'a [u8]),
    /// To a question for the SMART status.
    Health(Health),
}

/// What the reply to a config query says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config<'a> {
    /// How many requests the target can hold at once.
    pub buffer_count: u16,
    /// Firmware version, a free value.
    pub firmware_version: u16,
    /// Most sectors per request on this port, at least 1.
    pub sector_count: u8,
    /// The config string, at most 1024 bytes.
    pub string: &'a [u8],
}

/// A list of MAC addresses in a reply, at most 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacList<'a> {
    /// Whole entries, each of which ends with its address.
    bytes: &'a [u8],
    entry_bytes: usize,
}

impl<'a> MacList<'a> {
    /// The list of the first `count` entries of `entry_bytes` bytes each, if there are as many.
    pub(super) fn new(bytes: &'a [u8], count: u8, entry_bytes: usize) -> Option<Self> {
        let bytes = bytes.get(..usize::from(count) * entry_bytes)?;
        Some(Self { bytes, entry_bytes })
    }

    /// The addresses in the target's order.
    pub fn iter(&self) -> impl Iterator<Item = Mac> + use<'a> {
        let entries = self.bytes.chunks_exact(self.entry_bytes);
        entries.map(|entry| Mac(*entry.last_chunk().expect("an entry holds an address")))
    }
}

/// What SMART says about a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// No threshold is exceeded.
    Good,
    /// The disk expects to fail soon, or has failed.
    Failing,
}
