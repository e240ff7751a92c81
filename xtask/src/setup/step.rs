//! One step of a setup: what it will do, and doing it.

use std::env;
use std::fmt;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::toolchain::{Rust, cargo_bin, find_program};
use super::{apt, qemu};

/// The bpf-linker to build; it knows LLVM 21 to 23.
const LINKER_VERSION: &str = "0.13.0";
/// Where its authors publish it compiled, for each architecture.
const LINKER_RELEASES: &str = "https://github.com/aya-rs/bpf-linker/releases/latest/download";

/// A step of a setup.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Install Debian packages.
    Packages(Vec<String>),
    /// Update the lists of Debian packages, which lack one that should be there.
    PackageLists,
    /// Unpack QEMU without installing it.
    UnpackQemu,
    /// Install a rustup nightly with the source of `core`.
    Nightly,
    /// Add a component to a toolchain of rustup.
    Component { toolchain: String, component: &'static str },
    /// Build bpf-linker on the distribution's LLVM.
    BuildLinker { llvm: u32 },
    /// Download a bpf-linker that has its own LLVM.
    FetchLinker,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packages(packages) => {
                write!(f, "install with apt-get: {}", packages.join(" "))
            }
            Self::PackageLists => f.write_str("update apt's package lists"),
            Self::UnpackQemu => write!(
                f,
                "download QEMU, 170 MB with its libraries, and unpack it into {}: {} can't be \
                 installed beside the packages that are here",
                qemu::directory().display(),
                qemu::PACKAGE
            ),
            Self::Nightly => f.write_str("install Rust nightly and rust-src with rustup"),
            Self::Component { toolchain, component } => {
                write!(f, "add {component} to the {toolchain} toolchain with rustup")
            }
            Self::BuildLinker { llvm } => {
                write!(f, "build bpf-linker {LINKER_VERSION} on LLVM {llvm}: about two minutes")
            }
            Self::FetchLinker => f.write_str("download bpf-linker"),
        }
    }
}

impl Step {
    /// Does it.
    pub(super) fn take(&self) -> Result<()> {
        match self {
            Self::Packages(packages) => {
                ensure!(is_root(), "that needs root: {}", apt::instruction(packages));
                apt::install(packages)
            }
            Self::PackageLists => {
                ensure!(is_root(), "that needs root: run `sudo apt-get update`, then this again");
                apt::update()
            }
            Self::UnpackQemu => qemu::unpack(),
            Self::Nightly => rustup(&[
                "toolchain",
                "install",
                "nightly",
                "--profile=minimal",
                "--component=rust-src",
                "--no-self-update",
            ]),
            Self::Component { toolchain, component } => {
                rustup(&["component", "add", component, "--toolchain", toolchain])
            }
            Self::BuildLinker { llvm } => build_linker(*llvm),
            Self::FetchLinker => fetch_linker(),
        }
    }
}

/// Whether this process may install packages.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn rustup(arguments: &[&str]) -> Result<()> {
    let program = find_program("rustup").context("there is no rustup")?;
    run(Command::new(program).args(arguments)).with_context(|| {
        let other_way = if apt::is_debian_12() { ", or run this as root" } else { "" };
        format!("is there a network? Run `rustup {}`{other_way}", arguments.join(" "))
    })
}

fn build_linker(llvm: u32) -> Result<()> {
    let rust = Rust::find().context("there is no Rust for BPF")?;
    run(rust
        .command("cargo")
        .args(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked"])
        .args(["--no-default-features", "--features", &format!("llvm-{llvm}")])
        // Its own setting, for its developers, takes much longer.
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        // Else it looks beside the first llvm-config in PATH.
        .env("LLVM_PREFIX", format!("/usr/lib/llvm-{llvm}")))
    .context("bpf-linker did not build, see above; crates.io must be reachable")
}

fn fetch_linker() -> Result<()> {
    if let Some(binstall) = find_program("cargo-binstall") {
        return run(Command::new(binstall).args(["--no-confirm", "bpf-linker"]));
    }
    let archive = format!("bpf-linker-{}-unknown-linux-musl.tar.zst", env::consts::ARCH);
    let directory = cargo_bin().context("neither CARGO_HOME nor HOME is set")?;
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let file = directory.join(&archive);
    let url = format!("{LINKER_RELEASES}/{archive}");
    let fetched =
        run(Command::new("curl").args(["-fL", "-o"]).arg(&file).arg(&url)).and_then(|()| {
            run(Command::new("tar").args(["--zstd", "-xf"]).arg(&file).arg("-C").arg(&directory))
        });
    // What is left of a failed download is of no use.
    let _ = fs::remove_file(&file);
    fetched
        .with_context(|| format!("unpack {url} (needs curl and zstd) into {}", directory.display()))
}

/// Runs a command that says itself what it does.
fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().display().to_string();
    let status = command.status().with_context(|| format!("cannot run {program}"))?;
    if !status.success() {
        bail!("{program} failed ({status})");
    }
    Ok(())
}
