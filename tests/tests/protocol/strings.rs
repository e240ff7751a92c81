//! Config strings.

use std::fs;

use anyhow::{Result, ensure};
use aoe_tests::daemon::Setup;
use aoe_tests::wire::TARGET_PORT;

use crate::Rig;

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_config_string_is_set_tested_replaced_and_cleared() -> Result<()> {
    let rig = Rig::new()?;
    let daemon = rig.setup().start()?;
    let client = rig.client()?;
    let string = || client.json(&["config", "get", "e0.1"]);

    ensure!(string()?["config_string"] == "", "there is one at the start");
    ensure!(client.run(&["config", "set", "e0.1", "web server"])?.text() == "web server\n");
    ensure!(string()?["config_string"] == "web server", "{}", string()?);
    ensure!(daemon.status()?.export("e0.1")?.config_string == "web server");
    // The same again is what a client does whose answer was lost.
    client.run(&["config", "set", "e0.1", "web server"])?;
    client.refused(&["config", "set", "e0.1", "other"], &["web server", "--force"])?;
    ensure!(string()?["config_string"] == "web server", "a refused one was stored");

    client.run(&["config", "test", "e0.1", "web server"])?;
    client.run(&["config", "test", "e0.1", "--prefix", "web"])?;
    client.refused(&["config", "test", "e0.1", "web"], &["web server"])?;
    client.refused(&["config", "test", "e0.1", "--prefix", "server"], &["web server"])?;

    // Any bytes, and as many as there may be.
    let digits = "00ff".repeat(512);
    client.run(&["config", "set", "e0.1", "--force", "--hex", &digits])?;
    ensure!(string()?["config_string_hex"] == digits.as_str(), "{}", string()?);
    client.run(&["config", "clear", "e0.1"])?;
    ensure!(string()?["config_string"] == "", "it was not cleared");
    client.refused(&["config", "test", "e0.1", "web server"], &["no config string"])?;
    daemon.stop()?;
    Ok(())
}

/// The configuration's string is the one until a client sets another, or none.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn the_config_string_of_the_configuration_is_the_first_one() -> Result<()> {
    let rig = Rig::new()?;
    let file = rig.scratch.path().join("aoe.toml");
    fs::write(
        &file,
        format!(
            "interfaces = [\"{TARGET_PORT}\"]\n[[export]]\nshelf = 0\nslot = 1\n\
             file = \"disk.img\"\nconfig-string = \"first\"\nserial = \"DB-0001\"\n\
             model = \"Database disk\"\nwwn = \"5000c500a1b2c3d4\"\n"
        ),
    )?;
    let setup = Setup::with_config(&rig.wire.target, &file, rig.scratch.path());
    let client = rig.client()?;
    let string = || client.json(&["config", "get", "e0.1"]);
    let daemon = setup.start()?;
    ensure!(string()?["config_string"] == "first", "{}", string()?);
    let told = client.json(&["identify", "e0.1"])?;
    ensure!(told["serial"] == "DB-0001" && told["model"] == "Database disk", "{told}");
    ensure!(told["world_wide_name"] == "5000c500a1b2c3d4", "{told}");
    daemon.stop()?;

    let daemon = setup.start()?;
    client.run(&["config", "clear", "e0.1"])?;
    daemon.stop()?;
    let daemon = setup.start()?;
    ensure!(string()?["config_string"] == "", "it has come back: {}", string()?);
    daemon.stop()?;
    Ok(())
}
