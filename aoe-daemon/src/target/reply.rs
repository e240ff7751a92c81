//! Writing a reply over its request.

use super::{Fault, Operation, Outcome};
use aoe_common::address::Address;
use aoe_common::wire::ata::{AtaHeader, error, status};
use aoe_common::wire::{
    AoeError, AoeHeader, ETHERNET_HEADER, EthernetHeader, MIN_FRAME, Mac, VERSION, flag,
};
use zerocopy::{FromBytes, IntoBytes};

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

    /// Refuses the request with an AoE error; `echo` bytes of its argument are kept.
    pub(super) fn refuse(self, reason: AoeError, echo: usize) -> usize {
        self.head[self.aoe_offset] |= flag::ERROR;
        self.head[self.aoe_offset + 1] = reason as u8;
        self.end(echo)
    }

    /// Refuses an ATA command with an AoE error. The registers go back as they came.
    pub(super) fn refuse_ata(mut self, reason: AoeError) -> usize {
        self.ata().reserved.set(0);
        self.refuse(reason, size_of::<AtaHeader>())
    }

    /// Writes an argument of a fixed layout, with `data` behind it.
    pub(super) fn argument(self, argument: &impl Argument, data: &[u8]) -> usize {
        let bytes = argument.as_bytes();
        let at = self.argument_offset();
        self.head[at..at + bytes.len()].copy_from_slice(bytes);
        self.head[at + bytes.len()..at + bytes.len() + data.len()].copy_from_slice(data);
        self.end(bytes.len() + data.len())
    }

    /// Completes an ATA command that returns no data of its own: the registers tell how it went,
    /// and a successful read has its sectors in the frame already.
    pub(super) fn complete(mut self, operation: Operation, outcome: Outcome) -> usize {
        let ata = self.ata();
        let data = match (operation, outcome) {
            (Operation::Read(range), Ok(())) => range.bytes(),
            _ => 0,
        };
        match outcome {
            Ok(()) => succeed(ata, 0),
            Err(fault) => fail(ata, fault),
        }
        self.end(size_of::<AtaHeader>() + data)
    }

    /// Completes an ATA command at once, leaving `count` in the count register.
    pub(super) fn succeed(mut self, count: u8, data: &[u8]) -> usize {
        succeed(self.ata(), count);
        let ata = *self.ata();
        self.argument(&ata, data)
    }

    /// Fails an ATA command at once. The count register keeps what was asked for.
    pub(super) fn fail(mut self, fault: Fault) -> usize {
        fail(self.ata(), fault);
        self.end(size_of::<AtaHeader>())
    }

    fn ata(&mut self) -> &mut AtaHeader {
        let at = self.argument_offset();
        let (ata, _) = AtaHeader::mut_from_prefix(&mut self.head[at..])
            .expect("accept() has checked that the head holds every header");
        ata
    }
}

/// A command's fixed argument.
pub(super) trait Argument: IntoBytes + zerocopy::Immutable {}
impl<T: IntoBytes + zerocopy::Immutable> Argument for T {}

fn succeed(ata: &mut AtaHeader, count: u8) {
    ata.feature = 0;
    ata.sector_count = count;
    ata.command = status::DRDY;
    ata.reserved.set(0);
}

fn fail(ata: &mut AtaHeader, fault: Fault) {
    (ata.command, ata.feature) = registers(fault);
    ata.reserved.set(0);
}

/// Status and Error register of a fault: the one place where faults meet the wire.
const fn registers(fault: Fault) -> (u8, u8) {
    const FAILED: u8 = status::DRDY | status::ERR;
    match fault {
        Fault::Aborted => (FAILED, error::ABRT),
        Fault::OutOfRange => (FAILED, error::IDNF),
        Fault::ReadFailed => (FAILED, error::UNC),
        Fault::WriteFailed => (FAILED | status::DF, error::ABRT),
    }
}
