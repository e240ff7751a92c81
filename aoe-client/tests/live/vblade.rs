//! The library and the command against Debian's vblade, over a veth pair.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{aoe, e0_1, error, inside, vblade};
use anyhow::{Result, ensure};
use aoe_client::bench::{self, Load, Pattern};
use aoe_client::reply::Failure;
use aoe_client::request::Operation;
use aoe_client::{Destination, Disk, Error, Initiator, Options};
use aoe_tests::image::{random_bytes, random_image};
use aoe_tests::paths::scratch;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// Size of the images: 4095 sectors, no multiple of any sector count.
const IMAGE_SECTORS: u64 = 4095;
const IMAGE_BYTES: usize = IMAGE_SECTORS as usize * 512;
/// How long a discovery waits for targets that are known to be there, on a busy machine.
const DISCOVERY: Duration = Duration::from_secs(1);
/// How long what takes no time may take.
const SOON: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn every_target_of_the_segment_is_discovered() -> Result<()> {
    let directory = scratch()?;
    let wire = Wire::new(Shape::default())?;
    let (one, two) = (directory.path().join("one.img"), directory.path().join("two.img"));
    random_image(&one, IMAGE_BYTES, 1)?;
    random_image(&two, 1 << 20, 2)?;
    let _one = vblade(&wire.target, TARGET_PORT, 1, &[], &one)?;
    let _two = vblade(&wire.target, TARGET_PORT, 2, &["-b", "7"], &two)?;

    let found = inside(&wire.client, || {
        Ok(Initiator::open(CLIENT_PORT)?.discover(Destination::EVERY, DISCOVERY)?)
    })?;
    let addresses: Vec<_> = found.iter().map(|target| target.address.to_string()).collect();
    assert_eq!(addresses, ["e0.1", "e0.2"]);
    assert_eq!((found[1].buffer_count, found[1].sector_count), (7, 2));

    let text = aoe(&wire, &["discover", "--timeout", "1000"])?.success()?.text();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    for (line, (address, size)) in lines.iter().zip([("e0.1", "0.002GB"), ("e0.2", "0.001GB")]) {
        assert_eq!(line[0], address, "{text}");
        assert!(line.contains(&size) && line.contains(&CLIENT_PORT), "{text}");
    }

    let stat = aoe(&wire, &["stat", "--timeout", "1000"])?.success()?.text();
    let expected = "      e0.1         0.002GB    client0 1024  up            \n      \
                    e0.2         0.001GB    client0 1024  up            \n";
    assert_eq!(stat, expected);
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn an_empty_segment_is_said_to_be_empty() -> Result<()> {
    let wire = Wire::new(Shape::default())?;
    for arguments in [&["discover"][..], &["discover", "--json"], &["stat"]] {
        let finished = aoe(&wire, arguments)?;
        assert_eq!(finished.status.code(), Some(1));
        let said = "aoe: no target answered on client0 within 500 ms\n";
        assert_eq!(finished.stderr, said);
        let json = arguments.contains(&"--json");
        assert_eq!(finished.text(), if json { "[]\n" } else { "" });
    }
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn what_was_written_is_read_back() -> Result<()> {
    for (mtu, limit) in [(1500, 2), (9000, 17)] {
        let directory = scratch()?;
        let wire = Wire::new(Shape { mtu, queues: 1 })?;
        let image = directory.path().join("disk.img");
        let mut expected = random_image(&image, IMAGE_BYTES, 1)?;
        let _target = vblade(&wire.target, TARGET_PORT, 1, &[], &image)?;
        inside(&wire.client, || {
            let mut disk = Disk::open(CLIENT_PORT, e0_1(), Options::default())?;
            assert_eq!((disk.sectors(), disk.sector_limit()), (IMAGE_SECTORS, limit));
            let mut all = vec![0; IMAGE_BYTES];
            disk.read(0, &mut all)?;
            ensure!(all == expected, "MTU {mtu}: read something else than the image holds");
            // An odd start and an odd length, in the middle and at the very end.
            for (seed, lba, sectors) in [(2, 3, 1001), (3, 4094, 1), (4, 2000, 2095)] {
                let data = random_bytes(sectors * 512, seed);
                disk.write(lba, &data)?;
                expected[lba as usize * 512..][..data.len()].copy_from_slice(&data);
            }
            disk.read(0, &mut all)?;
            ensure!(all == expected, "MTU {mtu}: read something else than was written");
            Ok(())
        })?;
        ensure!(fs::read(&image)? == expected, "MTU {mtu}: the image holds something else");
    }
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn the_command_copies_both_ways() -> Result<()> {
    let directory = scratch()?;
    let wire = Wire::new(Shape::default())?;
    let image = directory.path().join("disk.img");
    let mut expected = random_image(&image, IMAGE_BYTES, 1)?;
    let _target = vblade(&wire.target, TARGET_PORT, 1, &[], &image)?;

    let (input, output) = (directory.path().join("input"), directory.path().join("output"));
    let data = random_image(&input, 77 * 512, 2)?;
    let (input, output) = (input.display().to_string(), output.display().to_string());
    aoe(&wire, &["write", "e0.1", "--lba", "5", &input])?.success()?;
    expected[5 * 512..][..data.len()].copy_from_slice(&data);
    ensure!(fs::read(&image)? == expected, "the image holds something else");

    aoe(&wire, &["read", "e0.1", "-o", &output])?.success()?;
    ensure!(fs::read(&output)? == expected, "the copy is not the disk");
    let part = aoe(&wire, &["read", "e0.1", "--lba", "5", "--sectors", "77"])?.success()?;
    ensure!(part.stdout == data, "the sectors are not what was written");
    let part = aoe(&wire, &["read", "0.1", "--lba", "5", "--bytes", "2K"])?.success()?;
    ensure!(part.stdout == data[..2048], "the bytes are not what was written");
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn what_goes_past_the_end_is_refused_before_anything_is_sent() -> Result<()> {
    let directory = scratch()?;
    let wire = Wire::new(Shape::default())?;
    let image = directory.path().join("disk.img");
    let expected = random_image(&image, IMAGE_BYTES, 1)?;
    let _target = vblade(&wire.target, TARGET_PORT, 1, &[], &image)?;
    inside(&wire.client, || {
        let mut disk = Disk::open(CLIENT_PORT, e0_1(), Options::default())?;
        let mut data = vec![0; 1024];
        for lba in [IMAGE_SECTORS - 1, IMAGE_SECTORS, u64::MAX] {
            for result in [disk.read(lba, &mut data), disk.write(lba, &data)] {
                let is_past_end = matches!(
                    error(result)?,
                    Error::PastEnd { lba: at, sectors: 2, size: IMAGE_SECTORS, .. } if at == lba
                );
                ensure!(is_past_end, "at {lba}");
            }
        }
        let partial = error(disk.read(0, &mut data[..511]))?;
        ensure!(matches!(partial, Error::PartialSector { bytes: 511 }), "{partial}");
        Ok(())
    })?;

    let input = directory.path().join("input");
    random_image(&input, 2048, 2)?;
    let input = input.display().to_string();
    let refused = [
        aoe(&wire, &["read", "e0.1", "--lba", "4094", "--sectors", "2"])?,
        aoe(&wire, &["write", "e0.1", "--lba", "4093", &input])?,
    ];
    for (finished, sectors) in refused.iter().zip([2, 4]) {
        assert_eq!(finished.status.code(), Some(1));
        let said = format!("aoe: {sectors} sectors at 409");
        assert!(finished.stderr.starts_with(&said), "{}", finished.stderr);
        assert!(finished.stderr.ends_with("past the end of e0.1, which has 4095 sectors\n"));
    }
    ensure!(fs::read(&image)? == expected, "a refused write changed the image");
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_read_only_disk_fails_writes_with_its_registers() -> Result<()> {
    let directory = scratch()?;
    let wire = Wire::new(Shape::default())?;
    let image = directory.path().join("disk.img");
    random_image(&image, IMAGE_BYTES, 1)?;
    let _target = vblade(&wire.target, TARGET_PORT, 1, &["-r"], &image)?;
    inside(&wire.client, || {
        let mut disk = Disk::open(CLIENT_PORT, e0_1(), Options::default())?;
        let failed = error(disk.write(9, &[0; 512]))?;
        let text = "e0.1 failed the write of sector 9: ATA status 0x41, error 0x04 (command \
                    aborted: not supported, or not allowed)";
        assert_eq!(failed.to_string(), text);
        let Error::Failed { operation, failure, .. } = failed else { anyhow::bail!("{failed}") };
        assert_eq!(operation, Operation::Write { lba: 9, sectors: 1 });
        assert_eq!(failure, Failure::Ata { status: 0x41, error: 0x04 });
        disk.read(9, &mut [0; 512])?;
        Ok(())
    })
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_dead_target_is_named_and_a_restarted_one_is_waited_for() -> Result<()> {
    const PATIENCE: Duration = Duration::from_millis(700);
    let directory = scratch()?;
    let wire = Wire::new(Shape::default())?;
    let image = directory.path().join("disk.img");
    random_image(&image, IMAGE_BYTES, 1)?;
    let mut target = vblade(&wire.target, TARGET_PORT, 1, &[], &image)?;
    inside(&wire.client, || {
        let options = Options { patience: PATIENCE, ..Options::default() };
        let mut disk = Disk::open(CLIENT_PORT, e0_1(), options)?;
        let mut patient = Disk::open(CLIENT_PORT, e0_1(), Options::default())?;
        target.kill()?;

        let start = Instant::now();
        let timeout = error(disk.read(7, &mut [0; 512]))?;
        ensure!(start.elapsed() >= PATIENCE, "gave up early");
        let text = timeout.to_string();
        ensure!(text.starts_with("e0.1 on client0 did not answer the read of sector 7"), "{text}");
        let Error::Timeout { elapsed, transmissions, .. } = timeout else { anyhow::bail!(text) };
        ensure!(elapsed >= PATIENCE && transmissions >= 2, "{text}");

        let reading = std::thread::spawn(move || {
            let mut sector = [0; 512];
            patient.read(7, &mut sector).map(|()| (sector, patient.retransmissions()))
        });
        // Long enough for the first copy of the request to be lost for certain.
        std::thread::sleep(PATIENCE);
        target = vblade(&wire.target, TARGET_PORT, 1, &[], &image)?;
        let (sector, retransmissions) = reading.join().expect("the reader panicked")?;
        ensure!(sector == fs::read(&image)?[7 * 512..8 * 512], "read something else");
        ensure!(retransmissions > 0, "answered by whom?");
        Ok(())
    })
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn loads_are_counted() -> Result<()> {
    let directory = scratch()?;
    let wire = Wire::new(Shape::default())?;
    let image = directory.path().join("disk.img");
    random_image(&image, IMAGE_BYTES, 1)?;
    let _target = vblade(&wire.target, TARGET_PORT, 1, &[], &image)?;
    inside(&wire.client, || {
        let mut disk = Disk::open(CLIENT_PORT, e0_1(), Options::default())?;
        let duration = Duration::from_millis(200);
        let (pattern, bytes) = (Pattern::Random, None);
        let (reads, sectors, depth, within, seed) = (100, 2, 16, None, 1);
        let load = Load { pattern, reads, sectors, depth, duration, bytes, within, seed };
        let report = bench::run(&mut disk, &load)?;
        ensure!(report.requests > 0 && report.bytes == report.requests * 1024, "{report:?}");
        ensure!(report.elapsed >= duration, "{report:?}");
        ensure!(Duration::ZERO < report.latency_p50, "{report:?}");
        ensure!(report.latency_p50 <= report.latency_p99, "{report:?}");
        let (pattern, bytes, duration) = (Pattern::Sequential, Some(64 << 10), SOON);
        let writes = bench::run(&mut disk, &Load { pattern, reads: 0, bytes, duration, ..load })?;
        ensure!(writes.bytes == 64 << 10, "{writes:?}");
        let written = std::fs::read(&image)?;
        ensure!(written != random_bytes(IMAGE_BYTES, 1), "nothing was written");
        ensure!(written[64 << 10..] == random_bytes(IMAGE_BYTES, 1)[64 << 10..], "too much was");
        let refused = error(bench::run(&mut disk, &Load { sectors: 3, ..load }))?;
        ensure!(matches!(refused, Error::Forbidden { .. }), "{refused}");
        Ok(())
    })
}
