//! The byte vectors, against programs: our daemon, another target, and two decoders.

mod cable;
mod daemon;
mod decoders;
mod vblade;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use aoe_tests::image::sparse_image;
use aoe_tests::vectors::{SECTOR, Setup};

/// Makes the images of a session's exports and gives their paths in the same order.
fn make_images(setup: &Setup, directory: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for (shelf, slot) in &setup.exports {
        let path = directory.join(format!("e{shelf}.{slot}.img"));
        sparse_image(&path, setup.sectors * SECTOR as u64 + setup.tail)?;
        if let Some(content) = setup.content() {
            let file = std::fs::File::options().write(true).open(&path)?;
            std::os::unix::fs::FileExt::write_all_at(&file, &content, 0)
                .with_context(|| format!("write {}", path.display()))?;
        }
        paths.push(path);
    }
    Ok(paths)
}

/// Fails if there are mistakes, with all of them.
fn expect_none(letter: char, mistakes: &[String]) -> Result<()> {
    ensure!(mistakes.is_empty(), "{} of {letter}:\n{}", mistakes.len(), mistakes.join("\n"));
    Ok(())
}
