//! `aoe flush`

use clap::Args;
use serde_json::json;

use super::{Connection, print};

/// Have a disk make everything durable that was written to it
///
/// Whether a target needs that, `aoe identify` says: one whose write cache is off, or that has none,
/// answers a write when it is durable.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: Connection,

    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let address = arguments.connection.address;
    arguments.connection.with_disk(|disk| Ok(disk.flush()?))?;
    if arguments.json {
        let object = json!({ "address": address.to_string(), "flushed": true });
        print(format_args!("{object:#}"))
    } else {
        print(format_args!("{address} has flushed its cache"))
    }
}
