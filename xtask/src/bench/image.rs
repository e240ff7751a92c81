//! The disk that is measured: a file all of whose blocks are written.

use anyhow::{Context, Result, ensure};
use aoe_tests::image::{MIB, random_bytes};
use rustix::fs::{Advice, fadvise, statvfs};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes of the image: as large as the one whose start is measured has to be, and so large that
/// random reads hardly meet a block for the second time.
pub(super) const SIZE: u64 = 10 << 30;
/// Bytes of a block as `stat` counts them.
const STAT_BLOCK: u64 = 512;
/// Mebibytes that are written between two lines of progress.
const STEP: u64 = 1024;

/// The image in this directory. It is written unless it is there already: that takes a while, and
/// its content does not matter.
pub(super) fn written(directory: &Path) -> Result<PathBuf> {
    let path = directory.join("storage.img");
    if fs::metadata(&path).is_ok_and(|file| file.len() == SIZE && is_allocated(&file)) {
        return Ok(path);
    }
    let volume = statvfs(directory).with_context(|| directory.display().to_string())?;
    let free = volume.f_bavail * volume.f_frsize;
    ensure!(
        free > SIZE,
        "the image takes {} MiB, and {} has {} MiB free: give another directory with --dir",
        SIZE / MIB,
        directory.display(),
        free / MIB
    );
    let unfinished = path.with_extension("unfinished");
    write(&unfinished).with_context(|| format!("write {}", unfinished.display()))?;
    fs::rename(&unfinished, &path)?;
    Ok(path)
}

fn is_allocated(file: &fs::Metadata) -> bool {
    file.blocks() * STAT_BLOCK >= SIZE
}

fn write(path: &Path) -> Result<()> {
    let mut file = File::create(path)?;
    let mut bytes = random_bytes(MIB as usize, 1);
    for mebibyte in 0..SIZE / MIB {
        // No two the same, so that nothing below can keep one for both.
        bytes[..8].copy_from_slice(&mebibyte.to_le_bytes());
        file.write_all(&bytes)?;
        if (mebibyte + 1) % STEP == 0 {
            file.sync_data()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
            eprintln!("bench: {} of {} MiB written", mebibyte + 1, SIZE / MIB);
        }
    }
    file.sync_all()?;
    Ok(())
}
