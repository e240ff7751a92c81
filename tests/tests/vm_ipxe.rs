//! iPXE boots from the target.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use aoe_tests::daemon::Setup;
use aoe_tests::image::{MIB, sparse_image};
use aoe_tests::ipxe::{self, COPY_LBA, DONE, TEXT_SECTORS, boot_disk};
use aoe_tests::namespace::Namespace;
use aoe_tests::paths;
use aoe_tests::vm::{BOOT_LIMIT, Machine};
use aoe_tests::wire::{TAP, add_tap};

const SCRIPT: &str = "#!ipxe
ifopen net0
sanboot --no-describe aoe:e7.3
";

/// From the first line of the text to the last, and for copying it.
const LIMIT: Duration = Duration::from_secs(60);

/// iPXE looks for the very address that it is told, by broadcast. What it finds boots, and the
/// booted program reads and writes through it, two sectors a request.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn ipxe_boots_a_disk_that_reads_prints_and_writes() -> Result<()> {
    let scratch = paths::scratch()?;
    let (other, image) = (scratch.path().join("other.img"), scratch.path().join("boot.img"));
    sparse_image(&other, MIB)?;
    let text = boot_disk(&image)?;
    let namespace = Namespace::new("ipxe")?;
    add_tap(&namespace, 1500)?;
    let setup = Setup::new(&namespace, TAP, scratch.path());
    let daemon = setup.export(0, 1, &other).export(7, 3, &image).spawn()?;

    let machine = Machine::on_tap(&namespace, scratch.path());
    let mut vm = machine.boot_ipxe(&ipxe::loader()?, SCRIPT)?;
    vm.wait_for("line 0 ", BOOT_LIMIT)?;
    let log = vm.wait_for(DONE, LIMIT)?;
    ensure!(log.contains(&text), "the text is not what is on the disk:\n{log}");
    drop(vm);

    let written = daemon.status()?.count("bytes_written")?;
    ensure!(written == 512 * TEXT_SECTORS as u64, "{written} bytes were written");
    daemon.stop()?;
    let disk = fs::read(&image)?;
    let copy = &disk[512 * COPY_LBA..][..text.len()];
    ensure!(copy == text.as_bytes(), "what was written is not the text");
    ensure!(fs::read(&other)?.iter().all(|&byte| byte == 0), "the other disk has changed");
    Ok(())
}
