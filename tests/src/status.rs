//! What `aoe-daemon status --json` says, as far as the tests look at it.
//!
//! Read by a description of its own, not the daemon's: renaming a field breaks other people's
//! monitoring, and so a test.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// One answer of the daemon.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    /// Process id of the daemon.
    pub pid: u32,
    /// What it serves.
    pub exports: Vec<Export>,
    /// Its cache and its memory.
    pub memory: Memory,
    /// Where it serves.
    pub interfaces: Vec<Interface>,
}

/// One export.
#[derive(Clone, Debug, Deserialize)]
pub struct Export {
    /// Such as `e0.1`.
    pub address: String,
    /// How its data is reached.
    pub access: String,
    /// Size in sectors of 512 bytes.
    pub sectors: u64,
    /// Whether writes are refused on purpose.
    pub read_only: bool,
    /// When writes are answered.
    pub durability: String,
    /// Whether writes are refused because one has failed.
    pub failed: bool,
    /// Sectors that can be read and written.
    pub reachable: u64,
    /// Whether its file is still where it was opened.
    pub file_state: String,
    /// VLAN that it is offered on; 0 for untagged frames.
    pub vlan: u16,
    /// Serial number.
    pub serial: String,
    /// Config string.
    pub config_string: String,
    /// MAC mask list.
    pub mask: Vec<String>,
    /// Who holds it reserved.
    pub reserved: Vec<String>,
}

/// Memory, in bytes.
#[derive(Clone, Debug, Deserialize)]
pub struct Memory {
    /// What the cache may come to have.
    pub cache_capacity: u64,
    /// What is in the cache.
    pub cache_used: u64,
    /// What of that its disks do not have yet.
    pub cache_dirty: u64,
    /// Pages behind it.
    pub cache_pages: String,
}

/// One interface.
#[derive(Clone, Debug, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Whether frames are taken from it.
    pub serving: bool,
    /// Why they are not.
    pub waiting_for: Option<String>,
    /// In bytes.
    pub mtu: u32,
    /// Most sectors in a request.
    pub max_sectors: u8,
    /// How frames come in.
    pub mode: Option<String>,
    /// Counts of the XDP program.
    pub xdp: BTreeMap<String, u64>,
    /// Its receive queues.
    pub queues: Vec<Queue>,
}

/// One receive queue.
#[derive(Clone, Debug, Deserialize)]
pub struct Queue {
    /// What its packet buffers are on.
    pub pages: String,
    /// Counts of the worker.
    pub counts: BTreeMap<String, u64>,
    /// Packet buffers by where they are.
    pub buffers: BTreeMap<String, u64>,
}

impl Status {
    /// Reads the answer.
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).with_context(|| format!("not the expected status: {text}"))
    }

    /// The only interface.
    pub fn interface(&self) -> Result<&Interface> {
        ensure!(self.interfaces.len() == 1, "{} interfaces", self.interfaces.len());
        Ok(&self.interfaces[0])
    }

    /// The interface of this name.
    pub fn interface_named(&self, name: &str) -> Result<&Interface> {
        let found = self.interfaces.iter().find(|interface| interface.name == name);
        found.with_context(|| format!("no interface {name}"))
    }

    /// The export at this address.
    pub fn export(&self, address: &str) -> Result<&Export> {
        let found = self.exports.iter().find(|export| export.address == address);
        found.with_context(|| format!("no export {address}"))
    }

    /// A count of the XDP programs of all interfaces. Fails if no program has it, as
    /// [`count`](Self::count) does.
    pub fn xdp_count(&self, name: &str) -> Result<u64> {
        let counts = self.interfaces.iter().map(|interface| interface.xdp.get(name).copied());
        counts
            .reduce(|sum, count| Some(sum? + count?))
            .flatten()
            .with_context(|| format!("no XDP count {name}"))
    }

    /// A count over the workers of all interfaces. Fails if no worker has it, so that a test that
    /// expects 0 does not pass by a misspelt name.
    pub fn count(&self, name: &str) -> Result<u64> {
        let queues = self.interfaces.iter().flat_map(|interface| &interface.queues);
        queues
            .map(|queue| queue.counts.get(name).copied())
            .reduce(|sum, count| Some(sum? + count?))
            .flatten()
            .with_context(|| format!("no count {name}"))
    }

    /// Every count of a drop, by the XDP program or a worker, that is not 0.
    pub fn drops(&self) -> Vec<(String, u64)> {
        let of_interface = |interface: &Interface| {
            let of_workers = interface.queues.iter().flat_map(|queue| queue.counts.clone());
            interface.xdp.clone().into_iter().chain(of_workers).collect::<Vec<_>>()
        };
        self.interfaces
            .iter()
            .flat_map(of_interface)
            .filter(|(name, count)| name.starts_with("dropped") && *count > 0)
            .collect()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self:#?}")
    }
}
