//! `cargo xtask mutants`: would the tests notice if the protocol core were wrong?

use crate::build::{cargo, target_dir};
use crate::{setup, tool};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// Change the protocol core in every small way, and count how often a test notices
///
/// Takes hours on a small machine. Which files are changed, and which tests run, is in
/// .cargo/mutants.toml.
#[derive(Args)]
pub(crate) struct Mutants {
    /// More arguments for cargo-mutants, such as --jobs 4, --shard 0/8 or --file '*/target/ata.rs'
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

/// The least share of changes that has to be noticed, in percent.
const FLOOR: f64 = 90.0;
/// How cargo-mutants ends if all went well, if a change was missed, and if a test hung.
const WORKED: [i32; 3] = [0, 2, 3];

/// Does it.
pub(crate) fn run(arguments: &Mutants) -> Result<()> {
    setup::ensure_build()?;
    tool::MUTANTS.ensure()?;
    let output = target_dir().join("mutants");
    fs::create_dir_all(&output).with_context(|| output.display().to_string())?;
    let mut command = cargo("mutants");
    command.arg("--output").arg(&output).args(&arguments.arguments);
    let status = command.status().context("cannot run cargo mutants")?;
    if !status.code().is_some_and(|code| WORKED.contains(&code)) {
        bail!("cargo mutants: {status}; its logs are in {}", output.display());
    }
    report(&output.join("mutants.out"))
}

/// Tells what was noticed, and what was not. A test that hangs has noticed, too.
fn report(lists: &Path) -> Result<()> {
    let list = |name: &str| {
        let path = lists.join(name).with_extension("txt");
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    let (caught, missed, hung) = (list("caught")?, list("missed")?, list("timeout")?);
    let noticed = caught.lines().count() + hung.lines().count();
    let all = noticed + missed.lines().count();
    ensure!(all > 0, "nothing was changed");
    let share = noticed as f64 * 100.0 / all as f64;
    println!("\nof {all} changes that compile, tests notice {noticed}: {share:.1} %. Missed:");
    print!("{missed}");
    ensure!(share >= FLOOR, "{share:.1} % are fewer than {FLOOR} %");
    Ok(())
}
