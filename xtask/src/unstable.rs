//! A Rust that takes unstable flags: a nightly, or else the host's own, told to take them.

use crate::build::workspace;
use crate::setup::toolchain::nightly_prefixes;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A toolchain to use for what is unstable.
pub(crate) struct Unstable {
    /// Where it is installed.
    prefix: PathBuf,
    is_nightly: bool,
}

impl fmt::Display for Unstable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.prefix.file_name().unwrap_or_default().to_string_lossy();
        match self.is_nightly {
            true => write!(f, "{name}"),
            false => write!(f, "{name} with RUSTC_BOOTSTRAP, as there is no nightly"),
        }
    }
}

impl Unstable {
    /// One that ships AddressSanitizer's runtime. Distributions leave it out.
    pub(crate) fn with_address_sanitizer() -> Option<Self> {
        Self::all().find(|toolchain| {
            let library = format!("lib/rustlib/{}/lib", triple());
            let Ok(entries) = fs::read_dir(toolchain.prefix.join(library)) else { return false };
            entries
                .flatten()
                .any(|entry| entry.file_name().to_string_lossy().ends_with("_rt.asan.a"))
        })
    }

    /// One that has Miri, and the source of the standard library that Miri interprets.
    pub(crate) fn with_miri() -> Option<Self> {
        Self::all().find(|toolchain| {
            toolchain.prefix.join("bin/cargo-miri").is_file()
                && toolchain.prefix.join("lib/rustlib/src/rust/library/std").is_dir()
        })
    }

    fn all() -> impl Iterator<Item = Self> {
        let host = Path::new(env!("CARGO")).ancestors().nth(2).unwrap_or(Path::new("/usr"));
        let host = Self { prefix: host.to_owned(), is_nightly: false };
        let nightly = |prefix| Self { prefix, is_nightly: true };
        nightly_prefixes().into_iter().map(nightly).chain([host])
    }

    /// Its cargo, to be run in the workspace for the host, with these flags for what runs there.
    /// What is built stays in a directory of its own, since the flags would displace what other
    /// builds have left.
    pub(crate) fn cargo(&self, subcommand: &[&str], flags: &str, directory: &Path) -> Command {
        let bin = self.prefix.join("bin");
        let mut path = OsString::from(&bin);
        path.push(":");
        path.push(env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new(bin.join("cargo"));
        command
            .current_dir(workspace())
            .args(subcommand)
            // Build scripts and macros run during the build, and take no flags with a target given.
            .args(["--target", &triple(), "--target-dir"])
            .arg(directory)
            .env("PATH", path)
            .env("RUSTFLAGS", flags);
        for outer in ["CARGO", "CARGO_ENCODED_RUSTFLAGS", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
            command.env_remove(outer);
        }
        if !self.is_nightly {
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        command
    }
}

/// The host, as rustc names it.
fn triple() -> String {
    let libc = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    format!("{}-unknown-linux-{libc}", env::consts::ARCH)
}
