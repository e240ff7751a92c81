//! Frames as a capture file, in the oldest format there is: everybody reads it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Microseconds as the unit of time, in the byte order of the file's other numbers.
const MAGIC: u32 = 0xa1b2_c3d4;
/// Ethernet.
const LINK_TYPE: u32 = 1;
/// Longest frame.
const SNAP_LENGTH: u32 = 0x0004_0000;

/// Writes a capture file of these frames, a second apart from each other.
pub fn write(path: &Path, frames: &[Vec<u8>]) -> Result<()> {
    let mut file = Vec::new();
    let version = 2 | 4 << 16;
    for number in [MAGIC, version, 0, 0, SNAP_LENGTH, LINK_TYPE] {
        file.extend(number.to_le_bytes());
    }
    for (second, frame) in (0_u32..).zip(frames) {
        let length = frame.len() as u32;
        for number in [second, 0, length, length] {
            file.extend(number.to_le_bytes());
        }
        file.extend(frame);
    }
    fs::write(path, file).with_context(|| format!("write {}", path.display()))
}
