//! Which frames are ours: the one rule, run by the XDP program on every frame of the port, by the
//! daemon on every frame that reaches it, and by the tests against the same table of cases.
//!
//! What is not surely ours is passed on, so that another target or the kernel's own initiator on
//! the same port keeps working. Dropped are only frames that name a target served here, and those
//! that end before they name any.

#[cfg(any(test, feature = "cases"))]
pub mod cases;

use crate::address::Destination;
use crate::counters::Counter;
use crate::wire::{
    AoeHeader, ETHER_TYPE_AOE, ETHER_TYPE_VLAN, ETHERNET_HEADER, EthernetHeader, Mac, VlanTag,
};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// For us.
    Steer,
    /// For the kernel, counted under this reason.
    Pass(Counter),
    /// For nobody, counted under this reason.
    Drop(Counter),
}

/// Where a frame's headers are and what they say: all that the rest of the code needs to know of
/// the way a frame was framed.
#[derive(Clone, Copy, Debug)]
pub struct Framing {
    /// Offset of the AoE header: 14, or 18 behind a tag.
    pub aoe_offset: usize,
    /// VLAN identifier; 0 for untagged frames and for tags that carry a priority only.
    pub vlan_id: u16,
}

/// The leading bytes of a frame. In the kernel a bounds check against the packet's end, on the
/// host a slice.
pub trait FrameBytes {
    /// A view of the header at `offset`, if the frame is long enough.
    fn header<T: FromBytes + KnownLayout + Immutable + Unaligned>(
        &self,
        offset: usize,
    ) -> Option<&T>;
}

impl FrameBytes for [u8] {
    fn header<T: FromBytes + KnownLayout + Immutable + Unaligned>(
        &self,
        offset: usize,
    ) -> Option<&T> {
        T::ref_from_prefix(self.get(offset..)?).ok().map(|(header, _rest)| header)
    }
}

/// The targets served on a port. In the kernel two hash maps, on the host a set.
pub trait Served {
    /// Whether a frame from this source to this address on this VLAN concerns any target here.
    /// Wildcards are looked up as they stand: whoever keeps the set enters every [name] of a
    /// target.
    ///
    /// [name]: crate::address::Address::names
    fn admits(&self, key: ServedKey, source: Mac) -> Admission;
}

/// Whether a frame concerns any target here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// No target here has that name.
    Unknown,
    /// Every target of that name has the source masked.
    Masked,
    /// Some target may have to answer.
    Admitted,
}

/// Which sources a name admits, as the kernel's map of names holds it. Only what every target of
/// the name masks may be kept away here: the targets themselves look at every source again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Filter {
    /// All.
    Everybody = 0,
    /// Those that the map of sources says [`ADMIT`] of.
    Listed = 1,
    /// All but those that the map of sources says [`REFUSE`] of.
    Unlisted = 2,
}

/// Value in the map of sources: under [`Filter::Listed`] the source is admitted.
pub const ADMIT: u8 = 1;
/// Value in the map of sources: under [`Filter::Unlisted`] the source is masked.
pub const REFUSE: u8 = 2;

/// What a name's entry in the map of names, a [`Filter`], and the source's in the map of sources
/// come to.
#[inline(always)]
pub fn admission(filter: u8, entry: impl FnOnce() -> Option<u8>) -> Admission {
    let admitted = if filter == Filter::Listed as u8 {
        entry() == Some(ADMIT)
    } else if filter == Filter::Unlisted as u8 {
        entry() != Some(REFUSE)
    } else {
        true
    };
    if admitted { Admission::Admitted } else { Admission::Masked }
}

/// A source of a name, in the form of a BPF map key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceKey([u64; 2]);

impl SourceKey {
    /// The key of this source under this name.
    #[inline(always)]
    pub const fn new(name: ServedKey, source: Mac) -> Self {
        let [a, b, c, d, e, f] = source.0;
        Self([name.0, u64::from_be_bytes([0, 0, a, b, c, d, e, f])])
    }

    /// The key as the map holds it.
    #[inline(always)]
    pub const fn bits(self) -> [u64; 2] {
        self.0
    }
}

/// An address as a frame on a VLAN names it, in the form of a BPF map key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServedKey(u64);

impl ServedKey {
    /// The key of this destination on this VLAN.
    pub const fn new(vlan_id: u16, to: Destination) -> Self {
        Self((vlan_id as u64) << 24 | (to.shelf as u64) << 8 | to.slot as u64)
    }

    /// The key as the map holds it.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

/// The EtherType behind at most one VLAN tag, with where its payload begins.
///
/// `None` where the frame ends before it says.
#[inline(always)]
pub fn framing<F: FrameBytes + ?Sized>(frame: &F) -> Option<(u16, Framing)> {
    let ethernet = frame.header::<EthernetHeader>(0)?;
    if ethernet.ether_type.get() != ETHER_TYPE_VLAN {
        let framing = Framing { aoe_offset: ETHERNET_HEADER, vlan_id: 0 };
        return Some((ethernet.ether_type.get(), framing));
    }
    let tag = frame.header::<VlanTag>(ETHERNET_HEADER)?;
    let aoe_offset = ETHERNET_HEADER + size_of::<VlanTag>();
    Some((tag.ether_type.get(), Framing { aoe_offset, vlan_id: tag.vlan_id() }))
}

/// Decides about a frame that came in on the port with this MAC address.
#[inline(always)]
pub fn verdict<F, S>(frame: &F, port: Mac, served: &S) -> Verdict
where
    F: FrameBytes + ?Sized,
    S: Served + ?Sized,
{
    let Some((ETHER_TYPE_AOE, framing)) = framing(frame) else {
        return Verdict::Pass(Counter::PassedNotAoe);
    };
    let Some(ethernet) = frame.header::<EthernetHeader>(0) else {
        return Verdict::Pass(Counter::PassedNotAoe);
    };
    if ethernet.destination != port && ethernet.destination != Mac::BROADCAST {
        return Verdict::Pass(Counter::PassedOtherStation);
    }
    let Some(aoe) = frame.header::<AoeHeader>(framing.aoe_offset) else {
        return Verdict::Drop(Counter::DroppedShort);
    };
    if aoe.is_response() {
        return Verdict::Pass(Counter::PassedResponse);
    }
    let to = Destination { shelf: aoe.shelf.get(), slot: aoe.slot };
    let admission = served.admits(ServedKey::new(framing.vlan_id, to), ethernet.source);
    if admission == Admission::Unknown {
        return Verdict::Pass(Counter::PassedOtherTarget);
    }
    if ethernet.source.is_group() || ethernet.source == port {
        return Verdict::Drop(Counter::DroppedBadSource);
    }
    if admission == Admission::Masked {
        return Verdict::Drop(Counter::DroppedMasked);
    }
    Verdict::Steer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_agrees_with_the_table() {
        for case in cases::all() {
            let got = verdict(case.frame(), cases::PORT, &cases::ServedHere);
            assert_eq!(got, case.expected, "{}", case.name);
        }
    }
}
