//! The target on one core, its client on another, and a virtual cable between them.

use super::image;
use super::load::{self, Answers};
use anyhow::{Context, Result};
use aoe_tests::command::finish;
use aoe_tests::daemon::{Daemon, Setup};
use aoe_tests::paths;
use aoe_tests::vblade;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// MTU of the cable: room for 17 sectors.
const MTU: u32 = 9000;
/// What is behind such a command runs on the target's core, or on the client's.
const ON_TARGET_CORE: [&str; 3] = ["taskset", "-c", "0"];
const ON_CLIENT_CORE: [&str; 3] = ["taskset", "-c", "1"];
/// For a load to end.
const LIMIT: Duration = Duration::from_secs(900);

/// What measures are taken with.
pub(super) struct Rig {
    wire: Wire,
    /// A disk whose blocks are all written.
    pub(super) image: PathBuf,
    /// Files that it does not outlive.
    pub(super) scratch: PathBuf,
    /// How long a load lasts that has no end of its own.
    pub(super) seconds: u64,
}

impl Rig {
    /// Lays the cable. Files go into this directory.
    pub(super) fn new(directory: &Path, seconds: u64) -> Result<Self> {
        let image = image::written(directory)?;
        let wire = Wire::new(Shape { mtu: MTU, queues: 1 })?;
        let scratch = directory.join(format!("run-{}", std::process::id()));
        fs::create_dir_all(&scratch).with_context(|| scratch.display().to_string())?;
        Ok(Self { wire, image, scratch, seconds })
    }

    /// A daemon that serves a disk as e0.1, with more flags separated by spaces.
    pub(super) fn setup(&self, image: &Path, flags: &str) -> Setup<'_> {
        let setup = Setup::new(&self.wire.target, TARGET_PORT, &self.scratch).export(0, 1, image);
        let setup = setup.wrapped(&ON_TARGET_CORE);
        flags.split_whitespace().fold(setup, Setup::flag)
    }

    /// Starts such a daemon, and waits until it has done what it does behind the requests at first.
    pub(super) fn serve(&self, image: &Path, flags: &str) -> Result<Daemon> {
        let mut daemon = self.setup(image, flags).spawn()?;
        daemon.process.hush();
        daemon.wait_until_up()?;
        daemon.process.wait_for_line("the cache has all its memory", LIMIT)?;
        Ok(daemon)
    }

    /// Has the client's end put a load on e0.1, with options of `aoe bench` separated by spaces.
    pub(super) fn load(&self, options: &str) -> Result<Answers> {
        let mut command = self.client("bench")?;
        command.args(options.split_whitespace()).arg("--json");
        let text = finish(&mut command, LIMIT)?.success()?.text();
        let answers = load::parse(&text)?;
        if answers.retransmits > 0 {
            eprintln!("bench: {} retransmits under {options}", answers.retransmits);
        }
        Ok(answers)
    }

    /// The same on a disk that is served for it alone, by a daemon that has just been started.
    pub(super) fn load_on(&self, image: &Path, flags: &str, options: &str) -> Result<Answers> {
        let daemon = self.serve(image, flags)?;
        let answers = self.load(options)?;
        daemon.stop()?;
        Ok(answers)
    }

    /// The same on vblade, which writes through its file with `-s`.
    pub(super) fn load_on_vblade(&self, options: &str) -> Result<Answers> {
        let target = &self.wire.target;
        let mut vblade =
            vblade::start_with(target, TARGET_PORT, &self.image, &["-s"], &ON_TARGET_CORE)?;
        vblade.hush();
        let answers = self.load(options)?;
        vblade.kill()?;
        Ok(answers)
    }

    /// The client's command for e0.1.
    pub(super) fn client(&self, subcommand: &str) -> Result<Command> {
        let [taskset, flag, core] = ON_CLIENT_CORE;
        let mut command = self.wire.client.command(taskset);
        command.args([flag, core]).arg(paths::client()?);
        command.args([subcommand, "e0.1", "--iface", CLIENT_PORT]);
        Ok(command)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.scratch) {
            eprintln!("bench: remove {}: {error}", self.scratch.display());
        }
    }
}
