//! C: IDENTIFY DEVICE.

use super::answers_without_disk;
use super::support::frame::{BROADCAST, Frame, Registers, hex, pattern};
use super::support::rig::Rig;

const IDENTIFY: Registers = Registers { count: 1, ..Registers::command(0xEC) };

/// The 512 bytes that e0.1 describes itself with.
fn data(rig: &mut Rig) -> Vec<u8> {
    let request = Frame { destination: BROADCAST, ..Frame::ata(IDENTIFY) };
    let reply = rig.ask_one(&request.bytes()).expect("IDENTIFY is answered");
    assert_eq!(reply.len(), 548);
    reply[36..].to_vec()
}

fn word(data: &[u8], index: usize) -> u16 {
    u16::from_le_bytes([data[2 * index], data[2 * index + 1]])
}

/// The characters of a string of words, in reading order.
fn text(data: &[u8], words: std::ops::RangeInclusive<usize>) -> String {
    words.flat_map(|index| word(data, index).to_be_bytes()).map(char::from).collect()
}

#[test]
fn c1_c2_c3_c4_c5_as_each_client_asks() {
    let mut rig = Rig::new(1500);
    let data = data(&mut rig);
    let at = |device| [0, 0, 0, device, 0, 0];
    let cases = [
        ("C1, Linux", Registers { lba: at(0xA0), ..IDENTIFY }, 24),
        ("C2, iPXE", Registers { lba: at(0xE0), ..IDENTIFY }, 0),
        ("C3, WinAoE", Registers { aflags: 0x40, ..IDENTIFY }, 0),
        ("C4, unpadded", IDENTIFY, 0),
        ("C5, trailing bytes", IDENTIFY, 1024),
        ("count 0", Registers { count: 0, ..IDENTIFY }, 0),
        ("count 255", Registers { count: 255, ..IDENTIFY }, 0),
        ("reserved bytes set", Registers { reserved: [0xFF; 2], lba: [0xFF; 6], ..IDENTIFY }, 24),
    ];
    for (case, registers, trailing) in cases {
        let request = Frame::ata(registers).with_data(&vec![0xED; trailing]);
        let reply = request.reply(registers.done(0x40, 0, 0).bytes()).with_data(&data);
        answers_without_disk(&mut rig, case, &request, &reply);
        let wild = request.to(0xFFFF, 0xFF);
        answers_without_disk(&mut rig, &format!("{case}, wildcard"), &wild, &reply);
    }
}

#[test]
fn c1_whole_header() {
    let mut rig = Rig::new(1500);
    let frame = Frame::ata(Registers { lba: [0, 0, 0, 0xA0, 0, 0], ..IDENTIFY }).bytes();
    let reply = rig.ask_one(&frame).expect("IDENTIFY is answered");
    let header = "020000000001 020000000002 88a2 18 00 0000 01 00 80000001
                  00 00 00 40 000000a00000 0000";
    assert_eq!(reply[..36], hex(header)[..36]);
}

#[test]
fn c8_words() {
    let mut rig = Rig::new(1500);
    let data = data(&mut rig);
    assert_eq!(data.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), 0, "checksum");
    assert_eq!(data[510], 0xA5, "word 255");
    let words = [
        (0, 0x0040, "an ATA device"),
        (1, 2, "cylinders"),
        (3, 16, "heads"),
        (6, 63, "sectors of a track"),
        (47, 0x8000, "no READ MULTIPLE"),
        (49, 0x0B00, "LBA, DMA"),
        (53, 3, "words 54 to 58 and 64 to 70 are valid"),
        (54, 2, "cylinders"),
        (55, 16, "heads"),
        (56, 63, "sectors of a track"),
        (57, 2 * 16 * 63, "sectors of that geometry"),
        (58, 0, "sectors of that geometry"),
        (60, 2048, "28-bit size"),
        (61, 0, "28-bit size"),
        (82, 0x0069, "SMART, power management, look-ahead, write cache"),
        (83, 0x7400, "48 bit, both FLUSHes, valid"),
        (84, 0x4140, "FUA writes, world wide name, valid"),
        (85, 0x0049, "as word 82, the write cache off"),
        (86, 0x3400, "as word 83"),
        (87, 0x4140, "as word 84"),
        (100, 2048, "48-bit size"),
        (101, 0, "48-bit size"),
        (102, 0, "48-bit size"),
        (103, 0, "48-bit size"),
        (106, 0x4000, "sectors of 512 bytes"),
        (69, 0x4020, "zeroes after TRIM"),
        (105, 1, "blocks of one TRIM"),
        (169, 1, "TRIM"),
    ];
    for (index, expected, meaning) in words {
        assert_eq!(word(&data, index), expected, "C8: word {index}, {meaning}");
    }
    assert_eq!(text(&data, 10..=19), "0123456789ABCDEF    ", "serial number");
    assert_eq!(text(&data, 23..=26), format!("{:8}", env!("CARGO_PKG_VERSION")), "firmware");
    assert_eq!(text(&data, 27..=46), "aoe-daemon ATA over Ethernet disk       ", "model");
}

#[test]
fn c9_sizes_beyond_28_bits() {
    for sectors in [(1 << 28) - 1, 1 << 28, (1 << 28) + 1, 0x0123_4567_89AB] {
        let mut rig = Rig::new(1500);
        rig.exports.clear();
        rig.add_sized(0, 1, 0, false, sectors);
        let data = data(&mut rig);
        let short = u64::from(word(&data, 60)) | u64::from(word(&data, 61)) << 16;
        assert_eq!(short, sectors.min(0x0FFF_FFFF), "C9: words 60 and 61");
        let long: u64 = (0..4).map(|at| u64::from(word(&data, 100 + at)) << (16 * at)).sum();
        assert_eq!(long, sectors, "C9: words 100 to 103");
        assert_eq!((word(&data, 1), word(&data, 54)), (16_383, 16_383), "most cylinders");
        let geometry = u32::from(word(&data, 57)) | u32::from(word(&data, 58)) << 16;
        assert_eq!(geometry, 16_383 * 16 * 63, "words 57 and 58");
    }
}

/// Clients reach one disk by several ports, and join them by this.
#[test]
fn the_answer_is_the_same_on_every_port() {
    let mut narrow = Rig::new(1500);
    let mut wide = Rig::new(9000);
    wide.port.mac.0[5] = 9;
    assert_eq!(data(&mut narrow), data(&mut wide));
    let mut smaller = Rig::with_disk(1500, false, pattern(1, 2047));
    assert_ne!(data(&mut narrow), data(&mut smaller));
}
