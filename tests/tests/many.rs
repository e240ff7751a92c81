//! A thousand disks on four interfaces in one daemon.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aoe_tests::client::Client;
use aoe_tests::daemon::{Daemon, Setup};
use aoe_tests::image::{MIB, random_bytes, random_image};
use aoe_tests::paths;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// Exports of the big configuration.
const EXPORTS: u32 = 1000;
/// Cables of the big configuration.
const PORTS: usize = 4;
/// Bytes of each image.
const IMAGE: u64 = 64 << 10;
/// Where the exports are offered, in turn, and on which of the interfaces that is. No pattern is
/// all of them.
const OFFERS: [(Option<&str>, [bool; PORTS]); 5] = [
    (None, [true; PORTS]),
    (Some("target[01]"), [true, true, false, false]),
    (Some("target2"), [false, false, true, false]),
    (Some("*3"), [false, false, false, true]),
    (Some("target?"), [true; PORTS]),
];
/// For a thousand exports to start, and to stop.
const START: Duration = Duration::from_secs(10);
/// Most memory of the daemon: four queues have 16 MiB each.
const MOST_MEMORY: u64 = 384 * MIB;

const fn address(number: u32) -> (u32, u32) {
    (number / 200, number % 200)
}

fn name(number: u32) -> String {
    let (shelf, slot) = address(number);
    format!("e{shelf}.{slot}")
}

/// The content of a disk's first sector: each another one.
fn mark(number: u32) -> Vec<u8> {
    random_bytes(512, number.into())
}

/// Bytes of memory that a process has in RAM.
fn resident_memory(daemon: &Daemon) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.process.pid()))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kibibytes: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kibibytes << 10)
}

/// Fails unless exactly those exports are found behind a port that are offered there, each with its
/// own content.
fn find_and_read(wire: &Wire, port: usize) -> Result<()> {
    let client = Client::new(&wire.client, &format!("client{port}"))?;
    let found = client.discover()?;
    let addresses: BTreeSet<String> = found.iter().map(|target| target.address.clone()).collect();
    let is_offered = |number: &u32| OFFERS[*number as usize % OFFERS.len()].1[port];
    let expected: BTreeSet<String> = (0..EXPORTS).filter(is_offered).map(name).collect();
    ensure!(addresses == expected, "client{port} has found {} targets", found.len());
    ensure!(found.len() == expected.len(), "some answer twice on client{port}");
    ensure!(found.iter().all(|target| target.sectors == Some(IMAGE / 512)), "wrong sizes");
    for number in (0..EXPORTS).filter(is_offered).step_by(97) {
        ensure!(client.read(&name(number), 0, 1)? == mark(number), "{} is another", name(number));
    }
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_thousand_exports_on_four_interfaces() -> Result<()> {
    let scratch = paths::scratch()?;
    let wire = Wire::new(Shape::default())?;
    for port in 1..PORTS {
        wire.lay_between(&format!("target{port}"), &format!("client{port}"), Shape::default())?;
    }
    let mut text = String::from("interfaces = [\"target[0-3]\"]\n");
    for number in 0..EXPORTS {
        let file = scratch.path().join(format!("{number}.img"));
        let image = File::create(file)?;
        image.set_len(IMAGE)?;
        image.write_all_at(&mark(number), 0)?;
        let (shelf, slot) = address(number);
        write!(text, "[[export]]\nshelf = {shelf}\nslot = {slot}\nfile = \"{number}.img\"\n")?;
        if let (Some(pattern), _) = OFFERS[number as usize % OFFERS.len()] {
            writeln!(text, "interfaces = [\"{pattern}\"]")?;
        }
    }
    let config = scratch.path().join("aoe.toml");
    fs::write(&config, text)?;

    // The usual limit of open files is one that is soft.
    let setup = Setup::with_config(&wire.target, &config, scratch.path());
    let setup = setup.wrapped(&["prlimit", "--nofile=1024:20000", "--"]);
    let begun = Instant::now();
    let daemon = setup.start()?;
    let started = begun.elapsed();
    let status = daemon.status()?;
    ensure!(status.exports.len() == EXPORTS as usize, "{} exports", status.exports.len());
    ensure!(status.interfaces.iter().all(|interface| interface.serving), "{status}");

    // On all at once: finding many takes the client a while.
    thread::scope(|scope| {
        let wire = &wire;
        let searches = [0, 1, 2, 3].map(|port| scope.spawn(move || find_and_read(wire, port)));
        searches.into_iter().try_for_each(|search| {
            search.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    let memory = resident_memory(&daemon)?;
    println!(
        "{EXPORTS} exports on {PORTS} interfaces: up after {:.1} s, {} MiB of memory",
        started.as_secs_f64(),
        memory / MIB
    );
    ensure!(started < START, "it took {started:?} to start");
    ensure!(memory < MOST_MEMORY, "it has {memory} bytes of memory");
    let status = daemon.status()?;
    ensure!(status.drops().is_empty(), "{:?}", status.drops());
    // Killed, it leaves a thousand locks that the kernel may take a while to free.
    daemon.kill()?;
    let begun = Instant::now();
    let daemon = setup.start()?;
    ensure!(begun.elapsed() < START, "it took {:?} to start again", begun.elapsed());
    let begun = Instant::now();
    daemon.stop()?;
    ensure!(begun.elapsed() < START, "it took {:?} to stop", begun.elapsed());
    Ok(())
}

/// However many ports a disk is offered on, it is one.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_disk_on_two_ports_is_one_disk() -> Result<()> {
    const SECOND_TARGET: &str = "target1";
    const SECOND_CLIENT: &str = "client1";
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    let mut content = random_image(&image, MIB as usize, 50)?;
    let wire = Wire::new(Shape::default())?;
    wire.lay_between(SECOND_TARGET, SECOND_CLIENT, Shape { mtu: 9000, queues: 2 })?;
    let setup = Setup::new(&wire.target, TARGET_PORT, scratch.path())
        .option("--iface", SECOND_TARGET)
        .export(0, 1, &image);
    let daemon = setup.start()?;
    let clients =
        [Client::new(&wire.client, CLIENT_PORT)?, Client::new(&wire.client, SECOND_CLIENT)?];

    // Everything but what belongs to the port.
    let [one, other] = clients.each_ref().map(|client| {
        let mut told = client.json(&["identify", "e0.1"])?;
        let ports = told.as_object_mut().context("no object")?;
        let mac = ports.remove("mac").context("no MAC address")?;
        ports.remove("interface");
        Ok::<_, anyhow::Error>((told, mac))
    });
    let ((one, mac), (other, other_mac)) = (one?, other?);
    ensure!(one == other, "they tell different things: {one} {other}");
    ensure!(mac != other_mac, "both answer from {mac}");
    ensure!(clients[0].find("e0.1")?.sector_count == 2, "not this port's sector count");
    ensure!(clients[1].find("e0.1")?.sector_count == 17, "not that port's sector count");

    for round in 0..10 {
        let [writer, reader] = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        let written = random_bytes(40 * 512, 51 + round);
        let lba = round * 20;
        clients[writer].write("e0.1", lba, &written)?;
        let start = lba as usize * 512;
        content[start..start + written.len()].copy_from_slice(&written);
        ensure!(clients[reader].read("e0.1", 0, 2048)? == content, "round {round}");
    }
    clients[0].run(&["config", "set", "e0.1", "hello"])?;
    clients[1].run(&["config", "test", "e0.1", "hello"])?;
    clients[1].run(&["reserve", "set", "e0.1"])?;
    clients[0].refused(&["read", "e0.1", "--sectors", "1"], &["reserved"])?;
    daemon.stop()?;
    Ok(())
}
