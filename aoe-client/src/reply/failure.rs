//! Why a target did not do what it was asked.

use aoe_common::wire::AoeError;
use aoe_common::wire::mac_mask::MaskError;

/// Why a target did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The target refused the request.
    #[error("{0}")]
    Aoe(AoeError),
    /// The target refused the request for a reason that AoEr11 does not know.
    #[error("AoE error {0}, which the protocol does not define")]
    UnknownAoe(u8),
    /// The target stopped in the middle of an edit of its MAC mask list.
    #[error("{error}; {} carried out", directives(*done))]
    Mask {
        /// Why.
        error: MaskError,
        /// How many directives it had carried out by then. They stay carried out.
        done: u8,
    },
    /// As [`Mask`](Self::Mask), for a reason that AoEr11 does not know.
    #[error("mask error {code}, which the protocol does not define; {} carried out",
        directives(*done))]
    UnknownMask {
        /// The reason's number.
        code: u8,
        /// How many directives it had carried out by then. They stay carried out.
        done: u8,
    },
    /// The disk refused or failed the command.
    #[error("ATA status {status:#04x}, error {error:#04x}{}", describe(*status, *error))]
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
    /// The reply has a SMART status that ATA does not know.
    #[error("the SMART status is {:02x} {:02x}, which ATA does not define", .status[0], .status[1])]
    UnknownHealth {
        /// LBA bytes 1 and 2.
        status: [u8; 2],
    },
}

fn directives(done: u8) -> String {
    match done {
        0 => "nothing was".to_owned(),
        1 => "the first directive was".to_owned(),
        _ => format!("the first {done} directives were"),
    }
}

/// The usual meanings of the registers, in words.
fn describe(status: u8, error: u8) -> &'static str {
    use aoe_common::wire::ata::error::{ABRT, IDNF, UNC};
    use aoe_common::wire::ata::status::DF;
    match error {
        _ if status & DF != 0 => " (device fault)",
        ABRT => " (command aborted: not supported, or not allowed)",
        IDNF => " (no such sector)",
        UNC => " (medium unreadable)",
        _ => "",
    }
}
