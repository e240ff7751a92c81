//! `cargo xtask fuzz`: inputs that a program makes up from what the last ones have reached.
//!
//! The fuzzed crates have no unsafe code, so what there is to find is a panic or a broken
//! assertion, not a wrong access: no sanitizer, which would halve the speed. Without one, no
//! unstable flag is needed, and the host's stable Rust does.

mod coverage;

use crate::build::{target_dir, workspace};
use crate::step::Steps;
use crate::{setup, tool};
use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Fuzz for a while, and tell what has been reached
///
/// Inputs that reach something new are kept in target/fuzz/corpus. What makes a target fail is
/// kept, and shown, in tests/fuzz/artifacts.
#[derive(Args)]
pub(crate) struct Fuzz {
    /// What to fuzz
    target: Target,
    /// For how long
    seconds: u32,
    /// Afterwards, bring what has reached something new into the repository's corpus, minimised
    #[arg(long)]
    keep: bool,
}

/// Something that is fuzzed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// Texts into the parser of the configuration file
    Config,
    /// Frames into the protocol core
    Frames,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Target {
    /// Its name, of its binary as well.
    fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Frames => "frames",
        }
    }

    /// The source that it is to reach.
    fn subject(self) -> &'static [&'static str] {
        match self {
            Self::Config => &["aoe-daemon/src/config/file.rs", "aoe-daemon/src/config/file"],
            Self::Frames => &["aoe-daemon/src/target.rs", "aoe-daemon/src/target"],
        }
    }

    /// The file with the words that its inputs are made of, if they are.
    fn dictionary(self) -> Option<&'static str> {
        match self {
            Self::Config => Some("config.dict"),
            Self::Frames => None,
        }
    }

    /// The inputs that the repository has.
    fn seeds(self) -> PathBuf {
        workspace().join(DIRECTORY).join("corpus").join(self.name())
    }

    /// The inputs that were found on this machine.
    fn found(self) -> PathBuf {
        target_dir().join("fuzz/corpus").join(self.name())
    }
}

/// Where the fuzz targets are.
const DIRECTORY: &str = "tests/fuzz";

/// Does it.
pub(crate) fn run(arguments: &Fuzz) -> Result<()> {
    setup::ensure_build()?;
    tool::FUZZ.ensure()?;
    let Fuzz { target, seconds, keep } = *arguments;
    let status = fuzz(target, seconds)?.status().context("cannot run cargo fuzz")?;
    ensure!(status.success(), "the input that fails, and how to run it again, is told above");
    if keep {
        keep_found(target)?;
    }
    coverage::report(target)
}

/// Fuzzes every target for a few seconds.
pub(crate) fn steps(steps: &mut Steps, seconds: u32) -> Result<()> {
    for target in Target::value_variants() {
        steps.run(&format!("fuzz {target} for {seconds} s"), &mut fuzz(*target, seconds)?)?;
    }
    Ok(())
}

/// The command that fuzzes a target, from all the inputs that there are.
fn fuzz(target: Target, seconds: u32) -> Result<Command> {
    let found = target.found();
    for directory in [&found, &target.seeds()] {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    let mut command = cargo_fuzz("run", target, "fuzz");
    // What is new goes into the first directory.
    command.arg(found).arg(target.seeds()).args(["--", "-verbosity=0", "-print_funcs=0"]);
    command.arg("-print_final_stats=1").arg(format!("-max_total_time={seconds}"));
    if let Some(words) = target.dictionary() {
        command.arg(format!("-dict={DIRECTORY}/{words}"));
    }
    Ok(command)
}

/// Brings those of the found inputs that reach what the repository's don't into the repository.
fn keep_found(target: Target) -> Result<()> {
    let seeds = target.seeds();
    let mut merge = cargo_fuzz("run", target, "fuzz");
    merge.arg(&seeds).arg(target.found());
    // The fewest inputs that reach every place; how often they do does not matter.
    merge.args(["--", "-set_cover_merge=1", "-use_counters=0", "-verbosity=0"]);
    let status = merge.status().context("cannot run cargo fuzz")?;
    ensure!(status.success(), "the inputs could not be merged");
    println!("{} has {} inputs", seeds.display(), fs::read_dir(&seeds)?.count());
    Ok(())
}

/// A sub-command of cargo-fuzz for a target, built into this part of our target directory.
fn cargo_fuzz(subcommand: &str, target: Target, directory: &str) -> Command {
    // It calls the cargo that is first in PATH: it shall be ours.
    let bin = Path::new(env!("CARGO")).parent().unwrap_or(Path::new("/usr/bin"));
    let mut path = OsString::from(bin);
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new(tool::FUZZ.find().unwrap_or_else(|| tool::FUZZ.name.into()));
    command
        .current_dir(workspace())
        .env("PATH", path)
        .args(["fuzz", subcommand, "--fuzz-dir", DIRECTORY, "--sanitizer", "none"])
        .arg("--target-dir")
        .arg(target_dir().join(directory))
        .arg(target.name());
    command
}
