//! E: ATA commands other than IDENTIFY, reads and writes.

use super::support::frame::{Frame, Registers, hex, pattern};
use super::support::rig::Rig;
use super::{answers, answers_without_disk};
use aoe_daemon::target::Operation;

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

/// E4 to E12, and every other opcode: what is not offered is aborted, with the registers returned
/// as they came and no data, and never does anything.
#[test]
fn e4_to_e12_everything_else_is_aborted() {
    const OFFERED: [u8; 10] = [0x20, 0x21, 0x24, 0x30, 0x31, 0x34, 0xE5, 0xE7, 0xEA, 0xEC];
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

/// The commands of the table by name, so that whoever adds one finds its row here.
#[test]
fn e4_to_e12_by_name() {
    let mut rig = Rig::new(1500);
    // One TRIM range: 8 sectors from LBA 0 on.
    let mut range = vec![0; 512];
    range[6] = 8;
    let cases: [(&str, u8, u8, &[u8]); 16] = [
        ("E4, READ VERIFY", 0x40, 0, &[]),
        ("E4, READ VERIFY EXT", 0x42, 0, &[]),
        ("E5, TRIM", 0x06, 1, &range),
        ("E7, DATA SET MANAGEMENT without TRIM", 0x06, 0, &range),
        ("E9, SET FEATURES 03", 0xEF, 0x03, &[]),
        ("E9, SET FEATURES 99", 0xEF, 0x99, &[]),
        ("E11, SMART READ DATA", 0xB0, 0xD0, &[]),
        ("E11, SMART RETURN STATUS", 0xB0, 0xDA, &[]),
        ("E12, STANDBY IMMEDIATE", 0xE0, 0, &[]),
        ("E12, IDLE IMMEDIATE", 0xE1, 0, &[]),
        ("NOP", 0x00, 0, &[]),
        ("READ DMA EXT", 0x25, 0, &[]),
        ("READ NATIVE MAX ADDRESS EXT", 0x27, 0, &[]),
        ("IDENTIFY PACKET DEVICE", 0xA1, 0, &[]),
        ("SECURITY ERASE UNIT", 0xF4, 0, &[]),
        ("SET MAX ADDRESS", 0xF9, 0, &[]),
    ];
    for (case, opcode, feature, data) in cases {
        let registers = Registers { feature, count: 1, ..Registers::command(opcode) };
        let request = Frame::ata(registers).with_data(data);
        let reply = request.reply(registers.done(0x41, 0x04, 1).bytes());
        answers_without_disk(&mut rig, case, &request, &reply);
    }
}
