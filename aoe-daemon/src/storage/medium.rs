//! What can be told of the medium under a file or device, for IDENTIFY DEVICE.

use super::backing::{Backing, Kind};
use super::discard::makes_holes;
use crate::target::identify::Trim;
use rustix::fs::{fstatfs, ioctl_blkpbszget, major, minor};
use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The largest write unit that is told of, in bytes: beyond that it is a RAID's stripe or a
/// network filesystem's wish, and no sector.
const LARGEST_UNIT: u64 = 4096;

/// Facts of a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Medium {
    /// What writes should be multiples of, in bytes: a power of two of 512 at least.
    pub unit: u64,
    /// Whether it is known not to rotate.
    pub solid_state: bool,
    /// What discarding does, where it does anything.
    pub trim: Option<Trim>,
}

impl Medium {
    /// Finds out about what is open for an image.
    pub fn of(backing: &Backing) -> Self {
        let Backing { file, kind, read_only, .. } = backing;
        let unit = match kind {
            Kind::File => file.metadata().map_or(512, |metadata| metadata.blksize()),
            Kind::Device { .. } => ioctl_blkpbszget(file).map_or(512, u64::from),
        };
        let trim = match kind {
            _ if *read_only => None,
            Kind::File => makes_holes(file).then_some(Trim::Zeroes),
            Kind::Device { .. } => discards(file).then_some(Trim::Anything),
        };
        Self {
            unit: if unit.is_power_of_two() { unit.clamp(512, LARGEST_UNIT) } else { 512 },
            solid_state: is_in_memory(file) || queue(file, "rotational") == Some(0),
            trim,
        }
    }
}

/// Whether it is a file whose only home is memory. The node of a block device may be in such a
/// filesystem, too, which says nothing of the device.
pub(super) fn is_in_memory(file: &File) -> bool {
    // From linux/magic.h.
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58F6;
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    is_file
        && fstatfs(file).is_ok_and(|filesystem| matches!(filesystem.f_type as u64, TMPFS | RAMFS))
}

/// Whether the device takes discards.
fn discards(file: &File) -> bool {
    queue(file, "discard_max_bytes").is_some_and(|bytes| bytes > 0)
}

/// Bytes of the sectors of a block device, as sysfs has it.
pub fn sector_of_device(metadata: &Metadata) -> Option<u64> {
    queue_of(metadata, "logical_block_size")
}

/// What sysfs says of the queue of the block device that this is, or that its filesystem is on.
fn queue(file: &File, name: &str) -> Option<u64> {
    queue_of(&file.metadata().ok()?, name)
}

fn queue_of(metadata: &Metadata, name: &str) -> Option<u64> {
    // A file's own device number is 0.
    let device = if metadata.rdev() != 0 { metadata.rdev() } else { metadata.dev() };
    let device = PathBuf::from(format!("/sys/dev/block/{}:{}", major(device), minor(device)));
    // A partition has the queue of its disk.
    let device = fs::canonicalize(device).ok()?;
    let queues = [device.join("queue"), device.parent()?.join("queue")];
    let value = queues.iter().find_map(|queue| fs::read_to_string(queue.join(name)).ok())?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_does_not_rotate_and_discards() {
        let Ok(file) = tempfile::NamedTempFile::new_in("/dev/shm") else {
            // A machine without it has other tests.
            return;
        };
        file.as_file().set_len(1 << 20).unwrap();
        let medium = Medium::of(&Backing::open(file.path(), false).unwrap());
        assert_eq!(medium, Medium { unit: 4096, solid_state: true, trim: Some(Trim::Zeroes) });
        assert_eq!(file.as_file().metadata().unwrap().len(), 1 << 20, "probing changes nothing");
    }

    #[test]
    fn a_device_is_not_in_memory_though_its_node_is() {
        let node = std::fs::read_dir("/dev").unwrap().flatten().find(|entry| {
            use std::os::unix::fs::FileTypeExt;
            entry.file_type().is_ok_and(|kind| kind.is_block_device() || kind.is_char_device())
                && File::open(entry.path()).is_ok()
        });
        let node = node.expect("a device that can be opened").path();
        assert!(!is_in_memory(&File::open(&node).unwrap()), "{}", node.display());
    }

    #[test]
    fn what_may_not_be_written_is_not_discarded() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 20).unwrap();
        assert_eq!(Medium::of(&Backing::open(file.path(), true).unwrap()).trim, None);
    }
}
