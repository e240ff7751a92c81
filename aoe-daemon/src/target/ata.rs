//! ATA commands: what each opcode means, and what a valid request is.

use super::request::{Fault, Operation, Range, Request, Span, Step, TRIM_BLOCKS, data_offset};
use super::{Context, Ignored, Target};
use aoe_common::wire::ata::{AtaHeader, aflag, feature, opcode, smart, trim_range};
use aoe_common::wire::identify::LBA28_MAX;
use aoe_common::wire::{AoeError, SECTOR_SIZE};
use zerocopy::FromBytes;

/// A command of the table.
enum Command {
    Read(Range, AddressLimit),
    Write { range: Range, limit: AddressLimit, fua: bool },
    Verify(Span, AddressLimit),
    Trim,
    Flush,
    CheckPowerMode,
    Identify,
    Diagnose,
    Smart,
    SetFeatures,
}

/// First sector that the command's addressing can't reach.
struct AddressLimit(u64);

const LIMIT_28: AddressLimit = AddressLimit(LBA28_MAX + 1);
const LIMIT_48: AddressLimit = AddressLimit(1 << 48);

/// CHECK POWER MODE's answer in the count register: active or idle.
const POWER_ACTIVE: u8 = 0xFF;
/// EXECUTE DEVICE DIAGNOSTIC's answer in the Error register: the device has passed.
const DIAGNOSTIC_PASSED: u8 = 0x01;

/// What an accepted command without I/O is answered with: registers, and data of IDENTIFY.
pub(super) struct Done<'a> {
    /// Error register.
    pub(super) error: u8,
    /// Count register.
    pub(super) count: u8,
    /// LBA bytes 1 and 2, where they say something.
    pub(super) smart_key: Option<[u8; 2]>,
    pub(super) data: &'a [u8],
}

impl Done<'_> {
    const PLAIN: Self = Self { error: 0, count: 0, smart_key: None, data: &[] };
}

/// How a command goes on.
enum Decision<'a> {
    Now(Done<'a>),
    Later(Operation),
}

/// How a request is refused: with an ATA error, which fails it for good, or with an AoE error,
/// which makes clients try again.
enum Refusal {
    Fault(Fault),
    Aoe(AoeError),
}

const ABORTED: Refusal = Refusal::Fault(Fault::Aborted);

impl Command {
    /// Decodes the registers. The opcode decides how wide the address is. What is not listed is
    /// not offered: READ and WRITE MULTIPLE, queues, logs, packet commands, and all that could
    /// lock, hide or erase a disk that anybody on the segment can talk to.
    fn decode(ata: &AtaHeader) -> Option<Self> {
        let range28 = || Range { lba: ata.lba28(), sectors: ata.sector_count };
        let range48 = || Range { lba: ata.lba48(), sectors: ata.sector_count };
        // Without data, a count of 0 means what it always did in ATA.
        let span = |lba, of_zero| Span {
            lba,
            sectors: if ata.sector_count == 0 { of_zero } else { ata.sector_count.into() },
        };
        Some(match ata.command {
            opcode::READ_SECTORS | opcode::READ_SECTORS_NO_RETRY | opcode::READ_DMA => {
                Self::Read(range28(), LIMIT_28)
            }
            opcode::READ_SECTORS_EXT | opcode::READ_DMA_EXT => Self::Read(range48(), LIMIT_48),
            opcode::WRITE_SECTORS | opcode::WRITE_SECTORS_NO_RETRY | opcode::WRITE_DMA => {
                Self::Write { range: range28(), limit: LIMIT_28, fua: false }
            }
            opcode::WRITE_SECTORS_EXT | opcode::WRITE_DMA_EXT => {
                Self::Write { range: range48(), limit: LIMIT_48, fua: false }
            }
            opcode::WRITE_DMA_FUA_EXT => {
                Self::Write { range: range48(), limit: LIMIT_48, fua: true }
            }
            opcode::READ_VERIFY | opcode::READ_VERIFY_NO_RETRY => {
                Self::Verify(span(ata.lba28(), 0x100), LIMIT_28)
            }
            opcode::READ_VERIFY_EXT => Self::Verify(span(ata.lba48(), 0x1_0000), LIMIT_48),
            opcode::DATA_SET_MANAGEMENT if ata.feature == feature::TRIM => Self::Trim,
            // A disk that may be switched off has nothing left to write.
            opcode::FLUSH_CACHE
            | opcode::FLUSH_CACHE_EXT
            | opcode::STANDBY
            | opcode::STANDBY_IMMEDIATE
            | opcode::IDLE
            | opcode::IDLE_IMMEDIATE
            | opcode::SLEEP => Self::Flush,
            opcode::CHECK_POWER_MODE => Self::CheckPowerMode,
            opcode::IDENTIFY_DEVICE => Self::Identify,
            opcode::EXECUTE_DIAGNOSTIC => Self::Diagnose,
            opcode::SMART => Self::Smart,
            opcode::SET_FEATURES => Self::SetFeatures,
            _ => return None,
        })
    }

    /// Whether it may change the disk or make it work for nothing. A wildcard would do that to
    /// every disk at once, and no client needs it.
    const fn is_for_one_target_only(&self) -> bool {
        matches!(
            self,
            Self::Write { .. } | Self::Verify(..) | Self::Trim | Self::Flush | Self::SetFeatures
        )
    }
}

impl Target {
    pub(super) fn accept_ata(&self, context: &Context<'_>, head: &mut [u8]) -> Step {
        let Ok((ata, data)) = AtaHeader::ref_from_prefix(context.argument(head)) else {
            return Step::Ignore(Ignored::Short);
        };
        let decided = self.decide(context, ata, data);
        let reply = |head| self.reply(context, head);
        Step::Reply(match decided {
            Ok(Decision::Later(operation)) => {
                let Context { aoe_offset, source, .. } = *context;
                return Step::Io(Request { operation, source, aoe_offset });
            }
            Ok(Decision::Now(done)) => reply(head).succeed(&done),
            Err(Refusal::Fault(fault)) => reply(head).fail(fault),
            Err(Refusal::Aoe(error)) => reply(head).refuse_ata(error),
        })
    }

    /// What becomes of a command with these registers, and this data as far as the head has it.
    fn decide(
        &self,
        context: &Context<'_>,
        ata: &AtaHeader,
        data: &[u8],
    ) -> Result<Decision<'_>, Refusal> {
        let command = Command::decode(ata);
        // Whom the disk is reserved from may look at what it is.
        if self.is_reserved_from(context.source) && !matches!(command, Some(Command::Identify)) {
            return Err(Refusal::Aoe(AoeError::TargetReserved));
        }
        let command = command.ok_or(ABORTED)?;
        if context.wildcard && command.is_for_one_target_only() {
            return Err(Refusal::Aoe(AoeError::BadArgument));
        }
        let later = |operation| Ok(Decision::Later(operation));
        match command {
            Command::Read(range, limit) => later(self.check_read(context, ata, range, &limit)?),
            Command::Write { range, limit, fua } => {
                self.check_write(context, ata, range, &limit)?;
                later(Operation::Write { range, fua })
            }
            Command::Verify(span, limit) => {
                self.check_range(span.lba, span.sectors.into(), &limit)?;
                later(Operation::Verify(span))
            }
            Command::Trim => later(self.check_trim(context, ata, data)?),
            Command::Flush => later(Operation::Flush),
            Command::CheckPowerMode => {
                Ok(Decision::Now(Done { count: POWER_ACTIVE, ..Done::PLAIN }))
            }
            Command::Identify => Ok(Decision::Now(Done { data: &self.identify.0, ..Done::PLAIN })),
            Command::Diagnose => {
                Ok(Decision::Now(Done { error: DIAGNOSTIC_PASSED, ..Done::PLAIN }))
            }
            Command::Smart => Ok(Decision::Now(self.smart(ata)?)),
            Command::SetFeatures => self.set_features(ata),
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
            return Err(ABORTED);
        }
        check_count(context, range)?;
        self.check_range(range.lba, range.sectors.into(), limit)?;
        Ok(Operation::Read(range))
    }

    fn check_write(
        &self,
        context: &Context<'_>,
        ata: &AtaHeader,
        range: Range,
        limit: &AddressLimit,
    ) -> Result<(), Refusal> {
        self.check_writable(ata)?;
        check_count(context, range)?;
        check_data(context, range.bytes())?;
        self.check_range(range.lba, range.sectors.into(), limit)
    }

    /// All ranges are looked at before any is discarded.
    fn check_trim(
        &self,
        context: &Context<'_>,
        ata: &AtaHeader,
        data: &[u8],
    ) -> Result<Operation, Refusal> {
        self.check_writable(ata)?;
        if self.description.trim.is_none() || ata.sector_count != TRIM_BLOCKS {
            return Err(ABORTED);
        }
        check_data(context, Operation::Trim.data_length())?;
        let data = data.get(..Operation::Trim.data_length()).ok_or(BAD_ARGUMENT)?;
        for Span { lba, sectors } in trim_ranges(data) {
            self.check_range(lba, sectors.into(), &LIMIT_48)?;
        }
        Ok(Operation::Trim)
    }

    /// A command that changes data says so in its flags, too, and meets a disk that lets it.
    fn check_writable(&self, ata: &AtaHeader) -> Result<(), Refusal> {
        if ata.aflags & aflag::WRITE == 0 || self.description.read_only {
            return Err(ABORTED);
        }
        Ok(())
    }

    fn check_range(&self, lba: u64, sectors: u64, limit: &AddressLimit) -> Result<(), Refusal> {
        // The file or device is gone, and may come back: the client may try again.
        if self.reachable == 0 {
            return Err(Refusal::Aoe(AoeError::DeviceUnavailable));
        }
        if lba + sectors > self.reachable.min(limit.0) {
            return Err(Refusal::Fault(Fault::OutOfRange));
        }
        Ok(())
    }

    /// SMART is always enabled, and knows the state of the disk only.
    fn smart(&self, ata: &AtaHeader) -> Result<Done<'static>, Refusal> {
        if ata.lba[1..3] != smart::KEY {
            return Err(ABORTED);
        }
        match ata.feature {
            smart::ENABLE => Ok(Done::PLAIN),
            smart::RETURN_STATUS => {
                let key = if self.failed { smart::FAILING } else { smart::KEY };
                Ok(Done { smart_key: Some(key), ..Done::PLAIN })
            }
            _ => Err(ABORTED),
        }
    }

    /// How the write cache is, it stays: it is the administrator who decides what is durable when.
    fn set_features(&self, ata: &AtaHeader) -> Result<Decision<'static>, Refusal> {
        let write_cache = self.description.write_cache;
        match ata.feature {
            feature::LOOK_AHEAD_ON => Ok(Decision::Later(Operation::LookAhead(true))),
            feature::LOOK_AHEAD_OFF => Ok(Decision::Later(Operation::LookAhead(false))),
            feature::WRITE_CACHE_ON if write_cache => Ok(Decision::Now(Done::PLAIN)),
            feature::WRITE_CACHE_OFF if !write_cache => Ok(Decision::Now(Done::PLAIN)),
            feature::TRANSFER_MODE if is_transfer_mode(ata.sector_count) => {
                Ok(Decision::Now(Done::PLAIN))
            }
            _ => Err(ABORTED),
        }
    }
}

const BAD_ARGUMENT: Refusal = Refusal::Aoe(AoeError::BadArgument);

/// Whether this is a transfer mode that IDENTIFY DEVICE offers: the default one, programmed I/O 0
/// to 4, or the one of multiword DMA that it says is selected.
const fn is_transfer_mode(mode: u8) -> bool {
    matches!(mode, 0x00 | 0x08..=0x0C | 0x22)
}

/// A count of 0 means more sectors than fit a frame, and so does one above the port's limit.
fn check_count(context: &Context<'_>, range: Range) -> Result<(), Refusal> {
    if range.sectors == 0 || range.sectors > context.port.max_sectors {
        return Err(ABORTED);
    }
    Ok(())
}

/// A frame with less data than it says, in bytes, was cut short on its way: an AoE error makes the
/// client send it again.
fn check_data(context: &Context<'_>, bytes: usize) -> Result<(), Refusal> {
    if context.length < data_offset(context.aoe_offset) + bytes {
        return Err(BAD_ARGUMENT);
    }
    Ok(())
}

/// The ranges that the data of a TRIM lists, as far as it uses its entries.
pub fn trim_ranges(data: &[u8]) -> impl Iterator<Item = Span> {
    let (entries, _) = data.split_at(data.len() / 8 * 8);
    <[[u8; 8]]>::ref_from_bytes(entries)
        .unwrap_or_default()
        .iter()
        .map(|entry| trim_range(*entry))
        .filter(|(_, sectors)| *sectors > 0)
        .map(|(lba, sectors)| Span { lba, sectors: sectors.into() })
}

const _: () = assert!(SECTOR_SIZE == 512, "ATA counts sectors of 512 bytes");
