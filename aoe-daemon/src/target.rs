//! The AoE protocol of one target, without I/O: bytes in, bytes out.
//!
//! A request frame is answered in place. [`Target::accept`] looks at it and either writes the
//! reply over it, or says what has to happen first: something for the storage, and then
//! [`Target::finish`] writes the reply; or an edit of what the target remembers, and then, when
//! that is durable, [`Target::finish_edit`] does. In between, the frame with its [`Request`] or
//! [`Edit`] can be parked for as long as a disk takes.
//!
//! All see the *head* of the frame: the first buffer that holds it, from its first byte to the
//! end of the buffer, at least [`HEAD_CAPACITY`] bytes. Sector data may go on in further buffers;
//! only storage touches it.
//!
//! A [`Target`] is what it is at one moment. Whatever changes (an edit, a disk that grows or
//! fails) makes a new one, so that no frame is answered from two states.
//!
//! Nothing here knows of files, threads, clocks or sockets, and accepting and finishing requests
//! allocates nothing.

mod access;
mod announce;
mod ata;
mod config;
mod edit;
pub mod identify;
mod lists;
mod mask;
mod reply;
mod request;
mod reserve;

pub use access::Access;
pub use ata::trim_ranges;
pub use edit::{Answer, Edit, Revision};
pub use lists::Lists;
pub use request::{Fault, Ignored, Operation, Outcome, Range, Request, Span, Step, TRIM_BLOCKS};

use aoe_common::address::{Address, Destination};
use aoe_common::steer::{FrameBytes, Framing};
use aoe_common::wire::config::{ConfigHeader, MAX_CONFIG_STRING};
use aoe_common::wire::identify::Identify;
use aoe_common::wire::mac_mask::{Directive, MacMaskHeader};
use aoe_common::wire::reserve::ReserveHeader;
use aoe_common::wire::{
    AoeError, AoeHeader, ETHERNET_HEADER, EthernetHeader, FRAME_HEADER, Mac, VERSION, VlanTag,
    command,
};
use identify::{Description, identify};
use reply::Reply;

/// Bytes that the head of every frame must have room for: the longest reply without sector data,
/// a tagged MAC mask list.
pub const HEAD_CAPACITY: usize = FRAME_HEADER
    + size_of::<VlanTag>()
    + size_of::<MacMaskHeader>()
    + MAX_LIST * size_of::<Directive>();

/// Most entries of a MAC mask list or a reservation: their count has 8 bits.
pub const MAX_LIST: usize = u8::MAX as usize;

const _: () = {
    let tagged = FRAME_HEADER + size_of::<VlanTag>();
    assert!(HEAD_CAPACITY >= tagged + size_of::<ConfigHeader>() + MAX_CONFIG_STRING);
    assert!(HEAD_CAPACITY >= tagged + size_of::<ReserveHeader>() + MAX_LIST * size_of::<Mac>());
};

/// Firmware version in config replies, a free value: 0 and this release.
pub const FIRMWARE_VERSION: u16 = 0x0001;

/// What the port that a frame came in on, and its reply leaves by, contributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Source address of replies.
    pub mac: Mac,
    /// Most bytes of a frame behind its Ethernet header.
    pub mtu: usize,
    /// Most sectors per request; 0 on a link too narrow for one.
    pub max_sectors: u8,
    /// How many requests the port says it can hold for each client, at least 2: Linux starts with
    /// half of it.
    pub buffer_count: u16,
}

impl Port {
    /// Whether a reply with an argument of this many bytes fits the link.
    const fn fits(&self, argument: usize) -> bool {
        size_of::<AoeHeader>() + argument <= self.mtu
    }
}

/// One target: a disk with an address, as it is at one moment.
///
/// What every request asks for stands together, in a cache line of its own: there may be many
/// targets, and each frame may be another's.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct Target {
    /// Sectors that can be read and written: fewer than described while the file or device behind
    /// them is shorter than it was.
    reachable: u64,
    address: Address,
    vlan: u16,
    /// Whether everybody may talk to it.
    is_open: bool,
    /// Whether nobody holds it reserved.
    is_free: bool,
    failed: bool,
    access: Access,
    lists: Lists,
    description: Description,
    identify: Identify,
}

impl Target {
    /// A target at this address for everybody, on untagged frames, that remembers nothing yet.
    pub fn new(address: Address, description: Description) -> Self {
        Self {
            reachable: description.sectors,
            address,
            vlan: 0,
            is_open: true,
            is_free: true,
            failed: false,
            access: Access::default(),
            lists: Lists::default(),
            identify: identify(&description),
            description,
        }
    }

    /// The same, offered on this VLAN; 0 stands for untagged frames.
    pub fn on_vlan(self, vlan: u16) -> Self {
        Self { vlan, ..self }
    }

    /// The same, with this fixed say in who may talk to it.
    pub fn with_access(self, access: Access) -> Self {
        Self { is_open: access.is_open() && self.lists.mask.is_empty(), access, ..self }
    }

    /// The same, remembering this.
    pub fn with_lists(self, lists: Lists) -> Self {
        Self {
            is_open: self.access.is_open() && lists.mask.is_empty(),
            is_free: lists.reserved.is_empty(),
            lists,
            ..self
        }
    }

    /// The same with a disk of this size, all of it reachable.
    pub fn with_sectors(self, sectors: u64) -> Self {
        let description = Description { sectors, ..self.description.clone() };
        Self { reachable: sectors, ..self.described(description) }
    }

    /// The same, `reachable` of whose sectors can be read and written. The size stays.
    pub fn with_reachable(self, reachable: u64) -> Self {
        Self { reachable, ..self }
    }

    /// The same with read look-ahead on or off.
    pub fn with_look_ahead(self, on: bool) -> Self {
        let description = Description { look_ahead: on, ..self.description.clone() };
        self.described(description)
    }

    /// The same, which has failed: SMART says so from now on.
    pub fn failed(self) -> Self {
        Self { failed: true, ..self }
    }

    /// The same, which has not failed, or no longer.
    pub fn mended(self) -> Self {
        Self { failed: false, ..self }
    }

    fn described(self, description: Description) -> Self {
        Self { identify: identify(&description), description, ..self }
    }

    /// The target's address.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// The VLAN that it is offered on; 0 stands for untagged frames.
    pub const fn vlan(&self) -> u16 {
        self.vlan
    }

    /// Whether it has failed.
    pub const fn is_failed(&self) -> bool {
        self.failed
    }

    /// What IDENTIFY DEVICE tells of the disk.
    pub const fn description(&self) -> &Description {
        &self.description
    }

    /// Sectors that can be read and written.
    pub const fn reachable(&self) -> u64 {
        self.reachable
    }

    /// What it remembers for its clients.
    pub const fn lists(&self) -> &Lists {
        &self.lists
    }

    /// The fixed say in who may talk to it.
    pub const fn access(&self) -> &Access {
        &self.access
    }

    /// Whether requests from this station are answered at all.
    pub fn admits(&self, source: Mac) -> bool {
        self.is_open
            || self.access.admits(source)
                && (self.lists.mask.is_empty() || self.lists.mask.contains(&source))
    }

    /// Whether a reservation keeps this station from issuing ATA commands.
    pub fn is_reserved_from(&self, source: Mac) -> bool {
        !self.is_free && !self.lists.reserved.contains(&source)
    }

    /// Whether a request that was accepted from this station may still be carried out, now that
    /// its turn has come.
    ///
    /// # Errors
    ///
    /// What an edit that came before it has made of it.
    pub fn still_permits(&self, source: Mac) -> Outcome {
        if !self.admits(source) {
            Err(Fault::Masked)
        } else if self.is_reserved_from(source) {
            Err(Fault::Reserved)
        } else {
            Ok(())
        }
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
        let aoe_offset = framing.aoe_offset;
        let received = &head[..length.min(head.len())];
        let (Some(ethernet), Some(aoe)) = (
            received.header::<EthernetHeader>(0),
            received.header::<AoeHeader>(aoe_offset).copied(),
        ) else {
            return Step::Ignore(Ignored::Short);
        };
        let source = ethernet.source;
        if !self.admits(source) {
            return Step::Ignore(Ignored::Masked);
        }
        let wildcard = Destination { shelf: aoe.shelf.get(), slot: aoe.slot }.is_wildcard();
        let context = Context { port, aoe_offset, length, source, wildcard };
        if aoe.version() != VERSION {
            if wildcard {
                return Step::Ignore(Ignored::WildcardVersion);
            }
            return Step::Reply(self.reply(&context, head).refuse(AoeError::UnsupportedVersion, 0));
        }
        if port.max_sectors == 0 {
            return Step::Ignore(Ignored::NarrowLink);
        }
        match aoe.command {
            command::ATA => self.accept_ata(&context, head),
            command::CONFIG => self.query_config(&context, head),
            command::MAC_MASK => self.accept_mask(&context, head),
            command::RESERVE => self.accept_reserve(&context, head),
            _ => Step::Reply(self.reply(&context, head).refuse(AoeError::UnrecognizedCommand, 0)),
        }
    }

    /// Writes the reply to a request that storage has worked on, and tells its length. After a
    /// successful read the sector data must be in the frame already. `None` where there is no
    /// answer, because its source has come to be masked.
    pub fn finish(
        &self,
        port: &Port,
        request: Request,
        head: &mut [u8],
        outcome: Outcome,
    ) -> Option<usize> {
        if outcome == Err(Fault::Masked) {
            return None;
        }
        let reply = Reply::to_request(head, request.aoe_offset, port.mac, self.address);
        Some(reply.complete(request.operation, outcome))
    }

    fn reply<'a>(&self, context: &Context<'_>, head: &'a mut [u8]) -> Reply<'a> {
        Reply::to_request(head, context.aoe_offset, context.port.mac, self.address)
    }
}

/// What is known of a request before its argument is looked at.
#[derive(Clone, Copy)]
struct Context<'a> {
    /// The port that it came in on.
    port: &'a Port,
    aoe_offset: usize,
    /// Length of the frame in bytes.
    length: usize,
    /// Who sent it.
    source: Mac,
    /// Whether it was sent to a wildcard address.
    wildcard: bool,
}

impl Context<'_> {
    /// The argument, as far as the head has it.
    fn argument<'h>(&self, head: &'h [u8]) -> &'h [u8] {
        argument(head, self.aoe_offset, self.length)
    }

    /// The edit of this kind.
    const fn edit(&self, kind: edit::Kind) -> Edit {
        let Self { aoe_offset, length, source, .. } = *self;
        Edit { kind, aoe_offset, length, source }
    }
}

/// The argument of a frame of `length` bytes, as far as its head has it; nothing but sector data
/// goes beyond that.
fn argument(head: &[u8], aoe_offset: usize, length: usize) -> &[u8] {
    let start = aoe_offset + (FRAME_HEADER - ETHERNET_HEADER);
    head.get(start..length.min(head.len())).unwrap_or_default()
}
