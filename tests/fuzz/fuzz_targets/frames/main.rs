//! Frames into the protocol core, with disks in memory behind it.
//!
//! An input is a link and what happens on it one after the other, so that later frames meet what
//! earlier ones have left: strings, lists, reservations, data. `Rig::ask` checks every reply; here
//! is what holds between them.

#![no_main]

mod event;
#[path = "../../../../aoe-daemon/tests/support/mod.rs"]
mod support;

use aoe_daemon::target::HEAD_CAPACITY;
use event::{Below, Event, SECTORS};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::{Corpus, fuzz_target};
use std::sync::LazyLock;
use support::frame::pattern;
use support::rig::Rig;

/// Bytes that a link carries behind the Ethernet header: two usual ones, one that is good for one
/// sector, and one that is good for none.
const MTUS: [usize; 4] = [1500, 9000, 548, 100];
/// Events of one input. More would only make inputs slower.
const EVENTS: usize = 32;

/// One for each link: e0.1, the read-only e0.2, and e7.3 on VLAN 5.
static RIGS: LazyLock<[Rig; 4]> = LazyLock::new(|| {
    MTUS.map(|mtu| {
        let mut rig = Rig::with_disk(mtu, false, pattern(1, SECTORS));
        rig.add(0, 2, 0, true, pattern(2, SECTORS));
        rig.add(7, 3, 5, false, pattern(3, SECTORS));
        rig
    })
});

fuzz_target!(|input: &[u8]| -> Corpus {
    match run(&mut Unstructured::new(input)) {
        Ok(()) => Corpus::Keep,
        Err(_) => Corpus::Reject,
    }
});

fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let mut rig = input.choose(RIGS.as_slice())?.clone();
    for _ in 0..EVENTS {
        if input.is_empty() {
            break;
        }
        match Event::next(input)? {
            Event::Below(below) => {
                stand_on(&mut rig, below);
                announce(&mut rig);
            }
            Event::Frame(frame) => {
                if let Some(reply) = ask(&mut rig, &frame).first() {
                    // Were replies answered, two targets would never stop.
                    assert!(ask(&mut rig, reply).is_empty(), "a reply to a reply");
                }
            }
        }
    }
    Ok(())
}

fn stand_on(rig: &mut Rig, below: Below) {
    let Below { fault, forgetful, reachable, access: [allow, deny] } = below;
    for export in &mut rig.exports {
        export.disk.fault = fault;
        export.forgetful = forgetful;
        export.change(|target| target.with_reachable(reachable));
    }
    rig.set_access(&allow, &deny);
}

/// Has all targets announce themselves to whom that concerns.
fn announce(rig: &mut Rig) {
    for target in rig.exports.clone().into_iter().map(|export| export.target) {
        for station in target.audience() {
            let mut buffer = vec![0xA5; HEAD_CAPACITY];
            let Some(length) = target.announce(&rig.port, station, &mut buffer) else { continue };
            buffer.truncate(length);
            assert!(
                (60..=14 + 4 + rig.mtu).contains(&length),
                "{length} bytes announce {target:?}"
            );
            assert_eq!(buffer[..6], station.0, "it goes to whom it is for");
            assert!(ask(rig, &buffer).is_empty(), "an announcement was answered");
        }
    }
}

/// Sends a frame, and checks what holds for all of them.
fn ask(rig: &mut Rig, frame: &[u8]) -> Vec<Vec<u8>> {
    let replies = rig.ask(frame);
    assert!(replies.len() <= rig.exports.len(), "{} replies", replies.len());
    for export in &mut rig.exports {
        export.disk.asked.clear();
    }
    let read_only = &rig.exports[1].disk.bytes;
    assert!(*read_only == RIGS[0].exports[1].disk.bytes, "a read-only disk has changed");
    replies
}
