//! Devices that fail as real ones do: sectors that can't be read, writes that are refused, flushes
//! that fail, and no answer at all. The daemon runs in a guest, where the device mapper does that.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aoe_tests::client::Client;
use aoe_tests::frame::outcome::{READ_FAILED, SUCCESS, WRITE_FAILED};
use aoe_tests::frame::{Frame, Request, opcode};
use aoe_tests::image::{MIB, random_bytes, random_image};
use aoe_tests::initramfs::Overlay;
use aoe_tests::kernel::Kernel;
use aoe_tests::namespace::Namespace;
use aoe_tests::paths;
use aoe_tests::retry::retry_until;
use aoe_tests::station::Station;
use aoe_tests::status::Status;
use aoe_tests::vm::{BOOT_LIMIT, Machine, Vm, value_of};
use aoe_tests::wire::{TAP, add_tap};

const MTU: u32 = 1500;
const SECTOR: usize = 512;
/// Size of each disk, in bytes.
const SIZE: u64 = 16 * MIB;
/// The guest's disks, in the order of the slots that they are served as: one whose writes are durable
/// when they are answered, one that writes back, one that nothing happens to.
const DISKS: [&str; 3] = ["vda", "vdb", "vdc"];
/// Those slots.
const DURABLE: u8 = 1;
const CACHED: u8 = 2;
const HEALTHY: u8 = 3;

/// For the guest to do what it is told, and for an answer.
const LIMIT: Duration = Duration::from_secs(60);
/// For something that must not come.
const NEVER: Duration = Duration::from_secs(1);
/// After how long a silent disk is given up: longer than everything takes that is done until then.
const IO_TIMEOUT: Duration = Duration::from_secs(6);

fn read(slot: u8, lba: u64) -> Request {
    Request::ata(0, slot, opcode::READ, lba, &[])
}

fn write(slot: u8, lba: u64, byte: u8) -> Request {
    Request::ata(0, slot, opcode::WRITE, lba, &[byte; SECTOR])
}

fn flush(slot: u8) -> Request {
    Request::ata(0, slot, opcode::FLUSH, 0, &[])
}

/// A read of more than one sector.
fn read_sectors(slot: u8, lba: u64, sectors: u8) -> Request {
    let mut request = read(slot, lba);
    request.argument[2] = sectors;
    request
}

/// The data of an answer to a read of one sector.
fn data(answer: &Frame) -> &[u8] {
    &answer.argument()[12..12 + SECTOR]
}

/// A guest with a daemon, and what its disks hold.
struct Guest<'n> {
    vm: Vm,
    station: Station,
    client: Client<'n>,
    orders: u32,
    /// What has come and was not asked for yet, by its tag.
    answers: BTreeMap<u32, Frame>,
    files: Vec<PathBuf>,
    contents: Vec<Vec<u8>>,
    rounds: u64,
}

impl<'n> Guest<'n> {
    fn boot(namespace: &'n Namespace, directory: &Path) -> Result<Self> {
        add_tap(namespace, MTU)?;
        let files: Vec<PathBuf> = DISKS.iter().map(|name| directory.join(name)).collect();
        let (mut options, mut contents) = (Vec::new(), Vec::new());
        for (file, seed) in files.iter().zip(90..) {
            contents.push(random_image(file, SIZE as usize, seed)?);
            let drive = format!("file={},format=raw,if=virtio,cache=writeback", file.display());
            options.extend(["-drive".to_owned(), drive]);
        }
        let mut overlay = Overlay::new(include_str!("../guest/failing.sh"))?;
        overlay.program(&paths::daemon()?)?;
        overlay.program(Path::new("/usr/sbin/dmsetup"))?;
        for module in ["virtio_blk", "dm-mod", "dm-flakey"] {
            overlay.module(module);
        }
        let machine = Machine { options: &options, ..Machine::on_tap(namespace, directory) };
        let timeout = IO_TIMEOUT.as_secs().to_string();
        let environment = [("mtu", &*MTU.to_string()), ("timeout", &timeout)];
        let mut vm = machine.boot_linux(&Kernel::oldest()?, overlay, &environment)?;
        vm.wait_for_step("serving", BOOT_LIMIT)?;
        let client = Client::new(namespace, TAP)?;
        // The first frames over a new tap may get lost while it learns of its carrier.
        retry_until("discovery", LIMIT, || client.find("e0.3"))?;
        let station = Station::new(namespace, TAP)?;
        Ok(Self {
            vm,
            station,
            client,
            orders: 0,
            answers: BTreeMap::new(),
            files,
            contents,
            rounds: 0,
        })
    }

    /// Has the guest do something, and gives what it has said by then.
    fn order(&mut self, order: &str) -> Result<String> {
        self.orders += 1;
        self.vm.say(order)?;
        let step = format!("order-{}", self.orders);
        self.vm.wait_for_step(&step, LIMIT).with_context(|| order.to_owned())
    }

    /// Has a disk become what `failing.sh` knows of.
    fn turn(&mut self, kind: &str, slot: u8) -> Result<()> {
        self.order(&format!("become {kind} {}", DISKS[usize::from(slot) - 1]))?;
        Ok(())
    }

    fn is_failed(&mut self, slot: u8) -> Result<bool> {
        let log = self.order("status")?;
        let status = Status::parse(value_of(&log, &format!("STATUS-{}", self.orders))?)?;
        Ok(status.export(&format!("e0.{slot}"))?.failed)
    }

    /// Sends requests, and gives their tags.
    fn send(&mut self, requests: &[Request]) -> Result<Vec<u32>> {
        requests.iter().map(|request| self.station.send(request)).collect()
    }

    /// What is answered to these tags in this time, at most.
    fn answers(&mut self, tags: &[u32], limit: Duration) -> Result<BTreeMap<u32, Frame>> {
        let deadline = Instant::now() + limit;
        while !tags.iter().all(|tag| self.answers.contains_key(tag)) {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(frame) = self.station.receive(left)? else { break };
            if frame.is_response() {
                self.answers.insert(frame.tag(), frame);
            }
        }
        Ok(tags.iter().filter_map(|tag| Some((*tag, self.answers.remove(tag)?))).collect())
    }

    /// Sends requests at once, and gives the answers in their order.
    fn ask(&mut self, requests: &[Request]) -> Result<Vec<Frame>> {
        let tags = self.send(requests)?;
        self.expect(&tags)
    }

    /// The answers to requests that were sent.
    fn expect(&mut self, tags: &[u32]) -> Result<Vec<Frame>> {
        let mut answers = self.answers(tags, LIMIT)?;
        let missing: Vec<&u32> = tags.iter().filter(|tag| !answers.contains_key(tag)).collect();
        ensure!(missing.is_empty(), "of {tags:x?} were not answered: {missing:x?}");
        Ok(tags.iter().filter_map(|tag| answers.remove(tag)).collect())
    }

    /// Sends requests at once that must all come to this.
    fn all_come_to(&mut self, outcome: (u8, u8), requests: &[Request]) -> Result<()> {
        for (answer, request) in self.ask(requests)?.iter().zip(requests) {
            let got = answer.ata_outcome();
            ensure!(
                got == outcome,
                "{got:x?} instead of {outcome:x?}: {:x?}",
                &request.argument[..12]
            );
        }
        Ok(())
    }

    /// What one sector reads as.
    fn sector(&mut self, slot: u8, lba: u64) -> Result<Vec<u8>> {
        let answer = self.ask(&[read(slot, lba)])?.remove(0);
        ensure!(answer.ata_outcome() == SUCCESS, "read {lba}: {:x?}", answer.ata_outcome());
        Ok(data(&answer).to_vec())
    }

    /// What one sector held at first.
    fn before(&self, slot: u8, lba: u64) -> &[u8] {
        &self.contents[usize::from(slot) - 1][lba as usize * SECTOR..][..SECTOR]
    }

    /// What one sector of the file behind the guest's disk has.
    fn below(&self, slot: u8, lba: u64) -> Result<Vec<u8>> {
        let file = fs::read(&self.files[usize::from(slot) - 1])?;
        Ok(file[lba as usize * SECTOR..][..SECTOR].to_vec())
    }

    fn smart(&self, slot: u8) -> Result<String> {
        Ok(self.client.attempt(&["smart", &format!("e0.{slot}")])?.text())
    }

    /// The disk that nothing happens to is written and read as ever.
    fn expect_the_other_healthy(&mut self) -> Result<()> {
        let lba = 8 * self.rounds;
        self.rounds += 1;
        let data = random_bytes(4 * SECTOR, 1000 + self.rounds);
        self.client.write("e0.3", lba, &data)?;
        ensure!(self.client.read("e0.3", lba, 4)? == data, "e0.3 does not read as written");
        let fresh = 4096 + lba;
        ensure!(self.sector(HEALTHY, fresh)? == self.before(HEALTHY, fresh), "other data is read");
        Ok(())
    }

    /// An orderly end; gives what the daemon has said.
    fn stop(mut self) -> Result<String> {
        self.vm.say("enough")?;
        self.vm.wait_for_step("stop", LIMIT)?;
        self.vm.wait_for_end(LIMIT)
    }
}

/// What can't be read fails what wants it, and nothing else: not its neighbours in a block of the
/// cache, not what came together with it, and not for ever.
fn unreadable(guest: &mut Guest<'_>, slot: u8) -> Result<()> {
    let bad = 1003..1005;
    guest.turn("unreadable", slot)?;
    let requests: Vec<Request> = (992..1016).map(|lba| read(slot, lba)).collect();
    for round in 0..2 {
        for (answer, lba) in guest.ask(&requests)?.iter().zip(992..) {
            let expected = if bad.contains(&lba) { READ_FAILED } else { SUCCESS };
            let outcome = answer.ata_outcome();
            ensure!(outcome == expected, "round {round}: {lba}: {outcome:x?}");
            let is_right = outcome != SUCCESS || data(answer) == guest.before(slot, lba);
            ensure!(is_right, "round {round}: {lba}: other data is read");
        }
    }
    let pairs = [(1001, SUCCESS), (1002, READ_FAILED), (1004, READ_FAILED), (1005, SUCCESS)];
    for (lba, expected) in pairs {
        guest.all_come_to(expected, &[read_sectors(slot, lba, 2)])?;
    }
    guest.order("said read failed")?;
    ensure!(!guest.is_failed(slot)?, "a read has failed the disk");
    guest.all_come_to(SUCCESS, &[write(slot, 1000, 1), write(slot, 1006, 1), flush(slot)])?;
    guest.expect_the_other_healthy()?;
    guest.turn("good", slot)?;
    for lba in bad {
        ensure!(guest.sector(slot, lba)? == guest.before(slot, lba), "other data is read");
    }
    ensure!(guest.sector(slot, 1000)? == [1; SECTOR], "what was written is not read");
    Ok(())
}

/// A disk that can't be written, or not be flushed, fails until an administrator says otherwise.
fn fails_until_cleared(guest: &mut Guest<'_>, kind: &str, lba: u64) -> Result<()> {
    let slot = DURABLE;
    let good = guest.smart(slot)?;
    guest.all_come_to(SUCCESS, &[write(slot, lba, 1)])?;
    guest.turn(kind, slot)?;
    guest.all_come_to(WRITE_FAILED, &[write(slot, lba, 2)])?;
    guest.order("said writing failed")?;
    ensure!(guest.is_failed(slot)?, "the status does not say so");
    ensure!(guest.smart(slot)? != good, "SMART does not say so");
    // Where the flush has failed the write itself has got there, for now.
    let now = guest.sector(slot, lba)?;
    ensure!(
        now == [1; SECTOR] || kind == "unflushable" && now == [2; SECTOR],
        "other data is read"
    );
    ensure!(guest.sector(slot, lba + 64)? == guest.before(slot, lba + 64), "other data is read");

    guest.order("not cleared e0.1")?;
    guest.all_come_to(WRITE_FAILED, &[write(slot, lba, 3), write(slot, lba + 9, 3)])?;
    guest.turn("good", slot)?;
    guest.all_come_to(WRITE_FAILED, &[write(slot, lba, 4), flush(slot)])?;
    guest.expect_the_other_healthy()?;

    guest.order("cleared e0.1")?;
    guest.all_come_to(SUCCESS, &[write(slot, lba, 5), flush(slot)])?;
    ensure!(!guest.is_failed(slot)? && guest.smart(slot)? == good, "it has failed");
    ensure!(guest.sector(slot, lba)? == [5; SECTOR], "what was written is not read");
    ensure!(guest.below(slot, lba)? == [5; SECTOR], "what was written is not there");
    Ok(())
}

/// A disk that writes back says so when it is flushed. What it has acknowledged it keeps, and writes
/// once it can.
fn fails_with_what_it_has(guest: &mut Guest<'_>, kind: &str, lba: u64) -> Result<()> {
    let slot = CACHED;
    let good = guest.smart(slot)?;
    guest.turn(kind, slot)?;
    guest.all_come_to(SUCCESS, &[write(slot, lba, 1), write(slot, lba + 1, 1)])?;
    guest.all_come_to(WRITE_FAILED, &[flush(slot)])?;
    guest.order("said writing failed")?;
    ensure!(guest.is_failed(slot)?, "the status does not say so");
    ensure!(guest.smart(slot)? != good, "SMART does not say so");
    guest
        .all_come_to(WRITE_FAILED, &[write(slot, lba, 2), write(slot, lba + 9, 2), flush(slot)])?;
    ensure!(guest.sector(slot, lba)? == [1; SECTOR], "what was acknowledged is not read");
    guest.turn("good", slot)?;
    guest.all_come_to(WRITE_FAILED, &[write(slot, lba, 3), flush(slot)])?;
    guest.expect_the_other_healthy()?;

    guest.order("cleared e0.2")?;
    guest.all_come_to(SUCCESS, &[write(slot, lba + 1, 4)])?;
    // Durable is what was answered before it was sent.
    guest.all_come_to(SUCCESS, &[flush(slot)])?;
    ensure!(!guest.is_failed(slot)? && guest.smart(slot)? == good, "it has failed");
    for (lba, byte) in [(lba, 1), (lba + 1, 4)] {
        ensure!(guest.sector(slot, lba)? == [byte; SECTOR], "what was written is not read");
        let below = guest.below(slot, lba)?;
        ensure!(below == [byte; SECTOR], "{lba}: written: {byte}, there: {:?}", &below[..8]);
    }
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn errors_of_a_device() -> Result<()> {
    let (scratch, namespace) = (paths::scratch()?, Namespace::new("guest")?);
    let mut guest = Guest::boot(&namespace, scratch.path())?;
    for slot in [DURABLE, CACHED] {
        unreadable(&mut guest, slot).with_context(|| format!("unreadable, e0.{slot}"))?;
    }
    for (kind, lba) in [("unwritable", 2000), ("unflushable", 3000)] {
        fails_until_cleared(&mut guest, kind, lba).with_context(|| kind.to_owned())?;
        fails_with_what_it_has(&mut guest, kind, lba)
            .with_context(|| format!("{kind}, writing back"))?;
    }
    let log = guest.stop()?;
    ensure!(!log.contains("acknowledged writes are lost"), "something is lost:\n{log}");
    Ok(())
}

/// Sectors from one request of a [`mixture`] to the next: too many to be read ahead of.
const STEP: u64 = 300;

/// Reads and writes of places that nobody has read yet.
fn mixture(slot: u8, lba: u64, byte: u8) -> Vec<Request> {
    let places = (0..16).map(|number| (number, lba + STEP * number));
    let request = |(number, lba)| if number < 8 { read(slot, lba) } else { write(slot, lba, byte) };
    places.map(request).collect()
}

/// What is not answered in time is given up, and only that. Nothing of it appears where others have
/// written since.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_device_that_does_not_answer() -> Result<()> {
    let (scratch, namespace) = (paths::scratch()?, Namespace::new("guest")?);
    let mut guest = Guest::boot(&namespace, scratch.path())?;

    // Soon enough back.
    guest.order("suspend vda")?;
    let requests = mixture(DURABLE, 1000, 1);
    let tags = guest.send(&requests)?;
    let early = guest.answers(&tags, NEVER)?;
    ensure!(early.is_empty(), "{} requests were answered", early.len());
    guest.expect_the_other_healthy()?;
    guest.order("resume vda")?;
    for (answer, tag) in guest.expect(&tags)?.iter().zip(&tags) {
        ensure!(answer.ata_outcome() == SUCCESS, "{tag}: {:x?}", answer.ata_outcome());
    }
    ensure!(guest.sector(DURABLE, 1000 + 8 * STEP)? == [1; SECTOR], "what was written is not read");

    // Too late, both disks at the same time: of one only reads are under way.
    const SECOND: u64 = 10_000;
    let written = SECOND + 8 * STEP..SECOND + 16 * STEP;
    guest.order("suspend vda")?;
    guest.order("suspend vdb")?;
    let requests = mixture(DURABLE, SECOND, 2);
    let tags = guest.send(&requests)?;
    let others = guest.send(&[read(CACHED, 2000), read(CACHED, 2001), read(CACHED, 3000)])?;
    // The cache takes what is written, and cannot make it durable.
    guest.all_come_to(SUCCESS, &[write(CACHED, 2500, 2)])?;
    let flushed = guest.send(&[flush(CACHED)])?;
    ensure!(guest.sector(CACHED, 2500)? == [2; SECTOR], "what was written is not read");
    guest.expect_the_other_healthy()?;
    for (answer, request) in guest.expect(&tags)?.iter().zip(&requests) {
        let (outcome, registers) = (answer.ata_outcome(), &request.argument[..12]);
        let is_read = registers[3] == opcode::READ;
        let expected = if is_read { READ_FAILED } else { WRITE_FAILED };
        ensure!(outcome == expected, "{registers:x?}: {outcome:x?}");
    }
    for answer in guest.expect(&others)? {
        ensure!(answer.ata_outcome() == READ_FAILED, "{:x?}", answer.ata_outcome());
    }
    ensure!(guest.expect(&flushed)?[0].ata_outcome() == WRITE_FAILED, "it says that it is durable");
    guest.order("said does not answer")?;
    guest.expect_the_other_healthy()?;
    ensure!(guest.is_failed(DURABLE)?, "nobody knows what it holds, and nobody says so");
    ensure!(!guest.is_failed(CACHED)?, "reads have failed a disk");

    guest.order("resume vda")?;
    guest.order("resume vdb")?;
    ensure!(guest.sector(DURABLE, SECOND)? == guest.before(DURABLE, SECOND), "other data is read");
    guest.all_come_to(WRITE_FAILED, &[write(DURABLE, written.start, 3)])?;
    guest.order("cleared e0.1")?;
    let written: Vec<u64> = written.step_by(STEP as usize).collect();
    let again: Vec<Request> = written.iter().map(|&lba| write(DURABLE, lba, 4)).collect();
    guest.all_come_to(SUCCESS, &again)?;
    ensure!(!guest.is_failed(DURABLE)?, "it has failed");
    guest.all_come_to(SUCCESS, &[flush(CACHED), read(CACHED, 2000), write(CACHED, 2501, 4)])?;
    guest.all_come_to(SUCCESS, &[flush(CACHED)])?;

    let expected = written.into_iter().map(|lba| (DURABLE, lba, 4));
    for (slot, lba, byte) in expected.chain([(CACHED, 2500, 2), (CACHED, 2501, 4)]) {
        ensure!(guest.sector(slot, lba)? == [byte; SECTOR], "e0.{slot}: {lba} reads otherwise");
        ensure!(guest.below(slot, lba)? == [byte; SECTOR], "e0.{slot}: {lba} is otherwise");
    }
    guest.stop()?;
    Ok(())
}
