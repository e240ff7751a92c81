//! What a disk can do, in its own words: IDENTIFY DEVICE taken apart.

use aoe_common::wire::SECTOR_SIZE;
use aoe_common::wire::identify::{
    FIRMWARE_LENGTH, Identify, LBA48_SUPPORTED, MODEL_LENGTH, SERIAL_LENGTH, word,
};

/// Bits 15 and 14 of a word that can be valid or not: 01 says that it is.
const VALID_MASK: u16 = 0xC000;
const VALID: u16 = 0x4000;
/// Low byte of the integrity word where it holds a checksum.
const SIGNATURE: u16 = 0xA5;

/// Word numbers that no target needs to know by name.
const COMMAND_SETS_ENABLED_3: usize = 87;

/// What a disk says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// Model number, without its padding. Bytes that are no printable ASCII are escaped, as in the
    /// next two.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// Firmware revision.
    pub firmware: String,
    /// World wide name.
    pub world_wide_name: Option<u64>,
    /// Size in sectors of 512 bytes.
    pub sectors: u64,
    /// Bytes of a physical sector: 512, or a larger power of two where several sectors are one.
    pub physical_sector_bytes: u32,
    /// Revolutions of the medium.
    pub rotation: Rotation,
    /// 48-bit commands.
    pub lba48: bool,
    /// READ DMA and WRITE DMA.
    pub dma: bool,
    /// FLUSH CACHE.
    pub flush: bool,
    /// FLUSH CACHE EXT.
    pub flush_ext: bool,
    /// Writes that are durable before they are answered, whatever the write cache does.
    pub fua: bool,
    /// The write cache.
    pub write_cache: Switch,
    /// Read look-ahead.
    pub look_ahead: Switch,
    /// SMART.
    pub smart: Switch,
    /// Power management.
    pub power_management: bool,
    /// TRIM, if there is any.
    pub trim: Option<Trim>,
    /// Whether the checksum is right, if there is one.
    pub checksum: Option<bool>,
}

/// Revolutions of a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The disk does not say.
    Unknown,
    /// It does not rotate.
    SolidState,
    /// So many times a minute.
    PerMinute(u16),
}

/// A feature that can be turned on and off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    /// Whether there is any.
    pub supported: bool,
    /// Whether it is on.
    pub enabled: bool,
}

/// How a disk discards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// Most blocks of 64 ranges in one request, at least 1.
    pub blocks: u16,
    /// Whether a discarded sector reads the same every time.
    pub deterministic: bool,
    /// Whether it reads as zeroes.
    pub zeroes: bool,
}

impl From<&Identify> for Features {
    fn from(identify: &Identify) -> Self {
        // A bit of a word counts only where the word, or the one that vouches for it, is valid.
        let bit = |index: usize, vouching: usize, bit: u32| {
            identify.word(vouching) & VALID_MASK == VALID && identify.word(index) & 1 << bit != 0
        };
        let first = |number| bit(word::COMMAND_SETS_1, word::COMMAND_SETS_2, number);
        let second = |number| bit(word::COMMAND_SETS_2, word::COMMAND_SETS_2, number);
        let third = |number| bit(word::COMMAND_SETS_3, word::COMMAND_SETS_3, number);
        let enabled = |number| bit(word::ENABLED_1, COMMAND_SETS_ENABLED_3, number);
        let switch = |number| Switch { supported: first(number), enabled: enabled(number) };
        Self {
            model: text(&identify.string::<MODEL_LENGTH>(word::MODEL)),
            serial: text(&identify.string::<SERIAL_LENGTH>(word::SERIAL)),
            firmware: text(&identify.string::<FIRMWARE_LENGTH>(word::FIRMWARE)),
            world_wide_name: third(8).then(|| world_wide_name(identify)),
            sectors: identify.sectors(),
            physical_sector_bytes: physical_sector_bytes(identify.word(word::PHYSICAL_SECTORS)),
            rotation: rotation(identify.word(word::ROTATION)),
            // As every initiator has it: nothing vouches for this one.
            lba48: identify.word(word::COMMAND_SETS_2) & LBA48_SUPPORTED != 0,
            dma: identify.word(word::CAPABILITIES) & 1 << 8 != 0,
            flush: second(12),
            flush_ext: second(13),
            fua: third(6),
            write_cache: switch(5),
            look_ahead: switch(6),
            smart: switch(0),
            power_management: first(3),
            trim: trim(identify),
            checksum: checksum(identify),
        }
    }
}

/// A string of IDENTIFY DEVICE without the blanks around it.
fn text(padded: &[u8]) -> String {
    // Some targets pad with zeroes, which the standard does not know.
    let end = padded.iter().rposition(|byte| !matches!(byte, b' ' | 0)).map_or(0, |at| at + 1);
    padded[..end].trim_ascii_start().escape_ascii().to_string()
}

fn world_wide_name(identify: &Identify) -> u64 {
    let words = (0..4).map(|at| identify.word(word::WORLD_WIDE_NAME + at));
    words.fold(0, |sum, word| sum << 16 | u64::from(word))
}

fn physical_sector_bytes(word: u16) -> u32 {
    let several = word & VALID_MASK == VALID && word & 1 << 13 != 0;
    let power = if several { u32::from(word & 0xF) } else { 0 };
    (SECTOR_SIZE as u32) << power
}

fn rotation(word: u16) -> Rotation {
    match word {
        1 => Rotation::SolidState,
        // The rest of the range is reserved.
        0x0401..=0xFFFE => Rotation::PerMinute(word),
        _ => Rotation::Unknown,
    }
}

fn trim(identify: &Identify) -> Option<Trim> {
    let leaves = identify.word(word::ADDITIONAL_SUPPORTED);
    (identify.word(word::DATA_SET_MANAGEMENT) & 1 != 0).then(|| Trim {
        // 0 is no statement, and one block is what every disk with TRIM takes.
        blocks: identify.word(word::TRIM_BLOCKS).max(1),
        deterministic: leaves & 1 << 14 != 0,
        zeroes: leaves & 1 << 14 != 0 && leaves & 1 << 5 != 0,
    })
}

fn checksum(identify: &Identify) -> Option<bool> {
    let signed = identify.word(word::INTEGRITY) & 0xFF == SIGNATURE;
    signed.then(|| identify.byte_sum() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(words: &[(usize, u16)]) -> Features {
        let mut identify = Identify::zeroed();
        for &(index, value) in words {
            identify.set_word(index, value);
        }
        Features::from(&identify)
    }

    const OFF: Switch = Switch { supported: false, enabled: false };
    const ON: Switch = Switch { supported: true, enabled: true };

    #[test]
    fn a_disk_that_says_nothing_can_do_nothing() {
        let expected = Features {
            model: String::new(),
            serial: String::new(),
            firmware: String::new(),
            world_wide_name: None,
            sectors: 0,
            physical_sector_bytes: 512,
            rotation: Rotation::Unknown,
            lba48: false,
            dma: false,
            flush: false,
            flush_ext: false,
            fua: false,
            write_cache: OFF,
            look_ahead: OFF,
            smart: OFF,
            power_management: false,
            trim: None,
            checksum: None,
        };
        assert_eq!(features(&[]), expected);
        // Words that are all ones are as invalid as zeroes.
        let words = [(82, 0xFFFF), (83, 0xFFFF), (84, 0xFFFF), (85, 0xFFFF), (87, 0xFFFF)];
        let expected = Features { lba48: true, ..expected };
        assert_eq!(features(&words), expected);
        assert_eq!(features(&[(106, 0xFFFF)]).physical_sector_bytes, 512);
    }

    #[test]
    fn every_feature_has_its_bit() {
        let found = features(&[
            (49, 0x0300),
            (82, 0x0069),
            (83, 0x7400),
            (84, 0x4140),
            (85, 0x0069),
            (86, 0x3400),
            (87, 0x4140),
            (106, 0x6003),
            (108, 0x5001),
            (109, 0x2345),
            (110, 0x6789),
            (111, 0xABCD),
            (217, 7200),
        ]);
        assert_eq!(found.world_wide_name, Some(0x5001_2345_6789_ABCD));
        assert_eq!(found.physical_sector_bytes, 4096);
        assert_eq!(found.rotation, Rotation::PerMinute(7200));
        assert!(found.lba48 && found.dma && found.flush && found.flush_ext && found.fua);
        assert!(found.power_management);
        assert_eq!([found.write_cache, found.look_ahead, found.smart], [ON; 3]);
        assert_eq!(features(&[(217, 1)]).rotation, Rotation::SolidState);
    }

    #[test]
    fn a_feature_can_be_there_and_off() {
        let words = [(82, 0x0020), (83, 0x4000), (85, 0), (87, 0x4000)];
        let off = Switch { supported: true, enabled: false };
        assert_eq!(features(&words).write_cache, off);
    }

    #[test]
    fn trim_comes_with_what_it_leaves() {
        let trim = |blocks, leaves| features(&[(69, leaves), (105, blocks), (169, 1)]).trim;
        let plain = Trim { blocks: 1, deterministic: false, zeroes: false };
        assert_eq!(trim(0, 0), Some(plain));
        assert_eq!(trim(8, 0x0020), Some(Trim { blocks: 8, ..plain }), "zeroes are no promise");
        let zeroes = Trim { blocks: 8, deterministic: true, zeroes: true };
        assert_eq!(trim(8, 0x4020), Some(zeroes));
        assert_eq!(features(&[(69, 0x4020), (105, 8)]).trim, None);
    }

    #[test]
    fn strings_lose_their_padding_and_what_would_break_a_terminal() {
        let mut identify = Identify::zeroed();
        identify.set_string(word::MODEL, MODEL_LENGTH, "  a model");
        // Pairs are swapped: "\x1b[" and a zero for padding.
        identify.set_words(word::SERIAL, [b'[', 0x1B, 0, b'x']);
        let found = Features::from(&identify);
        assert_eq!((found.model.as_str(), found.serial.as_str()), ("a model", r"\x1b[x"));
    }

    #[test]
    fn the_checksum_is_checked_where_there_is_one() {
        let mut identify = Identify::zeroed();
        identify.seal();
        assert_eq!(Features::from(&identify).checksum, Some(true));
        identify.set_word(word::ROTATION, 1);
        assert_eq!(Features::from(&identify).checksum, Some(false));
    }
}
