//! A worker's way to the disks: what is asked of them, from its acceptance to its end.
//!
//! Reads that the cache holds are done at once. Everything else is *parked*: it takes its place in
//! the [order](super::order) of its store, and once it may go ahead it is collected with what came
//! in the same burst, so that neighbours are read and written together, and one flush makes all of
//! it durable. `reads` and `writes` have the two ways through the disk.
//!
//! Packets stay with the engine (but for edits): disks work on buffers of the engine's own. A
//! request whose time is over is answered from its packet, whatever its disk does.

mod laying;
mod parked;
mod reads;
mod streams;
mod writes;

use super::cache::Cache;
use super::disk::Disk;
use super::driver::Driver;
use super::helper::Chore;
use super::operation::{Done, Purpose};
use super::order::{Access, Sectors};
use super::staging::{BUFFERS, Buffer, Staging};
use super::store::Store;
use super::{Edited, Finished, Job, ParkedEdit};
use crate::mailbox::{Mailbox, Message};
use crate::record::Changes;
use crate::target::{Fault, Operation, Outcome, Target};
use aoe_xsk::{HugePages, Packet};
use parked::{Chain, Parked, Settled, What};
use reads::Fill;
use slab::Slab;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use streams::Streams;
use writes::Group;

/// Requests that may be parked for one export by one worker.
pub const MOST_PARKED: u32 = 512;
/// Buffers that one store may hold, so that a silent disk leaves some for the others.
const MOST_HELD: usize = BUFFERS / 2;
/// Answers of the disks that are taken at once. Those who wait for them ask for more, which the
/// disks may work on while the others are answered.
const MOST_DONE: usize = 8;
/// How often requests whose time is over are looked for.
const EXPIRY: Duration = Duration::from_millis(100);

/// How engines work, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// After how long a request that its disk does not answer is given up.
    pub io_timeout: Duration,
    /// What its buffers are on.
    pub huge_pages: HugePages,
}

/// One worker's part of the storage.
pub struct Engine {
    disks: Vec<Arc<Disk>>,
    cache: Arc<Cache>,
    settings: Settings,
    driver: Driver,
    staging: Staging,
    parked: Slab<Parked>,
    /// How many are parked for each export.
    counts: Vec<u32>,
    /// By the number of the store.
    lanes: Vec<Lane>,
    /// Lanes that have something to hand over.
    active: Vec<usize>,
    fills: Slab<Fill>,
    groups: Slab<Group>,
    finished: VecDeque<Finished>,
    /// When requests whose time is over were last looked for.
    expired: Instant,
}

/// What waits for one store.
struct Lane {
    store: Arc<Store>,
    is_active: bool,
    /// May be read, written.
    reads: Vec<usize>,
    writes: Vec<usize>,
    /// Is on the disk, or was asked to be: it waits for a flush.
    written: Vec<usize>,
    /// Waits for the flush that is in flight.
    syncing: Vec<usize>,
    is_syncing: bool,
    /// Buffers that the disk has.
    held: usize,
    streams: Streams,
}

/// What becomes of a request at once.
pub enum Started {
    /// It is done.
    Done(Job, Outcome),
    /// It comes back as [`Finished`].
    Parked,
    /// The disk holds as many as it may. The client will send it again.
    Refused(Packet),
}

impl Engine {
    /// An engine for these disks, whose answers come to this mailbox.
    ///
    /// # Errors
    ///
    /// Where there is no memory for its buffers.
    pub fn new(
        disks: Vec<Arc<Disk>>,
        cache: Arc<Cache>,
        home: Arc<Mailbox>,
        settings: Settings,
    ) -> Result<Self, aoe_xsk::Error> {
        let staging = Staging::new(settings.huge_pages)?;
        let mut lanes: Vec<Lane> = Vec::new();
        for store in disks.iter().map(|disk| disk.store()) {
            if usize::from(store.number()) == lanes.len() {
                lanes.push(Lane::of(Arc::clone(store)));
            }
        }
        Ok(Self {
            counts: vec![0; disks.len()],
            active: Vec::with_capacity(lanes.len()),
            disks,
            cache,
            settings,
            driver: Driver::new(home),
            staging,
            parked: Slab::new(),
            lanes,
            fills: Slab::with_capacity(BUFFERS),
            groups: Slab::with_capacity(BUFFERS),
            finished: VecDeque::new(),
            expired: Instant::now(),
        })
    }

    /// Messages that it has to have room for, with so many packets, from those who can't wait until
    /// there is some: other workers.
    pub const fn messages(packets: usize) -> usize {
        // Those that wait for their turn have a packet, unless they were told that it has come and
        // were given up before they heard: then their packets may be back, and wait once more.
        2 * packets + BUFFERS
    }

    /// Opens its ring, which then belongs to this thread. Without one, every disk has a thread of
    /// its own do the work.
    pub fn open_ring(&mut self) {
        let stores: Vec<_> = self.lanes.iter().map(|lane| Arc::clone(&lane.store)).collect();
        self.driver.open_ring(self.staging.region(), &stores);
    }

    /// Starts a request.
    pub fn start(&mut self, export: usize, mut job: Job) -> Started {
        match job.request.operation {
            Operation::Read(range) => {
                self.look_ahead(export, range);
                if let Some(outcome) = self.read_now(export, &mut job, range) {
                    return Started::Done(job, outcome);
                }
            }
            Operation::LookAhead(on) => {
                let disk = &self.disks[export];
                disk.image().backing.look_ahead(on);
                disk.record().update(Changes::BACKING, |target| target.with_look_ahead(on));
                return Started::Done(job, Ok(()));
            }
            _ => {}
        }
        let claim = self.disks[export].claim(&job);
        match self.park(export, What::Job(job), claim) {
            Ok(()) => Started::Parked,
            Err(What::Job(job)) => Started::Refused(job.packet),
            Err(_) => unreachable!("what comes back is what was given"),
        }
    }

    /// Starts an edit, which is answered after everything that was accepted before it. Where the
    /// disk holds as many requests as it may, returns the packet.
    pub fn start_edit(&mut self, export: usize, edit: ParkedEdit) -> Result<(), Packet> {
        let claim = Some((self.disks[export].everything(), Access::Exclusive));
        self.park(export, What::Edit(edit), claim).map_err(|what| match what {
            What::Edit(edit) => edit.packet,
            _ => unreachable!("what comes back is what was given"),
        })
    }

    #[expect(clippy::result_large_err, reason = "boxing what comes back would allocate")]
    fn park(
        &mut self,
        export: usize,
        what: What,
        claim: Option<(Sectors, Access)>,
    ) -> Result<(), What> {
        if self.counts[export] >= MOST_PARKED {
            return Err(what);
        }
        self.counts[export] += 1;
        // Before it takes its place: from then on it may be told to go ahead.
        let failures = self.disks[export].image().backing.failures();
        let entry = self.parked.vacant_entry();
        let key = entry.key();
        let placed = claim.map(|(sectors, access)| {
            self.disks[export].store().order().enter(sectors, access, self.driver.home(), key)
        });
        let (place, is_ready) = placed.map_or((None, true), |(place, ready)| (Some(place), ready));
        let since = Instant::now();
        entry.insert(Parked {
            what,
            export,
            place,
            since,
            failures,
            alone: false,
            settled: Settled::default(),
            next: None,
        });
        if is_ready {
            self.go_ahead(key);
        }
        Ok(())
    }

    /// Takes what other threads have to say.
    pub fn take(&mut self, message: Message) -> Option<Edited> {
        match message {
            Message::Ready(key) => self.ready(key),
            Message::Done(done) => self.done(done),
            Message::Saved(key, outcome) => self.saved(key, outcome),
            Message::Room(number) => self.activate(number),
            Message::Trimmed { key, bytes, outcome } => self.trimmed(key, &bytes, outcome),
            Message::Edited(key, edited) => {
                self.complete(key, Ok(()));
                return Some(edited);
            }
            Message::Order(_) => unreachable!("orders are for the worker"),
        }
        None
    }

    /// A request's turn has come.
    fn ready(&mut self, key: usize) {
        let parked = &self.parked[key];
        match &parked.what {
            // An edit may have come between this and its acceptance.
            What::Job(job) => {
                let target = self.disks[parked.export].record().current();
                if let Err(fault) = target.still_permits(job.request.source) {
                    drop(target);
                    self.complete(key, Err(fault));
                    return;
                }
            }
            // It was answered while it waited: nothing of it may be done any more.
            What::Away(_) => {
                self.complete(key, Err(Fault::Unavailable));
                return;
            }
            What::Edit(_) => {}
        }
        self.go_ahead(key);
    }

    /// Nothing is in the way of a request any more.
    fn go_ahead(&mut self, key: usize) {
        let export = self.parked[key].export;
        let number = usize::from(self.disks[export].store().number());
        let Some(request) = self.parked[key].what.request() else {
            self.delegate_edit(key);
            return;
        };
        let lane = &mut self.lanes[number];
        let writes_back = lane.store.writeback().is_some();
        match request.operation {
            Operation::Read(range) => {
                // What it has waited for may have brought it into the cache.
                if let Some(outcome) = self.read_parked(key, range) {
                    self.complete(key, outcome);
                    return;
                }
                if writes_back && self.gather(key, range) {
                    self.complete(key, Ok(()));
                    return;
                }
                self.lanes[number].reads.push(key);
            }
            Operation::Verify(_) if lane.store.is_memory() => {
                self.complete(key, Ok(()));
                return;
            }
            Operation::Verify(_) => lane.reads.push(key),
            Operation::Write { .. } if lane.store.is_memory() => {
                let outcome = self.write_now(key);
                self.complete(key, outcome);
                return;
            }
            Operation::Write { .. } => lane.writes.push(key),
            // Nothing that was written before may come after it.
            Operation::Trim | Operation::Flush if writes_back => {
                self.save(number, key);
                return;
            }
            Operation::Trim => {
                self.delegate_trim(key);
                return;
            }
            Operation::Flush => lane.written.push(key),
            Operation::LookAhead(_) => unreachable!("it is done at once"),
        }
        self.activate(number);
    }

    fn delegate_edit(&mut self, key: usize) {
        let parked = &mut self.parked[key];
        let export = parked.export;
        let What::Edit(edit) = std::mem::replace(&mut parked.what, What::Away(None)) else {
            unreachable!("an edit is with the thread only once")
        };
        let disk = &self.disks[export];
        self.driver
            .delegate(disk.store(), Chore::Edit { record: Arc::clone(disk.record()), key, edit });
    }

    fn activate(&mut self, number: usize) {
        let lane = &mut self.lanes[number];
        if !std::mem::replace(&mut lane.is_active, true) {
            self.active.push(number);
        }
    }

    /// Hands over what has come together, and takes what is done. Returns whether anything was.
    pub fn work(&mut self) -> bool {
        let mut any = false;
        let mut active = std::mem::take(&mut self.active);
        for number in active.drain(..) {
            self.lanes[number].is_active = false;
            self.hand_over_reads(number);
            self.hand_over_writes(number);
            self.hand_over_sync(number);
        }
        // Those that could not hand over everything are active once more.
        active.append(&mut self.active);
        self.active = active;
        self.driver.enter();
        for _ in 0..MOST_DONE {
            let Some(done) = self.driver.pop() else { break };
            any = true;
            self.done(done);
        }
        if self.expired.elapsed() >= EXPIRY {
            self.expired = Instant::now();
            self.expire();
        }
        any || !self.finished.is_empty()
    }

    /// The next request that is done.
    pub fn next_finished(&mut self) -> Option<Finished> {
        self.finished.pop_front()
    }

    fn done(&mut self, done: Done) {
        match done.operation.purpose {
            Purpose::Fill(fill) => self.fill_done(fill, done),
            Purpose::Group(group) => self.group_done(group, done),
            Purpose::Sync => self.sync_done(&done),
        }
    }

    /// A buffer for what a store is about to be asked for, if it may have one more.
    fn lend(&mut self, number: usize, bytes: u64) -> Option<Buffer> {
        let lane = &mut self.lanes[number];
        let buffer = (lane.held < MOST_HELD).then(|| self.staging.take(bytes as usize)).flatten();
        lane.held += usize::from(buffer.is_some());
        buffer
    }

    /// One for what nobody has asked for yet.
    fn lend_spare(&mut self, number: usize) -> Option<Buffer> {
        let buffer = self.staging.take_spare();
        self.lanes[number].held += usize::from(buffer.is_some());
        buffer
    }

    /// Takes back what a store was lent.
    fn take_back(&mut self, number: usize, buffer: Buffer) {
        self.lanes[number].held -= 1;
        self.staging.give(buffer);
    }

    /// Ends a request.
    fn complete(&mut self, key: usize, outcome: Outcome) {
        let Parked { what, export, place, .. } = self.parked.remove(key);
        self.counts[export] -= 1;
        let disk = &self.disks[export];
        if let Some(place) = place {
            disk.store().order().leave(place);
        }
        if disk.is_failed() && !disk.record().current().is_failed() {
            disk.record().update(Changes::BACKING, Target::failed);
        }
        if let What::Job(job) = what {
            self.finished.push_back(Finished { job, export, outcome });
        }
    }

    /// How many requests are not done.
    pub fn parked(&self) -> usize {
        self.parked.len()
    }

    /// Announces that its thread is about to wait for the bell of its mailbox, which disks ring,
    /// too; `false` where it must not, because one has answered.
    pub fn prepare_sleep(&mut self) -> bool {
        self.driver.prepare_sleep()
    }

    /// Ends the sleep that [`prepare_sleep`](Self::prepare_sleep) announced.
    pub fn woke(&mut self) {
        self.driver.woke();
    }
}

/// Puts those of these requests that are not done back, before those that have come meanwhile.
fn put_back(mut keys: Vec<usize>, done: Range<usize>, waiting: &mut Vec<usize>) {
    keys.drain(done);
    keys.append(waiting);
    *waiting = keys;
}

impl Lane {
    fn of(store: Arc<Store>) -> Self {
        Self {
            store,
            is_active: false,
            reads: Vec::new(),
            writes: Vec::new(),
            written: Vec::new(),
            syncing: Vec::new(),
            is_syncing: false,
            held: 0,
            streams: Streams::default(),
        }
    }
}
