//! D: reads and writes.

use super::support::frame::{Frame, Registers, hex, pattern};
use super::support::rig::{Rig, SECTORS};
use super::{answers, answers_without_disk};
use aoe_daemon::target::{Fault, Operation, Range};

const ABORTED: (u8, u8) = (0x41, 0x04);
const NOT_FOUND: (u8, u8) = (0x41, 0x10);

/// Asserts that a read returns these sectors.
#[track_caller]
fn reads(rig: &mut Rig, case: &str, registers: Registers, lba: usize, sectors: usize) {
    let data = rig.disk().bytes[lba * 512..(lba + sectors) * 512].to_vec();
    let request = Frame::ata(registers);
    let reply = request.reply(registers.done(0x40, 0, 0).bytes()).with_data(&data);
    answers(rig, case, &request, &reply);
}

/// Asserts that a write succeeds, and changes these sectors and no others.
#[track_caller]
fn writes(rig: &mut Rig, case: &str, registers: Registers, lba: usize, data: &[u8]) {
    let mut expected = rig.disk().bytes.clone();
    expected[lba * 512..lba * 512 + data.len()].copy_from_slice(data);
    let request = Frame::ata(registers).with_data(data);
    answers(rig, case, &request, &request.reply(registers.done(0x40, 0, 0).bytes()));
    assert!(rig.disk().bytes == expected, "{case}: the disk");
}

/// Asserts that a command fails with these status and error registers, returns the count that
/// was asked for and no data, and never reaches the disk.
#[track_caller]
fn fails(rig: &mut Rig, case: &str, registers: Registers, data: &[u8], failure: (u8, u8)) {
    let (status, error) = failure;
    let request = Frame::ata(registers).with_data(data);
    let reply = request.reply(registers.done(status, error, registers.count).bytes());
    answers_without_disk(rig, case, &request, &reply);
}

#[test]
fn d1_whole_frame() {
    let mut rig = Rig::new(1500);
    let frame = Frame::ata(Registers::read48(0, 2)).bytes();
    let mut expected = hex("020000000001 020000000002 88a2 18 00 0000 01 00 80000001
                            40 00 00 40 000000000000 0000");
    expected.truncate(36);
    expected.extend(pattern(1, 2));
    assert_eq!(rig.ask_one(&frame), Some(expected));
}

#[test]
fn d1_d2_d3_d4_d7_reads() {
    let mut rig = Rig::new(1500);
    reads(&mut rig, "D1", Registers::read48(0, 2), 0, 2);
    reads(&mut rig, "D2", Registers::read28(0, 1), 0, 1);
    let high_bytes = |registers: Registers| {
        let [a, b, c, d, _, _] = registers.lba;
        Registers { lba: [a, b, c, d, 0xFF, 0xFF], ..registers }
    };
    reads(&mut rig, "D3", high_bytes(Registers::read28(1026, 2)), 1026, 2);
    for device in [0x00, 0xA0, 0xE0, 0xF0] {
        let registers = Registers { lba: [2, 4, 0, device, 0, 0], ..Registers::read28(0, 2) };
        reads(&mut rig, "device register bits", registers, 1026, 2);
    }
    reads(&mut rig, "D4", Registers { aflags: 0, ..Registers::read48(7, 2) }, 7, 2);
    reads(&mut rig, "28 bit with E", Registers { aflags: 0x40, ..Registers::read28(7, 2) }, 7, 2);
    reads(&mut rig, "reserved flags", Registers { aflags: 0xEC, ..Registers::read48(7, 2) }, 7, 2);
    reads(&mut rig, "no retries", Registers { command: 0x21, ..Registers::read28(9, 1) }, 9, 1);
    reads(&mut rig, "D7", Registers::read48(2047, 1), 2047, 1);
    reads(&mut rig, "28 bit, last sector", Registers::read28(2047, 1), 2047, 1);
    reads(&mut rig, "the last two", Registers::read48(2046, 2), 2046, 2);
    reads(&mut rig, "feature set", Registers { feature: 0xFF, ..Registers::read48(7, 2) }, 7, 2);
    reads(
        &mut rig,
        "reserved set",
        Registers { reserved: [9; 2], ..Registers::read48(7, 2) },
        7,
        2,
    );
}

#[test]
fn d8_d9_d11_reads_past_the_end() {
    let mut rig = Rig::new(1500);
    fails(&mut rig, "D8", Registers::read48(2047, 2), &[], NOT_FOUND);
    fails(&mut rig, "D9", Registers::read48(2048, 1), &[], NOT_FOUND);
    fails(&mut rig, "D9, 28 bit", Registers::read28(2048, 1), &[], NOT_FOUND);
    fails(&mut rig, "D11", Registers::read28(0x0FFF_FFFF, 1), &[], NOT_FOUND);
    for lba in [1 << 32, 1 << 40, (1 << 48) - 1, (1 << 48) - 2] {
        fails(&mut rig, "far away", Registers::read48(lba, 2), &[], NOT_FOUND);
    }
    let frame = Frame::ata(Registers::read48(2047, 2)).bytes();
    let expected = "020000000001 020000000002 88a2 18 00 0000 01 00 80000001
                    40 10 02 41 ff0700000000 0000";
    assert_eq!(rig.ask_one(&frame), Some(hex(expected)), "D8, whole frame");
}

/// On a disk that is larger than 28 bits reach, the opcode decides what is out of range.
#[test]
fn d11_the_edges_of_the_address_widths() {
    let accepted = |sectors, registers: Registers, data: &[u8]| {
        let mut rig = Rig::new(1500);
        rig.exports.clear();
        rig.add_sized(0, 1, 0, false, sectors);
        // There is no content behind it: only that it gets as far matters.
        rig.disk().fault = Some(Fault::ReadFailed);
        rig.ask_one(&Frame::ata(registers).with_data(data).bytes()).expect("an answer");
        rig.disk().asked.first().copied()
    };
    // Larger than 48 bits reach.
    let larger = 1 << 49;
    let huge = 1 << 48;
    let read = |lba, sectors| Some(Operation::Read(Range { lba, sectors }));
    let write = |lba, sectors| Some(Operation::Write { range: Range { lba, sectors }, fua: false });
    let data = pattern(3, 2);
    assert_eq!(accepted(huge, Registers::read28(0x0FFF_FFFE, 2), &[]), read(0x0FFF_FFFE, 2));
    assert_eq!(accepted(huge, Registers::read28(0x0FFF_FFFF, 2), &[]), None);
    assert_eq!(accepted(huge, Registers::write28(0x0FFF_FFFE, 2), &data), write(0x0FFF_FFFE, 2));
    assert_eq!(accepted(huge, Registers::write28(0x0FFF_FFFF, 2), &data), None);
    assert_eq!(accepted(larger, Registers::read48(huge - 2, 2), &[]), read(huge - 2, 2));
    assert_eq!(accepted(larger, Registers::read48(huge - 1, 2), &[]), None);
    assert_eq!(accepted(larger, Registers::write48(huge - 2, 2), &data), write(huge - 2, 2));
    assert_eq!(accepted(larger, Registers::write48(huge - 1, 2), &data), None);
    assert_eq!(accepted(1 << 33, Registers::read48(1 << 32, 2), &[]), read(1 << 32, 2));
}

#[test]
fn d12_d13_d14_counts_that_no_frame_holds() {
    let mut rig = Rig::new(1500);
    for count in [3, 255, 0] {
        fails(&mut rig, "D12, D13, D14", Registers::read48(0, count), &[], ABORTED);
        fails(&mut rig, "D12, D13, D14, 28 bit", Registers::read28(0, count), &[], ABORTED);
        let data = pattern(9, 3);
        fails(&mut rig, "D26", Registers::write48(0, count), &data, ABORTED);
        fails(&mut rig, "D26, 28 bit", Registers::write28(0, count), &data, ABORTED);
    }
    fails(&mut rig, "count before range", Registers::read48(SECTORS, 3), &[], ABORTED);
}

#[test]
fn d16_d17_d18_d25_writes() {
    let mut rig = Rig::new(1500);
    writes(&mut rig, "D16", Registers::write48(5, 1), 5, &pattern(2, 1));
    writes(&mut rig, "D17", Registers::write28(6, 1), 6, &pattern(3, 1));
    let data = pattern(4, 2);
    writes(&mut rig, "D18", Registers::write48(100, 2), 100, &data);
    reads(&mut rig, "D18, read back", Registers::read48(100, 2), 100, 2);
    assert_eq!(rig.disk().bytes[100 * 512..102 * 512], data);
    let asynchronous = Registers { aflags: 0x43, ..Registers::write48(8, 1) };
    writes(&mut rig, "D25", asynchronous, 8, &pattern(5, 1));
    let no_retries = Registers { command: 0x31, ..Registers::write28(10, 2) };
    writes(&mut rig, "no retries", no_retries, 10, &pattern(6, 2));
    writes(&mut rig, "the last two", Registers::write48(2046, 2), 2046, &pattern(7, 2));
    let registers = Registers::write48(20, 1);
    let mut expected = rig.disk().bytes.clone();
    expected[20 * 512..21 * 512].copy_from_slice(&pattern(8, 2)[..512]);
    let request = Frame::ata(registers).with_data(&pattern(8, 2));
    let reply = request.reply(registers.done(0x40, 0, 0).bytes());
    answers(&mut rig, "more data than sectors", &request, &reply);
    assert!(rig.disk().bytes == expected, "only one sector was written");
}

#[test]
fn d16_whole_frame() {
    let mut rig = Rig::new(1500);
    let frame = Frame::ata(Registers::write48(5, 1)).with_data(&[0xA5; 512]).bytes();
    let expected = "020000000001 020000000002 88a2 18 00 0000 01 00 80000001
                    41 00 00 40 050000000000 0000";
    assert_eq!(rig.ask_one(&frame), Some(hex(expected)));
}

/// A frame that was cut on its way is worth sending again.
#[test]
fn d20_d21_writes_with_too_little_data() {
    let mut rig = Rig::new(1500);
    let before = rig.disk().bytes.clone();
    let cases =
        [("D20", 2, 512), ("D21", 1, 511), ("two, a byte short", 2, 1023), ("no data", 1, 0)];
    for (case, count, bytes) in cases {
        let registers = Registers { reserved: [0xA5; 2], ..Registers::write48(5, count) };
        let request = Frame::ata(registers).with_data(&pattern(2, 2)[..bytes]);
        let echo = Registers { reserved: [0; 2], ..registers };
        let reply = Frame { argument: echo.bytes().to_vec(), ..request.error(2, 12) };
        answers_without_disk(&mut rig, case, &request, &reply);
    }
    assert!(rig.disk().bytes == before);
    let frame = Frame::ata(Registers::write48(5, 2)).with_data(&[0xA5; 512]).bytes();
    let expected = "020000000001 020000000002 88a2 1c 02 0000 01 00 80000001
                    41 00 02 34 050000000000 0000";
    assert_eq!(rig.ask_one(&frame), Some(hex(expected)), "D20, whole frame");
}

#[test]
fn d23_writes_past_the_end() {
    let mut rig = Rig::new(1500);
    let before = rig.disk().bytes.clone();
    fails(&mut rig, "D23", Registers::write48(2048, 1), &pattern(2, 1), NOT_FOUND);
    fails(&mut rig, "half of it", Registers::write48(2047, 2), &pattern(2, 2), NOT_FOUND);
    fails(&mut rig, "28 bit", Registers::write28(2048, 1), &pattern(2, 1), NOT_FOUND);
    assert!(rig.disk().bytes == before, "D23: not grown, not changed");
}

#[test]
fn d27_d28_read_only() {
    let mut rig = Rig::with_disk(1500, true, pattern(1, 64));
    let before = rig.disk().bytes.clone();
    fails(&mut rig, "D27", Registers::write48(5, 1), &pattern(2, 1), ABORTED);
    fails(&mut rig, "D27, 28 bit", Registers::write28(5, 2), &pattern(2, 2), ABORTED);
    fails(&mut rig, "D27, past the end", Registers::write48(64, 1), &pattern(2, 1), ABORTED);
    fails(&mut rig, "D27, no data", Registers::write48(5, 1), &[], ABORTED);
    assert!(rig.disk().bytes == before, "D27: unchanged");
    reads(&mut rig, "D28", Registers::read48(5, 2), 5, 2);
}

#[test]
fn d30_wildcards_read_but_do_not_write() {
    let mut rig = Rig::new(1500);
    let before = rig.disk().bytes.clone();
    for (shelf, slot) in [(0xFFFF, 0xFF), (0xFFFF, 1), (0, 0xFF)] {
        let registers = Registers::read48(5, 1);
        let request = Frame::ata(registers).to(shelf, slot);
        let reply = request.reply(registers.done(0x40, 0, 0).bytes());
        let data = before[5 * 512..6 * 512].to_vec();
        answers(&mut rig, "D30", &request, &reply.with_data(&data));
        for registers in [Registers::write48(5, 1), Registers::write28(5, 1)] {
            let request = Frame::ata(registers).with_data(&pattern(2, 1)).to(shelf, slot);
            let reply = request.error(2, 12);
            answers_without_disk(&mut rig, "a write to a wildcard", &request, &reply);
        }
        for opcode in [0xE7, 0xEA] {
            let request = Frame::ata(Registers::command(opcode)).to(shelf, slot);
            let reply = request.error(2, 12);
            answers_without_disk(&mut rig, "a flush to a wildcard", &request, &reply);
        }
    }
    assert!(rig.disk().bytes == before, "unchanged");
}

#[test]
fn d31_d32_jumbo_frames() {
    let mut rig = Rig::new(9000);
    reads(&mut rig, "D31", Registers::read48(3, 17), 3, 17);
    assert_eq!(rig.ask_one(&Frame::ata(Registers::read48(0, 17)).bytes()).unwrap().len(), 8740);
    writes(&mut rig, "D31, write", Registers::write48(200, 17), 200, &pattern(2, 17));
    reads(&mut rig, "D31, read back", Registers::read48(199, 17), 199, 17);
    fails(&mut rig, "D32", Registers::read48(0, 18), &[], ABORTED);
    fails(&mut rig, "D32, write", Registers::write48(0, 18), &pattern(2, 17), ABORTED);
    let request = Frame::ata(Registers::write48(0, 17)).with_data(&pattern(2, 17)[..17 * 512 - 1]);
    answers_without_disk(&mut rig, "a byte short", &request, &request.error(2, 12));
    // Linux probes a path by a read of one frame with as much payload.
    let registers = Registers::read48(0, 17);
    let request = Frame::ata(registers).with_data(&vec![0; 17 * 512]);
    let data = rig.disk().bytes[..17 * 512].to_vec();
    let reply = request.reply(registers.done(0x40, 0, 0).bytes()).with_data(&data);
    answers(&mut rig, "a path probe", &request, &reply);
    let registers = Registers::read48(0, 1);
    let request = Frame::ata(registers).with_data(&vec![0xED; 17 * 512]);
    let reply = request.reply(registers.done(0x40, 0, 0).bytes()).with_data(&data[..512]);
    answers(&mut rig, "a read of less than it carries", &request, &reply);
}

#[test]
fn d34_the_later_write_wins() {
    let mut rig = Rig::new(1500);
    writes(&mut rig, "D34, A", Registers::write48(9, 1), 9, &pattern(2, 1));
    writes(&mut rig, "D34, B", Registers::write48(9, 1), 9, &pattern(3, 1));
    reads(&mut rig, "D34", Registers::read48(9, 1), 9, 1);
    assert_eq!(rig.disk().bytes[9 * 512..10 * 512], pattern(3, 1));
}

#[test]
fn d35_d36_the_disk_fails() {
    let mut rig = Rig::new(1500);
    let read = Registers::read48(5, 2);
    let write = Registers::write48(5, 1);
    let cases = [
        ("D35", Fault::ReadFailed, read, 0, 0x41, 0x40),
        ("D36", Fault::WriteFailed, write, 512, 0x61, 0x04),
        ("the file was cut", Fault::OutOfRange, read, 0, 0x41, 0x10),
        ("the disk says no", Fault::Aborted, read, 0, 0x41, 0x04),
        ("E1, E2: flush", Fault::WriteFailed, Registers::command(0xEA), 0, 0x61, 0x04),
    ];
    for (case, fault, registers, bytes, status, error) in cases {
        rig.disk().fault = Some(fault);
        let request = Frame::ata(registers).with_data(&pattern(2, 1)[..bytes]);
        let reply = request.reply(registers.done(status, error, registers.count).bytes());
        answers(&mut rig, case, &request, &reply);
    }
}

/// The opcode and the W flag contradict each other: whose data is it?
#[test]
fn contradicting_directions() {
    let mut rig = Rig::new(1500);
    let data = pattern(2, 1);
    for (command, aflags) in [(0x34, 0x40), (0x30, 0x00), (0x31, 0x00)] {
        let registers = Registers { command, aflags, ..Registers::write48(5, 1) };
        fails(&mut rig, "a write without W", registers, &data, ABORTED);
    }
    for (command, aflags) in [(0x24, 0x41), (0x20, 0x01), (0x21, 0x01)] {
        let registers = Registers { command, aflags, ..Registers::read48(5, 1) };
        fails(&mut rig, "a read with W", registers, &data, ABORTED);
    }
}
