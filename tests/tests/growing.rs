//! Disks that grow while they are served, and such that somebody has cut.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aoe_tests::client::Client;
use aoe_tests::command::run;
use aoe_tests::daemon::{Daemon, Setup};
use aoe_tests::frame::outcome::{PAST_END, SUCCESS};
use aoe_tests::frame::{Request, opcode};
use aoe_tests::image::{MIB, random_bytes, random_image};
use aoe_tests::loop_device::LoopDevice;
use aoe_tests::paths;
use aoe_tests::station::Station;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// For the daemon to do what a signal asks for.
const SOON: Duration = Duration::from_secs(5);

fn set_length(path: &Path, bytes: u64) -> Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_len(bytes).with_context(|| format!("resize {}", path.display()))
}

/// Waits until the daemon has seen how long its disk is: as it tells clients, and as it is.
fn look_again(daemon: &Daemon, sectors: u64, reachable: u64) -> Result<()> {
    daemon.hang_up()?;
    daemon.wait_for_status("the size is noticed", SOON, |status| {
        let export = &status.exports[0];
        (export.sectors, export.reachable) == (sectors, reachable)
    })?;
    Ok(())
}

fn told_sectors(client: &Client) -> Result<u64> {
    client.json(&["identify", "e0.1"])?["sectors"].as_u64().context("no size")
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn an_image_that_grows_is_served_to_its_new_end() -> Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    let mut content = random_image(&image, MIB as usize, 40)?;
    let wire = Wire::new(Shape::default())?;
    let setup = Setup::new(&wire.target, TARGET_PORT, scratch.path()).export(0, 1, &image);
    let mut daemon = setup.start()?;
    let client = Client::new(&wire.client, CLIENT_PORT)?;
    let mut station = Station::new(&wire.client, CLIENT_PORT)?;
    let beyond = Request::ata(0, 1, opcode::READ, 2048, &[]);
    ensure!(station.ask(&beyond)?.ata_outcome() == PAST_END, "there is something already");

    // Half a sector more is not served.
    set_length(&image, 4 * MIB + 100)?;
    ensure!(told_sectors(&client)? == 2048, "the new size is told before it was looked at");
    look_again(&daemon, 8192, 8192)?;
    daemon.process.wait_for_line("it has grown", SOON)?;
    ensure!(told_sectors(&client)? == 8192, "the old size is told");
    ensure!(station.ask(&beyond)?.ata_outcome() == SUCCESS, "it can't be read");
    content.resize(4 * MIB as usize, 0);
    ensure!(client.read("e0.1", 0, 8192)? == content, "wrong data read");
    // Across the old end, and up to the new one.
    for (lba, sectors) in [(2040, 16), (8180, 12)] {
        let written = random_bytes(sectors * 512, lba);
        client.write("e0.1", lba, &written)?;
        let start = lba as usize * 512;
        content[start..start + written.len()].copy_from_slice(&written);
    }
    ensure!(client.read("e0.1", 0, 8192)? == content, "what was written is not what is read");
    let last = Request::ata(0, 1, opcode::WRITE, 8192, &[1; 512]);
    ensure!(station.ask(&last)?.ata_outcome() == PAST_END, "written past the end");
    content.extend([0; 100]);
    ensure!(fs::read(&image)? == content, "the image has other data, or another length");
    daemon.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn an_image_that_shrinks_is_complained_of_and_never_made_longer() -> Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    let mut content = random_image(&image, 4 * MIB as usize, 41)?;
    let wire = Wire::new(Shape::default())?;
    let setup = Setup::new(&wire.target, TARGET_PORT, scratch.path()).export(0, 1, &image);
    let mut daemon = setup.start()?;
    let client = Client::new(&wire.client, CLIENT_PORT)?;
    let mut station = Station::new(&wire.client, CLIENT_PORT)?;
    let mut outcome = |opcode, lba, data: &[u8]| {
        Ok::<_, anyhow::Error>(station.ask(&Request::ata(0, 1, opcode, lba, data))?.ata_outcome())
    };

    set_length(&image, MIB)?;
    // Even before anybody has looked, a write does not make it longer, nor a read give zeroes.
    ensure!(outcome(opcode::WRITE, 4096, &[1; 512])? != SUCCESS, "written behind the end");
    ensure!(outcome(opcode::READ, 4096, &[])? != SUCCESS, "read behind the end");
    ensure!(fs::metadata(&image)?.len() == MIB, "the write has made it longer");

    look_again(&daemon, 8192, 2048)?;
    let line = daemon.process.wait_for_line("it has shrunk", SOON)?;
    ensure!(line.contains("ERROR") && line.contains("disk.img"), "not loud: {line}");
    ensure!(told_sectors(&client)? == 8192, "another size is told");
    for lba in [2048, 8191] {
        ensure!(outcome(opcode::READ, lba, &[])? == PAST_END, "read {lba}");
        ensure!(outcome(opcode::WRITE, lba, &[1; 512])? == PAST_END, "write {lba}");
    }
    ensure!(outcome(opcode::WRITE, 2047, &[1; 512])? == SUCCESS, "what is left can't be written");
    content[2047 * 512..2048 * 512].fill(1);
    content.truncate(MIB as usize);
    ensure!(client.read("e0.1", 0, 2048)? == content, "what is left can't be read");
    ensure!(fs::read(&image)? == content, "the image has other data, or another length");
    ensure!(!daemon.status()?.exports[0].failed, "a disk that was cut has not failed");

    // Made as long as it was, it is served as before.
    set_length(&image, 4 * MIB)?;
    look_again(&daemon, 8192, 8192)?;
    daemon.process.wait_for_line("as long as it was", SOON)?;
    ensure!(outcome(opcode::WRITE, 8191, &[1; 512])? == SUCCESS, "it can't be written");
    daemon.stop()?;
    Ok(())
}

/// Parts of one file are disks of their own: what grows is the last one, and what is discarded or
/// written stays within its part.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn of_a_file_in_parts_the_open_end_grows() -> Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    let mut content = random_image(&image, 3 * MIB as usize, 44)?;
    let config = scratch.path().join("aoe.toml");
    fs::write(
        &config,
        format!(
            "interfaces = [\"{TARGET_PORT}\"]\n\
             [[export]]\nshelf = 0\nslot = 1\nfile = \"disk.img\"\nlength = \"1M\"\n\
             [[export]]\nshelf = 0\nslot = 2\nfile = \"disk.img\"\noffset = \"1M\"\n"
        ),
    )?;
    let wire = Wire::new(Shape::default())?;
    let daemon = Setup::with_config(&wire.target, &config, scratch.path()).start()?;
    let client = Client::new(&wire.client, CLIENT_PORT)?;
    set_length(&image, 5 * MIB)?;
    daemon.hang_up()?;
    daemon.wait_for_status("the size is noticed", SOON, |status| {
        status.export("e0.2").is_ok_and(|export| export.sectors == 8192)
    })?;
    content.resize(5 * MIB as usize, 0);
    let (first, second) = content.split_at_mut(MIB as usize);
    ensure!(client.read("e0.1", 0, 2048)? == first, "the first part has other data");
    ensure!(client.read("e0.2", 0, 8192)? == second, "the second part has other data");
    let serial =
        |address| Ok::<_, anyhow::Error>(client.json(&["identify", address])?["serial"].clone());
    ensure!(serial("e0.1")? != serial("e0.2")?, "they have one serial number");

    client.run(&["trim", "e0.1", "--whole-disk"])?;
    first.fill(0);
    client.write("e0.2", 0, &[0xaa; 512])?;
    client.write("e0.2", 8191, &[0xbb; 512])?;
    second[..512].fill(0xaa);
    second[8191 * 512..].fill(0xbb);
    ensure!(fs::read(&image)? == content, "the file has other data");
    let mut station = Station::new(&wire.client, CLIENT_PORT)?;
    let beyond = Request::ata(0, 1, opcode::WRITE, 2048, &[1; 512]);
    ensure!(station.ask(&beyond)?.ata_outcome() == PAST_END, "written into the second part");
    daemon.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_device_grows_and_is_discarded_from_like_a_file() -> Result<()> {
    let scratch = paths::scratch()?;
    let file = scratch.path().join("behind.img");
    let mut content = random_image(&file, 4 * MIB as usize, 42)?;
    File::open(&file)?.sync_all()?;
    let Some(device) = LoopDevice::attach(&file, &[])? else { return Ok(()) };
    let wire = Wire::new(Shape::default())?;
    let setup = Setup::new(&wire.target, TARGET_PORT, scratch.path()).export(0, 1, device.path());
    let daemon = setup.start()?;
    let client = Client::new(&wire.client, CLIENT_PORT)?;
    ensure!(client.read("e0.1", 0, 8192)? == content, "wrong data read");

    // It may read as anything what was discarded, and says so.
    let told = client.json(&["identify", "e0.1"])?;
    ensure!(told["trim"]["zeroes"] == false, "{told}");
    let before = fs::metadata(&file)?.blocks();
    client.run(&["trim", "e0.1", "--lba", "2048", "--bytes", "2M"])?;
    let freed = (before - fs::metadata(&file)?.blocks()) * 512;
    ensure!(freed >= 2 * MIB, "{freed} bytes were given back");
    content[MIB as usize..3 * MIB as usize].fill(0);
    ensure!(fs::read(&file)? == content, "other data is in the file behind it");
    ensure!(client.read("e0.1", 0, 2048)? == content[..MIB as usize], "the rest has changed");

    set_length(&file, 6 * MIB)?;
    run(Command::new("losetup").arg("--set-capacity").arg(device.path()))?;
    look_again(&daemon, 12288, 12288)?;
    ensure!(told_sectors(&client)? == 12288, "the old size is told");
    let written = random_bytes(512 * 16, 43);
    client.write("e0.1", 12272, &written)?;
    ensure!(client.read("e0.1", 12272, 16)? == written, "what was written is not what is read");
    daemon.stop()?;
    // What was answered is on the device, and the device's data in its file.
    ensure!(fs::read(&file)?[12272 * 512..] == written, "the file behind it has other data");
    Ok(())
}
