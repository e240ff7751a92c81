//! Loop devices: block devices made of files.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::command::run;

/// A loop device; dropping it detaches it.
#[derive(Debug)]
pub struct LoopDevice(PathBuf);

impl LoopDevice {
    /// The device of a file; none, and the reason printed, where there are no loop devices.
    pub fn attach(file: &Path) -> Result<Option<Self>> {
        if !Path::new("/dev/loop-control").exists() {
            println!("SKIPPED: this machine has no loop devices (modprobe loop)");
            return Ok(None);
        }
        let device = run(Command::new("losetup").args(["--find", "--show"]).arg(file))?;
        Ok(Some(Self(device.trim_end().into())))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("losetup").arg("--detach").arg(&self.0)) {
            eprintln!("{error:#}");
        }
    }
}
