//! Image files with known content.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};

/// One mebibyte, in bytes.
pub const MIB: u64 = 1 << 20;

/// Bytes that look random and are the same for the same seed (SplitMix64).
pub fn random_bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Writes an image of `length` random bytes and gives them.
pub fn random_image(path: &Path, length: usize, seed: u64) -> Result<Vec<u8>> {
    let bytes = random_bytes(length, seed);
    fs::write(path, &bytes).with_context(|| format!("write {}", path.display()))?;
    Ok(bytes)
}

/// Makes an image of `length` zero bytes that occupies no blocks.
pub fn sparse_image(path: &Path, length: u64) -> Result<()> {
    File::create(path)
        .and_then(|file| file.set_len(length))
        .with_context(|| format!("create {}", path.display()))
}
