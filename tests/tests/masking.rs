//! Who is masked costs no user-space time: the XDP program drops what every export of a name masks.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use aoe_tests::client::Client;
use aoe_tests::daemon::{Daemon, Setup};
use aoe_tests::frame::{Frame, Request, opcode};
use aoe_tests::image::{MIB, sparse_image};
use aoe_tests::paths;
use aoe_tests::retry::retry_until;
use aoe_tests::station::Station;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// The interface of a station that is on the lists.
const FRIEND_PORT: &str = "friend0";
/// A station that does not exist.
const STRANGER: &str = "02:00:00:00:00:99";
/// Frames of a flood.
const FLOOD: usize = 200_000;
/// For what is set over the wire to reach the kernel.
const SOON: Duration = Duration::from_secs(1);
/// How long silence has to last.
const SILENCE: Duration = Duration::from_millis(200);

/// A wire, with two stations.
struct Rig {
    wire: Wire,
    scratch: tempfile::TempDir,
}

/// The two stations: one that is on the lists, and one that is not.
struct Stations {
    friend: Station,
    intruder: Station,
}

impl Rig {
    fn new() -> Result<Self> {
        let rig = Self { wire: Wire::new(Shape::default())?, scratch: paths::scratch()? };
        rig.wire.add_station(FRIEND_PORT)?;
        Ok(rig)
    }

    fn stations(&self) -> Result<Stations> {
        let station = |port| Station::new(&self.wire.client, port);
        Ok(Stations { friend: station(FRIEND_PORT)?, intruder: station(CLIENT_PORT)? })
    }

    /// The `aoe` command of the station that is on the lists.
    fn friend(&self) -> Result<Client<'_>> {
        Client::new(&self.wire.client, FRIEND_PORT)
    }

    fn image(&self, slot: u8) -> Result<PathBuf> {
        let path = self.scratch.path().join(format!("{slot}.img"));
        sparse_image(&path, MIB)?;
        Ok(path)
    }

    /// Serves e0.1 and as many more as are asked for.
    fn serve(&self, exports: u8) -> Result<Daemon> {
        let setup = Setup::new(&self.wire.target, TARGET_PORT, self.scratch.path());
        let setup = (1..=exports).try_fold(setup, |setup, slot| {
            Ok::<_, anyhow::Error>(setup.export(0, slot.into(), &self.image(slot)?))
        })?;
        setup.start()
    }

    /// Serves what a configuration file says behind its interfaces.
    fn serve_config(&self, exports: &str) -> Result<Daemon> {
        let file = self.scratch.path().join("aoe.toml");
        fs::write(&file, format!("interfaces = [\"{TARGET_PORT}\"]\n{exports}"))?;
        Setup::with_config(&self.wire.target, &file, self.scratch.path()).start()
    }
}

/// What the two sides of the daemon have counted.
#[derive(Clone, Copy, Debug)]
struct Counts {
    /// Frames that the XDP program has given to a worker.
    steered: u64,
    /// Frames that a worker has seen.
    received: u64,
    /// Frames that the XDP program has dropped because all mask them.
    in_kernel: u64,
    /// Frames that targets have dropped because they mask them.
    by_targets: u64,
}

impl Counts {
    fn of(daemon: &Daemon) -> Result<Self> {
        let status = daemon.status()?;
        Ok(Self {
            steered: status.xdp_count("steered")?,
            received: status.count("received")?,
            in_kernel: status.xdp_count("dropped_masked_in_kernel")?,
            by_targets: status.count("dropped_masked")?,
        })
    }
}

/// Waits until the XDP program drops what this station sends.
fn until_dropped(daemon: &Daemon, intruder: &mut Station, request: &Request) -> Result<()> {
    retry_until("the kernel's part drops it", SOON, || {
        let before = Counts::of(daemon)?;
        intruder.send(request)?;
        retry_until("it is counted", SILENCE, || {
            let after = Counts::of(daemon)?;
            ensure!(after.in_kernel > before.in_kernel, "{before:?}, then {after:?}");
            Ok(())
        })
    })
}

/// Fails unless a flood of this request ends in the XDP program.
fn flood(daemon: &Daemon, intruder: &mut Station, request: &Request) -> Result<()> {
    until_dropped(daemon, intruder, request)?;
    let before = Counts::of(daemon)?;
    intruder.flood(request, FLOOD)?;
    // A busy cable drops some.
    let least = before.in_kernel + FLOOD as u64 * 9 / 10;
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

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_flood_from_a_masked_station_ends_in_the_kernel() -> Result<()> {
    let rig = Rig::new()?;
    let daemon = rig.serve(2)?;
    let Stations { mut friend, mut intruder } = rig.stations()?;
    let client = rig.friend()?;
    for address in ["e0.1", "e0.2"] {
        client.run(&["mask", "add", address, &friend.mac_text()])?;
    }
    flood(&daemon, &mut intruder, &Request::config(0, 1))?;
    flood(&daemon, &mut intruder, &Request::ata(0, 2, opcode::WRITE, 0, &[0xff; 512]))?;
    // Whom no export of a wildcard admits, that does not pass either.
    for (shelf, slot) in [(0xffff, 0xff), (0, 0xff), (0xffff, 1)] {
        until_dropped(&daemon, &mut intruder, &Request::config(shelf, slot))?;
    }
    flood(&daemon, &mut intruder, &Request::config(0xffff, 0xff))?;
    // Nobody else has noticed.
    ensure!(friend.ask_for(&Request::config(0xffff, 0xff), SILENCE)?.len() == 2);
    client.write("e0.1", 0, &[1; 512])?;
    ensure!(fs::read(rig.scratch.path().join("2.img"))?.iter().all(|byte| *byte == 0));
    daemon.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_wildcard_that_one_export_admits_is_answered_by_that_one_only() -> Result<()> {
    let rig = Rig::new()?;
    let daemon = rig.serve(2)?;
    let Stations { friend, mut intruder } = rig.stations()?;
    rig.friend()?.run(&["mask", "add", "e0.1", &friend.mac_text()])?;
    until_dropped(&daemon, &mut intruder, &Request::config(0, 1))?;

    for (shelf, slot) in [(0xffff, 0xff), (0, 0xff)] {
        let before = Counts::of(&daemon)?;
        let replies = intruder.ask_for(&Request::config(shelf, slot), SILENCE)?;
        let from: Vec<String> = replies.iter().map(Frame::address).collect();
        ensure!(from == ["e0.2"], "{shelf}.{slot}: {from:?}");
        let after = Counts::of(&daemon)?;
        ensure!(after.in_kernel == before.in_kernel, "{before:?}, then {after:?}");
        ensure!(after.by_targets == before.by_targets + 1, "{before:?}, then {after:?}");
    }
    daemon.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn lists_of_the_configuration_hold_whatever_the_wire_says() -> Result<()> {
    let rig = Rig::new()?;
    let Stations { mut friend, mut intruder } = rig.stations()?;
    let images = (1..=3).map(|slot| rig.image(slot)).collect::<Result<Vec<_>>>()?;
    let export = |slot: usize, more: &str| {
        let file = images[slot - 1].display();
        format!("[[export]]\nshelf = 0\nslot = {slot}\nfile = \"{file}\"\n{more}\n")
    };
    let daemon = rig.serve_config(
        &[
            export(1, &format!("allow = [\"{}\"]", friend.mac_text())),
            export(2, &format!("deny = [\"{}\"]", intruder.mac_text())),
            export(3, ""),
        ]
        .concat(),
    )?;
    for slot in [1, 2] {
        flood(&daemon, &mut intruder, &Request::config(0, slot))?;
        friend.ask(&Request::config(0, slot))?;
    }
    intruder.ask(&Request::config(0, 3))?;

    // A mask list can't let in whom the configuration keeps out.
    let client = rig.friend()?;
    for address in ["e0.1", "e0.2"] {
        client.run(&["mask", "add", address, &friend.mac_text(), &intruder.mac_text()])?;
    }
    // Long enough for the list to be in force.
    client.run(&["mask", "add", "e0.3", &friend.mac_text()])?;
    until_dropped(&daemon, &mut intruder, &Request::config(0, 3))?;
    for slot in [1, 2] {
        ensure!(intruder.ask_for(&Request::config(0, slot), SILENCE)?.is_empty(), "e0.{slot}");
        until_dropped(&daemon, &mut intruder, &Request::config(0, slot))?;
        friend.ask(&Request::config(0, slot))?;
    }
    // But shut out whom it lets in.
    client.run(&["mask", "add", "e0.1", "--force", STRANGER])?;
    client.run(&["mask", "remove", "e0.1", "--force", &friend.mac_text()])?;
    until_dropped(&daemon, &mut friend, &Request::config(0, 1))?;
    daemon.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn an_edited_list_is_in_force_within_a_second() -> Result<()> {
    let rig = Rig::new()?;
    let daemon = rig.serve(1)?;
    let Stations { friend, mut intruder } = rig.stations()?;
    let client = rig.friend()?;
    let request = Request::config(0, 1);
    intruder.ask(&request)?;
    for _ in 0..3 {
        client.run(&["mask", "add", "e0.1", &friend.mac_text()])?;
        // The target itself is deaf at once.
        ensure!(intruder.ask_for(&request, SILENCE)?.is_empty(), "it is answered");
        until_dropped(&daemon, &mut intruder, &request)?;
        client.run(&["mask", "add", "e0.1", &intruder.mac_text()])?;
        answers_soon(&mut intruder, &request)?;
        client.run(&["mask", "remove", "e0.1", &intruder.mac_text()])?;
        until_dropped(&daemon, &mut intruder, &request)?;
        client.run(&["mask", "clear", "e0.1"])?;
        answers_soon(&mut intruder, &request)?;
    }
    // What the administrator clears, too.
    client.run(&["mask", "add", "e0.1", &friend.mac_text()])?;
    until_dropped(&daemon, &mut intruder, &request)?;
    daemon.clear(&["e0.1", "--mask"])?.success()?;
    answers_soon(&mut intruder, &request)?;
    daemon.stop()?;
    Ok(())
}

/// Waits until the target answers this station.
fn answers_soon(station: &mut Station, request: &Request) -> Result<()> {
    retry_until("it is answered", SOON, || {
        let replies = station.ask_for(request, Duration::from_millis(20))?;
        ensure!(replies.len() == 1, "{} replies", replies.len());
        Ok(())
    })
}
