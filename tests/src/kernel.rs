//! Debian's kernel for the guests: downloaded as a package and unpacked into the cache, never
//! installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::command::{finish, run};
use crate::paths::vm_cache;

/// The package that depends on Debian's newest kernel for virtual machines. It is small, has
/// `aoe.ko`, and ext4 is built in.
const META_PACKAGE: &str = "linux-image-cloud-amd64";

/// A download may have to wait for another apt, or for a slow mirror.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(300);

/// Two tests of one process may ask for the kernel at the same time.
static UNPACKING: Mutex<()> = Mutex::new(());

/// An unpacked kernel package.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What `uname -r` will print.
    pub release: String,
    /// The compressed kernel that QEMU loads.
    pub image: PathBuf,
    /// `/lib/modules/<release>` of the package, with a `modules.dep`.
    pub modules: PathBuf,
}

/// Debian's kernel, from the cache if it is there.
pub fn debian_cloud() -> Result<Kernel> {
    let _guard =
        UNPACKING.lock().map_err(|_| anyhow!("another test failed to unpack the kernel"))?;
    let tree = vm_cache()?.join("kernel");
    if !tree.exists() {
        // Renamed into place when it is complete: an interrupted download leaves no half kernel.
        let unfinished = tree.with_extension("unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        fs::create_dir_all(&unfinished)?;
        download_and_unpack(&unfinished).context("fetch Debian's kernel package")?;
        fs::rename(&unfinished, &tree)?;
    }
    unpacked(&tree)
}

fn download_and_unpack(tree: &Path) -> Result<()> {
    if download(tree).is_err() {
        // The usual reasons are package lists that are stale or missing.
        finish(Command::new("apt-get").args(["-qq", "update"]), DOWNLOAD_LIMIT)?.success()?;
        download(tree)?;
    }
    let package = only_entry(tree, "linux-image-")?;
    run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(tree))?;
    fs::remove_file(&package)?;
    let kernel = unpacked(tree)?;
    run(Command::new("busybox")
        .args(["depmod", "-b"])
        .args([tree.as_os_str(), kernel.release.as_ref()]))?;
    Ok(())
}

fn download(directory: &Path) -> Result<()> {
    let package = real_package()?;
    finish(
        Command::new("apt-get").args(["-qq", "download", &package]).current_dir(directory),
        DOWNLOAD_LIMIT,
    )?
    .success()?;
    Ok(())
}

/// The package with the kernel in it: what the meta package depends on.
fn real_package() -> Result<String> {
    let text = run(Command::new("apt-cache").args(["depends", META_PACKAGE]))?;
    text.lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .map(str::to_owned)
        .with_context(|| format!("{META_PACKAGE} is in no package list"))
}

fn unpacked(tree: &Path) -> Result<Kernel> {
    let modules = only_entry(&tree.join("lib/modules"), "")?;
    let release = modules
        .file_name()
        .and_then(|name| name.to_str())
        .context("the modules directory has no name")?
        .to_owned();
    Ok(Kernel { image: tree.join(format!("boot/vmlinuz-{release}")), release, modules })
}

/// The entry of a directory whose name begins with `prefix`.
fn only_entry(directory: &Path, prefix: &str) -> Result<PathBuf> {
    fs::read_dir(directory)
        .with_context(|| format!("list {}", directory.display()))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with(prefix)
        })
        .with_context(|| format!("no {prefix}* in {}", directory.display()))
}
