//! `aoe trim`

use aoe_client::{Disk, Extent};
use aoe_common::size::parse_sectors;
use clap::Args;
use serde_json::json;

use super::{Connection, print};

const EXAMPLES: &str = "\
Examples:
  aoe trim e0.1 --iface eth0 --lba 2048 --bytes 64M
  aoe trim e0.1 --iface eth0 --lba 0 --sectors 1
  aoe trim e0.1 --iface eth0 --whole-disk";

/// Discard sectors of a disk
///
/// What was on these sectors is gone, without a question asked: make sure that nobody has the disk
/// mounted. They need no storage on the target any more. What is read there afterwards,
/// `aoe identify` says. What goes past the end is refused before anything is discarded.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: Connection,

    /// The sector to start at
    #[arg(long, value_name = "N")]
    #[arg(required_unless_present = "whole_disk", conflicts_with = "whole_disk")]
    lba: Option<u64>,

    #[command(flatten)]
    length: Length,

    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Length {
    /// How many sectors of 512 bytes to discard
    #[arg(long, value_name = "N")]
    sectors: Option<u64>,

    /// How many bytes to discard, a multiple of 512; K, M, G and T multiply by powers of 1024
    #[arg(long, value_name = "SIZE", value_parser = parse_sectors)]
    bytes: Option<u64>,

    /// Discard everything
    #[arg(long)]
    whole_disk: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let address = arguments.connection.address;
    let Extent { lba, sectors } = arguments.connection.with_disk(|disk| trim(disk, arguments))?;
    if arguments.json {
        let object = json!({ "address": address.to_string(), "lba": lba, "sectors": sectors });
        print(format_args!("{object:#}"))
    } else {
        print(format_args!("{address} has discarded {sectors} sectors at {lba}"))
    }
}

fn trim(disk: &mut Disk, arguments: &Arguments) -> anyhow::Result<Extent> {
    // The command line has a number of sectors or means them all.
    let Arguments { lba, length, .. } = arguments;
    let sectors = length.sectors.or(length.bytes).unwrap_or(disk.sectors());
    let extent = Extent { lba: lba.unwrap_or(0), sectors };
    disk.trim(&[extent])?;
    Ok(extent)
}
