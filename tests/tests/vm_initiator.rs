//! The Linux kernel's own initiator, in a virtual machine, walks through the life of a disk.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use aoe_tests::daemon::{Daemon, Setup};
use aoe_tests::disk_check::Partition;
use aoe_tests::image::{MIB, sparse_image};
use aoe_tests::initramfs::Overlay;
use aoe_tests::kernel::Kernel;
use aoe_tests::namespace::Namespace;
use aoe_tests::paths;
use aoe_tests::vm::{BOOT_LIMIT, Machine, Vm, value_of};
use aoe_tests::wire::{Shape, TAP, TARGET_PORT, Wire, add_tap};

/// For one step that moves the test's data, under emulation on a busy machine.
const STEP_LIMIT: Duration = Duration::from_secs(120);

/// Bytes of the interrupted write that must have arrived before the daemon is killed.
const BEFORE_KILL: u64 = 4 * MIB;

/// Boots the initiator on the tap of a namespace.
fn initiator(
    kernel: &Kernel,
    namespace: &Namespace,
    mtu: u32,
    mebibytes: u64,
    crash: &str,
    directory: &Path,
) -> Result<Vm> {
    Machine::on_tap(namespace, directory).boot_linux(
        kernel,
        Overlay::new(include_str!("../guest/initiator.sh"))?,
        &[("mtu", &mtu.to_string()), ("mib", &mebibytes.to_string()), ("crash", crash)],
    )
}

/// aoe-stat's line, as the guest printed it: size, interface and payload come between.
fn check_stat(log: &str) -> Result<()> {
    let line = log.lines().find(|line| line.starts_with("STAT ")).unwrap_or_default();
    ensure!(line.starts_with("STAT e0.1 ") && line.ends_with(" up"), "aoe-stat: {line:?}");
    Ok(())
}

/// After the guest is gone: the image has what the guest wrote.
fn check_image(image: &Path, log: &str, files: &[&str], scratch: &Path) -> Result<()> {
    let partition = Partition::first(image)?;
    partition.check()?;
    let expected = value_of(log, "MD5")?;
    for file in files {
        let sum = partition.md5_of(file, scratch)?;
        ensure!(expected.starts_with(&sum), "{file} has {sum}, the guest wrote {expected}");
    }
    Ok(())
}

/// Kills the daemon in the middle of the guest's second write.
fn kill_during_write(vm: &mut Vm, daemon: Daemon) -> Result<()> {
    let written = |daemon: &Daemon| daemon.status()?.count("bytes_written");
    vm.wait_for("STEP crash begins", STEP_LIMIT)?;
    let before = written(&daemon)?;
    daemon.wait_for_status("the guest writes", STEP_LIMIT, |status| {
        status.count("bytes_written").is_ok_and(|bytes| bytes >= before + BEFORE_KILL)
    })?;
    daemon.kill()?;
    ensure!(!vm.log().contains("STEP crash ok"), "the write was over before the kill");
    Ok(())
}

/// The whole walk over jumbo frames, with the target killed and started again in the middle.
fn survives_the_death_of_the_target(kernel: &Kernel, mebibytes: u64) -> Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    sparse_image(&image, 4 * mebibytes * MIB)?;
    let mtu = 9000;
    let wire = Wire::new(Shape { mtu, queues: 1 })?;
    wire.bridge_tap(mtu)?;
    let setup = Setup::new(&wire.target, TARGET_PORT, scratch.path()).export(0, 1, &image);
    let daemon = setup.start()?;
    let mut vm = initiator(kernel, &wire.client, mtu, mebibytes, "1", scratch.path())?;

    let log = vm.wait_for_step("partition", BOOT_LIMIT)?;
    check_stat(&log)?;
    let release = value_of(&log, "KERNEL")?;
    ensure!(release == kernel.release, "the guest runs {release}, not {}", kernel.release);
    vm.wait_for_step("compare", 2 * STEP_LIMIT)?;
    kill_during_write(&mut vm, daemon)?;
    let daemon = setup.start()?;
    vm.wait_for_step("crash", STEP_LIMIT)?;
    let log = vm.wait_for_end(2 * STEP_LIMIT)?;
    daemon.stop()?;
    check_image(&image, &log, &["/first", "/second"], scratch.path())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn debian_12_survives_the_death_of_the_target() -> Result<()> {
    survives_the_death_of_the_target(&Kernel::oldest()?, 64)
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_current_linux_survives_the_death_of_the_target() -> Result<()> {
    let kernel = Kernel::newest()?;
    ensure!(!kernel.release.starts_with("6.1."), "{} is Debian 12's", kernel.release);
    survives_the_death_of_the_target(&kernel, 16)
}

/// The target directly on the guest's tap: generic mode, since native XDP on a tap takes no
/// frames that are split.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn debian_12_behind_a_tap() -> Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    sparse_image(&image, 64 * MIB)?;
    let namespace = Namespace::new("tap")?;
    add_tap(&namespace, 1500)?;
    let setup = Setup::new(&namespace, TAP, scratch.path()).option("--mode", "generic");
    let daemon = setup.export(0, 1, &image).spawn()?;
    let mut vm = initiator(&Kernel::oldest()?, &namespace, 1500, 8, "0", scratch.path())?;

    check_stat(&vm.wait_for_step("partition", BOOT_LIMIT)?)?;
    let log = vm.wait_for_end(2 * STEP_LIMIT)?;
    daemon.stop()?;
    check_image(&image, &log, &["/first"], scratch.path())
}
