//! The file or device behind one or more disks: opened and locked once by this process.

use rustix::fs::{
    Advice, AtFlags, FlockOperation, StatxFlags, fadvise, flock, ioctl_blksszget, statx,
};
use rustix::io::Errno;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use thiserror::Error;

/// An open and locked image file or block device.
#[derive(Debug)]
pub struct Backing {
    /// Open for reading, and for writing unless read-only.
    pub file: File,
    /// Where it was opened.
    pub path: PathBuf,
    /// Whether writes are refused.
    pub read_only: bool,
    pub(super) kind: Kind,
    /// Whether its size says how far it goes: some special files claim to be empty.
    is_sized: bool,
    /// Set once a write or flush has failed, until an administrator clears it: what the page cache
    /// holds is no longer what the medium will.
    failed: AtomicBool,
    /// How often that has been.
    failures: AtomicU32,
    /// Held over every flush: of two at once, the kernel tells only one of a failure.
    flushing: Mutex<()>,
    /// Whether sequential reads are read ahead of.
    looks_ahead: AtomicBool,
}

/// What kind of thing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Device {
        /// Bytes of its sectors.
        sector: u64,
    },
}

/// What no two files or devices share: device and inode of a file, number of a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity(u64, u64);

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
    #[error("{path} has {bytes} bytes, and {end} are wanted of it: correct offset and length")]
    Short { path: PathBuf, bytes: u64, end: u64 },
    #[error(
        "{path} has sectors of {sector} bytes, and offset {offset} is no multiple of that: let the \
         part begin elsewhere, or serve it read-only"
    )]
    Between { path: PathBuf, sector: u64, offset: u64 },
    #[error("{path}: {source}; give --read-only to serve it without writing")]
    ReadOnly { path: PathBuf, source: io::Error },
    #[error("{0} is in use by another process; stop that, or serve a copy")]
    Locked(PathBuf),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

impl Backing {
    /// Opens and locks a file or device: exclusively for writing, shared for reading only, so that
    /// no two processes write one and none writes what another serves.
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
        let file = open_kind(path, &metadata, read_only)?;
        let lock = if read_only {
            FlockOperation::NonBlockingLockShared
        } else {
            FlockOperation::NonBlockingLockExclusive
        };
        flock(&file, lock).map_err(|error| match error {
            Errno::WOULDBLOCK => ImageError::Locked(path.to_owned()),
            error => io_error(error.into()),
        })?;
        Ok(Self::new(file, path, read_only))
    }

    /// What is open already, without a lock.
    pub fn new(file: File, path: &Path, read_only: bool) -> Self {
        let metadata = file.metadata();
        let is_sized = metadata.as_ref().is_ok_and(|data| data.is_file() && data.len() > 0);
        let kind = if metadata.is_ok_and(|data| data.file_type().is_block_device()) {
            Kind::Device { sector: ioctl_blksszget(&file).unwrap_or(512).into() }
        } else {
            Kind::File
        };
        Self {
            file,
            path: path.to_owned(),
            read_only,
            kind,
            is_sized,
            failed: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            flushing: Mutex::new(()),
            looks_ahead: AtomicBool::new(true),
        }
    }

    /// Up to which byte there is something, or is held to be: only files are cut by somebody.
    pub(super) fn reach(&self) -> u64 {
        if self.is_sized { self.bytes().unwrap_or(u64::MAX) } else { u64::MAX }
    }

    /// Whether it is a file that somebody has cut before this byte.
    pub(super) fn is_cut_before(&self, end: u64) -> bool {
        self.reach() < end
    }

    /// How many bytes it has now.
    ///
    /// # Errors
    ///
    /// The kernel's: the device may be gone.
    pub fn bytes(&self) -> io::Result<u64> {
        match self.kind {
            // Nothing but the size: to have been asked for the time of the last change makes the
            // kernel note it anew with the next write, which is one more write to make durable.
            Kind::File => {
                let told = statx(&self.file, "", AtFlags::EMPTY_PATH, StatxFlags::SIZE)?;
                Ok(told.stx_size)
            }
            // Only seeking tells the size of a device.
            Kind::Device { .. } => (&self.file).seek(SeekFrom::End(0)),
        }
    }

    /// Makes durable what was written, unless something before could not be.
    ///
    /// # Errors
    ///
    /// The kernel's; from then on every further call fails, too, and so it does after
    /// [`fail`](Self::fail), until [`clear_failed`](Self::clear_failed).
    pub fn sync(&self) -> io::Result<()> {
        let _flushing = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_failed() {
            return Err(io::Error::other("an earlier write has failed"));
        }
        let synced = self.flush();
        if synced.is_err() {
            self.note_failure();
        }
        synced
    }

    fn flush(&self) -> io::Result<()> {
        if cfg!(feature = "broken-durability") { Ok(()) } else { self.file.sync_data() }
    }

    /// Notes that a write has failed: every further one has to be refused.
    pub fn fail(&self) {
        self.note_failure();
        self.forget_pages();
    }

    fn note_failure(&self) {
        // Counted first: who sees that it has not failed sees all that have been forgiven.
        self.failures.fetch_add(1, Ordering::SeqCst);
        self.failed.store(true, Ordering::SeqCst);
    }

    /// The kernel counts the pages that it could not write as written. Without them, reads show what
    /// the medium has. Where that can't be done, they show what clients were refused.
    fn forget_pages(&self) {
        let _ = fadvise(&self.file, 0, None, Advice::DontNeed);
    }

    /// Whether a write or flush has failed, since when all writes are refused.
    pub fn is_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// How often a write or flush has failed, forgiven or not. What was begun before the last time
    /// is not durable, whatever a later flush says.
    pub(super) fn failures(&self) -> u32 {
        self.failures.load(Ordering::SeqCst)
    }

    /// Takes writes again, on the word of an administrator, if it can be flushed.
    ///
    /// # Errors
    ///
    /// The kernel's: it stays as it is.
    pub fn clear_failed(&self) -> io::Result<()> {
        let _flushing = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_failed() {
            // The kernel tells each failure once to every file that is open: this may be of the one
            // that is to be forgiven. And it may leave pages that were not written behind.
            let _ = self.flush();
            self.forget_pages();
            self.flush()?;
            self.failed.store(false, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Whether it is gone: a device that was taken away, or a file that was emptied.
    pub(super) fn is_gone(&self) -> bool {
        match self.kind {
            Kind::File => self.is_cut_before(1),
            Kind::Device { .. } => self.bytes().map_or(true, |bytes| bytes == 0),
        }
    }

    /// Has the kernel read ahead of sequential reads, or not. That it won't is no error.
    pub(super) fn look_ahead(&self, on: bool) {
        let advice = if on { Advice::Normal } else { Advice::Random };
        let _ = fadvise(&self.file, 0, None, advice);
        self.looks_ahead.store(on, Ordering::Relaxed);
    }

    /// Whether the kernel reads ahead of sequential reads, for all who read.
    pub fn looks_ahead(&self) -> bool {
        self.looks_ahead.load(Ordering::Relaxed)
    }
}

impl Identity {
    /// Of the file or device with this metadata.
    pub fn of(metadata: &Metadata) -> Self {
        if metadata.file_type().is_block_device() {
            Self(metadata.rdev(), 0)
        } else {
            Self(metadata.dev(), metadata.ino())
        }
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
