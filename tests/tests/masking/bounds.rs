//! More lists than the kernel's part has room for.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use aoe_tests::frame::Request;

use crate::{Counts, Rig, SILENCE, Stations, expect_dropped};

/// Exports with a list each.
const EXPORTS: u8 = 140;
/// Stations on each list, all different. The kernel's part holds 65,536 altogether.
const STATIONS: u16 = 500;

/// What has found room is dropped there, and all else by the targets.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn what_the_kernel_has_no_room_for_is_masked_all_the_same() -> Result<()> {
    let rig = Rig::new()?;
    let Stations { mut friend, mut intruder } = rig.stations()?;
    let mut exports = String::new();
    for number in 0..EXPORTS {
        let file = rig.image(number)?;
        let stations: Vec<String> = (0..STATIONS)
            .map(|station| {
                let [high, low] = station.to_be_bytes();
                format!("\"02:01:00:{number:02x}:{high:02x}:{low:02x}\"")
            })
            .collect();
        // Two shelves: the first one's wildcard finds no room either, and takes none from the
        // second.
        write!(
            exports,
            "[[export]]\nshelf = {}\nslot = {}\nfile = \"{}\"\nallow = [\"{}\", {}]\n",
            number / 120,
            number % 120,
            file.display(),
            friend.mac_text(),
            stations.join(", ")
        )?;
    }
    let daemon = rig.serve_config(&exports)?;
    for (shelf, slot) in [(0, 0), (0, 119), (1, 0)] {
        expect_dropped(&daemon, &mut intruder, &Request::config(shelf, slot))?;
        friend.ask(&Request::config(shelf, slot))?;
    }
    for (shelf, slot, targets) in [(1, 19, 1), (0xffff, 0xff, u64::from(EXPORTS))] {
        let before = Counts::of(&daemon)?;
        let request = Request::config(shelf, slot);
        ensure!(intruder.ask_for(&request, SILENCE)?.is_empty(), "{shelf}.{slot} is answered");
        let after = Counts::of(&daemon)?;
        ensure!(after.by_targets == before.by_targets + targets, "{before:?}, then {after:?}");
        ensure!(after.in_kernel == before.in_kernel, "{before:?}, then {after:?}");
        let answers = friend.ask_for(&request, 5 * SILENCE)?.len() as u64;
        ensure!(answers == targets, "{answers} answers from {shelf}.{slot}");
    }
    // However many names that are, it is one line.
    let log = daemon.stop()?;
    let lines = log.lines().filter(|line| line.contains("cost time in user space")).count();
    ensure!(lines == 1, "{lines} warnings");
    Ok(())
}
