//! Config replies that nobody has asked for: how clients learn what is new without asking.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use aoe_tests::capture::Capture;
use aoe_tests::client::Client;
use aoe_tests::daemon::Setup;
use aoe_tests::frame::{BROADCAST, Frame};
use aoe_tests::image::{MIB, sparse_image};
use aoe_tests::paths;
use aoe_tests::station::Station;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// How long nothing more may come.
const QUIET: Duration = Duration::from_millis(200);
/// A second cable.
const SECOND_TARGET: &str = "target1";
const SECOND_CLIENT: &str = "client1";
/// Further stations on the first cable.
const FRIEND_PORT: &str = "friend0";
const STRANGER_PORT: &str = "stranger0";

struct Rig {
    wire: Wire,
    scratch: tempfile::TempDir,
}

impl Rig {
    fn new() -> Result<Self> {
        Ok(Self { wire: Wire::new(Shape::default())?, scratch: paths::scratch()? })
    }

    fn image(&self, name: &str) -> Result<PathBuf> {
        let path = self.scratch.path().join(name);
        sparse_image(&path, MIB)?;
        Ok(path)
    }

    /// A daemon on the first cable with e0.1.
    fn setup(&self) -> Result<Setup<'_>> {
        let setup = Setup::new(&self.wire.target, TARGET_PORT, self.scratch.path());
        Ok(setup.export(0, 1, &self.image("disk.img")?))
    }

    fn station(&self, port: &str) -> Result<Station> {
        Station::new(&self.wire.client, port)
    }
}

/// The announcements that come until nothing more does.
fn announcements(station: &mut Station) -> Result<Vec<Frame>> {
    let first = station.expect("an announcement", Frame::is_announcement)?;
    let mut frames = vec![first];
    frames.extend(station.collect(QUIET, Frame::is_announcement)?);
    Ok(frames)
}

/// Fails unless this is one announcement to everybody of each of these targets.
fn expect_broadcast(frames: &[Frame], addresses: &[&str]) -> Result<()> {
    let mut from: Vec<String> = frames.iter().map(Frame::address).collect();
    from.sort();
    ensure!(from == addresses, "announced: {from:?}");
    for frame in frames {
        ensure!(frame.destination() == BROADCAST, "not to everybody: {frame:?}");
        ensure!(frame.flags() == 0x18 && frame.error() == 0, "{frame:?}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn every_target_is_announced_once_on_every_port_at_the_start() -> Result<()> {
    let rig = Rig::new()?;
    rig.wire.lay_between(SECOND_TARGET, SECOND_CLIENT, Shape { mtu: 9000, queues: 2 })?;
    let (mut first, mut second) = (rig.station(CLIENT_PORT)?, rig.station(SECOND_CLIENT)?);
    let setup = rig.setup()?.option("--iface", SECOND_TARGET);
    let daemon = setup.export(7, 3, &rig.image("other.img")?).start()?;
    for (station, sectors) in [(&mut first, 2), (&mut second, 17)] {
        let frames = announcements(station)?;
        expect_broadcast(&frames, &["e0.1", "e7.3"])?;
        ensure!(frames.iter().all(|frame| frame.sector_count() == sectors), "{frames:?}");
        ensure!(frames.iter().all(|frame| frame.config_string().is_empty()), "{frames:?}");
    }
    ensure!(daemon.status()?.count("announcements")? == 4, "{}", daemon.status()?);
    daemon.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn what_changes_is_announced() -> Result<()> {
    let rig = Rig::new()?;
    let setup = rig.setup()?.export(0, 2, &rig.image("other.img")?);
    let mut station = rig.station(CLIENT_PORT)?;
    let daemon = setup.start()?;
    expect_broadcast(&announcements(&mut station)?, &["e0.1", "e0.2"])?;

    // A config string: of the one target.
    let client = Client::new(&rig.wire.client, CLIENT_PORT)?;
    client.run(&["config", "set", "e0.2", "hello"])?;
    let frames = announcements(&mut station)?;
    expect_broadcast(&frames, &["e0.2"])?;
    ensure!(frames[0].config_string() == b"hello", "{frames:?}");
    // The same again is no change, nor is a reservation.
    client.run(&["config", "set", "e0.2", "hello"])?;
    client.run(&["reserve", "set", "e0.2"])?;
    let frames = station.collect(QUIET, Frame::is_announcement)?;
    ensure!(frames.is_empty(), "nothing has changed: {frames:?}");

    // A size.
    let image = rig.scratch.path().join("disk.img");
    File::options().write(true).open(&image)?.set_len(2 * MIB)?;
    daemon.hang_up()?;
    expect_broadcast(&announcements(&mut station)?, &["e0.1"])?;
    ensure!(client.find("e0.1")?.sectors == Some(4096), "it has not grown");
    daemon.hang_up()?;
    let frames = station.collect(QUIET, Frame::is_announcement)?;
    ensure!(frames.is_empty(), "nothing has changed: {frames:?}");

    // A MAC address: of all, from the new one.
    rig.wire.target.ip(&format!("link set dev {TARGET_PORT} address 02:00:00:00:00:77"))?;
    let frames = announcements(&mut station)?;
    expect_broadcast(&frames, &["e0.1", "e0.2"])?;
    ensure!(frames.iter().all(|frame| frame.source() == [2, 0, 0, 0, 0, 0x77]), "{frames:?}");
    ensure!(client.read("e0.1", 0, 1)?.len() == 512, "it is not read from there");

    // An MTU: of all, with what fits now.
    for (mtu, sectors) in [(9000, 17), (1500, 2)] {
        rig.wire.set_link(&format!("mtu {mtu}"))?;
        let frames = announcements(&mut station)?;
        expect_broadcast(&frames, &["e0.1", "e0.2"])?;
        ensure!(frames.iter().all(|frame| frame.sector_count() == sectors), "{frames:?}");
    }
    daemon.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_link_that_comes_up_is_told() -> Result<()> {
    let rig = Rig::new()?;
    let setup = rig.setup()?;
    let mut station = rig.station(CLIENT_PORT)?;
    let mut daemon = setup.start()?;
    expect_broadcast(&announcements(&mut station)?, &["e0.1"])?;
    // The other end down is a link without a carrier; our own, one that is down.
    let ends = [
        (&rig.wire.client, CLIENT_PORT, "has no carrier"),
        (&rig.wire.target, TARGET_PORT, "is down"),
    ];
    for (namespace, port, said) in ends {
        namespace.ip(&format!("link set dev {port} down"))?;
        daemon.process.wait_for_line(said, Duration::from_secs(5))?;
        namespace.ip(&format!("link set dev {port} up"))?;
        expect_broadcast(&announcements(&mut station)?, &["e0.1"])?;
    }
    daemon.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn announcements_are_repeated_if_that_is_asked_for() -> Result<()> {
    let rig = Rig::new()?;
    let mut station = rig.station(CLIENT_PORT)?;
    let file = rig.scratch.path().join("aoe.toml");
    rig.image("disk.img")?;
    fs::write(
        &file,
        format!(
            "interfaces = [\"{TARGET_PORT}\"]\nannounce-every = 1\n\
             [[export]]\nshelf = 0\nslot = 1\nfile = \"disk.img\"\n"
        ),
    )?;
    let daemon = Setup::with_config(&rig.wire.target, &file, rig.scratch.path()).start()?;
    let frames = station.collect(Duration::from_millis(2500), Frame::is_announcement)?;
    // One at the start, and two ticks; one, where the start took long.
    ensure!((2..=3).contains(&frames.len()), "{} in 2.5 s", frames.len());
    daemon.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_masking_target_is_announced_to_those_on_its_list_only() -> Result<()> {
    let rig = Rig::new()?;
    let setup = rig.setup()?;
    for port in [FRIEND_PORT, STRANGER_PORT] {
        rig.wire.add_station(port)?;
    }
    let mut friends = [rig.station(CLIENT_PORT)?, rig.station(FRIEND_PORT)?];
    let mut stranger = rig.station(STRANGER_PORT)?;
    let daemon = setup.start()?;
    expect_broadcast(&announcements(&mut stranger)?, &["e0.1"])?;
    for friend in &mut friends {
        expect_broadcast(&announcements(friend)?, &["e0.1"])?;
    }
    let client = Client::new(&rig.wire.client, CLIENT_PORT)?;
    let [own, other] = [0, 1].map(|at| friends[at].mac_text());
    client.run(&["mask", "add", "e0.1", &own, &other])?;
    client.run(&["config", "set", "e0.1", "hello"])?;
    let check = |station: &mut Station| {
        let frames = announcements(station)?;
        ensure!(frames.len() == 1, "{frames:?}");
        ensure!(frames[0].destination() == station.mac(), "not to it alone: {frames:?}");
        ensure!(frames[0].config_string() == b"hello", "{frames:?}");
        Ok(())
    };
    friends.iter_mut().try_for_each(check)?;
    daemon.stop()?;
    let daemon = setup.start()?;
    friends.iter_mut().try_for_each(check)?;
    let frames = stranger.collect(QUIET, Frame::is_announcement)?;
    ensure!(frames.is_empty(), "the stranger was told: {frames:?}");
    daemon.stop()?;
    Ok(())
}

/// tshark takes them for what they are, tags included.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_third_party_reads_announcements_and_those_of_a_vlan_are_tagged() -> Result<()> {
    let rig = Rig::new()?;
    let file = rig.scratch.path().join("aoe.toml");
    let export = |slot, vlan| {
        format!("[[export]]\nshelf = 5\nslot = {slot}\nfile = \"{slot}.img\"\nvlan = {vlan}\n")
    };
    fs::write(
        &file,
        format!("interfaces = [\"{TARGET_PORT}\"]\n{}{}", export(1, 0), export(2, 5)),
    )?;
    rig.image("1.img")?;
    rig.image("2.img")?;
    let capture = Capture::start(&rig.wire.client, CLIENT_PORT, rig.scratch.path())?;
    let mut station = rig.station(CLIENT_PORT)?;
    let daemon = Setup::with_config(&rig.wire.target, &file, rig.scratch.path()).start()?;
    expect_broadcast(&announcements(&mut station)?, &["e5.1"])?;
    daemon.stop()?;
    let fields = ["aoe.minor", "vlan.id", "aoe.major", "eth.dst", "aoe.tag"];
    let rows = capture.finish()?.rows("aoe.response == 1 and aoe.cmd == 1", &fields)?;
    let by_slot: BTreeMap<&str, Vec<&str>> =
        rows.iter().map(|row| (&*row[0], row[1..].iter().map(String::as_str).collect())).collect();
    ensure!(rows.len() == 2, "{rows:?}");
    let everybody = "ff:ff:ff:ff:ff:ff";
    let expected = [
        ("0x01", vec!["", "0x0005", everybody, "0x00000000"]),
        ("0x02", vec!["5", "0x0005", everybody, "0x00000000"]),
    ];
    ensure!(by_slot == BTreeMap::from(expected), "{by_slot:?}");
    Ok(())
}
