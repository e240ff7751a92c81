//! The commands, one file each, and what several of them need.

pub(crate) mod bench;
pub(crate) mod discover;
pub(crate) mod read;
pub(crate) mod stat;
pub(crate) mod write;

use std::thread;
use std::time::Duration;

use aoe_client::{Address, Destination, Disk, Error, Initiator, Options, Target};
use clap::Args;

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
    pub(crate) fn open(&self) -> Result<Disk, Error> {
        let options =
            Options { patience: Duration::from_millis(self.timeout), ..Options::default() };
        Disk::open(&self.iface, self.address, options)
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
    pub(crate) disk: Result<Disk, Error>,
}

impl Search {
    /// Discovers on all interfaces at once and identifies every disk. Sorted by address.
    pub(crate) fn run(&self) -> Result<Vec<Found>, Error> {
        let timeout = Duration::from_millis(self.timeout);
        let discover =
            |interface: &str| Initiator::open(interface)?.discover(Destination::EVERY, timeout);
        let answers: Vec<_> = thread::scope(|scope| {
            let searches: Vec<_> = self
                .interfaces
                .iter()
                .map(|interface| scope.spawn(move || discover(interface)))
                .collect();
            searches.into_iter().map(|search| search.join().expect("a search panicked")).collect()
        });
        let mut targets = Vec::new();
        for answer in answers {
            targets.extend(answer?);
        }
        targets.sort_by_key(|target| target.address);
        let options = Options { patience: timeout, ..Options::default() };
        let identify = |target: Target| Found { disk: Disk::connect(&target, options), target };
        Ok(targets.into_iter().map(identify).collect())
    }

    /// Why there is nothing to tell.
    pub(crate) fn nobody(&self) -> anyhow::Error {
        let interfaces = self.interfaces.join(", ");
        anyhow::anyhow!("no target answered on {interfaces} within {} ms", self.timeout)
    }
}
