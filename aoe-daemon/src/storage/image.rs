//! Opening and locking what a target is served from.

use aoe_common::wire::SECTOR_SIZE;
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// An open and locked image file or block device.
#[derive(Debug)]
pub struct Image {
    /// Open for reading, and for writing unless read-only.
    pub file: File,
    /// Where it was opened.
    pub path: PathBuf,
    /// Whole sectors that it holds.
    pub sectors: u64,
    /// Bytes behind the last whole sector, which are not served.
    pub tail: u64,
    /// Whether writes are refused.
    pub read_only: bool,
}

/// Why an image can't be served.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ImageError {
    #[error("{0}: no such file; --create SIZE makes it")]
    Missing(PathBuf),
    #[error("{0} is a directory; give an image file or a block device")]
    Directory(PathBuf),
    #[error("{0} is neither a regular file nor a block device")]
    Kind(PathBuf),
    #[error(
        "{path} has {bytes} bytes, less than one sector of 512; --create SIZE makes a new image"
    )]
    Small { path: PathBuf, bytes: u64 },
    #[error("{path}: {source}; give --read-only to serve it without writing")]
    ReadOnly { path: PathBuf, source: io::Error },
    #[error("{0} is in use by another process; stop that, or serve a copy")]
    Locked(PathBuf),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

impl Image {
    /// Opens and locks an image: exclusively for writing, shared for reading only, so that no
    /// two processes write one image and none writes what another serves.
    ///
    /// # Errors
    ///
    /// [`ImageError::Locked`] may pass: after the end of another process the kernel frees its
    /// locks late.
    pub fn open(path: &Path, read_only: bool) -> Result<Self, ImageError> {
        let io_error = |source| ImageError::Io { path: path.to_owned(), source };
        let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ImageError::Missing(path.to_owned()),
            _ => io_error(error),
        })?;
        let mut file = open_kind(path, &metadata, read_only)?;
        let lock = if read_only {
            FlockOperation::NonBlockingLockShared
        } else {
            FlockOperation::NonBlockingLockExclusive
        };
        flock(&file, lock).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => ImageError::Locked(path.to_owned()),
            error => io_error(error.into()),
        })?;
        // Seeking tells the size of files and devices alike.
        let bytes = file.seek(SeekFrom::End(0)).map_err(io_error)?;
        let sectors = bytes / SECTOR_SIZE as u64;
        if sectors == 0 {
            return Err(ImageError::Small { path: path.to_owned(), bytes });
        }
        let tail = bytes % SECTOR_SIZE as u64;
        Ok(Self { file, path: path.to_owned(), sectors, tail, read_only })
    }

    /// Whether this is the file or device at `path`, whatever it is called there.
    pub fn is_at(&self, path: &Path) -> bool {
        let (Ok(here), Ok(there)) = (self.file.metadata(), std::fs::metadata(path)) else {
            return false;
        };
        identity(&here) == identity(&there)
    }
}

/// What no two files or devices share: device and inode of a file, number of a block device.
fn identity(metadata: &Metadata) -> (u64, u64) {
    if metadata.file_type().is_block_device() {
        (metadata.rdev(), 0)
    } else {
        (metadata.dev(), metadata.ino())
    }
}

fn open_kind(path: &Path, metadata: &Metadata, read_only: bool) -> Result<File, ImageError> {
    let kind = metadata.file_type();
    let mut options = OpenOptions::new();
    options.read(true).write(!read_only);
    if kind.is_block_device() {
        // On block devices this claims the device: it fails while it is mounted or claimed.
        if !read_only {
            options.custom_flags(rustix::fs::OFlags::EXCL.bits() as i32);
        }
    } else if kind.is_dir() {
        return Err(ImageError::Directory(path.to_owned()));
    } else if !kind.is_file() {
        return Err(ImageError::Kind(path.to_owned()));
    }
    options.open(path).map_err(|source| {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::ResourceBusy => ImageError::Locked(path),
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied if !read_only => {
                ImageError::ReadOnly { path, source }
            }
            _ => ImageError::Io { path, source },
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(bytes: u64) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(bytes).unwrap();
        file
    }

    #[test]
    fn counts_whole_sectors() {
        let file = image(3 * 512 + 100);
        let opened = Image::open(file.path(), false).unwrap();
        assert_eq!((opened.sectors, opened.tail), (3, 100));
    }

    #[test]
    fn refuses_what_is_no_disk() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        assert!(matches!(Image::open(&missing, false), Err(ImageError::Missing(_))));
        assert!(matches!(Image::open(directory.path(), false), Err(ImageError::Directory(_))));
        assert!(matches!(Image::open(Path::new("/dev/null"), false), Err(ImageError::Kind(_))));
        let small = image(511);
        let error = Image::open(small.path(), false).unwrap_err();
        assert!(matches!(error, ImageError::Small { bytes: 511, .. }), "{error}");
    }

    #[test]
    fn writers_exclude_everybody_and_readers_only_writers() {
        let file = image(512);
        let open = |read_only| Image::open(file.path(), read_only);
        let writer = open(false).unwrap();
        assert!(matches!(open(false), Err(ImageError::Locked(_))));
        assert!(matches!(open(true), Err(ImageError::Locked(_))));
        drop(writer);
        let _reader = open(true).unwrap();
        let _another = open(true).unwrap();
        assert!(matches!(open(false), Err(ImageError::Locked(_))));
    }
}
