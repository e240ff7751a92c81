//! Interfaces that come and go under a daemon that serves all of a pattern.

use std::time::Duration;

use anyhow::{Result, ensure};
use aoe_tests::client::Client;
use aoe_tests::daemon::{Daemon, Setup};
use aoe_tests::image::{MIB, random_image};
use aoe_tests::namespace::Namespace;
use aoe_tests::paths;
use aoe_tests::retry::retry_until;
use aoe_tests::status::Status;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// For the daemon to notice an interface, on a busy machine.
const SOON: Duration = Duration::from_secs(10);
const SECOND_TARGET: &str = "target1";
const SECOND_CLIENT: &str = "client1";
/// An interface of the pattern that carries no Ethernet.
const TUN: &str = "target9";
/// One that is not of the pattern.
const UNWANTED: &str = "spare0";

/// Waits until the disk can be read behind this interface of the client's.
fn read(wire: &Wire, port: &str, content: &[u8]) -> Result<()> {
    let client = Client::new(&wire.client, port)?;
    retry_until("it can be read", SOON, || {
        let read = client.read("e0.1", 0, 256)?;
        ensure!(read == content[..256 * 512], "wrong data read");
        Ok(())
    })
}

fn wait_for(daemon: &Daemon, what: &str, expected: &[(&str, bool)]) -> Result<Status> {
    daemon.wait_for_status(what, SOON, |status| {
        let got = status.interfaces.iter().map(|one| (one.name.as_str(), one.serving));
        let mut got: Vec<_> = got.collect();
        got.sort_unstable();
        got == expected
    })
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn interfaces_of_a_pattern_are_served_whenever_they_appear() -> Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    let content = random_image(&image, MIB as usize, 60)?;
    let wire = Wire { target: Namespace::new("target")?, client: Namespace::new("client")? };
    let setup = Setup::new(&wire.target, "target*", scratch.path()).export(0, 1, &image);
    let mut daemon = setup.start()?;
    daemon.process.wait_for_line("waiting for one", SOON)?;
    wait_for(&daemon, "there is none", &[])?;

    // What carries no Ethernet, and what nobody has asked for, is left alone.
    wire.target.ip(&format!("tuntap add dev {TUN} mode tun"))?;
    wire.target.ip(&format!("link set dev {TUN} up"))?;
    wire.lay_between(UNWANTED, "spare1", Shape::default())?;
    wire.lay(Shape::default())?;
    read(&wire, CLIENT_PORT, &content)?;
    wait_for(&daemon, "it is served", &[(TARGET_PORT, true)])?;
    ensure!(wire.target.xdp_attachment(UNWANTED)?.is_none(), "{UNWANTED} has a program");

    wire.lay_between(SECOND_TARGET, SECOND_CLIENT, Shape { mtu: 9000, queues: 2 })?;
    read(&wire, SECOND_CLIENT, &content)?;
    wait_for(&daemon, "both are served", &[(TARGET_PORT, true), (SECOND_TARGET, true)])?;

    // One goes, the other stays.
    wire.cut()?;
    wait_for(&daemon, "one is gone", &[(SECOND_TARGET, true)])?;
    read(&wire, SECOND_CLIENT, &content)?;
    wire.lay(Shape { mtu: 9000, queues: 2 })?;
    read(&wire, CLIENT_PORT, &content)?;
    let both = [(TARGET_PORT, true), (SECOND_TARGET, true)];
    let status = wait_for(&daemon, "it has come back", &both)?;
    ensure!(status.interface_named(TARGET_PORT)?.mtu == 9000, "{status}");

    let log = daemon.stop()?;
    ensure!(!log.contains(TUN), "it speaks of {TUN}:\n{log}");
    ensure!(!log.contains(UNWANTED), "it speaks of {UNWANTED}:\n{log}");
    Ok(())
}

/// One that is there at the start but can't be served keeps nothing else from being served.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn what_is_no_ethernet_at_the_start_is_ignored_too() -> Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    let content = random_image(&image, MIB as usize, 61)?;
    let wire = Wire::new(Shape::default())?;
    wire.target.ip(&format!("tuntap add dev {TUN} mode tun"))?;
    wire.lay_between(SECOND_TARGET, SECOND_CLIENT, Shape::default())?;
    wire.target.ip(&format!("link set dev {SECOND_TARGET} down"))?;
    let setup = Setup::new(&wire.target, "target*", scratch.path()).export(0, 1, &image);
    let daemon = setup.start()?;
    read(&wire, CLIENT_PORT, &content)?;
    wait_for(&daemon, "one waits", &[(TARGET_PORT, true), (SECOND_TARGET, false)])?;
    wire.target.ip(&format!("link set dev {SECOND_TARGET} up"))?;
    read(&wire, SECOND_CLIENT, &content)?;

    // Another name is another interface, and may be one that nobody has asked for.
    for (from, to, interfaces) in [
        (SECOND_TARGET, UNWANTED, [(TARGET_PORT, true)].as_slice()),
        (UNWANTED, SECOND_TARGET, &[(TARGET_PORT, true), (SECOND_TARGET, true)]),
    ] {
        wire.target.ip(&format!("link set dev {from} down"))?;
        wire.target.ip(&format!("link set dev {from} name {to}"))?;
        wire.target.ip(&format!("link set dev {to} up"))?;
        wait_for(&daemon, "it has another name", interfaces)?;
        let is_ours = wire.target.xdp_attachment(to)?.is_some();
        ensure!(is_ours == (to == SECOND_TARGET), "{to} has a program or lacks one");
    }
    read(&wire, SECOND_CLIENT, &content)?;
    daemon.stop()?;
    Ok(())
}
