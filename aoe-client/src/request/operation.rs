//! What one frame can ask of a target.

use std::fmt;

use aoe_common::wire::command;

/// What one frame asks of a target. The data that goes with it, if any, is given to
/// [`build`](super::build) beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Query or change the config string, and learn the limits of the port that answers. The data
    /// is the string, none for a read.
    Config(ConfigQuery),
    /// Read the MAC mask list.
    ReadMask,
    /// Change the MAC mask list. The data are the
    /// [directives](aoe_common::wire::mac_mask::Directive), at least one.
    EditMask,
    /// Read the list of stations that hold the target reserved.
    ReadReservation,
    /// Replace that list. The data are the MAC addresses, none to release the target.
    Reserve {
        /// Even if others hold it.
        force: bool,
    },
    /// IDENTIFY DEVICE: 512 bytes about the disk.
    Identify,
    /// READ SECTORS.
    Read {
        /// First sector.
        lba: u64,
        /// How many, at least 1.
        sectors: u8,
    },
    /// WRITE SECTORS. The data is what the sectors shall hold.
    Write {
        /// First sector.
        lba: u64,
        /// How many, at least 1.
        sectors: u8,
    },
    /// FLUSH CACHE.
    Flush,
    /// FLUSH CACHE EXT: the same, as disks with 48-bit commands have it.
    FlushExt,
    /// DATA SET MANAGEMENT, which discards. The data are blocks of 64
    /// [ranges](aoe_common::wire::ata::trim_entry).
    Trim {
        /// How many blocks of 512 bytes, at least 1.
        blocks: u8,
    },
    /// SMART ENABLE OPERATIONS.
    EnableSmart,
    /// SMART RETURN STATUS.
    SmartStatus,
}

/// What is done with the config string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigQuery {
    /// Return it.
    Read,
    /// Answer only if it is exactly this.
    Test,
    /// Answer only if it begins with this.
    Prefix,
    /// Store this one where none is stored yet.
    Set,
    /// Store this one whatever is stored.
    ForceSet,
}

impl Operation {
    /// The AoE command that carries it.
    #[must_use]
    pub const fn command(self) -> u8 {
        match self {
            Self::Config(_) => command::CONFIG,
            Self::ReadMask | Self::EditMask => command::MAC_MASK,
            Self::ReadReservation | Self::Reserve { .. } => command::RESERVE,
            Self::Identify
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::Flush
            | Self::FlushExt
            | Self::Trim { .. }
            | Self::EnableSmart
            | Self::SmartStatus => command::ATA,
        }
    }

    /// Whether it may change anything about the target or its disk. A flush counts: it makes the
    /// disks of a whole segment busy.
    #[must_use]
    pub const fn changes(self) -> bool {
        match self {
            Self::Config(ConfigQuery::Set | ConfigQuery::ForceSet)
            | Self::EditMask
            | Self::Reserve { .. }
            | Self::Write { .. }
            | Self::Flush
            | Self::FlushExt
            | Self::Trim { .. }
            | Self::EnableSmart => true,
            Self::Config(ConfigQuery::Read | ConfigQuery::Test | ConfigQuery::Prefix)
            | Self::ReadMask
            | Self::ReadReservation
            | Self::Identify
            | Self::Read { .. }
            | Self::SmartStatus => false,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Config(ConfigQuery::Read) => f.write_str("the config query"),
            Self::Config(ConfigQuery::Test | ConfigQuery::Prefix) => {
                f.write_str("the test of the config string")
            }
            Self::Config(ConfigQuery::Set | ConfigQuery::ForceSet) => {
                f.write_str("the change of the config string")
            }
            Self::ReadMask => f.write_str("the query of the MAC mask list"),
            Self::EditMask => f.write_str("the edit of the MAC mask list"),
            Self::ReadReservation => f.write_str("the query of the reservation"),
            Self::Reserve { .. } => f.write_str("the change of the reservation"),
            Self::Identify => f.write_str("IDENTIFY DEVICE"),
            Self::Read { lba, sectors: 1 } => write!(f, "the read of sector {lba}"),
            Self::Read { lba, sectors } => write!(f, "the read of {sectors} sectors at {lba}"),
            Self::Write { lba, sectors: 1 } => write!(f, "the write of sector {lba}"),
            Self::Write { lba, sectors } => write!(f, "the write of {sectors} sectors at {lba}"),
            Self::Flush => f.write_str("FLUSH CACHE"),
            Self::FlushExt => f.write_str("FLUSH CACHE EXT"),
            Self::Trim { .. } => f.write_str("TRIM"),
            Self::EnableSmart => f.write_str("SMART ENABLE OPERATIONS"),
            Self::SmartStatus => f.write_str("SMART RETURN STATUS"),
        }
    }
}
