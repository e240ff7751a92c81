//! What a configuration file says of files and devices, against what they are. Nothing is opened.

use super::ExportConfig;
use super::file::Places;
use super::overlap::ByteRange;
use super::problem::Flaw;
use crate::storage::backing;
use crate::storage::image::check_offset;
use crate::storage::medium::sector_of_device;
use aoe_common::wire::SECTOR_SIZE;
use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What no two files or devices share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    /// Of what is there.
    Disk(backing::Identity),
    /// Path of what isn't there yet, or can't be looked at.
    Path(PathBuf),
}

/// Files and devices that have been looked at, and what is wrong with them.
#[derive(Default)]
pub(super) struct Disks {
    identities: HashMap<PathBuf, Identity>,
    pub(super) problems: Vec<Flaw>,
    pub(super) warnings: Vec<Flaw>,
}

impl Disks {
    /// Looks at what an export is served from.
    pub(super) fn look(&mut self, export: &ExportConfig, bytes: ByteRange, places: &Places) {
        let path = &export.file;
        let at = places.file;
        let shown = path.display();
        let identity = match fs::metadata(path) {
            Ok(metadata) => {
                let kind = metadata.file_type();
                if kind.is_dir() {
                    let text =
                        format!("{shown} is a directory; give an image file or a block device");
                    self.problems.push(Flaw { at, text });
                } else if !kind.is_file() && !kind.is_block_device() {
                    let text = format!("{shown} is neither a regular file nor a block device");
                    self.problems.push(Flaw { at, text });
                } else if let Some(size) = size(&metadata) {
                    self.compare(export, bytes, size, places);
                }
                self.check_sectors(export, &metadata, places);
                Identity::Disk(backing::Identity::of(&metadata))
            }
            Err(error) => {
                let text = match error.kind() {
                    io::ErrorKind::NotFound => {
                        format!("{shown} does not exist now; --create SIZE makes it")
                    }
                    _ => format!("{shown} can't be looked at: {error}"),
                };
                self.warnings.push(Flaw { at, text });
                Identity::of_missing(path)
            }
        };
        self.identities.insert(path.clone(), identity);
    }

    /// Which file or device this is, whatever it is called here.
    pub(super) fn identity(&self, path: &Path) -> Identity {
        self.identities.get(path).cloned().unwrap_or_else(|| Identity::Path(path.to_owned()))
    }

    fn compare(&mut self, export: &ExportConfig, bytes: ByteRange, size: u64, places: &Places) {
        // Where nothing is said of the end, there has to be a sector.
        let end = match export.length {
            Some(_) => bytes.end(),
            None => export.offset.saturating_add(SECTOR_SIZE as u64),
        };
        if size < end {
            let path = export.file.display();
            let text = format!("{} needs {end} bytes of {path}, which has {size}", export.address);
            self.problems.push(Flaw { at: places.end, text });
        }
    }

    fn check_sectors(&mut self, export: &ExportConfig, metadata: &Metadata, places: &Places) {
        let ExportConfig { read_only, offset, file, .. } = export;
        if *read_only || !metadata.file_type().is_block_device() {
            return;
        }
        let Some(sector) = sector_of_device(metadata) else { return };
        if let Err(between) = check_offset(file, sector, *offset) {
            self.problems.push(Flaw { at: places.end, text: between.to_string() });
        }
    }
}

impl Identity {
    /// Of what does not exist: at least its directory may be called by several names.
    fn of_missing(path: &Path) -> Self {
        let resolved = path
            .parent()
            .zip(path.file_name())
            .and_then(|(directory, name)| Some(fs::canonicalize(directory).ok()?.join(name)));
        Self::Path(resolved.unwrap_or_else(|| path.to_owned()))
    }
}

/// Bytes of a file or block device. `None` where sysfs does not tell.
fn size(metadata: &Metadata) -> Option<u64> {
    if metadata.is_file() {
        return Some(metadata.len());
    }
    let device = metadata.rdev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    // Sectors of 512 bytes, whatever the device's own are.
    let sectors = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/size")).ok()?;
    sectors.trim().parse::<u64>().ok()?.checked_mul(SECTOR_SIZE as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::{File, parse};

    /// What is wrong with the exports of a file that is right by itself, and how many warnings
    /// there are.
    fn look(exports: &str) -> (Vec<String>, usize) {
        let File { exports, .. } = parse(&format!("interfaces = ['a']\n{exports}")).unwrap();
        let mut disks = Disks::default();
        for export in &exports {
            disks.look(&export.config, export.bytes, &export.places);
        }
        (disks.problems.into_iter().map(|flaw| flaw.text).collect(), disks.warnings.len())
    }

    fn export(slot: u8, file: &Path, more: &str) -> String {
        format!(
            "[[export]]\nshelf = 0\nslot = {slot}\nfile = {:?}\n{more}\n",
            file.display().to_string()
        )
    }

    #[test]
    fn what_is_no_disk_is_a_problem_and_what_is_missing_a_warning() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        assert_eq!(look(&export(1, &missing, "")), (Vec::new(), 1));
        let (problems, warnings) = look(&export(1, directory.path(), ""));
        assert!(problems[0].contains("is a directory") && warnings == 0, "{problems:?}");
        let (problems, warnings) = look(&export(1, Path::new("/dev/null"), ""));
        assert!(problems[0].contains("neither") && warnings == 0, "{problems:?}");
    }

    #[test]
    fn a_range_has_to_be_in_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4096).unwrap();
        for fits in ["", "offset = 3584", "length = 4096", "offset = 512\nlength = 3584"] {
            assert_eq!(look(&export(1, file.path(), fits)), (Vec::new(), 0), "{fits}");
        }
        for (range, end) in [
            ("offset = 4096", 4608),
            ("length = 4608", 4608),
            ("offset = 512\nlength = 4096", 4608),
        ] {
            let (problems, _) = look(&export(1, file.path(), range));
            let expected =
                format!("e0.1 needs {end} bytes of {}, which has 4096", file.path().display());
            assert_eq!(problems, [expected], "{range}");
        }
    }

    #[test]
    fn a_file_is_the_same_by_all_of_its_names() {
        let directory = tempfile::tempdir().unwrap();
        let [file, symbolic, hard, other, here] =
            ["file", "symbolic", "hard", "other", "here"].map(|name| directory.path().join(name));
        for file in [&file, &other] {
            fs::File::create(file).unwrap().set_len(4096).unwrap();
        }
        std::os::unix::fs::symlink(&file, &symbolic).unwrap();
        std::os::unix::fs::symlink(directory.path(), &here).unwrap();
        fs::hard_link(&file, &hard).unwrap();
        let missing = [directory.path().join("missing"), here.join("missing")];
        let paths = [&file, &symbolic, &hard, &other, &missing[0], &missing[1]];
        let mut disks = Disks::default();
        for path in paths {
            let address = "e0.1".parse().unwrap();
            let config = ExportConfig::new(address, path.clone());
            let places = Places {
                address: 0,
                file: 0,
                end: 0,
                durability: 0,
                serial: 0,
                wwn: 0,
                interfaces: vec![],
            };
            disks.look(&config, ByteRange::new(0, None).unwrap(), &places);
        }
        let [a, b, c, d, e, f] = paths.map(|path| disks.identity(path));
        assert!(a == b && b == c && a != d && e == f && e != a);
        assert!(matches!(e, Identity::Path(_)));
    }

    #[test]
    fn a_block_device_has_a_size() {
        // Any will do. A machine without one has nothing to ask.
        let devices = fs::read_dir("/sys/class/block").into_iter().flatten().flatten();
        for device in devices {
            let node = Path::new("/dev").join(device.file_name());
            let sectors = fs::read_to_string(device.path().join("size"));
            if let (Ok(metadata), Ok(sectors)) = (fs::metadata(node), sectors) {
                let bytes = sectors.trim().parse::<u64>().unwrap() * 512;
                assert_eq!(size(&metadata), Some(bytes));
            }
        }
    }
}
