//! Finds a Rust toolchain that can compile for BPF, and says how to call it.
//!
//! Shared by `aoe-daemon/build.rs` and by xtask, so it needs nothing but `std`. The BPF targets are
//! tier 3: they want a `core` that rustup does not ship built, and `bpf-linker` as the linker. Two
//! kinds of toolchain have that: a distribution's Rust with a prebuilt `core` for BPF (Debian's
//! `libstd-rust-web-dev-bpf`), and a rustup nightly with the `rust-src` component, which builds
//! `core` on the way.
//!
//! Toolchains are looked up in the file system rather than by asking `rustup`, so that looking costs
//! microseconds and works where `rustup` is not in `PATH`. Calling the toolchain's own `cargo` by
//! its path makes both kinds alike.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `bpf-linker` comes from when it has to be built: the crate's version.
pub const BPF_LINKER: &str = "bpf-linker";

/// A Rust toolchain able to compile for BPF, and the linker to use with it.
#[derive(Debug)]
pub struct Toolchain {
    rust: Rust,
    linker: PathBuf,
}

/// Rust as installed under one prefix, with a `core` for BPF.
#[derive(Debug, Clone)]
pub struct Rust {
    /// The directory with `cargo`, `rustc` and, perhaps, `cargo-clippy`.
    bin: PathBuf,
    /// Whether `core` is there as source only.
    build_std: bool,
}

impl Toolchain {
    /// The toolchain to use, or which of its two halves are missing.
    pub fn find() -> Result<Self, Missing> {
        match (Rust::find(), find_linker()) {
            (Some(rust), Some(linker)) => Ok(Self { rust, linker }),
            (rust, linker) => Err(Missing { rust: rust.is_none(), linker: linker.is_none() }),
        }
    }
}
