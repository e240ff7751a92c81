//! F: MAC mask lists, and the administrator's own.

use super::support::frame::{CLIENT, Frame, Registers};
use super::support::rig::Rig;
use super::{answers, answers_without_disk, is_silent};
use aoe_common::wire::Mac;

const OTHER: [u8; 6] = [0x02, 0, 0, 0, 0, 9];
const GROUP: [u8; 6] = [0x03, 0, 0, 0, 0, 9];
const ADD: u8 = 1;
const DELETE: u8 = 2;

fn edit(directives: &[(u8, [u8; 6])]) -> Frame {
    let mut argument = vec![0, 1, 0, directives.len() as u8];
    for (command, mac) in directives {
        argument.extend([0, *command]);
        argument.extend(mac);
    }
    Frame::request(2, argument)
}

/// A reply with this list.
fn list(request: &Frame, stations: &[[u8; 6]]) -> Frame {
    let mut argument = vec![0, request.argument[1], 0, stations.len() as u8];
    for mac in stations {
        argument.extend([0, 0]);
        argument.extend(mac);
    }
    request.reply(argument)
}

/// A reply that an edit has stopped.
fn stopped(request: &Frame, error: u8, done: u8) -> Frame {
    request.reply([0, 1, error, done])
}

fn station(number: u16) -> [u8; 6] {
    let [high, low] = number.to_be_bytes();
    [0x06, 0, 0, 0, high, low]
}

/// Directives, and the list that they leave behind.
type Step<'a> = (&'a [(u8, [u8; 6])], &'a [[u8; 6]]);

#[test]
fn f1_to_f9_lists_are_read_and_edited() {
    let mut rig = Rig::new(1500);
    let read = Frame::request(2, [0xFF, 0, 0xFF, 0xFF]);
    answers_without_disk(&mut rig, "F1", &read, &list(&read, &[]));
    let steps: [Step<'_>; 7] = [
        (&[], &[]),
        (&[(0, OTHER)], &[]),
        (&[(ADD, CLIENT)], &[CLIENT]),
        (&[(ADD, CLIENT)], &[CLIENT]),
        (&[(ADD, OTHER), (DELETE, station(1)), (ADD, station(2))], &[CLIENT, OTHER, station(2)]),
        (&[(DELETE, OTHER), (ADD, OTHER), (DELETE, station(2))], &[CLIENT, OTHER]),
        (&[(DELETE, CLIENT), (DELETE, OTHER)], &[]),
    ];
    for (directives, expected) in steps {
        let request = edit(directives);
        answers_without_disk(&mut rig, "edit", &request, &list(&request, expected));
        if expected.is_empty() || expected.contains(&CLIENT) {
            answers_without_disk(&mut rig, "read", &read, &list(&read, expected));
        }
    }
}

/// F3: what comes before the bad directive stays done.
#[test]
fn an_edit_stops_at_what_it_can_not_do() {
    let mut rig = Rig::new(1500);
    for (directives, done) in [
        (vec![(ADD, CLIENT), (9, OTHER), (ADD, OTHER)], 1),
        (vec![(3, OTHER)], 0),
        (vec![(0, CLIENT), (0, CLIENT), (ADD, GROUP)], 2),
        (vec![(ADD, [0xFF; 6])], 0),
    ] {
        let request = edit(&directives);
        answers(&mut rig, "F3, F12", &request, &stopped(&request, 2, done));
    }
    assert_eq!(rig.export().lists().mask, [Mac(CLIENT)]);
}

/// F6: whoever is not on the list gets no answer to anything.
#[test]
fn masked_stations_are_not_answered() {
    let mut rig = Rig::new(1500);
    let set = edit(&[(ADD, OTHER)]);
    answers(&mut rig, "lock-out", &set, &list(&set, &[OTHER]));
    let requests = [
        Frame::config(0),
        Frame::ata(Registers::read48(0, 1)),
        Frame::ata(Registers::command(0xEC)),
        Frame::request(2, [0; 4]),
        Frame::request(3, [0; 2]),
        Frame::request(9, []),
        Frame { version_flags: 0x20, ..Frame::config(0) },
    ];
    for request in &requests {
        is_silent(&mut rig, "F6", &request.bytes());
        is_silent(&mut rig, "F6, wildcard", &request.clone().to(0xFFFF, 0xFF).bytes());
        let request = Frame { source: OTHER, ..request.clone() };
        assert!(rig.ask_one(&request.bytes()).is_some(), "{request:?}");
    }
}

/// F11: as many as a reply on the link can tell, and 255 at most.
#[test]
fn lists_have_room_for_what_a_reply_can_tell() {
    for (mtu, capacity) in [(1500, 185), (2052, 254), (2054, 255), (9000, 255)] {
        let mut rig = Rig::new(mtu);
        for start in (0..capacity).step_by(100) {
            let stations = start..capacity.min(start + 100);
            let directives: Vec<_> = stations.map(|number| (ADD, station(number))).collect();
            let request = Frame { source: station(0), ..edit(&directives) };
            assert!(rig.ask_one(&request.bytes()).is_some_and(|reply| reply[26] == 0));
        }
        assert_eq!(rig.export().lists().mask.len(), usize::from(capacity));
        let one_more = [(ADD, station(0)), (ADD, station(capacity)), (DELETE, station(0))];
        let request = Frame { source: station(0), ..edit(&one_more) };
        answers(&mut rig, "full", &request, &stopped(&request, 3, 1));
        let stations: Vec<_> = (0..capacity).map(station).collect();
        let read = Frame { source: station(0), ..Frame::request(2, [0; 4]) };
        answers(&mut rig, "all of it", &read, &list(&read, &stations));
        // On a narrower link there is no way to tell it.
        rig.port.mtu = 1400;
        is_silent(&mut rig, "narrow", &read.bytes());
    }
}

#[test]
fn what_is_malformed_is_a_bad_argument() {
    let mut rig = Rig::new(1500);
    for (argument, case) in [
        (vec![7, 2, 8, 9], "F2"),
        (vec![0, 0xFF, 0, 0], "another command"),
        (vec![0, 1, 0, 1], "no directive"),
        ([vec![0, 1, 0, 2], vec![0; 15]].concat(), "half a directive"),
        ([vec![0, 1, 0, 0xFF], vec![0; 1480]].concat(), "more than a frame has"),
    ] {
        let request = Frame::request(2, argument);
        let mut reply = request.error(2, 4);
        reply.argument[0] = 0;
        answers_without_disk(&mut rig, case, &request, &reply);
    }
    for length in 24..28 {
        is_silent(&mut rig, "short", &Frame::request(2, [0; 4]).cut(length));
    }
}

#[test]
fn what_can_not_be_remembered_is_an_unspecified_error() {
    let mut rig = Rig::new(1500);
    rig.export().forgetful = true;
    let request = edit(&[(ADD, CLIENT), (ADD, OTHER)]);
    answers(&mut rig, "forgetful", &request, &stopped(&request, 1, 0));
    let nothing = edit(&[(DELETE, CLIENT)]);
    answers(&mut rig, "nothing to remember", &nothing, &list(&nothing, &[]));
}

/// The administrator's lists hold whatever the wire says.
#[test]
fn the_configuration_has_the_first_say() {
    let mut rig = Rig::new(1500);
    let of = |source| Frame { source, ..Frame::config(0) }.bytes();
    let answered = |rig: &mut Rig| {
        [CLIENT, OTHER, station(1)].map(|source| rig.ask_one(&of(source)).is_some())
    };
    rig.set_access(&[], &[OTHER]);
    assert_eq!(answered(&mut rig), [true, false, true]);
    rig.set_access(&[CLIENT, OTHER], &[]);
    assert_eq!(answered(&mut rig), [true, true, false]);
    rig.set_access(&[CLIENT, OTHER], &[OTHER]);
    assert_eq!(answered(&mut rig), [true, false, false]);
    // Being on the list does not help, and not being on it still counts.
    rig.ask_one(&edit(&[(ADD, station(1)), (ADD, OTHER), (ADD, CLIENT)]).bytes());
    assert_eq!(answered(&mut rig), [true, false, false]);
    rig.ask_one(&edit(&[(DELETE, CLIENT)]).bytes());
    assert_eq!(answered(&mut rig), [false, false, false]);
}

/// Announcements go to those who may talk to the target, and to nobody else.
#[test]
fn announcements_go_to_the_list() {
    let mut rig = Rig::new(1500);
    rig.set_access(&[], &[OTHER]);
    assert_eq!(rig.export().target.audience().collect::<Vec<_>>(), [Mac::BROADCAST]);
    rig.set_access(&[CLIENT, OTHER], &[OTHER]);
    assert_eq!(rig.export().target.audience().collect::<Vec<_>>(), [Mac(CLIENT)]);
    rig.ask_one(&edit(&[(ADD, OTHER), (ADD, station(1))]).bytes());
    assert_eq!(rig.export().target.audience().collect::<Vec<_>>(), []);
    rig.set_access(&[], &[OTHER]);
    assert_eq!(rig.export().target.audience().collect::<Vec<_>>(), [Mac(station(1))]);
}
