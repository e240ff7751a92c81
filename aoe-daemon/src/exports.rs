//! The exports of the daemon: targets with their disks, found by the address on the wire.

use crate::config::{Config, ExportConfig};
use crate::patience::while_busy;
use crate::storage::Disk;
use crate::storage::create::create;
use crate::storage::image::{Image, ImageError};
use crate::target::Target;
use crate::target::identify::{Description, identify};
use anyhow::{Context, Result, ensure};
use aoe_common::steer::{Served, ServedKey};
use hashbrown::HashMap;
use tracing::{info, warn};

/// A target and the disk behind it.
pub struct Export {
    /// The protocol of it.
    pub target: Target,
    /// The storage of it.
    pub disk: Disk,
}

/// All exports, fixed while workers use them.
#[derive(Default)]
pub struct Exports {
    exports: Vec<Export>,
    /// For every form in which a frame may name exports, which they are.
    by_name: HashMap<u64, Vec<usize>>,
}

/// VLAN of untagged frames, the only ones that exports are offered on.
const UNTAGGED: u16 = 0;

impl Exports {
    /// Opens and locks the images of all exports, and makes those that are missing where that is
    /// asked for.
    ///
    /// # Errors
    ///
    /// Where one can't be served: one line that says why.
    pub fn open(config: &Config) -> Result<Self> {
        let mut exports: Vec<Export> = Vec::with_capacity(config.exports.len());
        for export in &config.exports {
            let address = export.address;
            // Before it is opened: our own lock would look like another process's.
            for other in &exports {
                let image = other.disk.image();
                ensure!(
                    image.read_only && export.read_only || !image.is_at(&export.file),
                    "{address} and {} are the same disk: give each export its own",
                    other.target.address()
                );
            }
            let image = open_image(config, export).with_context(|| address.to_string())?;
            let serial = serial(&image);
            let description = Description { sectors: image.sectors, serial: &serial };
            let identify = identify(&description);
            let target = Target::new(address, image.sectors, image.read_only, identify);
            exports.push(Export { target, disk: Disk::new(image)? });
        }
        Ok(Self::new(exports))
    }

    /// Indexes exports, whose addresses must differ.
    fn new(exports: Vec<Export>) -> Self {
        let mut by_name: HashMap<u64, Vec<usize>> = HashMap::new();
        for (index, export) in exports.iter().enumerate() {
            for name in export.target.address().names() {
                by_name.entry(ServedKey::new(UNTAGGED, name).bits()).or_default().push(index);
            }
        }
        Self { exports, by_name }
    }

    /// Indices of the exports that a frame concerns.
    pub fn named(&self, key: ServedKey) -> &[usize] {
        self.by_name.get(&key.bits()).map_or(&[], Vec::as_slice)
    }

    /// All exports in the order of their indices.
    pub fn all(&self) -> &[Export] {
        &self.exports
    }
}

impl Served for Exports {
    fn contains(&self, key: ServedKey) -> bool {
        self.by_name.contains_key(&key.bits())
    }
}

/// Opens an image, trying for a while where another process has it locked.
fn open_image(config: &Config, export: &ExportConfig) -> Result<Image> {
    let path = &export.file;
    if let Some(bytes) = config.create {
        let made = create(path, bytes, config.sparse)
            .with_context(|| format!("{} can't be created", path.display()))?;
        if made {
            info!(file = %path.display(), bytes, sparse = config.sparse, "created");
        }
    }
    let is_locked = |error: &ImageError| matches!(error, ImageError::Locked(_));
    let image =
        while_busy(&export.address.to_string(), is_locked, || Image::open(path, export.read_only))?;
    if image.tail > 0 {
        warn!(
            file = %path.display(),
            "the last {} bytes are not served: the size is no multiple of 512",
            image.tail
        );
    }
    info!(
        export = %export.address,
        file = %path.display(),
        sectors = image.sectors,
        read_only = image.read_only,
        "opened"
    );
    Ok(image)
}

/// A serial number that stays the same as long as the image has its name on this machine: 16
/// hexadecimal digits.
fn serial(image: &Image) -> String {
    // Without a machine id, images of the same name on two machines have the same number.
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let path = image.path.canonicalize().unwrap_or_else(|_| image.path.clone());
    let bytes = machine.trim().bytes().chain(path.as_os_str().as_encoded_bytes().iter().copied());
    format!("{:016X}", fnv1a(bytes))
}

/// The 64-bit FNV-1a hash, which stays the same in every release.
fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mode;
    use aoe_common::address::{Address, Destination};
    use std::fs::File;
    use std::path::{Path, PathBuf};

    /// A configuration of two exports of these files.
    fn of(first: &Path, second: &Path, read_only: bool) -> Config {
        let export = |slot, file: &Path| ExportConfig {
            read_only,
            ..ExportConfig::new(Address::new(0, slot).unwrap(), file.to_owned())
        };
        Config {
            interfaces: Vec::new(),
            exports: vec![export(1, first), export(2, second)],
            mode: Mode::Auto,
            create: None,
            sparse: false,
            control: PathBuf::new(),
            state_dir: PathBuf::new(),
            announce_every: None,
        }
    }

    #[test]
    fn no_disk_is_exported_twice_for_writing() {
        let directory = tempfile::tempdir().unwrap();
        let [file, link, other] = ["file", "link", "other"].map(|name| directory.path().join(name));
        for file in [&file, &other] {
            File::create(file).unwrap().set_len(1 << 20).unwrap();
        }
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for again in [&file, &link] {
            let error = Exports::open(&of(&file, again, false)).err().unwrap().to_string();
            assert_eq!(error, "e0.2 and e0.1 are the same disk: give each export its own");
            assert_eq!(Exports::open(&of(&file, again, true)).unwrap().all().len(), 2);
        }
        assert_eq!(Exports::open(&of(&file, &other, false)).unwrap().all().len(), 2);
    }

    #[test]
    fn every_name_leads_to_its_exports() {
        let directory = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| directory.path().join(name));
        for file in [&first, &second] {
            File::create(file).unwrap().set_len(1 << 20).unwrap();
        }
        let exports = Exports::open(&of(&first, &second, false)).unwrap();
        let named = |shelf, slot| {
            exports.named(ServedKey::new(UNTAGGED, Destination { shelf, slot })).to_vec()
        };
        assert_eq!(named(0, 1), [0]);
        assert_eq!(named(0, 2), [1]);
        assert_eq!(named(0xFFFF, 2), [1]);
        assert_eq!(named(0, 0xFF), [0, 1]);
        assert_eq!(named(0xFFFF, 0xFF), [0, 1]);
        assert!(named(0, 3).is_empty());
        assert!(named(1, 0xFF).is_empty());
        assert_eq!(exports.by_name.len(), 6, "every name once");
        for name in exports.all().iter().flat_map(|export| export.target.address().names()) {
            assert!(exports.contains(ServedKey::new(UNTAGGED, name)));
        }
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b"".iter().copied()), 0xCBF2_9CE4_8422_2325);
        assert_eq!(fnv1a(b"foobar".iter().copied()), 0x8594_4171_F739_67E8);
    }
}
