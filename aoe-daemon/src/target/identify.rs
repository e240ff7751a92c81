//! What IDENTIFY DEVICE says of a target: the table of its words.

use super::request::TRIM_BLOCKS;
use aoe_common::wire::identify::{
    FIRMWARE_LENGTH, Identify, LBA28_MAX, LBA48_SUPPORTED, MODEL_LENGTH, SERIAL_LENGTH, word,
};

/// What varies from one target to another. All ports of a target tell the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Size in sectors.
    pub sectors: u64,
    /// Whether writes are refused. ATA has no word for it.
    pub read_only: bool,
    /// Serial number, unique; at most 20 characters are used.
    pub serial: String,
    /// Model number; at most 40 characters are used.
    pub model: String,
    /// World wide name, its naming authority in the top four bits.
    pub world_wide_name: u64,
    /// What a write should be a multiple of: two to the power of this in sectors, at most 15.
    pub physical_exponent: u8,
    /// Sectors of the first physical one that lie before the disk begins.
    pub alignment: u16,
    /// Whether the medium is known not to rotate.
    pub solid_state: bool,
    /// What TRIM does, where it does anything.
    pub trim: Option<Trim>,
    /// Whether sequential reads are read ahead of.
    pub look_ahead: bool,
    /// Whether writes are answered before they are durable.
    pub write_cache: bool,
}

impl Description {
    /// A plain disk of this many sectors.
    pub fn of_size(sectors: u64) -> Self {
        Self {
            sectors,
            read_only: false,
            serial: String::new(),
            model: MODEL.to_owned(),
            world_wide_name: 0,
            physical_exponent: 0,
            alignment: 0,
            solid_state: false,
            trim: None,
            look_ahead: true,
            write_cache: false,
        }
    }
}

/// What reads of discarded sectors return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// Zeroes.
    Zeroes,
    /// No matter what.
    Anything,
}

/// Model number of every target that has no other.
pub const MODEL: &str = "aoe-daemon ATA over Ethernet disk";

/// Sectors of a cylinder in the legacy geometry: 16 heads of 63 sectors.
const CYLINDER: u64 = 16 * 63;
/// Cycle time of every transfer mode that has one, in nanoseconds.
const CYCLE_TIME: u16 = 120;

/// The 256 words. What is not listed is 0: not supported, or no statement.
pub fn identify(description: &Description) -> Identify {
    let Description { sectors, solid_state, trim, .. } = *description;
    let cylinders = (sectors / CYLINDER).min(16_383) as u16;
    let switched_on =
        u16::from(description.look_ahead) << 6 | u16::from(description.write_cache) << 5;
    let physical = match description.physical_exponent {
        0 => 0x4000,
        exponent => 0x6000 | u16::from(exponent & 0x0F),
    };
    let zeroes = if trim == Some(Trim::Zeroes) { 0x4020 } else { 0 };
    let trim_blocks = if trim.is_some() { TRIM_BLOCKS.into() } else { 0 };
    let mut data = Identify::zeroed();
    let words = [
        (0, 0x0040),                                      // an ATA device, not removable
        (1, cylinders),                                   // legacy geometry, as default …
        (3, 16),                                          //
        (6, 63),                                          //
        (47, 0x8000),                                     // no READ or WRITE MULTIPLE
        (48, 0x4000),                                     // no Trusted Computing
        (word::CAPABILITIES, 0x0B00),                     // IORDY, LBA, DMA
        (50, 0x4000),                                     // the mark that the word is valid
        (53, 0x0003),                                     // words 54 to 58 and 64 to 70 are valid
        (54, cylinders),                                  // … and as current
        (55, 16),                                         //
        (56, 63),                                         //
        (63, 0x0407),                                     // multiword DMA 0 to 2, 2 is selected
        (64, 0x0003),                                     // programmed I/O 3 and 4
        (65, CYCLE_TIME),                                 // multiword DMA: the least
        (66, CYCLE_TIME),                                 // and the best
        (67, CYCLE_TIME),                                 // programmed I/O: without
        (68, CYCLE_TIME),                                 // and with flow control
        (word::ADDITIONAL_SUPPORTED, zeroes),             // after TRIM: always the same, zeroes
        (80, 0x01F0),                                     // ATA-4 to ATA8-ACS
        (word::COMMAND_SETS_1, 0x0069),                   // look-ahead, write cache, power, SMART
        (word::COMMAND_SETS_2, 0x7000 | LBA48_SUPPORTED), // valid mark, FLUSH CACHE and EXT
        (word::COMMAND_SETS_3, 0x4140),                   // valid mark, world wide name, FUA writes
        (word::ENABLED_1, 0x0009 | switched_on),          // word 82's features, as they are
        (86, 0x3000 | LBA48_SUPPORTED),                   // word 83's, enabled
        (87, 0x4140),                                     // word 84's, enabled
        (word::TRIM_BLOCKS, trim_blocks),                 // most blocks of one TRIM
        (word::PHYSICAL_SECTORS, physical),               // logical sectors of a physical one
        (word::DATA_SET_MANAGEMENT, trim_blocks.min(1)),  // TRIM
        (209, 0x4000 | description.alignment & 0x3FFF),   // offset in the first physical sector
        (word::ROTATION, solid_state.into()),             // does not rotate, or no statement
    ];
    for (index, value) in words {
        data.set_word(index, value);
    }
    let legacy_capacity = u32::from(cylinders) * CYLINDER as u32;
    data.set_words(57, legacy_capacity.to_le_bytes());
    data.set_words(word::LBA28_SECTORS, (sectors.min(LBA28_MAX) as u32).to_le_bytes());
    data.set_words(word::LBA48_SECTORS, sectors.to_le_bytes());
    // Most significant word first, unlike sizes.
    let [a, b, c, d, e, f, g, h] = description.world_wide_name.to_be_bytes();
    data.set_words(word::WORLD_WIDE_NAME, [b, a, d, c, f, e, h, g]);
    data.set_string(word::SERIAL, SERIAL_LENGTH, &description.serial);
    data.set_string(word::FIRMWARE, FIRMWARE_LENGTH, env!("CARGO_PKG_VERSION"));
    data.set_string(word::MODEL, MODEL_LENGTH, &description.model);
    data.seal();
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(sectors: u64) -> Description {
        Description {
            serial: "0123456789ABCDEF".into(),
            world_wide_name: 0x3123_4567_89AB_CDEF,
            physical_exponent: 3,
            trim: Some(Trim::Zeroes),
            ..Description::of_size(sectors)
        }
    }

    fn of(sectors: u64) -> Identify {
        identify(&description(sectors))
    }

    #[test]
    fn sizes_agree_up_to_the_28_bit_limit() {
        for sectors in [1, 2048, LBA28_MAX] {
            let data = of(sectors);
            assert_eq!(data.sectors(), sectors);
            assert_eq!(u64::from(data.word(60)) | u64::from(data.word(61)) << 16, sectors);
        }
    }

    #[test]
    fn beyond_the_28_bit_limit_only_the_long_size_is_exact() {
        let data = of(1 << 28);
        assert_eq!(data.sectors(), 1 << 28);
        assert_eq!((data.word(60), data.word(61)), (0xFFFF, 0x0FFF));
        assert_eq!(data.word(103), 0);
    }

    #[test]
    fn readers_find_what_they_look_at() {
        let data = of(2048);
        assert_eq!(data.word(83) & 0xC000, 0x4000, "Plan 9 wants the valid mark");
        assert_ne!((data.word(83) | data.word(86)) & (1 << 10), 0, "Linux and iPXE: 48 bit");
        assert_ne!(data.word(49) & 1 << 9, 0, "LBA");
        assert_eq!(&data.string::<SERIAL_LENGTH>(word::SERIAL), b"0123456789ABCDEF    ");
        assert!(data.string::<MODEL_LENGTH>(word::MODEL).starts_with(b"aoe-daemon"));
        assert_eq!(data.byte_sum(), 0);
    }

    /// Every word of a disk of 2 MiB with 4096-byte physical sectors that reads zeroes after TRIM.
    #[test]
    fn every_word_is_as_the_table_says() {
        let data = of(4096);
        let expected = [
            (0, 0x0040),
            (1, 4),
            (3, 16),
            (6, 63),
            (47, 0x8000),
            (48, 0x4000),
            (49, 0x0B00),
            (50, 0x4000),
            (53, 3),
            (54, 4),
            (55, 16),
            (56, 63),
            (57, 4032),
            (60, 4096),
            (63, 0x0407),
            (64, 3),
            (65, 120),
            (66, 120),
            (67, 120),
            (68, 120),
            (69, 0x4020),
            (80, 0x01F0),
            (82, 0x0069),
            (83, 0x7400),
            (84, 0x4140),
            (85, 0x0049),
            (86, 0x3400),
            (87, 0x4140),
            (100, 4096),
            (105, 1),
            (106, 0x6003),
            (108, 0x3123),
            (109, 0x4567),
            (110, 0x89AB),
            (111, 0xCDEF),
            (169, 1),
            (209, 0x4000),
        ];
        let strings = (10..20).chain(23..47);
        for index in (0..255).filter(|index| !strings.clone().any(|other| other == *index)) {
            let value = expected.iter().find(|(at, _)| *at == index).map_or(0, |(_, value)| *value);
            assert_eq!(data.word(index), value, "word {index}");
        }
    }

    #[test]
    fn words_follow_the_description() {
        let plain = Description {
            physical_exponent: 0,
            alignment: 5,
            solid_state: true,
            trim: None,
            look_ahead: false,
            write_cache: true,
            ..description(2048)
        };
        let expected = [
            (69, 0),
            (82, 0x0069),
            (85, 0x0029),
            (105, 0),
            (106, 0x4000),
            (169, 0),
            (209, 0x4005),
            (217, 1),
        ];
        let data = identify(&plain);
        for (index, value) in expected {
            assert_eq!(data.word(index), value, "word {index}");
        }
        let data = identify(&Description { trim: Some(Trim::Anything), ..plain });
        assert_eq!((data.word(69), data.word(105), data.word(169)), (0, 1, 1));
    }
}
