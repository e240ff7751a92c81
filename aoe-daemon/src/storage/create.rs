//! Making new images.

use indicatif::{ProgressBar, ProgressStyle};
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes written at once.
const PIECE: usize = 1 << 20;
/// Bytes written between two syncs, so that the progress bar tells the disk's pace and not the
/// page cache's.
const SYNC_EVERY: u64 = 64 << 20;

/// Makes an image of `bytes` zeros if there is none at `path` yet, and tells whether it did.
///
/// Its blocks are written, not only allocated: on most filesystems the first write to an
/// allocated block is many times slower than any later one. With `sparse` nothing is written.
/// The image appears under its name only once it is whole and on stable storage.
///
/// # Errors
///
/// Where the file can't be made; then nothing of it remains.
pub fn create(path: &Path, bytes: u64, sparse: bool) -> io::Result<bool> {
    if path.try_exists()? {
        return Ok(false);
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".creating");
    let name = PathBuf::from(name);
    // One that an interrupted daemon has left is taken over.
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&name)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| io::Error::other("another process is creating it"))?;
    if path.try_exists()? {
        // The other process has just finished: the file that is open here is the image.
        return Ok(false);
    }
    let unfinished = Unfinished { path: name };
    file.set_len(0)?;
    if sparse {
        file.set_len(bytes)?;
    } else {
        write_zeros(&file, path, bytes)?;
    }
    file.sync_all()?;
    rename_to_free_name(&unfinished.path, path)?;
    File::open(parent(path))?.sync_all()?;
    Ok(true)
}

/// Gives a file another name, and never one that something else has come to have meanwhile.
fn rename_to_free_name(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some network filesystems can't promise it. A while ago the name was free.
        Err(Errno::INVAL | Errno::NOSYS) => std::fs::rename(from, to),
        renamed => Ok(renamed?),
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn write_zeros(mut file: &File, path: &Path, bytes: u64) -> io::Result<()> {
    let bar = ProgressBar::new(bytes).with_message(format!("creating {}", path.display()));
    bar.set_style(
        ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
            .map_err(io::Error::other)?,
    );
    let zeros = vec![0; PIECE];
    let mut written = 0;
    while written < bytes {
        let piece = PIECE.min(usize::try_from(bytes - written).unwrap_or(PIECE));
        file.write_all(&zeros[..piece])?;
        written += piece as u64;
        if written % SYNC_EVERY == 0 {
            file.sync_data()?;
        }
        bar.set_position(written);
    }
    bar.finish_and_clear();
    Ok(())
}

/// The image while it is being made, next to where it will be; removed unless it was renamed.
struct Unfinished {
    path: PathBuf,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Gone already where the image was finished and renamed.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn writes_blocks_unless_sparse() {
        let directory = tempfile::tempdir().unwrap();
        for (name, sparse) in [("full", false), ("sparse", true)] {
            let path = directory.path().join(name);
            assert!(create(&path, 3 << 20, sparse).unwrap());
            let metadata = path.metadata().unwrap();
            assert_eq!(metadata.len(), 3 << 20);
            assert_eq!(metadata.blocks() == 0, sparse, "{name}: {} blocks", metadata.blocks());
        }
    }

    #[test]
    fn leaves_an_existing_image_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"precious").unwrap();
        assert!(!create(file.path(), 1 << 20, true).unwrap());
        assert_eq!(std::fs::read(file.path()).unwrap(), b"precious");
    }

    #[test]
    fn leaves_alone_what_appears_under_its_name_meanwhile() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image");
        std::thread::scope(|scope| {
            let creating = scope.spawn(|| create(&path, 64 << 20, false));
            while !path.with_file_name("image.creating").exists() {
                std::thread::yield_now();
            }
            File::create_new(&path).unwrap().write_all(b"precious").unwrap();
            let error = creating.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        });
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        assert_eq!(directory.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn leaves_nothing_behind_on_failure() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image");
        assert!(create(&path, u64::MAX, true).is_err());
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);
    }
}
