//! `kill -9` at any moment, under load: what was acknowledged is there.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use aoe_tests::client::Client as Reader;
use aoe_tests::daemon::Setup;
use aoe_tests::dice::Dice;
use aoe_tests::history::{Clock, Moment, Read};
use aoe_tests::image::sparse_image;
use aoe_tests::paths;
use aoe_tests::rounds::rounds;
use aoe_tests::stamp::{self, SECTOR, Value};
use aoe_tests::storm::{self, Client, Operation, Plan, Weather};
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// How often, unless `AOE_TEST_RESTARTS` says otherwise.
const ROUNDS: u64 = 20;
const CLIENTS: u32 = 3;
/// Sectors that they write to: few, so that writes meet.
const AREA: u64 = 1024;
/// How long they write before the kill, in milliseconds.
const BEFORE: std::ops::Range<u64> = 5..200;
/// For the answers that were sent before the kill to be looked at.
const GRACE: Duration = Duration::from_millis(50);

const PLAN: Plan = Plan {
    slot: 1,
    area: AREA,
    most: 17,
    depth: 16,
    writes: 100,
    // Nothing is sent again: what comes twice may take effect after its first answer.
    patience: Duration::from_secs(5),
    torn: false,
    weather: Weather { lost: 0, repeated: 0, late: 0 },
};

/// What every sector of the image has.
fn values_in(image: &Path) -> Result<Vec<Value>> {
    stamp::values_of(&fs::read(image)?[..AREA as usize * SECTOR], 0)
}

/// Has all clients write until the kill.
fn write_until<'c>(
    clients: &mut [Client<'c>],
    kill: impl FnOnce() -> Result<()>,
) -> Result<Vec<Operation>> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter_mut()
            .map(|client| scope.spawn(|| client.run(&stop, GRACE, || Ok(0))))
            .collect();
        let killed = kill();
        stop.store(true, Ordering::SeqCst);
        let mut operations = Vec::new();
        for thread in threads {
            operations.extend(thread.join().map_err(|_| anyhow!("a client panicked"))??);
        }
        killed.map(|()| operations)
    })
}

/// What a disk promises of writes that it has acknowledged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// All of them are there.
    All,
    /// Those are that were acknowledged before a flush was sent that was answered.
    Flushed,
}

impl Promise {
    /// Lets clients work for a while. Returns the last moment of which the promise holds; `None`
    /// for every moment.
    fn wait(self, reader: &Reader, clock: &Clock, pause: Duration) -> Result<Option<Moment>> {
        if self == Self::All {
            thread::sleep(pause);
            return Ok(None);
        }
        let (end, mut kept) = (Instant::now() + pause, 0);
        while Instant::now() < end {
            let begun = clock.tick();
            reader.run(&["flush", "e0.1"])?;
            kept = begun;
        }
        Ok(Some(kept))
    }
}

/// Kills daemons, and looks at what is left, over the wire and in the image: every sector holds what
/// was written to it last, as far as that was promised, or something that was written later.
fn kill_and_look(durability: &str, promise: Promise) -> Result<()> {
    let rounds = rounds("AOE_TEST_RESTARTS", ROUNDS)?;
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    sparse_image(&image, AREA * SECTOR as u64)?;
    let wire = Wire::new(Shape { mtu: 9000, queues: 2 })?;
    let setup = Setup::new(&wire.target, TARGET_PORT, scratch.path())
        .export(0, 1, &image)
        .option("--durability", durability);
    let reader = Reader::new(&wire.client, CLIENT_PORT)?;
    let clock = Clock::default();
    let mut clients = (1..=CLIENTS)
        .map(|number| Client::new(&wire.client, CLIENT_PORT, number, PLAN, &clock))
        .collect::<Result<Vec<_>>>()?;
    let mut dice = Dice::new(4);
    let mut held = vec![0; AREA as usize];
    let (mut kept, mut others) = (0, 0);

    let mut daemon = setup.start()?;
    for round in 0..rounds {
        let pause = Duration::from_millis(BEFORE.start + dice.below(BEFORE.end - BEFORE.start));
        let mut last = None;
        let mut operations = write_until(&mut clients, || {
            last = promise.wait(&reader, &clock, pause)?;
            daemon.kill()
        })?;
        // What is not promised may be there or not, as what was under way.
        for operation in &mut operations {
            let is_kept = |moment: &Moment| last.is_none_or(|last| *moment < last);
            operation.answered = operation.answered.filter(is_kept);
            operation.ended = operation.ended.filter(is_kept);
        }
        let done = operations.iter().filter(|operation| operation.answered.is_some()).count();
        kept += done;
        others += operations.len() - done;

        daemon = setup.start().with_context(|| format!("start after kill {round}"))?;
        let begun = clock.tick();
        let read = reader.read("e0.1", 0, AREA)?;
        let found = stamp::values_of(&read, 0).with_context(|| format!("round {round}"))?;
        let ended = clock.tick();
        let mut histories = storm::histories(&held, &operations);
        for (history, &value) in histories.iter_mut().zip(&found) {
            history.read(Read { value, begun, ended });
        }
        storm::check(&histories).with_context(|| format!("round {round}"))?;
        ensure!(values_in(&image)? == found, "round {round}: the image has other data");
        held = found;
    }
    daemon.stop()?;
    println!("{rounds} kills: {kept} writes had to be there, {others} may have been");
    ensure!(kept > rounds as usize * 10, "only {kept} writes had to be there");
    ensure!(others > 0, "no kill met a write that nothing was promised of");
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn what_was_acknowledged_is_there() -> Result<()> {
    kill_and_look("always", Promise::All)
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn what_was_flushed_is_there() -> Result<()> {
    kill_and_look("writeback", Promise::Flushed)
}

/// The test notices what is lost: a disk that writes back promises less than one that does not.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn what_was_not_flushed_is_missed() -> Result<()> {
    match kill_and_look("writeback", Promise::All) {
        Ok(()) => bail!("a killed daemon has lost nothing that it had not written"),
        Err(error) => {
            let told = format!("{error:#}");
            println!("as it should be: {told}");
            ensure!(told.contains("round "), "not for that reason: {told}");
            Ok(())
        }
    }
}
