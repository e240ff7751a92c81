//! tshark: what was on the wire, as a third party decodes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::command::run;
use crate::namespace::Namespace;
use crate::process::Process;
use crate::retry::retry_until;

/// Time for tshark to start or to write out what it has.
const LIMIT: Duration = Duration::from_secs(20);

/// A capture of the AoE frames of one interface that is going on.
#[derive(Debug)]
pub struct Capture {
    tshark: Process,
    file: PathBuf,
}

impl Capture {
    /// Starts capturing on an interface, into `capture.pcapng` in `directory`.
    pub fn start(namespace: &Namespace, interface: &str, directory: &Path) -> Result<Self> {
        let file = directory.join("capture.pcapng");
        let mut command = namespace.command("dumpcap");
        command.args(["-q", "-i", interface, "-f", "ether proto 0x88a2", "-w"]).arg(&file);
        let mut tshark = Process::spawn("dumpcap", &mut command, &directory.join("dumpcap.log"))?;
        tshark.wait_for_line("File:", LIMIT)?;
        Ok(Self { tshark, file })
    }

    /// Stops capturing and gives what was captured.
    ///
    /// The kernel hands frames over in batches, so it first waits until the file stops growing.
    pub fn finish(mut self) -> Result<Captured> {
        let mut length = 0;
        retry_until("the capture is written", LIMIT, || {
            std::thread::sleep(Duration::from_millis(500));
            let before = std::mem::replace(&mut length, fs::metadata(&self.file)?.len());
            ensure!(length == before && length > 0, "still growing");
            Ok(())
        })?;
        self.tshark.signal(Signal::INT)?;
        self.tshark.wait(LIMIT)?;
        Ok(Captured { file: self.file })
    }
}

/// A finished capture.
#[derive(Debug)]
pub struct Captured {
    file: PathBuf,
}

impl Captured {
    /// For every frame that matches a display filter, the values of `fields`.
    pub fn rows(&self, filter: &str, fields: &[&str]) -> Result<Vec<Vec<String>>> {
        let mut command = Command::new("tshark");
        command.arg("-r").arg(&self.file);
        command.args(["-Y", filter, "-T", "fields", "-E", "separator=;"]);
        for field in fields {
            command.args(["-e", field]);
        }
        let text = run(&mut command).context("decode the capture")?;
        Ok(text.lines().map(|line| line.split(';').map(str::to_owned).collect()).collect())
    }
}
