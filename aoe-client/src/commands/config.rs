//! `aoe config`

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use anyhow::bail;
use aoe_client::{Address, Port};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Connection, print};
use crate::text::{Hex, hex, plain, printable};

const EXAMPLES: &str = "\
Examples:
  aoe config get e0.1 --iface eth0
  aoe config set e0.1 --iface eth0 'web server'
  aoe config set e0.1 --iface eth0 --force --hex 00ff
  aoe config test e0.1 --iface eth0 --prefix web && echo it is a web server
  aoe config clear e0.1 --iface eth0
  aoe config get e0.1 --iface eth0 --json | jq -r .config_string_hex";

// Left to itself, clap puts the string before the target.
const TEST_USAGE: &str =
    "aoe config test [OPTIONS] --iface <IFACE> <TARGET> <STRING|--hex <DIGITS>>";
const SET_USAGE: &str = "aoe config set [OPTIONS] --iface <IFACE> <TARGET> <STRING|--hex <DIGITS>>";

/// Read, test and change the config string
///
/// A target keeps up to 1024 bytes for whatever use its clients make of them: a name, an owner. A
/// reservation does not protect them.
///
/// Bytes that would not print are escaped. In JSON, config_string has escapes only where the string
/// is no UTF-8, and config_string_hex always has its exact bytes.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Get(Get),
    Test(Test),
    Set(Set),
    Clear(Clear),
}

/// Print the config string
#[derive(Args)]
struct Get {
    #[command(flatten)]
    connection: Connection,

    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
}

/// Ask the target whether this is its config string
///
/// The exit status is 0 if it is and 1 if it is not. The comparison is the target's: one that has
/// another string is silent, which is told from a target that is gone by a second question, and
/// takes a second.
#[derive(Args)]
#[command(override_usage = TEST_USAGE)]
struct Test {
    #[command(flatten)]
    connection: Connection,

    #[command(flatten)]
    given: Given,

    /// Ask whether it begins with this
    #[arg(long)]
    prefix: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Store a config string, and print what is stored then
///
/// A target that has another one refuses. To store the same one again is no error.
#[derive(Args)]
#[command(override_usage = SET_USAGE)]
struct Set {
    #[command(flatten)]
    connection: Connection,

    #[command(flatten)]
    given: Given,

    /// Replace any other string
    #[arg(long)]
    force: bool,

    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
}

/// Remove the config string, whatever it is
#[derive(Args)]
struct Clear {
    #[command(flatten)]
    connection: Connection,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A config string on the command line.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Given {
    /// The string; it may be empty
    #[arg(value_name = "STRING")]
    string: Option<OsString>,

    /// The bytes of the string, two hexadecimal digits each
    #[arg(long, value_name = "DIGITS")]
    hex: Option<Hex>,
}

impl Given {
    fn bytes(&self) -> Vec<u8> {
        match (&self.string, &self.hex) {
            (Some(string), _) => string.clone().into_vec(),
            (None, Some(Hex(bytes))) => bytes.clone(),
            (None, None) => Vec::new(),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.command {
        Command::Get(Get { connection, json }) => {
            let string = connection.with_port(|port| Ok(port.config_string()?))?;
            print_string(connection.address, &string, *json)
        }
        Command::Test(test) => test.connection.with_port(|port| test.run(port)),
        Command::Set(Set { connection, given, force, json }) => {
            let set = |port: &mut Port| Ok(port.set_config_string(&given.bytes(), *force)?);
            print_string(connection.address, &connection.with_port(set)?, *json)
        }
        Command::Clear(Clear { connection, json }) => {
            let string = connection.with_port(|port| Ok(port.set_config_string(&[], true)?))?;
            if *json { print_string(connection.address, &string, true) } else { Ok(()) }
        }
    }
}

fn print_string(address: Address, string: &[u8], json: bool) -> anyhow::Result<()> {
    if json {
        print(format_args!("{:#}", object(address, string)))
    } else {
        print(printable(string))
    }
}

impl Test {
    fn run(&self, port: &mut Port) -> anyhow::Result<()> {
        let (address, given) = (self.connection.address, self.given.bytes());
        let matches = if self.prefix {
            port.test_config_prefix(&given)?
        } else {
            port.test_config_string(&given)?
        };
        // After the test, because a string that does not match says what is wrong.
        let string = port.config_string()?;
        if self.json {
            let mut object = object(address, &string);
            object["matches"] = json!(matches);
            print(format_args!("{object:#}"))?;
        }
        match (matches, string.as_slice()) {
            (true, _) => Ok(()),
            (false, []) => bail!("{address} has no config string"),
            (false, other) => {
                bail!("{address} has another config string: \"{}\"", printable(other))
            }
        }
    }
}

fn object(address: Address, string: &[u8]) -> serde_json::Value {
    json!({
        "address": address.to_string(),
        "config_string": plain(string),
        "config_string_hex": hex(string),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_every_byte_of_every_string() {
        let address = "e0.1".parse().unwrap();
        let text = object(address, "gr\u{f6}\u{df}e\n".as_bytes());
        assert_eq!(text["config_string"], "gr\u{f6}\u{df}e\n");
        assert_eq!(text["config_string_hex"], "6772c3b6c39f650a");
        let bytes = object(address, b"\x00\xff");
        assert_eq!(bytes["config_string"], r"\x00\xff");
        assert_eq!(bytes["config_string_hex"], "00ff");
    }
}
