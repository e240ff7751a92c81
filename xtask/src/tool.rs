//! Programs from crates.io that only tests need.

use crate::setup::toolchain::{cargo_bin, find_program};
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::process::Command;

/// A program that `cargo install` brings.
pub(crate) struct Tool {
    /// The program, and the package that it is in.
    pub(crate) name: &'static str,
    /// The version to install; any other one that is there is used as well.
    version: &'static str,
}

/// Coverage-guided fuzzing.
pub(crate) const FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2" };
/// A file system exerciser.
pub(crate) const FSX: Tool = Tool { name: "fsx", version: "0.3.2" };
/// Mutation testing.
pub(crate) const MUTANTS: Tool = Tool { name: "cargo-mutants", version: "27.1.0" };

impl Tool {
    /// Where it is, if it is there.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        find_program(self.name)
    }

    /// Installs it, unless it is there.
    pub(crate) fn ensure(&self) -> Result<()> {
        if self.find().is_some() {
            return Ok(());
        }
        let Self { name, version } = self;
        eprintln!("setup: build {name} {version} from crates.io: some minutes");
        let mut install = Command::new(env!("CARGO"));
        install.args(["install", name, "--version", version, "--locked"]);
        let status = install.status().context("cannot run cargo")?;
        let instruction = format!("cargo install {name} --version {version} --locked");
        ensure!(
            status.success(),
            "{name} did not build, see above; is there a network? Run `{instruction}` where there \
             is one, and put the program into {}",
            cargo_bin().unwrap_or_default().display()
        );
        ensure!(self.find().is_some(), "`{instruction}` ended well, and yet there is no {name}");
        Ok(())
    }
}
