//! B: query config. F and G: MAC mask lists and reservations, which do not exist yet.

use super::support::frame::{Frame, hex};
use super::support::rig::Rig;
use super::{answers_without_disk, is_silent};
use aoe_daemon::target::{BUFFER_COUNT, HEAD_CAPACITY};

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

/// Linux starts a target with half of its buffers.
#[test]
fn a_linux_client_may_have_a_request_in_flight() {
    const { assert!(BUFFER_COUNT >= 2) };
}

/// B13: the longest reply without sector data is a config string, and behind a VLAN tag.
#[test]
fn a_head_holds_the_longest_config_string() {
    assert_eq!(HEAD_CAPACITY, 1056 + 4);
}

/// B4 to B17 want more than this; B18 is final.
#[test]
fn b18_other_sub_commands_are_bad_arguments() {
    let mut rig = Rig::new(1500);
    for sub_command in 1..16 {
        for string in [&b""[..], b"x", b"hello"] {
            let request = Frame::request(1, [0, 0, 0, 0, 0, sub_command, 0, string.len() as u8]);
            let request = request.with_data(string);
            let reply = request.error(2, 8);
            answers_without_disk(&mut rig, &format!("B18: {sub_command}"), &request, &reply);
        }
    }
    let frame = Frame::config(0x0F).bytes();
    let reply = "020000000001 020000000002 88a2 1c 02 0000 01 01 80000001 00000000 00 0f 0000";
    assert_eq!(rig.ask_one(&frame), Some(hex(reply)));
}

#[test]
fn f_g_mask_and_reserve_are_unknown_commands() {
    let mut rig = Rig::new(1500);
    // MAC mask: read, and an edit that adds one address. Reserve: read, and a set of one.
    let requests: [(u8, &[u8]); 4] = [
        (2, &[0, 0, 0, 0]),
        (2, &[0, 1, 0, 1, 0, 1, 2, 0, 0, 0, 0, 1]),
        (3, &[0, 0]),
        (3, &[1, 1, 2, 0, 0, 0, 0, 1]),
    ];
    for (command, argument) in requests {
        let request = Frame::request(command, argument);
        let reply = request.error(1, 0);
        answers_without_disk(&mut rig, &format!("F, G: {command}"), &request, &reply);
    }
    is_silent(&mut rig, "for another target", &Frame::request(2, [0; 4]).to(3, 3).bytes());
}
