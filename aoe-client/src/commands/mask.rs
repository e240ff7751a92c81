//! `aoe mask`

use anyhow::bail;
use aoe_client::request::MaskEdit;
use aoe_client::{Mac, Port};
use clap::{Args, Subcommand};

use super::{Connection, print_macs, station};

const EXAMPLES: &str = "\
Examples:
  aoe mask show e0.1 --iface eth0
  aoe mask add e0.1 --iface eth0 $(cat /sys/class/net/eth0/address) 02:00:00:00:00:07
  aoe mask remove e0.1 --iface eth0 02:00:00:00:00:07
  aoe mask clear e0.1 --iface eth0
  aoe mask show e0.1 --iface eth0 --json | jq -r '.mask[]'";

/// Show and change who may talk to a target
///
/// While the MAC mask list is empty, a target answers everybody. While it is not, it answers only
/// the stations on it, and all others get no answer to anything, not even to a discovery.
///
/// Every command prints the list as it is then, one MAC address a line.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Show(Show),
    Add(Add),
    Remove(Remove),
    Clear(Clear),
}

/// Print the list
#[derive(Args)]
struct Show {
    #[command(flatten)]
    connection: Connection,

    #[command(flatten)]
    output: Output,
}

/// Put stations on the list
///
/// To add one that is there is no error.
#[derive(Args)]
struct Add {
    #[command(flatten)]
    connection: Connection,

    /// The MAC addresses to add
    #[arg(value_name = "MAC", required = true, value_parser = station)]
    macs: Vec<Mac>,

    #[command(flatten)]
    guard: Guard,

    #[command(flatten)]
    output: Output,
}

/// Take stations off the list
///
/// To remove one that is not there is no error.
#[derive(Args)]
struct Remove {
    #[command(flatten)]
    connection: Connection,

    /// The MAC addresses to remove
    #[arg(value_name = "MAC", required = true)]
    macs: Vec<Mac>,

    #[command(flatten)]
    guard: Guard,

    #[command(flatten)]
    output: Output,
}

/// Take all stations off the list: the target answers everybody then
#[derive(Args)]
struct Clear {
    #[command(flatten)]
    connection: Connection,

    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
struct Guard {
    /// Do it even if it shuts out this station, which could not undo it then
    #[arg(long)]
    force: bool,
}

#[derive(Args)]
struct Output {
    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (connection, output, macs) = match &arguments.command {
        Command::Show(Show { connection, output }) => {
            (connection, output, connection.with_port(|port| Ok(port.mask()?))?)
        }
        Command::Add(Add { connection, macs, guard, output }) => {
            let edits: Vec<_> = macs.iter().copied().map(MaskEdit::Add).collect();
            (connection, output, connection.with_port(|port| edit(port, &edits, guard))?)
        }
        Command::Remove(Remove { connection, macs, guard, output }) => {
            let edits: Vec<_> = macs.iter().copied().map(MaskEdit::Delete).collect();
            (connection, output, connection.with_port(|port| edit(port, &edits, guard))?)
        }
        Command::Clear(Clear { connection, output }) => {
            (connection, output, connection.with_port(clear)?)
        }
    };
    let everybody = format!("{} answers everybody", connection.address);
    print_macs(connection.address, "mask", &macs, output.json, &everybody)
}

fn edit(port: &mut Port, edits: &[MaskEdit], guard: &Guard) -> anyhow::Result<Vec<Mac>> {
    let own = port.own_mac();
    if !guard.force && shuts_out(own, port.mask()?, edits) {
        bail!(
            "that would shut out this station, {own}: put it on the list of {}, too, or use --force",
            port.target().address
        );
    }
    Ok(port.edit_mask(edits)?)
}

/// Whether these edits leave a list that other stations are on, and this one is not.
fn shuts_out(own: Mac, mut list: Vec<Mac>, edits: &[MaskEdit]) -> bool {
    for edit in edits {
        match *edit {
            MaskEdit::Add(mac) => list.push(mac),
            MaskEdit::Delete(mac) => list.retain(|listed| *listed != mac),
        }
    }
    !list.is_empty() && !list.contains(&own)
}

fn clear(port: &mut Port) -> anyhow::Result<Vec<Mac>> {
    let list = port.mask()?;
    if list.is_empty() {
        return Ok(list);
    }
    let edits: Vec<_> = list.into_iter().map(MaskEdit::Delete).collect();
    Ok(port.edit_mask(&edits)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 7]);

    #[test]
    fn a_station_is_shut_out_by_a_list_without_it() {
        let add = |mac| MaskEdit::Add(mac);
        let delete = |mac| MaskEdit::Delete(mac);
        assert!(shuts_out(OWN, vec![], &[add(OTHER)]));
        assert!(shuts_out(OWN, vec![OWN, OTHER], &[delete(OWN)]));
        assert!(shuts_out(OWN, vec![OWN], &[delete(OWN), add(OTHER)]));
        assert!(!shuts_out(OWN, vec![], &[add(OTHER), add(OWN)]));
        assert!(!shuts_out(OWN, vec![OWN], &[add(OTHER)]));
        assert!(!shuts_out(OWN, vec![OWN], &[delete(OWN)]), "an empty list is everybody's");
        assert!(!shuts_out(OWN, vec![OWN, OWN], &[add(OTHER), delete(OTHER), delete(OWN)]));
    }
}
