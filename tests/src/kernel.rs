//! Debian's kernels for the guests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::run;
use crate::debian::{Release, cached_tree};

/// The package that depends on a release's newest kernel for virtual machines. It is small, has
/// `aoe.ko`, and ext4 is built in.
const META_PACKAGE: &str = "linux-image-cloud-amd64";

/// What the packages are called that have parts of a kernel. Newer ones are several.
const PARTS: [&str; 4] = ["linux-base-", "linux-binary-", "linux-image-", "linux-modules-"];

/// An unpacked kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What `uname -r` will print.
    pub release: String,
    /// The compressed kernel that QEMU loads.
    pub image: PathBuf,
    /// `/lib/modules/<release>` of the package, with a `modules.dep`.
    pub modules: PathBuf,
}

impl Kernel {
    /// The kernel of Debian 12, the oldest that is supported: Linux 6.1.
    pub fn oldest() -> Result<Self> {
        Self::of("bookworm")
    }

    /// A current kernel. It is kept: a newer one takes removing it from the cache.
    pub fn newest() -> Result<Self> {
        // Sid always has one, but its package lists are long.
        Self::of("trixie-backports")
            .or_else(|error| Self::of("sid").with_context(|| format!("after {error:#}")))
    }

    fn of(suite: &str) -> Result<Self> {
        let tree = cached_tree(&format!("kernel-{suite}"), |tree| unpack(suite, tree));
        Self::at(&tree.with_context(|| format!("the kernel of {suite}"))?)
    }

    /// The kernel in a tree.
    fn at(tree: &Path) -> Result<Self> {
        // Newer packages have everything in one directory.
        let modules = ["lib/modules", "usr/lib/modules"].map(|path| tree.join(path));
        let parent = modules.iter().find(|path| path.exists()).context("no modules")?;
        let modules = fs::read_dir(parent)?.next().context("no modules")??.path();
        let release = modules
            .file_name()
            .and_then(|name| name.to_str())
            .context("the modules directory has no name")?
            .to_owned();
        let images = [modules.join("vmlinuz"), tree.join(format!("boot/vmlinuz-{release}"))];
        let image = images.into_iter().find(|path| path.exists()).context("no vmlinuz")?;
        Ok(Self { release, image, modules })
    }
}

/// Fills a tree with the kernel of a release: its modules are not compressed, and have a
/// `modules.dep`.
fn unpack(suite: &str, tree: &Path) -> Result<()> {
    let release = Release::open(suite)?;
    let mut packages = release.closure(META_PACKAGE)?;
    packages.retain(|package| PARTS.iter().any(|part| package.starts_with(part)));
    release.unpack(&packages, tree)?;
    let kernel = Kernel::at(tree)?;
    let decompress = "find . -name '*.ko.xz' -exec xz --decompress {} +";
    run(Command::new("sh").args(["-ec", decompress]).current_dir(&kernel.modules))?;
    // depmod looks for lib/modules under its base directory.
    let base = kernel.modules.ancestors().nth(3).context("modules at the root of nothing")?;
    run(Command::new("busybox")
        .args(["depmod", "-b"])
        .args([base.as_os_str(), kernel.release.as_ref()]))?;
    Ok(())
}
