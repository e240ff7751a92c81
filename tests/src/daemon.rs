//! `aoe-daemon` as the tests start it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::command::{Finished, SHORT, finish};
use crate::namespace::Namespace;
use crate::paths;
use crate::process::Process;
use crate::retry::retry_until;
use crate::status::Status;

/// From start to the first answer. The daemon itself waits up to 10 s for the locks of one that
/// has been killed.
const START_LIMIT: Duration = Duration::from_secs(20);

/// From SIGTERM to the end.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// How a daemon is to be started; [`Setup::start`] may be called again after each end.
#[derive(Clone, Debug)]
pub struct Setup<'n> {
    namespace: &'n Namespace,
    directory: PathBuf,
    state: PathBuf,
    /// A command that starts the command behind it, such as setpriv.
    wrapper: Vec<String>,
    arguments: Vec<String>,
}

impl<'n> Setup<'n> {
    /// A daemon in `namespace` on `interface`, without exports yet. Its log, its control socket and
    /// its state are in `directory`.
    pub fn new(namespace: &'n Namespace, interface: &str, directory: &Path) -> Self {
        Self::bare(namespace, directory).option("--iface", interface)
    }

    /// A daemon in `namespace` that a configuration file tells everything else. Its log, its
    /// control socket and its state are in `directory`.
    pub fn with_config(namespace: &'n Namespace, file: &Path, directory: &Path) -> Self {
        Self::bare(namespace, directory).option("--config", &file.display().to_string())
    }

    fn bare(namespace: &'n Namespace, directory: &Path) -> Self {
        Self {
            namespace,
            directory: directory.to_owned(),
            state: directory.join("state"),
            wrapper: Vec::new(),
            arguments: Vec::new(),
        }
    }

    /// Has it keep its state elsewhere.
    pub fn state(self, state: &Path) -> Self {
        Self { state: state.to_owned(), ..self }
    }

    /// Adds an export.
    pub fn export(self, shelf: u32, slot: u32, image: &Path) -> Self {
        self.option("--shelf", &shelf.to_string())
            .option("--slot", &slot.to_string())
            .option("--file", &image.display().to_string())
    }

    /// Adds a flag with a value.
    pub fn option(mut self, flag: &str, value: &str) -> Self {
        self.arguments.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    /// Adds a flag without one.
    pub fn flag(mut self, flag: &str) -> Self {
        self.arguments.push(flag.to_owned());
        self
    }

    /// Has it started by a command that takes the daemon's as its last arguments.
    pub fn wrapped(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    fn command(&self) -> Result<Command> {
        let daemon = paths::daemon()?;
        let mut command = match self.wrapper.split_first() {
            None => self.namespace.command(daemon),
            Some((program, arguments)) => {
                let mut command = self.namespace.command(program);
                command.args(arguments).arg(daemon);
                command
            }
        };
        command.args(&self.arguments).arg("--control").arg(self.control());
        command.arg("--state-dir").arg(&self.state);
        Ok(command)
    }

    /// Starts it and waits until it says that it serves.
    pub fn start(&self) -> Result<Daemon> {
        let mut daemon = self.spawn()?;
        daemon.wait_until_up()?;
        Ok(daemon)
    }

    /// Starts it and waits for nothing.
    pub fn spawn(&self) -> Result<Daemon> {
        let log = self.directory.join("daemon.log");
        let process = Process::spawn("aoe-daemon", &mut self.command()?, &log)?;
        Ok(Daemon { process, control: self.control() })
    }

    /// Runs it to its end, for configurations that it must refuse.
    pub fn refuse(&self) -> Result<Finished> {
        finish(&mut self.command()?, SHORT)
    }

    fn control(&self) -> PathBuf {
        self.directory.join("control.sock")
    }
}

/// A running daemon; dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    /// Its process.
    pub process: Process,
    control: PathBuf,
}

impl Daemon {
    /// What it says of itself.
    pub fn status(&self) -> Result<Status> {
        let mut command = Command::new(paths::daemon()?);
        command.args(["status", "--json", "--control"]).arg(&self.control);
        Status::parse(&finish(&mut command, SHORT)?.success()?.text())
    }

    /// Has a target forget what clients have set.
    pub fn clear(&self, arguments: &[&str]) -> Result<Finished> {
        let mut command = Command::new(paths::daemon()?);
        command.arg("clear").args(arguments).arg("--control").arg(&self.control);
        finish(&mut command, SHORT)
    }

    /// SIGHUP: it looks at its files and their sizes.
    pub fn hang_up(&self) -> Result<()> {
        self.process.signal(Signal::HUP)
    }

    /// Waits until the status answers.
    pub fn wait_until_up(&mut self) -> Result<()> {
        retry_until("the daemon serves", START_LIMIT, || {
            // An ended daemon never answers: its log says more than the time limit would.
            match self.process.expect_running() {
                Ok(()) => Ok(Ok(self.status()?)),
                Err(ended) => Ok(Err(ended.context(self.process.log()))),
            }
        })??;
        Ok(())
    }

    /// Waits until the status is as `expected` says, and gives it.
    pub fn wait_for_status(
        &self,
        what: &str,
        limit: Duration,
        expected: impl Fn(&Status) -> bool,
    ) -> Result<Status> {
        retry_until(what, limit, || {
            let status = self.status()?;
            ensure!(expected(&status), "{status}");
            Ok(status)
        })
    }

    /// SIGTERM; gives everything it said, after it has ended with exit code 0.
    pub fn stop(mut self) -> Result<String> {
        self.process.signal(Signal::TERM)?;
        let status = self.process.wait(STOP_LIMIT)?;
        ensure!(status.success(), "the daemon ended with {status}");
        Ok(self.process.log())
    }

    /// `kill -9`.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill().context("kill the daemon")
    }
}
