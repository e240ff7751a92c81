//! Requests with ATA commands.

use aoe_common::wire::SECTOR_SIZE;
use aoe_common::wire::ata::{AtaHeader, aflag, feature, lba_bytes, opcode, smart, trim_range};
use zerocopy::byteorder::network_endian::U16;

use super::{Forbidden, Path, check_length};

/// Bits of the device register, the high half of byte 3 of a 28-bit LBA: two that old standards
/// wanted set, and the one that says that the rest is an LBA.
const DEVICE_OBSOLETE_BITS: u8 = 0xA0;
const DEVICE_LBA: u8 = 0x40;
/// Sectors that 28-bit and 48-bit commands can address.
const LBA28_SECTORS: u64 = 1 << 28;
const LBA48_SECTORS: u64 = 1 << 48;

/// Checks the registers of a read or write.
pub(super) fn check_transfer(path: &Path, lba: u64, sectors: u8) -> Result<(), Forbidden> {
    check_count(path, sectors)?;
    let addressable = if path.extended { LBA48_SECTORS } else { LBA28_SECTORS };
    check_end(lba, sectors.into(), addressable)
}

/// Checks a TRIM, which has to use at least one of its ranges.
pub(super) fn check_trim(path: &Path, blocks: u8, data: &[u8]) -> Result<(), Forbidden> {
    check_count(path, blocks)?;
    check_length(data, usize::from(blocks) * SECTOR_SIZE)?;
    let mut used = 0;
    for entry in data.chunks_exact(8) {
        let (lba, sectors) = trim_range(entry.try_into().expect("a chunk has its length"));
        check_end(lba, sectors.into(), LBA48_SECTORS)?;
        used += u32::from(sectors > 0);
    }
    if used == 0 { Err(Forbidden::NoSectors) } else { Ok(()) }
}

/// Checks how many sectors of data one frame is to have.
fn check_count(path: &Path, sectors: u8) -> Result<(), Forbidden> {
    if sectors == 0 {
        return Err(Forbidden::NoSectors);
    }
    if sectors > path.sector_limit {
        return Err(Forbidden::TooManySectors { sectors, limit: path.sector_limit });
    }
    Ok(())
}

fn check_end(lba: u64, sectors: u64, addressable: u64) -> Result<(), Forbidden> {
    if lba.checked_add(sectors).is_none_or(|end| end > addressable) {
        return Err(Forbidden::Unaddressable { lba });
    }
    Ok(())
}

const NOTHING: AtaHeader = AtaHeader {
    aflags: 0,
    feature: 0,
    sector_count: 0,
    command: 0,
    lba: [0, 0, 0, DEVICE_OBSOLETE_BITS, 0, 0],
    reserved: U16::ZERO,
};

/// The registers as Linux sets them.
pub(super) const IDENTIFY: AtaHeader =
    AtaHeader { sector_count: 1, command: opcode::IDENTIFY_DEVICE, ..NOTHING };

pub(super) const FLUSH: AtaHeader = AtaHeader { command: opcode::FLUSH_CACHE, ..NOTHING };

pub(super) const FLUSH_EXT: AtaHeader =
    AtaHeader { aflags: aflag::EXTENDED, command: opcode::FLUSH_CACHE_EXT, lba: [0; 6], ..NOTHING };

pub(super) const ENABLE_SMART: AtaHeader = smart(smart::ENABLE);
pub(super) const SMART_STATUS: AtaHeader = smart(smart::RETURN_STATUS);

const fn smart(sub_command: u8) -> AtaHeader {
    let [middle, high] = smart::KEY;
    AtaHeader {
        feature: sub_command,
        command: opcode::SMART,
        lba: [0, middle, high, DEVICE_OBSOLETE_BITS, 0, 0],
        ..NOTHING
    }
}

pub(super) fn trim(blocks: u8) -> AtaHeader {
    AtaHeader {
        aflags: aflag::EXTENDED | aflag::WRITE,
        feature: feature::TRIM,
        sector_count: blocks,
        command: opcode::DATA_SET_MANAGEMENT,
        lba: [0; 6],
        ..NOTHING
    }
}

pub(super) fn read(path: &Path, lba: u64, sectors: u8) -> AtaHeader {
    transfer(path.extended, (opcode::READ_SECTORS, opcode::READ_SECTORS_EXT), 0, lba, sectors)
}

pub(super) fn write(path: &Path, lba: u64, sectors: u8) -> AtaHeader {
    let opcodes = (opcode::WRITE_SECTORS, opcode::WRITE_SECTORS_EXT);
    transfer(path.extended, opcodes, aflag::WRITE, lba, sectors)
}

/// The registers of a read or write with the 28-bit or the 48-bit one of two opcodes.
fn transfer(
    extended: bool,
    (opcode28, opcode48): (u8, u8),
    aflags: u8,
    lba: u64,
    sectors: u8,
) -> AtaHeader {
    let mut header = AtaHeader {
        aflags,
        sector_count: sectors,
        command: opcode28,
        lba: lba_bytes(lba),
        ..NOTHING
    };
    if extended {
        header.aflags |= aflag::EXTENDED;
        header.command = opcode48;
    } else {
        header.lba[3] |= DEVICE_OBSOLETE_BITS | DEVICE_LBA;
    }
    header
}

#[cfg(test)]
mod tests;
