//! Programs that are run to their end.

use std::fs;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{io, thread};

use anyhow::{Context, Result, bail, ensure};
use tempfile::NamedTempFile;

/// A limit for commands that have no reason to take long, on a busy machine.
pub const SHORT: Duration = Duration::from_secs(30);

/// Pause between two looks at a running command.
const PAUSE: Duration = Duration::from_millis(2);

/// What a command left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it printed to standard error.
    pub stderr: String,
}

impl Finished {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// This value again, if the command ended with exit code 0; else an error with what it said.
    pub fn success(self) -> Result<Self> {
        ensure!(self.status.success(), "{}\n{}{}", self.status, self.text(), self.stderr);
        Ok(self)
    }
}

/// Runs a command to its end, whatever its exit code. Kills it after `limit` and fails.
///
/// The output goes through files and not pipes, so that a grandchild that keeps them open cannot
/// make this wait.
pub fn finish(command: &mut Command, limit: Duration) -> Result<Finished> {
    let stdout = NamedTempFile::new()?;
    let stderr = NamedTempFile::new()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout.reopen()?)
        .stderr(stderr.reopen()?)
        .spawn()
        .with_context(|| format!("start {command:?}"))?;
    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            bail!(
                "{command:?} did not end within {limit:?}\n{}{}",
                read_text(&stdout)?,
                read_text(&stderr)?
            );
        }
        thread::sleep(PAUSE);
    };
    Ok(Finished { status, stdout: fs::read(stdout.path())?, stderr: read_text(&stderr)? })
}

/// Runs a command that must succeed and gives its standard output as text.
pub fn run(command: &mut Command) -> Result<String> {
    let finished = finish(command, SHORT)?;
    let finished = finished.success().with_context(|| format!("{command:?} failed"))?;
    Ok(finished.text())
}

fn read_text(file: &NamedTempFile) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(file.path())?).into_owned())
}
