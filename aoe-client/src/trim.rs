//! Stretches of a disk as the payload of DATA SET MANAGEMENT.

use aoe_common::wire::SECTOR_SIZE;
use aoe_common::wire::ata::trim_entry;

/// Where one entry follows on another, it does at a multiple of this: storage that can discard
/// in units of up to 1 MiB only then loses nothing to the cut.
const ALIGNMENT: u64 = (1 << 20) / SECTOR_SIZE as u64;

/// Successive sectors of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first one.
    pub lba: u64,
    /// How many.
    pub sectors: u64,
}

/// The entries for these extents, filled up with unused ones to whole blocks of 512 bytes.
///
/// The extents are on a disk, so that their ends can be counted in 64 bits.
pub(crate) fn blocks(extents: &[Extent]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for &Extent { mut lba, sectors } in extents {
        let end = lba + sectors;
        while lba < end {
            let count = end - lba;
            let count = u16::try_from(count).unwrap_or_else(|_| {
                let furthest = lba + u64::from(u16::MAX);
                (furthest - furthest % ALIGNMENT - lba) as u16
            });
            bytes.extend_from_slice(&trim_entry(lba, count));
            lba += u64::from(count);
        }
    }
    bytes.resize(bytes.len().next_multiple_of(SECTOR_SIZE), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use aoe_common::wire::ata::trim_range;
    use proptest::prelude::*;

    fn ranges(blocks: &[u8]) -> Vec<(u64, u16)> {
        blocks.chunks_exact(8).map(|entry| trim_range(entry.try_into().unwrap())).collect()
    }

    #[test]
    fn short_extents_are_an_entry_each() {
        let extents = [Extent { lba: 5, sectors: 1 }, Extent { lba: 1 << 40, sectors: 65535 }];
        let blocks = blocks(&extents);
        assert_eq!(blocks.len(), 512);
        assert_eq!(ranges(&blocks)[..3], [(5, 1), (1 << 40, 65535), (0, 0)]);
        assert!(blocks[16..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn long_extents_are_cut_where_storage_likes_it() {
        let blocks = blocks(&[Extent { lba: 100, sectors: 200_000 }]);
        let expected = [(100, 65436), (65536, 63488), (129_024, 63488), (192_512, 7588), (0, 0)];
        assert_eq!(ranges(&blocks)[..5], expected);
    }

    proptest! {
        #[test]
        fn every_sector_is_in_one_entry(lba in 0_u64..1 << 40, sectors in 1_u64..1 << 24) {
            let blocks = blocks(&[Extent { lba, sectors }]);
            prop_assert!(blocks.len().is_multiple_of(512));
            let mut next = lba;
            let (used, unused): (Vec<_>, Vec<_>) =
                ranges(&blocks).into_iter().partition(|(_, count)| *count > 0);
            for (start, count) in used {
                prop_assert_eq!(start, next);
                next += u64::from(count);
            }
            prop_assert_eq!(next, lba + sectors);
            prop_assert!(unused.len() < 64 && unused.iter().all(|range| *range == (0, 0)));
        }
    }
}
