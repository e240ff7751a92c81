//! What outlives the daemon, and how the administrator has it forgotten.

use std::time::Duration;

use anyhow::{Result, ensure};
use aoe_tests::client::Client;
use aoe_tests::daemon::Daemon;
use aoe_tests::retry::retry_until;
use aoe_tests::wire::CLIENT_PORT;
use serde_json::{Value, json};

use crate::{OTHER_PORT, Rig, STRANGER, remembered};

/// For an edit that is not made over the wire to take effect.
const SOON: Duration = Duration::from_secs(5);

/// Killed right after the reply: what was answered is durable.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn what_was_set_survives_restarts_and_kills() -> Result<()> {
    let rig = Rig::new()?;
    let client = rig.client()?;
    let (own, others) = (rig.mac(CLIENT_PORT)?, rig.mac(OTHER_PORT)?);
    let edits: [(&[&str], Value); 5] = [
        (
            &["config", "set", "e0.1", "hello"],
            json!({ "string": "hello", "mask": [], "holders": [] }),
        ),
        (
            &["mask", "add", "e0.1", &own, &others],
            json!({ "string": "hello", "mask": [own, others], "holders": [] }),
        ),
        (
            &["reserve", "set", "e0.1"],
            json!({ "string": "hello", "mask": [own, others], "holders": [own] }),
        ),
        (
            &["config", "set", "e0.1", "--force", "again"],
            json!({ "string": "again", "mask": [own, others], "holders": [own] }),
        ),
        (
            &["mask", "remove", "e0.1", &others],
            json!({ "string": "again", "mask": [own], "holders": [own] }),
        ),
    ];
    let mut daemon = rig.setup().start()?;
    for (edit, expected) in &edits {
        client.run(edit)?;
        daemon.kill()?;
        daemon = rig.setup().start()?;
        let now = remembered(&client)?;
        ensure!(now == *expected, "after {edit:?} and a kill: {now}");
    }
    daemon.stop()?;
    let daemon = rig.setup().start()?;
    let (now, expected) = (remembered(&client)?, &edits[4].1);
    ensure!(now == *expected, "after a restart: {now}");
    // Not only remembered, but in force, in the kernel's part too.
    rig.other()?.refused(&["identify", "e0.1", "--timeout", "300"], &["did not answer"])?;
    daemon.stop()?;
    Ok(())
}

/// What the administrator clears is gone at once, and for good.
fn clears(daemon: &Daemon, client: &Client, flag: &str, member: &str) -> Result<()> {
    daemon.clear(&["e0.1", flag])?.success()?;
    retry_until(&format!("{flag} works"), SOON, || {
        let now = remembered(client)?;
        let is_empty = now[member] == "" || now[member] == json!([]);
        ensure!(is_empty, "{now}");
        Ok(())
    })
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn the_administrator_ends_a_lock_out() -> Result<()> {
    let rig = Rig::new()?;
    let daemon = rig.setup().start()?;
    let client = rig.client()?;
    let own = rig.mac(CLIENT_PORT)?;
    client.run(&["config", "set", "e0.1", "mine"])?;
    client.run(&["reserve", "set", "e0.1", STRANGER])?;
    // The client knows better than to shut itself out, but may be forced to.
    client.refused(&["mask", "add", "e0.1", STRANGER], &[&own, "--force"])?;
    let forced = client.attempt(&["mask", "add", "e0.1", "--force", STRANGER])?;
    ensure!(forced.status.success(), "the edit itself was not answered: {}", forced.stderr);
    client.refused(&["identify", "e0.1", "--timeout", "300"], &["did not answer"])?;

    let missing = daemon.clear(&["e0.2", "--mask"])?;
    ensure!(!missing.status.success() && missing.stderr.contains("e0.2"), "{}", missing.stderr);
    let nothing = daemon.clear(&["e0.1"])?;
    ensure!(nothing.status.code() == Some(2), "{}: nothing to clear", nothing.status);

    clears(&daemon, &client, "--mask", "mask")?;
    client.refused(&["read", "e0.1", "--sectors", "1"], &["reserved", STRANGER])?;
    clears(&daemon, &client, "--reservation", "holders")?;
    ensure!(client.read("e0.1", 0, 1)? == rig.content[..512], "wrong data read");
    ensure!(remembered(&client)?["string"] == "mine", "it cleared more than was asked");
    clears(&daemon, &client, "--config-string", "string")?;
    daemon.kill()?;
    let daemon = rig.setup().start()?;
    let now = remembered(&client)?;
    ensure!(now == json!({ "string": "", "mask": [], "holders": [] }), "{now}");
    daemon.stop()?;
    Ok(())
}
