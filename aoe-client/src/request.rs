//! Frames that ask something of a target, and the refusal of those that must not be sent.

mod ata;
mod config;
mod forbidden;
mod lists;
mod operation;

use aoe_common::address::Destination;
use aoe_common::wire::{
    AoeHeader, ETHER_TYPE_AOE, EthernetHeader, MIN_FRAME, Mac, SECTOR_SIZE, VERSION,
};
use zerocopy::IntoBytes;
use zerocopy::byteorder::network_endian::U16;

pub use forbidden::Forbidden;
pub use lists::MaskEdit;
pub use operation::{ConfigQuery, Operation};

/// What all requests to one port of a target have in common.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// The initiator's own MAC address.
    pub source: Mac,
    /// The port's MAC address, or broadcast while it is not known.
    pub destination: Mac,
    /// The target's shelf and slot, or wildcards.
    pub to: Destination,
    /// The MTU of the initiator's interface in bytes, at least 548.
    pub mtu: usize,
    /// Most sectors in one request: what both ends of the path can take.
    pub sector_limit: u8,
    /// Whether the disk understands 48-bit commands.
    pub extended: bool,
}

/// Writes the frame of a request into `frame`, padded with zeroes to the shortest length that
/// Ethernet allows: not every interface pads, and not every target takes less.
///
/// `data` is what the [`Operation`] says, and empty where that says nothing.
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
    let bytes = data.len();
    match operation {
        Operation::Config(query) => {
            frame.extend_from_slice(config::header(query, bytes).as_bytes());
        }
        Operation::ReadMask => frame.extend_from_slice(lists::READ_MASK.as_bytes()),
        Operation::EditMask => frame.extend_from_slice(lists::edit_mask(bytes).as_bytes()),
        Operation::ReadReservation => frame.extend_from_slice(lists::READ_RESERVATION.as_bytes()),
        Operation::Reserve { force } => {
            frame.extend_from_slice(lists::reserve(force, bytes).as_bytes());
        }
        Operation::Identify => frame.extend_from_slice(ata::IDENTIFY.as_bytes()),
        Operation::Read { lba, sectors } => {
            frame.extend_from_slice(ata::read(path, lba, sectors).as_bytes());
        }
        Operation::Write { lba, sectors } => {
            frame.extend_from_slice(ata::write(path, lba, sectors).as_bytes());
        }
        Operation::Flush => frame.extend_from_slice(ata::FLUSH.as_bytes()),
        Operation::FlushExt => frame.extend_from_slice(ata::FLUSH_EXT.as_bytes()),
        Operation::Trim { blocks } => frame.extend_from_slice(ata::trim(blocks).as_bytes()),
        Operation::EnableSmart => frame.extend_from_slice(ata::ENABLE_SMART.as_bytes()),
        Operation::SmartStatus => frame.extend_from_slice(ata::SMART_STATUS.as_bytes()),
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
    if operation.changes() && path.to.is_wildcard() {
        return Err(Forbidden::WildcardChange);
    }
    match operation {
        Operation::Config(query) => config::check(path, query, data),
        Operation::EditMask => lists::check_directives(path, data),
        Operation::Reserve { .. } => lists::check_holders(path, data),
        Operation::Read { lba, sectors } => {
            ata::check_transfer(path, lba, sectors)?;
            check_length(data, 0)
        }
        Operation::Write { lba, sectors } => {
            ata::check_transfer(path, lba, sectors)?;
            check_length(data, usize::from(sectors) * SECTOR_SIZE)
        }
        Operation::Trim { blocks } => ata::check_trim(path, blocks, data),
        Operation::ReadMask
        | Operation::ReadReservation
        | Operation::Identify
        | Operation::Flush
        | Operation::FlushExt
        | Operation::EnableSmart
        | Operation::SmartStatus => check_length(data, 0),
    }
}

fn check_length(data: &[u8], expected: usize) -> Result<(), Forbidden> {
    let bytes = data.len();
    if bytes == expected { Ok(()) } else { Err(Forbidden::WrongData { bytes, expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aoe_common::address::Address;
    use proptest::prelude::*;

    pub(super) fn path() -> Path {
        Path {
            source: Mac([2, 0, 0, 0, 0, 1]),
            destination: Mac([2, 0, 0, 0, 0, 2]),
            to: Address::new(0x0102, 3).unwrap().into(),
            mtu: 1500,
            sector_limit: 2,
            extended: true,
        }
    }

    pub(super) fn built(
        path: &Path,
        operation: Operation,
        data: &[u8],
    ) -> Result<Vec<u8>, Forbidden> {
        // What an earlier request left behind must not show.
        let mut frame = vec![0xA5; 2000];
        build(&mut frame, path, 0x8000_0001, operation, data).map(|()| frame)
    }

    /// The header every request of these tests starts with.
    pub(super) fn header(command: u8) -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xA2, 0x10, 0];
        bytes.extend([0x01, 0x02, 0x03, command, 0x80, 0, 0, 1]);
        bytes
    }

    pub(super) fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
        if bytes.len() < 60 {
            bytes.resize(60, 0);
        }
        bytes
    }

    #[test]
    fn no_request_comes_from_a_group_address() {
        let group = Path { source: Mac([3, 0, 0, 0, 0, 1]), ..path() };
        for operation in [Operation::Config(ConfigQuery::Read), Operation::Identify] {
            assert_eq!(built(&group, operation, &[]), Err(Forbidden::GroupSource));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_built_fits_the_link_and_says_what_was_meant(
            operation in crate::reply::tests::operations(),
            bytes in prop::collection::vec(any::<u8>(), 0..2100),
            mtu in 548_usize..9000,
            wildcard in any::<bool>(),
        ) {
            let sector_limit = u8::try_from((mtu - 36) / 512).unwrap();
            let to = if wildcard { Destination::EVERY } else { path().to };
            let path = Path { mtu, sector_limit, to, ..path() };
            // As much data as the operation takes, where it takes only so much.
            let data = match operation {
                Operation::Write { sectors: blocks, .. } | Operation::Trim { blocks } => {
                    bytes.get(..usize::from(blocks) * 512).unwrap_or(&bytes)
                }
                Operation::EditMask | Operation::Reserve { .. } => &bytes[..bytes.len() / 24 * 24],
                Operation::Config(query) if query != ConfigQuery::Read => &bytes,
                _ => &[],
            };
            if let Ok(frame) = built(&path, operation, data) {
                prop_assert!((60..=14 + mtu).contains(&frame.len()));
                prop_assert!(!(wildcard && operation.changes()));
                let argument = [12, 8, 4, 2][usize::from(operation.command())];
                let (carried, padding) = frame[24 + argument..].split_at(data.len());
                prop_assert_eq!(carried, data);
                prop_assert!(padding.iter().all(|byte| *byte == 0));
            }
        }
    }
}
