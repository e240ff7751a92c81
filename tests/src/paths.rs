//! Where the built programs and the scratch files are.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// Cargo's target directory: `CARGO_TARGET_DIR`, else `target` in the workspace.
pub fn target_dir() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    workspace.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// What the virtual machines keep between runs: kernels, boot loaders, QEMU.
pub fn vm_cache() -> Result<PathBuf> {
    let path = target_dir().join("vm-cache");
    fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
    Ok(path)
}

/// QEMU: the installed one, else what `cargo xtask setup` has unpacked where none could be
/// installed.
pub fn qemu() -> Result<PathBuf> {
    const PROGRAM: &str = "qemu-system-x86_64";
    let unpacked = vm_cache()?.join("qemu");
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([unpacked])
        .map(|directory| directory.join(PROGRAM))
        .find(|program| program.is_file())
        .with_context(|| format!("there is no {PROGRAM}: run `cargo xtask setup --tests`"))
}

/// The built `aoe-daemon`: `AOE_DAEMON`, else the release build.
pub fn daemon() -> Result<PathBuf> {
    built("AOE_DAEMON", "aoe-daemon")
}

/// The built `aoe` command: `AOE_CLIENT`, else the release build.
pub fn client() -> Result<PathBuf> {
    built("AOE_CLIENT", "aoe")
}

/// The `aoe-daemon` that answers before anything is durable: `AOE_BROKEN_DAEMON`, else a copy that
/// `cargo xtask test` has left beside the release build.
pub fn broken_daemon() -> Result<PathBuf> {
    built("AOE_BROKEN_DAEMON", "aoe-daemon-broken")
}

/// fsx: `AOE_FSX`, else where `cargo xtask setup --tests` installs it.
pub fn fsx() -> Result<PathBuf> {
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    let cargo = env::var_os("CARGO_HOME").map(PathBuf::from).or(home).unwrap_or_default();
    let path = env::var_os("AOE_FSX").map_or_else(|| cargo.join("bin/fsx"), PathBuf::from);
    ensure!(path.is_file(), "there is no {}: run `cargo xtask setup --tests`", path.display());
    Ok(path)
}

fn built(variable: &str, name: &str) -> Result<PathBuf> {
    let path = env::var_os(variable)
        .map_or_else(|| target_dir().join("release").join(name), PathBuf::from);
    ensure!(
        path.is_file(),
        "{} is not built: run `cargo xtask test`, or set {variable}",
        path.display()
    );
    path.canonicalize().context("resolve the program's path")
}

/// A scratch directory under the target directory: a real file system, where fsync and O_DIRECT
/// mean something. It is removed with the value.
pub fn scratch() -> Result<TempDir> {
    let parent = target_dir().join("e2e");
    fs::create_dir_all(&parent).with_context(|| format!("create {}", parent.display()))?;
    tempfile::Builder::new()
        .prefix("scratch-")
        .tempdir_in(parent)
        .context("create a scratch directory")
}
