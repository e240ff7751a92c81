//! Loop devices: block devices made of files.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::command::run;

/// A loop device; dropping it detaches it.
#[derive(Debug)]
pub struct LoopDevice(PathBuf);

impl LoopDevice {
    /// The device of a file, with these flags of losetup; none, and the reason printed, where there
    /// are no loop devices.
    pub fn attach(file: &Path, flags: &[&str]) -> Result<Option<Self>> {
        if !Path::new("/dev/loop-control").exists() {
            println!("SKIPPED: this machine has no loop devices (modprobe loop)");
            return Ok(None);
        }
        let device = run(Command::new("losetup").args(["--find", "--show"]).args(flags).arg(file))?;
        Ok(Some(Self(device.trim_end().into())))
    }

    /// Has it refuse every write, whoever has it open, or take them again.
    pub fn refuse_writes(&self, refuse: bool) -> Result<()> {
        let flag = if refuse { "--setro" } else { "--setrw" };
        run(Command::new("blockdev").arg(flag).arg(&self.0)).map(drop)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        // Whoever has the device next would find it as it was left.
        let taken_back = self.refuse_writes(false);
        let detached = run(Command::new("losetup").arg("--detach").arg(&self.0));
        for error in [taken_back.err(), detached.err()].into_iter().flatten() {
            eprintln!("{error:#}");
        }
    }
}
