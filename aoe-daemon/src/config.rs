//! How to serve: the command line, checked into a [`Config`] that can't be wrong afterwards.
//!
//! `cli` has the flags, [`pattern`] which interfaces are meant.

mod cli;
pub mod pattern;

use anyhow::{Context, Result, bail, ensure};
use aoe_common::address::Address;
use aoe_common::wire::Mac;
use clap::ValueEnum;
use std::path::PathBuf;
use std::time::Duration;

pub use cli::{CONTROL_SOCKET, Cli, Command, STATE_DIR, ServeArgs, StatusArgs, usage_error};
pub use pattern::InterfacePattern;

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
    /// A whole file for everybody to read and write, offered untagged on every interface.
    pub fn new(address: Address, file: PathBuf) -> Self {
        Self {
            address,
            file,
            read_only: false,
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
}

impl Config {
    /// Checks the arguments.
    ///
    /// # Errors
    ///
    /// One line that says what is wrong and what to do.
    pub fn new(args: ServeArgs) -> Result<Self> {
        let exports = exports(&args)?;
        for (at, name) in args.interfaces.iter().enumerate() {
            ensure!(!args.interfaces[..at].contains(name), "--iface {name} is given twice");
        }
        Ok(Self {
            exports,
            mode: mode(args.mode.unwrap_or(Mode::Auto), args.require_zerocopy)?,
            interfaces: args.interfaces,
            create: args.create,
            sparse: args.sparse,
            control: args.control.unwrap_or_else(|| CONTROL_SOCKET.into()),
            state_dir: args.state_dir.unwrap_or_else(|| STATE_DIR.into()),
            announce_every: args.announce_every.map(Duration::from_secs),
        })
    }
}

/// The mode, given that zero-copy may be required.
fn mode(mode: Mode, require_zerocopy: bool) -> Result<Mode> {
    Ok(match mode {
        Mode::Auto | Mode::NativeZerocopy if require_zerocopy => Mode::NativeZerocopy,
        mode if require_zerocopy => {
            let name = mode.to_possible_value().map(|value| value.get_name().to_owned());
            bail!(
                "--require-zerocopy contradicts --mode {}: leave one of them out",
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
    let mut exports: Vec<ExportConfig> = Vec::with_capacity(counts[0]);
    for ((shelf, slot), file) in args.shelf.iter().zip(&args.slot).zip(&args.file) {
        let address = Address::new(*shelf, *slot)
            .with_context(|| format!("--shelf {shelf} --slot {slot}"))?;
        ensure!(
            exports.iter().all(|other| other.address != address),
            "{address} is given twice: every export needs a shelf and slot of its own"
        );
        let export = ExportConfig::new(address, file.clone());
        exports.push(ExportConfig { read_only: args.read_only, ..export });
    }
    Ok(exports)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn parse(args: &str) -> Result<Config> {
        let cli = Cli::try_parse_from(format!("aoe-daemon {args}").split_whitespace())?;
        Config::new(cli.serve)
    }

    #[test]
    fn one_export() {
        let config = parse("--iface a --shelf 0 --slot 1 --file x").unwrap();
        let export = ExportConfig::new(Address::new(0, 1).unwrap(), "x".into());
        assert_eq!(config.exports, [export]);
        assert_eq!(config.mode, Mode::Auto);
        assert_eq!(config.state_dir, PathBuf::from(STATE_DIR));
        assert_eq!(config.control, PathBuf::from(CONTROL_SOCKET));
        assert_eq!(config.announce_every, None);
    }

    #[test]
    fn several_exports_and_interfaces() {
        let config =
            parse("--iface a --iface b* --shelf 0 --slot 1 --file x --shelf 0 --slot 2 --file y")
                .unwrap();
        assert!(config.interfaces[0].matches("a") && config.interfaces[1].matches("b2"));
        assert_eq!(config.exports[1].address.to_string(), "e0.2");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cases = [
            ("--iface a --shelf 65535 --slot 1 --file x", "65535 is not in 0..=65534"),
            ("--iface a --shelf 4095 --slot 1 --file x", "4095"),
            ("--iface a --shelf 0 --slot 255 --file x", "255 is not in 0..=254"),
            ("--iface a --shelf 0 --slot 1 --slot 2 --file x", "once for every export"),
            ("--iface a --shelf 0 --slot 1 --file x --shelf 0 --slot 1 --file y", "e0.1 is given"),
            ("--iface a --iface a --shelf 0 --slot 1 --file x", "twice"),
            (
                "--iface a --shelf 0 --slot 1 --file x --mode native --require-zerocopy",
                "--mode nat",
            ),
            ("--iface a --shelf 0 --slot 1 --file x --create 100", "multiple of 512"),
            ("--shelf 0 --slot 1 --file x", "--iface"),
            ("--iface a[ --shelf 0 --slot 1 --file x", "is no pattern"),
            ("--iface a --shelf 0 --slot 1 --file x --announce-every 0", "1..=86400"),
        ];
        for (args, expected) in cases {
            let error = format!("{:#}", parse(args).unwrap_err());
            assert!(error.contains(expected), "{args}: {error}");
        }
    }
}
