//! The power fails: whatever was acknowledged by then is on the disk.
//!
//! The daemon runs in a guest, on a disk of which QEMU logs every write and flush. Its clients are
//! outside, and note with every answer how long the log is. What a power cut at any point of the
//! log leaves is put together from it: all that was flushed, and any part of the rest. There, every
//! sector has to hold what was acknowledged last by that point, or something later.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use aoe_tests::dice::Dice;
use aoe_tests::history::{Clock, Read};
use aoe_tests::initramfs::Overlay;
use aoe_tests::kernel::Kernel;
use aoe_tests::namespace::Namespace;
use aoe_tests::paths;
use aoe_tests::retry::retry_until;
use aoe_tests::rounds::rounds;
use aoe_tests::stamp::{self, SECTOR};
use aoe_tests::storm::{self, Client, Operation, Plan, Weather};
use aoe_tests::vm::{BOOT_LIMIT, Machine, value_of};
use aoe_tests::wire::{TAP, add_tap};
use aoe_tests::write_log::{LoggedDisk, Unflushed, WriteLog};

/// Points at which the power fails, unless `AOE_TEST_POWER_CUTS` says otherwise.
const CUTS: u64 = 10;
const CLIENTS: u32 = 2;
/// Sectors of the guest's disk.
const SECTORS: u64 = 1024;
/// How long the clients write.
const TIME: Duration = Duration::from_secs(5);
/// For what is under way then to be answered.
const GRACE: Duration = Duration::from_secs(10);
/// For the first answer over a new tap.
const LIMIT: Duration = Duration::from_secs(60);
const MTU: u32 = 1500;

const PLAN: Plan = Plan {
    slot: 1,
    area: SECTORS,
    most: 2,
    depth: 16,
    writes: 100,
    // Nothing is sent again: what comes twice may take effect after its first answer.
    patience: Duration::from_secs(20),
    torn: false,
    weather: Weather { lost: 0, repeated: 0, late: 0 },
};

/// What a guest has left.
struct Evidence {
    operations: Vec<Operation>,
    log: WriteLog,
    clock: Clock,
}

/// Has a daemon written to in a guest, and cuts the guest's power.
fn gather(daemon: &Path) -> Result<Evidence> {
    let scratch = paths::scratch()?;
    let namespace = Namespace::new("guest")?;
    add_tap(&namespace, MTU)?;
    let disk = LoggedDisk::create(scratch.path(), SECTORS * SECTOR as u64)?;
    let mut files = Overlay::new(include_str!("../guest/power_cut.sh"))?;
    files.program(daemon)?;
    files.module("virtio_blk");
    let name = daemon.file_name().and_then(|name| name.to_str()).context("no file name")?;
    let options = disk.options();
    let machine = Machine { options: &options, ..Machine::on_tap(&namespace, scratch.path()) };
    let mut vm = machine.boot_linux(
        &Kernel::oldest()?,
        files,
        &[("mtu", &MTU.to_string()), ("daemon", name)],
    )?;
    let log = vm.wait_for_step("ready", BOOT_LIMIT)?;
    // Else a flush would do nothing.
    ensure!(value_of(&log, "CACHE")? == "write back", "the guest's disk has no cache:\n{log}");
    let reader = aoe_tests::client::Client::new(&namespace, TAP)?;
    retry_until("discovery", LIMIT, || reader.find("e0.1"))?;

    let (clock, stop) = (Clock::default(), AtomicBool::new(false));
    let mut clients = (1..=CLIENTS)
        .map(|number| Client::new(&namespace, TAP, number, PLAN, &clock))
        .collect::<Result<Vec<_>>>()?;
    let operations = thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter_mut()
            .map(|client| scope.spawn(|| client.run(&stop, GRACE, || disk.logged())))
            .collect();
        thread::sleep(TIME);
        stop.store(true, Ordering::SeqCst);
        let mut operations = Vec::new();
        for thread in threads {
            operations.extend(thread.join().map_err(|_| anyhow!("a client panicked"))??);
        }
        anyhow::Ok(operations)
    })?;
    drop(clients);
    vm.kill()?;
    storm::expect_answers(&operations)?;
    let log = disk.read()?;
    println!("{} writes, {} log entries, {} flushes", operations.len(), log.len(), log.flushes());
    Ok(Evidence { operations, log, clock })
}

impl Evidence {
    /// Points of the log to cut the power at: half of them right after an answer.
    fn points(&self, number: u64, dice: &mut Dice) -> Vec<usize> {
        let any = |dice: &mut Dice| dice.below(self.log.len() as u64 + 1) as usize;
        let after_an_answer = |dice: &mut Dice| {
            let at = dice.below(self.operations.len() as u64) as usize;
            self.log.entries_up_to(self.operations[at].note)
        };
        (0..number).map(|at| if at % 2 == 0 { after_an_answer(dice) } else { any(dice) }).collect()
    }

    /// Cuts the power after so many entries of a log, and looks at the disk.
    fn check(
        &self,
        log: &WriteLog,
        entries: usize,
        unflushed: Unflushed,
        dice: &mut Dice,
    ) -> Result<()> {
        let mut disk = vec![0; SECTORS as usize * SECTOR];
        log.cut(entries, unflushed, dice, &mut disk);
        let found = stamp::values_of(&disk, 0)?;
        let point = log.bytes_of(entries);
        // What was answered later was not answered yet.
        let operations: Vec<Operation> = self
            .operations
            .iter()
            .map(|operation| Operation {
                ended: operation.ended.filter(|_| operation.note <= point),
                ..operation.clone()
            })
            .collect();
        let mut histories = storm::histories(&[0; SECTORS as usize], &operations);
        let (begun, ended) = (self.clock.tick(), self.clock.tick());
        for (history, value) in histories.iter_mut().zip(found) {
            history.read(Read { value, begun, ended });
        }
        storm::check(&histories)
            .with_context(|| format!("cut after entry {entries}, the unflushed: {unflushed:?}"))
    }

    /// Cuts the power at many points; what was lost at each.
    fn losses(&self, number: u64) -> Vec<anyhow::Error> {
        let mut dice = Dice::new(5);
        let mut losses = Vec::new();
        for entries in self.points(number, &mut dice) {
            for unflushed in Unflushed::ALL {
                losses.extend(self.check(&self.log, entries, unflushed, &mut dice).err());
            }
        }
        losses
    }
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn what_was_acknowledged_survives() -> Result<()> {
    let cuts = rounds("AOE_TEST_POWER_CUTS", CUTS)?;
    let evidence = gather(&paths::daemon()?)?;
    if let Some(loss) = evidence.losses(cuts).into_iter().next() {
        return Err(loss);
    }
    println!("{cuts} power cuts, each in {} ways: nothing was lost", Unflushed::ALL.len());
    // The same on a disk that was never told to flush: the test notices.
    let log = evidence.log.without_flushes();
    let lost = evidence.check(&log, log.len(), Unflushed::Lost, &mut Dice::new(6));
    ensure!(lost.is_err(), "without any flush nothing was lost");
    Ok(())
}

/// The proof that the test bites.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_daemon_that_answers_too_early_is_found_out() -> Result<()> {
    let losses = gather(&paths::broken_daemon()?)?.losses(CUTS);
    ensure!(!losses.is_empty(), "nothing was lost");
    println!(
        "{} of {} power cuts lost something",
        losses.len(),
        CUTS as usize * Unflushed::ALL.len()
    );
    println!("{:#}", losses[0]);
    Ok(())
}
