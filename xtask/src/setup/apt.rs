//! Debian's packages.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Options for installing, here and in what the user is told to run.
const INSTALL: [&str; 2] = ["install", "--no-install-recommends"];

/// Whether the newer Rust that Debian 12 has is to be had.
pub(super) fn is_debian_12() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let says = |line: &str| release.lines().any(|other| other.replace('"', "") == line);
    says("ID=debian") && says("VERSION_ID=12")
}

/// Which of these packages are not installed.
pub(super) fn missing(packages: &[String]) -> Result<Vec<String>> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Package} ${db:Status-Status}\n"])
        .args(packages)
        .output()
        .context("cannot run dpkg-query")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let installed =
        |package: &String| text.lines().any(|line| line == format!("{package} installed"));
    Ok(packages.iter().filter(|package| !installed(package)).cloned().collect())
}

/// What a user has to do for these packages.
pub(super) fn instruction(packages: &[String]) -> String {
    format!("run `sudo apt-get {} {}`, then this again", INSTALL.join(" "), packages.join(" "))
}

/// Installs packages. A second try comes with fresh package lists: the first one may have met stale
/// or missing ones, or another apt.
pub(super) fn install(packages: &[String]) -> Result<()> {
    if apt_get(&INSTALL, packages)? {
        return Ok(());
    }
    eprintln!("setup: update apt's package lists and try once more");
    if apt_get(&["update"], &[])? && apt_get(&INSTALL, packages)? {
        return Ok(());
    }
    bail!("apt-get failed, see above; when it can work, {}", instruction(packages))
}

fn apt_get(arguments: &[&str], packages: &[String]) -> Result<bool> {
    // Standard output is for what xtask itself has to say.
    let output = io::stderr().as_fd().try_clone_to_owned()?;
    let status = Command::new("apt-get")
        .args(["--quiet", "--yes", "--no-remove"])
        .args(["--option=DPkg::Lock::Timeout=120", "--option=Dpkg::Use-Pty=0"])
        .args(arguments)
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::from(output))
        .status()
        .context("cannot run apt-get")?;
    Ok(status.success())
}
