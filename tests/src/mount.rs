//! File systems of a test's own.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::run;
use crate::image::MIB;

/// A mounted file system; dropping it thaws and unmounts it, even while it is used.
#[derive(Debug)]
pub struct Mount {
    path: PathBuf,
}

impl Mount {
    /// A file system in memory, with room for so many mebibytes.
    pub fn memory(path: &Path, mebibytes: u64) -> Result<Self> {
        let size = format!("size={mebibytes}M");
        Self::at(path, &["-t", "tmpfs", "-o", &size, "aoe-test"])
    }

    /// An ext4 file system on a device.
    pub fn ext4(path: &Path, device: &Path) -> Result<Self> {
        run(Command::new("/usr/sbin/mkfs.ext4").args(["-q", "-F"]).arg(device))?;
        Self::at(path, &[&device.display().to_string()])
    }

    /// What these arguments of mount say.
    pub fn at(path: &Path, arguments: &[&str]) -> Result<Self> {
        fs::create_dir(path).with_context(|| format!("make {}", path.display()))?;
        run(Command::new("mount").args(arguments).arg(path))?;
        Ok(Self { path: path.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills what is left of it with a file, and gives that.
    pub fn fill(&self) -> Result<PathBuf> {
        let filler = self.path.join("filler");
        let mut file = fs::File::create(&filler)?;
        for size in [MIB as usize, 4096, 512] {
            let some = vec![1; size];
            loop {
                let before = file.metadata()?.len();
                // It ends with the error that is wanted.
                while file.write_all(&some).is_ok() {}
                // A file system that allocates late had set too much aside.
                file.sync_all()?;
                if file.metadata()?.len() == before {
                    break;
                }
            }
        }
        Ok(filler)
    }

    /// Has everything that writes to it wait.
    pub fn freeze(&self) -> Result<()> {
        run(Command::new("fsfreeze").arg("--freeze").arg(&self.path))?;
        Ok(())
    }

    /// Ends that.
    pub fn thaw(&self) -> Result<()> {
        run(Command::new("fsfreeze").arg("--unfreeze").arg(&self.path))?;
        Ok(())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // It fails where nothing is frozen.
        let _ = self.thaw();
        if let Err(error) = run(Command::new("umount").arg("--lazy").arg(&self.path)) {
            eprintln!("{error:#}");
        }
    }
}
