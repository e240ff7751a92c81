//! The command line.

use super::storage::MAX_IO_TIMEOUT;
use super::{CacheSize, Durability, HugePages, InterfacePattern, Mode};
use aoe_common::address::{Address, EVERY_SHELF, EVERY_SLOT};
use aoe_common::size::{SizeError, parse_bytes};
use clap::{ArgGroup, Args, Parser, Subcommand};
use std::path::PathBuf;

/// Where the configuration file is unless `--config` says otherwise.
pub const CONFIG_FILE: &str = "/etc/aoe-daemon.toml";
/// Where the control socket is unless `--control` says otherwise.
pub const CONTROL_SOCKET: &str = "/run/aoe-daemon.sock";
/// Where what clients have set is kept unless `--state-dir` says otherwise.
pub const STATE_DIR: &str = "/var/lib/aoe-daemon";
/// Most seconds between announcements: a day.
pub(super) const MAX_ANNOUNCE_EVERY: u64 = 86_400;

const EXAMPLES: &str = "\
Examples:
  Serve storage1.img as e0.1 on ens33:
      aoe-daemon --iface ens33 --shelf 0 --slot 1 --file storage1.img
  Make a new image of 20 GiB first:
      aoe-daemon --iface ens33 --shelf 0 --slot 1 --file new.img --create 20G
  Serve two disks on two ports:
      aoe-daemon --iface ens33 --iface ens34 \\
          --shelf 0 --slot 1 --file a.img  --shelf 0 --slot 2 --file /dev/vg/b
  Serve 20 GiB of a volume, from its first MiB on:
      aoe-daemon --iface ens33 --shelf 0 --slot 1 --file /dev/vg/b --offset 1M --length 20G
  Serve what /etc/aoe-daemon.toml says, after a look at it:
      aoe-daemon check && aoe-daemon
  Ask a running daemon how it does:
      aoe-daemon status

A configuration file names everything once, and more for each export than flags can say:
      interfaces = [\"ens33\", \"ens5*\"]

      [[export]]
      shelf = 0
      slot = 1
      file = \"/srv/aoe/storage1.img\"

      [[export]]
      shelf = 0
      slot = 2
      file = \"/dev/vg/b\"
      read-only = true
      interfaces = [\"ens33\"]           # not on the others
      vlan = 5                         # frames tagged for it, and no others
      allow = [\"02:00:00:00:00:01\"]    # this client alone

  Of the whole file: interfaces mode require-zerocopy control state-dir announce-every hugepages
  cache preload io-timeout durability.
  Of an [[export]]: shelf slot file read-only durability offset length interfaces vlan
  config-string serial model wwn allow deny.

On the client: modprobe aoe; aoe-discover; aoe-stat; then use /dev/etherd/e0.1.

Exit status: 0 after an orderly stop, 1 if it can't serve or the configuration file is wrong, 2 for
a wrong command line.";

/// Serve disk images and block devices over ATA over Ethernet, by XDP and AF_XDP.
///
/// Every write is on stable storage before it is answered, unless --durability says otherwise. One daemon owns an interface and
/// serves any number of exports on it. They are in a configuration file, or few of them on the
/// command line: give --shelf, --slot and --file once for each.
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
    /// Have a target of a running daemon forget what clients have set, or that its disk has failed.
    ///
    /// This is the way out when clients have locked each other out, or themselves; and, when its file
    /// or device has been mended or checked, back to writing.
    Clear(ClearArgs),
    /// Say what is wrong in a configuration file, and where. Nothing is served.
    ///
    /// Prints FILE:LINE:COLUMN and what is wrong for every mistake, and warns of interfaces and
    /// files that do not exist now. Exit status: 0 if the file can be served, else 1.
    Check(CheckArgs),
}

/// Arguments of `clear`.
#[derive(Debug, Args)]
// A group of the whole struct would have the address in it, and so never lack anything.
#[group(skip)]
#[command(group(ArgGroup::new("what").required(true).multiple(true)))]
pub struct ClearArgs {
    /// The target, such as e0.1.
    pub address: Address,
    /// Its config string.
    #[arg(long, group = "what")]
    pub config_string: bool,
    /// Its MAC mask list: everybody may talk to it again, whom the configuration lets.
    #[arg(long, group = "what")]
    pub mask: bool,
    /// Its reservation.
    #[arg(long, group = "what")]
    pub reservation: bool,
    /// That writing to its file or device has failed: writes are taken again, for all exports on it,
    /// if it can be flushed. What clients were told of as not written may or may not be there.
    #[arg(long, group = "what")]
    pub failed: bool,
    /// The daemon's control socket.
    #[arg(long, value_name = "PATH", default_value = CONTROL_SOCKET)]
    pub control: PathBuf,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration file.
    #[arg(value_name = "FILE", default_value = CONFIG_FILE)]
    pub file: PathBuf,
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
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Configuration file, where there is no --iface; /etc/aoe-daemon.toml unless given.
    ///
    /// `aoe-daemon check FILE` says what is wrong in one. It can't be given together with --iface,
    /// --shelf, --slot and --file; the other flags weigh more than what the file says.
    #[arg(long, value_name = "PATH")]
    #[arg(conflicts_with_all = ["interfaces", "shelf", "slot", "file", "offset", "length"])]
    pub config: Option<PathBuf>,
    /// Network interface to serve on, by its name or a pattern like 'ens*'; repeat it for more.
    #[arg(long = "iface", value_name = "IFACE", requires_all = ["shelf", "slot", "file"])]
    pub interfaces: Vec<InterfacePattern>,
    /// Shelf (major address) of an export, 0 to 65534 but not 4095.
    #[arg(long, value_name = "N", requires_all = ["interfaces", "slot", "file"])]
    #[arg(value_parser = clap::value_parser!(u16).range(..=i64::from(EVERY_SHELF) - 1))]
    pub shelf: Vec<u16>,
    /// Slot (minor address) of an export, 0 to 254.
    #[arg(long, value_name = "N", requires_all = ["interfaces", "shelf", "file"])]
    #[arg(value_parser = clap::value_parser!(u8).range(..=i64::from(EVERY_SLOT) - 1))]
    pub slot: Vec<u8>,
    /// Image file or block device of an export.
    #[arg(long, value_name = "PATH", requires_all = ["interfaces", "shelf", "slot"])]
    pub file: Vec<PathBuf>,
    /// Serve the file from this byte on: bytes, or with K, M, G or T for powers of 1024, a multiple
    /// of 512. Of a block device that is written it has to be a multiple of its own sectors.
    ///
    /// With several exports, give none or one for each.
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, requires = "file")]
    pub offset: Vec<u64>,
    /// Serve so much of the file, and not all to its end: bytes, or a size as above.
    ///
    /// With several exports, give none or one for each.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, requires = "file")]
    pub length: Vec<u64>,
    /// Refuse writes to every export, and open the files for reading only.
    #[arg(long)]
    pub read_only: bool,
    /// When writes are answered, of all exports; always unless given.
    ///
    /// 'always': once they are on stable storage. 'writeback': once they are in the cache, from where
    /// they are written when they are old, when there are many, and on FLUSH, which is answered when
    /// all that was answered before is on stable storage. What has not got there is lost when the
    /// machine or the daemon crashes, and the Linux initiator never sends a FLUSH.
    #[arg(long, value_enum)]
    pub durability: Option<Durability>,
    /// How frames get from the network card to the daemon; auto unless given.
    #[arg(long, value_enum)]
    pub mode: Option<Mode>,
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
    /// Directory for what clients set and restarts must not lose: config strings, MAC mask lists
    /// and reservations; /var/lib/aoe-daemon unless given.
    #[arg(long, value_name = "PATH")]
    pub state_dir: Option<PathBuf>,
    /// Announce every export again after so many seconds; unless given, only at the start and
    /// when something has changed.
    #[arg(long, value_name = "SECONDS")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=MAX_ANNOUNCE_EVERY))]
    pub announce_every: Option<u64>,
    /// Memory on pages of 2 MiB: 'use' those that the kernel has free in its pool, or 'reserve' what is
    /// missing there, or take them 'off'; use unless given.
    ///
    /// Otherwise transparent huge pages are taken, where the kernel gives them, and of 'off' only
    /// pages of 4 KiB. The pool (vm.nr_hugepages) is as large as it was again once the daemon has its
    /// pages, and they return to the system when it ends, in whatever way.
    #[arg(long, value_name = "reserve|use|off")]
    pub hugepages: Option<HugePages>,
    /// Memory for what was read: bytes, or with K, M, G or T for powers of 1024; 'all' for as much
    /// as all files and devices are large that are not in memory; or 0 for none.
    ///
    /// Unless given, it is as much as they are large, but at most half of the memory that is
    /// available at the start. Of a size, an eighth of that has to be left. 'all' is never refused:
    /// where that is more, the log says so, and what can be had is taken.
    #[arg(long, value_name = "SIZE|all|0")]
    pub cache: Option<CacheSize>,
    /// Read all files and devices into the cache, as far as they fit, without waiting for clients to
    /// ask for them. Serving begins at once, and requests go first.
    #[arg(long)]
    pub preload: bool,
    /// Give up a request that its disk does not answer after so many seconds; 30 unless given.
    ///
    /// A read then fails by itself. After a write nobody knows what the disk will hold: every
    /// further one to that file or device is refused.
    #[arg(long, value_name = "SECONDS")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=MAX_IO_TIMEOUT))]
    pub io_timeout: Option<u64>,
    /// Path of the control socket, for `aoe-daemon status`; /run/aoe-daemon.sock unless given.
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// Log more: -v for debugging, -vv for everything. RUST_LOG overrides it.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
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

/// Reads a number of bytes that is not 0.
fn parse_size(text: &str) -> Result<u64, SizeError> {
    match parse_bytes(text)? {
        0 => Err(SizeError::NoMultiple),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn clearing_nothing_makes_no_sense() {
        for (flags, is_right) in [("", false), ("--mask", true), ("--mask --failed", true)] {
            let words = format!("aoe-daemon clear e0.1 {flags}");
            let parsed = Cli::try_parse_from(words.split_whitespace());
            assert_eq!(parsed.is_ok(), is_right, "{words}");
        }
    }

    #[test]
    fn usage_errors_are_one_line() {
        for args in ["--slot 300", "--iface a", "--nonsense", "--iface a --config b"] {
            let args = format!("aoe-daemon {args}");
            let error = Cli::try_parse_from(args.split_whitespace()).unwrap_err();
            let line = usage_error(&error);
            assert!(!line.contains('\n') && line.ends_with("; see --help"), "{line}");
            assert!(line.contains("--"), "{line}");
        }
    }

    #[test]
    fn a_size_is_not_0() {
        assert_eq!(parse_size("64M"), Ok(64 << 20));
        assert_eq!(parse_size("0"), Err(SizeError::NoMultiple));
        assert!(parse_size("1.5G").is_err());
        assert_eq!(parse_bytes("0"), Ok(0));
    }
}
