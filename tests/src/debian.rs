//! Debian packages of any release, for the guests: downloaded and unpacked into the cache, never
//! installed.
//!
//! apt works on a sources list, package lists and a cache of its own here, as if nothing were
//! installed. The machine's apt is neither asked nor changed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::command::{finish, run};
use crate::paths::vm_cache;

/// Where all releases are.
const MIRROR: &str = "http://deb.debian.org/debian";

/// Whose signatures are believed.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A download may have to wait for a slow mirror.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(300);

/// Two tests of one process may ask for the same tree at the same time.
static FILLING: Mutex<()> = Mutex::new(());

/// A tree of the cache. Unless it is there, `fill` makes it in an empty directory.
///
/// It is renamed into place when it is complete: an interrupted download leaves no half tree.
pub fn cached_tree(name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let _guard = FILLING.lock().map_err(|_| anyhow!("another test failed to fill the cache"))?;
    let tree = vm_cache()?.join(name);
    if !tree.exists() {
        let unfinished = empty(vm_cache()?.join(format!("{name}.unfinished")))?;
        fill(&unfinished).with_context(|| format!("make {}", tree.display()))?;
        fs::rename(&unfinished, &tree)?;
    }
    Ok(tree)
}

/// A Debian release, as an apt sees it that knows nothing else.
#[derive(Debug)]
pub struct Release {
    /// Everything of this apt.
    directory: PathBuf,
}

impl Release {
    /// Downloads the package lists of a suite, such as `bookworm`.
    pub fn open(suite: &str) -> Result<Self> {
        let directory = empty(std::path::absolute(vm_cache()?)?.join(format!("apt-{suite}")))?;
        for part in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(directory.join(part))?;
        }
        let source = format!("deb [signed-by={KEYRING}] {MIRROR} {suite} main\n");
        fs::write(directory.join("sources.list"), source)?;
        let release = Self { directory };
        let mut update = release.apt("apt-get");
        // A list that can't be had is an error, and not a warning.
        update.args(["--option=APT::Update::Error-Mode=any", "update"]);
        finish(&mut update, DOWNLOAD_LIMIT)?
            .success()
            .with_context(|| format!("package lists of {suite}"))?;
        Ok(release)
    }

    /// A package and those that it depends on, as far as this release has them.
    pub fn closure(&self, package: &str) -> Result<Vec<String>> {
        let mut command = self.apt("apt-cache");
        command.args(["depends", "--recurse", "--important", package]);
        let text = run(&mut command)?;
        // Relations are indented, and packages that exist in name only stand in brackets.
        let names = text.lines().filter(|line| !line.starts_with([' ', '<']));
        Ok(names.map(str::to_owned).collect())
    }

    /// Downloads packages and unpacks them into one tree.
    pub fn unpack(&self, packages: &[impl AsRef<OsStr>], tree: &Path) -> Result<()> {
        let archives = self.directory.join("archives");
        let mut download = self.apt("apt-get");
        download.arg("download").args(packages).current_dir(&archives);
        finish(&mut download, DOWNLOAD_LIMIT)?.success().context("download packages")?;
        for entry in fs::read_dir(&archives)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                run(Command::new("dpkg-deb").arg("-x").args([path.as_path(), tree]))?;
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn apt(&self, program: &str) -> Command {
        let directory = self.directory.display();
        let mut command = Command::new(program);
        command
            .arg("--quiet=2")
            .arg(format!("--option=Dir::Etc::sourcelist={directory}/sources.list"))
            .arg("--option=Dir::Etc::sourceparts=/dev/null")
            .arg("--option=Dir::Etc::preferences=/dev/null")
            .arg("--option=Dir::Etc::preferencesparts=/dev/null")
            .arg(format!("--option=Dir::State::lists={directory}/lists"))
            .arg("--option=Dir::State::status=/dev/null")
            .arg(format!("--option=Dir::Cache={directory}"))
            // Else apt's own user would need access to all directories above.
            .arg("--option=APT::Sandbox::User=root");
        command
    }
}

/// Makes an empty directory, whatever was there.
fn empty(directory: PathBuf) -> Result<PathBuf> {
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    Ok(directory)
}
