//! B: query config, and announcements.

use super::support::frame::{Frame, hex};
use super::support::rig::Rig;
use super::{answers, answers_without_disk, is_silent};
use aoe_common::wire::Mac;
use aoe_daemon::target::{HEAD_CAPACITY, Port};

const ANSWER: [u8; 8] = [0, 64, 0, 1, 2, 0x10, 0, 0];

#[test]
fn b1_a_read_ignores_length_and_string() {
    let mut rig = Rig::new(1500);
    let garbage = Frame::request(1, [0, 0, 0, 0, 0, 0, 4, 0]).with_data(&[0xED; 1024]);
    answers_without_disk(&mut rig, "B1", &garbage, &garbage.reply(ANSWER));
    let lying = Frame::request(1, [0, 0, 0, 0, 0, 0, 0xFF, 0xFF]);
    answers_without_disk(&mut rig, "a length past the frame", &lying, &lying.reply(ANSWER));
}

#[test]
fn b20_a_read_ignores_what_only_replies_say() {
    let mut rig = Rig::new(1500);
    for version in 0..16 {
        let request = Frame::request(1, [0xFF, 0xFE, 0xFD, 0xFC, 0xFB, version << 4, 0xFA, 0xF9]);
        answers_without_disk(&mut rig, "B20", &request, &request.reply(ANSWER));
    }
}

/// The longest reply without sector data is a MAC mask list behind a VLAN tag, longer than B13's
/// config string.
#[test]
fn a_head_holds_the_longest_list() {
    assert_eq!(HEAD_CAPACITY, 24 + 4 + 4 + 255 * 8);
    const { assert!(HEAD_CAPACITY > 1056 + 4) };
}

fn query(sub_command: u8, string: &[u8]) -> Frame {
    let [high, low] = (string.len() as u16).to_be_bytes();
    Frame::request(1, [0, 0, 0, 0, 0, sub_command, high, low]).with_data(string)
}

/// The answer to a query while this string is stored.
fn answer(request: &Frame, string: &[u8]) -> Frame {
    let [high, low] = (string.len() as u16).to_be_bytes();
    let sub_command = 0x10 | request.argument[5];
    request.reply([0, 64, 0, 1, 2, sub_command, high, low]).with_data(string)
}

/// Sub-command, string, and the string that is answered, if any is.
type Step = (u8, &'static [u8], Option<&'static [u8]>);

#[test]
fn b4_to_b17_strings_are_set_tested_and_cleared() {
    let mut rig = Rig::new(1500);
    let long: &[u8] = &[0xED; 1024];
    let steps: [Step; 22] = [
        (1, b"", Some(b"")),
        (1, b"x", None),
        (2, b"", Some(b"")),
        (2, b"x", None),
        (3, b"", Some(b"")),
        (3, b"hello", Some(b"hello")),
        (3, b"hello", Some(b"hello")),
        (0, b"", Some(b"hello")),
        (2, b"hel", Some(b"hello")),
        (2, b"hello", Some(b"hello")),
        (2, b"hello!", None),
        (2, b"", Some(b"hello")),
        (1, b"hel", None),
        (1, b"", None),
        (1, b"hello", Some(b"hello")),
        (4, long, Some(long)),
        (1, long, Some(long)),
        (1, &long[1..], None),
        (4, b"hi", Some(b"hi")),
        (1, b"hi", Some(b"hi")),
        (4, b"", Some(b"")),
        (1, b"", Some(b"")),
    ];
    for (sub_command, string, expected) in steps {
        let request = query(sub_command, string);
        let case = format!("{sub_command} {}", string.escape_ascii());
        match expected {
            Some(stored) => {
                answers_without_disk(&mut rig, &case, &request, &answer(&request, stored));
            }
            None => is_silent(&mut rig, &case, &request.bytes()),
        }
    }
}

#[test]
fn b9_another_string_is_refused_with_the_one_that_is_set() {
    let mut rig = Rig::new(1500);
    let first = query(3, b"hello");
    answers(&mut rig, "B7", &first, &answer(&first, b"hello"));
    for other in [&b"other"[..], b"hell", b"hello!", b""] {
        let request = query(3, other);
        let reply = Frame { version_flags: 0x1C, error: 4, ..answer(&request, b"hello") };
        answers(&mut rig, "B9", &request, &reply);
    }
    assert_eq!(rig.export().lists().config_string, b"hello");
}

/// Padding is no part of a string, but what is there may be more than the string.
#[test]
fn strings_end_where_their_length_says() {
    let mut rig = Rig::new(1500);
    let request = query(4, b"hello").with_data(&[0xA5; 40]);
    let reply = Frame { argument: request.argument[..13].to_vec(), ..request.clone() };
    answers(&mut rig, "trailing bytes", &request, &answer(&reply, b"hello"));
    for sub_command in 1..=4 {
        for (length, present) in [(1025, 1025), (0xFFFF, 1400), (6, 5), (1024, 1023)] {
            let [high, low] = u16::to_be_bytes(length);
            let request = Frame::request(1, [0, 0, 0, 0, 0, sub_command, high, low])
                .with_data(&vec![b'x'; present]);
            is_silent(&mut rig, &format!("{sub_command}: {length} of {present}"), &request.bytes());
        }
    }
    assert_eq!(rig.export().lists().config_string, b"hello");
}

#[test]
fn b18_other_sub_commands_are_bad_arguments() {
    let mut rig = Rig::new(1500);
    for sub_command in 5..16 {
        for string in [&b""[..], b"x", b"hello"] {
            let request = query(sub_command, string);
            let reply = request.error(2, 8);
            answers_without_disk(&mut rig, &format!("B18: {sub_command}"), &request, &reply);
        }
    }
    let frame = Frame::config(0x0F).bytes();
    let reply = "020000000001 020000000002 88a2 1c 02 0000 01 01 80000001 00000000 00 0f 0000";
    assert_eq!(rig.ask_one(&frame), Some(hex(reply)));
}

/// What can't be made durable is not done, and the client may try again.
#[test]
fn what_can_not_be_remembered_is_refused() {
    let mut rig = Rig::new(1500);
    rig.export().forgetful = true;
    for sub_command in [3, 4] {
        let request = query(sub_command, b"hello");
        let reply = Frame { version_flags: 0x1C, error: 3, ..answer(&request, b"") };
        answers(&mut rig, "forgetful", &request, &reply);
    }
    let same = query(4, b"");
    answers(&mut rig, "nothing to remember", &same, &answer(&same, b""));
}

/// A link on which a string does not fit says nothing rather than half of it.
#[test]
fn a_string_is_told_whole_or_not_at_all() {
    let mut rig = Rig::new(600);
    let short = query(4, &[b'x'; 582]);
    assert!(rig.ask_one(&short.bytes()).is_some());
    is_silent(&mut rig, "a longer one", &query(4, &[b'x'; 583]).bytes());
    is_silent(&mut rig, "read", &Frame::config(0).bytes());
    let cleared = rig.ask_one(&query(4, b"").bytes());
    assert!(cleared.is_some_and(|reply| reply[30..32] == [0, 0]));
}

#[test]
fn announcements_are_replies_that_nobody_asked_for() {
    let mut rig = Rig::new(1500);
    rig.ask_one(&query(3, b"hello").bytes());
    rig.add(7, 3, 5, false, Vec::from([0; 512]));
    let expected = [
        "ffffffffffff 020000000002 88a2 18 00 0000 01 01 00000000 0040 0001 02 10 0005 68656c6c6f",
        "ffffffffffff 020000000002 8100 0005 88a2 18 00 0007 03 01 00000000 0040 0001 02 10 0000",
    ];
    for (export, (expected, shortest)) in rig.exports.iter().zip(expected.into_iter().zip([60, 64]))
    {
        let audience: Vec<_> = export.target.audience().collect();
        assert_eq!(audience, [Mac::BROADCAST]);
        let mut head = [0xA5; HEAD_CAPACITY];
        let length = export.target.announce(&rig.port, audience[0], &mut head).unwrap();
        let mut expected = hex(expected);
        expected.resize(shortest, 0);
        assert_eq!(head[..length], expected[..]);
        let narrow = Port { max_sectors: 0, ..rig.port };
        assert_eq!(export.target.announce(&narrow, Mac::BROADCAST, &mut head), None);
    }
}
