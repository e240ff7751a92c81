//! A guest's files, as archives that the kernel unpacks at boot.
//!
//! A guest's initramfs is two cpio archives one after the other: the base, with everything that
//! comes from the host and the kernel package and is cached, and an overlay with what one test
//! adds. They are not compressed: an emulated processor unpacks slower than QEMU loads.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::command::run;
use crate::kernel::Kernel;
use crate::paths::vm_cache;

/// Host programs in every guest, besides busybox. Scripts run by bash or busybox's shell.
const BASE_PROGRAMS: &[&str] =
    &["aoe-discover", "aoe-revalidate", "aoe-stat", "e2fsck", "mkfs.ext4", "sfdisk"];

/// Modules in every guest; those that they depend on come along.
const BASE_MODULES: &[&str] = &["aoe", "virtio_net", "virtio_pci"];

/// Which host file becomes which file of the guest.
#[derive(Debug, Default)]
struct Manifest(BTreeMap<PathBuf, PathBuf>);

impl Manifest {
    fn add(&mut self, guest: impl Into<PathBuf>, host: impl Into<PathBuf>) {
        self.0.insert(guest.into(), host.into());
    }

    /// A program of the host and the shared libraries it loads.
    fn add_program(&mut self, guest: impl Into<PathBuf>, host: &Path) -> Result<()> {
        for library in shared_libraries(host)? {
            self.add(&library, &library);
        }
        self.add(guest, host);
        Ok(())
    }

    /// Kernel modules with what they depend on, and the lists by which the guest finds them.
    fn add_modules(&mut self, kernel: &Kernel, names: &[&str]) -> Result<()> {
        let in_guest = Path::new("/lib/modules").join(&kernel.release);
        let mut list = |name: &str| {
            let file = kernel.modules.join(name);
            let text = fs::read_to_string(&file);
            self.add(in_guest.join(name), &file);
            text.with_context(|| format!("read {}", file.display()))
        };
        let (dependencies, builtin) = (list("modules.dep")?, list("modules.builtin")?);
        for name in names {
            let file = format!("/{name}.ko");
            if builtin.lines().any(|line| line.ends_with(&file)) {
                continue;
            }
            let line = dependencies
                .lines()
                .find(|line| line.split(':').next().is_some_and(|module| module.ends_with(&file)))
                .with_context(|| format!("kernel {} has no module {name}", kernel.release))?;
            for file in line.split_whitespace() {
                let file = file.trim_end_matches(':');
                self.add(in_guest.join(file), kernel.modules.join(file));
            }
        }
        Ok(())
    }

    /// Changes when a file is added, moved or replaced.
    fn fingerprint(&self) -> Result<u64> {
        let mut hasher = DefaultHasher::new();
        for (guest, host) in &self.0 {
            let metadata =
                fs::metadata(host).with_context(|| format!("look at {}", host.display()))?;
            let modified = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH)?;
            (guest, metadata.len(), modified).hash(&mut hasher);
        }
        Ok(hasher.finish())
    }

    fn copy_into(&self, root: &Path) -> Result<()> {
        for (guest, host) in &self.0 {
            let path = inside(root, guest)?;
            fs::copy(host, &path)
                .with_context(|| format!("copy {} to {}", host.display(), path.display()))?;
        }
        Ok(())
    }
}

/// The files that one test adds to the base.
#[derive(Debug)]
pub struct Overlay {
    root: TempDir,
    programs: Manifest,
    modules: Vec<&'static str>,
}

impl Overlay {
    /// An overlay whose `/job.sh` is `job`, with the boot script that runs it.
    pub fn new(job: &str) -> Result<Self> {
        let overlay = Self {
            root: crate::paths::scratch()?,
            programs: Manifest::default(),
            modules: Vec::new(),
        };
        overlay.script("/init", include_str!("../guest/init.sh"))?;
        overlay.script("/steps.sh", include_str!("../guest/steps.sh"))?;
        overlay.script("/job.sh", job)?;
        Ok(overlay)
    }

    /// Adds a program of the host, with its libraries, as `/usr/bin/<its name>`.
    pub fn program(&mut self, host: &Path) -> Result<()> {
        let name = host.file_name().context("a program without a name")?;
        self.programs.add_program(Path::new("/usr/bin").join(name), host)
    }

    /// Adds a module of the kernel, with those that it depends on.
    pub fn module(&mut self, name: &'static str) {
        self.modules.push(name);
    }

    /// Writes base and overlay to `archive`.
    pub fn pack(mut self, kernel: &Kernel, archive: &Path) -> Result<()> {
        self.programs.add_modules(kernel, &self.modules)?;
        self.programs.copy_into(self.root.path())?;
        let base = base(kernel)?;
        fs::copy(&base, archive).with_context(|| format!("copy {}", base.display()))?;
        append_cpio(self.root.path(), archive)
    }

    fn script(&self, guest: &str, text: &str) -> Result<()> {
        let path = inside(self.root.path(), Path::new(guest))?;
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }
}

/// The base archive for a kernel, from the cache unless one of its files has changed.
fn base(kernel: &Kernel) -> Result<PathBuf> {
    let mut manifest = Manifest::default();
    manifest.add_program("/bin/busybox", &on_host("busybox")?)?;
    manifest.add_program("/bin/bash", &on_host("bash")?)?;
    for name in BASE_PROGRAMS {
        manifest.add_program(Path::new("/usr/bin").join(name), &on_host(name)?)?;
    }
    manifest.add_modules(kernel, BASE_MODULES)?;

    let archive = vm_cache()?.join(format!("base-{:016x}.cpio", manifest.fingerprint()?));
    if !archive.exists() {
        let root = crate::paths::scratch()?;
        manifest.copy_into(root.path())?;
        let unfinished = root.path().with_extension("cpio");
        append_cpio(root.path(), &unfinished)?;
        fs::rename(&unfinished, &archive)?;
    }
    Ok(archive)
}

/// Appends a cpio archive of a directory tree to a file.
fn append_cpio(root: &Path, archive: &Path) -> Result<()> {
    let pack = r#"find . -mindepth 1 | cpio --quiet -o -H newc -R 0:0 >> "$0""#;
    run(Command::new("sh")
        .args(["-ec", pack])
        .arg(std::path::absolute(archive)?)
        .current_dir(root))
    .context("pack an initramfs")?;
    Ok(())
}

/// The host's path of a guest's absolute path, its directory created.
fn inside(root: &Path, guest: &Path) -> Result<PathBuf> {
    let path = root.join(guest.strip_prefix("/")?);
    let parent = path.parent().context("a file at the root of nothing")?;
    fs::create_dir_all(parent)?;
    Ok(path)
}

/// Finds a program where Debian installs programs, whatever the caller's `PATH`.
fn on_host(name: &str) -> Result<PathBuf> {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.exists())
        .with_context(|| format!("{name} is not installed"))
}

/// What `ldd` says a program loads; nothing for a script or a static program.
fn shared_libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let finished = crate::command::finish(Command::new("ldd").arg(program), crate::command::SHORT)?;
    let text = finished.text();
    ensure!(!text.contains("not found"), "{} lacks a shared library:\n{text}", program.display());
    Ok(text
        .split_whitespace()
        .filter(|word| word.starts_with('/') && !word.ends_with(':'))
        .map(PathBuf::from)
        .collect())
}
