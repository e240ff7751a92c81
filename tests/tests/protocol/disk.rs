//! What the disk itself is asked for.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result, ensure};
use aoe_tests::image::MIB;

use crate::Rig;

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn trimmed_sectors_read_as_zeroes_and_take_no_space() -> Result<()> {
    let rig = Rig::new()?;
    // Blocks that are not on the disk yet can't be seen to be given back.
    File::open(rig.image())?.sync_all()?;
    let blocks = || Ok::<_, std::io::Error>(fs::metadata(rig.image())?.blocks());
    let before = blocks()?;
    let daemon = rig.setup().start()?;
    let client = rig.client()?;
    let trim = &client.json(&["identify", "e0.1"])?["trim"];
    ensure!(trim["zeroes"] == true, "a file system that makes no holes: {trim}");

    client.run(&["trim", "e0.1", "--lba", "2048", "--bytes", "2M"])?;
    client.run(&["flush", "e0.1"])?;
    let mut expected = rig.content.clone();
    expected[MIB as usize..3 * MIB as usize].fill(0);
    ensure!(client.read("e0.1", 0, 8192)? == expected, "wrong data read");
    ensure!(fs::read(rig.image())? == expected, "the image has other data");
    let freed = before.checked_sub(blocks()?).context("it has grown")? * 512;
    ensure!(freed >= 2 * MIB, "{freed} bytes were given back");
    ensure!(fs::metadata(rig.image())?.len() == 4 * MIB, "the image has another size");

    // Past the end nothing is discarded, not even what is before it.
    client.refused(&["trim", "e0.1", "--lba", "8190", "--sectors", "3"], &["past the end"])?;
    ensure!(client.read("e0.1", 8190, 2)? == expected[8190 * 512..], "it was discarded");
    ensure!(daemon.status()?.count("trims")? >= 1, "{}", daemon.status()?);

    client.run(&["trim", "e0.1", "--whole-disk"])?;
    ensure!(client.read("e0.1", 0, 8192)?.iter().all(|byte| *byte == 0), "something is left");
    daemon.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_disk_tells_what_it_is_and_that_it_is_well() -> Result<()> {
    let rig = Rig::new()?;
    let daemon = rig.setup().start()?;
    let client = rig.client()?;
    let told = client.json(&["identify", "e0.1"])?;
    let status = daemon.status()?;
    let export = status.export("e0.1")?;
    ensure!(told["serial"] == export.serial.as_str() && !export.serial.is_empty(), "{told}");
    ensure!(told["sectors"] == export.sectors && export.sectors == 8192, "{told}");
    ensure!(told["checksum_right"] == true, "{told}");
    ensure!(told["flush"] == true && told["flush_ext"] == true && told["lba48"] == true, "{told}");
    ensure!(client.json(&["smart", "e0.1"])?["healthy"] == true);
    ensure!(client.json(&["flush", "e0.1"])?["flushed"] == true);
    ensure!(daemon.status()?.count("flushes")? >= 1, "{}", daemon.status()?);
    daemon.stop()?;
    // It is the same disk when it comes back.
    let daemon = rig.setup().start()?;
    ensure!(client.json(&["identify", "e0.1"])? == told, "another disk");
    daemon.stop()?;
    Ok(())
}
