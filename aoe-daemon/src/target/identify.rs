//! What IDENTIFY DEVICE says of a target: the table of its words.

use aoe_common::wire::identify::{
    FIRMWARE_LENGTH, Identify, LBA28_MAX, LBA48_SUPPORTED, MODEL_LENGTH, SERIAL_LENGTH, word,
};

/// What varies from one target to another.
#[derive(Clone, Debug)]
pub struct Description<'a> {
    /// Size in sectors.
    pub sectors: u64,
    /// Serial number, unique and the same on every port; at most 20 characters are used.
    pub serial: &'a str,
}

/// Model number of every target.
pub const MODEL: &str = "aoe-daemon ATA over Ethernet disk";

/// Sectors of a cylinder in the legacy geometry: 16 heads of 63 sectors.
const CYLINDER: u64 = 16 * 63;

/// The 256 words. What is not listed is 0: not supported, or no statement.
pub fn identify(description: &Description<'_>) -> Identify {
    let sectors = description.sectors;
    let cylinders = (sectors / CYLINDER).min(16_383) as u16;
    let lba28 = sectors.min(LBA28_MAX) as u32;
    let mut data = Identify::zeroed();
    let words = [
        (0, 0x0040),                    // an ATA device, not removable
        (1, cylinders),                 // legacy geometry, as default …
        (3, 16),                        //
        (6, 63),                        //
        (47, 0x8000),                   // no READ or WRITE MULTIPLE
        (48, 0x4000),                   // no Trusted Computing
        (49, 0x0200),                   // LBA; no DMA
        (50, 0x4000),                   // the mark that the word is valid
        (53, 0x0001),                   // words 54 to 58 are valid
        (54, cylinders),                // … and as current
        (55, 16),                       //
        (56, 63),                       //
        (80, 0x01F0),                   // ATA-4 to ATA8-ACS
        (82, 0x0000),                   // no SMART, no write cache to turn off
        (83, 0x7000 | LBA48_SUPPORTED), // valid mark, FLUSH CACHE and EXT, 48-bit addresses
        (84, 0x4000),                   // the mark that the word is valid
        (86, 0x3000 | LBA48_SUPPORTED), // word 83's features, enabled
        (87, 0x4000),                   // word 84's, enabled
        (106, 0x4000),                  // one logical sector per physical one
        (209, 0x4000),                  // no alignment offset
    ];
    for (index, value) in words {
        data.set_word(index, value);
    }
    let legacy_capacity = u32::from(cylinders) * CYLINDER as u32;
    data.set_words(57, legacy_capacity.to_le_bytes());
    data.set_words(word::LBA28_SECTORS, lba28.to_le_bytes());
    data.set_words(word::LBA48_SECTORS, sectors.to_le_bytes());
    data.set_string(word::SERIAL, SERIAL_LENGTH, description.serial);
    data.set_string(word::FIRMWARE, FIRMWARE_LENGTH, env!("CARGO_PKG_VERSION"));
    data.set_string(word::MODEL, MODEL_LENGTH, MODEL);
    data.seal();
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sectors: u64) -> Identify {
        identify(&Description { sectors, serial: "0123456789ABCDEF" })
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
}
