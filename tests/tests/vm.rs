//! The real Linux initiator, in a virtual machine.

use aoe_tests::{
    disk_check::Partition,
    image,
    initramfs::Overlay,
    kernel, paths, vblade,
    vm::{self, Vm},
    wire::{self, Shape, Wire},
};
use std::time::Duration;

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn proof() -> anyhow::Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    image::sparse_image(&image, 192 * image::MIB)?;
    let wire = Wire::new(Shape { mtu: 9000, queues: 1 })?;
    wire.bridge_tap(9000)?;
    let mut vblade = vblade::start(&wire.target, wire::TARGET_PORT, &image)?;
    let kernel = kernel::debian_cloud()?;
    let t = std::time::Instant::now();
    let mut vm = Vm::boot(
        &kernel,
        Overlay::new(include_str!("../guest/initiator.sh"))?,
        &wire.client,
        &[("mtu", "9000"), ("mib", "64"), ("crash", "0")],
        scratch.path(),
    )?;
    for s in ["card", "link", "discover", "mkfs", "data", "write", "remount", "compare", "fsck"] {
        vm.wait_for_step(s, vm::BOOT_LIMIT)?;
        eprintln!("{s} {:?}", t.elapsed());
    }
    let log = vm.wait_for_end(Duration::from_secs(240))?;
    eprintln!("end {:?}", t.elapsed());
    vblade.kill()?;
    let partition = Partition::first(&image)?;
    partition.check()?;
    let sum = partition.md5_of("/first", scratch.path())?;
    assert!(vm::value_of(&log, "MD5")?.starts_with(&sum));
    eprintln!("{log}");
    Ok(())
}
