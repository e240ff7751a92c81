//! E: ATA commands other than IDENTIFY, reads and writes.

use super::support::frame::{Frame, Registers, hex, pattern};
use super::support::rig::Rig;
use super::{answers, answers_without_disk};
use aoe_daemon::target::identify::Description;
use aoe_daemon::target::{Fault, Lists, Operation, Range, Span, Target};

#[test]
fn e1_e2_flushes_reach_the_disk() {
    for read_only in [false, true] {
        let mut rig = Rig::with_disk(1500, read_only, pattern(1, 8));
        for opcode in [0xE7, 0xEA] {
            rig.disk().asked.clear();
            let registers = Registers::command(opcode);
            let request = Frame::ata(registers);
            let reply = request.reply(registers.done(0x40, 0, 0).bytes());
            answers(&mut rig, &format!("E1, E2: {opcode:02x}"), &request, &reply);
            assert_eq!(rig.disk().asked, [Operation::Flush]);
        }
    }
}

#[test]
fn e3_check_power_mode() {
    let mut rig = Rig::new(1500);
    let registers = Registers::command(0xE5);
    for request in [Frame::ata(registers), Frame::ata(registers).to(0xFFFF, 0xFF)] {
        let reply = request.reply(registers.done(0x40, 0, 0xFF).bytes());
        answers_without_disk(&mut rig, "E3", &request, &reply);
    }
    let expected = "020000000001 020000000002 88a2 18 00 0000 01 00 80000001
                    00 00 ff 40 000000000000 0000";
    let frame = Frame::ata(registers).with_data(&[0xA5; 24]).bytes();
    assert_eq!(rig.ask_one(&frame), Some(hex(expected)), "E3, whole frame");
}

/// The registers of a command that is complete without data, changed to its reply.
fn completes(rig: &mut Rig, case: &str, registers: Registers, expected: Registers) {
    let request = Frame::ata(registers);
    let reply = request.reply(expected.bytes());
    answers(rig, case, &request, &reply);
}

/// Opcodes that are offered: all others are aborted, with the registers returned as they came and
/// no data, and never do anything.
const OFFERED: [u8; 27] = [
    0x06, 0x20, 0x21, 0x24, 0x25, 0x30, 0x31, 0x34, 0x35, 0x3D, 0x40, 0x41, 0x42, 0x90, 0xB0, 0xC8,
    0xCA, 0xE0, 0xE1, 0xE2, 0xE3, 0xE5, 0xE6, 0xE7, 0xEA, 0xEC, 0xEF,
];

#[test]
fn every_other_opcode_is_aborted() {
    let mut rig = Rig::new(1500);
    let before = rig.disk().bytes.clone();
    for opcode in (0..=0xFF).filter(|opcode| !OFFERED.contains(opcode)) {
        for (aflags, feature, count) in [(0x00, 0, 0), (0x41, 1, 1), (0x40, 0xD0, 1)] {
            let registers = Registers { aflags, feature, count, ..Registers::command(opcode) };
            let registers = Registers { lba: [0, 0x4F, 0xC2, 0xA0, 0, 0], ..registers };
            let request = Frame::ata(registers).with_data(&pattern(2, 1));
            let reply = request.reply(registers.done(0x41, 0x04, count).bytes());
            answers_without_disk(&mut rig, &format!("{opcode:02x}"), &request, &reply);
        }
    }
    assert!(rig.disk().bytes == before);
}

#[test]
fn e4_read_verify_checks_the_range_and_returns_nothing() {
    let mut rig = Rig::new(1500);
    let verify = |opcode, lba: u64, count| {
        let [a, b, c, d, e, f, ..] = lba.to_le_bytes();
        Registers { count, lba: [a, b, c, d, e, f], ..Registers::command(opcode) }
    };
    // A disk of 2048 sectors; a count of 0 stands for 256 or 65536.
    let cases = [
        (0x40, 0, 1, true),
        (0x40, 2047, 1, true),
        (0x40, 2048, 1, false),
        (0x40, 1792, 0, true),
        (0x40, 1793, 0, false),
        (0x42, 1793, 255, true),
        (0x42, 1794, 255, false),
        (0x42, 0, 0, false),
        (0x42, 1 << 47, 1, false),
    ];
    for (opcode, lba, count, good) in cases {
        let registers = verify(opcode, lba, count);
        let expected = match good {
            true => registers.done(0x40, 0, 0),
            false => registers.done(0x41, 0x10, count),
        };
        rig.disk().asked.clear();
        completes(&mut rig, &format!("E4: {opcode:x} {lba} {count}"), registers, expected);
        assert_eq!(!rig.disk().asked.is_empty(), good);
    }
    let mut large = Rig::new(1500);
    large.exports.clear();
    large.add_sized(0, 1, 0, false, 65536);
    let registers = verify(0x42, 0, 0);
    completes(&mut large, "65536 sectors", registers, registers.done(0x40, 0, 0));
    assert_eq!(large.disk().asked, [Operation::Verify(Span { lba: 0, sectors: 65536 })]);
}

/// TRIM of these ranges.
fn trim(ranges: &[(u64, u16)]) -> Frame {
    let mut list = vec![0; 512];
    for (entry, (lba, sectors)) in list.chunks_mut(8).zip(ranges) {
        entry.copy_from_slice(&lba.to_le_bytes());
        entry[6..].copy_from_slice(&sectors.to_le_bytes());
    }
    let registers = Registers { aflags: 0x41, feature: 1, count: 1, ..Registers::command(0x06) };
    Frame::ata(registers).with_data(&list)
}

/// A reply with these of the request's registers changed.
fn replied(request: &Frame, status: u8, error: u8, count: u8) -> Frame {
    let mut reply = request.reply(&request.argument[..12]);
    (reply.argument[1], reply.argument[2], reply.argument[3]) = (error, count, status);
    reply
}

#[test]
fn e5_e6_trim_discards_all_ranges_or_none() {
    let mut rig = Rig::new(1500);
    let mut expected = rig.disk().bytes.clone();
    let ranges = [(0, 1), (9, 0), (100, 300), (2047, 1), (5, 2)];
    let request = trim(&ranges);
    answers(&mut rig, "E5", &request, &replied(&request, 0x40, 0, 0));
    for (lba, sectors) in ranges {
        let start = lba as usize * 512;
        expected[start..start + usize::from(sectors) * 512].fill(0);
    }
    assert!(rig.disk().bytes == expected, "E5: it discards what it lists");

    let beyond = [vec![(1, 1), (2048, 1)], vec![(1, 1), (0xFFFF_FFFF_FFFF, 1)], vec![(1, 2048)]];
    for ranges in beyond {
        let request = trim(&ranges);
        answers_without_disk(&mut rig, "E6", &request, &replied(&request, 0x41, 0x10, 1));
    }
    let every_entry = trim(&[(3, 1); 64]);
    answers(&mut rig, "64 ranges", &every_entry, &replied(&every_entry, 0x40, 0, 0));
    expected[3 * 512..4 * 512].fill(0);
    assert!(rig.disk().bytes == expected);
}

#[test]
fn e7_e8_what_is_no_trim_discards_nothing() {
    let good = trim(&[(0, 8)]);
    let with = |at: usize, value: u8| {
        let mut frame = good.clone();
        frame.argument[at] = value;
        frame
    };
    let mut rig = Rig::new(9000);
    for (case, request) in [
        ("E7, feature 0", with(1, 0)),
        ("feature 3", with(1, 3)),
        ("without the write flag", with(0, 0x40)),
        ("no block", with(2, 0)),
        ("two blocks", with(2, 2).with_data(&[0; 512])),
    ] {
        let reply = replied(&request, 0x41, 0x04, request.argument[2]);
        answers_without_disk(&mut rig, case, &request, &reply);
    }
    for missing in [1, 24, 512] {
        let mut request = good.clone();
        request.argument.truncate(12 + 512 - missing);
        let reply = request.error(2, 12);
        answers_without_disk(&mut rig, "cut short", &request, &reply);
    }
    let mut read_only = Rig::with_disk(1500, true, pattern(1, 16));
    answers_without_disk(&mut read_only, "E8", &good, &replied(&good, 0x41, 0x04, 1));
    rig.export().change(|target| {
        let plain = Description { trim: None, ..target.description().clone() };
        Target::new(target.address(), plain)
    });
    answers_without_disk(&mut rig, "not offered", &good, &replied(&good, 0x41, 0x04, 1));
}

#[test]
fn e9_features_are_set_as_far_as_they_are_offered() {
    let mut rig = Rig::new(1500);
    let set = |feature, count| Registers { feature, count, ..Registers::command(0xEF) };
    for (mode, good) in [
        (0x00, true),
        (0x01, false),
        (0x07, false),
        (0x08, true),
        (0x0C, true),
        (0x0D, false),
        (0x20, false),
        (0x21, false),
        (0x22, true),
        (0x23, false),
        (0x40, false),
    ] {
        let registers = set(0x03, mode);
        let expected = match good {
            true => registers.done(0x40, 0, 0),
            false => registers.done(0x41, 0x04, mode),
        };
        completes(&mut rig, &format!("mode {mode:x}"), registers, expected);
    }
    for feature in (0..=0xFF).filter(|feature| ![0x03, 0x55, 0x82, 0xAA].contains(feature)) {
        let registers = set(feature, 1);
        let aborted = registers.done(0x41, 0x04, 1);
        completes(&mut rig, &format!("E9: {feature:02x}"), registers, aborted);
    }
    for (feature, on) in [(0x55, 0), (0xAA, 0x40), (0xAA, 0x40)] {
        let registers = set(feature, 0);
        completes(&mut rig, "look-ahead", registers, registers.done(0x40, 0, 0));
        let identify = rig.ask_one(&Frame::ata(Registers::command(0xEC)).bytes()).unwrap();
        assert_eq!(identify[36 + 85 * 2] & 0x40, on, "word 85 tells");
        assert_eq!(identify[36 + 82 * 2] & 0x40, 0x40, "word 82 stays");
        let sum = identify[36..].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        assert_eq!(sum, 0);
    }
}

/// It can be set to what it is, and to nothing else: neither does a client weaken what others rely
/// on, nor is it promised more than it gets.
#[test]
fn e9_the_write_cache_stays_as_it_is() {
    for on in [false, true] {
        let mut rig = Rig::new(1500);
        rig.export().change(|target| {
            let description = Description { write_cache: on, ..target.description().clone() };
            Target::new(target.address(), description)
        });
        for (feature, good) in [(0x02, on), (0x82, !on)] {
            let registers = Registers { feature, count: 1, ..Registers::command(0xEF) };
            let expected = match good {
                true => registers.done(0x40, 0, 0),
                false => registers.done(0x41, 0x04, 1),
            };
            completes(&mut rig, &format!("{feature:02x}, on: {on}"), registers, expected);
            let identify = rig.ask_one(&Frame::ata(Registers::command(0xEC)).bytes()).unwrap();
            assert_eq!(identify[36 + 85 * 2] & 0x20 != 0, on, "word 85 tells");
            assert_eq!(identify[36 + 82 * 2] & 0x20, 0x20, "word 82 stays");
        }
    }
}

#[test]
fn e11_smart_knows_the_state_of_the_disk() {
    let mut rig = Rig::new(1500);
    let smart = |feature, key: [u8; 2]| Registers {
        feature,
        lba: [7, key[0], key[1], 0xA0, 0, 0],
        ..Registers::command(0xB0)
    };
    let good = [0x4F, 0xC2];
    for feature in 0..=0xFF {
        let registers = smart(feature, good);
        let expected = match feature {
            0xD8 | 0xDA => registers.done(0x40, 0, 0),
            _ => registers.done(0x41, 0x04, 0),
        };
        completes(&mut rig, &format!("E11: {feature:02x}"), registers, expected);
    }
    for key in [[0x4F, 0xC3], [0xC2, 0x4F], [0, 0]] {
        let registers = smart(0xDA, key);
        completes(&mut rig, "without the key", registers, registers.done(0x41, 0x04, 0));
    }
    rig.export().change(Target::failed);
    let registers = smart(0xDA, good);
    let failing = Registers { lba: [7, 0xF4, 0x2C, 0xA0, 0, 0], ..registers.done(0x40, 0, 0) };
    completes(&mut rig, "a failed disk", registers, failing);
}

#[test]
fn e12_idle_disks_have_nothing_left_to_write() {
    let mut rig = Rig::new(1500);
    for opcode in [0xE0, 0xE1, 0xE2, 0xE3, 0xE6] {
        rig.disk().asked.clear();
        let registers = Registers { count: 12, ..Registers::command(opcode) };
        completes(&mut rig, &format!("E12: {opcode:x}"), registers, registers.done(0x40, 0, 0));
        assert_eq!(rig.disk().asked, [Operation::Flush]);
    }
    let registers = Registers::command(0x90);
    completes(&mut rig, "diagnostic", registers, registers.done(0x40, 0x01, 0));
}

/// The names that DMA and FUA go by are those of the same transfers; storage is told of FUA.
#[test]
fn transfers_have_several_names() {
    let mut rig = Rig::new(1500);
    let reads = [(0x20, 0xC8, Registers::read28(5, 2)), (0x24, 0x25, Registers::read48(5, 2))];
    for (plain, alias, registers) in reads {
        let data = pattern(1, 2048)[5 * 512..7 * 512].to_vec();
        for command in [plain, alias] {
            let request = Frame::ata(Registers { command, ..registers });
            let reply = request.reply(registers.done(0x40, 0, 0).bytes()).with_data(&data);
            answers(&mut rig, &format!("{command:x}"), &request, &reply);
        }
    }
    for (seed, command) in [(2, 0x35), (3, 0x3D), (4, 0xCA)] {
        let registers = match command {
            0xCA => Registers { command, ..Registers::write28(9, 1) },
            _ => Registers { command, ..Registers::write48(9, 1) },
        };
        let data = pattern(seed, 1);
        let request = Frame::ata(registers).with_data(&data);
        let reply = request.reply(registers.done(0x40, 0, 0).bytes());
        answers(&mut rig, &format!("{command:x}"), &request, &reply);
        assert!(rig.disk().bytes[9 * 512..10 * 512] == data);
        let range = Range { lba: 9, sectors: 1 };
        let asked = Operation::Write { range, fua: command == 0x3D };
        assert_eq!(rig.disk().asked.last(), Some(&asked), "{command:x}");
    }
}

/// A wildcard would have every disk at once change, or work for nothing.
#[test]
fn wildcards_only_ask() {
    let mut rig = Rig::new(1500);
    let write = Frame::ata(Registers::write48(0, 1)).with_data(&pattern(2, 1));
    let others = [0x40, 0x42, 0xE0, 0xE1, 0xE2, 0xE3, 0xE6, 0xE7, 0xEA, 0xEF];
    let others =
        others.map(|opcode| Frame::ata(Registers { count: 1, ..Registers::command(opcode) }));
    let edits = [
        (Frame::request(1, [0, 0, 0, 0, 0, 3, 0, 1, b'x']), 8),
        (Frame::request(1, [0, 0, 0, 0, 0, 4, 0, 1, b'x']), 8),
        (Frame::request(2, [0, 1, 0, 1, 0, 1, 2, 0, 0, 0, 0, 9]), 4),
        (Frame::request(3, [1, 1, 2, 0, 0, 0, 0, 9]), 2),
        (Frame::request(3, [2, 0]), 2),
    ];
    let commands = [write, trim(&[(0, 1)])].into_iter().chain(others).map(|frame| (frame, 12));
    for (request, kept) in commands.chain(edits) {
        for (shelf, slot) in [(0xFFFF, 0xFF), (0, 0xFF), (0xFFFF, 1)] {
            let request = request.clone().to(shelf, slot);
            let reply = request.error(2, kept);
            answers_without_disk(&mut rig, &format!("{:x?}", request.argument), &request, &reply);
        }
    }
    assert_eq!(*rig.export().lists(), Lists::default());
}

/// D37: a disk whose file or device is gone has the client try again, and comes back.
#[test]
fn d37_a_disk_that_is_gone_is_unavailable() {
    let mut rig = Rig::new(1500);
    rig.export().change(|target| target.with_reachable(0));
    let write = Frame::ata(Registers::write48(5, 1)).with_data(&pattern(2, 1));
    let verify = Frame::ata(Registers { count: 1, ..Registers::command(0x42) });
    let requests = [Frame::ata(Registers::read48(0, 1)), write, verify, trim(&[(0, 1)])];
    for request in &requests {
        answers_without_disk(&mut rig, "D37", request, &request.error(3, 12));
    }
    let identify = rig.ask_one(&Frame::ata(Registers::command(0xEC)).bytes()).unwrap();
    assert_eq!((identify[14], identify.len()), (0x18, 548), "it can still be looked at");
    rig.export().change(|target| target.with_reachable(2048));
    for request in &requests {
        assert_eq!(rig.ask_one(&request.bytes()).unwrap()[27], 0x40, "it has come back");
    }
    let mut lost = Rig::new(1500);
    lost.disk().fault = Some(Fault::Unavailable);
    answers(&mut lost, "lost", &requests[0], &requests[0].error(3, 12));
}
