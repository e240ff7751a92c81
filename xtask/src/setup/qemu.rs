//! QEMU, where its package can't be installed: unpacked from packages beside the build.
//!
//! That is so on a machine with QEMU tools of another Debian release, for example: installing the
//! emulator of this one would remove them. The unpacked one comes with everything that it loads,
//! down to the C library, so that nothing of the machine has to fit.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::apt;
use super::toolchain::find_program;
use crate::build::target_dir;

/// The program.
pub(super) const PROGRAM: &str = "qemu-system-x86_64";
/// The Debian package that has it.
pub(super) const PACKAGE: &str = "qemu-system-x86";

/// Starts the unpacked program with its own loader, libraries and data. It may be moved together
/// with `tree`.
const STARTER: &str = r#"#!/bin/sh
tree=$(dirname "$(readlink -f "$0")")/tree
libraries=lib/x86_64-linux-gnu
loader=$tree/$libraries/ld-linux-x86-64.so.2
[ -e "$loader" ] || loader=$tree/usr/$libraries/ld-linux-x86-64.so.2
export QEMU_MODULE_DIR="$tree/usr/$libraries/qemu"
exec "$loader" --library-path "$tree/$libraries:$tree/usr/$libraries" \
    "$tree/usr/bin/qemu-system-x86_64" \
    -L "$tree/usr/share/qemu" -L "$tree/usr/share/seabios" -L "$tree/usr/lib/ipxe/qemu" "$@"
"#;

/// The program, installed or unpacked.
pub(super) fn find() -> Option<PathBuf> {
    find_program(PROGRAM).or_else(|| Some(directory().join(PROGRAM)).filter(|path| path.is_file()))
}

/// Where it is unpacked; the tests look for [`PROGRAM`] in there.
pub(super) fn directory() -> PathBuf {
    target_dir().join("vm-cache/qemu")
}

/// Downloads and unpacks it. Changes nothing outside of [`directory`].
pub(super) fn unpack() -> Result<()> {
    let directory = directory();
    // Renamed into place when it is complete: an interrupted download leaves no half program.
    let unfinished = directory.with_extension("unfinished");
    for remains in [&directory, &unfinished].into_iter().filter(|path| path.exists()) {
        fs::remove_dir_all(remains).with_context(|| format!("remove {}", remains.display()))?;
    }
    let (packages, tree) = (unfinished.join("packages"), unfinished.join("tree"));
    for path in [&packages, &tree] {
        fs::create_dir_all(path).with_context(|| format!("make {}", path.display()))?;
    }
    apt::download(PACKAGE, &packages)?;
    for entry in fs::read_dir(&packages)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            unpack_package(&path, &tree)?;
        }
    }
    fs::remove_dir_all(&packages)?;

    let starter = unfinished.join(PROGRAM);
    fs::write(&starter, STARTER)?;
    fs::set_permissions(&starter, Permissions::from_mode(0o755))?;
    let works = Command::new(&starter).arg("--version").output()?;
    ensure!(
        works.status.success(),
        "the unpacked QEMU does not start: {}",
        String::from_utf8_lossy(&works.stderr)
    );
    fs::rename(&unfinished, &directory)
        .with_context(|| format!("rename {} to {}", unfinished.display(), directory.display()))
}

fn unpack_package(package: &Path, tree: &Path) -> Result<()> {
    let status = Command::new("dpkg-deb").arg("-x").args([package, tree]).status();
    let status = status.context("cannot run dpkg-deb")?;
    ensure!(status.success(), "cannot unpack {} ({status})", package.display());
    Ok(())
}
