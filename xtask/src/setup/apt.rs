//! Debian's packages.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Options for installing, here and in what the user is told to run.
const INSTALL: [&str; 2] = ["install", "--no-install-recommends"];

/// Whether the newer Rust that Debian 12 has is to be had.
pub(super) fn is_debian_12() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let says = |line: &str| release.lines().any(|other| other.replace('"', "") == line);
    says("ID=debian") && says("VERSION_ID=12")
}

/// Whether a package can be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It can.
    Fits,
    /// Only if other packages were removed or changed, if at all.
    Collides,
    /// The package lists don't have it, or there are none.
    Unknown,
}

/// Asks apt whether a package can be installed beside what is there.
pub(super) fn fit(package: &str) -> Result<Fit> {
    let succeeds = |command: &mut Command| {
        let output = command.output().context("cannot run apt")?;
        anyhow::Ok(output.status.success())
    };
    let mut simulation = Command::new("apt-get");
    simulation.args(["--simulate", "--no-remove"]).args(INSTALL).arg(package);
    if succeeds(&mut simulation)? {
        return Ok(Fit::Fits);
    }
    let known = succeeds(Command::new("apt-cache").args(["show", package]))?;
    Ok(if known { Fit::Collides } else { Fit::Unknown })
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

/// Installs packages.
pub(super) fn install(packages: &[String]) -> Result<()> {
    let mut arguments = vec!["--no-remove"];
    arguments.extend(INSTALL);
    arguments.extend(packages.iter().map(String::as_str));
    if twice(&arguments)? {
        return Ok(());
    }
    bail!("apt-get failed, see above; when it can work, {}", instruction(packages))
}

/// Downloads a package into a directory, and all that it depends on as if nothing were installed.
/// Changes nothing else, and needs no root.
pub(super) fn download(package: &str, directory: &Path) -> Result<()> {
    let archives = format!("--option=Dir::Cache::archives={}/", directory.display());
    // Apt would announce that it installs all of them.
    let mut arguments = vec!["--quiet=2", "--download-only"];
    arguments.push("--option=Dir::State::status=/dev/null");
    arguments.extend(["--option=Dir::Cache::pkgcache=", "--option=Dir::Cache::srcpkgcache="]);
    // Else apt warns that its own user can't write there.
    arguments.extend(["--option=APT::Sandbox::User=root", &archives]);
    arguments.extend(INSTALL);
    arguments.push(package);
    ensure!(twice(&arguments)?, "apt-get can't download {package}, see above");
    Ok(())
}

/// Updates the package lists.
pub(super) fn update() -> Result<()> {
    ensure!(apt_get(&["update"])?, "apt-get failed, see above");
    Ok(())
}

/// Runs apt-get. A second try comes with fresh package lists: the first one may have met stale or
/// missing ones, or another apt.
fn twice(arguments: &[&str]) -> Result<bool> {
    if apt_get(arguments)? {
        return Ok(true);
    }
    eprintln!("setup: update apt's package lists and try once more");
    Ok(apt_get(&["update"])? && apt_get(arguments)?)
}

fn apt_get(arguments: &[&str]) -> Result<bool> {
    // Standard output is for what xtask itself has to say.
    let output = io::stderr().as_fd().try_clone_to_owned()?;
    let status = Command::new("apt-get")
        .args(["--quiet", "--yes"])
        .args(["--option=DPkg::Lock::Timeout=120", "--option=Dpkg::Use-Pty=0"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::from(output))
        .status()
        .context("cannot run apt-get")?;
    Ok(status.success())
}
