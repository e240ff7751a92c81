//! Replies to ATA commands.

use aoe_common::wire::SECTOR_SIZE;
use aoe_common::wire::ata::{AtaHeader, aflag, smart, status};
use zerocopy::FromBytes;

use super::{Answer, Failure, Health};
use crate::request::Operation;

/// What the argument of a reply to `operation` says, as
/// [`Reply::answer`](super::Reply::answer) has it.
pub(super) fn answer(body: &[u8], operation: Operation) -> Option<Result<Answer<'_>, Failure>> {
    let (header, data) = AtaHeader::ref_from_prefix(body).ok()?;
    let failed = header.command & status::FAILED != 0;
    // What the LBA bytes of the request said, where the reply has to say the same.
    let (lba, expected) = match operation {
        Operation::Read { lba, sectors } => (Some(lba), usize::from(sectors) * SECTOR_SIZE),
        Operation::Write { lba, .. } => (Some(lba), 0),
        // A disk that fails a flush may say at which sector.
        Operation::Flush | Operation::FlushExt if failed => (None, 0),
        Operation::Flush | Operation::FlushExt | Operation::Trim { .. } => (Some(0), 0),
        Operation::Identify => (None, SECTOR_SIZE),
        Operation::EnableSmart | Operation::SmartStatus => (None, 0),
        Operation::Config(_)
        | Operation::ReadMask
        | Operation::EditMask
        | Operation::ReadReservation
        | Operation::Reserve { .. } => return None,
    };
    if lba.is_some_and(|lba| !echoes(header, lba)) {
        return None;
    }
    if failed {
        let failure = Failure::Ata { status: header.command, error: header.feature };
        return Some(Err(failure));
    }
    if operation == Operation::SmartStatus {
        return Some(health(header).map(Answer::Health));
    }
    Some(match data.get(..expected) {
        Some(data) => Ok(Answer::Data(data)),
        None => Err(Failure::Short { bytes: data.len(), expected }),
    })
}

/// Whether a reply is about this LBA. A tag has too few bits to rule out that two initiators on
/// one interface pick the same one, and data of other sectors must never be taken for ours.
fn echoes(header: &AtaHeader, lba: u64) -> bool {
    let echoed = if header.aflags & aflag::EXTENDED != 0 { header.lba48() } else { header.lba28() };
    echoed == lba
}

fn health(header: &AtaHeader) -> Result<Health, Failure> {
    let [_, middle, high, ..] = header.lba;
    match [middle, high] {
        smart::KEY => Ok(Health::Good),
        smart::FAILING => Ok(Health::Failing),
        status => Err(Failure::UnknownHealth { status }),
    }
}
