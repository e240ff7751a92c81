//! Floods from stations that are masked, and wildcards.

use std::fs;

use anyhow::{Result, ensure};
use aoe_tests::frame::{Frame, Request, opcode};

use crate::{Counts, Rig, SILENCE, Stations, expect_dropped, flood};

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_flood_from_a_masked_station_ends_in_the_kernel() -> Result<()> {
    let rig = Rig::new()?;
    let daemon = rig.serve(2)?;
    let Stations { mut friend, mut intruder } = rig.stations()?;
    let client = rig.friend()?;
    for address in ["e0.1", "e0.2"] {
        client.run(&["mask", "add", address, &friend.mac_text()])?;
    }
    flood(&daemon, &mut intruder, &Request::config(0, 1))?;
    flood(&daemon, &mut intruder, &Request::ata(0, 2, opcode::WRITE, 0, &[0xff; 512]))?;
    // Whom no export of a wildcard admits, that does not pass either.
    for (shelf, slot) in [(0xffff, 0xff), (0, 0xff), (0xffff, 1)] {
        expect_dropped(&daemon, &mut intruder, &Request::config(shelf, slot))?;
    }
    flood(&daemon, &mut intruder, &Request::config(0xffff, 0xff))?;
    // Nobody else has noticed.
    ensure!(friend.ask_for(&Request::config(0xffff, 0xff), SILENCE)?.len() == 2);
    client.write("e0.1", 0, &[1; 512])?;
    ensure!(fs::read(rig.scratch.path().join("2.img"))?.iter().all(|byte| *byte == 0));
    daemon.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_wildcard_that_one_export_admits_is_answered_by_that_one_only() -> Result<()> {
    let rig = Rig::new()?;
    let daemon = rig.serve(2)?;
    let Stations { friend, mut intruder } = rig.stations()?;
    rig.friend()?.run(&["mask", "add", "e0.1", &friend.mac_text()])?;
    expect_dropped(&daemon, &mut intruder, &Request::config(0, 1))?;

    for (shelf, slot) in [(0xffff, 0xff), (0, 0xff)] {
        let before = Counts::of(&daemon)?;
        let replies = intruder.ask_for(&Request::config(shelf, slot), SILENCE)?;
        let from: Vec<String> = replies.iter().map(Frame::address).collect();
        ensure!(from == ["e0.2"], "{shelf}.{slot}: {from:?}");
        let after = Counts::of(&daemon)?;
        ensure!(after.in_kernel == before.in_kernel, "{before:?}, then {after:?}");
        ensure!(after.by_targets == before.by_targets + 1, "{before:?}, then {after:?}");
    }
    daemon.stop()?;
    Ok(())
}
