//! The XDP program of one port: loading it, attaching it, telling it what is served, and reading
//! what it counted.
//!
//! The program itself is in `aoe-ebpf`, its rule in [`aoe_common::steer`].

mod attach;
mod load;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use aoe_common::address::Address;
use aoe_common::counters::Counter;
use aoe_common::steer::{Filter, ServedKey, SourceKey};
use aoe_common::wire::Mac;
use aya::maps::{Array, HashMap, MapData, PerCpuArray, XskMap};
use aya::programs::links::FdLink;
use aya::programs::{ProgramError, TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, maps};
use aya_log::EbpfLogger;
use thiserror::Error;
use tokio::time::{MissedTickBehavior, interval};

pub use attach::{AttachError, Mode, Occupant, Refusal};
pub use load::LoadError;

/// What the program counted, by [`Counter`], over all CPUs.
pub type Counts = [u64; Counter::ALL.len()];

/// How often the program's log is read.
const LOG_PERIOD: Duration = Duration::from_secs(1);

/// The XDP program of one port, with its maps.
///
/// Dropping it takes the program off the interface; so does the end of the process, however it
/// ends.
pub struct Steering {
    ebpf: Ebpf,
    attached: Option<FdLink>,
    targets: BTreeSet<(u16, Address)>,
    /// What the map of names holds.
    filters: BTreeMap<ServedKey, Filter>,
    /// What the map of sources holds. Under one filter all entries of a name have the same value.
    sources: BTreeSet<SourceKey>,
    maps: Maps,
}

/// The maps of `aoe-ebpf`, under their names there.
struct Maps {
    sockets: XskMap<MapData>,
    served: HashMap<MapData, u64, u8>,
    sources: HashMap<MapData, [u64; 2], u8>,
    port: Array<MapData, [u8; 6]>,
    counters: PerCpuArray<MapData, u64>,
}

/// A map of the XDP program can't be read or changed.
#[derive(Debug, Error)]
#[error("the map {map} of the XDP program can't be used: {source}")]
pub struct MapError {
    /// Name of the map.
    pub map: &'static str,
    source: maps::MapError,
}

impl Steering {
    /// Sets the MAC address whose frames, besides broadcasts, are the port's.
    ///
    /// # Errors
    ///
    /// None is to be expected: see [`MapError`].
    pub fn set_mac(&mut self, mac: Mac) -> Result<(), MapError> {
        self.maps.port.set(0, mac.0, 0).map_err(in_map("PORT"))
    }

    /// Gives the frames of an RX queue to this AF_XDP socket, which must be bound to that queue of
    /// that interface, or the kernel drops them.
    ///
    /// # Errors
    ///
    /// The queue's number is 1024 or more, or the file descriptor is not an AF_XDP socket.
    pub fn set_socket(&mut self, queue: u32, socket: impl AsFd) -> Result<(), MapError> {
        let socket = socket.as_fd().as_raw_fd();
        self.maps.sockets.set(queue, socket, 0).map_err(in_map("SOCKETS"))
    }

    /// Passes the frames of an RX queue to the kernel again.
    ///
    /// # Errors
    ///
    /// The queue has no socket.
    pub fn unset_socket(&mut self, queue: u32) -> Result<(), MapError> {
        self.maps.sockets.unset(queue).map_err(in_map("SOCKETS"))
    }

    /// Serves a target on a VLAN from now on; 0 stands for untagged frames. Its names admit
    /// everybody.
    ///
    /// # Errors
    ///
    /// The map of targets is full, at more than 5000 of them.
    pub fn add_target(&mut self, vlan_id: u16, target: Address) -> Result<(), MapError> {
        self.targets.insert((vlan_id, target));
        names(vlan_id, target).into_iter().try_for_each(|name| {
            self.set_mode(name, Filter::Everybody)?;
            self.remove_sources(self.sources_of(name))
        })
    }

    /// Serves a target on a VLAN no more.
    ///
    /// # Errors
    ///
    /// None is to be expected: see [`MapError`].
    pub fn remove_target(&mut self, vlan_id: u16, target: Address) -> Result<(), MapError> {
        if !self.targets.remove(&(vlan_id, target)) {
            return Ok(());
        }
        // Wildcards may name another target, too.
        let kept: BTreeSet<ServedKey> =
            self.targets.iter().flat_map(|(vlan_id, target)| names(*vlan_id, *target)).collect();
        for name in names(vlan_id, target) {
            if !kept.contains(&name) {
                self.maps.served.remove(&name.bits()).map_err(in_map("SERVED"))?;
                self.filters.remove(&name);
                self.remove_sources(self.sources_of(name))?;
            }
        }
        Ok(())
    }

    /// From now on drops what comes to this name of a target from sources that it masks: `entries`
    /// says of sources what the filter asks of them.
    ///
    /// A source that is admitted before and after the change is admitted during it: what admits is
    /// entered first, what refuses is taken out first, and between two kinds of filters the name
    /// admits everybody.
    ///
    /// # Errors
    ///
    /// The map of sources is full. Then the name admits everybody, and its targets have to drop
    /// what they mask.
    pub fn set_filter(
        &mut self,
        name: ServedKey,
        filter: Filter,
        entries: impl Iterator<Item = (Mac, u8)>,
    ) -> Result<(), MapError> {
        let wanted: BTreeMap<SourceKey, u8> =
            entries.map(|(source, value)| (SourceKey::new(name, source), value)).collect();
        let set = if self.filters.get(&name) == Some(&filter) {
            self.replace_sources(name, filter, &wanted)
        } else {
            // The entries of one kind mean nothing to the other.
            self.set_mode(name, Filter::Everybody)?;
            self.remove_sources(self.sources_of(name))?;
            self.insert_sources(&wanted)
        };
        if set.is_err() {
            // Half a list is of no use, and takes the room of other names.
            self.set_mode(name, Filter::Everybody)?;
            self.remove_sources(self.sources_of(name))?;
            return set;
        }
        self.set_mode(name, filter)
    }

    fn replace_sources(
        &mut self,
        name: ServedKey,
        filter: Filter,
        wanted: &BTreeMap<SourceKey, u8>,
    ) -> Result<(), MapError> {
        let mut obsolete = self.sources_of(name);
        obsolete.retain(|key| !wanted.contains_key(key));
        if filter == Filter::Unlisted {
            self.remove_sources(obsolete)?;
            self.insert_sources(wanted)
        } else {
            self.insert_sources(wanted)?;
            self.remove_sources(obsolete)
        }
    }

    /// What the map of sources holds for a name.
    fn sources_of(&self, name: ServedKey) -> Vec<SourceKey> {
        let first = SourceKey::new(name, Mac([0; 6]));
        let last = SourceKey::new(name, Mac::BROADCAST);
        self.sources.range(first..=last).copied().collect()
    }

    fn insert_sources(&mut self, wanted: &BTreeMap<SourceKey, u8>) -> Result<(), MapError> {
        for (key, value) in wanted {
            if !self.sources.contains(key) {
                self.maps.sources.insert(key.bits(), *value, 0).map_err(in_map("SOURCES"))?;
                self.sources.insert(*key);
            }
        }
        Ok(())
    }

    fn remove_sources(&mut self, obsolete: Vec<SourceKey>) -> Result<(), MapError> {
        for key in obsolete {
            self.maps.sources.remove(&key.bits()).map_err(in_map("SOURCES"))?;
            self.sources.remove(&key);
        }
        Ok(())
    }

    fn set_mode(&mut self, name: ServedKey, filter: Filter) -> Result<(), MapError> {
        if self.filters.get(&name) != Some(&filter) {
            self.maps.served.insert(name.bits(), filter as u8, 0).map_err(in_map("SERVED"))?;
            self.filters.insert(name, filter);
        }
        Ok(())
    }

    /// What was counted since the program was loaded.
    ///
    /// # Errors
    ///
    /// None is to be expected: see [`MapError`].
    pub fn counts(&self) -> Result<Counts, MapError> {
        let mut counts = Counts::default();
        for counter in Counter::ALL {
            let by_cpu =
                self.maps.counters.get(&(counter as u32), 0).map_err(in_map("COUNTERS"))?;
            counts[counter as usize] = by_cpu.iter().sum();
        }
        Ok(counts)
    }

    /// Hands what the program logs to the `log` crate's logger, until the future is dropped.
    ///
    /// To be called once, and after the logger is set.
    ///
    /// # Errors
    ///
    /// The log's map can't be used. That is worth a warning, not the end.
    pub fn forward_log(&mut self) -> Result<impl Future<Output = ()> + use<>, aya_log::Error> {
        let mut log = EbpfLogger::init(&mut self.ebpf)?;
        Ok(async move {
            // What is logged is rare and may be late.
            let mut ticks = interval(LOG_PERIOD);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                log.flush();
            }
        })
    }

    /// Runs the program on one frame as if it had come in on queue 0, and returns the XDP action.
    ///
    /// Nothing is received or sent. This is for tests; it counts like any other frame.
    ///
    /// # Errors
    ///
    /// The kernel refuses frames of less than 14 bytes.
    pub fn try_frame(&self, frame: &[u8]) -> Result<u32, ProgramError> {
        let program: &Xdp =
            self.ebpf.program(load::PROGRAM).ok_or(ProgramError::NotLoaded)?.try_into()?;
        let run = TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() };
        Ok(program.test_run(run)?.return_value)
    }
}

impl fmt::Debug for Steering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ebpf: _, attached, targets, filters: _, sources: _, maps: _ } = self;
        f.debug_struct("Steering")
            .field("attached", attached)
            .field("targets", targets)
            .finish_non_exhaustive()
    }
}

/// The keys of a target in the map of targets.
fn names(vlan_id: u16, target: Address) -> [ServedKey; 4] {
    target.names().map(|to| ServedKey::new(vlan_id, to))
}

fn in_map(map: &'static str) -> impl FnOnce(maps::MapError) -> MapError {
    move |source| MapError { map, source }
}
