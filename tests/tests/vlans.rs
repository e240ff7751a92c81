//! Exports on VLANs: each in its own, and answered with the tag that was asked with.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use aoe_tests::capture::Capture;
use aoe_tests::command::run;
use aoe_tests::daemon::{Daemon, Setup};
use aoe_tests::frame::{Request, command, opcode};
use aoe_tests::image::{MIB, sparse_image};
use aoe_tests::paths;
use aoe_tests::station::Station;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// For the daemon to say something.
const LIMIT: Duration = Duration::from_secs(5);
/// What the warning about lost tags says to do.
const WARNING: &str = "rxvlan off";

struct Rig {
    wire: Wire,
    scratch: tempfile::TempDir,
}

impl Rig {
    /// A wire, and a configuration with e0.1 untagged, e0.2 on VLAN 5 and e0.3 on VLAN 6.
    fn new() -> Result<Self> {
        let rig = Self { wire: Wire::new(Shape::default())?, scratch: paths::scratch()? };
        let mut text = format!("interfaces = [\"{TARGET_PORT}\"]\n");
        for (slot, vlan) in [(1, 0), (2, 5), (3, 6)] {
            sparse_image(&rig.scratch.path().join(format!("{slot}.img")), MIB)?;
            text += &format!(
                "[[export]]\nshelf = 0\nslot = {slot}\nfile = \"{slot}.img\"\nvlan = {vlan}\n"
            );
        }
        fs::write(rig.scratch.path().join("aoe.toml"), text)?;
        Ok(rig)
    }

    fn start(&self, mode: &str) -> Result<Daemon> {
        let file = self.scratch.path().join("aoe.toml");
        let setup = Setup::with_config(&self.wire.target, &file, self.scratch.path());
        setup.option("--mode", mode).start()
    }

    fn strip_tags(&self, on: bool) -> Result<()> {
        let state = if on { "on" } else { "off" };
        let mut ethtool = self.wire.target.command("ethtool");
        run(ethtool.args(["-K", TARGET_PORT, "rxvlan", state]))?;
        Ok(())
    }
}

/// The tag of a VLAN with a priority.
const fn tag(priority: u16, vlan: u16) -> Option<u16> {
    Some(priority << 13 | vlan)
}

/// A request that is sent, and the slots that have to answer.
struct Case {
    request: Request,
    slots: &'static [u8],
}

fn cases() -> Vec<Case> {
    let config =
        |slot, vlan, slots| Case { request: Request { vlan, ..Request::config(0, slot) }, slots };
    let write = |slot, vlan, slots| Case {
        request: Request {
            vlan,
            ..Request::ata(0, slot, opcode::WRITE, u64::from(slot), &[slot; 512])
        },
        slots,
    };
    vec![
        // Each in its own VLAN, with the priority of the request.
        config(1, None, &[1]),
        config(2, tag(0, 5), &[2]),
        config(2, tag(3, 5), &[2]),
        config(3, tag(7, 6), &[3]),
        // A tag with a priority only is as good as none.
        config(1, tag(0, 0), &[1]),
        config(1, tag(6, 0), &[1]),
        // And in no other.
        config(1, tag(0, 5), &[]),
        config(1, tag(0, 6), &[]),
        config(2, None, &[]),
        config(2, tag(0, 0), &[]),
        config(2, tag(0, 6), &[]),
        config(3, tag(5, 5), &[]),
        config(1, tag(0, 7), &[]),
        // Wildcards too.
        config(0xff, None, &[1]),
        config(0xff, tag(1, 5), &[2]),
        config(0xff, tag(2, 6), &[3]),
        config(0xff, tag(2, 7), &[]),
        // What changes a disk, most of all.
        write(1, None, &[1]),
        write(2, tag(4, 5), &[2]),
        write(3, tag(4, 5), &[]),
        write(3, None, &[]),
        write(1, tag(0, 5), &[]),
    ]
}

fn answers_on_its_vlan_and_on_no_other(mode: &str) -> Result<()> {
    let rig = Rig::new()?;
    rig.strip_tags(false)?;
    let daemon = rig.start(mode)?;
    let capture = Capture::start(&rig.wire.client, CLIENT_PORT, rig.scratch.path())?;
    let mut station = Station::new(&rig.wire.client, CLIENT_PORT)?;
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Case { request, slots } in &cases() {
        let asked = station.send(request)?;
        for slot in *slots {
            let control = request.vlan;
            let vlan = control.map_or(String::new(), |control| (control & 0xfff).to_string());
            let priority = control.map_or(String::new(), |control| (control >> 13).to_string());
            let reply = format!("0x{slot:02x} vlan {vlan} priority {priority}");
            expected.entry(format!("0x{asked:08x}")).or_default().push(reply);
        }
    }
    // What was written is answered when it is durable; then everything else has been, too.
    let write = Request::ata(0, 1, opcode::WRITE, 100, &[1; 512]);
    let last = station.ask(&write)?;
    ensure!(last.command() == command::ATA && last.ata_outcome() == (0x40, 0), "{last:?}");
    daemon.wait_for_status("the writes are done", LIMIT, |status| {
        status.count("bytes_written").is_ok_and(|bytes| bytes == 3 * 512)
    })?;

    let fields = ["aoe.tag", "aoe.minor", "vlan.id", "vlan.priority"];
    let filter = format!("aoe.response == 1 and aoe.tag != 0x{:08x}", last.tag());
    let mut got: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in capture.finish()?.rows(&filter, &fields)? {
        let [asked, slot, vlan, priority] = &row[..] else { anyhow::bail!("{row:?}") };
        let reply = format!("{slot} vlan {vlan} priority {priority}");
        got.entry(asked.clone()).or_default().push(reply);
    }
    ensure!(got == expected, "got {got:#?}\nexpected {expected:#?}");

    for (slot, written) in [(1, true), (2, true), (3, false)] {
        let content = fs::read(rig.scratch.path().join(format!("{slot}.img")))?;
        let sector = &content[usize::from(slot) * 512..][..512];
        ensure!((sector == [slot; 512]) == written, "e0.{slot} has been written or has not");
    }
    daemon.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn every_export_answers_on_its_vlan_and_on_no_other() -> Result<()> {
    answers_on_its_vlan_and_on_no_other("native")
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn so_it_does_where_the_network_stack_runs_the_program() -> Result<()> {
    answers_on_its_vlan_and_on_no_other("generic")
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_card_that_takes_tags_off_is_warned_of() -> Result<()> {
    let rig = Rig::new()?;
    rig.strip_tags(true)?;
    let mut daemon = rig.start("auto")?;
    let line = daemon.process.wait_for_line(WARNING, LIMIT)?;
    ensure!(line.contains("WARN") && line.contains(TARGET_PORT), "{line}");
    daemon.stop()?;
    rig.strip_tags(false)?;
    let log = rig.start("auto")?.stop()?;
    ensure!(!log.contains(WARNING), "warned without a reason:\n{log}");
    Ok(())
}
