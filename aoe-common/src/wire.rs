//! ATA over Ethernet (AoEr11) on the wire.
//!
//! Offsets count from the first byte of the Ethernet frame. Fields are big-endian; the LBA bytes
//! of the ATA header and everything inside ATA data are little-endian.
//!
//! The types are views: any bytes of the right length are one, so parsing can't fail except for
//! want of bytes, and values that the protocol does not know stay visible.

pub mod ata;
pub mod config;
pub mod identify;
pub mod mac_mask;
pub mod reserve;

use core::fmt;
use core::str::FromStr;
use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// EtherType of ATA over Ethernet.
pub const ETHER_TYPE_AOE: u16 = 0x88A2;
/// EtherType of an IEEE 802.1Q tag.
pub const ETHER_TYPE_VLAN: u16 = 0x8100;
/// The only protocol version there is, as the high nibble of [`AoeHeader::version_flags`].
pub const VERSION: u8 = 1;
/// Bytes of a sector, whatever the medium underneath has.
pub const SECTOR_SIZE: usize = 512;
/// Bytes of the shortest Ethernet frame without its check sequence. Replies are padded to it:
/// common tools discard shorter ones, and virtual links don't pad.
pub const MIN_FRAME: usize = 60;

/// Bytes from the start of the Ethernet header to the start of the AoE header, without a tag.
pub const ETHERNET_HEADER: usize = size_of::<EthernetHeader>();
/// Bytes of the Ethernet and AoE headers together, without a tag.
pub const FRAME_HEADER: usize = ETHERNET_HEADER + size_of::<AoeHeader>();
/// Bytes of everything in an ATA frame that precedes the data, without a tag.
pub const ATA_FRAME_HEADER: usize = FRAME_HEADER + size_of::<ata::AtaHeader>();

/// A MAC address.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
)]
#[repr(transparent)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: Self = Self([0xFF; 6]);

    /// Whether this is a group (multicast or broadcast) address, which no sender may have.
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl FromStr for Mac {
    type Err = MacError;

    /// Reads `02:00:00:00:00:01`, in capitals too.
    fn from_str(text: &str) -> Result<Self, MacError> {
        let mut mac = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut mac {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(MacError)?;
            if !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(MacError);
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| MacError)?;
        }
        if parts.next().is_some() { Err(MacError) } else { Ok(Self(mac)) }
    }
}

/// Something is no MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacError;

impl fmt::Display for MacError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a MAC address has the form 02:00:00:00:00:01")
    }
}

impl core::error::Error for MacError {}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Ethernet header: bytes 0 to 13.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct EthernetHeader {
    /// Where the frame goes.
    pub destination: Mac,
    /// Who sent it.
    pub source: Mac,
    /// [`ETHER_TYPE_AOE`], [`ETHER_TYPE_VLAN`], or not our business.
    pub ether_type: U16,
}

/// IEEE 802.1Q tag with the EtherType of what it tags: bytes 14 to 17 of a tagged frame.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct VlanTag {
    /// Priority (3 bits), drop eligible (1 bit), VLAN identifier (12 bits).
    pub control: U16,
    /// EtherType of the payload.
    pub ether_type: U16,
}

impl VlanTag {
    /// The VLAN identifier; 0 means that the tag carries a priority only.
    pub fn vlan_id(&self) -> u16 {
        self.control.get() & 0x0FFF
    }
}

/// AoE header: bytes 14 to 23 of an untagged frame.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct AoeHeader {
    /// Version in the high nibble, [flags](flag) in the low one.
    pub version_flags: u8,
    /// An [`AoeError`] code in a reply with [`flag::ERROR`], else 0.
    pub error: u8,
    /// Shelf (major address), all ones for every shelf.
    pub shelf: U16,
    /// Slot (minor address), all ones for every slot.
    pub slot: u8,
    /// A [`command`].
    pub command: u8,
    /// The initiator's own mark, returned bit for bit.
    pub tag: [u8; 4],
}

impl AoeHeader {
    /// The protocol version that the sender claims.
    pub const fn version(&self) -> u8 {
        self.version_flags >> 4
    }

    /// Whether this frame is a reply or an announcement.
    pub const fn is_response(&self) -> bool {
        self.version_flags & flag::RESPONSE != 0
    }
}

/// Flag bits of [`AoeHeader::version_flags`]. The other two are reserved: sent as 0, ignored.
pub mod flag {
    /// The frame is a response.
    pub const RESPONSE: u8 = 0x08;
    /// The response reports an AoE error.
    pub const ERROR: u8 = 0x04;
}

/// Command codes of [`AoeHeader::command`].
pub mod command {
    /// Issue an ATA command.
    pub const ATA: u8 = 0;
    /// Query or change the config string; also how targets are discovered.
    pub const CONFIG: u8 = 1;
    /// Read or edit the list of MAC addresses that may talk to the target.
    pub const MAC_MASK: u8 = 2;
    /// Read or set the list of MAC addresses that hold the target reserved.
    pub const RESERVE: u8 = 3;
}

/// Error codes of [`AoeHeader::error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AoeError {
    /// The command code is not implemented.
    UnrecognizedCommand = 1,
    /// Some value in the command's argument is impossible.
    BadArgument = 2,
    /// The server can't accept ATA commands: its backing store is gone.
    DeviceUnavailable = 3,
    /// A config string is set already.
    ConfigStringPresent = 4,
    /// The version of the request is not [`VERSION`].
    UnsupportedVersion = 5,
    /// Others hold the target reserved.
    TargetReserved = 6,
}

impl AoeError {
    /// The error with this code on the wire, if AoEr11 knows it.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::UnrecognizedCommand,
            2 => Self::BadArgument,
            3 => Self::DeviceUnavailable,
            4 => Self::ConfigStringPresent,
            5 => Self::UnsupportedVersion,
            6 => Self::TargetReserved,
            _ => return None,
        })
    }
}

impl fmt::Display for AoeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnrecognizedCommand => "unrecognized command code",
            Self::BadArgument => "bad argument parameter",
            Self::DeviceUnavailable => "device unavailable",
            Self::ConfigStringPresent => "config string present",
            Self::UnsupportedVersion => "unsupported version",
            Self::TargetReserved => "target is reserved",
        })
    }
}

const _: () = {
    assert!(size_of::<EthernetHeader>() == 14);
    assert!(size_of::<VlanTag>() == 4);
    assert!(size_of::<AoeHeader>() == 10);
    assert!(FRAME_HEADER == 24);
    assert!(ATA_FRAME_HEADER == 36);
};

/// How many sectors fit one frame on a link of this MTU, by the reckoning that every initiator
/// uses, which is 14 bytes pessimistic. 0 where not even one fits.
pub const fn sectors_per_frame(mtu: usize) -> usize {
    mtu.saturating_sub(ATA_FRAME_HEADER) / SECTOR_SIZE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_follow_the_mtu() {
        let expected =
            [(0, 0), (547, 0), (548, 1), (1500, 2), (2084, 4), (4132, 8), (9000, 17), (65536, 127)];
        for (mtu, sectors) in expected {
            assert_eq!(sectors_per_frame(mtu), sectors, "MTU {mtu}");
        }
    }

    #[test]
    fn mac_addresses_are_read() {
        extern crate std;
        let mac = Mac([0x02, 0xAB, 0, 0, 0, 0xF1]);
        assert_eq!("02:ab:00:00:00:F1".parse(), Ok(mac));
        assert_eq!(std::format!("{mac}").parse(), Ok(mac));
        for bad in
            ["", "02:ab", "02:ab:00:00:00:f1:00", "2:ab:0:0:0:f1", "+2:ab:00:00:00:f1", "02-ab"]
        {
            assert_eq!(bad.parse::<Mac>(), Err(MacError), "{bad}");
        }
    }

    #[test]
    fn error_codes_round_trip() {
        for code in 0..=255_u8 {
            if let Some(error) = AoeError::from_code(code) {
                assert_eq!(error as u8, code);
            } else {
                assert!(code == 0 || code > 6);
            }
        }
    }
}
