//! `aoe reserve`

use aoe_client::{Mac, Port};
use clap::{Args, Subcommand};

use super::{Connection, print_macs, station};

const EXAMPLES: &str = "\
Examples:
  aoe reserve show e0.1 --iface eth0
  aoe reserve set e0.1 --iface eth0
  aoe reserve set e0.1 --iface eth0 02:00:00:00:00:07 02:00:00:00:00:08
  aoe reserve release e0.1 --iface eth0
  aoe reserve show e0.1 --iface eth0 --json | jq -r '.holders[]'";

/// Show, make and release reservations
///
/// A reserved target does ATA commands only for the stations that hold it; all others can identify
/// the disk and nothing more. Config string, MAC mask list and the reservation itself are not
/// protected: who forces it gets it.
///
/// Every command prints the holders as they are then, one MAC address a line.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Show(Show),
    Set(Set),
    Release(Release),
}

/// Print who holds the target
#[derive(Args)]
struct Show {
    #[command(flatten)]
    connection: Connection,

    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
}

/// Reserve the target
///
/// The holders given replace those there are. A target that others hold refuses.
#[derive(Args)]
struct Set {
    #[command(flatten)]
    connection: Connection,

    /// The MAC addresses of the holders, instead of this station's alone
    #[arg(value_name = "MAC", value_parser = station)]
    macs: Vec<Mac>,

    /// Take the target from whoever holds it
    #[arg(long)]
    force: bool,

    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
}

/// Let everybody use the target again
#[derive(Args)]
struct Release {
    #[command(flatten)]
    connection: Connection,

    /// Even if only others hold it
    #[arg(long)]
    force: bool,

    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (connection, json, holders) = match &arguments.command {
        Command::Show(Show { connection, json }) => {
            (connection, *json, connection.with_port(|port| Ok(port.reservation()?))?)
        }
        Command::Set(Set { connection, macs, force, json }) => {
            (connection, *json, connection.with_port(|port| set(port, macs, *force))?)
        }
        Command::Release(Release { connection, force, json }) => {
            (connection, *json, connection.with_port(|port| Ok(port.reserve(&[], *force)?))?)
        }
    };
    let nobody = format!("{} is not reserved", connection.address);
    print_macs(connection.address, "holders", &holders, json, &nobody)
}

fn set(port: &mut Port, macs: &[Mac], force: bool) -> anyhow::Result<Vec<Mac>> {
    let own = [port.own_mac()];
    let holders = if macs.is_empty() { &own } else { macs };
    Ok(port.reserve(holders, force)?)
}
