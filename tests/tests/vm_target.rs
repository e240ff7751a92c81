//! The daemon in a guest with the oldest kernel it supports, Debian 12's.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use aoe_tests::client::Client;
use aoe_tests::image::random_bytes;
use aoe_tests::initramfs::Overlay;
use aoe_tests::kernel::Kernel;
use aoe_tests::namespace::Namespace;
use aoe_tests::paths;
use aoe_tests::retry::retry_until;
use aoe_tests::status::Status;
use aoe_tests::vm::{BOOT_LIMIT, Machine, Vm, value_of};
use aoe_tests::wire::{TAP, add_tap};

/// Size of the guest's image, in MiB.
const IMAGE_MIB: u64 = 32;

/// For the guest to start or stop the daemon.
const LIMIT: Duration = Duration::from_secs(60);

fn boot(namespace: &Namespace, mode: &str, mtu: u32, directory: &Path) -> Result<Vm> {
    add_tap(namespace, mtu)?;
    let mut files = Overlay::new(include_str!("../guest/target.sh"))?;
    files.program(&paths::daemon()?)?;
    Machine::on_tap(namespace, directory).boot_linux(
        &Kernel::oldest()?,
        files,
        &[("mtu", &mtu.to_string()), ("mode", mode), ("mib", &IMAGE_MIB.to_string())],
    )
}

/// Serves, is discovered, written and read back; gives the guest's log and the status in the end.
fn serves(mode: &str, mtu: u32, sectors: u8) -> Result<(String, Status)> {
    let scratch = paths::scratch()?;
    let namespace = Namespace::new("guest")?;
    let mut vm = boot(&namespace, mode, mtu, scratch.path())?;
    let log = vm.wait_for_step("serving", BOOT_LIMIT)?;
    let release = value_of(&log, "KERNEL")?;
    ensure!(release.starts_with("6.1."), "the guest runs {release}, not Debian 12's kernel");

    let client = Client::new(&namespace, TAP)?;
    // The first frames over a new tap may get lost while it learns of its carrier.
    let found = retry_until("discovery", LIMIT, || client.find("e0.2"))?;
    ensure!(found.sectors == Some(IMAGE_MIB * 2048), "{found:?}");
    ensure!(found.sector_count == sectors, "{found:?}");
    let written = random_bytes(1001 * 512, 30);
    client.write("e0.2", 5, &written)?;
    ensure!(client.read("e0.2", 5, 1001)? == written, "what was written is not what is read");
    ensure!(client.read("e0.2", 0, 5)? == [0; 5 * 512], "the neighbours have changed");

    vm.say("enough")?;
    vm.wait_for_step("stop", LIMIT)?;
    let log = vm.wait_for_end(LIMIT)?;
    let status = Status::parse(value_of(&log, "STATUS")?)?;
    Ok((log, status))
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn linux_6_1_serves_in_the_best_mode_it_has() -> Result<()> {
    let (log, status) = serves("auto", 1500, 2)?;
    let interface = status.interface()?;
    // virtio-net runs XDP in the driver; zero-copy came with Linux 6.11.
    ensure!(interface.mode.as_deref() == Some("native"), "{status}");
    // A guest that has just booted has none reserved.
    ensure!(log.contains("vm.nr_hugepages"), "it does not say how to get huge pages:\n{log}");
    Ok(())
}

/// Without multi-buffer AF_XDP a request fits one chunk of 4 KiB, and the daemon says so: six
/// sectors, beside the headroom and the room for a VLAN tag.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn linux_6_1_takes_jumbo_frames_of_one_chunk() -> Result<()> {
    let (log, status) = serves("generic", 9000, 6)?;
    ensure!(status.interface()?.max_sectors == 6, "{status}");
    ensure!(log.contains("limited to 6 sectors instead of 17"), "it does not say so:\n{log}");
    Ok(())
}
