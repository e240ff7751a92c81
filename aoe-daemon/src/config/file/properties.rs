//! Files made at random.

use super::parse;
use crate::config::{Durability, ExportConfig, InterfacePattern};
use aoe_common::address::Address;
use aoe_common::wire::Mac;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use std::fmt::Write;

/// Fragments of files, so that not everything fails at the first character.
fn fragment() -> impl Strategy<Value = String> {
    let keys = super::KEYS.iter().chain(&super::export::KEYS);
    let mut known: Vec<String> = keys.map(|key| format!("{key} = ")).collect();
    let more = [
        "[[export]]\n",
        "[export]\n",
        "\n",
        "\n",
        "[",
        "]",
        "{",
        "}",
        ",",
        "'a'",
        "'*'",
        "1",
        "0",
        "512",
        "4095",
        "-1",
        "true",
        "'02:00:00:00:00:01'",
        "['a']",
        "'1G'",
        "\"\\u0000\"",
        "'ä\u{2028}'",
        "# ",
        ".",
    ];
    known.extend(more.map(str::to_owned));
    prop_oneof![4 => proptest::sample::select(known), 1 => ".{0,4}"]
}

/// An export whose file no other one has, where it can be said in TOML by [`Display`].
fn export() -> impl Strategy<Value = ExportConfig> {
    let disk = (
        "[a-zA-Z0-9./ äß'\"\\\\-]{1,12}",
        (any::<bool>(), prop_oneof![Just(Durability::Always), Just(Durability::Writeback)]),
        0..1_u64 << 50,
        option::of(1..1_u64 << 50),
    );
    let offer = (
        prop_oneof![Just(vec![]), Just(vec!["eth0"]), Just(vec!["eth?", "ens*"])],
        0..4095_u16,
        option::of("\\PC{0,40}"),
    );
    let text = || option::of("[!-~]([ -~]{0,18}[!-~])?");
    let identity = (text(), text(), option::of(1..=u64::MAX));
    let stations = (btree_set(any::<[u8; 5]>(), 0..4), btree_set(any::<[u8; 5]>(), 0..4));
    (disk, offer, identity, stations).prop_map(|(disk, offer, identity, stations)| {
        let (file, (read_only, durability), offset, length) = disk;
        let (interfaces, vlan, config_string) = offer;
        let (serial, model, wwn) = identity;
        let mac = |first: u8| move |[a, b, c, d, e]: [u8; 5]| Mac([first, a, b, c, d, e]);
        let interfaces = interfaces.into_iter().map(|name| name.parse().unwrap()).collect();
        ExportConfig {
            read_only,
            durability,
            offset: offset * 512,
            length: length.map(|sectors| sectors * 512),
            interfaces,
            vlan,
            config_string: config_string.map(String::into_bytes),
            serial,
            model,
            wwn,
            allow: stations.0.into_iter().map(mac(0x02)).collect(),
            deny: stations.1.into_iter().map(mac(0x06)).collect(),
            ..ExportConfig::new(Address::new(0, 0).unwrap(), file.into())
        }
    })
}

/// Exports with addresses, files, serial numbers and names of their own.
fn exports() -> impl Strategy<Value = Vec<ExportConfig>> {
    let address = (0..4095_u16, 0..255_u8);
    btree_map(address, export(), 1..6).prop_map(|exports| {
        let own =
            |(at, ((shelf, slot), export)): (usize, ((u16, u8), ExportConfig))| ExportConfig {
                address: Address::new(shelf, slot).unwrap(),
                file: format!("/{at}/{}", export.file.display()).into(),
                serial: export
                    .serial
                    .map(|serial| format!("{at}{}", &serial[..serial.len().min(19)])),
                wwn: export.wwn.map(|wwn| (wwn >> 4 | 1 << 60) ^ at as u64),
                ..export
            };
        exports.into_iter().enumerate().map(own).collect()
    })
}

/// A string as TOML writes it.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            ' '..='~' => quoted.push(letter),
            _ => write!(quoted, "\\U{:08x}", u32::from(letter)).unwrap(),
        }
    }
    quoted + "\""
}

fn list<T: ToString>(values: &[T]) -> String {
    let values: Vec<_> = values.iter().map(|value| quoted(&value.to_string())).collect();
    format!("[{}]", values.join(", "))
}

/// The table of an export, with every key whose value is not the one that it has if left out.
fn table(export: &ExportConfig) -> String {
    let mut table = format!(
        "[[export]]\nshelf = {}\nslot = {}\nfile = {}\nread-only = {}\ndurability = '{}'\noffset = {}\nvlan = {}\n",
        export.address.shelf(),
        export.address.slot(),
        quoted(export.file.to_str().unwrap()),
        export.read_only,
        export.durability,
        export.offset,
        export.vlan,
    );
    let text = |bytes: &Vec<u8>| quoted(std::str::from_utf8(bytes).unwrap());
    let stations = |list_of: &Vec<Mac>| (!list_of.is_empty()).then(|| list(list_of));
    let interfaces: &[InterfacePattern] = &export.interfaces;
    let optional = [
        ("length", export.length.map(|length| length.to_string())),
        ("config-string", export.config_string.as_ref().map(text)),
        ("serial", export.serial.as_deref().map(quoted)),
        ("model", export.model.as_deref().map(quoted)),
        ("wwn", export.wwn.map(|wwn| quoted(&format!("{wwn:016x}")))),
        ("interfaces", (!interfaces.is_empty()).then(|| list(interfaces))),
        ("allow", stations(&export.allow)),
        ("deny", stations(&export.deny)),
    ];
    for (key, value) in optional {
        table.extend(value.map(|value| format!("{key} = {value}\n")));
    }
    table
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*") {
        prop_assert!(parse(&text).is_err(), "no interfaces");
    }

    #[test]
    fn fragments_are_read_or_refused_at_their_places(parts in vec(fragment(), 0..60)) {
        let text = parts.concat();
        if let Err(problems) = parse(&text) {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                let line = text.split('\n').nth(problem.line - 1).expect("a line of the text");
                prop_assert!((1..=line.chars().count() + 1).contains(&problem.column));
                prop_assert!(!problem.text.contains('\n'));
            }
        }
    }

    #[test]
    fn what_is_written_is_read(exports in exports()) {
        let tables: String = exports.iter().map(table).collect();
        let file = parse(&format!("interfaces = ['e*']\n{tables}")).expect(&tables);
        let read: Vec<_> = file.exports.into_iter().map(|export| export.config).collect();
        prop_assert_eq!(read, exports);
    }
}
