//! Opening the images of all exports.

use super::Export;
use crate::config::overlap::{ByteRange, Claim, conflicts};
use crate::config::{Config, Durability, ExportConfig};
use crate::patience::while_busy;
use crate::record::{Bell, Record};
use crate::state::StateDir;
use crate::storage::Disk;
use crate::storage::backing::{Backing, Identity, ImageError};
use crate::storage::create::create;
use crate::storage::image::Image;
use crate::storage::layout::Layout;
use crate::storage::medium::Medium;
use crate::storage::store::Store;
use crate::target::identify::{Description, MODEL};
use crate::target::{Access, Lists, Target};
use anyhow::{Context, Result, bail};
use aoe_common::wire::SECTOR_SIZE;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::Arc;
use tracing::{info, warn};

/// Opens every export. A file or device that several are on is opened and locked once.
pub(super) fn open(config: &Config, state: &StateDir, bell: &Arc<Bell>) -> Result<Vec<Export>> {
    for export in &config.exports {
        make_missing(config, export).with_context(|| export.address.to_string())?;
    }
    let mut opened = Opened::new(&config.exports)?;
    let mut identities = HashSet::new();
    let mut exports = Vec::with_capacity(config.exports.len());
    for export in &config.exports {
        let opened = open_one(export, &mut opened, &mut identities, state, bell);
        exports.push(opened.with_context(|| export.address.to_string())?);
    }
    Ok(exports)
}

fn open_one(
    export: &ExportConfig,
    opened: &mut Opened<'_>,
    identities: &mut HashSet<u64>,
    state: &StateDir,
    bell: &Arc<Bell>,
) -> Result<Export> {
    let Open { store, medium } = opened.get(export)?;
    let image = Image::part(store.backing(), export.offset, export.length)?;
    if !export.read_only {
        image.check_writable()?;
    }
    tell(export, &image);
    let (lists, memory) = state.load(export.address);
    let lists = lists.unwrap_or_else(|| Lists {
        config_string: export.config_string.clone().unwrap_or_default(),
        ..Lists::default()
    });
    let mut identity = identity_of(&image, "");
    if !identities.insert(identity) {
        // Several exports of the same bytes, for reading: clients must not take them for one.
        identity = identity_of(&image, &export.address.to_string());
    }
    let target = Target::new(export.address, describe(export, &image, &medium, identity))
        .on_vlan(export.vlan)
        .with_access(Access::new(&export.allow, &export.deny))
        .with_lists(lists);
    let record = Arc::new(Record::new(target, memory, Arc::clone(bell)));
    let disk = Arc::new(Disk::new(image, store, Arc::clone(&record)));
    Ok(Export { record, disk, interfaces: export.interfaces.clone() })
}

fn make_missing(config: &Config, export: &ExportConfig) -> Result<()> {
    let Some(bytes) = config.create else { return Ok(()) };
    let path = &export.file;
    let made = create(path, bytes, config.sparse)
        .with_context(|| format!("{} can't be created", path.display()))?;
    if made {
        info!(file = %path.display(), bytes, sparse = config.sparse, "created");
    }
    Ok(())
}

/// Files and devices by what they are, whatever they are called.
struct Opened<'a> {
    wanted: HashMap<Identity, Vec<&'a ExportConfig>>,
    open: HashMap<Identity, Open>,
    stores: u16,
}

/// One of them.
#[derive(Clone)]
struct Open {
    store: Arc<Store>,
    medium: Medium,
}

impl<'a> Opened<'a> {
    fn new(exports: &'a [ExportConfig]) -> Result<Self> {
        let mut wanted: HashMap<Identity, Vec<&ExportConfig>> = HashMap::new();
        for export in exports {
            // One that can't be looked at is complained of when it is opened.
            if let Ok(metadata) = fs::metadata(&export.file) {
                wanted.entry(Identity::of(&metadata)).or_default().push(export);
            }
        }
        wanted.values().try_for_each(|exports| {
            check_overlap(exports)?;
            check_durability(exports)
        })?;
        Ok(Self { wanted, open: HashMap::new(), stores: 0 })
    }

    /// The file or device of an export; for writing if any export on it wants that.
    fn get(&mut self, export: &ExportConfig) -> Result<Open> {
        let identity = fs::metadata(&export.file).map(|metadata| Identity::of(&metadata)).ok();
        if let Some(open) = identity.and_then(|identity| self.open.get(&identity)) {
            return Ok(open.clone());
        }
        let sharing = identity.and_then(|identity| self.wanted.get(&identity));
        let read_only = sharing.map_or(export.read_only, |all| all.iter().all(|one| one.read_only));
        let is_locked = |error: &ImageError| matches!(error, ImageError::Locked(_));
        let what = export.address.to_string();
        let backing = while_busy(&what, is_locked, || Backing::open(&export.file, read_only))
            .map(Arc::new)?;
        let medium = Medium::of(&backing);
        tell_of_layout(&backing);
        let number = self.stores;
        self.stores = number.checked_add(1).context("more than 65535 files and devices")?;
        let store = Arc::new(Store::new(number, backing, export.durability));
        let (file, durability) = (export.file.display(), export.durability);
        info!(%file, access = %store, %durability, "storage");
        if durability == Durability::Writeback && !read_only {
            warn!(
                %file,
                "writeback: what is acknowledged is durable only after a flush or some seconds, and \
                 lost if the machine or this daemon crashes before; the Linux initiator never \
                 flushes"
            );
        }
        let open = Open { store, medium };
        if let Some(identity) = identity {
            self.open.insert(identity, open.clone());
        }
        Ok(open)
    }
}

/// Fails where bytes of a file are exported twice, and not only for reading.
fn check_overlap(exports: &[&ExportConfig]) -> Result<()> {
    let claim = |export: &&ExportConfig| {
        let bytes = ByteRange::new(export.offset, export.length)?;
        Some(Claim { file: (), bytes, writes: !export.read_only })
    };
    let claims: Vec<Claim<()>> = exports.iter().filter_map(claim).collect();
    let Some((one, other)) = conflicts(&claims).first().copied() else { return Ok(()) };
    bail!(
        "{} and {} are on the same bytes of {}: give each export a disk of its own, or a part of \
         it by offset and length",
        exports[one].address,
        exports[other].address,
        exports[one].file.display()
    )
}

/// Fails where exports of a file are to be durable at different times.
fn check_durability(exports: &[&ExportConfig]) -> Result<()> {
    let Some((one, others)) = exports.split_first() else { return Ok(()) };
    let Some(other) = others.iter().find(|other| other.durability != one.durability) else {
        return Ok(());
    };
    bail!(
        "{} has durability {} and {} has {}, and both are on {}: give both the same",
        one.address,
        one.durability,
        other.address,
        other.durability,
        one.file.display()
    )
}

/// Says what an administrator may want to know of how a file lies on its filesystem before it is
/// written to.
fn tell_of_layout(backing: &Backing) {
    let layout = if backing.read_only { None } else { Layout::of(backing) };
    let Some(layout @ Layout { bytes, allocated, .. }) = layout else { return };
    let file = backing.path.display();
    if let Some(unwritten) = layout.unwritten() {
        warn!(
            %file,
            unwritten,
            "blocks of it are allocated and were never written: a durable write is up to ten times \
             slower where it is the first; --create makes images with all blocks written, and so \
             does a copy by: dd if=OLD of=NEW bs=1M conv=fsync"
        );
    }
    if layout.is_sparse() {
        info!(%file, bytes, allocated, "the file is sparse: writes to its holes need free space");
    }
}

fn tell(export: &ExportConfig, image: &Image) {
    let path = image.backing.path.display();
    if image.tail > 0 {
        warn!(
            file = %path,
            "the last {} bytes are not served: the size is no multiple of 512",
            image.tail
        );
    }
    info!(
        export = %export.address,
        file = %path,
        sectors = image.sectors,
        read_only = export.read_only,
        "opened"
    );
}

fn describe(export: &ExportConfig, image: &Image, medium: &Medium, identity: u64) -> Description {
    let per_unit = medium.unit / SECTOR_SIZE as u64;
    Description {
        sectors: image.sectors,
        read_only: export.read_only,
        serial: export.serial.clone().unwrap_or_else(|| format!("{identity:016X}")),
        model: export.model.clone().unwrap_or_else(|| MODEL.to_owned()),
        world_wide_name: export.wwn.unwrap_or(LOCALLY_ASSIGNED | identity >> 4),
        physical_exponent: per_unit.trailing_zeros() as u8,
        alignment: (export.offset / SECTOR_SIZE as u64 % per_unit) as u16,
        solid_state: medium.solid_state,
        trim: medium.trim.filter(|_| !export.read_only),
        look_ahead: true,
        write_cache: export.durability == Durability::Writeback && !export.read_only,
    }
}

/// Naming authority of world wide names that are nobody's: locally assigned ones.
const LOCALLY_ASSIGNED: u64 = 3 << 60;

/// A number that stays the same as long as the image has its name on this machine, for each `mark`
/// another.
fn identity_of(image: &Image, mark: &str) -> u64 {
    // Without a machine id, images of the same name on two machines have the same number.
    let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let path = image.backing.path.canonicalize().unwrap_or_else(|_| image.backing.path.clone());
    let mut bytes = machine.trim().as_bytes().to_vec();
    bytes.extend(path.as_os_str().as_encoded_bytes());
    if image.offset > 0 {
        bytes.extend(image.offset.to_be_bytes());
    }
    bytes.extend(mark.as_bytes());
    fnv1a(&bytes)
}

/// The 64-bit FNV-1a hash, which stays the same in every release.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Durability, HugePages, Mode, StorageConfig};
    use crate::exports::{Exports, Offer};
    use aoe_common::address::{Address, Destination};
    use aoe_common::steer::{Admission, Served, ServedKey};
    use aoe_common::wire::Mac;
    use std::fs::File;
    use std::path::{Path, PathBuf};

    fn export(slot: u8, file: &Path) -> ExportConfig {
        ExportConfig::new(Address::new(0, slot).unwrap(), file.to_owned())
    }

    fn open(directory: &Path, exports: Vec<ExportConfig>) -> Result<Exports> {
        Exports::open(&Config {
            interfaces: Vec::new(),
            exports,
            mode: Mode::Auto,
            create: None,
            sparse: false,
            control: PathBuf::new(),
            state_dir: directory.join("state"),
            announce_every: None,
            huge_pages: HugePages::Use,
            storage: StorageConfig::default(),
        })
    }

    fn files(directory: &Path) -> [PathBuf; 3] {
        let [file, link, other] = ["file", "link", "other"].map(|name| directory.join(name));
        for file in [&file, &other] {
            File::create(file).unwrap().set_len(1 << 20).unwrap();
        }
        std::os::unix::fs::symlink(&file, &link).unwrap();
        [file, link, other]
    }

    #[test]
    fn no_bytes_are_exported_twice_for_writing() {
        let directory = tempfile::tempdir().unwrap();
        let [file, link, other] = files(directory.path());
        let part = |slot, offset, length| ExportConfig {
            offset,
            length: Some(length),
            ..export(slot, &link)
        };
        let read_only = |export| ExportConfig { read_only: true, ..export };
        let refused = [
            vec![export(1, &file), export(2, &file)],
            vec![export(1, &file), export(2, &link)],
            vec![export(1, &file), read_only(export(2, &link))],
            vec![read_only(export(1, &file)), export(2, &link)],
            vec![export(1, &file), part(2, 512, 512)],
            vec![part(1, 0, 1024), part(3, 2048, 512), part(2, 512, 1024)],
        ];
        for exports in refused {
            let text = format!("{exports:?}");
            let error = open(directory.path(), exports).err().expect(&text).to_string();
            assert!(error.contains("e0.1 and e0.2 are on the same bytes"), "{error}");
        }
        let served = [
            vec![export(1, &file), export(2, &other)],
            vec![read_only(export(1, &file)), read_only(export(2, &link))],
            vec![part(1, 0, 1024), part(2, 1024, 512), read_only(part(3, 1536, 512))],
        ];
        for exports in served {
            let count = exports.len();
            assert_eq!(open(directory.path(), exports).unwrap().all().len(), count);
        }
    }

    #[test]
    fn exports_of_a_file_are_durable_alike_and_tell_so() {
        let directory = tempfile::tempdir().unwrap();
        let [file, link, other] = files(directory.path());
        let part = |slot, file: &Path, durability| ExportConfig {
            offset: u64::from(slot) * 512,
            length: Some(512),
            durability,
            ..export(slot, file)
        };
        use Durability::{Always, Writeback};
        let exports = vec![part(1, &file, Always), part(2, &link, Writeback)];
        let error = open(directory.path(), exports).err().unwrap().to_string();
        let expected = "e0.1 has durability always and e0.2 has writeback, and both are on";
        assert!(error.starts_with(expected), "{error}");

        let read_only = ExportConfig { read_only: true, ..part(3, &file, Writeback) };
        let exports = vec![part(1, &file, Writeback), part(2, &other, Always), read_only];
        let exports = open(directory.path(), exports).unwrap();
        let told = |export: &Export| {
            let has_cache = export.record.current().description().write_cache;
            (export.disk.store().durability(), has_cache)
        };
        let told: Vec<_> = exports.all().iter().map(told).collect();
        assert_eq!(told, [(Writeback, true), (Always, false), (Writeback, false)]);
    }

    #[test]
    fn every_name_leads_to_its_exports() {
        let directory = tempfile::tempdir().unwrap();
        let [first, _, second] = files(directory.path());
        let tagged = ExportConfig {
            vlan: 5,
            interfaces: vec!["eth[1-3]".parse().unwrap()],
            ..export(2, &second)
        };
        let exports = open(directory.path(), vec![export(1, &first), tagged]).unwrap();
        let exports = Arc::new(exports);
        let offer = Offer::on("eth2", &exports);
        let named = |vlan, shelf, slot| {
            offer.named(ServedKey::new(vlan, Destination { shelf, slot })).to_vec()
        };
        assert_eq!(named(0, 0, 1), [0]);
        assert_eq!(named(0, 0xFFFF, 0xFF), [0]);
        assert_eq!(named(5, 0, 2), [1]);
        assert_eq!(named(5, 0, 0xFF), [1]);
        assert_eq!(named(5, 0xFFFF, 0xFF), [1]);
        assert!(
            named(0, 0, 2).is_empty() && named(5, 0, 1).is_empty() && named(0, 1, 1).is_empty()
        );
        assert_eq!(offer.offered(), [0, 1]);
        let key = ServedKey::new(5, Destination { shelf: 0, slot: 2 });
        assert_eq!(offer.admits(key, Mac([2; 6])), Admission::Admitted);

        let elsewhere = Offer::on("eth9", &exports);
        assert_eq!(elsewhere.offered(), [0]);
        assert_eq!(elsewhere.admits(key, Mac([2; 6])), Admission::Unknown);
    }

    #[test]
    fn a_configured_string_is_only_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let [file, ..] = files(directory.path());
        let with_string =
            || vec![ExportConfig { config_string: Some(b"first".to_vec()), ..export(1, &file) }];
        let string =
            |exports: &Exports| exports.all()[0].record.current().lists().config_string.clone();
        let exports = open(directory.path(), with_string()).unwrap();
        assert_eq!(string(&exports), b"first");
        assert!(exports.all()[0].record.revise(|lists| lists.config_string.clear()));
        assert_eq!(string(&exports), b"");
        drop(exports);
        assert_eq!(string(&open(directory.path(), with_string()).unwrap()), b"");
    }

    #[test]
    fn a_disk_follows_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let [file, ..] = files(directory.path());
        let exports = open(directory.path(), vec![export(1, &file)]).unwrap();
        let resize = |sectors: u64| {
            File::options().write(true).open(&file).unwrap().set_len(sectors * 512).unwrap();
            exports.look_at_sizes();
            let target = exports.all()[0].record.current();
            (target.description().sectors, target.reachable(), exports.take_changes().len())
        };
        assert_eq!(resize(2048), (2048, 2048, 0), "nothing has changed");
        assert_eq!(resize(3000), (3000, 3000, 1), "it has grown, and that is told");
        assert_eq!(resize(100), (3000, 100, 0), "it keeps its size");
        assert_eq!(resize(3000), (3000, 3000, 0), "it is whole again");
        assert_eq!(resize(100), (3000, 100, 0));
        assert_eq!(resize(4000), (4000, 4000, 1), "it has grown beyond what it was");
    }

    #[test]
    fn serials_tell_disks_apart_and_stay() {
        let directory = tempfile::tempdir().unwrap();
        let [file, _, other] = files(directory.path());
        let half = |slot, offset| ExportConfig { offset, length: Some(512), ..export(slot, &file) };
        let named = ExportConfig { serial: Some("MINE".into()), ..export(3, &other) };
        let serials = || {
            let exports =
                open(directory.path(), vec![half(1, 0), half(2, 512), named.clone()]).unwrap();
            let serial = |export: &Export| export.record.current().description().serial.clone();
            exports.all().iter().map(serial).collect::<Vec<_>>()
        };
        let first = serials();
        assert_ne!(first[0], first[1]);
        assert_eq!(first[2], "MINE");
        assert_eq!(first, serials());
    }

    #[test]
    fn two_exports_of_the_same_bytes_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let [file, link, _] = files(directory.path());
        let read_only = |slot, file: &Path| ExportConfig { read_only: true, ..export(slot, file) };
        let exports =
            open(directory.path(), vec![read_only(1, &file), read_only(2, &link)]).unwrap();
        let [one, other] = [0, 1].map(|index: usize| {
            let target = exports.all()[index].record.current();
            let description = target.description();
            (description.serial.clone(), description.world_wide_name)
        });
        assert!(one.0 != other.0 && one.1 != other.1);
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_F739_67E8);
    }
}
