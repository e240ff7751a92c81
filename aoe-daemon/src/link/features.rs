//! What a network card does to frames by itself, over ethtool's generic netlink family.
//!
//! Numbers and layouts are those of the kernel's `ethtool_netlink.h`; its documentation is
//! `networking/ethtool-netlink.rst`.

use std::fmt::Debug;
use std::io;

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NLM_F_REQUEST, NetlinkDeserializable, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable, NlasIterator, ParseableParametrized,
};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};
use netlink_sys::protocols::NETLINK_GENERIC;

use super::request::send;

/// The card takes the VLAN tag off received frames and hands it over beside them.
const RX_VLAN_HW_PARSE: &[u8] = b"rx-vlan-hw-parse\0";

/// `ETHTOOL_MSG_FEATURES_GET`.
const FEATURES_GET: u8 = 11;
/// `ETHTOOL_A_FEATURES_HEADER`: which interface.
const FEATURES_HEADER: u16 = 1;
/// `ETHTOOL_A_FEATURES_ACTIVE`: a set of bits.
const FEATURES_ACTIVE: u16 = 4;
/// `ETHTOOL_A_HEADER_DEV_INDEX`.
const HEADER_DEV_INDEX: u16 = 1;
/// `ETHTOOL_A_BITSET_BITS`: a list of bits; those that are not in it are not set.
const BITSET_BITS: u16 = 3;
/// `ETHTOOL_A_BITSET_BIT_NAME`.
const BIT_NAME: u16 = 2;
/// `NLA_F_NESTED`.
const NESTED: u16 = 1 << 15;

/// Whether an interface takes VLAN tags off the frames that it receives before an XDP program
/// sees them. Then frames of all VLANs look untagged, and what is offered untagged is offered on
/// every VLAN that reaches the interface. `None` where the kernel does not tell.
///
/// # Errors
///
/// `ENODEV` where there is no such interface; otherwise the kernel can't be asked, or its answer is
/// not understood.
pub fn strips_vlan_tags(index: u32) -> io::Result<Option<bool>> {
    let Some(family) = family_id()? else { return Ok(None) };
    let question = GenlMessage::from_payload(FeaturesOf { index });
    let answer: ActiveFeatures = ask(question, family)?;
    Ok(answer.strips_vlan_tags)
}

/// The number of ethtool's family. `None` if the kernel was built without it.
fn family_id() -> io::Result<Option<u16>> {
    let name = GenlCtrlAttrs::FamilyName(FeaturesOf::family_name().to_owned());
    let question = GenlCtrl { cmd: GenlCtrlCmd::GetFamily, nlas: vec![name] };
    let answer: GenlCtrl = match ask(GenlMessage::from_payload(question), 0) {
        Ok(answer) => answer,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(answer.nlas.iter().find_map(|attribute| match attribute {
        GenlCtrlAttrs::FamilyId(id) => Some(*id),
        _ => None,
    }))
}

/// Asks a family of the kernel's, and gives the payload of its only answer.
fn ask<Q, A>(mut question: GenlMessage<Q>, family: u16) -> io::Result<A>
where
    Q: GenlFamily + Emitable + Debug,
    A: Debug,
    GenlMessage<Q>: NetlinkSerializable + Into<NetlinkPayload<GenlMessage<Q>>>,
    GenlMessage<A>: NetlinkDeserializable,
{
    question.set_resolved_family_id(family);
    let socket = send(NETLINK_GENERIC, question.into(), NLM_F_REQUEST)?;
    let (answer, _sender) = socket.recv_from_full()?;
    let answer =
        NetlinkMessage::<GenlMessage<A>>::deserialize(&answer).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::InnerMessage(message) => Ok(message.payload),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        other => Err(io::Error::other(format!("{other:?} is no answer"))),
    }
}

/// The question for the features of an interface.
#[derive(Debug)]
struct FeaturesOf {
    index: u32,
}

impl FeaturesOf {
    fn attributes(&self) -> [DefaultNla; 1] {
        let index = DefaultNla::new(HEADER_DEV_INDEX, self.index.to_ne_bytes().to_vec());
        let mut header = vec![0; index.buffer_len()];
        index.emit(&mut header);
        [DefaultNla::new(FEATURES_HEADER | NESTED, header)]
    }
}

impl GenlFamily for FeaturesOf {
    fn family_name() -> &'static str {
        "ethtool"
    }

    fn command(&self) -> u8 {
        FEATURES_GET
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for FeaturesOf {
    fn buffer_len(&self) -> usize {
        self.attributes().as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes().as_slice().emit(buffer);
    }
}

/// What we want to know of the answer.
#[derive(Debug, PartialEq, Eq)]
struct ActiveFeatures {
    /// `None` where it says nothing of active features.
    strips_vlan_tags: Option<bool>,
}

impl ParseableParametrized<[u8], GenlHeader> for ActiveFeatures {
    fn parse_with_param(attributes: &[u8], _: GenlHeader) -> Result<Self, DecodeError> {
        let Some(active) = attribute(attributes, FEATURES_ACTIVE)? else {
            return Ok(Self { strips_vlan_tags: None });
        };
        let bits = attribute(&active, BITSET_BITS)?.unwrap_or_default();
        let mut strips_vlan_tags = false;
        for bit in NlasIterator::new(bits.as_slice()) {
            let bit = bit?;
            let name = attribute(bit.value(), BIT_NAME)?.unwrap_or_default();
            strips_vlan_tags |= name == RX_VLAN_HW_PARSE;
        }
        Ok(Self { strips_vlan_tags: Some(strips_vlan_tags) })
    }
}

/// The value of the first attribute of this kind.
fn attribute(attributes: &[u8], kind: u16) -> Result<Option<Vec<u8>>, DecodeError> {
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        if attribute.kind() == kind {
            return Ok(Some(attribute.value().to_vec()));
        }
    }
    Ok(None)
}
