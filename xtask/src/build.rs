//! Building the programs in release mode.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The built programs.
pub(crate) struct Programs {
    /// The target.
    pub(crate) daemon: PathBuf,
    /// The initiator.
    pub(crate) client: PathBuf,
}

/// The top of the source tree.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the workspace")
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => workspace().join(directory),
        None => workspace().join("target"),
    }
}

/// The cargo that runs us, with a sub-command.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(workspace()).arg(subcommand);
    command
}

/// Builds the XDP program and the programs around it.
pub(crate) fn build() -> Result<Programs> {
    release(&["--package", "aoe-daemon", "--package", "aoe-client"])?;
    let release = target_dir().join("release");
    Ok(Programs { daemon: release.join("aoe-daemon"), client: release.join("aoe") })
}

/// Builds the daemon that answers before anything is durable, for the test that has to notice.
/// [`build`] has to follow.
pub(crate) fn build_broken() -> Result<PathBuf> {
    release(&["--package", "aoe-daemon", "--features", "broken-durability"])?;
    let built = target_dir().join("release/aoe-daemon");
    let broken = built.with_file_name("aoe-daemon-broken");
    fs::copy(&built, &broken).with_context(|| format!("copy {}", built.display()))?;
    fs::remove_file(&built).context("remove the broken daemon from the working one's place")?;
    Ok(broken)
}

fn release(arguments: &[&str]) -> Result<()> {
    let mut command = cargo("build");
    command.arg("--release").args(arguments);
    let status = command.status().with_context(|| format!("cannot run {}", env!("CARGO")))?;
    ensure!(status.success(), "the build failed");
    Ok(())
}
