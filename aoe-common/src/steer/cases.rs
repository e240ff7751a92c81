//! The table of verdicts, for the tests of the host and of the kernel.

use super::{ADMIT, Admission, Filter, REFUSE, Served, ServedKey, Verdict, admission};
use crate::address::{Address, Destination};
use crate::counters::Counter;
use crate::wire::Mac;

/// MAC address of the port in every case.
pub const PORT: Mac = Mac([0x02, 0, 0, 0, 0, 2]);
/// MAC address of the client.
const CLIENT: Mac = Mac([0x02, 0, 0, 0, 0, 1]);
/// Another station.
const OTHER: Mac = Mac([0x02, 0, 0, 0, 0, 9]);
/// Longest frame of the table.
const CAPACITY: usize = 64;

/// The target that is served on untagged frames in every case.
pub const UNTAGGED: (u16, u8) = (0, 1);
/// The target that is served on VLAN 5 in every case.
pub const ON_VLAN_5: (u16, u8) = (7, 2);

/// The target that is served to the client alone in every case.
const TO_CLIENT: (u16, u8) = (8, 4);
/// The target that is served to everybody but the client in every case.
const NOT_TO_CLIENT: (u16, u8) = (9, 4);

/// The set of targets of every case, with the VLAN of each.
pub fn served() -> [(u16, Address); 4] {
    let address = |(shelf, slot)| match Address::new(shelf, slot) {
        Ok(address) => address,
        Err(_) => unreachable!("the table's addresses are valid"),
    };
    [
        (0, address(UNTAGGED)),
        (5, address(ON_VLAN_5)),
        (0, address(TO_CLIENT)),
        (0, address(NOT_TO_CLIENT)),
    ]
}

/// The names in every case that don't admit everybody, with what the map of sources says of one
/// source.
pub fn filters() -> [(ServedKey, Filter, Mac, u8); 2] {
    let key = |(shelf, slot)| ServedKey::new(0, Destination { shelf, slot });
    [
        (key(TO_CLIENT), Filter::Listed, CLIENT, ADMIT),
        (key(NOT_TO_CLIENT), Filter::Unlisted, CLIENT, REFUSE),
    ]
}

/// [`served`] as the host looks it up.
pub struct ServedHere;

impl Served for ServedHere {
    fn admits(&self, key: ServedKey, source: Mac) -> Admission {
        let known = served().iter().any(|(vlan, address)| {
            address.names().iter().any(|to| ServedKey::new(*vlan, *to) == key)
        });
        if !known {
            return Admission::Unknown;
        }
        match filters().iter().find(|(name, ..)| *name == key) {
            Some((_, filter, listed, entry)) => {
                admission(*filter as u8, || (*listed == source).then_some(*entry))
            }
            None => Admission::Admitted,
        }
    }
}

/// One frame and what must become of it.
pub struct Case {
    /// What the case shows.
    pub name: &'static str,
    /// What must become of the frame.
    pub expected: Verdict,
    bytes: [u8; CAPACITY],
    length: usize,
}

impl Case {
    /// The frame.
    pub fn frame(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// A config query of 60 bytes from [`CLIENT`] to [`PORT`], to be changed by each case.
struct Builder {
    destination: Mac,
    source: Mac,
    tag: Option<u16>,
    ether_type: u16,
    version_flags: u8,
    to: Destination,
    length: usize,
}

impl Builder {
    fn build(self, name: &'static str, expected: Verdict) -> Case {
        let mut bytes = [0; CAPACITY];
        bytes[..6].copy_from_slice(&self.destination.0);
        bytes[6..12].copy_from_slice(&self.source.0);
        let mut at = 12;
        if let Some(control) = self.tag {
            bytes[at..at + 2].copy_from_slice(&[0x81, 0x00]);
            bytes[at + 2..at + 4].copy_from_slice(&control.to_be_bytes());
            at += 4;
        }
        bytes[at..at + 2].copy_from_slice(&self.ether_type.to_be_bytes());
        bytes[at + 2] = self.version_flags;
        bytes[at + 4..at + 6].copy_from_slice(&self.to.shelf.to_be_bytes());
        bytes[at + 6] = self.to.slot;
        bytes[at + 7] = 1;
        Case { name, expected, bytes, length: self.length }
    }
}

fn to((shelf, slot): (u16, u8)) -> Builder {
    Builder {
        destination: PORT,
        source: CLIENT,
        tag: None,
        ether_type: 0x88A2,
        version_flags: 0x10,
        to: Destination { shelf, slot },
        length: 60,
    }
}

/// Every case.
pub fn all() -> impl Iterator<Item = Case> {
    addressed().into_iter().chain(tagged()).chain(masked()).chain(lengths())
}

fn addressed() -> [Case; 16] {
    use Verdict::{Drop, Pass, Steer};
    let other_target = Pass(Counter::PassedOtherTarget);
    let bad_source = Drop(Counter::DroppedBadSource);
    let us = || to(UNTAGGED);
    [
        us().build("exact address", Steer),
        Builder { destination: Mac::BROADCAST, ..us() }.build("broadcast", Steer),
        to((0xFFFF, 0xFF)).build("every target", Steer),
        to((0xFFFF, 1)).build("every shelf, our slot", Steer),
        to((0, 0xFF)).build("our shelf, every slot", Steer),
        to((0xFFFF, 3)).build("every shelf, another slot", other_target),
        to((10, 0xFF)).build("another shelf, every slot", other_target),
        to((0, 2)).build("another slot", other_target),
        to(ON_VLAN_5).build("a target of a VLAN, untagged", other_target),
        Builder { version_flags: 0x18, ..us() }.build("a response", Pass(Counter::PassedResponse)),
        Builder { version_flags: 0x24, ..us() }.build("another version, stray flags", Steer),
        Builder { destination: OTHER, ..us() }
            .build("another station", Pass(Counter::PassedOtherStation)),
        Builder { ether_type: 0x0800, ..us() }.build("IPv4", Pass(Counter::PassedNotAoe)),
        Builder { source: Mac::BROADCAST, ..us() }.build("broadcast source", bad_source),
        Builder { source: Mac([0x03, 0, 0, 0, 0, 1]), ..us() }.build("group source", bad_source),
        Builder { source: PORT, ..us() }.build("our own source", bad_source),
    ]
}

fn tagged() -> [Case; 7] {
    use Verdict::{Pass, Steer};
    let other_target = Pass(Counter::PassedOtherTarget);
    let tag = |control, address| Builder { tag: Some(control), length: 64, ..to(address) };
    [
        tag(0x0000, UNTAGGED).build("VLAN 0 is untagged", Steer),
        tag(0xE000, UNTAGGED).build("priority tag", Steer),
        tag(0x0005, UNTAGGED).build("VLAN 5, a target of no VLAN", other_target),
        tag(0x0005, ON_VLAN_5).build("VLAN 5, its target", Steer),
        tag(0xF005, ON_VLAN_5).build("VLAN 5 with priority", Steer),
        tag(0x0006, ON_VLAN_5).build("VLAN 6", other_target),
        Builder { ether_type: 0x8100, ..tag(0, UNTAGGED) }
            .build("two tags", Pass(Counter::PassedNotAoe)),
    ]
}

fn masked() -> [Case; 7] {
    use Verdict::{Drop, Steer};
    let masked = Drop(Counter::DroppedMasked);
    let from_other = |address| Builder { source: OTHER, ..to(address) };
    [
        to(TO_CLIENT).build("a listed source", Steer),
        from_other(TO_CLIENT).build("a source that is not listed", masked),
        to(NOT_TO_CLIENT).build("a refused source", masked),
        from_other(NOT_TO_CLIENT).build("a source that is not refused", Steer),
        from_other((0xFFFF, 4)).build("a wildcard that others admit", Steer),
        Builder { source: PORT, ..to(TO_CLIENT) }
            .build("our own source, not listed", Drop(Counter::DroppedBadSource)),
        Builder { version_flags: 0x24, ..from_other(TO_CLIENT) }
            .build("another version, not listed", masked),
    ]
}

/// Frames cut at every length up to the end of the AoE header and a little beyond.
fn lengths() -> impl Iterator<Item = Case> {
    (14..=32).flat_map(|length| {
        let plain = Builder { length, ..to(UNTAGGED) };
        let tagged = Builder { length, tag: Some(5), ..to(ON_VLAN_5) };
        let short = Verdict::Drop(Counter::DroppedShort);
        let untagged_verdict = if length < 24 { short } else { Verdict::Steer };
        let tagged_verdict = match length {
            ..18 => Verdict::Pass(Counter::PassedNotAoe),
            18..28 => short,
            _ => Verdict::Steer,
        };
        [
            plain.build("cut short", untagged_verdict),
            tagged.build("tagged and cut short", tagged_verdict),
        ]
    })
}
