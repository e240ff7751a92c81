//! Properties of the protocol core that no list of cases can show: whatever comes in, the core
//! never panics, what it sends is always a proper reply (`support::invariants`, checked on every
//! frame here), and its disks hold what a plain array would.

mod support;

use aoe_common::steer::Verdict;
use aoe_daemon::target::Operation;
use proptest::collection::vec;
use proptest::prelude::*;
use support::frame::{BROADCAST, CLIENT, Frame, Registers, TARGET, pattern};
use support::rig::{MemoryDisk, Rig, sectors_per_frame};

/// Sectors of every disk here: few, so that requests often meet.
const SECTORS: usize = 64;
/// Shelf, slot and VLAN of the exports; the second one is read-only.
const EXPORTS: [(u16, u8, u16); 3] = [(0, 1, 0), (0, 2, 0), (7, 3, 5)];

fn rig(mtu: usize) -> Rig {
    let mut rig = Rig::with_disk(mtu, false, pattern(1, SECTORS));
    rig.add(0, 2, 0, true, pattern(2, SECTORS));
    rig.add(7, 3, 5, false, pattern(3, SECTORS));
    rig
}

fn mtu() -> impl Strategy<Value = usize> {
    prop_oneof![Just(1500_usize), Just(9000), Just(548), Just(100)]
}

fn station() -> impl Strategy<Value = [u8; 6]> {
    prop_oneof![
        8 => Just(CLIENT), 8 => Just(TARGET), 4 => Just(BROADCAST), 1 => any::<[u8; 6]>(),
    ]
}

fn registers() -> impl Strategy<Value = Registers> {
    let opcode = prop_oneof![
        8 => prop::sample::select(vec![0x20, 0x21, 0x24, 0x30, 0x31, 0x34]),
        3 => prop::sample::select(vec![0xE5, 0xE7, 0xEA, 0xEC, 0x06, 0xEF]),
        1 => any::<u8>(),
    ];
    let aflags = prop_oneof![4 => Just(0x41), 4 => Just(0x40), 2 => Just(1), 1 => any::<u8>()];
    let count = prop_oneof![8 => 0..20_u8, 1 => any::<u8>()];
    let lba = prop_oneof![
        8 => (0..SECTORS as u64 + 4).prop_map(u64::to_le_bytes),
        1 => any::<[u8; 8]>(),
    ];
    let rest = (any::<u8>(), any::<[u8; 2]>());
    (opcode, aflags, count, lba, rest).prop_map(
        |(command, aflags, count, [a, b, c, d, e, f, ..], (feature, reserved))| Registers {
            aflags,
            feature,
            count,
            command,
            lba: [a, b, c, d, e, f],
            reserved,
        },
    )
}

/// Data as long as the count says, or about as long, or of any length.
fn data(count: u8) -> impl Strategy<Value = Vec<u8>> {
    let exact = usize::from(count).min(17) * 512;
    let length = prop_oneof![
        6 => Just(exact),
        1 => exact.saturating_sub(2)..exact + 40,
        1 => 0..9000_usize,
        2 => Just(24_usize),
    ];
    (any::<u32>(), length).prop_map(|(seed, length)| {
        let mut bytes = pattern(seed, length.div_ceil(512));
        bytes.truncate(length);
        bytes
    })
}

fn ata() -> impl Strategy<Value = Frame> {
    registers().prop_flat_map(|registers| {
        data(registers.count).prop_map(move |data| Frame::ata(registers).with_data(&data))
    })
}

/// Frames that are valid in most of their parts.
fn likely_frame() -> impl Strategy<Value = Frame> {
    let body = prop_oneof![
        6 => ata(),
        2 => (0..6_u8).prop_map(Frame::config),
        1 => (any::<u8>(), vec(any::<u8>(), 0..200))
            .prop_map(|(command, argument)| Frame::request(command, argument)),
    ];
    let vlan = prop_oneof![
        6 => Just(None), 2 => Just(Some(0)), 2 => Just(Some(5)), 1 => any::<u16>().prop_map(Some),
    ];
    let ether_type = prop_oneof![30 => Just(0x88A2), 1 => Just(0x8100), 1 => any::<u16>()];
    let version_flags = prop_oneof![12 => Just(0x10), 2 => 0x10..0x20_u8, 1 => any::<u8>()];
    let shelf = prop_oneof![6 => Just(0), 2 => Just(7), 2 => Just(0xFFFF), 1 => any::<u16>()];
    let slot = prop_oneof![6 => Just(1), 4 => 1..4_u8, 2 => Just(0xFF), 1 => any::<u8>()];
    let header = (station(), station(), vlan, ether_type, version_flags);
    (body, header, (shelf, slot, any::<u8>(), any::<[u8; 4]>())).prop_map(
        |(body, header, (shelf, slot, error, tag))| {
            let (destination, source, vlan, ether_type, version_flags) = header;
            let stations = Frame { destination, source, vlan, ether_type, version_flags, ..body };
            Frame { shelf, slot, error, tag, ..stations }
        },
    )
}

/// What is done to a frame's bytes on a bad way.
#[derive(Clone, Debug)]
enum Damage {
    Cut(prop::sample::Index),
    Change(prop::sample::Index, u8),
    Append(Vec<u8>),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Cut(at) => bytes.truncate(at.index(bytes.len() - 13) + 14),
            // The headers are where it matters.
            Self::Change(at, value) => {
                let at = at.index(bytes.len().min(48));
                bytes[at] = *value;
            }
            Self::Append(more) => bytes.extend_from_slice(more),
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<prop::sample::Index>().prop_map(Damage::Cut),
        (any::<prop::sample::Index>(), any::<u8>())
            .prop_map(|(at, value)| Damage::Change(at, value)),
        vec(any::<u8>(), 0..64).prop_map(Damage::Append),
    ]
}

fn damaged_frame() -> impl Strategy<Value = Vec<u8>> {
    (likely_frame(), vec(damage(), 0..4)).prop_map(|(frame, damages)| {
        let mut bytes = frame.bytes();
        for damage in damages {
            damage.apply(&mut bytes);
        }
        bytes.truncate(9100);
        bytes
    })
}

/// How many targets here a frame is for, by the rules of the protocol: those that answer are
/// among them.
fn concerned(frame: &[u8]) -> usize {
    let (vlan, at) = match frame[12..14] {
        [0x88, 0xA2] => (0, 14),
        [0x81, 0x00] if frame.len() >= 18 && frame[16..18] == [0x88, 0xA2] => {
            (u16::from_be_bytes([frame[14], frame[15]]) & 0x0FFF, 18)
        }
        _ => return 0,
    };
    let (destination, source) = (&frame[..6], &frame[6..12]);
    let stations_fit = (destination == TARGET || destination == BROADCAST)
        && source[0] & 1 == 0
        && source != TARGET;
    if !stations_fit || frame.len() < at + 10 || frame[at] & 0x08 != 0 {
        return 0;
    }
    let shelf = u16::from_be_bytes([frame[at + 2], frame[at + 3]]);
    let slot = frame[at + 4];
    let fits = |(own_shelf, own_slot, own_vlan): &(u16, u8, u16)| {
        *own_vlan == vlan
            && (shelf == 0xFFFF || shelf == *own_shelf)
            && (slot == 0xFF || slot == *own_slot)
    };
    EXPORTS.iter().filter(|export| fits(export)).count()
}

/// Sends a frame, and checks what holds for all frames.
fn ask(rig: &mut Rig, frame: &[u8]) -> Result<Vec<Vec<u8>>, TestCaseError> {
    let before: Vec<MemoryDisk> = rig.exports.iter().map(|export| export.disk.clone()).collect();
    let replies = rig.ask(frame);
    let concerned = concerned(frame);
    prop_assert_eq!(rig.verdict(frame) == Verdict::Steer, concerned > 0);
    prop_assert!(replies.len() <= concerned, "{} replies of {concerned}", replies.len());

    let asked: Vec<Operation> =
        rig.exports.iter().flat_map(|export| export.disk.asked.iter().copied()).collect();
    let changes = asked.iter().any(|operation| !matches!(operation, Operation::Read(_)));
    prop_assert!(!(changes && is_wildcard(frame)), "a wildcard changes disks: {asked:?}");
    prop_assert!(rig.exports[1].disk.bytes == before[1].bytes, "a read-only disk has changed");
    for export in &mut rig.exports {
        export.disk.asked.clear();
    }
    Ok(replies)
}

fn is_wildcard(frame: &[u8]) -> bool {
    let at = if frame[12..14] == [0x81, 0x00] { 18 } else { 14 };
    frame.len() >= at + 5 && (frame[at + 2..at + 4] == [0xFF, 0xFF] || frame[at + 4] == 0xFF)
}

/// A disk as an array, and what it says to each command; nothing of the code under test.
struct Model {
    bytes: Vec<u8>,
    read_only: bool,
    limit: u8,
}

/// What a command must be answered with.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    BadArgument,
    Failed { status: u8, error: u8 },
    Done { count: u8, data: Vec<u8> },
}

const ABORTED: Expected = Expected::Failed { status: 0x41, error: 0x04 };
const NOT_FOUND: Expected = Expected::Failed { status: 0x41, error: 0x10 };

impl Model {
    fn obey(&mut self, registers: Registers, data: &[u8]) -> Expected {
        let [a, b, c, d, e, f] = registers.lba;
        let lba28 = u64::from_le_bytes([a, b, c, d % 16, 0, 0, 0, 0]);
        let lba48 = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
        match registers.command {
            0x20 | 0x21 => self.read(registers, lba28),
            0x24 => self.read(registers, lba48),
            0x30 | 0x31 => self.write(registers, lba28, data),
            0x34 => self.write(registers, lba48, data),
            0xE7 | 0xEA => Expected::Done { count: 0, data: Vec::new() },
            0xE5 => Expected::Done { count: 255, data: Vec::new() },
            _ => ABORTED,
        }
    }

    fn read(&self, registers: Registers, lba: u64) -> Expected {
        let Registers { aflags, count, .. } = registers;
        if aflags & 1 != 0 || count == 0 || count > self.limit {
            return ABORTED;
        }
        if lba + u64::from(count) > SECTORS as u64 {
            return NOT_FOUND;
        }
        let start = lba as usize * 512;
        let data = self.bytes[start..start + usize::from(count) * 512].to_vec();
        Expected::Done { count: 0, data }
    }

    fn write(&mut self, registers: Registers, lba: u64, data: &[u8]) -> Expected {
        let Registers { aflags, count, .. } = registers;
        if aflags & 1 == 0 || self.read_only || count == 0 || count > self.limit {
            return ABORTED;
        }
        let Some(data) = data.get(..usize::from(count) * 512) else {
            return Expected::BadArgument;
        };
        if lba + u64::from(count) > SECTORS as u64 {
            return NOT_FOUND;
        }
        let start = lba as usize * 512;
        self.bytes[start..start + data.len()].copy_from_slice(data);
        Expected::Done { count: 0, data: Vec::new() }
    }
}

/// What a reply to an ATA command says; the invariants have looked at the rest of it.
fn said(reply: &[u8], asked_for: u8) -> Expected {
    if reply[14] == 0x1C {
        assert_eq!(reply[15], 2, "AoE error");
        return Expected::BadArgument;
    }
    let (error, count, status) = (reply[25], reply[26], reply[27]);
    if status == 0x40 {
        assert_eq!(error, 0, "an error register without an error");
        let data = if reply.len() > 60 { reply[36..].to_vec() } else { Vec::new() };
        return Expected::Done { count, data };
    }
    assert_eq!(count, asked_for, "a failed command returns its count");
    Expected::Failed { status, error }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(mtu in mtu(), bytes in vec(any::<u8>(), 14..9100)) {
        ask(&mut rig(mtu), &bytes)?;
    }

    /// Random bytes behind the few that make them ours.
    #[test]
    fn any_argument_is_survived(
        mtu in mtu(), command in 0..5_u8, wild in any::<bool>(), argument in vec(any::<u8>(), 0..9000),
    ) {
        let frame = Frame::request(command, argument);
        let frame = if wild { frame.to(0xFFFF, 0xFF) } else { frame };
        ask(&mut rig(mtu), &frame.bytes())?;
    }

    #[test]
    fn damaged_frames_are_survived(mtu in mtu(), frames in vec(damaged_frame(), 1..12)) {
        let mut rig = rig(mtu);
        for frame in frames {
            ask(&mut rig, &frame)?;
        }
    }

    #[test]
    fn disks_agree_with_an_array(
        mtu in prop_oneof![Just(1500_usize), Just(9000)],
        read_only in any::<bool>(),
        requests in vec(ata(), 1..40),
    ) {
        let content = pattern(1, SECTORS);
        let mut rig = Rig::with_disk(mtu, read_only, content.clone());
        let mut model = Model { bytes: content, read_only, limit: sectors_per_frame(mtu) };
        for request in requests {
            let (argument, data) = request.argument.split_at(12);
            if argument[3] == 0xEC {
                continue;
            }
            let registers = Registers {
                aflags: argument[0],
                feature: argument[1],
                count: argument[2],
                command: argument[3],
                lba: argument[4..10].try_into().expect("six bytes"),
                reserved: [0; 2],
            };
            let reply = rig.ask_one(&request.bytes()).expect("ATA commands are answered");
            prop_assert_eq!(said(&reply, registers.count), model.obey(registers, data));
            prop_assert!(rig.disk().bytes == model.bytes, "{registers:?}: the disks differ");
        }
    }
}
