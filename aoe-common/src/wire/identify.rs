//! The 512 bytes that IDENTIFY DEVICE returns: 256 little-endian words.

use super::SECTOR_SIZE;

/// Word numbers, as in ATA8-ACS.
pub mod word {
    /// Serial number, [`super::SERIAL_LENGTH`] characters.
    pub const SERIAL: usize = 10;
    /// Firmware revision, [`super::FIRMWARE_LENGTH`] characters.
    pub const FIRMWARE: usize = 23;
    /// Model number, [`super::MODEL_LENGTH`] characters.
    pub const MODEL: usize = 27;
    /// Sectors reachable by 28-bit commands, two words.
    pub const LBA28_SECTORS: usize = 60;
    /// Capabilities; bit 8 DMA, bit 9 LBA.
    pub const CAPABILITIES: usize = 49;
    /// What TRIM leaves behind: bit 14 always the same, bit 5 zeroes.
    pub const ADDITIONAL_SUPPORTED: usize = 69;
    /// Command sets supported, first word: bit 0 SMART, 3 power management, 5 write cache, 6 read
    /// look-ahead.
    pub const COMMAND_SETS_1: usize = 82;
    /// Command sets supported, second word; bit 10 says that 48-bit commands are.
    pub const COMMAND_SETS_2: usize = 83;
    /// Command sets supported, third word: bit 6 FUA writes, bit 8 world wide name.
    pub const COMMAND_SETS_3: usize = 84;
    /// Command sets enabled, mirror of [`COMMAND_SETS_1`].
    pub const ENABLED_1: usize = 85;
    /// Sectors reachable by 48-bit commands, four words.
    pub const LBA48_SECTORS: usize = 100;
    /// Most 512-byte blocks of ranges in one TRIM.
    pub const TRIM_BLOCKS: usize = 105;
    /// Logical sectors of a physical one: bits 3 to 0 are the power of two where bit 13 is set.
    pub const PHYSICAL_SECTORS: usize = 106;
    /// World wide name, four words, the most significant first.
    pub const WORLD_WIDE_NAME: usize = 108;
    /// Bit 0: TRIM is supported.
    pub const DATA_SET_MANAGEMENT: usize = 169;
    /// Revolutions per minute; 1 for media that don't rotate, 0 for no statement.
    pub const ROTATION: usize = 217;
    /// 0xA5 in the low byte, checksum in the high one.
    pub const INTEGRITY: usize = 255;
}

/// Characters of a serial number.
pub const SERIAL_LENGTH: usize = 20;
/// Characters of a firmware revision.
pub const FIRMWARE_LENGTH: usize = 8;
/// Characters of a model number.
pub const MODEL_LENGTH: usize = 40;
/// Most sectors that words 60 and 61 may tell.
pub const LBA28_MAX: u64 = 0x0FFF_FFFF;
/// Bit 10 of word 83: 48-bit commands are supported.
pub const LBA48_SUPPORTED: u16 = 1 << 10;

/// IDENTIFY DEVICE data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identify(pub [u8; SECTOR_SIZE]);

impl Identify {
    /// All words zero.
    pub const fn zeroed() -> Self {
        Self([0; SECTOR_SIZE])
    }

    /// Word `index`, 0 to 255.
    pub fn word(&self, index: usize) -> u16 {
        u16::from_le_bytes([self.0[2 * index], self.0[2 * index + 1]])
    }

    /// Sets word `index`, 0 to 255.
    pub fn set_word(&mut self, index: usize, value: u16) {
        self.0[2 * index..2 * index + 2].copy_from_slice(&value.to_le_bytes());
    }

    /// Sets as many words as `value` has from `index` on, least significant word first.
    pub fn set_words<const BYTES: usize>(&mut self, index: usize, value: [u8; BYTES]) {
        self.0[2 * index..2 * index + BYTES].copy_from_slice(&value);
    }

    /// Sets a string of `length` characters from word `index` on: space padded, the first
    /// character of each pair in the high byte. What is not printable ASCII becomes a space,
    /// what is too long is cut.
    pub fn set_string(&mut self, index: usize, length: usize, text: &str) {
        let field = &mut self.0[2 * index..2 * index + length];
        field.fill(b' ');
        for (at, byte) in text.bytes().take(length).enumerate() {
            if byte.is_ascii_graphic() {
                field[at ^ 1] = byte;
            }
        }
    }

    /// The string of `N` characters from word `index` on, its characters in reading order and
    /// its padding kept.
    pub fn string<const N: usize>(&self, index: usize) -> [u8; N] {
        core::array::from_fn(|at| self.0[2 * index + (at ^ 1)])
    }

    /// Size in sectors as Linux reads it: words 100 to 103 where 48-bit commands are supported,
    /// else words 60 and 61.
    pub fn sectors(&self) -> u64 {
        let words = |first: usize, count: usize| {
            (0..count).rev().fold(0, |sum, at| sum << 16 | u64::from(self.word(first + at)))
        };
        if self.word(word::COMMAND_SETS_2) & LBA48_SUPPORTED != 0 {
            words(word::LBA48_SECTORS, 4)
        } else {
            words(word::LBA28_SECTORS, 2)
        }
    }

    /// Sets the integrity word so that all 512 bytes sum to 0. Call it last.
    pub fn seal(&mut self) {
        self.set_word(word::INTEGRITY, 0x00A5);
        let checksum = self.byte_sum().wrapping_neg();
        self.set_word(word::INTEGRITY, u16::from_le_bytes([0xA5, checksum]));
    }

    /// Sum of all bytes, modulo 256: 0 in sealed data.
    pub fn byte_sum(&self) -> u8 {
        self.0.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_swapped_padded_and_cut() {
        let mut identify = Identify::zeroed();
        identify.set_string(word::SERIAL, SERIAL_LENGTH, "ABC\u{7}D");
        assert_eq!(&identify.0[20..28], b"BA C D  ");
        assert_eq!(&identify.string::<5>(word::SERIAL), b"ABC D");
        identify.set_string(word::FIRMWARE, FIRMWARE_LENGTH, "0123456789");
        assert_eq!(&identify.string::<FIRMWARE_LENGTH>(word::FIRMWARE), b"01234567");
        assert_eq!(identify.word(word::MODEL), 0, "the next field is untouched");
    }

    #[test]
    fn sealed_data_sums_to_zero() {
        let mut identify = Identify::zeroed();
        identify.set_string(word::MODEL, MODEL_LENGTH, "a model");
        identify.seal();
        assert_eq!(identify.byte_sum(), 0);
        assert_eq!(identify.0[510], 0xA5);
    }

    #[test]
    fn size_comes_from_the_words_that_apply() {
        let mut identify = Identify::zeroed();
        identify.set_words(word::LBA28_SECTORS, 0x0123_4567_u32.to_le_bytes());
        identify.set_words(word::LBA48_SECTORS, 0x0000_89AB_CDEF_0123_u64.to_le_bytes());
        assert_eq!(identify.sectors(), 0x0123_4567);
        identify.set_word(word::COMMAND_SETS_2, LBA48_SUPPORTED);
        assert_eq!(identify.sectors(), 0x0000_89AB_CDEF_0123);
    }
}
