//! An image grows while the Linux kernel's initiator has it as a disk.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aoe_tests::command::run;
use aoe_tests::daemon::{Daemon, Setup};
use aoe_tests::image::{MIB, sparse_image};
use aoe_tests::initramfs::Overlay;
use aoe_tests::kernel::Kernel;
use aoe_tests::paths;
use aoe_tests::vm::{BOOT_LIMIT, Machine, value_of};
use aoe_tests::wire::{Shape, TARGET_PORT, Wire};
use rustix::process::Signal;

/// Sizes of the image, in bytes: at first, and after it has grown once and twice.
const SIZES: [u64; 3] = [16 * MIB, 24 * MIB, 48 * MIB];

/// For the daemon to notice.
const NOTICE: Duration = Duration::from_secs(10);

/// For the guest to notice and to use what is new.
const LIMIT: Duration = Duration::from_secs(60);

/// Makes the image longer and tells the daemon.
fn grow(image: &Path, length: u64, daemon: &Daemon) -> Result<()> {
    File::options().write(true).open(image)?.set_len(length)?;
    daemon.process.signal(Signal::HUP)?;
    daemon.wait_for_status("the daemon notices", NOTICE, |status| {
        status.exports.iter().any(|export| export.sectors == length / 512)
    })?;
    Ok(())
}

/// While nobody has the disk open, the daemon's announcement is enough: the driver identifies the
/// disk anew. While it is open, that takes `aoe-revalidate`.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_disk_grows_under_the_linux_initiator() -> Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    sparse_image(&image, SIZES[0])?;
    let wire = Wire::new(Shape::default())?;
    wire.bridge_tap(1500)?;
    let setup = Setup::new(&wire.target, TARGET_PORT, scratch.path()).export(0, 1, &image);
    let daemon = setup.start()?;
    let sectors = SIZES.map(|bytes| (bytes / 512).to_string());
    let environment =
        [("mtu", "1500"), ("size1", &sectors[0]), ("size2", &sectors[1]), ("size3", &sectors[2])];
    let job = Overlay::new(include_str!("../guest/growth.sh"))?;
    let machine = Machine::on_tap(&wire.client, scratch.path());
    let mut vm = machine.boot_linux(&Kernel::oldest()?, job, &environment)?;

    vm.wait_for("STEP closed begins", BOOT_LIMIT)?;
    grow(&image, SIZES[1], &daemon)?;
    vm.wait_for("STEP open begins", LIMIT)?;
    grow(&image, SIZES[2], &daemon)?;
    vm.say("it has grown")?;
    let log = vm.wait_for_end(LIMIT)?;
    daemon.stop()?;

    let tail = scratch.path().join("tail");
    let disk = fs::read(&image)?;
    fs::write(&tail, disk.last_chunk::<{ 64 << 10 }>().context("the image is short")?)?;
    let sum = run(Command::new("md5sum").arg(&tail))?;
    let expected = value_of(&log, "MD5")?;
    ensure!(sum.split(' ').next() == expected.split(' ').next(), "{sum}, not {expected}");
    Ok(())
}
