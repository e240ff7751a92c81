//! Image files with known content.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};

use crate::dice::Dice;

/// One mebibyte, in bytes.
pub const MIB: u64 = 1 << 20;

/// Bytes that look random and are the same for the same seed.
pub fn random_bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&dice.number().to_le_bytes());
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
