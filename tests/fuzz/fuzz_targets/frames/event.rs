//! What an input's bytes stand for.
//!
//! A frame is described, rather than given byte by byte: of frames that a mutation has damaged,
//! most would not get past the first check. Every field can still have every value, and what is
//! described can be damaged afterwards.

use crate::support::frame::{BROADCAST, CLIENT, Frame, Registers, TARGET, pattern};
use aoe_daemon::target::Fault;
use libfuzzer_sys::arbitrary::{Result, Unstructured};

/// Sectors of every disk: a read of the longest frame fits.
pub(crate) const SECTORS: usize = 24;
/// Longest frame, in bytes.
const LONGEST: usize = 9100;
/// Opcodes of the protocol's table; others come from everywhere else.
const OPCODES: [u8; 32] = [
    0x20, 0x21, 0x24, 0x25, 0x29, 0x30, 0x31, 0x34, 0x35, 0x39, 0x3D, 0x40, 0x41, 0x42, 0xC4, 0xC5,
    0xC6, 0xC8, 0xCA, 0xCE, 0x06, 0x90, 0x91, 0xB0, 0xE0, 0xE1, 0xE3, 0xE5, 0xE7, 0xEA, 0xEC, 0xEF,
];

/// Something that happens to the targets.
pub(crate) enum Event {
    /// From now on, it goes like this below them.
    Below(Below),
    /// A frame comes in.
    Frame(Vec<u8>),
}

/// What targets stand on.
pub(crate) struct Below {
    /// What every request to a disk ends with.
    pub(crate) fault: Option<Fault>,
    /// Whether nothing can be remembered.
    pub(crate) forgetful: bool,
    /// How many sectors can be reached, of those that there are.
    pub(crate) reachable: u64,
    /// Stations that the administrator lets in, if not everybody, and those that he keeps out.
    pub(crate) access: [Vec<[u8; 6]>; 2],
}

impl Event {
    /// The next one of an input.
    pub(crate) fn next(input: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match input.arbitrary::<u8>()? {
            0 => Self::Below(below(input)?),
            kind => Self::Frame(damaged(header(body(kind % 8, input)?, input)?, input)?),
        })
    }
}

fn below(input: &mut Unstructured<'_>) -> Result<Below> {
    let faults = [Fault::Aborted, Fault::ReadFailed, Fault::WriteFailed, Fault::Reserved];
    Ok(Below {
        fault: if input.arbitrary()? { Some(*input.choose(&faults)?) } else { None },
        forgetful: input.arbitrary()?,
        reachable: input.int_in_range(0..=SECTORS as u64)?,
        access: [stations(input)?, stations(input)?],
    })
}

/// Command and argument.
fn body(kind: u8, input: &mut Unstructured<'_>) -> Result<Frame> {
    Ok(match kind {
        0..=2 => ata(input)?,
        3 | 4 => config(input)?,
        5 => mask(input)?,
        6 => reserve(input)?,
        _ => Frame::request(input.arbitrary()?, literal(input)?),
    })
}

fn ata(input: &mut Unstructured<'_>) -> Result<Frame> {
    let command = if input.ratio(7, 8)? { *input.choose(&OPCODES)? } else { input.arbitrary()? };
    let lba = if input.ratio(3, 4)? {
        [input.arbitrary::<u8>()? % 32, 0, 0, 0, 0, 0]
    } else {
        input.arbitrary()?
    };
    let [aflags, feature, count] = input.arbitrary()?;
    let registers = Registers { aflags, feature, count, command, lba, reserved: [0; 2] };
    let data = match input.arbitrary::<u8>()? % 4 {
        0 => Vec::new(),
        1 => pattern(input.arbitrary::<u8>()?.into(), usize::from(count).min(18)),
        2 => trim_ranges(input)?,
        _ => literal(input)?,
    };
    Ok(Frame::ata(registers).with_data(&data))
}

/// A block of ranges to discard, few of which are used.
fn trim_ranges(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut block = vec![0; 512];
    for entry in block.chunks_exact_mut(8).take(input.int_in_range(0..=4)?) {
        entry[0] = input.arbitrary::<u8>()? % 32;
        entry[6] = input.arbitrary::<u8>()? % 32;
        if input.ratio(1, 8)? {
            entry.copy_from_slice(&input.arbitrary::<[u8; 8]>()?);
        }
    }
    Ok(block)
}

fn config(input: &mut Unstructured<'_>) -> Result<Frame> {
    let [a, b, c, d, sub_command] = input.arbitrary()?;
    let string = literal(input)?;
    let claimed =
        if input.ratio(7, 8)? { string.len() as u16 } else { input.arbitrary::<u16>()? };
    let header = [a, b, c, d, 0, sub_command];
    Ok(Frame::request(1, [header.as_slice(), &claimed.to_be_bytes(), &string].concat()))
}

fn mask(input: &mut Unstructured<'_>) -> Result<Frame> {
    let [command, error] = input.arbitrary()?;
    let directive = if input.ratio(3, 4)? { 1 } else { input.arbitrary()? };
    let mut argument = vec![0, command, error, 0];
    let mut count = 0_u8;
    for station in stations(input)? {
        argument.extend([0, directive]);
        argument.extend(station);
        count = count.wrapping_add(1);
    }
    argument[3] = if input.ratio(7, 8)? { count } else { input.arbitrary()? };
    Ok(Frame::request(2, argument))
}

fn reserve(input: &mut Unstructured<'_>) -> Result<Frame> {
    let command = input.arbitrary::<u8>()?;
    let stations = stations(input)?;
    let count = if input.ratio(7, 8)? { stations.len() as u8 } else { input.arbitrary()? };
    Ok(Frame::request(3, [&[command, count], stations.concat().as_slice()].concat()))
}

/// Stations to be listed: a few by name, or as many as a list holds and some more.
fn stations(input: &mut Unstructured<'_>) -> Result<Vec<[u8; 6]>> {
    if input.ratio(3, 4)? {
        return (0..input.int_in_range(0..=5)?).map(|_| station(input)).collect();
    }
    let [first, count] = input.arbitrary::<[u8; 2]>()?;
    Ok((0..count).map(|i| [2, 0, 0, 1, first, i]).collect())
}

fn station(input: &mut Unstructured<'_>) -> Result<[u8; 6]> {
    Ok(match input.arbitrary::<u8>()? % 8 {
        0..=2 => CLIENT,
        3 => TARGET,
        4 => BROADCAST,
        5 => input.arbitrary()?,
        _ => [2, 0, 0, 1, input.arbitrary::<u8>()? % 4, input.arbitrary::<u8>()? % 4],
    })
}

/// Most requests have the usual header.
fn header(frame: Frame, input: &mut Unstructured<'_>) -> Result<Frame> {
    let to = [(0, 1), (0, 2), (7, 3), (0xFFFF, 0xFF), (0xFFFF, 1), (0, 0xFF)];
    let (shelf, slot) = *input.choose(&to)?;
    let vlan = if shelf == 7 { Some(5) } else { None };
    let frame = Frame { shelf, slot, vlan, ..frame };
    if input.ratio(3, 4)? {
        return Ok(frame);
    }
    Ok(Frame {
        destination: if input.arbitrary()? { TARGET } else { station(input)? },
        source: station(input)?,
        vlan: *input.choose(&[None, Some(0), Some(5), Some(0xE005), Some(4095)])?,
        version_flags: if input.arbitrary()? { 0x10 } else { input.arbitrary()? },
        error: input.arbitrary()?,
        tag: input.arbitrary()?,
        ..frame
    })
}

/// The bytes of a frame, which may have suffered on their way.
fn damaged(frame: Frame, input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut bytes = frame.padded();
    let damages = input.arbitrary::<u8>()?;
    for _ in 0..damages % 4 {
        let [at, value] = input.arbitrary::<[u8; 2]>()?;
        if let Some(byte) = bytes.get_mut(usize::from(at)) {
            *byte = value;
        }
    }
    if damages >= 0xE0 {
        // No device delivers a frame without its Ethernet header.
        bytes.truncate(input.int_in_range(14..=bytes.len())?);
    }
    bytes.truncate(LONGEST);
    Ok(bytes)
}

/// Bytes as they are, with their number in front of them.
fn literal(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let length = usize::from(input.arbitrary::<u16>()? % 2048);
    Ok(input.bytes(length.min(input.len()))?.to_vec())
}
