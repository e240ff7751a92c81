//! The keys of an export.

use super::super::overlap::ByteRange;
use super::super::problem::Flaw;
use super::table::Table;
use super::{FileExport, KEYS as TOP_KEYS, MAX_INTERFACES, Places, TOO_MANY_INTERFACES, values};
use crate::config::{Durability, ExportConfig};
use aoe_common::address::{Address, EVERY_SHELF, EVERY_SLOT};
use aoe_common::wire::Mac;
use aoe_common::wire::config::MAX_CONFIG_STRING;
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::DeTable;

/// Keys of an export.
pub(super) const KEYS: [&str; 15] = [
    "shelf",
    "slot",
    "file",
    "read-only",
    "durability",
    "offset",
    "length",
    "interfaces",
    "vlan",
    "config-string",
    "serial",
    "model",
    "wwn",
    "allow",
    "deny",
];

/// Characters of a serial number in IDENTIFY.
const MAX_SERIAL: usize = 20;
/// Characters of a model in IDENTIFY.
const MAX_MODEL: usize = 40;
/// Highest VLAN. 0 means none, and 4095 is reserved.
const MAX_VLAN: u64 = 4094;

/// Reads an export, which is of this durability unless it says otherwise; nothing where something is
/// wrong with it.
pub(super) fn read(
    entries: &DeTable<'_>,
    at: usize,
    durability: Durability,
    flaws: &mut Vec<Flaw>,
) -> Option<FileExport> {
    let before = flaws.len();
    let mut table = Table::new(entries, at, flaws);
    table.expect_keys(&KEYS, &TOP_KEYS, "of the whole file: put it above the first [[export]]");
    let address = address(&mut table);
    let file = table.required("file", values::path);
    let offset = table.optional("offset", values::size);
    let length = table.optional("length", values::length);
    let start = offset.as_ref().map_or(0, |offset| *offset.get_ref());
    let bytes = ByteRange::new(start, length.as_ref().map(|length| *length.get_ref()));
    if bytes.is_none() {
        table.flaw("length", "offset and length together are more than any disk can hold");
    }
    let interfaces = table.limiting_list("interfaces", "all of the daemon's", values::interface);
    if interfaces.len() > MAX_INTERFACES {
        table.flaw("interfaces", TOO_MANY_INTERFACES);
    }
    let vlan = table.optional("vlan", |value| values::number(value, 0..=MAX_VLAN));
    let config_string =
        table.optional("config-string", |value| values::bytes(value, MAX_CONFIG_STRING));
    let serial = table.optional("serial", |value| values::printable(value, MAX_SERIAL));
    let model = table.optional("model", |value| values::printable(value, MAX_MODEL));
    let wwn = table.optional("wwn", values::wwn);
    let allow = table.limiting_list("allow", "everybody", values::station);
    let deny = table.list("deny", values::station).unwrap_or_default();
    let allowed: BTreeSet<&Mac> = allow.iter().map(Spanned::get_ref).collect();
    for mac in deny.iter().filter(|mac| allowed.contains(mac.get_ref())) {
        let text = format!("{} is in allow, too: leave it out of one", mac.get_ref());
        table.flaw_at(mac.span().start, text);
    }
    let read_only = table.is_true("read-only");
    let own_durability = table.optional("durability", values::choice);
    if flaws.len() > before {
        return None;
    }

    let (address, file) = (address?, file?);
    let places = Places {
        address: address.span().start,
        file: file.span().start,
        end: start_of(&length).or(start_of(&offset)).unwrap_or(file.span().start),
        durability: start_of(&own_durability).unwrap_or(file.span().start),
        serial: start_of(&serial).unwrap_or(at),
        wwn: start_of(&wwn).unwrap_or(at),
        interfaces: interfaces.iter().map(|entry| entry.span().start).collect(),
    };
    let config = ExportConfig {
        address: address.into_inner(),
        file: file.into_inner(),
        read_only,
        durability: own_durability.map_or(durability, Spanned::into_inner),
        offset: start,
        length: length.map(Spanned::into_inner),
        interfaces: interfaces.into_iter().map(Spanned::into_inner).collect(),
        // At most MAX_VLAN.
        vlan: vlan.map_or(0, |vlan| vlan.into_inner() as u16),
        config_string: config_string.map(Spanned::into_inner),
        serial: serial.map(Spanned::into_inner),
        model: model.map(Spanned::into_inner),
        wwn: wwn.map(Spanned::into_inner),
        allow: allow.into_iter().map(Spanned::into_inner).collect(),
        deny: deny.into_iter().map(Spanned::into_inner).collect(),
    };
    Some(FileExport { config, bytes: bytes?, places })
}

fn start_of<T>(value: &Option<Spanned<T>>) -> Option<usize> {
    value.as_ref().map(|value| value.span().start)
}

fn address(table: &mut Table<'_, '_>) -> Option<Spanned<Address>> {
    let highest = u64::from(EVERY_SHELF) - 1;
    let shelf = table.required("shelf", |value| values::number(value, 0..=highest));
    let highest = u64::from(EVERY_SLOT) - 1;
    let slot = table.required("slot", |value| values::number(value, 0..=highest));
    let (shelf, slot) = (shelf?, slot?);
    // Both are within limits that are lower than their types'.
    match Address::new(*shelf.get_ref() as u16, *slot.get_ref() as u8) {
        Ok(address) => Some(Spanned::new(shelf.span(), address)),
        Err(error) => {
            table.flaw("shelf", &error.to_string());
            None
        }
    }
}
