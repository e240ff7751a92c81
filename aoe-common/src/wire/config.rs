//! The argument of a config query: bytes 24 to 31 of an untagged frame, the string behind it.

use super::VERSION;
use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Config query argument. In a request only the sub-command, and for some of them the length,
/// mean anything.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ConfigHeader {
    /// How many requests the target can hold at once. Linux starts at half of it, so that less
    /// than 2 keeps the disk from ever coming up.
    pub buffer_count: U16,
    /// Firmware version, a free value.
    pub firmware_version: U16,
    /// Most sectors per ATA request on this port; 0 means 2.
    pub sector_count: u8,
    /// AoE version in the high nibble of a reply, [sub-command](sub_command) in the low one.
    pub version_command: u8,
    /// Length of the config string in bytes, at most [`MAX_CONFIG_STRING`].
    pub string_length: U16,
}

impl ConfigHeader {
    /// The sub-command.
    pub const fn sub_command(&self) -> u8 {
        self.version_command & 0x0F
    }
}

/// [`ConfigHeader::version_command`] of a reply to this sub-command.
pub const fn version_command(sub_command: u8) -> u8 {
    VERSION << 4 | (sub_command & 0x0F)
}

/// Longest config string in bytes.
pub const MAX_CONFIG_STRING: usize = 1024;

/// Sub-commands of a config query. A reply always carries the string as it is stored then.
pub mod sub_command {
    /// Read the string.
    pub const READ: u8 = 0;
    /// Answer only if the string is exactly this.
    pub const TEST: u8 = 1;
    /// Answer only if the string begins with this.
    pub const PREFIX: u8 = 2;
    /// Store a string where none is stored yet.
    pub const SET: u8 = 3;
    /// Store a string, or none, whatever is stored.
    pub const FORCE_SET: u8 = 4;
}

const _: () = assert!(size_of::<ConfigHeader>() == 8);
