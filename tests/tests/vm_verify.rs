//! fio with checksums and fsx, over the Linux kernel's own initiator: on the disk and on a file
//! system.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use aoe_tests::command::{SHORT, finish};
use aoe_tests::daemon::Setup;
use aoe_tests::image::{MIB, sparse_image};
use aoe_tests::initramfs::Overlay;
use aoe_tests::kernel::Kernel;
use aoe_tests::paths;
use aoe_tests::rounds::rounds;
use aoe_tests::vm::{BOOT_LIMIT, Machine};
use aoe_tests::wire::{Shape, TARGET_PORT, Wire};

/// What each run of fio writes, in MiB, unless `AOE_TEST_FIO_MIB` says otherwise.
const FIO_MIB: u64 = 8;
/// Operations of fsx, unless `AOE_TEST_FSX_OPERATIONS` says otherwise.
const FSX_OPERATIONS: u64 = 1000;
/// The disk beside what a run of fio writes on its file system, twice, and as much for the file system
/// itself, in MiB.
const REST_MIB: u64 = 24;
/// For all runs, under emulation on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);
/// For a MiB, and for a hundred operations.
const LIMIT_EACH: Duration = Duration::from_secs(10);

fn verify(kernel: &Kernel, mtu: u32) -> Result<()> {
    let mib = rounds("AOE_TEST_FIO_MIB", FIO_MIB)?;
    let operations = rounds("AOE_TEST_FSX_OPERATIONS", FSX_OPERATIONS)?;
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    sparse_image(&image, (3 * mib + REST_MIB) * MIB)?;
    let wire = Wire::new(Shape { mtu, queues: 1 })?;
    wire.bridge_tap(mtu)?;
    let daemon =
        Setup::new(&wire.target, TARGET_PORT, scratch.path()).export(0, 1, &image).start()?;
    let mut files = Overlay::new(include_str!("../guest/verify.sh"))?;
    files.program(Path::new("/usr/bin/fio"))?;
    files.program(&paths::fsx()?)?;
    let [mtu, mib_text, operations_text] =
        [mtu.into(), mib, operations].map(|n: u64| n.to_string());
    let environment = [("mtu", &*mtu), ("mib", &mib_text), ("operations", &operations_text)];
    let machine = Machine::on_tap(&wire.client, scratch.path());
    let mut vm = machine.boot_linux(kernel, files, &environment)?;
    vm.wait_for_step("discover", BOOT_LIMIT)?;
    vm.wait_for_step("log", LIMIT + LIMIT_EACH * (mib + operations / 100) as u32)?;
    vm.wait_for_end(SHORT)?;
    daemon.stop()?;
    // What the guest's file system was told to be written is in the image.
    let mut check = Command::new("/usr/sbin/e2fsck");
    finish(check.args(["-f", "-n"]).arg(&image), SHORT)?
        .success()
        .context("the file system in the image is damaged")?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn debian_12_reads_what_it_has_written() -> Result<()> {
    verify(&Kernel::oldest()?, 9000)
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_current_linux_reads_what_it_has_written() -> Result<()> {
    verify(&Kernel::newest()?, 1500)
}
