//! A: which frames are answered, and how every reply is framed.

use super::support::frame::{BROADCAST, CLIENT, Frame, Registers, TARGET, hex, pattern};
use super::support::rig::{Rig, sectors_per_frame};
use super::{answers, answers_without_disk, is_silent};
use aoe_common::counters::Counter;
use aoe_common::steer::Verdict;
use aoe_common::wire::Mac;

/// Discovery's answer, the whole frame: 64 buffers, firmware version 1, 2 sectors.
const DISCOVERED: &str = "020000000001 020000000002 88a2 18 00 0000 01 01 80000001
                          0040 0001 02 10 0000";

fn discover() -> Frame {
    Frame { destination: BROADCAST, ..Frame::config(0).to(0xFFFF, 0xFF) }
}

#[test]
fn a1_a2_a3_a4_discovery() {
    let mut rig = Rig::new(1500);
    let mut padded = discover().bytes();
    padded.resize(60, 0);
    let frames = [
        ("A1", padded),
        ("A2", discover().bytes()),
        ("A3", discover().to(0xFFFF, 1).bytes()),
        ("A4", discover().to(0, 0xFF).bytes()),
        ("exact address, broadcast", discover().to(0, 1).bytes()),
        ("exact address, unicast", Frame::config(0).bytes()),
    ];
    for (case, frame) in frames {
        assert_eq!(rig.ask_one(&frame), Some(hex(DISCOVERED)), "{case}");
    }
}

#[test]
fn a5_a6_frames_for_others_are_not_answered() {
    let mut rig = Rig::new(1500);
    let other_station = [0x02, 0, 0, 0, 0, 9];
    let group = [0x01, 0, 0x5E, 0, 0, 1];
    let frames = [
        ("A5", discover().to(7, 1)),
        ("another slot", discover().to(0, 2)),
        ("A6", Frame { version_flags: 0x18, ..discover() }),
        ("a response with an error", Frame { version_flags: 0x1C, ..discover() }),
        ("another destination", Frame { destination: other_station, ..discover() }),
        ("a group as the source", Frame { source: group, ..discover() }),
        ("broadcast as the source", Frame { source: BROADCAST, ..discover() }),
        ("our own source", Frame { source: TARGET, ..discover() }),
    ];
    for (case, frame) in frames {
        is_silent(&mut rig, case, &frame.bytes());
    }
}

#[test]
fn a7_a9_nothing_of_the_requests_flags_or_error_comes_back() {
    let mut rig = Rig::new(1500);
    let stray = [(0x14, 0), (0x11, 0), (0x12, 0), (0x17, 9), (0x10, 9), (0x10, 0xFF)];
    for (version_flags, error) in stray {
        let frame = Frame { version_flags, error, ..discover() };
        let case = format!("A7, A9: flags {version_flags:02x}, error {error}");
        assert_eq!(rig.ask_one(&frame.bytes()), Some(hex(DISCOVERED)), "{case}");
        let read = Frame { version_flags, error, ..Frame::ata(Registers::read48(0, 1)) };
        let reply = read.reply(Registers::read48(0, 1).done(0x40, 0, 0).bytes());
        let data = rig.disk().bytes[..512].to_vec();
        answers(&mut rig, &case, &read, &reply.with_data(&data));
    }
}

#[test]
fn a10_a11_a12_foreign_versions() {
    let mut rig = Rig::new(1500);
    let unsupported = hex("020000000001 020000000002 88a2 1c 05 0000 01 01 80000001");
    for version in (0..16).filter(|version| *version != 1) {
        let foreign = |frame: Frame| Frame { version_flags: version << 4, ..frame }.bytes();
        let reply = rig.ask_one(&foreign(Frame::config(0)));
        assert_eq!(reply, Some(unsupported.clone()), "A10, A11: version {version}");
        is_silent(&mut rig, "A12", &foreign(Frame::config(0).to(0xFFFF, 0xFF)));
        is_silent(&mut rig, "A12, either wildcard", &foreign(Frame::config(0).to(0, 0xFF)));
        is_silent(&mut rig, "A12, either wildcard", &foreign(Frame::config(0).to(0xFFFF, 1)));
    }
    // A version that we don't know may have other headers: its length is not ours to judge.
    let bare = Frame { version_flags: 0x20, ..Frame::request(0, []) };
    answers(&mut rig, "A11, header only", &bare, &bare.error(5, 0));
}

#[test]
fn a13_a14_a15_a16_frames_cut_within_their_header_are_not_answered() {
    let mut rig = Rig::new(1500);
    let command = Frame::ata(Registers::command(0xE5)).with_data(&[0; 24]);
    let query = Frame::config(0).with_data(&[0; 28]);
    for vlan in [None, Some(0)] {
        let tag = if vlan.is_some() { 4 } else { 0 };
        for length in 14..36 + tag {
            let frame = Frame { vlan, ..command.clone() }.cut(length);
            is_silent(&mut rig, &format!("A13, A14, A15: {length} bytes"), &frame);
        }
        for length in 14..32 + tag {
            let frame = Frame { vlan, ..query.clone() }.cut(length);
            is_silent(&mut rig, &format!("A13, A16: {length} bytes"), &frame);
        }
        let whole = Frame { vlan, ..command.clone() }.cut(36 + tag);
        assert!(rig.ask_one(&whole).is_some(), "36 bytes are an ATA command");
        let whole = Frame { vlan, ..query.clone() }.cut(32 + tag);
        assert!(rig.ask_one(&whole).is_some(), "32 bytes are a query");
    }
}

#[test]
fn a17_a18_unknown_commands() {
    let mut rig = Rig::new(1500);
    for command in 4..=0xFF {
        let reply =
            hex(&format!("020000000001 020000000002 88a2 1c 01 0000 01 {command:02x} 80000001"));
        for argument in [vec![], vec![0xA5; 36], vec![0xA5; 1400]] {
            let frame = Frame::request(command, argument);
            assert_eq!(rig.ask_one(&frame.bytes()), Some(reply.clone()), "A17, A18: {command:02x}");
            let wild = frame.to(0xFFFF, 0xFF);
            assert_eq!(rig.ask_one(&wild.bytes()), Some(reply.clone()), "{command:02x} to all");
        }
    }
}

#[test]
fn a22_a23_a24_vlans() {
    let mut rig = Rig::new(1500);
    rig.add(0, 5, 5, false, pattern(5, 8));
    let tagged = |control, frame: Frame| Frame { vlan: Some(control), ..frame };
    let config = [0, 64, 0, 1, 2, 0x10, 0, 0];

    is_silent(&mut rig, "A22", &tagged(5, Frame::config(0)).bytes());
    is_silent(&mut rig, "A22, everybody on another VLAN", &tagged(6, discover()).bytes());
    is_silent(&mut rig, "the VLAN's target, untagged", &Frame::config(0).to(0, 5).bytes());
    is_silent(&mut rig, "the VLAN's target, VLAN 0", &tagged(0, Frame::config(0).to(0, 5)).bytes());

    for control in [5, 0xE005, 0x1005] {
        let request = tagged(control, discover());
        let reply = Frame { slot: 5, ..request.reply(config) };
        answers(&mut rig, &format!("A23: {control:04x}"), &request, &reply);
    }
    for control in [0, 0x6000, 0xF000] {
        let request = tagged(control, Frame::config(0));
        answers(&mut rig, &format!("A24: {control:04x}"), &request, &request.reply(config));
    }
    let registers = Registers::read48(3, 2);
    let request = tagged(0xE005, Frame::ata(registers).to(0, 5));
    let reply = Frame { slot: 5, ..request.reply(registers.done(0x40, 0, 0).bytes()) };
    let data = rig.exports[1].disk.bytes[3 * 512..5 * 512].to_vec();
    answers(&mut rig, "a read in a VLAN", &request, &reply.with_data(&data));
    let registers = Registers::write48(3, 1);
    let sector = pattern(77, 1);
    let request = tagged(5, Frame::ata(registers).to(0, 5).with_data(&sector));
    let reply = Frame { slot: 5, ..request.reply(registers.done(0x40, 0, 0).bytes()) };
    answers(&mut rig, "a write in a VLAN", &request, &reply);
    assert_eq!(rig.exports[1].disk.bytes[3 * 512..4 * 512], sector);
    // Only 511 bytes of data remain behind the tag.
    let cut = request.cut(4 + 36 + 511);
    let reply = Frame { slot: 5, ..request.error(2, 12) }.padded();
    assert_eq!(rig.ask_one(&cut), Some(reply), "a write in a VLAN, cut short");
}

#[test]
fn a26_other_ether_types_are_passed_up() {
    let rig = Rig::new(1500);
    for ether_type in [0x0800, 0x0806, 0x88A1, 0x88A8, 0x88F7] {
        let frame = Frame { ether_type, ..Frame::config(0) }.bytes();
        assert_eq!(rig.verdict(&frame), Verdict::Pass(Counter::PassedNotAoe), "A26");
        let tagged = Frame { ether_type, vlan: Some(0), ..Frame::config(0) }.bytes();
        assert_eq!(rig.verdict(&tagged), Verdict::Pass(Counter::PassedNotAoe), "A26, tagged");
    }
}

#[test]
fn a27_tags_are_echoed() {
    let mut rig = Rig::new(1500);
    for tag in [[0; 4], [0xFF; 4], [0x18, 0xAE, 0, 7], [1, 2, 3, 4]] {
        let request = Frame { tag, ..Frame::ata(Registers::command(0xE5)) };
        let reply = request.reply(Registers::command(0xE5).done(0x40, 0, 0xFF).bytes());
        answers_without_disk(&mut rig, "A27", &request, &reply);
    }
}

#[test]
fn a28_every_target_answers_a_wildcard_under_its_own_address() {
    let mut rig = Rig::new(1500);
    rig.add(0, 2, 0, false, pattern(2, 8));
    rig.add(9, 1, 0, true, pattern(3, 8));
    let config = [0, 64, 0, 1, 2, 0x10, 0, 0];
    let cases = [
        (0xFFFF, 0xFF, vec![(0, 1), (0, 2), (9, 1)]),
        (0xFFFF, 1, vec![(0, 1), (9, 1)]),
        (0, 0xFF, vec![(0, 1), (0, 2)]),
        (9, 0xFF, vec![(9, 1)]),
        (0, 2, vec![(0, 2)]),
        (9, 2, vec![]),
    ];
    for (shelf, slot, expected) in cases {
        let request = discover().to(shelf, slot);
        let replies: Vec<_> = expected
            .iter()
            .map(|(shelf, slot)| request.reply(config).to(*shelf, *slot).padded())
            .collect();
        assert_eq!(rig.ask(&request.bytes()), replies, "A28: {shelf:x}.{slot:x}");
    }
}

#[test]
fn a29_each_port_tells_its_own_address_and_limit() {
    for (mtu, sectors, last) in [(1500, 2, 2), (2084, 4, 3), (9000, 17, 4), (548, 1, 5)] {
        let mut rig = Rig::new(mtu);
        rig.port.mac = Mac([0x02, 0, 0, 0, 0, last]);
        let config = [0, 64, 0, 1, sectors, 0x10, 0, 0];
        let reply = Frame { source: rig.port.mac.0, ..discover().reply(config) };
        answers(&mut rig, "A29", &discover(), &reply);
    }
}

/// A sector count of 0 would mean 2.
#[test]
fn a_link_too_narrow_for_a_sector_is_silent() {
    let mut rig = Rig::new(547);
    assert_eq!(sectors_per_frame(547), 0);
    is_silent(&mut rig, "discovery", &discover().bytes());
    is_silent(&mut rig, "IDENTIFY", &Frame::ata(Registers::command(0xEC)).bytes());
    is_silent(&mut rig, "read", &Frame::ata(Registers::read48(0, 1)).bytes());
}

/// The client's address is where replies go, whatever the request's destination was.
#[test]
fn replies_go_to_the_sender() {
    let mut rig = Rig::new(1500);
    let source = [0x02, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE];
    assert_ne!(source, CLIENT);
    let request = Frame { source, ..discover() };
    let reply = Frame { destination: source, ..discover().reply([0, 64, 0, 1, 2, 0x10, 0, 0]) };
    answers(&mut rig, "another client", &request, &reply);
}
