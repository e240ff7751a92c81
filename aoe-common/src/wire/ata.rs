//! The argument of an ATA command: bytes 24 to 35 of an untagged frame, data behind it.

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// ATA registers, as a request sets them and a reply returns them.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct AtaHeader {
    /// [Flags](aflag); echoed by the reply.
    pub aflags: u8,
    /// Request: Features register. Reply: [Error register](error).
    pub feature: u8,
    /// Request: sectors to transfer. Reply: sectors that were not, so 0 on success.
    pub sector_count: u8,
    /// Request: [Command register](opcode). Reply: [Status register](status).
    pub command: u8,
    /// Logical block address, least significant byte first; echoed by the reply.
    pub lba: [u8; 6],
    /// Ignored in requests, 0 in replies.
    pub reserved: U16,
}

impl AtaHeader {
    /// The LBA of a 28-bit command: the low nibble of byte 3 has bits 27 to 24, the high nibble
    /// is the device register's, and bytes 4 and 5 mean nothing.
    pub const fn lba28(&self) -> u64 {
        let [a, b, c, d, _, _] = self.lba;
        u32::from_le_bytes([a, b, c, d & 0x0F]) as u64
    }

    /// The LBA of a 48-bit ("EXT") command.
    pub const fn lba48(&self) -> u64 {
        let [a, b, c, d, e, f] = self.lba;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }
}

/// The six LBA bytes of an address below 2^48.
pub const fn lba_bytes(lba: u64) -> [u8; 6] {
    let [a, b, c, d, e, f, _, _] = lba.to_le_bytes();
    [a, b, c, d, e, f]
}

/// Bits of [`AtaHeader::aflags`]; the others are reserved and ignored.
pub mod aflag {
    /// E: 48-bit addressing. The opcode decides, not this bit.
    pub const EXTENDED: u8 = 0x40;
    /// W: the payload flows to the device.
    pub const WRITE: u8 = 0x01;
}

/// Command register values.
pub mod opcode {
    /// READ SECTORS, 28 bit.
    pub const READ_SECTORS: u8 = 0x20;
    /// READ SECTORS without retries, 28 bit: obsolete, and the same to us.
    pub const READ_SECTORS_NO_RETRY: u8 = 0x21;
    /// READ SECTORS EXT, 48 bit.
    pub const READ_SECTORS_EXT: u8 = 0x24;
    /// WRITE SECTORS, 28 bit.
    pub const WRITE_SECTORS: u8 = 0x30;
    /// WRITE SECTORS without retries, 28 bit: obsolete, and the same to us.
    pub const WRITE_SECTORS_NO_RETRY: u8 = 0x31;
    /// WRITE SECTORS EXT, 48 bit.
    pub const WRITE_SECTORS_EXT: u8 = 0x34;
    /// CHECK POWER MODE.
    pub const CHECK_POWER_MODE: u8 = 0xE5;
    /// FLUSH CACHE.
    pub const FLUSH_CACHE: u8 = 0xE7;
    /// FLUSH CACHE EXT.
    pub const FLUSH_CACHE_EXT: u8 = 0xEA;
    /// IDENTIFY DEVICE.
    pub const IDENTIFY_DEVICE: u8 = 0xEC;
}

/// Bits of the Status register.
pub mod status {
    /// The device is busy.
    pub const BSY: u8 = 0x80;
    /// The device is ready.
    pub const DRDY: u8 = 0x40;
    /// Device fault.
    pub const DF: u8 = 0x20;
    /// The device wants to transfer data.
    pub const DRQ: u8 = 0x08;
    /// The command failed; the [Error register](super::error) says why.
    pub const ERR: u8 = 0x01;
    /// Any of these means that the command failed, to Linux and Plan 9. iPXE looks at [`ERR`]
    /// only, so every failure has to set that.
    pub const FAILED: u8 = BSY | DF | DRQ | ERR;
}

/// Bits of the Error register.
pub mod error {
    /// Uncorrectable: the medium could not be read.
    pub const UNC: u8 = 0x40;
    /// ID not found: the address is past the end.
    pub const IDNF: u8 = 0x10;
    /// The command was aborted.
    pub const ABRT: u8 = 0x04;
}

const _: () = assert!(size_of::<AtaHeader>() == 12);

#[cfg(test)]
mod tests {
    use super::*;

    fn header(lba: [u8; 6]) -> AtaHeader {
        AtaHeader { aflags: 0, feature: 0, sector_count: 0, command: 0, lba, reserved: U16::new(0) }
    }

    #[test]
    fn lba28_ignores_the_device_register_and_the_high_bytes() {
        assert_eq!(header([0x01, 0x02, 0x03, 0xE4, 0xFF, 0xFF]).lba28(), 0x0403_0201);
        assert_eq!(header([0xFF; 6]).lba28(), 0x0FFF_FFFF);
    }

    #[test]
    fn lba48_takes_all_six_bytes() {
        for lba in [0, 1, 0x0000_0605_0403_0201, 0x0000_FFFF_FFFF_FFFF] {
            assert_eq!(header(lba_bytes(lba)).lba48(), lba);
        }
    }
}
