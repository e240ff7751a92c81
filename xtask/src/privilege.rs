//! Running as root what has to be, and nothing else.

use anyhow::{Result, ensure};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Makes sure that [`as_root`] can work, and says so where it takes sudo.
pub(crate) fn prepare(program: &Path) -> Result<()> {
    if is_root() {
        return Ok(());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join("sudo").is_file());
    ensure!(found, "serving needs root, and there is no sudo here: run it as root");
    eprintln!("{} needs root: starting it through sudo", program.display());
    Ok(())
}

/// A command that runs as root, through sudo unless we are.
pub(crate) fn as_root(program: impl AsRef<OsStr>) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg(program);
    command
}

/// How a user would type the beginning of such a command.
pub(crate) fn prefix() -> &'static str {
    if is_root() { "" } else { "sudo " }
}
