//! Properties of the protocol core that no list of cases can show: whatever comes in, the core
//! never panics, what it sends is always a proper reply (`support::invariants`, checked on every
//! frame here), and its disks hold what a plain array would.

mod support;

use aoe_common::counters::Counter;
use aoe_common::steer::Verdict;
use aoe_common::wire::Mac;
use aoe_daemon::target::Operation;
use proptest::collection::vec;
use proptest::prelude::*;
use support::frame::{BROADCAST, CLIENT, Frame, Registers, TARGET, pattern};
use support::model::Model;
use support::rig::{BUFFER_COUNT, MemoryDisk, Rig, sectors_per_frame};

/// Sectors of every disk here: few, so that requests often meet.
const SECTORS: usize = 64;
/// Shelf, slot and VLAN of the exports; the second one is read-only.
const EXPORTS: [(u16, u8, u16); 3] = [(0, 1, 0), (0, 2, 0), (7, 3, 5)];
/// Another client.
const OTHER: [u8; 6] = [0x02, 0, 0, 0, 0, 9];

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
        8 => Just(CLIENT), 8 => Just(TARGET), 4 => Just(BROADCAST), 2 => Just(OTHER),
        1 => any::<[u8; 6]>(),
    ]
}

fn registers() -> impl Strategy<Value = Registers> {
    let opcode = prop_oneof![
        8 => prop::sample::select(vec![0x20, 0x21, 0x24, 0x25, 0x30, 0x31, 0x34, 0x35, 0xCA]),
        2 => prop::sample::select(vec![0x06, 0x06, 0x40, 0x42]),
        3 => prop::sample::select(vec![0xE0, 0xE5, 0xE7, 0xEA, 0xEC, 0xEF, 0xB0, 0x90]),
        1 => any::<u8>(),
    ];
    let aflags = prop_oneof![4 => Just(0x41), 4 => Just(0x40), 2 => Just(1), 1 => any::<u8>()];
    let count = prop_oneof![8 => 0..20_u8, 1 => any::<u8>()];
    let lba = prop_oneof![
        8 => (0..SECTORS as u64 + 4).prop_map(u64::to_le_bytes),
        1 => any::<[u8; 8]>(),
    ];
    let feature = prop_oneof![
        3 => Just(1), 2 => prop::sample::select(vec![0x03, 0x55, 0xAA, 0xD8, 0xDA]), 1 => any::<u8>(),
    ];
    let rest = (feature, any::<[u8; 2]>());
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
    let transfer = registers().prop_flat_map(|registers| {
        data(registers.count).prop_map(move |data| Frame::ata(registers).with_data(&data))
    });
    prop_oneof![12 => transfer, 1 => trim(), 1 => smart()]
}

/// TRIM whose ranges are within the disk, mostly.
fn trim() -> impl Strategy<Value = Frame> {
    let range = (0..SECTORS as u64 + 1, 0..4_u16);
    vec(range, 0..8).prop_map(|ranges| {
        let mut list = vec![0; 512];
        for (entry, (lba, sectors)) in list.chunks_mut(8).zip(ranges) {
            entry.copy_from_slice(&lba.to_le_bytes());
            entry[6..].copy_from_slice(&sectors.to_le_bytes());
        }
        let registers =
            Registers { aflags: 0x41, feature: 1, count: 1, ..Registers::command(0x06) };
        Frame::ata(registers).with_data(&list)
    })
}

fn smart() -> impl Strategy<Value = Frame> {
    prop_oneof![Just(0xD8), Just(0xDA), any::<u8>()].prop_map(|feature| {
        let lba = [0, 0x4F, 0xC2, 0xA0, 0, 0];
        Frame::ata(Registers { feature, lba, ..Registers::command(0xB0) })
    })
}

/// Few strings, so that they meet, and long ones.
fn config() -> impl Strategy<Value = Frame> {
    let string = prop_oneof![
        4 => Just(vec![]), 4 => Just(b"hel".to_vec()), 4 => Just(b"hello".to_vec()),
        1 => vec(any::<u8>(), 0..1030),
    ];
    (0..7_u8, string, any::<[u8; 5]>(), -1..2_i16).prop_map(|(command, string, rest, off)| {
        let length = (string.len() as i16 + if off == 1 { 1 } else { 0 }) as u16;
        let mut argument = rest.to_vec();
        argument.push(rest[4] & 0xF0 | command);
        argument.extend(length.to_be_bytes());
        Frame::request(1, argument).with_data(&string)
    })
}

/// Stations of lists: few, and mostly such as send frames here.
fn listed() -> impl Strategy<Value = [u8; 6]> {
    prop_oneof![4 => Just(CLIENT), 2 => Just(OTHER), 1 => Just(BROADCAST), 1 => any::<[u8; 6]>()]
}

fn mask() -> impl Strategy<Value = Frame> {
    // Deletions outnumber additions, so that the client is not locked out for long.
    let directive = (prop::sample::select(vec![0, 1, 2, 2, 1, 2, 3]), listed());
    let count = prop_oneof![8 => Just(None), 1 => any::<u8>().prop_map(Some)];
    (0..3_u8, vec(directive, 0..6), count).prop_map(|(command, directives, count)| {
        let count = count.unwrap_or(directives.len() as u8);
        let mut argument = vec![command, command, command, count];
        for (command, mac) in directives {
            argument.extend([command, command]);
            argument.extend(mac);
        }
        Frame::request(2, argument)
    })
}

fn reserve() -> impl Strategy<Value = Frame> {
    let count = prop_oneof![8 => Just(None), 1 => any::<u8>().prop_map(Some)];
    let stations = prop_oneof![Just(vec![]), vec(listed(), 0..4)];
    (0..4_u8, stations, count).prop_map(|(command, stations, count)| {
        let count = count.unwrap_or(stations.len() as u8);
        Frame::request(3, [vec![command, count], stations.concat()].concat())
    })
}

/// Frames that are valid in most of their parts.
fn likely_frame() -> impl Strategy<Value = Frame> {
    let body = prop_oneof![
        6 => ata(),
        2 => config(),
        2 => mask(),
        2 => reserve(),
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
    let verdict = rig.verdict(frame);
    let replies = rig.ask(frame);
    let concerned = concerned(frame);
    match verdict {
        Verdict::Steer => prop_assert!(concerned > 0),
        Verdict::Drop(Counter::DroppedMasked) => {
            prop_assert!(concerned > 0 && replies.is_empty());
        }
        _ => prop_assert_eq!(concerned, 0),
    }
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

/// The models of what [`rig`] has.
fn models(mtu: usize) -> Vec<Model> {
    let model = |seed, (shelf, slot, vlan): (u16, u8, u16)| Model {
        shelf,
        slot,
        vlan,
        read_only: seed == 2,
        mtu,
        limit: sectors_per_frame(mtu),
        buffer_count: BUFFER_COUNT,
        bytes: pattern(seed, SECTORS),
        config_string: vec![],
        mask: vec![],
        reserved: vec![],
    };
    (1..).zip(EXPORTS).map(|(seed, export)| model(seed, export)).collect()
}

/// Without what IDENTIFY DEVICE says, which other tests look at.
fn comparable(frame: &[u8], mut reply: Vec<u8>) -> Vec<u8> {
    let at = if frame[12..14] == [0x81, 0x00] { 18 } else { 14 };
    if frame.get(at + 5) == Some(&0) && frame.get(at + 13) == Some(&0xEC) && reply.len() > 500 {
        reply[at + 22..].fill(0);
    }
    reply
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

    /// Every reply, whole, and everything that is remembered, after any sequence of frames.
    #[test]
    fn targets_agree_with_their_models(
        mtu in prop_oneof![4 => Just(1500_usize), 4 => Just(9000), 1 => Just(600), 1 => Just(100)],
        frames in vec(prop_oneof![3 => likely_frame().prop_map(|frame| frame.bytes()),
                                  1 => damaged_frame()], 1..60),
    ) {
        let mut rig = rig(mtu);
        let mut models = models(mtu);
        for frame in frames {
            let replies = ask(&mut rig, &frame)?;
            let got: Vec<_> = replies.into_iter().map(|reply| comparable(&frame, reply)).collect();
            let expected: Vec<_> =
                models.iter_mut().filter_map(|model| model.answer(&frame)).collect();
            prop_assert_eq!(got, expected, "to {:02x?}", &frame[..frame.len().min(80)]);
            for (export, model) in rig.exports.iter().zip(&models) {
                prop_assert!(export.disk.bytes == model.bytes, "the disks differ");
                let lists = export.lists();
                prop_assert_eq!(&lists.config_string, &model.config_string);
                let macs = |list: &[Mac]| list.iter().map(|mac| mac.0).collect::<Vec<_>>();
                prop_assert_eq!(macs(&lists.mask), &model.mask[..]);
                prop_assert_eq!(macs(&lists.reserved), &model.reserved[..]);
            }
        }
    }
}
