//! What building needs: Rust with a `core` for BPF, and bpf-linker.
//!
//! Rustup can't provide the first one compiled; Debian 12 does, in the packages of its newer Rust.
//! So with root on Debian 12 that is taken, otherwise a rustup nightly.

use anyhow::{Context, Result, bail};

use super::step::{Step, is_root};
use super::toolchain::{Rust, find_linker, find_program};
use super::{Need, apt};

/// Debian 12's newer Rust, with its `core` for BPF.
const RUST_PACKAGES: [&str; 3] = ["cargo-web", "libstd-rust-web-dev-bpf", "rustc-web"];
/// The LLVM version of that Rust when this was written.
const USUAL_LLVM: u32 = 22;

/// What building needs and where it is.
pub(super) fn needs() -> Vec<Need> {
    let rustc = Rust::find().map(|rust| rust.bin().join("rustc"));
    vec![
        Need { name: "Rust for BPF".into(), found: rustc },
        Need { name: "bpf-linker".into(), found: find_linker() },
    ]
}

/// The next thing to do, or none if all is there.
pub(super) fn next_step() -> Result<Option<Step>> {
    let Some(rust) = Rust::find() else { return rust_step().map(Some) };
    if find_linker().is_some() {
        return Ok(None);
    }
    if !rust.is_distribution() {
        return Ok(Some(Step::FetchLinker));
    }
    let llvm = llvm_version(&rust)?;
    let missing = apt::missing(&linker_packages(llvm))?;
    Ok(Some(if missing.is_empty() { Step::BuildLinker { llvm } } else { Step::Packages(missing) }))
}

/// How this machine can have Rust for BPF.
fn rust_step() -> Result<Step> {
    let debian = apt::is_debian_12();
    if debian && is_root() {
        return Ok(Step::Packages(packages()));
    }
    if find_program("rustup").is_some() {
        return Ok(Step::Nightly);
    }
    if debian {
        bail!("{}", apt::instruction(&packages()));
    }
    bail!(
        "a Rust toolchain for BPF needs rustup here: install it (https://rustup.rs), then run this again"
    )
}

/// Everything from Debian at once, so that a user without root has one command to ask for.
fn packages() -> Vec<String> {
    let mut packages: Vec<String> = RUST_PACKAGES.map(String::from).into();
    if find_linker().is_none() {
        packages.extend(linker_packages(USUAL_LLVM));
    }
    packages
}

/// What building bpf-linker needs besides Rust: the LLVM of the very rustc that it links for.
fn linker_packages(llvm: u32) -> Vec<String> {
    vec![
        format!("libpolly-{llvm}-dev"),
        "libzstd-dev".into(),
        format!("llvm-{llvm}-dev"),
        "zlib1g-dev".into(),
    ]
}

/// The major version of the LLVM that this Rust has inside.
fn llvm_version(rust: &Rust) -> Result<u32> {
    let output = rust.command("rustc").arg("-Vv").output().context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| line.strip_prefix("LLVM version: ")?.split('.').next()?.parse().ok())
        .context("rustc -Vv does not name its LLVM version")
}
