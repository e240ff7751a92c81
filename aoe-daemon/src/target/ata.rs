//! ATA commands: what each opcode means, and what a valid request is.

use super::{Fault, Operation, Port, Range, Request, Step, Target};
use aoe_common::wire::ata::{AtaHeader, aflag, opcode};
use aoe_common::wire::identify::LBA28_MAX;
use aoe_common::wire::{AoeError, SECTOR_SIZE};

/// What an ATA command comes with.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    /// The port that it came in on.
    pub(super) port: &'a Port,
    /// Whether it was sent to a wildcard address.
    pub(super) wildcard: bool,
    /// Length of the frame in bytes.
    pub(super) length: usize,
}

/// A command of the table.
enum Command {
    Read(Range, AddressLimit),
    Write(Range, AddressLimit),
    Flush,
    CheckPowerMode,
    Identify,
}

/// First sector that the command's addressing can't reach.
struct AddressLimit(u64);

const LIMIT_28: AddressLimit = AddressLimit(LBA28_MAX + 1);
const LIMIT_48: AddressLimit = AddressLimit(1 << 48);

/// CHECK POWER MODE's answer in the count register: active or idle.
const POWER_ACTIVE: u8 = 0xFF;

impl Command {
    /// Decodes the registers. The opcode decides how wide the address is.
    fn decode(ata: &AtaHeader) -> Option<Self> {
        let range28 = || Range { lba: ata.lba28(), sectors: ata.sector_count };
        let range48 = || Range { lba: ata.lba48(), sectors: ata.sector_count };
        Some(match ata.command {
            opcode::READ_SECTORS | opcode::READ_SECTORS_NO_RETRY => Self::Read(range28(), LIMIT_28),
            opcode::READ_SECTORS_EXT => Self::Read(range48(), LIMIT_48),
            opcode::WRITE_SECTORS | opcode::WRITE_SECTORS_NO_RETRY => {
                Self::Write(range28(), LIMIT_28)
            }
            opcode::WRITE_SECTORS_EXT => Self::Write(range48(), LIMIT_48),
            opcode::FLUSH_CACHE | opcode::FLUSH_CACHE_EXT => Self::Flush,
            opcode::CHECK_POWER_MODE => Self::CheckPowerMode,
            opcode::IDENTIFY_DEVICE => Self::Identify,
            _ => return None,
        })
    }

    /// Whether it may change the disk or make it work for nothing. A wildcard would do that to
    /// every disk at once, and no client needs it.
    const fn is_for_one_target_only(&self) -> bool {
        matches!(self, Self::Write(..) | Self::Flush)
    }
}

impl Target {
    pub(super) fn accept_ata(
        &self,
        context: Context<'_>,
        ata: AtaHeader,
        aoe_offset: usize,
        head: &mut [u8],
    ) -> Step {
        let decided = match Command::decode(&ata) {
            None => Err(Refusal::Fault(Fault::Aborted)),
            Some(command) if context.wildcard && command.is_for_one_target_only() => {
                Err(Refusal::BadArgument)
            }
            Some(Command::Identify) => {
                let reply = self.reply(context.port, aoe_offset, head);
                return Step::Reply(reply.succeed(0, &self.identify.0));
            }
            Some(Command::CheckPowerMode) => {
                let reply = self.reply(context.port, aoe_offset, head);
                return Step::Reply(reply.succeed(POWER_ACTIVE, &[]));
            }
            Some(Command::Flush) => Ok(Operation::Flush),
            Some(Command::Read(range, limit)) => self.check_read(&context, &ata, range, &limit),
            Some(Command::Write(range, limit)) => {
                self.check_write(&context, &ata, range, &limit, aoe_offset)
            }
        };
        let reply = |head| self.reply(context.port, aoe_offset, head);
        match decided {
            Ok(operation) => Step::Io(Request { operation, aoe_offset }),
            Err(Refusal::Fault(fault)) => Step::Reply(reply(head).fail(fault)),
            Err(Refusal::BadArgument) => Step::Reply(reply(head).refuse_ata(AoeError::BadArgument)),
        }
    }

    fn check_read(
        &self,
        context: &Context<'_>,
        ata: &AtaHeader,
        range: Range,
        limit: &AddressLimit,
    ) -> Result<Operation, Refusal> {
        if ata.aflags & aflag::WRITE != 0 {
            return Err(Refusal::Fault(Fault::Aborted));
        }
        check_count(context, range)?;
        self.check_range(range, limit)?;
        Ok(Operation::Read(range))
    }

    fn check_write(
        &self,
        context: &Context<'_>,
        ata: &AtaHeader,
        range: Range,
        limit: &AddressLimit,
        aoe_offset: usize,
    ) -> Result<Operation, Refusal> {
        if ata.aflags & aflag::WRITE == 0 || self.read_only {
            return Err(Refusal::Fault(Fault::Aborted));
        }
        check_count(context, range)?;
        let operation = Operation::Write(range);
        // A frame that was cut short on its way: an AoE error makes the client send it again.
        if context.length < (Request { operation, aoe_offset }).frame_length() {
            return Err(Refusal::BadArgument);
        }
        self.check_range(range, limit)?;
        Ok(operation)
    }

    fn check_range(&self, range: Range, limit: &AddressLimit) -> Result<(), Refusal> {
        let end = range.lba + u64::from(range.sectors);
        if end > self.sectors.min(limit.0) {
            return Err(Refusal::Fault(Fault::OutOfRange));
        }
        Ok(())
    }
}

/// How a request is refused: with an ATA error, which fails it for good, or with an AoE error,
/// which makes clients try again.
enum Refusal {
    Fault(Fault),
    BadArgument,
}

/// A count of 0 means more sectors than fit a frame, and so does one above the port's limit.
fn check_count(context: &Context<'_>, range: Range) -> Result<(), Refusal> {
    if range.sectors == 0 || range.sectors > context.port.max_sectors {
        return Err(Refusal::Fault(Fault::Aborted));
    }
    Ok(())
}

const _: () = assert!(SECTOR_SIZE == 512, "ATA counts sectors of 512 bytes");
