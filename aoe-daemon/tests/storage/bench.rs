//! A disk with a client before it: packets are made of requests, go through an engine, and come
//! back.

use super::support::frame::{Frame, Registers, TARGET};
use aoe_common::address::Address;
use aoe_common::steer;
use aoe_common::wire::Mac;
use aoe_daemon::config::Durability;
use aoe_daemon::mailbox::Mailbox;
use aoe_daemon::record::Record;
use aoe_daemon::state::Store as Memory;
use aoe_daemon::storage::cache::Cache;
use aoe_daemon::storage::engine::{Engine, Settings, Started};
use aoe_daemon::storage::image::Image;
use aoe_daemon::storage::medium::Medium;
use aoe_daemon::storage::store::Store;
use aoe_daemon::storage::writeback::Saver;
use aoe_daemon::storage::{Disk, Edited, Finished, Job, ParkedEdit};
use aoe_daemon::target::identify::Description;
use aoe_daemon::target::{Fault, Operation, Outcome, Port, Step, Target};
use aoe_xsk::{HugePages, Packet, Umem};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Chunks of the packets' memory.
const CHUNKS: u32 = 2048;
/// Sectors that the target claims, so that no request is refused before the disk sees it.
const CLAIMED: u64 = 1 << 48;
/// How long a sleep may last.
const PATIENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };
/// Names that the one disk has, so that every job can be told by its export.
const EXPORTS: usize = 1024;

/// A disk, the memory of the packets that go to it, and the engine in between.
pub(crate) struct Bench {
    pub(crate) umem: Umem,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) engine: Engine,
    pub(crate) disk: Arc<Disk>,
    pub(crate) record: Arc<Record>,
    edited: VecDeque<Edited>,
    saver: Option<Saver>,
}

/// What a disk is worked with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// Whether there is an io_uring; else threads do the work.
    pub(crate) ring: bool,
    /// Blocks of the cache.
    pub(crate) cache: usize,
    /// After how long a silent disk is given up.
    pub(crate) io_timeout: Duration,
    /// When writes are answered.
    pub(crate) durability: Durability,
}

impl Setup {
    /// As a daemon does unless told otherwise.
    pub(crate) const USUAL: Self = Self {
        ring: true,
        cache: 4096,
        io_timeout: Duration::from_secs(30),
        durability: Durability::Always,
    };
    /// As a daemon that writes back does.
    pub(crate) const WRITEBACK: Self = Self { durability: Durability::Writeback, ..Self::USUAL };
    /// All that make a difference.
    pub(crate) const ALL: [Self; 7] = [
        Self::USUAL,
        Self { cache: 8, ..Self::USUAL },
        Self { cache: 0, ..Self::USUAL },
        Self { ring: false, ..Self::USUAL },
        Self::WRITEBACK,
        Self { cache: 8, ..Self::WRITEBACK },
        Self { ring: false, ..Self::WRITEBACK },
    ];
}

/// The port that all of it comes in on.
const PORT: Port = Port { mac: Mac(TARGET), mtu: 9000, max_sectors: 17, buffer_count: 64 };

impl Bench {
    /// Messages that its mailbox has room for.
    pub(crate) const MESSAGES: usize = Engine::messages(CHUNKS as usize);

    pub(crate) fn new(image: Image) -> Self {
        Self::with(Setup::USUAL, image, Memory::nowhere())
    }

    /// A bench whose target keeps its lists there.
    pub(crate) fn with(setup: Setup, image: Image, memory: Memory) -> Self {
        let address = Address::new(0, 1).unwrap();
        let trim = Medium::of(&image.backing).trim;
        let target = Target::new(address, Description { trim, ..Description::of_size(CLAIMED) });
        let record = Arc::new(Record::new(target, memory, Arc::default()));
        let store = Arc::new(Store::new(0, Arc::clone(&image.backing), setup.durability));
        let disk = Arc::new(Disk::new(image, Arc::clone(&store), Arc::clone(&record)));
        let cache = Arc::new(Cache::new(setup.cache, HugePages::Use).unwrap());
        while cache.grow().unwrap().is_some() {}
        let saver = Saver::start(&store, &cache, HugePages::Use).unwrap();
        let mut bench = Self::before(setup, disk, record, cache);
        bench.saver = saver;
        bench
    }

    /// One more worker before the same disk.
    pub(crate) fn beside(&self, setup: Setup) -> Self {
        let cache = Arc::new(Cache::new(0, HugePages::Use).unwrap());
        Self::before(setup, Arc::clone(&self.disk), Arc::clone(&self.record), cache)
    }

    fn before(setup: Setup, disk: Arc<Disk>, record: Arc<Record>, cache: Arc<Cache>) -> Self {
        let mailbox = Arc::new(Mailbox::new(Self::MESSAGES).unwrap());
        let settings = Settings { io_timeout: setup.io_timeout, huge_pages: HugePages::Use };
        let disks = vec![Arc::clone(&disk); EXPORTS];
        let mut engine = Engine::new(disks, cache, Arc::clone(&mailbox), settings).unwrap();
        if setup.ring {
            engine.open_ring();
        }
        let umem = Umem::new(CHUNKS, HugePages::Use).unwrap();
        Self { umem, mailbox, engine, disk, record, edited: VecDeque::new(), saver: None }
    }

    /// The job that a worker makes of a frame.
    pub(crate) fn job(&mut self, registers: Registers, data: &[u8]) -> Job {
        let (mut packet, step) = self.accept(&Frame::ata(registers).with_data(data));
        let Step::Io(request) = step else { panic!("not for the disk: {step:?}") };
        if matches!(request.operation, Operation::Read(_)) {
            assert!(self.umem.resize(&mut packet, request.frame_length()));
        }
        Job { packet, request }
    }

    /// A frame in a packet, and what the target makes of it.
    fn accept(&mut self, frame: &Frame) -> (Packet, Step) {
        let frame = frame.bytes();
        let mut packet = self.umem.allocate(frame.len()).expect("a free chunk");
        packet.copy_in(0, &frame);
        let (_, framing) = steer::framing(&frame[..]).unwrap();
        let target = self.record.current();
        let step = target.accept(&PORT, framing, packet.head_mut(), frame.len());
        (packet, step)
    }

    /// Parks an edit.
    pub(crate) fn park_edit(&mut self, frame: &Frame) {
        let (packet, step) = self.accept(frame);
        let Step::Persist(edit) = step else { panic!("no edit: {step:?}") };
        assert!(self.engine.start_edit(0, ParkedEdit { packet, edit, port: PORT }).is_ok());
    }

    /// The next edit that comes home, as the reply to it, if there is one.
    pub(crate) fn await_edited(&mut self) -> Option<Vec<u8>> {
        while self.edited.is_empty() {
            self.go_on();
        }
        let Edited { mut packet, edit, answer } = self.edited.pop_front().unwrap();
        let Some((answer, target)) = answer else {
            self.umem.recycle(packet);
            return None;
        };
        let length = target.finish_edit(&PORT, &edit, packet.head_mut(), answer).unwrap();
        let reply = packet.head_mut()[..length].to_vec();
        self.umem.recycle(packet);
        Some(reply)
    }

    /// Starts a job that has to wait; `number` comes back as its export.
    pub(crate) fn park(&mut self, job: Job, number: usize) {
        match self.engine.start(number, job) {
            Started::Parked => {}
            Started::Done(..) => panic!("it is done at once"),
            Started::Refused(_) => panic!("no room"),
        }
    }

    /// The next job that is done, in the way of a worker that sleeps until then.
    pub(crate) fn await_finished(&mut self) -> Finished {
        loop {
            match self.engine.next_finished() {
                Some(finished) => return finished,
                None => self.go_on(),
            }
        }
    }

    /// The next job that is given up, in the way of a worker that has other things to do, too.
    pub(crate) fn await_expired(&mut self) -> Finished {
        loop {
            match self.engine.next_finished() {
                Some(finished) => return finished,
                None => self.engine.work(),
            };
        }
    }

    /// Works until there is nothing more to do, then sleeps until there is.
    fn go_on(&mut self) {
        while let Some(message) = self.mailbox.take() {
            self.edited.extend(self.engine.take(message));
        }
        if self.engine.work() || !self.edited.is_empty() {
            return;
        }
        if self.mailbox.prepare_sleep() && self.engine.prepare_sleep() {
            let mut bell = [PollFd::from_borrowed_fd(self.mailbox.bell(), PollFlags::IN)];
            let rung = poll(&mut bell, Some(&PATIENCE)).expect("poll works");
            assert_eq!(rung, 1, "nobody rings");
        }
        self.engine.woke();
        self.mailbox.woke();
    }

    /// Has one job done, and returns the outcome and the sectors.
    pub(crate) fn work(&mut self, registers: Registers, data: &[u8]) -> (Outcome, Vec<u8>) {
        let job = self.job(registers, data);
        match self.engine.start(0, job) {
            Started::Done(job, outcome) => (outcome, self.take_apart(job)),
            Started::Parked => {
                let Finished { job, outcome, .. } = self.await_finished();
                (outcome, self.take_apart(job))
            }
            Started::Refused(_) => panic!("no room"),
        }
    }

    pub(crate) fn read(&mut self, lba: u64, sectors: u8) -> Result<Vec<u8>, Fault> {
        let (outcome, data) = self.work(Registers::read48(lba, sectors), &[]);
        outcome.map(|()| data)
    }

    pub(crate) fn write(&mut self, lba: u64, data: &[u8]) -> Outcome {
        self.work(Registers::write48(lba, (data.len() / 512) as u8), data).0
    }

    pub(crate) fn flush(&mut self) -> Outcome {
        self.work(Registers::command(0xEA), &[]).0
    }

    /// Writes what is only in the cache, as a daemon does that ends.
    pub(crate) fn save(&mut self) {
        if let Some(saver) = self.saver.take() {
            saver.stop();
        }
    }

    /// The sectors of a job, whose packet goes back to the memory.
    pub(crate) fn take_apart(&mut self, job: Job) -> Vec<u8> {
        let mut data = vec![0; job.request.operation.data_length()];
        job.packet.copy_out(job.request.data_offset(), &mut data);
        self.umem.recycle(job.packet);
        data
    }

    pub(crate) fn recycle(&mut self, packet: Packet) {
        self.umem.recycle(packet);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.save();
    }
}
