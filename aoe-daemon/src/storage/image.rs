//! What a target is served from: a file or device, or a part of one.

pub use super::backing::ImageError;

use super::backing::{Backing, Kind};
use aoe_common::wire::SECTOR_SIZE;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A part of a file or device that is served as a disk.
#[derive(Debug)]
pub struct Image {
    /// The file or device.
    pub backing: Arc<Backing>,
    /// First byte of it, a multiple of 512.
    pub offset: u64,
    /// Whole sectors of it when it was opened.
    pub sectors: u64,
    /// Bytes behind the last whole sector, which are not served.
    pub tail: u64,
    /// Bytes of it at most, where it does not go on to the end.
    length: Option<u64>,
}

impl Image {
    /// Opens and locks a whole file or device: see [`Backing::open`].
    ///
    /// # Errors
    ///
    /// Where it can't be opened, or is too small.
    pub fn open(path: &Path, read_only: bool) -> Result<Self, ImageError> {
        Self::part(&Arc::new(Backing::open(path, read_only)?), 0, None)
    }

    /// The part of a file or device that begins at byte `offset`, `length` bytes of it or all to
    /// its end.
    ///
    /// # Errors
    ///
    /// Where it ends before the part does, or leaves no whole sector.
    pub fn part(
        backing: &Arc<Backing>,
        offset: u64,
        length: Option<u64>,
    ) -> Result<Self, ImageError> {
        let path = backing.path.clone();
        let bytes =
            backing.bytes().map_err(|source| ImageError::Io { path: path.clone(), source })?;
        let end = offset.saturating_add(length.unwrap_or(SECTOR_SIZE as u64));
        if end > bytes {
            return Err(if offset == 0 && length.is_none() {
                ImageError::Small { path, bytes }
            } else {
                ImageError::Short { path, bytes, end }
            });
        }
        let mut image = Self::with_size(Arc::clone(backing), offset, 0);
        image.length = length;
        let served = image.served(bytes);
        image.sectors = served / SECTOR_SIZE as u64;
        image.tail = served % SECTOR_SIZE as u64;
        Ok(image)
    }

    /// Whether it may be written: not where it begins within a sector of its device, whose other
    /// part every write to it would put at risk.
    ///
    /// # Errors
    ///
    /// [`ImageError::Between`].
    pub fn check_writable(&self) -> Result<(), ImageError> {
        match self.backing.kind {
            Kind::Device { sector } => check_offset(&self.backing.path, sector, self.offset),
            Kind::File => Ok(()),
        }
    }

    /// A part that is taken to have this many sectors.
    pub fn with_size(backing: Arc<Backing>, offset: u64, sectors: u64) -> Self {
        Self { backing, offset, sectors, tail: 0, length: None }
    }

    /// Bytes of it at most, where it does not go on to the end.
    pub(super) const fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whole sectors that there are now.
    ///
    /// # Errors
    ///
    /// The kernel's: the device may be gone.
    pub fn sectors_now(&self) -> io::Result<u64> {
        Ok(self.served(self.backing.bytes()?) / SECTOR_SIZE as u64)
    }

    /// Bytes that are served of a file or device that has this many.
    fn served(&self, bytes: u64) -> u64 {
        let behind = bytes.saturating_sub(self.offset);
        self.length.map_or(behind, |length| behind.min(length))
    }
}

/// Whether what begins at this byte of a device begins where one of its sectors does.
///
/// # Errors
///
/// [`ImageError::Between`].
pub fn check_offset(path: &Path, sector: u64, offset: u64) -> Result<(), ImageError> {
    if offset.is_multiple_of(sector) {
        return Ok(());
    }
    Err(ImageError::Between { path: path.to_owned(), sector, offset })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::backing::Identity;

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
    fn a_part_is_within_its_file() {
        let file = image(10 * 512 + 7);
        let backing = Arc::new(Backing::open(file.path(), false).unwrap());
        let part = |offset, length| Image::part(&backing, offset, length);
        let sizes = |image: Image| (image.sectors, image.tail);
        assert_eq!(sizes(part(0, None).unwrap()), (10, 7));
        assert_eq!(sizes(part(512, None).unwrap()), (9, 7));
        assert_eq!(sizes(part(1024, Some(1024)).unwrap()), (2, 0));
        assert_eq!(sizes(part(0, Some(5120)).unwrap()), (10, 0));
        for (offset, length) in [(5120, None), (512, Some(5120)), (u64::MAX - 511, None)] {
            let error = part(offset, length).unwrap_err();
            assert!(matches!(error, ImageError::Short { .. }), "{error}");
        }
    }

    #[test]
    fn a_part_follows_its_file_up_to_its_length() {
        let file = image(4 * 512);
        let backing = Arc::new(Backing::open(file.path(), false).unwrap());
        let whole = Image::part(&backing, 512, None).unwrap();
        let part = Image::part(&backing, 512, Some(1024)).unwrap();
        for (bytes, of_whole, of_part) in [(8 * 512, 7, 2), (2 * 512 + 100, 1, 1), (100, 0, 0)] {
            file.as_file().set_len(bytes).unwrap();
            assert_eq!(whole.sectors_now().unwrap(), of_whole);
            assert_eq!(part.sectors_now().unwrap(), of_part);
        }
    }

    #[test]
    fn a_file_is_the_same_under_every_name() {
        let directory = tempfile::tempdir().unwrap();
        let [file, link, other] = ["file", "link", "other"].map(|name| directory.path().join(name));
        std::fs::write(&file, [0; 512]).unwrap();
        std::fs::write(&other, [0; 512]).unwrap();
        std::fs::hard_link(&file, &link).unwrap();
        let identity = |path: &Path| Identity::of(&std::fs::metadata(path).unwrap());
        assert_eq!(identity(&file), identity(&link));
        assert_ne!(identity(&file), identity(&other));
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
