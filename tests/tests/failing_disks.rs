//! Disks that fail for real: full, broken, without an answer, cut and deleted. Each takes down
//! nothing but itself.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aoe_tests::client::Client;
use aoe_tests::daemon::{Daemon, Setup};
use aoe_tests::dice::Dice;
use aoe_tests::frame::outcome::{PAST_END, SUCCESS, WRITE_FAILED};
use aoe_tests::frame::{Frame, Request, command, opcode};
use aoe_tests::image::{MIB, random_bytes, random_image, sparse_image};
use aoe_tests::loop_device::LoopDevice;
use aoe_tests::mount::Mount;
use aoe_tests::paths;
use aoe_tests::station::Station;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// For something that must not come.
const NEVER: Duration = Duration::from_secs(1);
/// For the daemon to say something.
const SOON: Duration = Duration::from_secs(5);

/// AoE's error of a disk that is gone.
const UNAVAILABLE: u8 = 3;
/// Sectors of the disk that nothing happens to, which is slot 2.
const HEALTHY: u64 = 64;

fn write(lba: u64, byte: u8) -> Request {
    Request::ata(0, 1, opcode::WRITE, lba, &[byte; 512])
}

fn read(lba: u64) -> Request {
    Request::ata(0, 1, opcode::READ, lba, &[])
}

/// What SMART says of a disk.
fn smart(client: &Client<'_>, address: &str) -> Result<String> {
    Ok(client.attempt(&["smart", address])?.text())
}

/// An ext4 of 32 MiB on a device of its own, the filesystem to be let go of first; `None` where there are
/// no loop devices.
fn ext4(directory: &Path) -> Result<Option<(LoopDevice, Mount)>> {
    let file = directory.join("ext4.img");
    sparse_image(&file, 32 * MIB)?;
    let Some(device) = LoopDevice::attach(&file, &[])? else { return Ok(None) };
    let mount = Mount::ext4(&directory.join("mount"), device.path())?;
    Ok(Some((device, mount)))
}

/// An image of 1 MiB whose blocks have all been written, and what it holds.
fn durable_image(mount: &Mount, seed: u64) -> Result<(PathBuf, Vec<u8>)> {
    let image = mount.path().join("disk.img");
    let content = random_image(&image, MIB as usize, seed)?;
    File::open(&image)?.sync_all()?;
    Ok((image, content))
}

/// A daemon with a disk under test as e0.1, and a healthy one as e0.2.
struct Bench<'w> {
    daemon: Daemon,
    station: Station,
    client: Client<'w>,
    healthy: Vec<u8>,
    rounds: u64,
}

impl<'w> Bench<'w> {
    fn new(wire: &'w Wire, directory: &Path, disk: &Path) -> Result<Self> {
        Self::with(Setup::new(&wire.target, TARGET_PORT, directory), wire, directory, disk)
    }

    /// With a daemon that has no exports yet.
    fn with(setup: Setup<'_>, wire: &'w Wire, directory: &Path, disk: &Path) -> Result<Self> {
        let image = directory.join("healthy.img");
        let healthy = random_image(&image, HEALTHY as usize * 512, 70)?;
        let daemon = setup.export(0, 1, disk).export(0, 2, &image).start()?;
        let station = Station::new(&wire.client, CLIENT_PORT)?;
        let client = Client::new(&wire.client, CLIENT_PORT)?;
        Ok(Self { daemon, station, client, healthy, rounds: 0 })
    }

    fn outcome(&mut self, request: &Request) -> Result<(u8, u8)> {
        Ok(self.station.ask(request)?.ata_outcome())
    }

    fn data(&mut self, lba: u64) -> Result<Vec<u8>> {
        let reply = self.station.ask(&read(lba))?;
        ensure!(reply.ata_outcome() == SUCCESS, "read {lba}: {:x?}", reply.ata_outcome());
        Ok(reply.argument()[12..524].to_vec())
    }

    /// The other disk is written and read as ever.
    fn expect_the_other_healthy(&mut self) -> Result<()> {
        let lba = self.rounds % (HEALTHY - 8);
        self.rounds += 1;
        let data = random_bytes(8 * 512, 1000 + self.rounds);
        self.client.write("e0.2", lba, &data)?;
        self.healthy[lba as usize * 512..][..data.len()].copy_from_slice(&data);
        ensure!(self.client.read("e0.2", 0, HEALTHY)? == self.healthy, "e0.2 has changed");
        ensure!(!self.daemon.status()?.export("e0.2")?.failed, "e0.2 has failed");
        Ok(())
    }
}

/// A lack of space fails the request that needs it, and nothing else.
fn full(mount: &Mount, directory: &Path) -> Result<()> {
    let image = mount.path().join("disk.img");
    sparse_image(&image, 8 * MIB)?;
    let wire = Wire::new(Shape::default())?;
    let mut bench = Bench::new(&wire, directory, &image)?;
    ensure!(bench.outcome(&write(8, 1))? == SUCCESS, "there is room");
    let filler = mount.fill()?;
    let beyond = 15_000;
    for _ in 0..2 {
        ensure!(bench.outcome(&write(beyond, 2))? == WRITE_FAILED, "written without room");
        ensure!(bench.outcome(&write(8, 3))? == SUCCESS, "what has its room is not written");
    }
    ensure!(bench.data(8)? == [3; 512] && bench.data(beyond)? == [0; 512], "other data is read");
    ensure!(!bench.daemon.status()?.export("e0.1")?.failed, "the disk has failed");
    bench.expect_the_other_healthy()?;

    fs::remove_file(filler)?;
    ensure!(bench.outcome(&write(beyond, 4))? == SUCCESS, "there is room again");
    ensure!(bench.data(beyond)? == [4; 512], "other data is read");
    bench.daemon.stop()?;
    let content = fs::read(&image)?;
    ensure!(content[8 * 512..9 * 512] == [3; 512], "the image has other data");
    ensure!(content[beyond as usize * 512..][..512] == [4; 512], "the image has other data");
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_full_filesystem_in_memory() -> Result<()> {
    let scratch = paths::scratch()?;
    full(&Mount::memory(&scratch.path().join("mount"), 4)?, scratch.path())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_full_ext4() -> Result<()> {
    let scratch = paths::scratch()?;
    let Some((_device, mount)) = ext4(scratch.path())? else { return Ok(()) };
    full(&mount, scratch.path())
}

/// A device that can't be written any more fails for good, and can still be read.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_device_that_can_not_be_written() -> Result<()> {
    let scratch = paths::scratch()?;
    let file = scratch.path().join("behind.img");
    sparse_image(&file, 8 * MIB)?;
    let Some(device) = LoopDevice::attach(&file, &[])? else { return Ok(()) };
    let wire = Wire::new(Shape::default())?;
    let mut bench = Bench::new(&wire, scratch.path(), device.path())?;
    ensure!(bench.outcome(&write(8, 1))? == SUCCESS, "it can be written");
    let good = smart(&bench.client, "e0.1")?;

    device.refuse_writes(true)?;
    ensure!(bench.outcome(&write(15_000, 2))? == WRITE_FAILED, "the device has taken it");
    // Never as if nothing had been, even when it takes writes again.
    device.refuse_writes(false)?;
    for lba in [8, 15_000] {
        ensure!(bench.outcome(&write(lba, 3))? == WRITE_FAILED, "written after a failure");
    }
    ensure!(bench.data(8)? == [1; 512], "what was acknowledged is not read");
    ensure!(bench.data(15_000)? == [0; 512], "what was refused is read");
    ensure!(bench.daemon.status()?.export("e0.1")?.failed, "the status does not say so");
    bench.daemon.process.wait_for_line("writing failed", SOON)?;
    let failing = smart(&bench.client, "e0.1")?;
    ensure!(failing != good, "SMART does not say so: {failing}");
    bench.expect_the_other_healthy()?;
    bench.daemon.stop()?;
    Ok(())
}

/// A device that takes writes again is written once an administrator says so: by all exports on it.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_failure_is_cleared() -> Result<()> {
    let scratch = paths::scratch()?;
    let file = scratch.path().join("behind.img");
    sparse_image(&file, 8 * MIB)?;
    let Some(device) = LoopDevice::attach(&file, &[])? else { return Ok(()) };
    let wire = Wire::new(Shape::default())?;
    let mut setup = Setup::new(&wire.target, TARGET_PORT, scratch.path());
    for (slot, offset) in [(1, "0"), (2, "4M")] {
        setup = setup.export(0, slot, device.path()).option("--offset", offset);
        setup = setup.option("--length", "4M");
    }
    let mut daemon = setup.start()?;
    let mut station = Station::new(&wire.client, CLIENT_PORT)?;
    let client = Client::new(&wire.client, CLIENT_PORT)?;
    let mut write = |slot, byte: u8| {
        let request = Request::ata(0, slot, opcode::WRITE, 5, &[byte; 512]);
        Ok::<_, anyhow::Error>(station.ask(&request)?.ata_outcome())
    };
    let smart = |address| smart(&client, address);
    let good = [smart("e0.1")?, smart("e0.2")?];
    daemon.clear(&["e0.1", "--failed"])?.success()?;

    device.refuse_writes(true)?;
    ensure!(write(1, 1)? == WRITE_FAILED, "the device has taken it");
    let line = daemon.process.wait_for_line("writing failed", SOON)?;
    ensure!(line.contains("aoe-daemon clear ADDRESS --failed"), "no way out: {line}");
    device.refuse_writes(false)?;
    for slot in [1, 2] {
        ensure!(write(slot, 2)? == WRITE_FAILED, "written after a failure");
        ensure!(daemon.status()?.export(&format!("e0.{slot}"))?.failed, "it has not failed");
    }
    ensure!(smart("e0.1")? != good[0] && smart("e0.2")? != good[1], "SMART does not say so");

    daemon.clear(&["e0.2", "--failed"])?.success()?;
    daemon.process.wait_for_line("cleared by an administrator", SOON)?;
    for slot in [1, 2] {
        ensure!(!daemon.status()?.export(&format!("e0.{slot}"))?.failed, "it has failed");
        ensure!(write(slot, 3)? == SUCCESS, "e0.{slot} can't be written");
        ensure!(client.read(&format!("e0.{slot}"), 5, 1)? == [3; 512], "other data is read");
    }
    ensure!([smart("e0.1")?, smart("e0.2")?] == good, "SMART says otherwise");
    // It may fail again.
    device.refuse_writes(true)?;
    ensure!(write(2, 4)? == WRITE_FAILED && write(1, 4)? == WRITE_FAILED, "it has been written");
    daemon.stop()?;
    Ok(())
}

/// What waits for a disk that does not answer makes nothing else wait, and is answered once it
/// does.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_filesystem_that_does_not_answer() -> Result<()> {
    let scratch = paths::scratch()?;
    let Some((_device, mount)) = ext4(scratch.path())? else { return Ok(()) };
    let (image, content) = durable_image(&mount, 71)?;
    let wire = Wire::new(Shape::default())?;
    let mut bench = Bench::new(&wire, scratch.path(), &image)?;
    ensure!(bench.data(16)? == content[16 * 512..17 * 512], "other data is read");

    mount.freeze()?;
    let tags =
        (0..20).map(|number| bench.station.send(&write(number, 7))).collect::<Result<Vec<_>>>()?;
    let is_one = |frame: &Frame| frame.is_response() && tags.contains(&frame.tag());
    let early = bench.station.collect(NEVER, is_one)?;
    ensure!(early.is_empty(), "{} writes were answered", early.len());
    // Other sectors of the same disk can be read.
    ensure!(bench.data(100)? == content[100 * 512..101 * 512], "other data is read");
    bench.expect_the_other_healthy()?;

    mount.thaw()?;
    for _ in &tags {
        let reply = bench.station.expect("the answer to a write that waited", is_one)?;
        ensure!(reply.ata_outcome() == SUCCESS, "{:x?}", reply.ata_outcome());
    }
    ensure!(bench.data(19)? == [7; 512], "what was written is not read");
    bench.daemon.stop()?;
    ensure!(fs::read(&image)?[..20 * 512] == [7; 20 * 512], "the image has other data");
    Ok(())
}

/// What a disk does not answer in time is given up, and after a write nobody knows what it holds.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn what_is_not_answered_in_time_is_given_up() -> Result<()> {
    let scratch = paths::scratch()?;
    let Some((_device, mount)) = ext4(scratch.path())? else { return Ok(()) };
    let (image, _) = durable_image(&mount, 74)?;
    let wire = Wire::new(Shape::default())?;
    let setup = Setup::new(&wire.target, TARGET_PORT, scratch.path()).option("--io-timeout", "1");
    let mut bench = Bench::with(setup, &wire, scratch.path(), &image)?;
    mount.freeze()?;
    ensure!(bench.outcome(&write(8, 1))? == WRITE_FAILED, "a silent disk was written");
    bench.daemon.process.wait_for_line("does not answer", SOON)?;
    ensure!(bench.daemon.status()?.export("e0.1")?.failed, "the disk has not failed");
    bench.expect_the_other_healthy()?;
    mount.thaw()?;
    ensure!(bench.outcome(&write(8, 2))? == WRITE_FAILED, "written after a failure");
    bench.daemon.stop()?;
    Ok(())
}

/// Whatever becomes of the file: every request is answered as what it met, and none that comes after
/// a cut makes the file longer.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_file_that_is_cut_and_deleted_under_load() -> Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    random_image(&image, 4 * MIB as usize, 72)?;
    let wire = Wire::new(Shape::default())?;
    let mut bench = Bench::new(&wire, scratch.path(), &image)?;
    let file = File::options().write(true).open(&image)?;
    let (mut dice, mut counts) = (Dice::new(73), [0; 3]);
    let mut length = 4 * MIB;
    for round in 0..60 {
        let tags = (0..50)
            .map(|_| {
                let lba = dice.below(8192);
                let request = if dice.percent(50) { write(lba, round) } else { read(lba) };
                bench.station.send(&request)
            })
            .collect::<Result<Vec<_>>>()?;
        if round == 50 {
            fs::remove_file(&image)?;
        }
        let before = length;
        length = if round == 59 { 0 } else { length - dice.below(length / 20) };
        file.set_len(length)?;
        for _ in &tags {
            let reply = bench.station.expect("an answer", |frame| {
                frame.is_response()
                    && frame.command() == command::ATA
                    && tags.contains(&frame.tag())
            })?;
            let met = match (reply.error(), reply.ata_outcome()) {
                (UNAVAILABLE, _) => 0,
                (0, SUCCESS) => 1,
                (0, PAST_END) => 2,
                (error, outcome) => anyhow::bail!("AoE error {error}, outcome {outcome:x?}"),
            };
            counts[met] += 1;
        }
        // A write that was on its way to the disk at that moment may land behind the cut.
        let now = file.metadata()?.len();
        ensure!(now <= before, "the file is longer than it was before the cut");
        file.set_len(length)?;
        let behind = write(length.div_ceil(512), 1);
        ensure!(bench.station.ask(&behind)?.ata_outcome() != SUCCESS, "written behind the end");
        ensure!(file.metadata()?.len() == length, "the file has another length");
    }
    ensure!(counts[1] > 100 && counts[2] > 100, "{counts:?}");
    ensure!(bench.station.ask(&read(0))?.error() == UNAVAILABLE, "an empty file is available");
    bench.expect_the_other_healthy()?;
    bench.daemon.stop()?;
    Ok(())
}

/// Whatever becomes of its name, the file that is open is served, and it is said once what that means.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_file_that_is_moved_replaced_and_deleted() -> Result<()> {
    let scratch = paths::scratch()?;
    let [image, other] = ["disk.img", "other.img"].map(|name| scratch.path().join(name));
    random_image(&image, MIB as usize, 75)?;
    let wire = Wire::new(Shape::default())?;
    let mut bench = Bench::new(&wire, scratch.path(), &image)?;
    let mut look = |state: &str, said: &str| -> Result<String> {
        bench.daemon.hang_up()?;
        bench.daemon.wait_for_status(state, SOON, |status| {
            status.export("e0.1").is_ok_and(|export| export.file_state == state)
        })?;
        ensure!(bench.outcome(&write(9, 7))? == SUCCESS, "{state}: it can't be written");
        bench.daemon.process.wait_for_line(said, SOON)
    };
    fs::rename(&image, &other)?;
    look("moved", "no file is in its place")?;
    fs::rename(&other, &image)?;
    look("in-place", "it is in its place again")?;
    let content = random_image(&other, MIB as usize, 76)?;
    fs::rename(&other, &image)?;
    let line = look("deleted-and-replaced", "another file is in its place")?;
    ensure!(line.contains("ERROR") && line.contains("disk.img"), "not loud: {line}");
    fs::remove_file(&image)?;
    let line = look("deleted", "but it was deleted: what is written to it is lost")?;
    look("deleted", "but it was deleted: what is written to it is lost")?;
    let log = bench.daemon.process.log();
    ensure!(log.matches("but it was deleted").count() == 1, "it is said again and again:\n{log}");
    ensure!(bench.data(9)? == [7; 512], "what was written is not read");

    // What the line tells to do saves it.
    let words = line.split("and then: cp ").nth(1).context(line.clone())?;
    fs::copy(words.split(' ').next().unwrap_or_default(), &image)?;
    let saved = fs::read(&image)?;
    ensure!(saved[9 * 512..10 * 512] == [7; 512] && saved != content, "other data was saved");
    ensure!(saved.len() == MIB as usize, "{} bytes were saved", saved.len());
    bench.expect_the_other_healthy()?;
    bench.daemon.stop()?;
    Ok(())
}
