//! Announcements: config replies that nobody has asked for.

use super::reply::Reply;
use super::{Port, Target};
use aoe_common::wire::config::sub_command;
use aoe_common::wire::{
    AoeHeader, ETHER_TYPE_AOE, ETHER_TYPE_VLAN, ETHERNET_HEADER, EthernetHeader, Mac, VlanTag,
    command,
};
use zerocopy::IntoBytes;

impl Target {
    /// Who is told of the target: all that may talk to it, by one broadcast where that is
    /// everybody.
    pub fn audience(&self) -> impl Iterator<Item = Mac> {
        let (listed, everybody): (&[Mac], _) =
            match (self.lists.mask.as_slice(), self.access.allow()) {
                ([], []) => (&[], Some(Mac::BROADCAST)),
                ([], allow) => (allow, None),
                (mask, _) => (mask, None),
            };
        let admitted = |station: &Mac| self.access.admits(*station);
        listed.iter().copied().filter(admitted).chain(everybody)
    }

    /// Writes an announcement to this station, and tells its length; `None` where the link does
    /// not carry it.
    ///
    /// # Panics
    ///
    /// Where `head` is shorter than [`HEAD_CAPACITY`](super::HEAD_CAPACITY).
    pub fn announce(&self, port: &Port, to: Mac, head: &mut [u8]) -> Option<usize> {
        if port.max_sectors == 0 || !self.config_fits(port) {
            return None;
        }
        let aoe_offset = self.write_headers(to, head);
        let reply = Reply::to_request(head, aoe_offset, port.mac, self.address);
        let header = self.config_header(port, sub_command::READ);
        Some(reply.argument(&header, &self.lists.config_string))
    }

    /// Writes the headers of the query that an announcement would be the reply to, from the station
    /// that it goes to, with tag 0. Returns where the AoE header begins.
    fn write_headers(&self, station: Mac, head: &mut [u8]) -> usize {
        let ether_type = if self.vlan == 0 { ETHER_TYPE_AOE } else { ETHER_TYPE_VLAN };
        let ethernet = EthernetHeader {
            destination: Mac::BROADCAST,
            source: station,
            ether_type: ether_type.into(),
        };
        head[..ETHERNET_HEADER].copy_from_slice(ethernet.as_bytes());
        let mut aoe_offset = ETHERNET_HEADER;
        if self.vlan != 0 {
            let tag = VlanTag { control: self.vlan.into(), ether_type: ETHER_TYPE_AOE.into() };
            head[aoe_offset..aoe_offset + size_of::<VlanTag>()].copy_from_slice(tag.as_bytes());
            aoe_offset += size_of::<VlanTag>();
        }
        let aoe = AoeHeader {
            version_flags: 0,
            error: 0,
            shelf: 0.into(),
            slot: 0,
            command: command::CONFIG,
            tag: [0; 4],
        };
        head[aoe_offset..aoe_offset + size_of::<AoeHeader>()].copy_from_slice(aoe.as_bytes());
        aoe_offset
    }
}
