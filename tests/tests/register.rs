//! Clients that write and read the same few sectors, over a network that loses, repeats and
//! reorders: whatever they see can be told as one story.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use aoe_tests::daemon::Setup;
use aoe_tests::history::{Clock, Read};
use aoe_tests::image::sparse_image;
use aoe_tests::paths;
use aoe_tests::stamp::{self, SECTOR};
use aoe_tests::storm::{self, Client, Plan, Weather};
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

const CLIENTS: u32 = 4;
const AREA: u64 = 64;
/// How long they work.
const TIME: Duration = Duration::from_secs(2);
/// For what is under way then to be answered.
const GRACE: Duration = Duration::from_secs(10);

/// No read sees half of a write.
const TORN: bool = false;

const FAIR: Weather = Weather { lost: 0, repeated: 0, late: 0 };
const FOUL: Weather = Weather { lost: 4, repeated: 10, late: 30 };

fn plan(weather: Weather, mtu: u32) -> Plan {
    Plan {
        slot: 1,
        area: AREA,
        most: if mtu == 9000 { 17 } else { 2 },
        depth: 8,
        writes: 50,
        patience: Duration::from_millis(100),
        torn: TORN,
        weather,
    }
}

fn has_one_story(queues: u32, mtu: u32, weather: Weather) -> Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    sparse_image(&image, AREA * SECTOR as u64)?;
    let wire = Wire::new(Shape { mtu, queues })?;
    let setup = Setup::new(&wire.target, TARGET_PORT, scratch.path()).export(0, 1, &image);
    let daemon = setup.start()?;
    let (clock, stop) = (Clock::default(), AtomicBool::new(false));
    let mut clients = (1..=CLIENTS)
        .map(|number| Client::new(&wire.client, CLIENT_PORT, number, plan(weather, mtu), &clock))
        .collect::<Result<Vec<_>>>()?;

    let operations = thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter_mut()
            .map(|client| scope.spawn(|| client.run(&stop, GRACE, || Ok(0))))
            .collect();
        thread::sleep(TIME);
        stop.store(true, Ordering::SeqCst);
        let mut operations = Vec::new();
        for thread in threads {
            operations.extend(thread.join().map_err(|_| anyhow!("a client panicked"))??);
        }
        anyhow::Ok(operations)
    })?;
    let status = daemon.status()?;
    daemon.stop()?;

    storm::expect_answers(&operations)?;
    let repeated = operations.iter().filter(|operation| operation.repeated).count();
    let torn = operations.iter().flat_map(|operation| &operation.values);
    let torn = torn.filter(|&&value| value == stamp::TORN).count();
    println!("{} requests, {repeated} repeated, {torn} sectors torn", operations.len());
    ensure!(operations.len() > 1000, "only {} requests", operations.len());
    if weather.repeated > 0 {
        ensure!(repeated > operations.len() / 50, "only {repeated} were repeated");
    }
    let busy = status.interface()?.queues.iter().filter(|queue| queue.counts["received"] > 0);
    println!("{} of {queues} queues were used", busy.count());
    let mut histories = storm::histories(&vec![0; AREA as usize], &operations);
    // The image has what the last writes have left.
    let left = stamp::values_of(&fs::read(&image)?, 0)?;
    for (history, value) in histories.iter_mut().zip(left) {
        let (begun, ended) = (clock.tick(), clock.tick());
        history.read(Read { value, begun, ended });
    }
    storm::check(&histories)
}

macro_rules! tests {
    ($($name:ident: $queues:literal, $mtu:literal, $weather:expr;)*) => {$(
        #[test]
        #[ignore = "needs root and network namespaces: cargo xtask test runs it"]
        fn $name() -> Result<()> {
            has_one_story($queues, $mtu, $weather)
        }
    )*};
}

tests! {
    one_queue: 1, 1500, FOUL;
    two_queues: 2, 9000, FOUL;
    four_queues: 4, 9000, FOUL;
    two_queues_without_a_loss: 2, 1500, FAIR;
}
