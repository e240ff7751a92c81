//! The exports of the daemon: targets with their disks, found by the address on the wire.

use crate::config::{Config, ExportConfig};
use crate::port::{START_PATIENCE, START_PAUSE};
use crate::storage::Disk;
use crate::storage::create::create;
use crate::storage::image::{Image, ImageError};
use crate::target::Target;
use crate::target::identify::{Description, identify};
use anyhow::{Context, Result, ensure};
use aoe_common::steer::{Served, ServedKey};
use hashbrown::HashMap;
use std::time::Instant;
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
            let image = open_image(config, export).with_context(|| address.to_string())?;
            for other in &exports {
                ensure!(
                    image.read_only || other.disk.image().identity()? != image.identity()?,
                    "{address} and {} are the same disk: give each export its own",
                    other.target.address()
                );
            }
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

    /// Every name of every export, for the steering program.
    pub fn names(&self) -> impl Iterator<Item = ServedKey> {
        self.by_name.keys().map(|bits| ServedKey::from_bits(*bits))
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
    let deadline = Instant::now() + START_PATIENCE;
    let mut said = false;
    let image = loop {
        match Image::open(path, export.read_only) {
            Err(error @ ImageError::Locked(_)) if Instant::now() < deadline => {
                if !said {
                    warn!(%error, "trying for {START_PATIENCE:?}");
                    said = true;
                }
                std::thread::sleep(START_PAUSE);
            }
            opened => break opened?,
        }
    };
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

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b"".iter().copied()), 0xCBF2_9CE4_8422_2325);
        assert_eq!(fnv1a(b"foobar".iter().copied()), 0x8594_4171_F739_67E8);
    }
}
