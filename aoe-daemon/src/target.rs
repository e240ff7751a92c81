//! The AoE protocol of one target, without I/O: bytes in, bytes out.
//!
//! A request frame is answered in place. [`Target::accept`] looks at it and either writes the
//! reply over it, or says what the storage has to do first; [`Target::finish`] then writes the
//! reply. In between, the frame and its [`Request`] can be parked for as long as a disk takes.
//!
//! Both see the *head* of the frame: the first buffer that holds it, from its first byte to the
//! end of the buffer, at least [`HEAD_CAPACITY`] bytes. Sector data may go on in further buffers;
//! only storage touches it.
//!
//! Nothing here knows of files, threads, clocks or sockets, and nothing allocates.

mod ata;
mod config;
pub mod identify;
mod reply;

use aoe_common::address::{Address, Destination};
use aoe_common::steer::{FrameBytes, Framing};
use aoe_common::wire::ata::AtaHeader;
use aoe_common::wire::config::{ConfigHeader, MAX_CONFIG_STRING};
use aoe_common::wire::identify::Identify;
use aoe_common::wire::{
    ATA_FRAME_HEADER, AoeError, AoeHeader, ETHERNET_HEADER, FRAME_HEADER, Mac, SECTOR_SIZE,
    VERSION, VlanTag, command,
};
use reply::Reply;

/// Bytes that the head of every frame must have room for: the longest reply without sector data,
/// a tagged config string.
pub const HEAD_CAPACITY: usize =
    FRAME_HEADER + size_of::<VlanTag>() + size_of::<ConfigHeader>() + MAX_CONFIG_STRING;

/// How many requests a target says it can hold. Linux uses no more than 64 of it by default; the
/// receive rings hold more than that for several clients at once.
pub const BUFFER_COUNT: u16 = 64;

/// Firmware version in config replies, a free value: 0 and this release.
pub const FIRMWARE_VERSION: u16 = 0x0001;

/// What the port that a frame came in on, and its reply leaves by, contributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Source address of replies.
    pub mac: Mac,
    /// Most sectors per request; 0 on a link too narrow for one.
    pub max_sectors: u8,
}

/// One target: a disk with an address.
#[derive(Clone)]
pub struct Target {
    address: Address,
    sectors: u64,
    read_only: bool,
    identify: Identify,
}

/// What has to happen next with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: the frame deserves no answer.
    Ignore(Ignored),
    /// The reply is written; it has this many bytes.
    Reply(usize),
    /// Storage has to work on this, and then [`Target::finish`].
    Io(Request),
}

/// Why a frame deserves no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// It ends within the fixed header of its command.
    Short,
    /// A version that we don't speak, sent to a wildcard address.
    WildcardVersion,
    /// The port's link is too narrow for a sector.
    NarrowLink,
}

/// An accepted request for storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub operation: Operation,
    aoe_offset: usize,
}

impl Request {
    /// Where the sector data begins in the frame, in bytes.
    pub const fn data_offset(&self) -> usize {
        self.aoe_offset + (ATA_FRAME_HEADER - ETHERNET_HEADER)
    }

    /// Bytes of the frame up to the end of its sector data.
    pub const fn frame_length(&self) -> usize {
        self.data_offset() + self.operation.data_length()
    }
}

/// What storage is asked for. Ranges are within the target, counts within the port's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Fill the frame's data from the disk.
    Read(Range),
    /// Bring the frame's data to the disk.
    Write(Range),
    /// Make everything that was acknowledged before durable.
    Flush,
}

impl Operation {
    /// Bytes of sector data in the frame.
    pub const fn data_length(&self) -> usize {
        match self {
            Self::Read(range) | Self::Write(range) => range.bytes(),
            Self::Flush => 0,
        }
    }
}

/// Consecutive sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First sector.
    pub lba: u64,
    /// Number of sectors, at least 1.
    pub sectors: u8,
}

impl Range {
    /// Length in bytes.
    pub const fn bytes(&self) -> usize {
        self.sectors as usize * SECTOR_SIZE
    }

    /// Offset of the first byte on the disk.
    pub const fn byte_offset(&self) -> u64 {
        self.lba * SECTOR_SIZE as u64
    }
}

/// Why a valid request fails; the protocol's registers follow from it in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The command is not supported, or contradicts itself, or may not be done here.
    Aborted,
    /// Part of the range is past the end of the disk.
    OutOfRange,
    /// The medium could not be read.
    ReadFailed,
    /// The data could not be made durable.
    WriteFailed,
}

/// How storage fared.
pub type Outcome = Result<(), Fault>;

impl Target {
    /// A target at this address. `identify` is what IDENTIFY DEVICE returns and must tell the
    /// same size.
    pub fn new(address: Address, sectors: u64, read_only: bool, identify: Identify) -> Self {
        debug_assert_eq!(identify.sectors(), sectors);
        Self { address, sectors, read_only, identify }
    }

    /// The target's address.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Takes a request frame of `length` bytes that [`steer::verdict`] has found to be for this
    /// target.
    ///
    /// [`steer::verdict`]: aoe_common::steer::verdict
    ///
    /// # Panics
    ///
    /// Where `head` is shorter than [`HEAD_CAPACITY`].
    pub fn accept(&self, port: &Port, framing: Framing, head: &mut [u8], length: usize) -> Step {
        assert!(head.len() >= HEAD_CAPACITY, "a frame's head has {} bytes only", head.len());
        let received = &head[..length.min(head.len())];
        let argument_offset = framing.aoe_offset + size_of::<AoeHeader>();
        let Some(aoe) = received.header::<AoeHeader>(framing.aoe_offset).copied() else {
            return Step::Ignore(Ignored::Short);
        };
        let wildcard = Destination { shelf: aoe.shelf.get(), slot: aoe.slot }.is_wildcard();
        if aoe.version() != VERSION {
            return if wildcard {
                Step::Ignore(Ignored::WildcardVersion)
            } else {
                Step::Reply(
                    self.reply(port, framing.aoe_offset, head)
                        .refuse(AoeError::UnsupportedVersion, 0),
                )
            };
        }
        if port.max_sectors == 0 {
            return Step::Ignore(Ignored::NarrowLink);
        }
        match aoe.command {
            command::ATA => match received.header::<AtaHeader>(argument_offset).copied() {
                Some(ata) => {
                    let context = ata::Context { port, wildcard, length };
                    self.accept_ata(context, ata, framing.aoe_offset, head)
                }
                None => Step::Ignore(Ignored::Short),
            },
            command::CONFIG => match received.header::<ConfigHeader>(argument_offset).copied() {
                Some(query) => {
                    Step::Reply(self.query_config(port, query, framing.aoe_offset, head))
                }
                None => Step::Ignore(Ignored::Short),
            },
            _ => Step::Reply(
                self.reply(port, framing.aoe_offset, head).refuse(AoeError::UnrecognizedCommand, 0),
            ),
        }
    }

    /// Writes the reply to a request that storage has worked on, and tells its length. After a
    /// successful read the sector data must be in the frame already.
    pub fn finish(
        &self,
        port: &Port,
        request: Request,
        head: &mut [u8],
        outcome: Outcome,
    ) -> usize {
        self.reply(port, request.aoe_offset, head).complete(request.operation, outcome)
    }

    fn reply<'a>(&self, port: &Port, aoe_offset: usize, head: &'a mut [u8]) -> Reply<'a> {
        Reply::to_request(head, aoe_offset, port.mac, self.address)
    }
}
