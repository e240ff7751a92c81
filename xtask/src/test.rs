//! `cargo xtask test`: everything that has to hold.

mod instrumented;

use crate::build::{self, cargo};
use crate::fuzz;
use crate::setup::{self, toolchain};
use crate::step::Steps;
use crate::tool;
use crate::{build::target_dir, privilege};
use anyhow::{Context, Result};
use clap::Args;
use std::process::Command;

/// Check the format, lint, and run all tests
///
/// The tests that need root make network namespaces and virtual machines of their own; without
/// root they are skipped, and the end of the output says so.
#[derive(Args)]
pub(crate) struct Test {
    /// Run what takes long, too: more rounds of everything that is random
    #[arg(long)]
    long: bool,
}

/// Crates whose tests need nothing but a compiler, and which have some that need root.
const CRATES: [&str; 5] = ["aoe-common", "aoe-xsk", "aoe-daemon", "aoe-client", "xtask"];
/// Cases of each property test in a long run.
const LONG_CASES: &str = "20000";
/// What the end-to-end tests do in a long run: restarts after kill -9, power cuts, operations of fsx,
/// and what each run of fio writes, in MiB.
const LONG: [(&str, &str); 4] = [
    ("AOE_TEST_RESTARTS", "1000"),
    ("AOE_TEST_POWER_CUTS", "500"),
    ("AOE_TEST_FSX_OPERATIONS", "100000"),
    ("AOE_TEST_FIO_MIB", "128"),
];
/// Seconds that each fuzz target gets, and in a long run.
const FUZZ_SECONDS: u32 = 30;
const LONG_FUZZ_SECONDS: u32 = 1800;

/// Does it.
pub(crate) fn run(arguments: &Test) -> Result<()> {
    setup::ensure_tests()?;
    let mut steps = Steps::default();
    steps.run("format", cargo("fmt").args(["--all", "--check"]))?;
    lint(&mut steps)?;

    let mut unit = cargo("test");
    unit.args(packages(&CRATES));
    if arguments.long {
        unit.env("PROPTEST_CASES", LONG_CASES);
    }
    steps.run("unit and property tests", &mut unit)?;
    instrumented::run(&mut steps)?;
    fuzz::steps(&mut steps, if arguments.long { LONG_FUZZ_SECONDS } else { FUZZ_SECONDS })?;

    // Before the daemon that works: cargo puts both in the same place.
    let broken = build::build_broken()?;
    let programs = build::build()?;
    if privilege::is_root() {
        let mut root = cargo("test");
        root.args(packages(&CRATES)).args(["--", "--ignored", "--test-threads=1"]);
        steps.run("tests of the parts that need root", &mut root)?;
        let mut whole = cargo("test");
        whole
            .args(packages(&["aoe-tests"]))
            .args(["--", "--include-ignored", "--test-threads=1"])
            .env("AOE_DAEMON", &programs.daemon)
            .env("AOE_BROKEN_DAEMON", &broken)
            .env("AOE_CLIENT", &programs.client)
            .envs(tool::FSX.find().map(|program| ("AOE_FSX", program)));
        if arguments.long {
            whole.envs(LONG);
        }
        steps.run("end to end: networks, third parties, virtual machines", &mut whole)?;
        // Once more with every assertion compiled in.
        let mut checked = cargo("test");
        checked
            .args(packages(&["aoe-tests"]))
            .args(["--test", "modes", "--", "--include-ignored", "--test-threads=1"])
            .env("AOE_DAEMON", target_dir().join("debug/aoe-daemon"))
            .env("AOE_CLIENT", &programs.client);
        steps.run("end to end: networks, with debug assertions", &mut checked)?;
    } else {
        let reason = "it needs root: sudo -E env PATH=$PATH cargo xtask test";
        steps.skip("tests of the parts that need root", reason);
        steps.skip("end to end", reason);
    }
    steps.summary();
    Ok(())
}

fn lint(steps: &mut Steps) -> Result<()> {
    let mut host = cargo("clippy");
    host.args(["--workspace", "--all-targets", "--", "--deny", "warnings"]);
    steps.run("lint", &mut host)?;
    let toolchain = toolchain::Toolchain::find().context("setup has left no eBPF toolchain")?;
    let here = toolchain::Target { arch: std::env::consts::ARCH, endian: ENDIAN };
    let mut bpf: Command = toolchain.cargo("clippy", &here);
    bpf.current_dir(build::workspace())
        .arg("--target-dir")
        .arg(target_dir().join("ebpf"))
        .args(["--", "--deny", "warnings"]);
    steps.run("lint the XDP program for its own target", &mut bpf)
}

const ENDIAN: &str = if cfg!(target_endian = "big") { "big" } else { "little" };

fn packages<'a>(names: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    names.iter().flat_map(|name| ["--package", *name])
}
