//! `aoe stat`

use std::collections::BTreeMap;

use aoe_client::{Address, SECTOR_SIZE};
use clap::Args;
use serde_json::{Value, json};

use super::{Found, Search, print};
use crate::size::gigabytes;

const EXAMPLES: &str = "\
Examples:
  aoe stat --iface eth0
  aoe stat --iface eth0 --iface eth1 --timeout 2000
  aoe stat --iface eth0 --json | jq -r '.[] | select(.state == \"down\") | .address'";

/// List the disks, in the columns of aoe-stat
///
/// The columns are the disk, its size in units of 1,000,000,000 bytes, the interfaces that it
/// answers on, the most bytes of data in one frame, and the state: up if the disk identifies
/// itself, down if only its target answers. The exit status is 1 if nobody answers.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    search: Search,

    /// Print one JSON array instead
    ///
    /// Sizes are in sectors of 512 bytes and payloads in bytes, null where the disk does not
    /// identify itself.
    #[arg(long)]
    json: bool,
}

/// A disk, put together from all its ports.
#[derive(Default)]
struct Row {
    sectors: Option<u64>,
    interfaces: Vec<String>,
    /// What every port takes, in bytes.
    payload: Option<usize>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let found = arguments.search.run()?;
    let nobody = found.is_empty().then(|| arguments.search.nobody());
    let mut rows: BTreeMap<Address, Row> = BTreeMap::new();
    for Found { target, disk } in found {
        let row = rows.entry(target.address).or_default();
        if !row.interfaces.contains(&target.interface) {
            row.interfaces.push(target.interface);
        }
        match disk {
            Ok(disk) => {
                let payload = usize::from(disk.sector_limit) * SECTOR_SIZE;
                row.payload = Some(row.payload.map_or(payload, |least| least.min(payload)));
                row.sectors.get_or_insert(disk.sectors);
            }
            Err(error) => eprintln!("aoe: {} answers, but {error}", target.address),
        }
    }
    if arguments.json {
        let rows: Vec<_> = rows.iter().map(|(address, row)| object(*address, row)).collect();
        print(serde_json::to_string_pretty(&rows)?)?;
    } else {
        for (address, row) in &rows {
            print(line(*address, row))?;
        }
    }
    nobody.map_or(Ok(()), Err)
}

impl Row {
    fn state(&self) -> &'static str {
        if self.sectors.is_some() { "up" } else { "down" }
    }
}

fn object(address: Address, row: &Row) -> Value {
    json!({
        "address": address.to_string(),
        "sectors": row.sectors,
        "interfaces": row.interfaces,
        "payload": row.payload,
        "state": row.state(),
    })
}

fn line(address: Address, row: &Row) -> String {
    let unknown = || "(NA)".to_owned();
    let device = address.to_string();
    let size = row.sectors.map_or_else(unknown, gigabytes);
    let interfaces = row.interfaces.join(",");
    let payload = row.payload.map_or_else(unknown, |bytes| bytes.to_string());
    let state = row.state();
    format!("{device:>10} {size:>15} {interfaces:>10} {payload:<5} {state:<14}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_those_of_aoe_stat() {
        let address = "e1.2".parse().unwrap();
        let row = Row {
            sectors: Some(2_097_152),
            interfaces: vec!["lo".to_owned()],
            payload: Some(65024),
        };
        let expected = "      e1.2         1.073GB         lo 65024 up            ";
        assert_eq!(line(address, &row), expected);
        let interfaces = vec!["eth0".to_owned(), "eth1".to_owned()];
        let row = Row { interfaces, ..Row::default() };
        let expected = "      e1.2            (NA)  eth0,eth1 (NA)  down          ";
        assert_eq!(line(address, &row), expected);
    }

    #[test]
    fn json_has_the_columns_in_their_types() {
        let address = "e1.2".parse().unwrap();
        let interfaces = vec!["eth0".to_owned(), "eth1".to_owned()];
        let row = Row { sectors: Some(2048), interfaces, payload: Some(1024) };
        let expected = json!({
            "address": "e1.2",
            "sectors": 2048,
            "interfaces": ["eth0", "eth1"],
            "payload": 1024,
            "state": "up",
        });
        assert_eq!(object(address, &row), expected);
        let down = object(address, &Row::default());
        assert_eq!((&down["sectors"], &down["state"]), (&Value::Null, &json!("down")));
    }
}
