use super::*;
use crate::request::Operation;
use crate::request::tests::{built, header, padded, path};
use aoe_common::address::Destination;
use aoe_common::wire::ata::trim_entry;

fn read(lba: u64, sectors: u8) -> Operation {
    Operation::Read { lba, sectors }
}

/// A header with these registers behind it.
fn with_registers(registers: [u8; 12]) -> Vec<u8> {
    [header(0), registers.to_vec()].concat()
}

#[test]
fn identify_asks_for_one_sector() {
    let expected = with_registers([0, 0, 1, 0xEC, 0, 0, 0, 0xA0, 0, 0, 0, 0]);
    assert_eq!(built(&path(), Operation::Identify, &[]).unwrap(), padded(expected));
}

#[test]
fn reads_follow_the_addressing() {
    let operation = read(0x0403_0201, 2);
    let expected = with_registers([0x40, 0, 2, 0x24, 1, 2, 3, 4, 0, 0, 0, 0]);
    assert_eq!(built(&path(), operation, &[]).unwrap(), padded(expected));

    let expected = with_registers([0, 0, 2, 0x20, 1, 2, 3, 0xE4, 0, 0, 0, 0]);
    let path = Path { extended: false, ..path() };
    assert_eq!(built(&path, operation, &[]).unwrap(), padded(expected));
}

#[test]
fn writes_carry_their_data_and_the_write_flag() {
    let operation = Operation::Write { lba: 0x0605_0403_0201, sectors: 1 };
    let mut expected = with_registers([0x41, 0, 1, 0x34, 1, 2, 3, 4, 5, 6, 0, 0]);
    expected.extend([7; 512]);
    assert_eq!(built(&path(), operation, &[7; 512]).unwrap(), expected);

    let operation = Operation::Write { lba: 5, sectors: 1 };
    let mut expected = with_registers([0x01, 0, 1, 0x30, 5, 0, 0, 0xE0, 0, 0, 0, 0]);
    expected.extend([7; 512]);
    let path = Path { extended: false, ..path() };
    assert_eq!(built(&path, operation, &[7; 512]).unwrap(), expected);
}

#[test]
fn flushes_have_no_address_and_no_count() {
    let expected = with_registers([0, 0, 0, 0xE7, 0, 0, 0, 0xA0, 0, 0, 0, 0]);
    assert_eq!(built(&path(), Operation::Flush, &[]).unwrap(), padded(expected));
    let expected = with_registers([0x40, 0, 0, 0xEA, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(built(&path(), Operation::FlushExt, &[]).unwrap(), padded(expected));
}

#[test]
fn smart_commands_have_their_key() {
    let expected = with_registers([0, 0xD8, 0, 0xB0, 0, 0x4F, 0xC2, 0xA0, 0, 0, 0, 0]);
    assert_eq!(built(&path(), Operation::EnableSmart, &[]).unwrap(), padded(expected));
    let expected = with_registers([0, 0xDA, 0, 0xB0, 0, 0x4F, 0xC2, 0xA0, 0, 0, 0, 0]);
    assert_eq!(built(&path(), Operation::SmartStatus, &[]).unwrap(), padded(expected));
}

#[test]
fn a_trim_is_blocks_of_ranges() {
    let mut blocks = [0; 1024];
    blocks[..8].copy_from_slice(&trim_entry(0x0605_0403_0201, 0x0807));
    blocks[512..520].copy_from_slice(&trim_entry(9, 1));
    let mut expected = with_registers([0x41, 1, 2, 0x06, 0, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend([1, 2, 3, 4, 5, 6, 7, 8]);
    expected.extend([0; 504]);
    expected.extend([9, 0, 0, 0, 0, 0, 1, 0]);
    expected.extend([0; 504]);
    assert_eq!(built(&path(), Operation::Trim { blocks: 2 }, &blocks).unwrap(), expected);
}

#[test]
fn trims_that_can_not_be_right_are_refused() {
    let mut block = [0; 512];
    let trim = |data: &[u8]| built(&path(), Operation::Trim { blocks: 1 }, data);
    assert_eq!(trim(&block), Err(Forbidden::NoSectors));
    let end = 1 << 48;
    block[504..].copy_from_slice(&trim_entry(end - 7, 7));
    assert!(trim(&block).is_ok());
    block[504..].copy_from_slice(&trim_entry(end - 7, 8));
    assert_eq!(trim(&block), Err(Forbidden::Unaddressable { lba: end - 7 }));
    let wrong = Forbidden::WrongData { bytes: 504, expected: 512 };
    assert_eq!(trim(&block[..504]), Err(wrong));
    let none = built(&path(), Operation::Trim { blocks: 0 }, &[]);
    assert_eq!(none, Err(Forbidden::NoSectors));
    let too_many = Forbidden::TooManySectors { sectors: 3, limit: 2 };
    assert_eq!(built(&path(), Operation::Trim { blocks: 3 }, &[0; 1536]), Err(too_many));
}

#[test]
fn transfers_that_can_not_be_right_are_refused() {
    let write = Operation::Write { lba: 0, sectors: 1 };
    assert_eq!(built(&path(), read(0, 0), &[]), Err(Forbidden::NoSectors));
    let too_many = Forbidden::TooManySectors { sectors: 3, limit: 2 };
    assert_eq!(built(&path(), read(0, 3), &[]), Err(too_many));
    for (bytes, data) in [(511, &[0; 511][..]), (513, &[0; 513]), (0, &[])] {
        let wrong = Forbidden::WrongData { bytes, expected: 512 };
        assert_eq!(built(&path(), write, data), Err(wrong));
    }
    let stray = Err(Forbidden::WrongData { bytes: 1, expected: 0 });
    for operation in [Operation::Identify, read(0, 1), Operation::Flush, Operation::SmartStatus] {
        assert_eq!(built(&path(), operation, &[0]), stray, "{operation}");
    }
}

#[test]
fn what_the_commands_can_not_address_is_refused() {
    for (extended, end) in [(true, 1 << 48), (false, 1 << 28)] {
        let path = Path { extended, ..path() };
        assert!(built(&path, read(end - 2, 2), &[]).is_ok());
        let lba = end - 1;
        assert_eq!(built(&path, read(lba, 2), &[]), Err(Forbidden::Unaddressable { lba }));
    }
    let lba = u64::MAX;
    assert_eq!(built(&path(), read(lba, 2), &[]), Err(Forbidden::Unaddressable { lba }));
}

#[test]
fn the_disks_of_everybody_are_read_only() {
    let everybody = Path { to: Destination::EVERY, ..path() };
    for operation in [read(0, 1), Operation::Identify, Operation::SmartStatus] {
        assert!(built(&everybody, operation, &[]).is_ok(), "{operation}");
    }
    let write = Operation::Write { lba: 0, sectors: 1 };
    let trim = Operation::Trim { blocks: 1 };
    for operation in [write, trim, Operation::Flush, Operation::FlushExt, Operation::EnableSmart] {
        let refused = built(&everybody, operation, &[1; 512]);
        assert_eq!(refused, Err(Forbidden::WildcardChange), "{operation}");
    }
}
