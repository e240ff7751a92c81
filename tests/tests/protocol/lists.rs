//! MAC mask lists and reservations.

use std::fs;

use anyhow::{Result, ensure};
use aoe_tests::wire::CLIENT_PORT;
use serde_json::json;

use crate::{OTHER_PORT, Rig, STRANGER};

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_mask_list_shuts_out_whoever_is_not_on_it() -> Result<()> {
    let rig = Rig::new()?;
    let daemon = rig.setup().start()?;
    let (client, other) = (rig.client()?, rig.other()?);
    let (own, others) = (rig.mac(CLIENT_PORT)?, rig.mac(OTHER_PORT)?);
    let silent = ["identify", "e0.1", "--timeout", "300"];

    ensure!(client.json(&["mask", "show", "e0.1"])?["mask"] == json!([]));
    ensure!(client.json(&["mask", "add", "e0.1", &own])?["mask"] == json!([own]));
    ensure!(daemon.status()?.export("e0.1")?.mask == [own.as_str()]);
    client.run(&["identify", "e0.1"])?;
    other.refused(&silent, &["did not answer", "MAC mask list"])?;
    ensure!(!other.hears_anybody()?, "it is discovered by who is shut out");

    // The own one again changes nothing.
    let added = client.json(&["mask", "add", "e0.1", &own, &others])?;
    ensure!(added["mask"] == json!([own, others]), "{added}");
    other.run(&["identify", "e0.1"])?;

    // One that is not there is removed without an error.
    let removed = other.json(&["mask", "remove", "e0.1", &own, STRANGER])?;
    ensure!(removed["mask"] == json!([others]), "{removed}");
    client.refused(&silent, &["did not answer"])?;

    ensure!(other.json(&["mask", "clear", "e0.1"])?["mask"] == json!([]));
    client.run(&["identify", "e0.1"])?;
    daemon.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_reservation_keeps_the_disk_for_its_holders() -> Result<()> {
    let rig = Rig::new()?;
    let daemon = rig.setup().start()?;
    let (client, other) = (rig.client()?, rig.other()?);
    let (own, others) = (rig.mac(CLIENT_PORT)?, rig.mac(OTHER_PORT)?);
    let read = ["read", "e0.1", "--sectors", "1"];

    ensure!(client.json(&["reserve", "show", "e0.1"])?["holders"] == json!([]));
    ensure!(client.json(&["reserve", "set", "e0.1"])?["holders"] == json!([own]));
    ensure!(daemon.status()?.export("e0.1")?.reserved == [own.as_str()]);
    ensure!(client.read("e0.1", 0, 8)? == rig.content[..8 * 512], "its holder can't read");
    client.write("e0.1", 8, &[0xa5; 512])?;
    client.run(&["flush", "e0.1"])?;

    // The others can see whose it is, and nothing else.
    other.run(&["identify", "e0.1"])?;
    ensure!(other.json(&["reserve", "show", "e0.1"])?["holders"] == json!([own]));
    other.refused(&read, &["reserved", &own, "--force"])?;
    ensure!(other.write("e0.1", 9, &[0x5a; 512]).is_err(), "another station has written");
    other.refused(&["flush", "e0.1"], &["reserved"])?;
    other.refused(&["trim", "e0.1", "--lba", "0", "--sectors", "8"], &["reserved"])?;
    other.refused(&["reserve", "set", "e0.1"], &["reserved", &own])?;
    other.refused(&["reserve", "release", "e0.1"], &["reserved", &own])?;
    // Config strings are not reserved.
    other.run(&["config", "set", "e0.1", "hello"])?;

    let forced = other.json(&["reserve", "set", "e0.1", "--force"])?;
    ensure!(forced["holders"] == json!([others]), "{forced}");
    client.refused(&read, &["reserved", &others])?;
    let both = other.json(&["reserve", "set", "e0.1", &others, &own])?;
    ensure!(both["holders"] == json!([others, own]), "{both}");
    client.run(&read)?;
    ensure!(client.json(&["reserve", "release", "e0.1"])?["holders"] == json!([]));
    other.run(&read)?;
    let mut expected = rig.content.clone();
    expected[8 * 512..9 * 512].fill(0xa5);
    ensure!(fs::read(rig.image())? == expected, "the image has other data");
    daemon.stop()?;
    Ok(())
}
