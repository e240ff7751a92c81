//! Finds a Rust toolchain that can compile for BPF, and says how to call it.
//!
//! Shared by `aoe-daemon/build.rs` and by xtask, so it needs nothing but `std`. The BPF targets are
//! tier 3: they want a `core` that rustup does not ship compiled, and `bpf-linker` to link. Two
//! kinds of toolchain have that `core`: a distribution's Rust with a compiled one (Debian's
//! `libstd-rust-web-dev-bpf`), and a rustup nightly with the `rust-src` component, which compiles
//! it on the way.
//!
//! Toolchains are looked up in the file system instead of asking `rustup`: that takes microseconds,
//! works where `rustup` is not in `PATH`, and never starts a download. Calling a toolchain's own
//! `cargo` by its path makes both kinds alike.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Rust with a `core` for BPF, and a linker to go with it.
#[derive(Debug)]
pub(crate) struct Toolchain {
    rust: Rust,
    linker: PathBuf,
}

/// A Rust installation that has a `core` for BPF, compiled or as source.
#[derive(Debug)]
pub(crate) struct Rust {
    /// The directory of its `cargo` and `rustc`.
    bin: PathBuf,
    core: Core,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Core {
    Compiled,
    Source,
}

/// The machine that the compiled program is for.
pub(crate) struct Target<'a> {
    /// Architecture as in `CARGO_CFG_TARGET_ARCH`: aya's bindings to the kernel depend on it.
    pub arch: &'a str,
    /// Byte order as in `CARGO_CFG_TARGET_ENDIAN`: `little` or `big`.
    pub endian: &'a str,
}

impl Target<'_> {
    /// The BPF target of that byte order.
    pub(crate) fn triple(&self) -> &'static str {
        if self.endian == "big" { "bpfeb-unknown-none" } else { "bpfel-unknown-none" }
    }
}

impl Toolchain {
    /// The toolchain to use, if the machine has a complete one.
    pub(crate) fn find() -> Option<Self> {
        Some(Self { rust: Rust::find()?, linker: find_linker()? })
    }

    /// `cargo <subcommand>` for the XDP program, in release mode, to be run in the workspace. The
    /// caller adds `--target-dir`.
    pub(crate) fn cargo(&self, subcommand: &str, target: &Target) -> Command {
        // Cargo would look for `cargo-clippy` in PATH, and find another toolchain's.
        let program = if subcommand == "clippy" { "cargo-clippy" } else { "cargo" };
        let mut command = self.rust.command(program);
        command
            .env("CARGO_ENCODED_RUSTFLAGS", self.rustflags(target))
            .args([subcommand, "--package=aoe-ebpf", "--bin=aoe-ebpf", "--release", "--target"])
            .arg(target.triple());
        match self.rust.core {
            // aya-ebpf enables one unstable feature, for its inline assembly.
            Core::Compiled => command.env("RUSTC_BOOTSTRAP", "aya_ebpf"),
            Core::Source => command.arg("-Zbuild-std=core"),
        };
        command
    }

    fn rustflags(&self, target: &Target) -> OsString {
        let mut linker = OsString::from("-Clinker=");
        linker.push(&self.linker);
        let flags = [
            OsString::from(format!("--cfg=bpf_target_arch=\"{}\"", target.arch)),
            // Types and line numbers of the program, for the verifier's messages and bpftool.
            OsString::from("-Cdebuginfo=2"),
            OsString::from("-Clink-arg=--btf"),
            linker,
        ];
        flags.join(OsStr::new("\x1f"))
    }
}

impl Rust {
    /// A Rust installation to use. A compiled `core` comes first: it needs no nightly.
    pub(crate) fn find() -> Option<Self> {
        let system = Path::new("/usr");
        let compiled = Self { bin: system.join("bin"), core: Core::Compiled };
        if compiled.has_cargo_and_rustc() && has_compiled_core(&system.join("lib/rustlib")) {
            return Some(compiled);
        }
        nightly_prefixes().into_iter().find_map(|prefix| {
            let core = prefix.join("lib/rustlib/src/rust/library/core");
            let nightly = Self { bin: prefix.join("bin"), core: Core::Source };
            (nightly.has_cargo_and_rustc() && core.is_dir()).then_some(nightly)
        })
    }

    /// Whether this is the distribution's Rust rather than rustup's.
    pub(crate) fn is_distribution(&self) -> bool {
        self.core == Core::Compiled
    }

    /// The directory of its `cargo`, `rustc` and other programs.
    pub(crate) fn bin(&self) -> &Path {
        &self.bin
    }

    /// One of its programs, by itself: not in the surroundings of the build that runs this.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        for (name, _) in env::vars_os().filter(|(name, _)| belongs_to_outer_build(name)) {
            command.env_remove(name);
        }
        command.env("CARGO", self.bin.join("cargo")).env("RUSTC", self.bin.join("rustc"));
        command
    }

    fn has_cargo_and_rustc(&self) -> bool {
        self.bin.join("cargo").is_file() && self.bin.join("rustc").is_file()
    }
}

/// Whether a rustlib directory has a compiled `core` for both BPF byte orders.
fn has_compiled_core(rustlib: &Path) -> bool {
    ["bpfel-unknown-none", "bpfeb-unknown-none"].iter().all(|triple| {
        let Ok(entries) = fs::read_dir(rustlib.join(triple).join("lib")) else { return false };
        entries.flatten().any(|entry| entry.file_name().as_encoded_bytes().starts_with(b"libcore-"))
    })
}

/// The prefixes of rustup's nightly toolchains, the undated one first.
pub(crate) fn nightly_prefixes() -> Vec<PathBuf> {
    let Some(rustup) = directory("RUSTUP_HOME", ".rustup") else { return Vec::new() };
    let Ok(entries) = fs::read_dir(rustup.join("toolchains")) else { return Vec::new() };
    let mut prefixes: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"nightly-"))
        .map(|entry| entry.path())
        .collect();
    prefixes.sort();
    prefixes.reverse();
    prefixes
}

/// `bpf-linker`, if the machine has it.
pub(crate) fn find_linker() -> Option<PathBuf> {
    find_program("bpf-linker")
}

/// A program in PATH, or where cargo or the system puts programs: under sudo and in CI, and for
/// users who are not root, PATH often lacks one of them.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(cargo_bin())
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}

/// Where `cargo install` puts programs.
pub(crate) fn cargo_bin() -> Option<PathBuf> {
    directory("CARGO_HOME", ".cargo").map(|home| home.join("bin"))
}

/// The directory that an environment variable names, or else one in the user's home.
fn directory(variable: &str, in_home: &str) -> Option<PathBuf> {
    let named = env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    named.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(in_home)))
}

/// Whether an environment variable tells a build for the host how to go about it. Such a variable
/// would send the build for BPF to the wrong compiler, flags or directory.
fn belongs_to_outer_build(name: &OsStr) -> bool {
    const PREFIXES: [&str; 10] = [
        "CARGO_BUILD_",
        "CARGO_ENCODED_",
        "CARGO_INCREMENTAL",
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
        "CARGO_UNSTABLE_",
        "RUSTC",
        "RUSTDOC",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
    ];
    PREFIXES.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
}
