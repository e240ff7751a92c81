//! `aoe stat`

use std::collections::BTreeMap;

use aoe_client::{Address, SECTOR_SIZE};
use clap::Args;

use super::{Found, Search};
use crate::size::gigabytes;

const EXAMPLES: &str = "\
Examples:
  aoe stat --iface eth0
  aoe stat --iface eth0 --iface eth1 --timeout 2000";

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
    if found.is_empty() {
        return Err(arguments.search.nobody());
    }
    let mut rows: BTreeMap<Address, Row> = BTreeMap::new();
    for Found { target, disk } in found {
        let row = rows.entry(target.address).or_default();
        if !row.interfaces.contains(&target.interface) {
            row.interfaces.push(target.interface);
        }
        match disk {
            Ok(disk) => {
                let payload = usize::from(disk.sector_limit()) * SECTOR_SIZE;
                row.payload = Some(row.payload.map_or(payload, |least| least.min(payload)));
                row.sectors.get_or_insert(disk.sectors());
            }
            Err(error) => eprintln!("aoe: {} answers, but {error}", target.address),
        }
    }
    for (address, row) in &rows {
        println!("{}", line(*address, row));
    }
    Ok(())
}

fn line(address: Address, row: &Row) -> String {
    let unknown = || "(NA)".to_owned();
    let device = address.to_string();
    let size = row.sectors.map_or_else(unknown, gigabytes);
    let interfaces = row.interfaces.join(",");
    let payload = row.payload.map_or_else(unknown, |bytes| bytes.to_string());
    let state = if row.sectors.is_some() { "up" } else { "down" };
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
}
