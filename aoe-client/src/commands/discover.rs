//! `aoe discover`

use aoe_client::Target;
use clap::Args;
use serde::Serialize;

use super::{Found, Search, print};
use crate::size::gigabytes;
use crate::text::{hex, plain, printable};

const EXAMPLES: &str = "\
Examples:
  aoe discover --iface eth0
  aoe discover --iface eth0 --iface eth1 --timeout 2000
  aoe discover --iface eth0 --json | jq -r '.[].address'";

/// Look for targets
///
/// Asks everybody on the network segment and prints a line for every answer: address, MAC address,
/// interface, size, the most sectors that the target takes in one request, the number of requests
/// it can hold at once, and its config string, if it has one. A target with several ports has
/// several lines. The exit status is 1 if nobody answers.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    search: Search,

    /// Print one JSON array instead
    ///
    /// Sizes are in sectors of 512 bytes, null where the disk does not identify itself. Config
    /// strings that are no UTF-8 are escaped; config_string_hex has their exact bytes.
    #[arg(long)]
    json: bool,
}

/// One answer, as JSON has it.
#[derive(Serialize)]
struct Entry {
    address: String,
    mac: String,
    interface: String,
    sectors: Option<u64>,
    sector_count: u8,
    buffer_count: u16,
    firmware_version: u16,
    config_string: String,
    config_string_hex: String,
}

impl From<&Found> for Entry {
    fn from(found: &Found) -> Self {
        let target = &found.target;
        Self {
            address: target.address.to_string(),
            mac: target.mac.to_string(),
            interface: target.interface.clone(),
            sectors: found.disk.as_ref().ok().map(|disk| disk.sectors),
            sector_count: target.sector_count,
            buffer_count: target.buffer_count,
            firmware_version: target.firmware_version,
            config_string: plain(&target.config_string),
            config_string_hex: hex(&target.config_string),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let found = arguments.search.run()?;
    if arguments.json {
        let entries: Vec<_> = found.iter().map(Entry::from).collect();
        print(serde_json::to_string_pretty(&entries)?)?;
    } else {
        for Found { target, disk } in &found {
            let size = disk.as_ref().map_or("(NA)".to_owned(), |disk| gigabytes(disk.sectors));
            print(line(target, &size))?;
        }
    }
    for Found { target, disk } in &found {
        if let Err(error) = disk {
            eprintln!("aoe: {} answers, but {error}", target.address);
        }
    }
    if found.is_empty() { Err(arguments.search.nobody()) } else { Ok(()) }
}

fn line(target: &Target, size: &str) -> String {
    let Target { address, mac, interface, sector_count, buffer_count, config_string, .. } = target;
    let address = address.to_string();
    let mut line = format!(
        "{address:<10} {mac} {interface:<10} {size:>12} {sector_count:>3} sectors \
         {buffer_count:>5} buffers"
    );
    if !config_string.is_empty() {
        line += &format!(" \"{}\"", printable(config_string));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use aoe_client::Mac;

    #[test]
    fn a_line_tells_it_all_and_can_not_break_the_terminal() {
        let mut target = Target {
            address: "e0.1".parse().unwrap(),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            interface: "eth0".to_owned(),
            sector_count: 2,
            buffer_count: 16,
            firmware_version: 0,
            config_string: Vec::new(),
        };
        let plain =
            "e0.1       02:00:00:00:00:01 eth0            1.073GB   2 sectors    16 buffers";
        assert_eq!(line(&target, "1.073GB"), plain);
        target.config_string = b"a\x1b[\"".to_vec();
        assert_eq!(line(&target, "1.073GB"), format!(r#"{plain} "a\u{{1b}}[\"""#));
    }
}
