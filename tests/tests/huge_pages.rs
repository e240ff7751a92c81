//! What the daemon's buffers are on, and what becomes of the kernel's pool of huge pages.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aoe_tests::client::Client;
use aoe_tests::daemon::{Daemon, Setup};
use aoe_tests::image::random_image;
use aoe_tests::paths;
use aoe_tests::retry::retry_until;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// For the kernel to free the memory of an ended process.
const LIMIT: Duration = Duration::from_secs(10);

/// What the kernel's pool has, in pages: all, and those by which it is larger than it is set to.
fn pool() -> Result<(u64, u64)> {
    let number = |name: &str| -> Result<u64> {
        let path = format!("/sys/kernel/mm/hugepages/hugepages-2048kB/{name}");
        Ok(fs::read_to_string(&path).context(path)?.trim().parse()?)
    };
    Ok((number("nr_hugepages")?, number("surplus_hugepages")?))
}

/// What the packet buffers of the first queue are on.
fn pages(daemon: &Daemon) -> Result<String> {
    let status = daemon.status()?;
    let queue = status.interface()?.queues.first().context("no queue")?;
    Ok(queue.pages.clone())
}

/// The pool is raised, used, and at once as it was; nothing is left, even after kill -9.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn huge_pages_are_reserved_and_come_back() -> Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    let content = random_image(&image, 1 << 20, 41)?;
    let wire = Wire::new(Shape { mtu: 1500, queues: 2 })?;
    let setup = Setup::new(&wire.target, TARGET_PORT, scratch.path()).export(0, 1, &image);
    let setup = setup.option("--hugepages", "reserve");
    let client = Client::new(&wire.client, CLIENT_PORT)?;
    let before = pool()?;
    for is_killed in [true, false] {
        let daemon = setup.start()?;
        let pages = pages(&daemon)?;
        ensure!(pages == "huge pages (hugetlb)", "{pages}");
        let (total, surplus) = pool()?;
        // Two queues of 16 MiB, at least.
        ensure!(total >= 16 && total - surplus == before.0 - before.1, "{total}, {surplus}");
        ensure!(client.read("e0.1", 0, 2048)? == content, "wrong data");
        if is_killed {
            daemon.kill()?;
        } else {
            daemon.stop()?;
        }
        retry_until("the pages come back", LIMIT, || {
            let now = pool()?;
            ensure!(now == before, "{now:?} instead of {before:?}");
            Ok(())
        })?;
    }
    Ok(())
}

/// Where the pool must not be touched, it serves on other pages and says why.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_pool_that_must_not_be_raised() -> Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    random_image(&image, 1 << 20, 42)?;
    let wire = Wire::new(Shape::default())?;
    let setup = Setup::new(&wire.target, TARGET_PORT, scratch.path()).export(0, 1, &image);
    let script = "mount --bind -o ro /sys /sys && exec \"$@\"";
    let wrapper = ["unshare", "--mount", "sh", "-c", script, "sh"];
    let setup = setup.option("--hugepages", "reserve").wrapped(&wrapper);
    let daemon = setup.start()?;
    let pages = pages(&daemon)?;
    let is_told = pages.contains("the pool of huge pages can't be raised (Read-only file system");
    ensure!(is_told || pages == "huge pages (hugetlb)", "{pages}");
    daemon.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn without_huge_pages_there_are_none() -> Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    random_image(&image, 1 << 20, 43)?;
    let wire = Wire::new(Shape::default())?;
    let setup = Setup::new(&wire.target, TARGET_PORT, scratch.path()).export(0, 1, &image);
    let daemon = setup.option("--hugepages", "off").start()?;
    let pages = pages(&daemon)?;
    ensure!(pages == "4 KiB pages", "{pages}");
    let smaps = fs::read_to_string(format!("/proc/{}/smaps", daemon.status()?.pid))?;
    let huge = smaps
        .lines()
        .find(|line| line.strip_prefix("AnonHugePages:").is_some_and(|size| size.trim() != "0 kB"));
    ensure!(huge.is_none(), "{huge:?}");
    daemon.stop()?;
    Ok(())
}
