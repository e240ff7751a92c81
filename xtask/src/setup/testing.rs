//! What testing needs besides building: the linters, and the programs that the tests run.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::apt::{self, Fit};
use super::step::Step;
use super::toolchain::{Rust, find_program};
use super::{Need, qemu};

/// Programs that the tests run, each with the Debian package that has it. What takes more to find
/// or to install comes on top: Python's venv, and QEMU.
const PROGRAMS: [(&str, &str); 25] = [
    ("aoeping", "aoetools"),
    ("bash", "bash"),
    ("blockdev", "util-linux"),
    ("busybox", "busybox-static"),
    ("bwrap", "bubblewrap"),
    ("c++", "g++"),
    ("cpio", "cpio"),
    ("debugfs", "e2fsprogs"),
    ("dmsetup", "dmsetup"),
    ("ethtool", "ethtool"),
    ("fallocate", "util-linux"),
    ("fio", "fio"),
    ("flock", "util-linux"),
    ("fsfreeze", "util-linux"),
    ("ip", "iproute2"),
    ("losetup", "mount"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("partx", "util-linux"),
    ("setpriv", "util-linux"),
    ("sfdisk", "fdisk"),
    ("tshark", "tshark"),
    ("vblade", "vblade"),
    ("xz", "xz-utils"),
];

/// The Debian package by which Python can make virtual environments; it brings Python.
const PYTHON_VENV_PACKAGE: &str = "python3-venv";

/// A linter and who provides it.
struct Linter {
    name: &'static str,
    /// Where it should be.
    program: PathBuf,
    /// What rustup calls it.
    component: &'static str,
    /// What Debian 12 calls it.
    package: &'static str,
}

/// What testing needs and where it is.
pub(super) fn needs() -> Vec<Need> {
    let linters = linters().into_iter().map(|linter| Need {
        name: linter.name.into(),
        found: Some(linter.program).filter(|program| program.is_file()),
    });
    let programs = PROGRAMS
        .iter()
        .map(|(program, _)| Need { name: (*program).into(), found: find_program(program) });
    let others = [
        Need { name: "venv of Python".into(), found: python_venv() },
        Need { name: qemu::PROGRAM.into(), found: qemu::find() },
    ];
    linters.chain(programs).chain(others).collect()
}

/// The next thing to do, or none if all is there.
pub(super) fn next_step() -> Result<Option<Step>> {
    let linters = linters().into_iter().filter(|linter| !linter.program.is_file());
    let (of_system, of_rustup): (Vec<_>, Vec<_>) =
        linters.partition(|linter| linter.program.starts_with("/usr/bin"));
    if let Some(linter) = of_rustup.first() {
        let toolchain = toolchain_name(&linter.program)?;
        return Ok(Some(Step::Component { toolchain, component: linter.component }));
    }

    let missing = PROGRAMS.iter().filter(|(program, _)| find_program(program).is_none());
    let mut packages: Vec<String> = missing
        .map(|(_, package)| (*package).to_owned())
        .chain(of_system.iter().map(|linter| linter.package.to_owned()))
        .chain(python_venv().is_none().then(|| PYTHON_VENV_PACKAGE.to_owned()))
        .collect();
    packages.sort();
    packages.dedup();
    let qemu_missing = qemu::find().is_none();
    if packages.is_empty() && !qemu_missing {
        return Ok(None);
    }
    if find_program("apt-get").is_none() {
        packages.extend(qemu_missing.then(|| qemu::PACKAGE.to_owned()));
        bail!(
            "install what Debian has in its packages {}, then run this again",
            packages.join(" ")
        );
    }
    if qemu_missing {
        match apt::fit(qemu::PACKAGE)? {
            Fit::Fits => packages.push(qemu::PACKAGE.to_owned()),
            Fit::Collides if packages.is_empty() => return Ok(Some(Step::UnpackQemu)),
            Fit::Collides => {}
            Fit::Unknown => return Ok(Some(Step::PackageLists)),
        }
    }
    Ok(Some(Step::Packages(packages)))
}

/// What Python needs to make virtual environments with pip in them. Only Python knows where that is.
fn python_venv() -> Option<PathBuf> {
    let mut command = Command::new(find_program("python3")?);
    let output =
        command.args(["-c", "import ensurepip; print(ensurepip.__file__)"]).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| path.trim_end().into())
}

/// The linters of both toolchains: that of the host, and that for BPF.
fn linters() -> Vec<Linter> {
    let linter = |name, bin: &Path, program, component, package| Linter {
        name,
        program: bin.join(program),
        component,
        package,
    };
    // Cargo says which cargo it is.
    let host = env::var_os("CARGO").map(PathBuf::from);
    let host = host.as_deref().and_then(Path::parent).unwrap_or(Path::new("/usr/bin"));
    let mut linters = vec![
        linter("rustfmt", host, "cargo-fmt", "rustfmt", "rustfmt-web"),
        linter("clippy", host, "cargo-clippy", "clippy", "rust-web-clippy"),
    ];
    if let Some(rust) = Rust::find() {
        let bin = rust.bin();
        linters.push(linter("clippy for BPF", bin, "cargo-clippy", "clippy", "rust-web-clippy"));
    }
    linters
}

/// The name of the rustup toolchain that a program belongs to: `…/toolchains/NAME/bin/program`.
fn toolchain_name(program: &Path) -> Result<String> {
    let name = program.ancestors().nth(2).and_then(Path::file_name);
    let name = name.with_context(|| format!("{} is in no toolchain", program.display()))?;
    Ok(name.to_string_lossy().into_owned())
}
