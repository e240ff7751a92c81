//! Sectors that say who has written them, and when they were torn or mixed up.

use anyhow::{Result, ensure};

use crate::image::random_bytes;

/// Bytes of a sector.
pub const SECTOR: usize = 512;

/// First bytes of every stamped sector.
const MAGIC: [u8; 8] = *b"aoestamp";
/// Magic, value and LBA; what follows is made of them.
const HEAD: usize = 24;
/// Bits of a [`Value`] that are the sequence number.
const SEQUENCE_BITS: u32 = 40;

/// A write, as one number that no other write has; 0 for the zeroes of a new disk.
pub type Value = u64;

/// What a read returned that has met a write half done.
pub const TORN: Value = Value::MAX;

/// The write of this number by a client, whose number is at least 1.
pub fn value(client: u32, sequence: u64) -> Value {
    u64::from(client) << SEQUENCE_BITS | sequence
}

/// What a write leaves in a sector.
fn sector(value: Value, lba: u64) -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    sector[..8].copy_from_slice(&MAGIC);
    sector[8..16].copy_from_slice(&value.to_le_bytes());
    sector[16..HEAD].copy_from_slice(&lba.to_le_bytes());
    let seed = value.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ lba;
    sector[HEAD..].copy_from_slice(&random_bytes(SECTOR - HEAD, seed));
    sector
}

/// The write that sector `lba` comes from.
///
/// # Errors
///
/// Where it is no write's: torn, mixed up, or another sector's.
pub fn value_of(data: &[u8], lba: u64) -> Result<Value> {
    if data.iter().all(|&byte| byte == 0) {
        return Ok(0);
    }
    ensure!(data.len() == SECTOR && data.starts_with(&MAGIC), "sector {lba} has foreign data");
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| data[at + byte]));
    let (value, meant) = (word(8), word(16));
    ensure!(meant == lba, "sector {lba} has what was written to {meant}");
    ensure!(sector(value, lba) == data, "sector {lba} is torn: it begins as write {value:#x}");
    Ok(value)
}

/// The data of a write of so many sectors.
pub fn data(value: Value, lba: u64, sectors: u64) -> Vec<u8> {
    (lba..lba + sectors).flat_map(|lba| sector(value, lba)).collect()
}

/// The writes that sectors from `lba` on come from.
///
/// # Errors
///
/// As [`value_of`].
pub fn values_of(data: &[u8], lba: u64) -> Result<Vec<Value>> {
    data.chunks(SECTOR).zip(lba..).map(|(sector, lba)| value_of(sector, lba)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let value = value(3, 70_000);
        let data = data(value, 9, 3);
        assert_eq!(values_of(&data, 9).unwrap(), [value; 3]);
        assert_eq!(value_of(&[0; SECTOR], 9).unwrap(), 0);
    }

    #[test]
    fn no_byte_may_differ() {
        let whole = sector(value(1, 2), 7);
        for at in 0..SECTOR {
            let mut torn = whole;
            torn[at] ^= 0x20;
            assert!(value_of(&torn, 7).is_err(), "byte {at}");
        }
        assert!(value_of(&whole, 8).is_err(), "another sector's");
        let mut mixed = whole;
        mixed[256..].copy_from_slice(&sector(value(1, 3), 7)[256..]);
        assert!(value_of(&mixed, 7).is_err(), "two writes in one sector");
    }
}
