//! Who is masked costs no user-space time: the XDP program drops what every export of a name masks.

mod bounds;
mod edits;
mod floods;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use aoe_tests::client::Client;
use aoe_tests::daemon::{Daemon, Setup};
use aoe_tests::frame::Request;
use aoe_tests::image::{MIB, sparse_image};
use aoe_tests::paths;
use aoe_tests::retry::retry_until;
use aoe_tests::station::Station;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// The interface of a station that is on the lists.
pub(crate) const FRIEND_PORT: &str = "friend0";
/// A station that does not exist.
pub(crate) const STRANGER: &str = "02:00:00:00:00:99";
/// Frames of a flood.
pub(crate) const FLOOD: usize = 200_000;
/// For what is counted to be seen, and for what the administrator sets to be in force.
pub(crate) const SOON: Duration = Duration::from_secs(1);
/// For the daemon to serve an interface that has come back.
pub(crate) const LINK_LIMIT: Duration = Duration::from_secs(10);
/// How long silence has to last.
pub(crate) const SILENCE: Duration = Duration::from_millis(200);

/// A wire, with two stations.
pub(crate) struct Rig {
    pub(crate) wire: Wire,
    pub(crate) scratch: tempfile::TempDir,
}

/// The two stations: one that is on the lists, and one that is not.
pub(crate) struct Stations {
    pub(crate) friend: Station,
    pub(crate) intruder: Station,
}

impl Rig {
    pub(crate) fn new() -> Result<Self> {
        let rig = Self { wire: Wire::new(Shape::default())?, scratch: paths::scratch()? };
        rig.wire.add_station(FRIEND_PORT)?;
        Ok(rig)
    }

    pub(crate) fn stations(&self) -> Result<Stations> {
        let station = |port| Station::new(&self.wire.client, port);
        Ok(Stations { friend: station(FRIEND_PORT)?, intruder: station(CLIENT_PORT)? })
    }

    /// The `aoe` command of the station that is on the lists.
    pub(crate) fn friend(&self) -> Result<Client<'_>> {
        Client::new(&self.wire.client, FRIEND_PORT)
    }

    pub(crate) fn image(&self, slot: u8) -> Result<PathBuf> {
        let path = self.scratch.path().join(format!("{slot}.img"));
        sparse_image(&path, MIB)?;
        Ok(path)
    }

    /// Serves e0.1 and as many more as are asked for.
    pub(crate) fn serve(&self, exports: u8) -> Result<Daemon> {
        let setup = Setup::new(&self.wire.target, TARGET_PORT, self.scratch.path());
        let setup = (1..=exports).try_fold(setup, |setup, slot| {
            Ok::<_, anyhow::Error>(setup.export(0, slot.into(), &self.image(slot)?))
        })?;
        setup.start()
    }

    /// Serves what a configuration file says behind its interfaces.
    pub(crate) fn serve_config(&self, exports: &str) -> Result<Daemon> {
        let file = self.scratch.path().join("aoe.toml");
        fs::write(&file, format!("interfaces = [\"{TARGET_PORT}\"]\n{exports}"))?;
        Setup::with_config(&self.wire.target, &file, self.scratch.path()).start()
    }
}

/// What the two sides of the daemon have counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    /// Frames that the XDP program has given to a worker.
    pub(crate) steered: u64,
    /// Frames that a worker has seen.
    pub(crate) received: u64,
    /// Frames that the XDP program has dropped because all mask them.
    pub(crate) in_kernel: u64,
    /// Frames that targets have dropped because they mask them.
    pub(crate) by_targets: u64,
}

impl Counts {
    pub(crate) fn of(daemon: &Daemon) -> Result<Self> {
        let status = daemon.status()?;
        Ok(Self {
            steered: status.xdp_count("steered")?,
            received: status.count("received")?,
            in_kernel: status.xdp_count("dropped_masked_in_kernel")?,
            by_targets: status.count("dropped_masked")?,
        })
    }
}

/// Fails unless the XDP program drops the next request of this station.
pub(crate) fn expect_dropped(
    daemon: &Daemon,
    intruder: &mut Station,
    request: &Request,
) -> Result<()> {
    let before = Counts::of(daemon)?;
    intruder.send(request)?;
    retry_until("the kernel's part drops it", SOON, || {
        let after = Counts::of(daemon)?;
        ensure!(after.in_kernel > before.in_kernel, "{before:?}, then {after:?}");
        ensure!(after.received == before.received, "{before:?}, then {after:?}");
        Ok(())
    })
}

/// Fails unless a flood of this request ends in the XDP program.
pub(crate) fn flood(daemon: &Daemon, intruder: &mut Station, request: &Request) -> Result<()> {
    expect_dropped(daemon, intruder, request)?;
    let before = Counts::of(daemon)?;
    intruder.flood(request, FLOOD)?;
    // A busy cable drops some.
    let least = before.in_kernel + FLOOD as u64 / 2;
    let after = retry_until("the flood is counted", Duration::from_secs(5), || {
        let after = Counts::of(daemon)?;
        ensure!(after.in_kernel >= least, "{before:?}, then {after:?}");
        Ok(after)
    })?;
    ensure!(after.in_kernel <= before.in_kernel + FLOOD as u64, "{before:?}, then {after:?}");
    ensure!(after.received == before.received, "a worker has seen it: {before:?}, {after:?}");
    ensure!(after.steered == before.steered, "{before:?}, then {after:?}");
    Ok(())
}

/// Waits until the target answers this station.
pub(crate) fn answers_soon(station: &mut Station, request: &Request) -> Result<()> {
    retry_until("it is answered", SOON, || {
        let replies = station.ask_for(request, Duration::from_millis(20))?;
        ensure!(replies.len() == 1, "{} replies", replies.len());
        Ok(())
    })
}
