//! How a file lies on its filesystem: whether its blocks are allocated, and whether they have ever
//! been written.

use super::backing::{Backing, Kind};
use rustix::fs::{SeekFrom, fstatfs, seek};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;

/// Parts of a file that are looked at one by one.
const PARTS: u64 = 16;
/// Runs of data that are looked at in each: what a part has is taken to go on in the same way.
const MOST_RUNS: u32 = 256;
/// Bytes that may be missing or unwritten without a word. Filesystems count blocks of their own to
/// the file, and more than one file has a hole at its end.
const SLACK: u64 = 1 << 20;

/// What becomes of the bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How many there are.
    pub bytes: u64,
    /// How many have room on the medium.
    pub allocated: u64,
    /// How many have been written, or read as if they had: about, where they lie scattered.
    pub written: u64,
}

impl Layout {
    /// Of what is behind an image; `None` for devices, for files in memory, and for filesystems
    /// that give every write a new place or do not tell.
    pub fn of(backing: &Backing) -> Option<Self> {
        let Backing { file, kind: Kind::File, .. } = backing else { return None };
        if is_indifferent(file) {
            return None;
        }
        let metadata = file.metadata().ok()?;
        let bytes = metadata.len();
        Some(Self {
            bytes,
            allocated: metadata.blocks() * 512,
            written: written(file, bytes).ok()?,
        })
    }

    /// Whether it has less room on the medium than it has bytes.
    pub const fn is_sparse(&self) -> bool {
        self.allocated.saturating_add(SLACK) < self.bytes
    }

    /// How many bytes have room and were never written, where they are a good part of it.
    pub fn unwritten(&self) -> Option<u64> {
        // Some filesystems allocate ahead of the end.
        let allocated = self.allocated.min(self.bytes);
        let unwritten = allocated.saturating_sub(self.written);
        (unwritten > SLACK.max(allocated / 100)).then_some(unwritten)
    }
}

/// Whether it makes no difference to a file whether its blocks were written: in memory, and where
/// what is written never replaces what was there.
fn is_indifferent(file: &File) -> bool {
    // From linux/magic.h: tmpfs, ramfs, btrfs.
    const TYPES: [u64; 3] = [0x0102_1994, 0x8584_58F6, 0x9123_683E];
    fstatfs(file).map_or(true, |filesystem| TYPES.contains(&(filesystem.f_type as u64)))
}

/// How many of the first bytes of a file are data: allocated blocks that were never written count as
/// a hole.
fn written(file: &File, bytes: u64) -> io::Result<u64> {
    let length = bytes.div_ceil(PARTS).max(1);
    let mut written = 0;
    for part in 0..PARTS {
        let start = (part * length).min(bytes);
        written += written_within(file, start..(start + length).min(bytes))?;
    }
    Ok(written)
}

fn written_within(file: &File, part: Range<u64>) -> io::Result<u64> {
    let (mut at, mut written) = (part.start, 0);
    for _ in 0..MOST_RUNS {
        if at >= part.end {
            return Ok(written);
        }
        let data = match seek(file, SeekFrom::Data(at)) {
            Ok(data) => data,
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => return Ok(written),
            Err(error) => return Err(error.into()),
        };
        let hole = match seek(file, SeekFrom::Hole(data)) {
            Ok(hole) => hole,
            // Somebody has cut the file meanwhile.
            Err(Errno::NXIO) => return Ok(written),
            Err(error) => return Err(error.into()),
        };
        written += hole.min(part.end).saturating_sub(data);
        at = hole;
    }
    let looked_at = at.min(part.end) - part.start;
    let whole = part.end - part.start;
    Ok((u128::from(written) * u128::from(whole) / u128::from(looked_at.max(1))) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{FallocateFlags, fallocate};
    use std::os::unix::fs::FileExt;
    use tempfile::NamedTempFile;

    const MIB: u64 = 1 << 20;

    /// A file of 64 MiB that `prepare` has been at; nothing where temporary files are in memory.
    fn layout(prepare: impl FnOnce(&File)) -> Option<Layout> {
        let file = NamedTempFile::new().unwrap();
        file.as_file().set_len(64 * MIB).unwrap();
        prepare(file.as_file());
        file.as_file().sync_all().unwrap();
        Layout::of(&Backing::open(file.path(), false).unwrap())
    }

    fn allocate(file: &File, offset: u64, length: u64) {
        fallocate(file, FallocateFlags::KEEP_SIZE, offset, length).unwrap();
    }

    #[test]
    fn allocated_is_not_written() {
        let Some(layout) = layout(|file| allocate(file, 0, 64 * MIB)) else { return };
        assert!(!layout.is_sparse(), "{layout:?}");
        assert_eq!(layout.unwritten(), Some(64 * MIB));
    }

    #[test]
    fn what_has_been_written_is_well() {
        let write = |file: &File| file.write_all_at(&vec![0; 64 << 20], 0).unwrap();
        let Some(layout) = layout(write) else { return };
        assert_eq!(layout.written, 64 * MIB);
        assert!(!layout.is_sparse() && layout.unwritten().is_none(), "{layout:?}");
    }

    #[test]
    fn a_sparse_file_has_nothing_that_could_be_written_better() {
        let Some(empty) = layout(|_| ()) else { return };
        assert!(empty.is_sparse() && empty.unwritten().is_none(), "{empty:?}");
        // Room that was taken behind the end is none of its own.
        let half = layout(|file| {
            file.write_all_at(&vec![1; 32 << 20], 16 * MIB).unwrap();
            allocate(file, 64 * MIB, 16 * MIB);
        });
        let half = half.unwrap();
        assert_eq!(half.written, 32 * MIB);
        assert!(half.is_sparse(), "{half:?}");
    }

    #[test]
    fn scattered_writes_are_counted_roughly() {
        let scatter = |file: &File| {
            allocate(file, 0, 64 * MIB);
            // Every other block, in more runs than are looked at.
            for run in 0..8192 {
                file.write_all_at(&[1; 4096], run * 8192).unwrap();
            }
        };
        let Some(layout) = layout(scatter) else { return };
        // Some filesystems write zeroes into small gaps.
        assert!(layout.written >= 32 * MIB, "{layout:?}");
    }

    #[test]
    fn memory_and_devices_are_not_looked_at() {
        let Ok(file) = NamedTempFile::new_in("/dev/shm") else {
            // A machine without it has other tests.
            return;
        };
        file.as_file().set_len(MIB).unwrap();
        assert_eq!(Layout::of(&Backing::open(file.path(), false).unwrap()), None);
    }
}
