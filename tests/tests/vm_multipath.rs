//! The Linux kernel's initiator on two wires to one target, one of which is cut.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aoe_tests::command::run;
use aoe_tests::daemon::Setup;
use aoe_tests::image::{MIB, sparse_image};
use aoe_tests::initramfs::Overlay;
use aoe_tests::kernel::Kernel;
use aoe_tests::paths;
use aoe_tests::status::Status;
use aoe_tests::vm::{BOOT_LIMIT, Machine, value_of};
use aoe_tests::wire::{Shape, TAPS, TARGET_PORTS, Wire};

/// What the guest writes, in MiB.
const WRITTEN_MIB: u64 = 32;

/// What must have come over each wire before one is cut, in bytes.
const BEFORE_CUT: u64 = 2 * MIB;

/// For the guest to write, with the pauses until it gives up the wire that is cut.
const LIMIT: Duration = Duration::from_secs(180);

/// Bytes that were written over a port.
fn written(status: &Status, port: &str) -> Result<u64> {
    let interface = status.interfaces.iter().find(|interface| interface.name == port);
    let queues = &interface.with_context(|| format!("the status lacks {port}"))?.queues;
    let counts = queues.iter().map(|queue| queue.counts.get("bytes_written"));
    counts.sum::<Option<u64>>().context("no count of bytes")
}

/// Cuts the second wire by setting `link` of the client's namespace down.
fn io_goes_on_when_one_wire_is_cut_at(link: &str) -> Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    sparse_image(&image, WRITTEN_MIB * MIB)?;
    let shape = Shape { mtu: 9000, queues: 1 };
    let wire = Wire::new(shape)?;
    wire.bridge_tap(shape.mtu)?;
    wire.lay_second_with_tap(shape)?;
    let setup = Setup::new(&wire.target, TARGET_PORTS[0], scratch.path())
        .option("--iface", TARGET_PORTS[1])
        .export(0, 1, &image);
    let daemon = setup.start()?;
    let machine = Machine { taps: &TAPS, ..Machine::on_tap(&wire.client, scratch.path()) };
    let mut vm = machine.boot_linux(
        &Kernel::oldest()?,
        Overlay::new(include_str!("../guest/multipath.sh"))?,
        &[("mtu", "9000"), ("mib", &WRITTEN_MIB.to_string())],
    )?;

    vm.wait_for("STEP write begins", BOOT_LIMIT)?;
    daemon.wait_for_status("the guest writes over both wires", LIMIT, |status| {
        let over_each = TARGET_PORTS.map(|port| written(status, port));
        over_each.into_iter().all(|bytes| bytes.is_ok_and(|bytes| bytes >= BEFORE_CUT))
    })?;
    wire.client.ip(&format!("link set dev {link} down"))?;
    let at_cut = daemon.status()?;
    ensure!(!vm.log().contains("STEP write ok"), "the write was over before the cut");

    let log = vm.wait_for_step("write", LIMIT)?;
    let after = daemon.status()?;
    let [first, second] = TARGET_PORTS;
    let missing = WRITTEN_MIB * MIB - written(&at_cut, first)? - written(&at_cut, second)?;
    ensure!(written(&after, first)? >= written(&at_cut, first)? + missing, "{after}");
    ensure!(written(&after, second)? <= written(&at_cut, second)? + MIB, "{after}");
    vm.wait_for_end(LIMIT)?;
    daemon.stop()?;
    let sum = run(Command::new("md5sum").arg(&image))?;
    let expected = value_of(&log, "MD5")?;
    ensure!(sum.split(' ').next() == expected.split(' ').next(), "{sum}, not {expected}");
    Ok(())
}

/// Between switches, so that the target's port stays up: only silence tells the initiator.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn io_goes_on_when_one_wire_is_cut_far_away() -> Result<()> {
    io_goes_on_when_one_wire_is_cut_at("tap1")
}

/// At the target, whose port loses its carrier with requests at hand.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn io_goes_on_when_one_wire_is_cut_at_the_target() -> Result<()> {
    io_goes_on_when_one_wire_is_cut_at("client1")
}
