//! Sizes as people write them on command lines.

use crate::wire::SECTOR_SIZE;
use core::fmt;

/// Reads a size in bytes, or with K, M, G or T behind for powers of 1024, and returns it in
/// sectors.
///
/// # Errors
///
/// What is no number, no multiple of a sector, or more bytes than 64 bits count.
pub fn parse_sectors(text: &str) -> Result<u64, SizeError> {
    let shift = match text.as_bytes().last().map(u8::to_ascii_uppercase) {
        Some(b'K') => 10,
        Some(b'M') => 20,
        Some(b'G') => 30,
        Some(b'T') => 40,
        _ => 0,
    };
    let digits = if shift > 0 { &text[..text.len() - 1] } else { text };
    let number: u64 = digits.parse().map_err(|_| SizeError::NoNumber)?;
    let bytes = number.checked_mul(1 << shift).ok_or(SizeError::TooLarge)?;
    if bytes % SECTOR_SIZE as u64 != 0 {
        return Err(SizeError::NoMultiple);
    }
    Ok(bytes / SECTOR_SIZE as u64)
}

/// The same, in bytes.
///
/// # Errors
///
/// As [`parse_sectors`].
pub fn parse_bytes(text: &str) -> Result<u64, SizeError> {
    Ok(parse_sectors(text)? * SECTOR_SIZE as u64)
}

/// Why something is no size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeError {
    /// Not of the form of a size.
    NoNumber,
    /// More than any disk can hold.
    TooLarge,
    /// Not in whole sectors.
    NoMultiple,
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoNumber => "a size is a number of bytes, or like 512K, 64M, 20G or 4T",
            Self::TooLarge => "that is more than any disk can hold",
            Self::NoMultiple => "a size must be a multiple of 512, the size of a sector",
        })
    }
}

impl core::error::Error for SizeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_come_in_sectors() {
        let sizes = [("0", 0), ("512", 1), ("64K", 128), ("1m", 2048), ("3G", 3 << 21)];
        for (text, sectors) in sizes {
            assert_eq!(parse_sectors(text), Ok(sectors), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_told_apart() {
        for text in ["", "K", "1.5G", "-512", "1KB", "1\u{2028}"] {
            assert_eq!(parse_sectors(text), Err(SizeError::NoNumber), "{text}");
        }
        for text in ["1", "513", "1000"] {
            assert_eq!(parse_sectors(text), Err(SizeError::NoMultiple), "{text}");
        }
        for text in ["16777216T", "18446744073709551615K"] {
            assert_eq!(parse_sectors(text), Err(SizeError::TooLarge), "{text}");
        }
    }
}
