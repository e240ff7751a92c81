//! Sizes, as people read them.

use aoe_client::SECTOR_SIZE;

/// The size of so many sectors in the manner of aoe-stat: three decimals, and not rounded.
pub(crate) fn gigabytes(sectors: u64) -> String {
    let megabytes = u128::from(sectors) * SECTOR_SIZE as u128 / 1_000_000;
    format!("{}.{:03}GB", megabytes / 1000, megabytes % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gigabytes_have_three_decimals() {
        assert_eq!(gigabytes(0), "0.000GB");
        assert_eq!(gigabytes(32768), "0.016GB");
        assert_eq!(gigabytes(2_097_152), "1.073GB");
        assert_eq!(gigabytes(u64::MAX), "9444732965739.290GB");
    }
}
