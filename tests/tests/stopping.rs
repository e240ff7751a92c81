//! A daemon that is told to stop stops, whatever it is busy with, and finishes what it has taken on.

use anyhow::{Result, ensure};
use aoe_tests::daemon::{Daemon, Setup};
use aoe_tests::frame::{Request, command};
use aoe_tests::image::{MIB, sparse_image};
use aoe_tests::paths;
use aoe_tests::station::Station;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};
use std::path::Path;
use std::time::Duration;

/// Edits that are on the way at once.
const EDITS: u32 = 60;

/// Has the station itself on the mask list, and another one in turn on it and off it.
fn edit(station: &Station, number: u32) -> Request {
    let mut argument = vec![0, 1, 0, 2, 0, 1];
    argument.extend(station.mac());
    // Another one comes and goes, so that every edit changes the list.
    argument.extend([0, if number.is_multiple_of(2) { 1 } else { 2 }, 2, 0, 0, 0, 0, 0x77]);
    Request::new(0, 1, command::MASK, argument)
}

/// Serves an empty disk as e0.1.
fn serve(scratch: &Path, wire: &Wire) -> Result<Daemon> {
    let image = scratch.join("disk.img");
    sparse_image(&image, MIB)?;
    Setup::new(&wire.target, TARGET_PORT, scratch).export(0, 1, &image).start()
}

/// Every edit of a mask list waits for the control plane, which must not wait for them in turn.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn edits_on_the_way_are_answered_and_do_not_hold_it_up() -> Result<()> {
    let (scratch, wire) = (paths::scratch()?, Wire::new(Shape::default())?);
    let daemon = serve(scratch.path(), &wire)?;
    let mut station = Station::new(&wire.client, CLIENT_PORT)?;
    for number in 0..EDITS {
        station.send(&edit(&station, number))?;
    }
    // Stopping has a limit of 10 seconds: see Daemon::stop.
    let log = daemon.stop()?;
    ensure!(!log.contains("gave up"), "{log}");
    let answers = station.collect(Duration::from_millis(200), |frame| {
        frame.is_response() && frame.command() == command::MASK
    })?;
    ensure!(!answers.is_empty(), "none was answered");
    for answer in &answers {
        ensure!((answer.flags(), answer.argument()[2]) == (0x18, 0), "{answer:?}");
    }
    Ok(())
}

/// Orders that a worker has not read yet, as from many questions for its status, keep no room from
/// the last one.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn many_questions_do_not_keep_it_from_stopping() -> Result<()> {
    let (scratch, wire) = (paths::scratch()?, Wire::new(Shape::default())?);
    let daemon = serve(scratch.path(), &wire)?;
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..40).map(|_| scope.spawn(|| daemon.status())).collect();
        asking.into_iter().try_for_each(|asked| asked.join().expect("no panic").map(drop))
    })?;
    daemon.stop()?;
    Ok(())
}
