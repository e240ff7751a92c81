//! What the daemon remembers, where it can't be kept or has been damaged.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aoe_tests::client::Client;
use aoe_tests::command::run;
use aoe_tests::daemon::{Daemon, Setup};
use aoe_tests::frame::{Request, command};
use aoe_tests::image::{MIB, random_image};
use aoe_tests::paths;
use aoe_tests::station::Station;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// For the daemon to say something.
const SOON: Duration = Duration::from_secs(5);

/// A mounted filesystem; dropping it unmounts it.
struct Mounted(PathBuf);

impl Mounted {
    fn new(arguments: &[&str], at: &Path) -> Result<Self> {
        run(Command::new("mount").args(arguments).arg(at))?;
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // The daemon may have its own view of it still.
        if let Err(error) = run(Command::new("umount").arg("--lazy").arg(&self.0)) {
            eprintln!("{error:#}");
        }
    }
}

/// A wire, and an image of random bytes.
struct Rig {
    wire: Wire,
    scratch: tempfile::TempDir,
    content: Vec<u8>,
}

impl Rig {
    fn new() -> Result<Self> {
        let scratch = paths::scratch()?;
        let content = random_image(&scratch.path().join("disk.img"), MIB as usize, 70)?;
        Ok(Self { wire: Wire::new(Shape::default())?, scratch, content })
    }

    fn setup(&self) -> Setup<'_> {
        let image = self.scratch.path().join("disk.img");
        Setup::new(&self.wire.target, TARGET_PORT, self.scratch.path()).export(0, 1, &image)
    }

    /// The state directory.
    fn state(&self) -> PathBuf {
        self.scratch.path().join("state")
    }

    fn client(&self) -> Result<Client<'_>> {
        Client::new(&self.wire.client, CLIENT_PORT)
    }

    /// Starts a daemon that remembers this config string, and stops it.
    fn remember(&self, string: &str) -> Result<()> {
        let daemon = self.setup().start()?;
        self.client()?.run(&["config", "set", "e0.1", "--force", string])?;
        daemon.stop()?;
        Ok(())
    }

    fn config_string(&self) -> Result<String> {
        Ok(self.client()?.run(&["config", "get", "e0.1"])?.text().trim_end().to_owned())
    }

    /// Fails unless the daemon refuses every edit, in the way of each, and does all else.
    fn expect_no_edits(&self, daemon: &Daemon) -> Result<()> {
        let mut station = Station::new(&self.wire.client, CLIENT_PORT)?;
        let own = station.mac();
        let string = self.config_string()?;
        // Set a config string and a reservation: device unavailable.
        let set = [&[0, 0, 0, 0, 0, 4, 0, 2][..], b"hi"].concat();
        let reserve = [&[1, 1][..], &own].concat();
        for (of, argument) in [(command::CONFIG, set), (command::RESERVE, reserve)] {
            let reply = station.ask(&Request::new(0, 1, of, argument))?;
            ensure!((reply.flags(), reply.error()) == (0x1c, 3), "{of}: {reply:?}");
        }
        // Edit the mask list: unspecified error, no directive done.
        let add = [&[0, 1, 0, 1, 0, 1][..], &own].concat();
        let reply = station.ask(&Request::new(0, 1, command::MASK, add))?;
        ensure!((reply.flags(), reply.error()) == (0x18, 0), "{reply:?}");
        ensure!(reply.argument()[..4] == [0, 1, 1, 0], "{reply:?}");
        ensure!(!daemon.clear(&["e0.1", "--config-string"])?.status.success() || string.is_empty());

        let client = self.client()?;
        ensure!(self.config_string()? == string, "the string has changed");
        let unavailable = ["config", "set", "e0.1", "--force", "x"];
        client.refused(&unavailable, &["device unavailable"])?;
        ensure!(client.read("e0.1", 0, 2048)? == self.content, "wrong data read");
        client.write("e0.1", 0, &self.content[..512])?;
        let status = daemon.status()?;
        let export = status.export("e0.1")?;
        ensure!(export.mask.is_empty() && export.reserved.is_empty() && !export.failed, "{status}");
        Ok(())
    }
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn without_a_state_directory_it_serves_and_takes_no_edits() -> Result<()> {
    let rig = Rig::new()?;
    fs::write(rig.state(), "a file in its place")?;
    let mut daemon = rig.setup().start()?;
    let line = daemon.process.wait_for_line("the state directory can't be used", SOON)?;
    ensure!(line.contains("WARN") && line.contains("--state-dir"), "{line}");
    rig.expect_no_edits(&daemon)?;
    ensure!(fs::read(rig.state())? == b"a file in its place", "the file has changed");
    daemon.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_read_only_state_directory_is_read_and_said_at_the_start() -> Result<()> {
    let rig = Rig::new()?;
    rig.remember("kept")?;
    let state = rig.state();
    let _bound = Mounted::new(&["--bind", &state.display().to_string()], &state)?;
    run(Command::new("mount").args(["--options", "remount,ro,bind"]).arg(&state))?;
    let mut daemon = rig.setup().start()?;
    let line = daemon.process.wait_for_line("can't be written", SOON)?;
    ensure!(line.contains("WARN") && line.contains("state"), "{line}");
    ensure!(rig.config_string()? == "kept", "what was remembered is not in force");
    rig.expect_no_edits(&daemon)?;
    daemon.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_damaged_state_is_put_aside_and_said() -> Result<()> {
    let rig = Rig::new()?;
    rig.remember("lost")?;
    let file = rig.state().join("e0.1.json");
    let whole = fs::read(&file)?;
    let half = &whole[..whole.len() / 2];
    fs::write(&file, half)?;
    let mut daemon = rig.setup().start()?;
    let line = daemon.process.wait_for_line("a damaged state file was put aside", SOON)?;
    ensure!(line.contains("WARN") && line.contains("e0.1.json.bad"), "{line}");
    ensure!(rig.config_string()?.is_empty(), "half a state is in force");
    ensure!(!file.exists(), "it was not put aside but copied");
    ensure!(fs::read(rig.state().join("e0.1.json.bad"))? == half, "it was not kept as it was");
    // From here on it remembers again.
    rig.client()?.run(&["config", "set", "e0.1", "new"])?;
    daemon.kill()?;
    let log = {
        let daemon = rig.setup().start()?;
        ensure!(rig.config_string()? == "new", "it was not remembered");
        daemon.stop()?
    };
    ensure!(!log.contains("damaged"), "it complains again:\n{log}");
    ensure!(fs::read(rig.state().join("e0.1.json.bad"))? == half, "it was not kept");
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn two_daemons_do_not_share_a_state_directory() -> Result<()> {
    let rig = Rig::new()?;
    let first = rig.setup().start()?;
    rig.wire.lay_between("target1", "client1", Shape::default())?;
    let directory = rig.scratch.path().join("second");
    fs::create_dir(&directory)?;
    let image = directory.join("disk.img");
    random_image(&image, MIB as usize, 71)?;
    let second = Setup::new(&rig.wire.target, "target1", &directory).export(0, 2, &image);
    let refusal = second.clone().state(&rig.state()).refuse()?;
    ensure!(refusal.status.code() == Some(1), "{}: {}", refusal.status, refusal.stderr);
    let is_logged = |line: &&str| line.contains(" WARN ") || line.contains(" INFO ");
    let said: Vec<&str> = refusal.stderr.lines().filter(|line| !is_logged(line)).collect();
    ensure!(said.len() == 1 && said[0].contains("--state-dir"), "{said:#?}");
    // The first one has not noticed, and the second one has only to do as it was told.
    let second = second.start()?;
    rig.client()?.find("e0.1")?;
    Client::new(&rig.wire.client, "client1")?.find("e0.2")?;
    second.stop()?;
    first.stop()?;
    Ok(())
}

/// Writes until there is no space left.
fn fill(path: &Path) -> Result<()> {
    let mut file = File::create(path)?;
    let page = [0xff; 4096];
    loop {
        match file.write_all(&page) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error).context("fill it"),
        }
    }
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn without_space_an_edit_is_refused_and_the_old_state_stays() -> Result<()> {
    let rig = Rig::new()?;
    fs::create_dir(rig.state())?;
    let _small = Mounted::new(&["-t", "tmpfs", "-o", "size=64k", "tmpfs"], &rig.state())?;
    let mut daemon = rig.setup().start()?;
    let client = rig.client()?;
    client.run(&["config", "set", "e0.1", "kept"])?;
    let filler = rig.state().join("filler");
    fill(&filler)?;
    rig.expect_no_edits(&daemon)?;
    let line = daemon.process.wait_for_line("can't be remembered", SOON)?;
    ensure!(line.contains("ERROR") && line.contains("e0.1"), "{line}");
    daemon.kill()?;
    let daemon = rig.setup().start()?;
    ensure!(rig.config_string()? == "kept", "the old state is lost");

    // As soon as there is space, edits are taken.
    fs::remove_file(filler)?;
    client.run(&["config", "set", "e0.1", "--force", "new"])?;
    daemon.kill()?;
    let daemon = rig.setup().start()?;
    ensure!(rig.config_string()? == "new", "it was not remembered");
    daemon.stop()?;
    Ok(())
}
