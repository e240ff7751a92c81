//! Frames that come back: which of them are replies to us, and what they say.

use aoe_common::address::Address;
use aoe_common::wire::ata::{AtaHeader, aflag, status};
use aoe_common::wire::config::{ConfigHeader, MAX_CONFIG_STRING};
use aoe_common::wire::{
    AoeError, AoeHeader, ETHER_TYPE_AOE, EthernetHeader, Mac, SECTOR_SIZE, VERSION, command, flag,
};
use zerocopy::FromBytes;

use crate::request::Operation;

/// Why a frame is no reply to us. Such frames are normal on a shared wire, and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOurs {
    /// It ends before the AoE header does.
    TooShort,
    /// Its EtherType is another protocol's.
    EtherType,
    /// Its destination is another MAC address.
    Destination,
    /// It is a request.
    Request,
    /// It speaks another version of the protocol, or claims to.
    Version,
    /// It comes from an address that no target can have.
    Address,
}

/// A reply to us: its header is sound, and its body has not been looked at.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The MAC address of the port that answers.
    pub source: Mac,
    /// The target that answers.
    pub address: Address,
    /// The tag of the request that it answers.
    pub tag: u32,
    command: u8,
    aoe_error: Option<u8>,
    body: &'a [u8],
}

/// What a target that did as it was asked has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// To [`Operation::QueryConfig`].
    Config(Config<'a>),
    /// To everything else, with exactly the bytes that were asked for: 512 for an IDENTIFY, all
    /// sectors of a read, none for a write.
    Data(&'a [u8]),
}

/// What the reply to a config query says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config<'a> {
    /// How many requests the target can hold at once.
    pub buffer_count: u16,
    /// Firmware version, a free value.
    pub firmware_version: u16,
    /// Most sectors per request on this port, at least 1.
    pub sector_count: u8,
    /// The config string, at most 1024 bytes.
    pub string: &'a [u8],
}

/// Why a target did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The target refused the request.
    #[error("{0}")]
    Aoe(AoeError),
    /// The target refused the request for a reason that AoEr11 does not know.
    #[error("AoE error {0}, which the protocol does not define")]
    UnknownAoe(u8),
    /// The disk refused or failed the command.
    #[error("ATA status {status:#04x}, error {error:#04x}{}", describe(*error))]
    Ata {
        /// Status register.
        status: u8,
        /// Error register.
        error: u8,
    },
    /// The reply reports success but holds less data than that would take.
    #[error("the reply has {bytes} bytes of data instead of {expected}")]
    Short {
        /// Bytes of data in the reply.
        bytes: usize,
        /// Bytes of data that were asked for.
        expected: usize,
    },
}

/// The usual meanings of the Error register, in words.
fn describe(error: u8) -> &'static str {
    use aoe_common::wire::ata::error::{ABRT, IDNF, UNC};
    match error {
        ABRT => " (command aborted)",
        IDNF => " (no such sector)",
        UNC => " (medium unreadable)",
        _ => "",
    }
}

/// Checks whether a frame is a reply to the station `own`.
///
/// Frames shorter than Ethernet's 60 bytes are taken: not every target pads, and virtual links
/// don't either.
///
/// # Errors
///
/// [`NotOurs`] says what else the frame is.
pub fn parse(frame: &[u8], own: Mac) -> Result<Reply<'_>, NotOurs> {
    let (ethernet, rest) = EthernetHeader::ref_from_prefix(frame).map_err(|_| NotOurs::TooShort)?;
    let (aoe, body) = AoeHeader::ref_from_prefix(rest).map_err(|_| NotOurs::TooShort)?;
    if ethernet.ether_type.get() != ETHER_TYPE_AOE {
        return Err(NotOurs::EtherType);
    }
    if ethernet.destination != own {
        return Err(NotOurs::Destination);
    }
    if !aoe.is_response() {
        return Err(NotOurs::Request);
    }
    if aoe.version() != VERSION {
        return Err(NotOurs::Version);
    }
    let address = Address::new(aoe.shelf.get(), aoe.slot).map_err(|_| NotOurs::Address)?;
    let failed = aoe.version_flags & flag::ERROR != 0;
    Ok(Reply {
        source: ethernet.source,
        address,
        tag: u32::from_be_bytes(aoe.tag),
        command: aoe.command,
        aoe_error: failed.then_some(aoe.error),
        body,
    })
}

impl<'a> Reply<'a> {
    /// What the reply says to a request for `operation`: an answer, or why there is none. `None`
    /// if it can't be the reply to such a request: it answers another command, is about other
    /// sectors, or is too short to say anything.
    #[must_use]
    pub fn answer(&self, operation: Operation) -> Option<Result<Answer<'a>, Failure>> {
        if self.command != operation.command() {
            return None;
        }
        // Not every target sends more than the AoE header with an error.
        if let Some(code) = self.aoe_error {
            let failure = AoeError::from_code(code).map_or(Failure::UnknownAoe(code), Failure::Aoe);
            return Some(Err(failure));
        }
        match self.command {
            command::CONFIG => self.config().map(|config| Ok(Answer::Config(config))),
            _ => self.ata(operation),
        }
    }

    fn config(&self) -> Option<Config<'a>> {
        let (header, rest) = ConfigHeader::ref_from_prefix(self.body).ok()?;
        let length = usize::from(header.string_length.get());
        if length > MAX_CONFIG_STRING {
            return None;
        }
        Some(Config {
            buffer_count: header.buffer_count.get(),
            firmware_version: header.firmware_version.get(),
            // Targets from before the field existed send 0 and take two.
            sector_count: if header.sector_count == 0 { 2 } else { header.sector_count },
            string: rest.get(..length)?,
        })
    }

    fn ata(&self, operation: Operation) -> Option<Result<Answer<'a>, Failure>> {
        let (header, data) = AtaHeader::ref_from_prefix(self.body).ok()?;
        let expected = match operation {
            Operation::QueryConfig => return None,
            Operation::Identify => SECTOR_SIZE,
            Operation::Read { lba, sectors } if echoes(header, lba) => {
                usize::from(sectors) * SECTOR_SIZE
            }
            Operation::Write { lba, .. } if echoes(header, lba) => 0,
            Operation::Read { .. } | Operation::Write { .. } => return None,
        };
        if header.command & status::FAILED != 0 {
            let failure = Failure::Ata { status: header.command, error: header.feature };
            return Some(Err(failure));
        }
        Some(match data.get(..expected) {
            Some(data) => Ok(Answer::Data(data)),
            None => Err(Failure::Short { bytes: data.len(), expected }),
        })
    }
}

/// Whether a reply is about this LBA. A tag has too few bits to rule out that two initiators on
/// one interface pick the same one, and data of other sectors must never be taken for ours.
fn echoes(header: &AtaHeader, lba: u64) -> bool {
    let echoed = if header.aflags & aflag::EXTENDED != 0 { header.lba48() } else { header.lba28() };
    echoed == lba
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const READ: Operation = Operation::Read { lba: 0x0605_0403_0201, sectors: 2 };

    /// Header of a reply from e1.3 with the tag 80000001, and behind it what is given.
    fn frame(flags: u8, error: u8, command: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xA2, flags, error];
        bytes.extend([0, 1, 3, command, 0x80, 0, 0, 1]);
        bytes.extend(body);
        bytes
    }

    fn answer(frame: &[u8], operation: Operation) -> Option<Result<Answer<'_>, Failure>> {
        parse(frame, OWN).unwrap().answer(operation)
    }

    #[test]
    fn takes_an_unpadded_config_reply() {
        let bytes = frame(0x18, 0, 1, &[0, 16, 0x40, 0x19, 0, 0x10, 0, 0]);
        assert_eq!(bytes.len(), 32);
        let reply = parse(&bytes, OWN).unwrap();
        assert_eq!(reply.source, Mac([2, 0, 0, 0, 0, 2]));
        assert_eq!(reply.address, Address::new(1, 3).unwrap());
        assert_eq!(reply.tag, 0x8000_0001);
        let expected =
            Config { buffer_count: 16, firmware_version: 0x4019, sector_count: 2, string: b"" };
        assert_eq!(reply.answer(Operation::QueryConfig), Some(Ok(Answer::Config(expected))));
    }

    #[test]
    fn config_strings_end_where_their_length_says() {
        let mut body = vec![0, 16, 0, 0, 17, 0x10, 0, 5];
        body.extend(b"helloXXXX");
        let bytes = frame(0x18, 0, 1, &body);
        let Some(Ok(Answer::Config(config))) = answer(&bytes, Operation::QueryConfig) else {
            panic!()
        };
        assert_eq!((config.sector_count, config.string), (17, &b"hello"[..]));
        assert_eq!(answer(&frame(0x18, 0, 1, &body[..12]), Operation::QueryConfig), None);
        body[6..8].copy_from_slice(&1025_u16.to_be_bytes());
        body.resize(8 + 1025, b'x');
        assert_eq!(answer(&frame(0x18, 0, 1, &body), Operation::QueryConfig), None);
    }

    #[test]
    fn refuses_frames_of_others() {
        let good = frame(0x18, 0, 1, &[0; 36]);
        assert!(parse(&good, OWN).is_ok());
        for length in 0..24 {
            assert_eq!(parse(&good[..length], OWN).unwrap_err(), NotOurs::TooShort);
        }
        let with = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            parse(&bytes, OWN).unwrap_err()
        };
        assert_eq!(with(12, 0x08), NotOurs::EtherType);
        assert_eq!(with(5, 9), NotOurs::Destination);
        assert_eq!(with(14, 0x10), NotOurs::Request);
        assert_eq!(with(14, 0x08), NotOurs::Version);
        assert_eq!(with(14, 0x28), NotOurs::Version);
        assert_eq!(with(18, 0xFF), NotOurs::Address);
    }

    #[test]
    fn reads_return_exactly_what_was_asked_for() {
        let mut body = vec![0x40, 0, 0, 0x40, 1, 2, 3, 4, 5, 6, 0, 0];
        body.extend([7; 1024]);
        body.extend([0; 4]);
        assert_eq!(answer(&frame(0x18, 0, 0, &body), READ), Some(Ok(Answer::Data(&[7; 1024]))));
        let short = frame(0x18, 0, 0, &body[..12 + 1023]);
        let failure = Failure::Short { bytes: 1023, expected: 1024 };
        assert_eq!(answer(&short, READ), Some(Err(failure)));
        assert_eq!(answer(&frame(0x18, 0, 0, &body[..11]), READ), None);
    }

    #[test]
    fn replies_about_something_else_are_not_ours() {
        let body = [0x40, 0, 0, 0x40, 1, 2, 3, 4, 5, 6, 0, 0];
        let write = |lba| Operation::Write { lba, sectors: 1 };
        let bytes = frame(0x18, 0, 0, &body);
        assert_eq!(answer(&bytes, write(0x0605_0403_0201)), Some(Ok(Answer::Data(&[]))));
        assert_eq!(answer(&bytes, write(0x0605_0403_0202)), None);
        assert_eq!(answer(&bytes, Operation::QueryConfig), None);
        assert_eq!(answer(&frame(0x18, 0, 2, &body), write(0x0605_0403_0201)), None);
        let body = [0x01, 0, 0, 0x40, 1, 2, 3, 0xE4, 0, 0, 0, 0];
        let bytes = frame(0x18, 0, 0, &body);
        assert_eq!(answer(&bytes, write(0x0403_0201)), Some(Ok(Answer::Data(&[]))));
        assert_eq!(answer(&bytes, write(0xE403_0201)), None);
    }

    #[test]
    fn aoe_errors_have_their_names() {
        let names = [
            "unrecognized command code",
            "bad argument parameter",
            "device unavailable",
            "config string present",
            "unsupported version",
            "target is reserved",
        ];
        for (code, name) in (1..).zip(names) {
            // The bare header is all that some targets send.
            let bytes = frame(0x1C, code, 0, &[]);
            let Some(Err(failure)) = answer(&bytes, READ) else { panic!() };
            assert_eq!(failure, Failure::Aoe(AoeError::from_code(code).unwrap()));
            assert_eq!(failure.to_string(), name);
        }
        let bytes = frame(0x1C, 7, 0, &[]);
        assert_eq!(answer(&bytes, READ), Some(Err(Failure::UnknownAoe(7))));
        // Without the E flag the byte means nothing.
        let bytes = frame(0x18, 7, 0, &[0x40, 0, 0, 0x40, 1, 2, 3, 4, 5, 6, 0, 0]);
        let write = Operation::Write { lba: 0x0605_0403_0201, sectors: 1 };
        assert_eq!(answer(&bytes, write), Some(Ok(Answer::Data(&[]))));
    }

    #[test]
    fn any_bad_bit_of_the_status_register_is_a_failure() {
        for status in [0x41, 0x60, 0x48, 0xC0] {
            let bytes = frame(0x18, 0, 0, &[0x40, 0x10, 2, status, 1, 2, 3, 4, 5, 6, 0, 0]);
            let failure = Failure::Ata { status, error: 0x10 };
            assert_eq!(answer(&bytes, READ), Some(Err(failure)));
        }
        let text = Failure::Ata { status: 0x41, error: 0x10 }.to_string();
        assert_eq!(text, "ATA status 0x41, error 0x10 (no such sector)");
        // vblade reports a successful flush this way.
        let bytes = frame(0x18, 0, 0, &[0x40, 0, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0]);
        let write = Operation::Write { lba: 0x0605_0403_0201, sectors: 1 };
        assert_eq!(answer(&bytes, write), Some(Ok(Answer::Data(&[]))));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(
            mut bytes in prop::collection::vec(any::<u8>(), 0..1200),
            sound in any::<bool>(),
            operation in prop_oneof![
                Just(Operation::QueryConfig),
                Just(Operation::Identify),
                (any::<u64>(), any::<u8>())
                    .prop_map(|(lba, sectors)| Operation::Read { lba, sectors }),
                (any::<u64>(), any::<u8>())
                    .prop_map(|(lba, sectors)| Operation::Write { lba, sectors }),
            ],
        ) {
            if sound {
                // Random bytes alone would hardly ever get past the header.
                let header = frame(0x18, 0, operation.command(), &[]);
                let length = header.len().min(bytes.len());
                bytes[..length].copy_from_slice(&header[..length]);
            }
            if let Ok(reply) = parse(&bytes, OWN) {
                prop_assert!(bytes.len() >= 24);
                if let Some(Ok(Answer::Data(data))) = reply.answer(operation) {
                    let expected = match operation {
                        Operation::Read { sectors, .. } => usize::from(sectors) * 512,
                        Operation::Write { .. } => 0,
                        _ => 512,
                    };
                    prop_assert_eq!(data.len(), expected);
                }
            }
        }
    }
}
