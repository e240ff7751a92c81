//! How to serve: command line and configuration file, checked into a [`Config`] that can't be
//! wrong afterwards.
//!
//! `cli` has the flags, [`file`] reads the text of a configuration file, `load` does that from its
//! path on and looks at the machine, too. [`pattern`] says which interfaces are meant, [`overlap`]
//! which exports would have the same bytes, and `storage` has what concerns all disks.

mod cli;
mod disks;
pub mod file;
mod load;
pub mod overlap;
pub mod pattern;
mod problem;
mod storage;

use anyhow::{Context, Result, anyhow, bail, ensure};
use aoe_common::address::Address;
use aoe_common::wire::Mac;
use clap::ValueEnum;
use file::File;
use load::load;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use storage::check_cache;
use toml::Spanned;

pub use aoe_xsk::HugePages;
pub use cli::{
    CONFIG_FILE, CONTROL_SOCKET, CheckArgs, ClearArgs, Cli, Command, STATE_DIR, ServeArgs,
    StatusArgs, usage_error,
};
pub use load::{FileError, MAX_BYTES, Report, check};
pub use pattern::InterfacePattern;
pub use problem::{MAX_PROBLEMS, Problem};
pub use storage::{CacheSize, Durability, StorageConfig};

/// How frames get from the network card to the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// The best that card and kernel can: the next three in this order.
    Auto,
    /// The driver runs the XDP program, and the card writes into the daemon's memory.
    NativeZerocopy,
    /// The driver runs the XDP program, and the kernel copies.
    Native,
    /// The network stack runs the XDP program: any interface can.
    Generic,
}

/// One disk to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportConfig {
    /// Its address.
    pub address: Address,
    /// Image file or block device.
    pub file: PathBuf,
    /// Whether writes are refused.
    pub read_only: bool,
    /// When writes are answered. All exports of a file or device have it in common.
    pub durability: Durability,
    /// First byte of the file that is served, a multiple of 512.
    pub offset: u64,
    /// Bytes served, a multiple of 512 and not 0; to the end of the file where `None`.
    pub length: Option<u64>,
    /// Interfaces that it is offered on: names or patterns; every interface of the daemon where
    /// empty.
    pub interfaces: Vec<InterfacePattern>,
    /// VLAN that it is offered on, 1 to 4094; 0 for untagged frames.
    pub vlan: u16,
    /// Config string until a client or administrator sets another: at most 1024 bytes.
    pub config_string: Option<Vec<u8>>,
    /// Serial number, 1 to 20 printable ASCII characters; one of the daemon's making where `None`.
    pub serial: Option<String>,
    /// Model, 1 to 40 printable ASCII characters; the daemon's own where `None`.
    pub model: Option<String>,
    /// World wide name, not 0.
    pub wwn: Option<u64>,
    /// Stations that alone may talk to it; everybody where empty.
    pub allow: Vec<Mac>,
    /// Stations that may not.
    pub deny: Vec<Mac>,
}

impl ExportConfig {
    /// A whole file for everybody to read and durably write, offered untagged on every interface.
    pub fn new(address: Address, file: PathBuf) -> Self {
        Self {
            address,
            file,
            read_only: false,
            durability: Durability::Always,
            offset: 0,
            length: None,
            interfaces: Vec::new(),
            vlan: 0,
            config_string: None,
            serial: None,
            model: None,
            wwn: None,
            allow: Vec::new(),
            deny: Vec::new(),
        }
    }
}

/// All there is to know for serving, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The interfaces, at least one name or pattern, each once.
    pub interfaces: Vec<InterfacePattern>,
    /// The exports, at least one; no two have the same address.
    pub exports: Vec<ExportConfig>,
    /// How to receive; zero-copy where that is required.
    pub mode: Mode,
    /// Size in bytes of images to be made, whole sectors.
    pub create: Option<u64>,
    /// Whether to make them sparse.
    pub sparse: bool,
    /// Path of the control socket.
    pub control: PathBuf,
    /// Directory of config strings, MAC mask lists and reservations.
    pub state_dir: PathBuf,
    /// Time between repeated announcements; none are repeated where `None`.
    pub announce_every: Option<Duration>,
    /// What all buffers are on.
    pub huge_pages: HugePages,
    /// How disks are read and written.
    pub storage: StorageConfig,
}

impl Config {
    /// Checks the arguments, and reads the configuration file unless they say everything.
    ///
    /// # Errors
    ///
    /// [`FileError`] where it is the file that is wrong: a line for each problem. Anything else is
    /// wrong on the command line: one line. Both say what is wrong and what to do.
    pub fn new(args: ServeArgs) -> Result<Self> {
        let file = match &args.config {
            Some(path) => Some(load(path)?),
            None if !args.file.is_empty() => None,
            None => Some(load_default(Path::new(CONFIG_FILE))?),
        };
        match file {
            Some(file) => Self::from_file(args, file),
            None => Self::from_flags(args),
        }
    }

    /// The short form.
    fn from_flags(args: ServeArgs) -> Result<Self> {
        for (at, name) in args.interfaces.iter().enumerate() {
            ensure!(!args.interfaces[..at].contains(name), "--iface {name} is given twice");
        }
        let (interfaces, exports) = (args.interfaces.clone(), exports(&args)?);
        Ok(Self { interfaces, exports, ..Self::from_file(args, File::default())? })
    }

    /// What the file says, unless a flag says otherwise.
    fn from_file(args: ServeArgs, file: File) -> Result<Self> {
        let require_zerocopy = args.require_zerocopy || file.require_zerocopy;
        let usual = StorageConfig::default();
        let cache = args.cache.or(file.cache).unwrap_or(usual.cache);
        let preload = args.preload || file.preload;
        let mut exports: Vec<_> = file.exports.into_iter().map(|export| export.config).collect();
        for export in &mut exports {
            export.read_only |= args.read_only;
            export.durability = args.durability.unwrap_or(export.durability);
        }
        let mut durabilities =
            exports.iter().map(|export| export.durability).chain(args.durability);
        let is_writeback = durabilities.any(|one| one == Durability::Writeback);
        check_cache(cache, preload, is_writeback)?;
        Ok(Self {
            interfaces: file.interfaces.into_iter().map(Spanned::into_inner).collect(),
            exports,
            mode: mode(args.mode.or(file.mode).unwrap_or(Mode::Auto), require_zerocopy)?,
            create: args.create,
            sparse: args.sparse,
            control: args.control.or(file.control).unwrap_or_else(|| CONTROL_SOCKET.into()),
            state_dir: args.state_dir.or(file.state_dir).unwrap_or_else(|| STATE_DIR.into()),
            announce_every: args.announce_every.map(Duration::from_secs).or(file.announce_every),
            huge_pages: args.hugepages.or(file.huge_pages).unwrap_or_default(),
            storage: StorageConfig {
                cache,
                preload,
                io_timeout: args
                    .io_timeout
                    .map(Duration::from_secs)
                    .or(file.io_timeout)
                    .unwrap_or(usual.io_timeout),
            },
        })
    }
}

/// Reads the file that is meant where nothing is said.
fn load_default(path: &Path) -> Result<File> {
    load(path).map_err(|error| match error {
        FileError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => anyhow!(
            "nothing says what to serve: give --iface, --shelf, --slot and --file, or write {}; \
             see --help for both",
            path.display()
        ),
        error => error.into(),
    })
}

/// The mode, given that zero-copy may be required.
fn mode(mode: Mode, require_zerocopy: bool) -> Result<Mode> {
    Ok(match mode {
        Mode::Auto | Mode::NativeZerocopy if require_zerocopy => Mode::NativeZerocopy,
        mode if require_zerocopy => {
            let name = mode.to_possible_value().map(|value| value.get_name().to_owned());
            bail!(
                "require-zerocopy contradicts mode {}: leave one of them out",
                name.unwrap_or_default()
            )
        }
        mode => mode,
    })
}

fn exports(args: &ServeArgs) -> Result<Vec<ExportConfig>> {
    let counts = [args.shelf.len(), args.slot.len(), args.file.len()];
    ensure!(
        counts.iter().all(|count| *count == counts[0]),
        "{} --shelf, {} --slot and {} --file: give each of the three once for every export",
        counts[0],
        counts[1],
        counts[2]
    );
    for (flag, count) in [("--offset", args.offset.len()), ("--length", args.length.len())] {
        ensure!(
            count == 0 || count == counts[0],
            "{count} {flag} and {} exports: give one for each or none, or write a configuration \
             file",
            counts[0]
        );
    }
    let mut exports: Vec<ExportConfig> = Vec::with_capacity(counts[0]);
    let each = args.shelf.iter().zip(&args.slot).zip(&args.file).enumerate();
    for (at, ((shelf, slot), file)) in each {
        let address = Address::new(*shelf, *slot)
            .with_context(|| format!("--shelf {shelf} --slot {slot}"))?;
        ensure!(
            exports.iter().all(|other| other.address != address),
            "{address} is given twice: every export needs a shelf and slot of its own"
        );
        let export = ExportConfig::new(address, file.clone());
        exports.push(ExportConfig {
            read_only: args.read_only,
            durability: args.durability.unwrap_or_default(),
            offset: args.offset.get(at).copied().unwrap_or(0),
            length: args.length.get(at).copied(),
            ..export
        });
    }
    Ok(exports)
}

#[cfg(test)]
mod tests;
