//! Programs that others wrote, against the daemon; and our client against another's target.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use aoe_tests::capture::Capture;
use aoe_tests::client::Client;
use aoe_tests::command::{Finished, SHORT, finish};
use aoe_tests::daemon::Setup;
use aoe_tests::image::{random_bytes, random_image};
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};
use aoe_tests::{paths, vblade};

/// Size of the images, in bytes: 2048 sectors.
const IMAGE_BYTES: usize = 1 << 20;

/// A wire with a daemon that serves e0.1, and the directory with its image.
fn serve(directory: &Path, wire: &Wire) -> Result<aoe_tests::daemon::Daemon> {
    let image = directory.join("disk.img");
    random_image(&image, IMAGE_BYTES, 1)?;
    Setup::new(&wire.target, TARGET_PORT, directory).export(0, 1, &image).start()
}

/// Runs a third-party program on the client's side. Those of aoetools wait forever for an answer
/// that does not come.
fn tool(wire: &Wire, program: &str, arguments: &[&str]) -> Result<Finished> {
    finish(wire.client.command(program).args(arguments), SHORT)?.success()
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn aoeping_identifies_the_disk() -> Result<()> {
    let scratch = paths::scratch()?;
    let wire = Wire::new(Shape::default())?;
    let _daemon = serve(scratch.path(), &wire)?;
    let text = tool(&wire, "aoeping", &["-I", "-s", "10", "0", "1", CLIENT_PORT])?.text();
    for field in ["serial_number: ", "model: aoe-daemon"] {
        ensure!(text.contains(field), "no {field:?}:\n{text}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn aoecfg_reads_the_configuration() -> Result<()> {
    let scratch = paths::scratch()?;
    let wire = Wire::new(Shape::default())?;
    let _daemon = serve(scratch.path(), &wire)?;
    // Asked for one target, it prints the string, which is empty; else also the address.
    let of_one = tool(&wire, "aoecfg", &["-t", "2", "0", "1", CLIENT_PORT])?.text();
    ensure!(of_one == "\n", "printed {of_one:?}");
    let of_all = tool(&wire, "aoecfg", &["-t", "2", CLIENT_PORT])?.text();
    ensure!(of_all.split_whitespace().eq(["0.1"]), "printed {of_all:?}");
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn sancheck_finds_the_path_good() -> Result<()> {
    for (mtu, payload) in [(1500, "1024"), (9000, "8704")] {
        let scratch = paths::scratch()?;
        let wire = Wire::new(Shape { mtu, queues: 1 })?;
        let _daemon = serve(scratch.path(), &wire)?;
        let text = tool(&wire, "aoe-sancheck", &[])?.text();
        let devices: Vec<Vec<&str>> = text
            .lines()
            .filter(|line| line.starts_with("e0."))
            .map(|line| line.split_whitespace().collect())
            .collect();
        ensure!(devices == [["e0.1", "1", payload, CLIENT_PORT]], "MTU {mtu}:\n{text}");
    }
    Ok(())
}

/// Every kind of request of this client, decoded by tshark.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn tshark_finds_nothing_malformed() -> Result<()> {
    let scratch = paths::scratch()?;
    let wire = Wire::new(Shape::default())?;
    let daemon = serve(scratch.path(), &wire)?;
    let client = Client::new(&wire.client, CLIENT_PORT)?;
    let capture = Capture::start(&wire.client, CLIENT_PORT, scratch.path())?;
    client.discover()?;
    client.write("e0.1", 8, &random_bytes(16 * 512, 2))?;
    client.read("e0.1", 0, 64)?;
    tool(&wire, "aoeping", &["-I", "-s", "10", "0", "1", CLIENT_PORT])?;
    daemon.stop()?;
    let captured = capture.finish()?;

    let malformed = captured.rows("_ws.malformed || _ws.expert.severity >= 6291456", &["frame"])?;
    ensure!(malformed.is_empty(), "{malformed:?}");
    let replies = captured.rows(
        "aoe.response == 1",
        &["frame.len", "aoe.version", "aoe.major", "aoe.minor", "aoe.flags_error", "aoe.error"],
    )?;
    ensure!(replies.len() > 40, "only {} replies", replies.len());
    for reply in &replies {
        let length: u32 = reply[0].parse()?;
        ensure!((60..=1514).contains(&length), "{reply:?}");
        ensure!(reply[1..5] == ["1", "0x0000", "0x01", "0"], "{reply:?}");
    }
    let reads = captured.rows("aoe.response == 1 && aoe.ata.status == 0x40", &["frame.len"])?;
    ensure!(reads.iter().any(|row| row[0] == "1060"), "no full read reply: {reads:?}");
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn discovery_finds_every_export() -> Result<()> {
    let scratch = paths::scratch()?;
    let wire = Wire::new(Shape::default())?;
    let mut setup = Setup::new(&wire.target, TARGET_PORT, scratch.path());
    let addresses = [(0, 1), (0, 2), (65534, 254)];
    for (shelf, slot) in addresses {
        let image = scratch.path().join(format!("e{shelf}.{slot}.img"));
        random_image(&image, IMAGE_BYTES, u64::from(shelf * 256 + slot))?;
        setup = setup.export(shelf, slot, &image);
    }
    let _daemon = setup.start()?;
    let client = Client::new(&wire.client, CLIENT_PORT)?;
    for (shelf, slot) in addresses {
        let address = format!("e{shelf}.{slot}");
        let found = client.find(&address)?;
        ensure!(found.sectors == Some(2048) && found.sector_count == 2, "{found:?}");
        ensure!(found.buffer_count >= 2, "Linux never uses such a target: {found:?}");
        let expected = random_bytes(IMAGE_BYTES, u64::from(shelf * 256 + slot));
        ensure!(client.read(&address, 0, 2048)? == expected, "{address} has other data");
    }
    let text = tool(&wire, "aoecfg", &["-t", "3", CLIENT_PORT])?.text();
    ensure!(text.split_whitespace().eq(["0.1", "0.2", "65534.254"]), "{text}");
    Ok(())
}

/// The client is proven against another target than ours.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn our_client_works_with_vblade() -> Result<()> {
    for mtu in [1500, 9000] {
        let scratch = paths::scratch()?;
        let image = scratch.path().join("disk.img");
        let mut expected = random_image(&image, IMAGE_BYTES, 3)?;
        let wire = Wire::new(Shape { mtu, queues: 1 })?;
        let mut vblade = vblade::start(&wire.target, TARGET_PORT, &image)?;
        let client = Client::new(&wire.client, CLIENT_PORT)?;

        ensure!(client.find("e0.1")?.sectors == Some(2048), "vblade's size is wrong");
        let stat = client.stat()?;
        ensure!(stat.contains("e0.1") && stat.contains("up"), "{stat}");
        ensure!(client.read("e0.1", 0, 2048)? == expected, "MTU {mtu}: wrong data read");
        let written = random_bytes(100 * 512, 4);
        client.write("e0.1", 77, &written)?;
        expected[77 * 512..177 * 512].copy_from_slice(&written);
        vblade.kill()?;
        ensure!(fs::read(&image)? == expected, "MTU {mtu}: wrong data written");
    }
    Ok(())
}

/// A refused request is an answer for the client, and at once.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_read_only_export_refuses_writes() -> Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    let content = random_image(&image, IMAGE_BYTES, 5)?;
    let wire = Wire::new(Shape::default())?;
    let setup = Setup::new(&wire.target, TARGET_PORT, scratch.path()).flag("--read-only");
    let _daemon = setup.export(0, 1, &image).start()?;
    let client = Client::new(&wire.client, CLIENT_PORT)?;
    let start = std::time::Instant::now();
    ensure!(client.write("e0.1", 0, &[0; 512]).is_err(), "the write was accepted");
    ensure!(start.elapsed() < Duration::from_secs(5), "the client had to give up by itself");
    ensure!(client.read("e0.1", 0, 2048)? == content, "the content has changed");
    Ok(())
}
