//! What our own types say.

use aoe_common::steer::{FrameBytes, framing};
use aoe_common::wire::ata::{AtaHeader, aflag};
use aoe_common::wire::config::ConfigHeader;
use aoe_common::wire::mac_mask::MacMaskHeader;
use aoe_common::wire::reserve::ReserveHeader;
use aoe_common::wire::{AoeHeader, ETHER_TYPE_AOE, EthernetHeader, command, flag};
use serde_json::{Value, json};

use super::Fields;

/// What a frame says; `None` where it ends within the headers of its command, or is none of ours.
pub(super) fn decode(frame: &[u8]) -> Option<Fields> {
    let (ETHER_TYPE_AOE, framing) = framing(frame)? else { return None };
    let ethernet = frame.header::<EthernetHeader>(0)?;
    let aoe = frame.header::<AoeHeader>(framing.aoe_offset)?;
    let mut fields = Fields::new();
    let mut say = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    say("destination", json!(ethernet.destination.to_string()));
    say("source", json!(ethernet.source.to_string()));
    say("vlan_id", json!(framing.vlan_id));
    say("version", json!(aoe.version()));
    say("flags", json!(aoe.version_flags & 0x0F));
    say("response", json!(aoe.is_response()));
    say("failed", json!(aoe.version_flags & flag::ERROR != 0));
    say("error", json!(aoe.error));
    say("shelf", json!(aoe.shelf.get()));
    say("slot", json!(aoe.slot));
    say("aoe_command", json!(aoe.command));
    say("tag", json!(u32::from_be_bytes(aoe.tag)));
    let at = framing.aoe_offset + size_of::<AoeHeader>();
    let argument = match aoe.command {
        command::ATA => ata(frame.header(at)?),
        command::CONFIG => config(frame.header(at)?, frame.get(at + 8..)?),
        command::MAC_MASK => mask(frame.header(at)?),
        command::RESERVE => reserve(frame.header(at)?),
        _ => Vec::new(),
    };
    fields.extend(argument.into_iter().map(|(name, value)| (name.to_owned(), value)));
    Some(fields)
}

type Named = Vec<(&'static str, Value)>;

fn ata(header: &AtaHeader) -> Named {
    vec![
        ("aflags", json!(header.aflags)),
        ("extended", json!(header.aflags & aflag::EXTENDED != 0)),
        ("asynchronous", json!(header.aflags & aflag::ASYNCHRONOUS != 0)),
        ("write", json!(header.aflags & aflag::WRITE != 0)),
        ("feature", json!(header.feature)),
        ("count", json!(header.sector_count)),
        ("command", json!(header.command)),
        ("lba", json!(header.lba)),
        ("lba48", json!(header.lba48())),
        ("reserved", json!(header.reserved.get())),
    ]
}

fn config(header: &ConfigHeader, rest: &[u8]) -> Named {
    let length = usize::from(header.string_length.get()).min(rest.len());
    let string: String = rest[..length].iter().map(|byte| format!("{byte:02x}")).collect();
    vec![
        ("buffer_count", json!(header.buffer_count.get())),
        ("firmware", json!(header.firmware_version.get())),
        ("max_sectors", json!(header.sector_count)),
        ("aoe", json!(header.version_command >> 4)),
        ("sub_command", json!(header.sub_command())),
        ("string_length", json!(header.string_length.get())),
        ("string", json!(string)),
    ]
}

fn mask(header: &MacMaskHeader) -> Named {
    vec![
        ("mask_command", json!(header.command)),
        ("mask_error", json!(header.error)),
        ("dir_count", json!(header.count)),
    ]
}

fn reserve(header: &ReserveHeader) -> Named {
    vec![("reserve_command", json!(header.command)), ("mac_count", json!(header.count))]
}
