//! Programs that run in the background.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::retry::retry_until;

/// How much of a log is printed when its process goes away.
const TAIL_LINES: usize = 60;

/// A running program, both of its output streams in one file. Dropping it kills it and prints the
/// end of its log, which the test runner shows for failed tests only; others
/// [`hush`](Process::hush) it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    is_quiet: bool,
}

impl Process {
    /// Starts `command` with a standard input that [`Process::say`] writes to. `name` is for
    /// messages; `log` is truncated.
    pub fn spawn(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let output = File::create(log).with_context(|| format!("create {}", log.display()))?;
        let child = command
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), is_quiet: false })
    }

    /// Has its end print nothing: for those who are no tests, whose output nobody holds back.
    pub fn hush(&mut self) {
        self.is_quiet = true;
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has said so far.
    pub fn log(&self) -> String {
        fs::read(&self.log).map_or_else(
            |error| format!("{}: {error}", self.log.display()),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    /// Fails if the process has ended.
    pub fn expect_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} has ended: {status}", self.name),
        }
    }

    /// Waits until a line of the log contains `needle` and gives that line. Fails at once when the
    /// process ends without having said it.
    pub fn wait_for_line(&mut self, needle: &str, limit: Duration) -> Result<String> {
        let what = format!("{} says {needle:?}", self.name);
        retry_until(&what, limit, || {
            // Asked before the log is read: what an ended process said last is still found.
            let ended = self.child.try_wait()?;
            let log = self.log();
            if let Some(line) = log.lines().find(|line| line.contains(needle)) {
                return Ok(Ok(line.to_owned()));
            }
            match ended {
                Some(status) => Ok(Err(anyhow!("{what}: it has ended: {status}"))),
                None => bail!("the line is missing"),
            }
        })?
    }

    /// Writes a line to its standard input.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let stdin = self.child.stdin.as_mut().context("standard input is gone")?;
        writeln!(stdin, "{line}")?;
        stdin.flush()?;
        Ok(())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).with_context(|| format!("signal {}", self.name))
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("{} ends", self.name);
        retry_until(&what, limit, || self.child.try_wait()?.context("still running"))
    }

    /// `kill -9`, and waits until the kernel has buried it.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("kill {}: {error:#}", self.name);
        }
        if self.is_quiet {
            return;
        }
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        eprintln!("--- last lines of {} ---\n{}\n---", self.name, tail.join("\n"));
    }
}
