//! An ext4 partition inside an image file, looked at without mounting it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::command::{SHORT, finish, run};

/// The sectors that partition tables count in, in bytes.
const SECTOR_BYTES: u64 = 512;

/// The first partition of an image.
#[derive(Debug)]
pub struct Partition {
    image: PathBuf,
    offset_bytes: u64,
}

impl Partition {
    /// Reads the partition table with sfdisk.
    pub fn first(image: &Path) -> Result<Self> {
        let text = run(Command::new("/usr/sbin/sfdisk").arg("--json").arg(image))?;
        let table: Value = serde_json::from_str(&text).context("read sfdisk's JSON")?;
        let start = table
            .pointer("/partitiontable/partitions/0/start")
            .and_then(Value::as_u64)
            .context("the image has no partition")?;
        Ok(Self { image: image.to_owned(), offset_bytes: start * SECTOR_BYTES })
    }

    /// Fails if the file system is not clean.
    pub fn check(&self) -> Result<()> {
        let mut command = Command::new("/usr/sbin/e2fsck");
        command.args(["-f", "-n"]).arg(self.specification());
        finish(&mut command, SHORT)?
            .success()
            .context("the file system in the image is damaged")?;
        Ok(())
    }

    /// The MD5 sum of a file in it, in hexadecimal.
    pub fn md5_of(&self, file: &str, scratch: &Path) -> Result<String> {
        let copy = scratch.join("copied-out");
        run(Command::new("/usr/sbin/debugfs")
            .args(["-R", &format!("dump {file} {}", copy.display())])
            .arg(self.specification()))?;
        let text = run(Command::new("md5sum").arg(&copy))?;
        let sum = text.split(' ').next().unwrap_or_default();
        ensure!(sum.len() == 32, "md5sum printed {text:?}");
        Ok(sum.to_owned())
    }

    /// What e2fsprogs call the partition.
    fn specification(&self) -> String {
        format!("{}?offset={}", self.image.display(), self.offset_bytes)
    }
}
