//! G: reservations.

use super::support::frame::{CLIENT, Frame, Registers, pattern};
use super::support::rig::Rig;
use super::{answers, answers_without_disk, is_silent};
use aoe_common::wire::Mac;

const OTHER: [u8; 6] = [0x02, 0, 0, 0, 0, 9];
const SET: u8 = 1;
const FORCE: u8 = 2;

fn reserve(command: u8, stations: &[[u8; 6]]) -> Frame {
    Frame::request(3, [vec![command, stations.len() as u8], stations.concat()].concat())
}

/// A reply with this list.
fn list(request: &Frame, stations: &[[u8; 6]]) -> Frame {
    let head = vec![request.argument[0], stations.len() as u8];
    request.reply([head, stations.concat()].concat())
}

fn refused(request: &Frame, stations: &[[u8; 6]]) -> Frame {
    Frame { version_flags: 0x1C, error: 6, ..list(request, stations) }
}

fn rig_reserved_by(stations: &[[u8; 6]]) -> Rig {
    let mut rig = Rig::new(1500);
    let request = reserve(SET, stations);
    answers_without_disk(&mut rig, "G2", &request, &list(&request, stations));
    rig
}

#[test]
fn g1_to_g10_reservations_are_read_set_and_released() {
    let mut rig = rig_reserved_by(&[]);
    let read = Frame::request(3, [0, 0xFF]);
    answers(&mut rig, "G1", &read, &list(&read, &[]));
    let other = |frame: Frame| Frame { source: OTHER, ..frame };
    let steps = [
        (reserve(SET, &[OTHER]), true, vec![OTHER]),
        (reserve(SET, &[CLIENT]), false, vec![OTHER]),
        (reserve(SET, &[OTHER]), false, vec![OTHER]),
        (reserve(SET, &[]), false, vec![OTHER]),
        (other(reserve(SET, &[CLIENT, OTHER, CLIENT])), true, vec![CLIENT, OTHER, CLIENT]),
        (reserve(SET, &[CLIENT]), true, vec![CLIENT]),
        (other(reserve(SET, &[])), false, vec![CLIENT]),
        (other(reserve(FORCE, &[OTHER])), true, vec![OTHER]),
        (reserve(FORCE, &[]), true, vec![]),
        (reserve(SET, &[CLIENT]), true, vec![CLIENT]),
        (reserve(SET, &[]), true, vec![]),
    ];
    for (request, done, expected) in steps {
        let reply = if done { list(&request, &expected) } else { refused(&request, &expected) };
        answers(&mut rig, &format!("{request:?}"), &request, &reply);
        answers(&mut rig, "read by anybody", &read, &list(&read, &expected));
    }
}

/// G3, G5, G6: what a station may still do that is not on the list.
#[test]
fn others_may_look_and_not_touch() {
    let mut rig = rig_reserved_by(&[OTHER]);
    let before = rig.disk().bytes.clone();
    for opcode in 0..=0xFF {
        if opcode == 0xEC {
            continue;
        }
        let registers = Registers { aflags: 0x41, count: 1, ..Registers::command(opcode) };
        let registers = Registers { reserved: [0xA5; 2], ..registers };
        let request = Frame::ata(registers).with_data(&pattern(2, 1));
        let echo = Registers { reserved: [0; 2], ..registers };
        let reply = Frame { version_flags: 0x1C, error: 6, ..request.reply(echo.bytes()) };
        answers_without_disk(&mut rig, &format!("{opcode:02x}"), &request, &reply);
    }
    assert!(rig.disk().bytes == before);
    let allowed = [
        Frame::ata(Registers::command(0xEC)),
        Frame::config(0),
        Frame::config(4),
        Frame::request(2, [0; 4]),
        Frame::request(2, [0, 1, 0, 0]),
        Frame::request(3, [0; 2]),
    ];
    for request in allowed {
        let reply = rig.ask_one(&request.bytes()).expect("it is answered");
        assert_eq!(reply[14], 0x18, "{request:?}");
    }
    // Whoever is on the list works as ever.
    let read = Frame { source: OTHER, ..Frame::ata(Registers::read48(0, 1)) };
    assert!(rig.ask_one(&read.bytes()).is_some_and(|reply| reply.len() == 548));
    let release = reserve(FORCE, &[]);
    answers(&mut rig, "G9", &release, &list(&release, &[]));
    let read = Frame::ata(Registers::read48(0, 1));
    assert!(rig.ask_one(&read.bytes()).is_some_and(|reply| reply.len() == 548));
}

/// G13: as many as fit a frame, and 255 at most.
#[test]
fn lists_have_room_for_what_a_frame_can_hold() {
    for (mtu, count) in [(1500, 240), (1500, 248), (9000, 255)] {
        let mut rig = Rig::new(mtu);
        let stations: Vec<_> = (0..count).map(|number| [0x06, 0, 0, 0, 0, number]).collect();
        let request = reserve(FORCE, &stations);
        assert_eq!(request.bytes().len(), 26 + 6 * usize::from(count));
        answers(&mut rig, "G13", &request, &list(&request, &stations));
        assert_eq!(rig.export().lists().reserved.len(), usize::from(count));
    }
    let mut rig = rig_reserved_by(&[CLIENT; 240]);
    rig.port.mtu = 1400;
    is_silent(&mut rig, "a narrower link can't tell it", &Frame::request(3, [0; 2]).bytes());
}

#[test]
fn what_is_malformed_is_a_bad_argument() {
    let mut rig = Rig::new(1500);
    for (argument, case) in [
        (vec![3, 0], "G12"),
        (vec![0xFF, 0xFF], "another command"),
        (vec![1, 1], "no station"),
        ([vec![2, 2], vec![2; 11]].concat(), "a station and a half"),
        ([vec![1, 0xFF], vec![2; 1486]].concat(), "G14"),
    ] {
        let request = Frame::request(3, argument);
        answers_without_disk(&mut rig, case, &request, &request.error(2, 2));
    }
    assert_eq!(rig.export().lists().reserved, Vec::<Mac>::new());
    for length in 24..26 {
        is_silent(&mut rig, "short", &Frame::request(3, [0; 2]).cut(length));
    }
}

#[test]
fn what_can_not_be_remembered_is_refused() {
    let mut rig = Rig::new(1500);
    rig.export().forgetful = true;
    for command in [SET, FORCE] {
        let request = reserve(command, &[CLIENT]);
        let reply = Frame { version_flags: 0x1C, error: 3, ..list(&request, &[]) };
        answers(&mut rig, "forgetful", &request, &reply);
    }
}
