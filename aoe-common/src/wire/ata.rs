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
    /// A: the write may be answered before it is durable.
    pub const ASYNCHRONOUS: u8 = 0x02;
    /// W: the payload flows to the device.
    pub const WRITE: u8 = 0x01;
}

/// Command register values, as in ATA8-ACS. What is not here is not offered by any target of
/// this kind.
pub mod opcode {
    /// DATA SET MANAGEMENT: with [`feature::TRIM`](super::feature::TRIM), the payload lists
    /// [ranges](super::trim_range) to discard.
    pub const DATA_SET_MANAGEMENT: u8 = 0x06;
    /// READ SECTORS, 28 bit.
    pub const READ_SECTORS: u8 = 0x20;
    /// READ SECTORS without retries, 28 bit: obsolete, and the same to us.
    pub const READ_SECTORS_NO_RETRY: u8 = 0x21;
    /// READ SECTORS EXT, 48 bit.
    pub const READ_SECTORS_EXT: u8 = 0x24;
    /// READ DMA EXT, 48 bit.
    pub const READ_DMA_EXT: u8 = 0x25;
    /// WRITE SECTORS, 28 bit.
    pub const WRITE_SECTORS: u8 = 0x30;
    /// WRITE SECTORS without retries, 28 bit: obsolete, and the same to us.
    pub const WRITE_SECTORS_NO_RETRY: u8 = 0x31;
    /// WRITE SECTORS EXT, 48 bit.
    pub const WRITE_SECTORS_EXT: u8 = 0x34;
    /// WRITE DMA EXT, 48 bit.
    pub const WRITE_DMA_EXT: u8 = 0x35;
    /// WRITE DMA FUA EXT, 48 bit: durable before it is answered, whatever the write cache.
    pub const WRITE_DMA_FUA_EXT: u8 = 0x3D;
    /// READ VERIFY SECTORS, 28 bit: a read that returns no data.
    pub const READ_VERIFY: u8 = 0x40;
    /// READ VERIFY SECTORS without retries, 28 bit: obsolete, and the same to us.
    pub const READ_VERIFY_NO_RETRY: u8 = 0x41;
    /// READ VERIFY SECTORS EXT, 48 bit.
    pub const READ_VERIFY_EXT: u8 = 0x42;
    /// EXECUTE DEVICE DIAGNOSTIC.
    pub const EXECUTE_DIAGNOSTIC: u8 = 0x90;
    /// SMART: the Features register has a [sub-command](super::smart).
    pub const SMART: u8 = 0xB0;
    /// READ DMA, 28 bit.
    pub const READ_DMA: u8 = 0xC8;
    /// WRITE DMA, 28 bit.
    pub const WRITE_DMA: u8 = 0xCA;
    /// STANDBY IMMEDIATE.
    pub const STANDBY_IMMEDIATE: u8 = 0xE0;
    /// IDLE IMMEDIATE.
    pub const IDLE_IMMEDIATE: u8 = 0xE1;
    /// STANDBY.
    pub const STANDBY: u8 = 0xE2;
    /// IDLE.
    pub const IDLE: u8 = 0xE3;
    /// CHECK POWER MODE.
    pub const CHECK_POWER_MODE: u8 = 0xE5;
    /// SLEEP.
    pub const SLEEP: u8 = 0xE6;
    /// FLUSH CACHE.
    pub const FLUSH_CACHE: u8 = 0xE7;
    /// FLUSH CACHE EXT.
    pub const FLUSH_CACHE_EXT: u8 = 0xEA;
    /// IDENTIFY DEVICE.
    pub const IDENTIFY_DEVICE: u8 = 0xEC;
    /// SET FEATURES: the Features register has a [sub-command](super::feature).
    pub const SET_FEATURES: u8 = 0xEF;
}

/// Values of the Features register of SET FEATURES and of DATA SET MANAGEMENT.
pub mod feature {
    /// DATA SET MANAGEMENT: discard.
    pub const TRIM: u8 = 0x01;
    /// SET FEATURES: write cache on.
    pub const WRITE_CACHE_ON: u8 = 0x02;
    /// SET FEATURES: transfer mode, in the count register.
    pub const TRANSFER_MODE: u8 = 0x03;
    /// SET FEATURES: read look-ahead off.
    pub const LOOK_AHEAD_OFF: u8 = 0x55;
    /// SET FEATURES: write cache off.
    pub const WRITE_CACHE_OFF: u8 = 0x82;
    /// SET FEATURES: read look-ahead on.
    pub const LOOK_AHEAD_ON: u8 = 0xAA;
}

/// Values of the Features register of SMART, and of LBA bytes 1 and 2 with it.
pub mod smart {
    /// Allow the other sub-commands.
    pub const ENABLE: u8 = 0xD8;
    /// Return the state of the disk in LBA bytes 1 and 2.
    pub const RETURN_STATUS: u8 = 0xDA;
    /// LBA bytes 1 and 2 of every request, and of the status of a disk that is well.
    pub const KEY: [u8; 2] = [0x4F, 0xC2];
    /// LBA bytes 1 and 2 of the status of a disk that fails.
    pub const FAILING: [u8; 2] = [0xF4, 0x2C];
}

/// The range of one 8-byte entry of a TRIM payload: first LBA, number of sectors. Least
/// significant byte first, 48 bits of LBA and 16 bits of count; a count of 0 marks an unused entry.
pub const fn trim_range(entry: [u8; 8]) -> (u64, u16) {
    let word = u64::from_le_bytes(entry);
    (word & 0xFFFF_FFFF_FFFF, (word >> 48) as u16)
}

/// The TRIM payload entry of a range whose first LBA is below 2^48.
pub const fn trim_entry(lba: u64, sectors: u16) -> [u8; 8] {
    (lba & 0xFFFF_FFFF_FFFF | (sectors as u64) << 48).to_le_bytes()
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
    fn trim_entries_are_little_endian() {
        assert_eq!(trim_entry(0x0605_0403_0201, 0x0807), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(trim_range([1, 2, 3, 4, 5, 6, 7, 8]), (0x0605_0403_0201, 0x0807));
    }

    #[test]
    fn lba48_takes_all_six_bytes() {
        for lba in [0, 1, 0x0000_0605_0403_0201, 0x0000_FFFF_FFFF_FFFF] {
            assert_eq!(header(lba_bytes(lba)).lba48(), lba);
        }
    }
}
