//! What is said on which port, and when: cases A29, A30 and H2.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use aoe_tests::daemon::Setup;
use aoe_tests::image::random_image;
use aoe_tests::paths;
use aoe_tests::raw::Raw;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// How long replies may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// The second cable.
const OTHER_TARGET_PORT: &str = "target1";
const OTHER_CLIENT_PORT: &str = "client1";

/// Two cables between the same two namespaces, with MTU 1500 and 9000.
fn two_cables() -> Result<Wire> {
    let wire = Wire::new(Shape::default())?;
    let end = "mtu 9000 numtxqueues 1 numrxqueues 1";
    wire.target.ip(&format!(
        "link add name {OTHER_TARGET_PORT} {end} type veth peer name {OTHER_CLIENT_PORT} {end} netns {}",
        wire.client.name()
    ))?;
    wire.target.ip(&format!("link set dev {OTHER_TARGET_PORT} up"))?;
    wire.client.ip(&format!("link set dev {OTHER_CLIENT_PORT} up"))?;
    Ok(wire)
}

/// A daemon that serves e0.1 and e0.2.
fn setup<'n>(wire: &'n Wire, directory: &Path) -> Result<Setup<'n>> {
    let mut setup = Setup::new(&wire.target, TARGET_PORT, directory);
    for slot in [1, 2] {
        let image = directory.join(format!("{slot}.img"));
        random_image(&image, 1 << 20, u64::from(slot))?;
        setup = setup.export(0, slot, &image);
    }
    Ok(setup)
}

/// The start of every request from this client to an address.
fn header(source: [u8; 6], slot: u8, command: u8, tag: u32) -> Vec<u8> {
    let mut frame = [[0xff; 6], source].concat();
    frame.extend([0x88, 0xa2, 0x10, 0, 0, 0, slot, command]);
    frame.extend(tag.to_be_bytes());
    frame
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a29_each_port_answers_for_itself() -> Result<()> {
    let scratch = paths::scratch()?;
    let wire = two_cables()?;
    let _daemon = setup(&wire, scratch.path())?.option("--iface", OTHER_TARGET_PORT).start()?;
    let ports = [(CLIENT_PORT, TARGET_PORT, 2), (OTHER_CLIENT_PORT, OTHER_TARGET_PORT, 17)];
    for (client_port, target_port, sectors) in ports {
        let raw = Raw::open(&wire.client, client_port)?;
        let mac = Raw::open(&wire.target, target_port)?.mac();
        let mut query = header(raw.mac(), 2, 1, 7);
        query.extend([0; 8]);
        raw.send(&query)?;
        let deadline = Instant::now() + PATIENCE;
        let reply = loop {
            match raw.receive(deadline)? {
                Some(reply) if reply[..6] == raw.mac() => break reply,
                Some(_announcement) => {}
                None => anyhow::bail!("no answer on {client_port}"),
            }
        };
        ensure!(reply[6..12] == mac, "{client_port}: from {:02x?}", &reply[6..12]);
        ensure!(reply[28] == sectors, "{client_port}: {} sectors", reply[28]);
    }
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a30_a_start_is_announced_for_every_target_on_every_port() -> Result<()> {
    let scratch = paths::scratch()?;
    let wire = two_cables()?;
    // One socket sees what comes in on both.
    let raw = Raw::open(&wire.client, CLIENT_PORT)?;
    let mut expected = BTreeSet::new();
    for (port, sectors) in [(TARGET_PORT, 2), (OTHER_TARGET_PORT, 17)] {
        let mac = Raw::open(&wire.target, port)?.mac();
        expected.extend([1, 2].map(|slot| (mac, slot, sectors)));
    }
    let _daemon = setup(&wire, scratch.path())?.option("--iface", OTHER_TARGET_PORT).start()?;
    let deadline = Instant::now() + PATIENCE;
    let mut announced = BTreeSet::new();
    while announced != expected {
        let Some(frame) = raw.receive(deadline)? else { break };
        let said = format!("{frame:02x?}");
        ensure!(frame[..6] == [0xff; 6], "not to everybody: {said}");
        // A response of e0.x to a config read with tag 0.
        ensure!(frame[12..18] == [0x88, 0xa2, 0x18, 0, 0, 0], "{said}");
        ensure!(frame[19..24] == [1, 0, 0, 0, 0], "{said}");
        ensure!(u16::from_be_bytes([frame[24], frame[25]]) >= 2, "too few buffers: {said}");
        ensure!(frame[29..32] == [0x10, 0, 0], "{said}");
        ensure!(frame.len() == 60 && frame[32..] == [0; 28], "{said}");
        announced.insert((frame[6..12].try_into()?, frame[18], frame[28]));
    }
    ensure!(announced == expected, "announced were {announced:02x?} and not {expected:02x?}");
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn h2_as_many_requests_as_it_says_it_holds() -> Result<()> {
    /// More requests than are promised to be answered.
    const MORE: u32 = 200;
    let scratch = paths::scratch()?;
    let wire = Wire::new(Shape::default())?;
    let daemon = setup(&wire, scratch.path())?.start()?;
    let content = std::fs::read(scratch.path().join("1.img"))?;
    let raw = Raw::open(&wire.client, CLIENT_PORT)?;
    let mut query = header(raw.mac(), 1, 1, 7);
    query.extend([0; 8]);
    raw.send(&query)?;
    let deadline = Instant::now() + PATIENCE;
    let mut promised = 0;
    while let Some(reply) = raw.receive(deadline)? {
        if reply[..6] == raw.mac() {
            promised = u32::from(u16::from_be_bytes([reply[24], reply[25]]));
            break;
        }
    }
    ensure!(promised >= 2, "{promised} buffers");

    let read = |tag: u32| {
        let mut frame = header(raw.mac(), 1, 0, tag);
        let [high, low] = (2 * tag as u16).to_be_bytes();
        frame.extend([0x40, 0, 2, 0x24, low, high, 0, 0, 0, 0, 0, 0]);
        frame
    };
    let frames: Vec<Vec<u8>> = (0..promised + MORE).map(read).collect();
    raw.send_all(&frames)?;
    let mut answered = BTreeMap::new();
    let deadline = Instant::now() + Duration::from_secs(1);
    for reply in raw.receive_all(deadline)? {
        if reply[..6] != raw.mac() {
            continue;
        }
        let tag = u32::from_be_bytes(reply[20..24].try_into()?);
        *answered.entry(tag).or_insert(0) += 1;
        let start = tag as usize * 1024;
        let right = reply.len() == 1060 && reply[36..] == content[start..start + 1024];
        ensure!(right, "the reply to request {tag} is corrupted");
    }
    ensure!(answered.len() as u32 >= promised, "{} of {promised} answered", answered.len());
    ensure!(answered.values().all(|count| *count == 1), "answered twice: {answered:?}");
    daemon.stop()?;
    Ok(())
}
