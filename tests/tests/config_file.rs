//! The configuration file, as users get it wrong.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use aoe_tests::client::Client;
use aoe_tests::command::{Finished, SHORT, finish};
use aoe_tests::daemon::Setup;
use aoe_tests::image::{MIB, sparse_image};
use aoe_tests::namespace::Namespace;
use aoe_tests::paths;
use aoe_tests::process::Process;
use aoe_tests::retry::retry_until;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};
use rustix::process::Signal;

/// Exit code for a command line that makes no sense.
const USAGE: i32 = 2;

/// A directory with a configuration file.
struct Rig {
    scratch: tempfile::TempDir,
}

impl Rig {
    fn new(text: &str) -> Result<Self> {
        let rig = Self { scratch: paths::scratch()? };
        fs::write(rig.file(), text)?;
        Ok(rig)
    }

    fn file(&self) -> PathBuf {
        self.scratch.path().join("aoe.toml")
    }

    fn image(&self, name: &str) -> Result<PathBuf> {
        let path = self.scratch.path().join(name);
        sparse_image(&path, MIB)?;
        Ok(path)
    }

    fn check(&self) -> Result<Finished> {
        finish(Command::new(paths::daemon()?).arg("check").arg(self.file()), SHORT)
    }

    /// What `check` prints, without the name of the file in front; fails unless it ends with this
    /// exit code.
    fn said(&self, code: i32) -> Result<Vec<String>> {
        let checked = self.check()?;
        let text = checked.text();
        ensure!(checked.status.code() == Some(code), "{}: {text}", checked.status);
        ensure!(checked.stderr.is_empty(), "{}", checked.stderr);
        let name = format!("{}:", self.file().display());
        ensure!(text.lines().all(|line| line.starts_with(&name)), "{text}");
        Ok(text.lines().map(|line| line[name.len()..].to_owned()).collect())
    }
}

/// Fails unless there are as many lines as expected ones, and each begins as expected.
fn expect(lines: &[String], expected: &[&str]) -> Result<()> {
    let fit = lines.iter().zip(expected).all(|(line, expected)| line.starts_with(expected));
    ensure!(lines.len() == expected.len() && fit, "{lines:#?}");
    Ok(())
}

#[test]
fn every_mistake_has_a_line_and_a_column() -> Result<()> {
    let rig = Rig::new(
        r#"interfaces = ["ens33", "eth[0"]
mode = "fast"

[[export]]
shelf = 65535
slot = 1
file = "a.img"
read_only = true

[[export]]
shelf = 0
slot = "2"
file = "b.img"
"#,
    )?;
    expect(
        &rig.said(1)?,
        &[
            "1:24: each of interfaces must be an interface",
            "2:8: mode must be one of",
            "5:9: shelf must be a number from 0 to 65534, not 65535",
            "8:1: unknown key \"read_only\": write read-only",
            "12:8: slot must be a number from 0 to 254, not a string",
        ],
    )
}

#[test]
fn what_is_no_toml_is_said_where_that_shows_first() -> Result<()> {
    let rig = Rig::new("interfaces = [\"ens33\"\n[[export]]\nshelf = \n")?;
    expect(&rig.said(1)?, &["2:1: this is no TOML: missing comma"])
}

#[test]
fn one_disk_by_two_names_and_two_disks_of_one_address() -> Result<()> {
    let rig = Rig::new(
        r#"interfaces = ["*"]
[[export]]
shelf = 0
slot = 1
file = "disk.img"
length = "1M"
[[export]]
shelf = 0
slot = 1
file = "link.img"
offset = 1048064
length = 512
"#,
    )?;
    let image = rig.image("disk.img")?;
    std::os::unix::fs::symlink(&image, rig.scratch.path().join("link.img"))?;
    expect(
        &rig.said(1)?,
        &["8:9: e0.1 is the address of the export in line 3, too", "10:8: e0.1 and e0.1 in line 5"],
    )
}

#[test]
fn files_that_can_not_be_served_are_mistakes_and_missing_ones_warnings() -> Result<()> {
    let rig = Rig::new(
        r#"interfaces = ["*"]
[[export]]
shelf = 0
slot = 1
file = "/dev/null"
[[export]]
shelf = 0
slot = 2
file = "disk.img"
offset = "2M"
[[export]]
shelf = 0
slot = 3
file = "missing.img"
"#,
    )?;
    rig.image("disk.img")?;
    let said = rig.said(1)?;
    let (problems, warnings) = said.split_at(2);
    expect(problems, &["5:8: /dev/null is neither", "10:10: e0.2 needs 2097664 bytes of"])?;
    let missing = warnings.iter().any(|line| line.starts_with("14:8: warning: "));
    ensure!(missing && !rig.scratch.path().join("missing.img").exists(), "{said:#?}");
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn interfaces_that_do_not_exist_are_warned_of() -> Result<()> {
    let rig = Rig::new(
        r#"interfaces = ["port0", "port[1-9]", "lo", "ens33"]
[[export]]
shelf = 0
slot = 1
file = "disk.img"
"#,
    )?;
    rig.image("disk.img")?;
    let namespace = Namespace::new("check")?;
    namespace.ip("link add port0 type veth peer name port1")?;
    let mut check = namespace.command(paths::daemon()?);
    let checked = finish(check.arg("check").arg(rig.file()), SHORT)?.success()?.text();
    let name = rig.file().display().to_string();
    let expected = [
        format!("{name}:1:37: warning: there is no Ethernet interface named lo now"),
        format!("{name}:1:43: warning: there is no Ethernet interface named ens33 now"),
        format!("{name}: 1 export on 4 interface patterns"),
    ];
    ensure!(checked.lines().eq(expected), "{checked}");
    Ok(())
}

#[test]
fn an_image_that_another_process_has_locked_is_left_alone() -> Result<()> {
    let rig =
        Rig::new("interfaces = [\"*\"]\n[[export]]\nshelf = 0\nslot = 1\nfile = \"disk.img\"\n")?;
    let image = fs::File::open(rig.image("disk.img")?)?;
    rustix::fs::flock(&image, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    let checked = rig.check()?.success()?.text();
    ensure!(checked.ends_with(": 1 export on 1 interface pattern\n"), "{checked}");
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_right_file_is_served() -> Result<()> {
    let rig = Rig::new(&format!(
        r#"interfaces = ["{TARGET_PORT}"]
control = "control.sock"
state-dir = "state"
[[export]]
shelf = 3
slot = 1
file = "first.img"
[[export]]
shelf = 3
slot = 2
file = "second.img"
read-only = true
"#
    ))?;
    rig.image("first.img")?;
    rig.image("second.img")?;
    let wire = Wire::new(Shape::default())?;
    let mut serve = wire.target.command(paths::daemon()?);
    serve.arg("--config").arg(rig.file());
    let log = rig.scratch.path().join("daemon.log");
    let mut daemon = Process::spawn("aoe-daemon", &mut serve, &log)?;
    let client = Client::new(&wire.client, CLIENT_PORT)?;
    retry_until("both exports answer", SHORT, || {
        daemon.expect_running()?;
        client.find("e3.1").and(client.find("e3.2"))
    })?;
    client.write("e3.1", 0, &[0xA5; 512])?;
    ensure!(client.write("e3.2", 0, &[0xA5; 512]).is_err(), "e3.2 is read-only");
    ensure!(rig.scratch.path().join("control.sock").exists(), "the control socket is elsewhere");
    daemon.signal(Signal::TERM)?;
    ensure!(daemon.wait(SHORT)?.success(), "{}", daemon.log());
    Ok(())
}

#[test]
fn a_wrong_file_is_not_served() -> Result<()> {
    let rig = Rig::new("interfaces = []\nfoo = 1\n")?;
    let file = rig.file();
    let refused = finish(Command::new(paths::daemon()?).arg("--config").arg(&file), SHORT)?;
    ensure!(refused.status.code() == Some(1), "{}", refused.status);
    let lines: Vec<_> = refused.stderr.lines().collect();
    let name = format!("aoe-daemon: {}:", file.display());
    ensure!(lines.len() == 3 && lines.iter().all(|line| line.starts_with(&name)), "{lines:#?}");
    Ok(())
}

#[test]
fn a_file_and_the_short_form_exclude_each_other() -> Result<()> {
    let rig = Rig::new("")?;
    let mut both = Command::new(paths::daemon()?);
    both.arg("--config").arg(rig.file()).args("--iface a --shelf 0 --slot 1 --file x".split(' '));
    let refused = finish(&mut both, SHORT)?;
    ensure!(refused.status.code() == Some(USAGE), "{}", refused.status);
    ensure!(refused.stderr.lines().count() == 1, "{}", refused.stderr);
    ensure!(refused.stderr.contains("--config <PATH>' cannot be used with"), "{}", refused.stderr);
    Ok(())
}

#[test]
fn a_file_that_is_not_there_is_named() -> Result<()> {
    let missing = paths::scratch()?.path().join("missing.toml");
    for arguments in [["check"], ["--config"]] {
        let refused = finish(Command::new(paths::daemon()?).args(arguments).arg(&missing), SHORT)?;
        ensure!(refused.status.code() == Some(1), "{}", refused.status);
        ensure!(refused.stderr.lines().count() == 1, "{}", refused.stderr);
        ensure!(refused.stderr.contains("missing.toml can't be read"), "{}", refused.stderr);
    }
    Ok(())
}

#[test]
fn a_thousand_exports_are_checked_at_once() -> Result<()> {
    let export = |number| {
        let (shelf, slot) = (number / 200, number % 200);
        format!("[[export]]\nshelf = {shelf}\nslot = {slot}\nfile = \"{number}.img\"\n")
    };
    let exports: String = (0..1000).map(export).collect();
    let rig = Rig::new(&format!("interfaces = [\"ens3[0-3]\"]\n{exports}"))?;
    for number in 0..1000 {
        rig.image(&format!("{number}.img"))?;
    }
    let checked = rig.check()?.success()?.text();
    ensure!(checked.ends_with(": 1000 exports on 1 interface pattern\n"), "{checked}");
    Ok(())
}

/// What an export says of its durability weighs more than what the file says of all, and the command
/// line more than both. Clients, status and log are told.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn durability_is_a_matter_of_each_export() -> Result<()> {
    let rig = Rig::new(&format!(
        "interfaces = ['{TARGET_PORT}']\ndurability = 'writeback'\n\
         [[export]]\nshelf = 0\nslot = 1\nfile = 'a.img'\n\
         [[export]]\nshelf = 0\nslot = 2\nfile = 'b.img'\ndurability = 'always'\n"
    ))?;
    rig.image("a.img")?;
    rig.image("b.img")?;
    let wire = Wire::new(Shape::default())?;
    let setup = Setup::with_config(&wire.target, &rig.file(), rig.scratch.path());
    let client = Client::new(&wire.client, CLIENT_PORT)?;
    let without = setup.clone().option("--cache", "0");
    let refusal = without.clone().refuse()?;
    ensure!(refusal.status.code() == Some(USAGE), "{}", refusal.status);
    ensure!(refusal.stderr.contains("durability writeback contradicts"), "{}", refusal.stderr);
    for (setup, expected) in [
        (setup, ["writeback", "always"]),
        (without.option("--durability", "always"), ["always"; 2]),
    ] {
        let daemon = setup.start()?;
        let status = daemon.status()?;
        for (address, durability) in ["e0.1", "e0.2"].into_iter().zip(expected) {
            let told = &status.export(address)?.durability;
            ensure!(told == durability, "{address}: {told}");
            let has_cache = &client.json(&["identify", address])?["write_cache"]["enabled"];
            ensure!(*has_cache == (durability == "writeback"), "{address}: {has_cache}");
        }
        let log = daemon.stop()?;
        let warned = log.lines().filter(|line| line.contains("writeback: what is acknowledged"));
        let expected = expected.iter().filter(|one| **one == "writeback").count();
        ensure!(warned.count() == expected, "{log}");
    }
    Ok(())
}
