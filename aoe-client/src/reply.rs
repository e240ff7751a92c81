//! Frames that come back: which of them are replies to us, and what they say.

mod answer;
mod ata;
mod failure;

use aoe_common::address::Address;
use aoe_common::wire::config::{ConfigHeader, MAX_CONFIG_STRING};
use aoe_common::wire::mac_mask::{Directive, MacMaskHeader, MaskError, mask_command};
use aoe_common::wire::reserve::{ReserveHeader, reserve_command};
use aoe_common::wire::{AoeError, AoeHeader, ETHER_TYPE_AOE, EthernetHeader, Mac, VERSION, flag};
use zerocopy::FromBytes;

use crate::request::{ConfigQuery, Operation};

pub use answer::{Answer, Config, Health, MacList};
pub use failure::Failure;

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
        match operation {
            Operation::Config(query) => self.config(query).map(|config| Ok(Answer::Config(config))),
            Operation::ReadMask => self.mask(mask_command::READ),
            Operation::EditMask => self.mask(mask_command::EDIT),
            Operation::ReadReservation => self.reservation(reserve_command::READ),
            Operation::Reserve { force: false } => self.reservation(reserve_command::SET),
            Operation::Reserve { force: true } => self.reservation(reserve_command::FORCE_SET),
            _ => ata::answer(self.body, operation),
        }
    }

    fn config(&self, query: ConfigQuery) -> Option<Config<'a>> {
        let (header, rest) = ConfigHeader::ref_from_prefix(self.body).ok()?;
        // Not every target returns the sub-command: kvblade has 0 there.
        if header.sub_command() != query.sub_command() && header.sub_command() != 0 {
            return None;
        }
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

    fn mask(&self, command: u8) -> Option<Result<Answer<'a>, Failure>> {
        let (header, list) = MacMaskHeader::ref_from_prefix(self.body).ok()?;
        if header.command != command {
            return None;
        }
        let (code, done) = (header.error, header.count);
        if code != 0 {
            let unknown = Failure::UnknownMask { code, done };
            let known = |error| Failure::Mask { error, done };
            return Some(Err(MaskError::from_code(code).map_or(unknown, known)));
        }
        let list = MacList::new(list, header.count, size_of::<Directive>())?;
        Some(Ok(Answer::Macs(list)))
    }

    fn reservation(&self, command: u8) -> Option<Result<Answer<'a>, Failure>> {
        let (header, list) = ReserveHeader::ref_from_prefix(self.body).ok()?;
        if header.command != command {
            return None;
        }
        let list = MacList::new(list, header.count, size_of::<Mac>())?;
        Some(Ok(Answer::Macs(list)))
    }
}

#[cfg(test)]
pub(crate) mod tests;
