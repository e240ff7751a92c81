//! `aoe smart`

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::{Connection, print};

const EXAMPLES: &str = "\
Examples:
  aoe smart e0.1 --iface eth0
  aoe smart e0.1 --iface eth0 --json | jq .healthy";

/// Ask a disk whether it is well
///
/// Turns SMART on and asks for its status. The exit status is 0 if the disk is well, and 1 if it
/// has failed or expects to, or has no SMART.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: Connection,

    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let address = arguments.connection.address;
    let healthy = arguments.connection.with_disk(|disk| Ok(disk.smart_healthy()?))?;
    if arguments.json {
        let object = json!({ "address": address.to_string(), "healthy": healthy });
        print(format_args!("{object:#}"))?;
    }
    match healthy {
        true if arguments.json => Ok(()),
        true => print(format_args!("{address} is well")),
        false => bail!("{address} is failing, says its SMART status: save what is on it"),
    }
}
