//! The commands, one file each, and what several of them need.

pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod discover;
mod explain;
pub(crate) mod flush;
pub(crate) mod identify;
pub(crate) mod mask;
pub(crate) mod read;
pub(crate) mod reserve;
pub(crate) mod smart;
pub(crate) mod stat;
pub(crate) mod trim;
pub(crate) mod write;

use std::fmt::Display;
use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use aoe_client::{
    Address, Destination, Disk, Error, Initiator, Mac, MacError, Options, Port, Target,
};
use clap::Args;
use serde_json::json;

/// How much is transferred between two looks at the progress and the other file, in bytes.
pub(crate) const CHUNK_BYTES: usize = 4 << 20;

/// Which disk, and how to get at it.
#[derive(Args)]
pub(crate) struct Connection {
    /// The disk: e and its shelf, a dot, its slot
    #[arg(value_name = "TARGET")]
    address: Address,

    /// The network interface it is behind
    #[arg(long, value_name = "IFACE")]
    iface: String,

    /// Give up when a request stays unanswered for this many milliseconds
    ///
    /// Until then it is sent again and again, at growing intervals: a target may be restarted in
    /// the meantime.
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    timeout: u64,
}

impl Connection {
    /// Finds the target and works with it. If that fails, what the target knows about the reason
    /// is in the error.
    fn with_port<T>(&self, work: impl FnOnce(&mut Port) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut port = self.find()?;
        work(&mut port).map_err(|error| explain::explain(&mut port, error))
    }

    /// As [`with_port`](Self::with_port), with the disk.
    fn with_disk<T>(&self, work: impl FnOnce(&mut Disk) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut disk = Disk::attach(self.find()?)?;
        work(&mut disk).map_err(|error| explain::explain(disk.port_mut(), error))
    }

    fn find(&self) -> anyhow::Result<Port> {
        let options =
            Options { patience: Duration::from_millis(self.timeout), ..Options::default() };
        Port::open(&self.iface, self.address, options).map_err(explain::silence)
    }
}

/// Reads the MAC address of a single station.
fn station(text: &str) -> Result<Mac, String> {
    let mac: Mac = text.parse().map_err(|error: MacError| error.to_string())?;
    if mac.is_group() {
        return Err("that is a group address, which no station sends from".to_owned());
    }
    Ok(mac)
}

/// Prints a list of MAC addresses, one a line or as a member of a JSON object, and these words for
/// an empty one.
fn print_macs(
    address: Address,
    member: &str,
    macs: &[Mac],
    as_json: bool,
    empty: &str,
) -> anyhow::Result<()> {
    if as_json {
        let macs: Vec<_> = macs.iter().map(Mac::to_string).collect();
        return print(format_args!(
            "{:#}",
            json!({ "address": address.to_string(), member: macs })
        ));
    }
    if macs.is_empty() {
        return print(empty);
    }
    macs.iter().try_for_each(print)
}

/// Prints a line. That whoever reads the pipe has seen enough is no failure.
fn print(line: impl Display) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("standard output"),
    }
}

/// On which interfaces to look for targets, and for how long.
#[derive(Args)]
pub(crate) struct Search {
    /// A network interface to look on; may be given several times
    #[arg(long = "iface", value_name = "IFACE", required = true)]
    interfaces: Vec<String>,

    /// How many milliseconds to wait for answers
    ///
    /// All of them are waited for, since nobody knows how many targets there are.
    #[arg(long, value_name = "MS", default_value_t = 500)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    timeout: u64,
}

/// A port that was found, and what IDENTIFY DEVICE says by it.
pub(crate) struct Found {
    pub(crate) target: Target,
    pub(crate) disk: Result<Size, Error>,
}

/// What there is to list of a disk.
pub(crate) struct Size {
    /// Sectors of 512 bytes.
    pub(crate) sectors: u64,
    /// Most sectors in one request: what both ends of the path can take.
    pub(crate) sector_limit: u8,
}

impl Search {
    /// Discovers on all interfaces at once and identifies every disk. Sorted by address.
    pub(crate) fn run(&self) -> Result<Vec<Found>, Error> {
        let timeout = Duration::from_millis(self.timeout);
        let discover = |interface: &str| {
            let mut initiator = Initiator::open(interface)?;
            let targets = initiator.discover(Destination::EVERY, timeout)?;
            let identified = targets.into_iter().map(|target| {
                let identify = initiator.identify(&target, timeout);
                let sector_limit = target.sector_count.min(initiator.sector_limit());
                let disk = identify.map(|data| Size { sectors: data.sectors(), sector_limit });
                Found { disk, target }
            });
            Ok(identified.collect::<Vec<_>>())
        };
        let answers: Vec<Result<Vec<Found>, Error>> = thread::scope(|scope| {
            let searches: Vec<_> = self
                .interfaces
                .iter()
                .map(|interface| scope.spawn(move || discover(interface)))
                .collect();
            searches.into_iter().map(|search| search.join().expect("a search panicked")).collect()
        });
        let mut found = Vec::new();
        for answer in answers {
            found.extend(answer?);
        }
        found.sort_by_key(|found: &Found| found.target.address);
        Ok(found)
    }

    /// Why there is nothing to tell.
    pub(crate) fn nobody(&self) -> anyhow::Error {
        let interfaces = self.interfaces.join(", ");
        anyhow::anyhow!("no target answered on {interfaces} within {} ms", self.timeout)
    }
}
