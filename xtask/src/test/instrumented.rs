//! Unit and property tests once more, where they show what an ordinary run can't: orders of memory
//! accesses that this processor does not produce, and accesses that are none of the program's.

use super::packages;
use crate::build::{cargo, target_dir};
use crate::step::Steps;
use crate::unstable::Unstable;
use anyhow::Result;

/// Crates with `unsafe` code, and those that are used on top of it.
const CRATES: [&str; 3] = ["aoe-common", "aoe-xsk", "aoe-daemon"];
/// Cases of each property test under Miri, which is some hundred times slower.
const MIRI_CASES: &str = "4";

/// Runs them all.
pub(super) fn run(steps: &mut Steps) -> Result<()> {
    loom(steps)?;
    address_sanitizer(steps)?;
    miri(steps)
}

fn loom(steps: &mut Steps) -> Result<()> {
    let mut command = cargo("test");
    command
        .args(packages(&["aoe-xsk"]))
        .args(["--release", "--lib", "--target-dir"])
        .arg(target_dir().join("loom"))
        .arg("ring::models")
        .env("RUSTFLAGS", "--cfg loom")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    steps.run("every order in which two threads may use a ring (loom)", &mut command)
}

fn address_sanitizer(steps: &mut Steps) -> Result<()> {
    let name = "unit and property tests under AddressSanitizer";
    let Some(toolchain) = Unstable::with_address_sanitizer() else {
        let reason = "no Rust here ships its runtime: rustup toolchain install nightly";
        steps.skip(name, reason);
        return Ok(());
    };
    // Not the tests in documentation: rustdoc would have to be told as well, and they are examples.
    let subcommand = ["test", "--tests"];
    let directory = target_dir().join("asan");
    let mut command = toolchain.cargo(&subcommand, "-Zsanitizer=address", &directory);
    command
        .args(packages(&CRATES))
        // Memory whose packets never come back stays mapped on purpose, which looks like a leak.
        .env("ASAN_OPTIONS", "detect_leaks=0");
    steps.run(&format!("{name} ({toolchain})"), &mut command)
}

/// What Miri can interpret: it knows neither sockets nor huge pages.
fn miri(steps: &mut Steps) -> Result<()> {
    let name = "the wire's types and the rings under Miri";
    let Some(toolchain) = Unstable::with_miri() else {
        let reason = "no toolchain here has it: rustup +nightly component add miri rust-src";
        steps.skip(name, reason);
        return Ok(());
    };
    let directory = target_dir().join("miri");
    let mut command = toolchain.cargo(&["miri", "test", "--lib"], "", &directory);
    command
        .args(packages(&["aoe-common", "aoe-xsk"]))
        .args(["--", "address::", "wire::", "steer::", "ring::", "book::", "assemble::"])
        .env("PROPTEST_CASES", MIRI_CASES)
        // Proptest looks for the file with earlier failures.
        .env("MIRIFLAGS", "-Zmiri-disable-isolation");
    steps.run(&format!("{name} ({toolchain})"), &mut command)
}
