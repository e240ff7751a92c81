//! Frames that ask something of a target, and the refusal of those that must not be sent.

use std::fmt;

use aoe_common::address::Destination;
use aoe_common::wire::ata::{AtaHeader, aflag, lba_bytes, opcode};
use aoe_common::wire::config::{ConfigHeader, sub_command};
use aoe_common::wire::{
    AoeHeader, ETHER_TYPE_AOE, EthernetHeader, MIN_FRAME, Mac, SECTOR_SIZE, VERSION, command,
};
use zerocopy::IntoBytes;
use zerocopy::byteorder::network_endian::U16;

/// Bits of the device register, the high half of byte 3 of a 28-bit LBA: two that old standards
/// wanted set, and the one that says that the rest is an LBA.
const DEVICE_OBSOLETE_BITS: u8 = 0xA0;
const DEVICE_LBA: u8 = 0x40;
/// Sectors that 28-bit and 48-bit commands can address.
const LBA28_SECTORS: u64 = 1 << 28;
const LBA48_SECTORS: u64 = 1 << 48;

/// What one frame asks of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Read the config string, and with it the limits of the port that answers.
    QueryConfig,
    /// IDENTIFY DEVICE: 512 bytes about the disk.
    Identify,
    /// READ SECTORS.
    Read {
        /// First sector.
        lba: u64,
        /// How many, at least 1.
        sectors: u8,
    },
    /// WRITE SECTORS.
    Write {
        /// First sector.
        lba: u64,
        /// How many, at least 1.
        sectors: u8,
    },
}

impl Operation {
    /// The AoE command that carries it.
    #[must_use]
    pub const fn command(self) -> u8 {
        match self {
            Self::QueryConfig => command::CONFIG,
            Self::Identify | Self::Read { .. } | Self::Write { .. } => command::ATA,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::QueryConfig => f.write_str("the config query"),
            Self::Identify => f.write_str("IDENTIFY DEVICE"),
            Self::Read { lba, sectors: 1 } => write!(f, "the read of sector {lba}"),
            Self::Read { lba, sectors } => write!(f, "the read of {sectors} sectors at {lba}"),
            Self::Write { lba, sectors: 1 } => write!(f, "the write of sector {lba}"),
            Self::Write { lba, sectors } => write!(f, "the write of {sectors} sectors at {lba}"),
        }
    }
}

/// What all requests to one port of a target have in common.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// The initiator's own MAC address.
    pub source: Mac,
    /// The port's MAC address, or broadcast while it is not known.
    pub destination: Mac,
    /// The target's shelf and slot, or wildcards.
    pub to: Destination,
    /// Most sectors in one request: what both ends of the path can take.
    pub sector_limit: u8,
    /// Whether the disk understands 48-bit commands.
    pub extended: bool,
}

/// Why a request must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// The interface's own address is a multicast or broadcast address.
    #[error("a group address can't be the source of a request")]
    GroupSource,
    /// One frame would write every disk of the segment.
    #[error("a write to a wildcard address would change every disk that hears it")]
    WildcardWrite,
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
    /// The data is not as long as the sector count says.
    #[error("{bytes} bytes of data for {sectors} sectors of 512 bytes")]
    WrongData {
        /// The data's length.
        bytes: usize,
        /// The request's sector count.
        sectors: u8,
    },
}

/// Writes the frame of a request into `frame`, padded with zeroes to the shortest length that
/// Ethernet allows: not every interface pads, and not every target takes less.
///
/// `data` is what a write writes and empty for everything else.
///
/// # Errors
///
/// [`Forbidden`] says why the request must not be sent. The frame is then unusable.
pub fn build(
    frame: &mut Vec<u8>,
    path: &Path,
    tag: u32,
    operation: Operation,
    data: &[u8],
) -> Result<(), Forbidden> {
    check(path, operation, data)?;
    frame.clear();
    let ethernet = EthernetHeader {
        destination: path.destination,
        source: path.source,
        ether_type: U16::new(ETHER_TYPE_AOE),
    };
    let aoe = AoeHeader {
        version_flags: VERSION << 4,
        error: 0,
        shelf: U16::new(path.to.shelf),
        slot: path.to.slot,
        command: operation.command(),
        tag: tag.to_be_bytes(),
    };
    frame.extend_from_slice(ethernet.as_bytes());
    frame.extend_from_slice(aoe.as_bytes());
    match operation {
        Operation::QueryConfig => frame.extend_from_slice(QUERY_CONFIG.as_bytes()),
        Operation::Identify => frame.extend_from_slice(IDENTIFY.as_bytes()),
        Operation::Read { lba, sectors } => {
            let opcodes = (opcode::READ_SECTORS, opcode::READ_SECTORS_EXT);
            let header = transfer(path.extended, opcodes, 0, lba, sectors);
            frame.extend_from_slice(header.as_bytes());
        }
        Operation::Write { lba, sectors } => {
            let opcodes = (opcode::WRITE_SECTORS, opcode::WRITE_SECTORS_EXT);
            let header = transfer(path.extended, opcodes, aflag::WRITE, lba, sectors);
            frame.extend_from_slice(header.as_bytes());
        }
    }
    frame.extend_from_slice(data);
    if frame.len() < MIN_FRAME {
        frame.resize(MIN_FRAME, 0);
    }
    Ok(())
}

fn check(path: &Path, operation: Operation, data: &[u8]) -> Result<(), Forbidden> {
    if path.source.is_group() {
        return Err(Forbidden::GroupSource);
    }
    let (lba, sectors, bytes) = match operation {
        Operation::QueryConfig | Operation::Identify => return Ok(()),
        Operation::Read { lba, sectors } => (lba, sectors, 0),
        Operation::Write { .. } if path.to.is_wildcard() => return Err(Forbidden::WildcardWrite),
        Operation::Write { lba, sectors } => (lba, sectors, usize::from(sectors) * SECTOR_SIZE),
    };
    if sectors == 0 {
        return Err(Forbidden::NoSectors);
    }
    if sectors > path.sector_limit {
        return Err(Forbidden::TooManySectors { sectors, limit: path.sector_limit });
    }
    let addressable = if path.extended { LBA48_SECTORS } else { LBA28_SECTORS };
    if lba.checked_add(u64::from(sectors)).is_none_or(|end| end > addressable) {
        return Err(Forbidden::Unaddressable { lba });
    }
    if data.len() != bytes {
        return Err(Forbidden::WrongData { bytes: data.len(), sectors });
    }
    Ok(())
}

const QUERY_CONFIG: ConfigHeader = ConfigHeader {
    buffer_count: U16::ZERO,
    firmware_version: U16::ZERO,
    sector_count: 0,
    version_command: sub_command::READ,
    string_length: U16::ZERO,
};

// The registers as Linux sets them.
const IDENTIFY: AtaHeader = AtaHeader {
    aflags: 0,
    feature: 0,
    sector_count: 1,
    command: opcode::IDENTIFY_DEVICE,
    lba: [0, 0, 0, DEVICE_OBSOLETE_BITS, 0, 0],
    reserved: U16::ZERO,
};

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
        feature: 0,
        sector_count: sectors,
        command: opcode28,
        lba: lba_bytes(lba),
        reserved: U16::ZERO,
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
mod tests {
    use super::*;
    use aoe_common::address::Address;

    fn path() -> Path {
        Path {
            source: Mac([2, 0, 0, 0, 0, 1]),
            destination: Mac([2, 0, 0, 0, 0, 2]),
            to: Address::new(0x0102, 3).unwrap().into(),
            sector_limit: 2,
            extended: true,
        }
    }

    fn built(path: &Path, operation: Operation, data: &[u8]) -> Result<Vec<u8>, Forbidden> {
        // What an earlier request left behind must not show.
        let mut frame = vec![0xA5; 2000];
        build(&mut frame, path, 0x8000_0001, operation, data).map(|()| frame)
    }

    /// The header every request of these tests starts with.
    fn header(command: u8) -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xA2, 0x10, 0];
        bytes.extend([0x01, 0x02, 0x03, command, 0x80, 0, 0, 1]);
        bytes
    }

    fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.resize(60, 0);
        bytes
    }

    #[test]
    fn a_config_query_is_all_zeroes_behind_the_header() {
        assert_eq!(built(&path(), Operation::QueryConfig, &[]).unwrap(), padded(header(1)));
    }

    #[test]
    fn identify_asks_for_one_sector() {
        let mut expected = header(0);
        expected.extend([0, 0, 1, 0xEC, 0, 0, 0, 0xA0, 0, 0, 0, 0]);
        assert_eq!(built(&path(), Operation::Identify, &[]).unwrap(), padded(expected));
    }

    #[test]
    fn reads_follow_the_addressing() {
        let operation = Operation::Read { lba: 0x0403_0201, sectors: 2 };
        let mut expected = header(0);
        expected.extend([0x40, 0, 2, 0x24, 1, 2, 3, 4, 0, 0, 0, 0]);
        assert_eq!(built(&path(), operation, &[]).unwrap(), padded(expected));

        let mut expected = header(0);
        expected.extend([0, 0, 2, 0x20, 1, 2, 3, 0xE4, 0, 0, 0, 0]);
        let path = Path { extended: false, ..path() };
        assert_eq!(built(&path, operation, &[]).unwrap(), padded(expected));
    }

    #[test]
    fn writes_carry_their_data_and_the_write_flag() {
        let operation = Operation::Write { lba: 0x0605_0403_0201, sectors: 1 };
        let mut expected = header(0);
        expected.extend([0x41, 0, 1, 0x34, 1, 2, 3, 4, 5, 6, 0, 0]);
        expected.extend([7; 512]);
        assert_eq!(built(&path(), operation, &[7; 512]).unwrap(), expected);

        let operation = Operation::Write { lba: 5, sectors: 1 };
        let mut expected = header(0);
        expected.extend([0x01, 0, 1, 0x30, 5, 0, 0, 0xE0, 0, 0, 0, 0]);
        expected.extend([7; 512]);
        let path = Path { extended: false, ..path() };
        assert_eq!(built(&path, operation, &[7; 512]).unwrap(), expected);
    }

    #[test]
    fn refuses_what_the_protocol_forbids() {
        let read = |lba, sectors| Operation::Read { lba, sectors };
        let write = Operation::Write { lba: 0, sectors: 1 };
        let group = Path { source: Mac([3, 0, 0, 0, 0, 1]), ..path() };
        assert_eq!(built(&group, Operation::QueryConfig, &[]), Err(Forbidden::GroupSource));
        let everybody = Path { to: Destination::EVERY, ..path() };
        assert_eq!(built(&everybody, write, &[0; 512]), Err(Forbidden::WildcardWrite));
        assert!(built(&everybody, read(0, 1), &[]).is_ok());
        assert_eq!(built(&path(), read(0, 0), &[]), Err(Forbidden::NoSectors));
        let too_many = Forbidden::TooManySectors { sectors: 3, limit: 2 };
        assert_eq!(built(&path(), read(0, 3), &[]), Err(too_many));
        for (bytes, data) in [(511, &[0; 511][..]), (513, &[0; 513]), (0, &[])] {
            let wrong = Forbidden::WrongData { bytes, sectors: 1 };
            assert_eq!(built(&path(), write, data), Err(wrong));
        }
    }

    #[test]
    fn refuses_what_the_commands_can_not_address() {
        let read = |lba, sectors| Operation::Read { lba, sectors };
        for (extended, end) in [(true, 1 << 48), (false, 1 << 28)] {
            let path = Path { extended, ..path() };
            assert!(built(&path, read(end - 2, 2), &[]).is_ok());
            let lba = end - 1;
            assert_eq!(built(&path, read(lba, 2), &[]), Err(Forbidden::Unaddressable { lba }));
        }
        let lba = u64::MAX;
        assert_eq!(built(&path(), read(lba, 2), &[]), Err(Forbidden::Unaddressable { lba }));
    }
}
