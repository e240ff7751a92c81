//! Killed and started again at once.

use std::env;

use anyhow::{Context, Result, ensure};
use aoe_tests::client::Client;
use aoe_tests::daemon::Setup;
use aoe_tests::image::{random_bytes, sparse_image};
use aoe_tests::paths;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// How often, unless `AOE_TEST_RESTARTS` says otherwise.
const RESTARTS: u64 = 50;

/// Sectors written before each kill.
const SECTORS: u64 = 64;

/// The kernel frees locks, hugepages and sockets of a killed process late: the next one has to
/// cope, every time. And a write that was answered is there, whenever the daemon was killed.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn kills_lose_nothing() -> Result<()> {
    let restarts = match env::var("AOE_TEST_RESTARTS") {
        Ok(number) => number.parse().context("AOE_TEST_RESTARTS is no number")?,
        Err(_) => RESTARTS,
    };
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    sparse_image(&image, restarts * SECTORS * 512)?;
    let wire = Wire::new(Shape { mtu: 1500, queues: 2 })?;
    let setup = Setup::new(&wire.target, TARGET_PORT, scratch.path()).export(0, 1, &image);
    let client = Client::new(&wire.client, CLIENT_PORT)?;

    let mut daemon = setup.start()?;
    for round in 0..restarts {
        let lba = round * SECTORS;
        let data = random_bytes(SECTORS as usize * 512, round);
        client.write("e0.1", lba, &data).with_context(|| format!("write in round {round}"))?;
        daemon.kill()?;
        daemon = setup.start().with_context(|| format!("start after kill {round}"))?;
        ensure!(client.read("e0.1", lba, SECTORS)? == data, "round {round} lost its write");
    }
    for round in 0..restarts {
        let data = client.read("e0.1", round * SECTORS, SECTORS)?;
        ensure!(data == random_bytes(SECTORS as usize * 512, round), "round {round}");
    }
    daemon.stop()?;
    ensure!(wire.target.xdp_attachment(TARGET_PORT)?.is_none(), "a program stayed attached");
    Ok(())
}
