//! The command line, and what it means once it has been checked.

use anyhow::{Context, Result, bail, ensure};
use aoe_common::address::{Address, EVERY_SHELF, EVERY_SLOT};
use aoe_common::size::{SizeError, parse_sectors};
use aoe_common::wire::SECTOR_SIZE;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Where the control socket is unless `--control` says otherwise.
pub const CONTROL_SOCKET: &str = "/run/aoe-daemon.sock";

const EXAMPLES: &str = "\
Examples:
  Serve storage1.img as e0.1 on ens33:
      aoe-daemon --iface ens33 --shelf 0 --slot 1 --file storage1.img
  Make a new image of 20 GiB first:
      aoe-daemon --iface ens33 --shelf 0 --slot 1 --file new.img --create 20G
  Serve two disks on two ports:
      aoe-daemon --iface ens33 --iface ens34 \\
          --shelf 0 --slot 1 --file a.img  --shelf 0 --slot 2 --file /dev/vg/b
  Ask a running daemon how it does:
      aoe-daemon status

On the client: modprobe aoe; aoe-discover; aoe-stat; then use /dev/etherd/e0.1.

Exit status: 0 after an orderly stop, 1 if it can't serve, 2 for a wrong command line.";

/// Serve disk images and block devices over ATA over Ethernet, by XDP and AF_XDP.
///
/// Every write is on stable storage before it is answered. One daemon owns an interface and
/// serves any number of exports on it: give --shelf, --slot and --file once for each.
#[derive(Debug, Parser)]
#[command(name = "aoe-daemon", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true,
          subcommand_negates_reqs = true)]
pub struct Cli {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show exports, interfaces, queues, modes, counters and buffer use of a running daemon.
    Status(StatusArgs),
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// The daemon's control socket.
    #[arg(long, value_name = "PATH", default_value = CONTROL_SOCKET)]
    pub control: PathBuf,
}

/// Arguments for serving.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Network interface to serve on; repeat it for more.
    #[arg(long = "iface", value_name = "IFACE", required = true)]
    pub interfaces: Vec<String>,
    /// Shelf (major address) of an export, 0 to 65534 but not 4095.
    #[arg(long, value_name = "N", required = true)]
    #[arg(value_parser = clap::value_parser!(u16).range(..=i64::from(EVERY_SHELF) - 1))]
    pub shelf: Vec<u16>,
    /// Slot (minor address) of an export, 0 to 254.
    #[arg(long, value_name = "N", required = true)]
    #[arg(value_parser = clap::value_parser!(u8).range(..=i64::from(EVERY_SLOT) - 1))]
    pub slot: Vec<u8>,
    /// Image file or block device of an export.
    #[arg(long, value_name = "PATH", required = true)]
    pub file: Vec<PathBuf>,
    /// Refuse writes, and open the files for reading only.
    #[arg(long)]
    pub read_only: bool,
    /// How frames get from the network card to the daemon.
    #[arg(long, value_enum, default_value_t = Mode::Auto)]
    pub mode: Mode,
    /// Stop rather than serve without zero-copy.
    #[arg(long)]
    pub require_zerocopy: bool,
    /// Make files that are missing, of this size: bytes, or with K, M, G or T for powers of 1024.
    ///
    /// All blocks are written, so that later writes need not allocate.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub create: Option<u64>,
    /// With --create: make sparse files, whose blocks are allocated when first written.
    #[arg(long, requires = "create")]
    pub sparse: bool,
    /// Path of the control socket, for `aoe-daemon status`.
    #[arg(long, value_name = "PATH", default_value = CONTROL_SOCKET)]
    pub control: PathBuf,
    /// Log more: -v for debugging, -vv for everything. RUST_LOG overrides it.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

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
}

/// All there is to know for serving, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Names of the interfaces, each once.
    pub interfaces: Vec<String>,
    /// The exports; no two have the same address.
    pub exports: Vec<ExportConfig>,
    /// How to receive; zero-copy where that is required.
    pub mode: Mode,
    /// Size in bytes of images to be made, whole sectors.
    pub create: Option<u64>,
    /// Whether to make them sparse.
    pub sparse: bool,
    /// Path of the control socket.
    pub control: PathBuf,
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
        let mode = match args.mode {
            Mode::Auto | Mode::NativeZerocopy if args.require_zerocopy => Mode::NativeZerocopy,
            mode if args.require_zerocopy => {
                let name = mode.to_possible_value().map(|value| value.get_name().to_owned());
                bail!(
                    "--require-zerocopy contradicts --mode {}: leave one of them out",
                    name.unwrap_or_default()
                )
            }
            mode => mode,
        };
        Ok(Self {
            interfaces: args.interfaces,
            exports,
            mode,
            create: args.create,
            sparse: args.sparse,
            control: args.control,
        })
    }
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
        exports.push(ExportConfig { address, file: file.clone(), read_only: args.read_only });
    }
    Ok(exports)
}

/// What is wrong with a command line, in one line.
pub fn usage_error(error: &clap::Error) -> String {
    let text = error.to_string();
    // What follows is the usage, or where to find it.
    let reason = text.split("\nUsage:").next().unwrap_or(&text);
    let reason = reason.split("\nFor more information").next().unwrap_or(reason);
    let words: Vec<&str> = reason.split_whitespace().collect();
    let line = words.join(" ");
    format!("{}; see --help", line.trim_start_matches("error: "))
}

/// Reads the size of a new image and returns it in bytes.
fn parse_size(text: &str) -> Result<u64, SizeError> {
    match parse_sectors(text)? {
        0 => Err(SizeError::NoMultiple),
        sectors => Ok(sectors * SECTOR_SIZE as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Result<Config> {
        let cli = Cli::try_parse_from(format!("aoe-daemon {args}").split_whitespace())?;
        Config::new(cli.serve)
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn one_export() {
        let config = parse("--iface a --shelf 0 --slot 1 --file x").unwrap();
        assert_eq!(config.exports.len(), 1);
        assert_eq!(config.exports[0].address.to_string(), "e0.1");
        assert_eq!(config.mode, Mode::Auto);
    }

    #[test]
    fn several_exports_and_interfaces() {
        let config =
            parse("--iface a --iface b --shelf 0 --slot 1 --file x --shelf 0 --slot 2 --file y")
                .unwrap();
        assert_eq!(config.interfaces, ["a", "b"]);
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
        ];
        for (args, expected) in cases {
            let error = format!("{:#}", parse(args).unwrap_err());
            assert!(error.contains(expected), "{args}: {error}");
        }
    }

    #[test]
    fn usage_errors_are_one_line() {
        for args in ["--slot 300", "--iface a", "--nonsense"] {
            let args = format!("aoe-daemon {args}");
            let error = Cli::try_parse_from(args.split_whitespace()).unwrap_err();
            let line = usage_error(&error);
            assert!(!line.contains('\n') && line.ends_with("; see --help"), "{line}");
            assert!(line.contains("--"), "{line}");
        }
    }

    #[test]
    fn a_new_image_has_a_size() {
        assert_eq!(parse_size("64M"), Ok(64 << 20));
        assert_eq!(parse_size("0"), Err(SizeError::NoMultiple));
        assert!(parse_size("1.5G").is_err());
    }
}
