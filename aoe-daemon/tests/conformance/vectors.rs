//! The byte vectors of `tests/vectors`, against the core as a function.
//!
//! Rows that need a real file, and restarts, are for the daemon alone: `tests/tests/vectors`.

use super::support::rig::Rig;
use aoe_daemon::target;
use aoe_tests::vectors::{self, Fault, Session, Setup, Step};

/// A rig as a session wants it.
fn rig(setup: &Setup) -> Rig {
    let mut rig = Rig::new(setup.mtu);
    rig.exports.clear();
    for (shelf, slot) in &setup.exports {
        match setup.content() {
            Some(content) => rig.add(*shelf, *slot, setup.vlan, setup.read_only, content),
            None => rig.add_sized(*shelf, *slot, setup.vlan, setup.read_only, setup.sectors),
        }
    }
    rig.disk().fault = setup.fault.map(|fault| match fault {
        Fault::Read => target::Fault::ReadFailed,
        Fault::Write => target::Fault::WriteFailed,
    });
    rig
}

/// Why the core alone can't have this session, if it can't.
fn left_out(setup: &Setup) -> Option<&'static str> {
    if setup.holes {
        return Some("a disk of this size is no memory");
    }
    (setup.tail > 0).then_some("the core is told a number of sectors")
}

/// What is wrong in a session, one line for each row.
fn mistakes(session: &Session) -> Vec<String> {
    let mut rig = rig(&session.setup);
    let mut mistakes = Vec::new();
    for step in &session.steps {
        match step {
            Step::Case(case) => {
                let replies = rig.ask(&case.request);
                if let Some(why) = vectors::mismatch(&case.replies, &replies) {
                    mistakes.push(format!("{} (line {}): {why}", case.id, case.line));
                }
            }
            // What the core knows is kept by others, and what is stored the rows read back.
            Step::Restart | Step::Stored { .. } => {}
        }
    }
    mistakes
}

fn check(letter: char) {
    let mut all = Vec::new();
    for session in vectors::sessions(letter).unwrap() {
        match left_out(&session.setup) {
            Some(reason) => println!("session {} is left out: {reason}", session.name),
            None => all.extend(mistakes(&session)),
        }
    }
    assert!(all.is_empty(), "{} rows of {letter}:\n{}", all.len(), all.join("\n"));
}

#[test]
fn a_framing_and_addressing() {
    check('a');
}

#[test]
fn b_query_config() {
    check('b');
}

#[test]
fn c_identify_device() {
    check('c');
}

#[test]
fn d_reads_and_writes() {
    check('d');
}

#[test]
fn e_other_ata_commands() {
    check('e');
}

#[test]
fn f_mac_mask_lists() {
    check('f');
}

#[test]
fn g_reservations() {
    check('g');
}

#[test]
fn h_what_clients_send() {
    check('h');
}

/// A row that is off by one byte anywhere is noticed: the vectors bite.
#[test]
fn no_byte_of_a_reply_goes_unnoticed() {
    for letter in vectors::letters() {
        for session in vectors::sessions(letter).unwrap() {
            for case in session.cases() {
                for (which, expected) in case.replies.iter().enumerate() {
                    let mut reply = expected.example();
                    let last = reply.len() - 1;
                    // Addresses, version, error, tag, and the last byte there is.
                    for at in [0, 5, 6, 11, 12, 14, 15, 19, 23, last] {
                        reply[at] ^= 0x80;
                        let noticed = expected.mismatch(&reply).is_some();
                        assert!(noticed, "{}, reply {which}, byte {at}", case.id);
                        reply[at] ^= 0x80;
                    }
                }
            }
        }
    }
}
