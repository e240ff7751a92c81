//! What the kernel knows about a network interface, in the network namespace of the process.

mod features;
mod monitor;
mod request;

use std::fs;
use std::io;
use std::path::Path;

use aoe_common::wire::Mac;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage, LinkXdp};
use thiserror::Error;

pub use features::strips_vlan_tags;
pub use monitor::LinkMonitor;

/// A network interface as it was when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its index, which stays when the name changes.
    pub index: u32,
    /// Its hardware address.
    pub mac: Mac,
    /// The most bytes that a frame may carry behind the Ethernet header.
    pub mtu: u32,
    /// Whether somebody has switched it on.
    pub up: bool,
    /// Whether there is a working line to the other end.
    pub carrier: bool,
    /// The number of the XDP program on it, if there is one.
    pub xdp_program: Option<u32>,
    /// How many RX queues are in use. They are numbered from 0.
    pub rx_queues: u32,
}

/// Why nothing is known about an interface.
#[derive(Debug, Error)]
pub enum LinkError {
    /// There is none of that name.
    #[error("there is no network interface {name}: `ip link` lists them")]
    NoSuchName {
        /// The name.
        name: String,
    },
    /// There is none of that index any more.
    #[error("the network interface with index {index} is gone")]
    NoSuchIndex {
        /// The index.
        index: u32,
    },
    /// It carries no Ethernet frames.
    #[error("{name} is no Ethernet interface: ATA over Ethernet needs one")]
    NotEthernet {
        /// Its name.
        name: String,
    },
    /// The kernel's answer makes no sense.
    #[error("the kernel's answer about network interfaces is not understood: {0}")]
    Answer(String),
    /// The kernel can't be asked.
    #[error("the kernel can't be asked about network interfaces: {0}")]
    Request(#[source] io::Error),
    /// sysfs does not show the interface, probably because it shows another network namespace.
    #[error("{path} does not show the interface: mount /sys in its network namespace")]
    Sysfs {
        /// Where it should be.
        path: String,
    },
}

impl Link {
    /// The names of all Ethernet interfaces of the namespace, in no order. Loopback is none.
    ///
    /// # Errors
    ///
    /// See [`LinkError`].
    pub fn names() -> Result<Vec<String>, LinkError> {
        let links = request::get_links()?;
        Ok(links.into_iter().filter(is_ethernet).filter_map(|link| name(&link)).collect())
    }

    /// The interface of this name.
    ///
    /// # Errors
    ///
    /// See [`LinkError`].
    pub fn by_name(name: &str) -> Result<Self, LinkError> {
        let mut question = LinkMessage::default();
        question.attributes.push(LinkAttribute::IfName(name.to_owned()));
        let answer = request::get_link(question)?
            .ok_or_else(|| LinkError::NoSuchName { name: name.to_owned() })?;
        Self::from_message(&answer)
    }

    /// The interface with this index.
    ///
    /// # Errors
    ///
    /// See [`LinkError`].
    pub fn by_index(index: u32) -> Result<Self, LinkError> {
        let mut question = LinkMessage::default();
        question.header.index = index;
        let answer = request::get_link(question)?.ok_or(LinkError::NoSuchIndex { index })?;
        Self::from_message(&answer)
    }

    fn from_message(message: &LinkMessage) -> Result<Self, LinkError> {
        let header = &message.header;
        let (mut name, mut mac, mut mtu, mut xdp_program) = (None, None, None, None);
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(text) => name = Some(text.clone()),
                LinkAttribute::Address(bytes) => mac = bytes.as_slice().try_into().ok().map(Mac),
                LinkAttribute::Mtu(bytes) => mtu = Some(*bytes),
                LinkAttribute::Xdp(facts) => xdp_program = program_id(facts),
                _ => {}
            }
        }
        let name = name.ok_or_else(|| LinkError::Answer("a name is missing".into()))?;
        let (LinkLayerType::Ether, Some(mac)) = (header.link_layer_type, mac) else {
            return Err(LinkError::NotEthernet { name });
        };
        let mtu = mtu.ok_or_else(|| LinkError::Answer("an MTU is missing".into()))?;
        Ok(Self {
            index: header.index,
            mac,
            mtu,
            up: header.flags.contains(LinkFlags::Up),
            carrier: header.flags.contains(LinkFlags::LowerUp),
            xdp_program,
            rx_queues: rx_queues(&name, header.index)?,
            name,
        })
    }
}

/// Whether frames of Ethernet go over a link. Loopback has a kind of its own.
fn is_ethernet(message: &LinkMessage) -> bool {
    message.header.link_layer_type == LinkLayerType::Ether
}

fn name(message: &LinkMessage) -> Option<String> {
    message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })
}

/// The number of the program, whichever mode it is attached in.
fn program_id(facts: &[LinkXdp]) -> Option<u32> {
    facts.iter().find_map(|fact| match fact {
        LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) => Some(*id),
        _ => None,
    })
}

/// Counts the RX queues in use. Netlink tells only how many the driver has made room for.
fn rx_queues(name: &str, index: u32) -> Result<u32, LinkError> {
    let device = Path::new("/sys/class/net").join(name);
    let missing = || LinkError::Sysfs { path: device.display().to_string() };
    // A namespace entered without its own sysfs may show another interface of the same name.
    let shown = fs::read_to_string(device.join("ifindex")).map_err(|_| missing())?;
    if shown.trim().parse() != Ok(index) {
        return Err(missing());
    }
    let queues = fs::read_dir(device.join("queues")).map_err(|_| missing())?;
    let receiving = |name: &[u8]| name.starts_with(b"rx-");
    let count =
        queues.flatten().filter(|queue| receiving(queue.file_name().as_encoded_bytes())).count();
    u32::try_from(count).map_err(|_| missing())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Linux calls Ethernet in sysfs: ARPHRD_ETHER.
    const ETHERNET: &str = "1";

    #[test]
    fn the_names_are_those_of_ethernet_interfaces() {
        let is_ethernet = |path: &Path| {
            fs::read_to_string(path.join("type")).is_ok_and(|kind| kind.trim() == ETHERNET)
        };
        let devices = fs::read_dir("/sys/class/net").unwrap().map(|entry| entry.unwrap().path());
        let mut expected: Vec<_> = devices
            .filter(|path| is_ethernet(path))
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        let mut names = Link::names().unwrap();
        expected.sort();
        names.sort();
        assert_eq!(names, expected);
        assert!(!names.contains(&"lo".to_owned()));
    }
}
