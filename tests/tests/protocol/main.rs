//! What clients can set and ask, with the real programs: the `aoe` command against the daemon.

mod disk;
mod lists;
mod remembering;
mod strings;

use std::path::PathBuf;

use anyhow::Result;
use aoe_tests::client::Client;
use aoe_tests::daemon::Setup;
use aoe_tests::image::{MIB, random_image};
use aoe_tests::paths;
use aoe_tests::station::Station;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};
use serde_json::{Value, json};

/// Another station's interface.
pub(crate) const OTHER_PORT: &str = "other0";
/// A station that does not exist.
pub(crate) const STRANGER: &str = "02:00:00:00:00:99";

/// A wire with two stations, and an image of random bytes.
pub(crate) struct Rig {
    pub(crate) wire: Wire,
    pub(crate) scratch: tempfile::TempDir,
    pub(crate) content: Vec<u8>,
}

impl Rig {
    pub(crate) fn new() -> Result<Self> {
        let scratch = paths::scratch()?;
        let content = random_image(&scratch.path().join("disk.img"), 4 * MIB as usize, 30)?;
        let wire = Wire::new(Shape::default())?;
        wire.add_station(OTHER_PORT)?;
        Ok(Self { wire, scratch, content })
    }

    pub(crate) fn image(&self) -> PathBuf {
        self.scratch.path().join("disk.img")
    }

    pub(crate) fn setup(&self) -> Setup<'_> {
        Setup::new(&self.wire.target, TARGET_PORT, self.scratch.path()).export(0, 1, &self.image())
    }

    /// The station at the client's end.
    pub(crate) fn client(&self) -> Result<Client<'_>> {
        Client::new(&self.wire.client, CLIENT_PORT)
    }

    /// The other one.
    pub(crate) fn other(&self) -> Result<Client<'_>> {
        Client::new(&self.wire.client, OTHER_PORT)
    }

    pub(crate) fn mac(&self, interface: &str) -> Result<String> {
        Ok(Station::new(&self.wire.client, interface)?.mac_text())
    }
}

/// What e0.1 tells of what clients have set.
pub(crate) fn remembered(client: &Client) -> Result<Value> {
    Ok(json!({
        "string": client.json(&["config", "get", "e0.1"])?["config_string"],
        "mask": client.json(&["mask", "show", "e0.1"])?["mask"],
        "holders": client.json(&["reserve", "show", "e0.1"])?["holders"],
    }))
}
