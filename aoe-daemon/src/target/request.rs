//! What comes of a request frame.

use super::Edit;
use aoe_common::wire::{ATA_FRAME_HEADER, ETHERNET_HEADER, Mac, SECTOR_SIZE};

/// What has to happen next with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: the frame deserves no answer.
    Ignore(Ignored),
    /// The reply is written; it has this many bytes.
    Reply(usize),
    /// Storage has to work on this, and then [`Target::finish`](super::Target::finish).
    Io(Request),
    /// The target has to remember something else, durably, and then
    /// [`Target::finish_edit`](super::Target::finish_edit).
    Persist(Edit),
}

/// Why a frame deserves no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// It ends within the fixed header of its command, or within its config string.
    Short,
    /// A version that we don't speak, sent to a wildcard address.
    WildcardVersion,
    /// The port's link is too narrow for a sector, or for the reply.
    NarrowLink,
    /// It comes from a station that may not talk to the target.
    Masked,
    /// It asks for an answer only if the config string is another than it is.
    OtherString,
}

/// An accepted request for storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub operation: Operation,
    /// Who asks for it.
    pub source: Mac,
    pub(super) aoe_offset: usize,
}

impl Request {
    /// Where the sector data begins in the frame, in bytes.
    pub const fn data_offset(&self) -> usize {
        data_offset(self.aoe_offset)
    }

    /// Bytes of the frame up to the end of its sector data.
    pub const fn frame_length(&self) -> usize {
        self.data_offset() + self.operation.data_length()
    }
}

/// Where the sector data begins in a frame whose AoE header is there, in bytes.
pub(super) const fn data_offset(aoe_offset: usize) -> usize {
    aoe_offset + (ATA_FRAME_HEADER - ETHERNET_HEADER)
}

/// What storage is asked for. Ranges are within the target, counts within the port's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Fill the frame's data from the disk.
    Read(Range),
    /// Bring the frame's data to the disk.
    Write {
        /// Where it goes.
        range: Range,
        /// Whether it has to be durable before it is answered, also where there is a write cache
        /// (FUA).
        fua: bool,
    },
    /// Read without returning anything.
    Verify(Span),
    /// Discard what the frame's data lists: see [`trim_ranges`](super::trim_ranges).
    Trim,
    /// Make everything that was acknowledged before durable.
    Flush,
    /// Read ahead of sequential reads from now on, or not.
    LookAhead(bool),
}

/// Blocks of 512 bytes that one TRIM may list ranges in. With one, they are within the head of
/// every frame.
pub const TRIM_BLOCKS: u8 = 1;

impl Operation {
    /// Bytes of sector data in the frame.
    pub const fn data_length(&self) -> usize {
        match self {
            Self::Read(range) | Self::Write { range, .. } => range.bytes(),
            Self::Trim => TRIM_BLOCKS as usize * SECTOR_SIZE,
            Self::Verify(_) | Self::Flush | Self::LookAhead(_) => 0,
        }
    }

    /// Whether it changes what the disk holds.
    pub const fn changes_data(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Trim)
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

/// Consecutive sectors, more than fit a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First sector.
    pub lba: u64,
    /// Number of sectors, 1 to 65536.
    pub sectors: u32,
}

/// Why a valid request fails; the wire's answer follows from it in one place.
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
    /// The file or device behind the disk is gone, and may come back.
    Unavailable,
    /// Others have come to hold the target reserved before its turn came.
    Reserved,
    /// Its source has come to be masked before its turn came: there is no answer.
    Masked,
}

/// How storage fared.
pub type Outcome = Result<(), Fault>;
