//! Writing a reply over its request.

use super::ata::Done;
use super::{Fault, Operation, Outcome};
use aoe_common::address::Address;
use aoe_common::wire::ata::{AtaHeader, error, status};
use aoe_common::wire::mac_mask::{Directive, MacMaskHeader, MaskError, directive, mask_command};
use aoe_common::wire::reserve::ReserveHeader;
use aoe_common::wire::{
    AoeError, AoeHeader, ETHERNET_HEADER, EthernetHeader, MIN_FRAME, Mac, VERSION, flag,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A reply whose Ethernet and AoE headers are written already. What remains is the argument.
pub(super) struct Reply<'a> {
    head: &'a mut [u8],
    aoe_offset: usize,
}

impl<'a> Reply<'a> {
    /// Turns the headers of a request into those of its reply: back to where it came from, in
    /// the same VLAN, under the target's own address and the initiator's tag. Flags and error
    /// are written anew, so that nothing of the request's shines through.
    pub(super) fn to_request(
        head: &'a mut [u8],
        aoe_offset: usize,
        port: Mac,
        address: Address,
    ) -> Self {
        let (ethernet, _) = EthernetHeader::mut_from_prefix(head)
            .expect("accept() has checked that the head holds every header");
        ethernet.destination = ethernet.source;
        ethernet.source = port;
        let (aoe, _) = AoeHeader::mut_from_prefix(&mut head[aoe_offset..])
            .expect("accept() has checked that the head holds every header");
        aoe.version_flags = VERSION << 4 | flag::RESPONSE;
        aoe.error = 0;
        aoe.shelf.set(address.shelf());
        aoe.slot = address.slot();
        Self { head, aoe_offset }
    }

    /// Offset of the command's argument.
    const fn argument_offset(&self) -> usize {
        self.aoe_offset + size_of::<AoeHeader>()
    }

    /// Ends the reply behind `length` bytes of argument and data that are written already, and
    /// zeroes what is missing to the shortest frame. A tag comes on top of that: whoever takes it
    /// off must be left with a whole frame.
    pub(super) fn end(self, length: usize) -> usize {
        let end = self.argument_offset() + length;
        let shortest = MIN_FRAME + (self.aoe_offset - ETHERNET_HEADER);
        if end < shortest {
            self.head[end..shortest].fill(0);
        }
        end.max(shortest)
    }

    /// Marks the reply as an AoE error.
    pub(super) fn with_error(self, reason: AoeError) -> Self {
        self.head[self.aoe_offset] |= flag::ERROR;
        self.head[self.aoe_offset + 1] = reason as u8;
        self
    }

    /// Refuses the request with an AoE error; `echo` bytes of its argument are kept.
    pub(super) fn refuse(self, reason: AoeError, echo: usize) -> usize {
        self.with_error(reason).end(echo)
    }

    /// Refuses an ATA command with an AoE error. The registers go back as they came.
    pub(super) fn refuse_ata(mut self, reason: AoeError) -> usize {
        self.ata().reserved.set(0);
        self.refuse(reason, size_of::<AtaHeader>())
    }

    /// Refuses a MAC mask list command with an AoE error. Its header goes back as it came.
    pub(super) fn refuse_mask(self, reason: AoeError) -> usize {
        let at = self.argument_offset();
        self.head[at] = 0;
        self.refuse(reason, size_of::<MacMaskHeader>())
    }

    /// Writes an argument of a fixed layout, with `data` behind it.
    pub(super) fn argument<T: Argument>(self, argument: &T, data: &[impl Argument]) -> usize {
        let (argument, data) = (argument.as_bytes(), data.as_bytes());
        let at = self.argument_offset();
        self.head[at..at + argument.len()].copy_from_slice(argument);
        self.head[at + argument.len()..at + argument.len() + data.len()].copy_from_slice(data);
        self.end(argument.len() + data.len())
    }

    /// Writes a MAC mask list. Its entries look like directives to do nothing.
    pub(super) fn mask_list(self, command: u8, mask: &[Mac]) -> usize {
        let header = MacMaskHeader { reserved: 0, command, error: 0, count: mask.len() as u8 };
        let at = self.argument_offset();
        let (start, entries) = self.head[at..].split_at_mut(size_of::<MacMaskHeader>());
        start.copy_from_slice(header.as_bytes());
        for (entry, mac) in entries.chunks_exact_mut(size_of::<Directive>()).zip(mask) {
            let directive = Directive { reserved: 0, command: directive::NONE, mac: *mac };
            entry.copy_from_slice(directive.as_bytes());
        }
        self.end(size_of::<MacMaskHeader>() + mask.len() * size_of::<Directive>())
    }

    /// Tells that an edit of the MAC mask list stopped after `done` directives.
    pub(super) fn mask_stopped(self, error: MaskError, done: u8) -> usize {
        let command = mask_command::EDIT;
        let header = MacMaskHeader { reserved: 0, command, error: error as u8, count: done };
        self.argument(&header, &[0_u8; 0])
    }

    /// Writes a reservation.
    pub(super) fn reservation(self, command: u8, reserved: &[Mac]) -> usize {
        self.argument(&ReserveHeader { command, count: reserved.len() as u8 }, reserved)
    }

    /// Completes an ATA command that storage has worked on: the registers tell how it went, and a
    /// successful read has its sectors in the frame already.
    pub(super) fn complete(mut self, operation: Operation, outcome: Outcome) -> usize {
        if let Err(fault) = outcome {
            return self.fail(fault);
        }
        succeed(self.ata(), 0);
        let data = match operation {
            Operation::Read(range) => range.bytes(),
            _ => 0,
        };
        self.end(size_of::<AtaHeader>() + data)
    }

    /// Completes an ATA command that needs no I/O.
    pub(super) fn succeed(mut self, done: &Done<'_>) -> usize {
        let ata = self.ata();
        succeed(ata, done.count);
        ata.feature = done.error;
        if let Some(key) = done.smart_key {
            ata.lba[1..3].copy_from_slice(&key);
        }
        let ata = *ata;
        self.argument(&ata, done.data)
    }

    /// Fails an ATA command. The count register keeps what was asked for.
    pub(super) fn fail(mut self, fault: Fault) -> usize {
        match wire_form(fault) {
            WireForm::Registers(status, error) => {
                let ata = self.ata();
                ata.command = status;
                ata.feature = error;
                ata.reserved.set(0);
                self.end(size_of::<AtaHeader>())
            }
            WireForm::Aoe(error) => self.refuse_ata(error),
        }
    }

    fn ata(&mut self) -> &mut AtaHeader {
        let at = self.argument_offset();
        let (ata, _) = AtaHeader::mut_from_prefix(&mut self.head[at..])
            .expect("accept() has checked that the head holds every header");
        ata
    }
}

/// What is sent as it is in memory.
pub(super) trait Argument: IntoBytes + Immutable {}
impl<T: IntoBytes + Immutable> Argument for T {}

fn succeed(ata: &mut AtaHeader, count: u8) {
    ata.feature = 0;
    ata.sector_count = count;
    ata.command = status::DRDY;
    ata.reserved.set(0);
}

/// How a fault is told.
enum WireForm {
    /// Status and Error register.
    Registers(u8, u8),
    Aoe(AoeError),
}

/// The one place where faults meet the wire.
const fn wire_form(fault: Fault) -> WireForm {
    const FAILED: u8 = status::DRDY | status::ERR;
    match fault {
        Fault::Aborted => WireForm::Registers(FAILED, error::ABRT),
        Fault::OutOfRange => WireForm::Registers(FAILED, error::IDNF),
        Fault::ReadFailed => WireForm::Registers(FAILED, error::UNC),
        Fault::WriteFailed => WireForm::Registers(FAILED | status::DF, error::ABRT),
        // An AoE error has the client try again.
        Fault::Unavailable => WireForm::Aoe(AoeError::DeviceUnavailable),
        // Nobody tells a masked source anything: see `Target::finish`.
        Fault::Reserved | Fault::Masked => WireForm::Aoe(AoeError::TargetReserved),
    }
}
