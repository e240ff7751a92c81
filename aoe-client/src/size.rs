//! Sizes, as people write and read them.

use aoe_client::SECTOR_SIZE;

/// Reads a size like 4096, 64K or 1G and returns it in sectors.
pub(crate) fn parse_sectors(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last().map(u8::to_ascii_uppercase) {
        Some(b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        Some(b'T') => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "a size is a number, maybe with K, M, G or T behind".to_owned())?;
    let bytes = number.checked_mul(1 << shift).ok_or("more than any disk can hold")?;
    if !bytes.is_multiple_of(SECTOR_SIZE as u64) {
        return Err("a size must be a multiple of 512, the size of a sector".to_owned());
    }
    Ok(bytes / SECTOR_SIZE as u64)
}

/// The size of so many sectors in the manner of aoe-stat: three decimals, and not rounded.
pub(crate) fn gigabytes(sectors: u64) -> String {
    let megabytes = u128::from(sectors) * SECTOR_SIZE as u128 / 1_000_000;
    format!("{}.{:03}GB", megabytes / 1000, megabytes % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_come_in_sectors() {
        assert_eq!(parse_sectors("512"), Ok(1));
        assert_eq!(parse_sectors("64K"), Ok(128));
        assert_eq!(parse_sectors("1m"), Ok(2048));
        assert_eq!(parse_sectors("3G"), Ok(3 << 21));
        assert_eq!(parse_sectors("0"), Ok(0));
        for bad in ["", "K", "1.5G", "-512", "1KB", "1000", "513", "16777216T", "1\u{2028}"] {
            assert!(parse_sectors(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn gigabytes_have_three_decimals() {
        assert_eq!(gigabytes(0), "0.000GB");
        assert_eq!(gigabytes(32768), "0.016GB");
        assert_eq!(gigabytes(2_097_152), "1.073GB");
        assert_eq!(gigabytes(u64::MAX), "9444732965739.290GB");
    }
}
