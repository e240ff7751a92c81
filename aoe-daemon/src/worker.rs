//! The loop between a receive queue and the disks: one pinned thread for each queue.
//!
//! Each pass takes a burst of frames from the ring, brings every one as far as it goes, and sends
//! what is answered with one wake-up. Requests that wait for a disk are parked there and come back
//! through the mailbox. Nothing on the way allocates, locks or logs.

mod announcements;
mod fanout;

use crate::control::report::{QueueReport, buffer_counts, kernel_counts, worker_counts};
use crate::exports::{Offer, Targets};
use crate::mailbox::{Mailbox, Message};
use crate::port::FactsView;
use crate::stats::{Stat, Stats};
use crate::storage::engine::{Engine, Started};
use crate::storage::{Edited, Finished, Job, ParkedEdit};
use crate::target::{Edit, Ignored, Operation, Outcome, Step};
use announcements::Announcements;
use aoe_common::address::Destination;
use aoe_common::steer::{self, FrameBytes, Framing, ServedKey, Verdict};
use aoe_common::wire::AoeHeader;
use aoe_xsk::{Flushed, Link, Packet, Queue, Unsent};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tracing::warn;

/// Frames taken from the ring in one pass.
const BURST: usize = 64;
/// How long a worker looks for more work before it sleeps. Longer than a client on the same
/// segment takes to send its next request, so that a busy worker never pays for being woken.
const SPIN: Duration = Duration::from_micros(50);
/// How long a sleep lasts at most while replies wait for the link.
const RETRY: Duration = Duration::from_millis(10);
/// How long a sleep lasts at most while disks work.
const LOOK: Duration = Duration::from_secs(1);
/// How long a stopping worker waits for parked requests and for replies to leave.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// What the control plane can want from a worker.
pub enum Order {
    /// Tell how things are.
    Report(oneshot::Sender<QueueReport>),
    /// Announce these of the port's exports.
    Announce(Vec<usize>),
}

/// A worker before its thread starts.
pub struct Worker {
    number: u32,
    cpu: Option<usize>,
    queue: Queue,
    offer: Arc<Offer>,
    targets: Targets,
    port: FactsView,
    stats: Stats,
    mailbox: Arc<Mailbox>,
    burst: Vec<Packet>,
    /// Frames to wildcard addresses, with how many of the matching exports have had theirs.
    fanout: VecDeque<(Packet, usize)>,
    /// Replies that the transmit ring had no room for, oldest first.
    outbox: VecDeque<Packet>,
    announcements: Announcements,
    engine: Engine,
}

impl Worker {
    /// A worker for the queue of this number, to run on this CPU.
    pub fn new(
        number: u32,
        cpu: Option<usize>,
        queue: Queue,
        offer: Arc<Offer>,
        port: FactsView,
        mailbox: Arc<Mailbox>,
        engine: Engine,
    ) -> Self {
        let chunks = queue.census().total as usize;
        let offer_size = offer.exports().all().len();
        Self {
            number,
            cpu,
            queue,
            targets: Targets::of(offer.exports()),
            offer,
            port,
            stats: Stats::default(),
            mailbox,
            burst: Vec::with_capacity(BURST),
            fanout: VecDeque::with_capacity(chunks),
            outbox: VecDeque::with_capacity(chunks),
            announcements: Announcements::of(offer_size),
            engine,
        }
    }

    /// Works until ordered to stop, then returns the queue with nothing in flight, and what was
    /// counted.
    pub fn run(mut self) -> (Queue, QueueReport) {
        self.engine.open_ring();
        let mut last_work = Instant::now();
        while !self.mailbox.is_stopped() {
            let worked = self.pass();
            if worked {
                last_work = Instant::now();
            } else if last_work.elapsed() >= SPIN {
                self.sleep();
                last_work = Instant::now();
            }
        }
        self.drain();
        let report = self.report();
        for packet in self.engine.give_up() {
            self.queue.recycle(packet);
        }
        (self.queue, report)
    }

    /// One pass over everything that may have work; whether there was any.
    fn pass(&mut self) -> bool {
        let offer = Arc::clone(&self.offer);
        let mut worked = self.read_mailbox();
        worked |= self.resend();
        worked |= self.continue_fanout(&offer);
        if self.takes_frames() {
            let mut burst = std::mem::take(&mut self.burst);
            worked |= self.queue.receive(&mut burst, BURST) > 0;
            self.stats.add(Stat::Received, burst.len() as u64);
            for packet in burst.drain(..) {
                self.receive(&offer, packet);
            }
            self.burst = burst;
            // After the requests: they never wait for announcements.
            worked |= self.announce();
        }
        // Here, so that what has come in one burst reaches the disks together.
        worked |= self.engine.work();
        while let Some(Finished { job, export, outcome }) = self.engine.next_finished() {
            self.finish(export, job, outcome);
        }
        worked | (self.queue.flush() == Flushed::Pending)
    }

    /// Whether frames are taken from the ring. Replies that wait and wildcards that are not
    /// answered yet hold them back: they may wait in the ring, but here they would take the buffers
    /// that those replies need.
    fn takes_frames(&self) -> bool {
        self.outbox.is_empty() && self.fanout.is_empty()
    }

    fn read_mailbox(&mut self) -> bool {
        let mut any = false;
        while let Some(message) = self.mailbox.take() {
            any = true;
            match message {
                Message::Order(Order::Report(answer)) => {
                    // Whoever asked may have lost patience.
                    let _ = answer.send(self.report());
                }
                Message::Order(Order::Announce(exports)) => self.announcements.add(&exports),
                message => {
                    if let Some(edited) = self.engine.take(message) {
                        self.finish_edit(edited);
                    }
                }
            }
        }
        any
    }

    /// A frame from the ring: to the one export that it is for, or to each in turn.
    fn receive(&mut self, offer: &Offer, packet: Packet) {
        let Some((framing, key)) = self.examine(offer, packet.head()) else {
            self.discard(packet, Stat::DroppedNotOurs);
            return;
        };
        match *offer.named(key) {
            [export] => self.accept(export, framing, packet),
            _ => self.fanout.push_back((packet, 0)),
        }
    }

    /// Where the headers of a frame for us are and whom it names; `None` where it is not for us.
    fn examine(&mut self, offer: &Offer, frame: &[u8]) -> Option<(Framing, ServedKey)> {
        let Verdict::Steer = steer::verdict(frame, self.port.load().mac, offer) else {
            return None;
        };
        let (_, framing) = steer::framing(frame)?;
        let aoe = frame.header::<AoeHeader>(framing.aoe_offset)?;
        let to = Destination { shelf: aoe.shelf.get(), slot: aoe.slot };
        Some((framing, ServedKey::new(framing.vlan_id, to)))
    }

    fn accept(&mut self, index: usize, framing: Framing, mut packet: Packet) {
        let length = packet.len();
        let port = **self.port.load();
        match self.targets.look(index).accept(&port, framing, packet.head_mut(), length) {
            Step::Ignore(reason) => self.discard(packet, dropped(reason)),
            Step::Reply(length) => {
                self.stats.add(Stat::Immediate, 1);
                self.reply(packet, length);
            }
            Step::Io(request) => self.start(index, Job { packet, request }),
            Step::Persist(edit) => self.start_edit(index, packet, edit),
        }
    }

    /// Gives a request to storage, and answers it if that is done at once.
    fn start(&mut self, index: usize, mut job: Job) {
        let operation = job.request.operation;
        self.stats.add(accepted(operation), 1);
        // The reply to a read is longer than the request: storage reads right into it.
        if matches!(operation, Operation::Read(_))
            && !self.queue.resize(&mut job.packet, job.request.frame_length())
        {
            self.discard(job.packet, Stat::DroppedNoBuffer);
            return;
        }
        match self.engine.start(index, job) {
            Started::Done(job, outcome) => {
                if matches!(operation, Operation::Read(_)) {
                    self.stats.add(Stat::ReadHits, 1);
                }
                self.finish(index, job, outcome);
            }
            Started::Parked => {}
            Started::Refused(packet) => self.discard(packet, Stat::DroppedDiskBusy),
        }
    }

    fn finish(&mut self, export: usize, job: Job, outcome: Outcome) {
        let Job { mut packet, request } = job;
        let bytes = request.operation.data_length() as u64;
        match (request.operation, outcome) {
            (_, Err(_)) => self.stats.add(Stat::Failed, 1),
            (Operation::Read(_), Ok(())) => self.stats.add(Stat::BytesRead, bytes),
            (Operation::Write { .. }, Ok(())) => self.stats.add(Stat::BytesWritten, bytes),
            (_, Ok(())) => {}
        }
        let port = **self.port.load();
        let target = self.targets.look(export);
        match target.finish(&port, request, packet.head_mut(), outcome) {
            Some(length) => self.reply(packet, length),
            None => self.discard(packet, Stat::DroppedMasked),
        }
    }

    /// Gives an edit to the disk before which the target is: it is answered after what was
    /// accepted before it.
    fn start_edit(&mut self, index: usize, packet: Packet, edit: Edit) {
        self.stats.add(Stat::Edits, 1);
        let port = **self.port.load();
        if let Err(packet) = self.engine.start_edit(index, ParkedEdit { packet, edit, port }) {
            self.discard(packet, Stat::DroppedDiskBusy);
        }
    }

    fn finish_edit(&mut self, edited: Edited) {
        let Edited { mut packet, edit, answer } = edited;
        let Some((answer, target)) = answer else {
            self.discard(packet, Stat::DroppedMasked);
            return;
        };
        match target.finish_edit(self.port.load(), &edit, packet.head_mut(), answer) {
            Some(length) => self.reply(packet, length),
            None => self.discard(packet, Stat::DroppedNarrowLink),
        }
    }

    fn reply(&mut self, mut packet: Packet, length: usize) {
        if !self.queue.resize(&mut packet, length) {
            self.discard(packet, Stat::DroppedNoBuffer);
            return;
        }
        // Behind those that wait already: replies keep their order.
        if self.outbox.is_empty() {
            self.send(packet);
        } else {
            self.outbox.push_back(packet);
        }
    }

    /// Gives a reply to the transmit ring, or keeps it at the head of the outbox.
    fn send(&mut self, packet: Packet) -> bool {
        match self.queue.send(packet) {
            Ok(()) => {
                self.stats.add(Stat::Replied, 1);
                true
            }
            Err(Unsent::NoRoom(packet)) => {
                self.outbox.push_front(packet);
                false
            }
            // The port's sector count follows from what its sockets take, so that no reply is
            // too long for them, unless the port had other sockets when it was asked for.
            Err(Unsent::Scattered(packet)) => {
                self.discard(packet, Stat::DroppedNoBuffer);
                true
            }
        }
    }

    fn resend(&mut self) -> bool {
        let mut any = false;
        while let Some(packet) = self.outbox.pop_front() {
            if !self.send(packet) {
                break;
            }
            any = true;
        }
        any
    }

    fn discard(&mut self, packet: Packet, reason: Stat) {
        self.stats.add(reason, 1);
        self.queue.recycle(packet);
    }

    /// Waits for a frame, a message, or the time to try again what could not be sent.
    fn sleep(&mut self) {
        if self.mailbox.prepare_sleep() && self.engine.prepare_sleep() {
            self.wait();
        }
        self.engine.woke();
        self.mailbox.woke();
    }

    fn wait(&mut self) {
        let waits = matches!(self.queue.flush(), Flushed::Pending | Flushed::LinkDown);
        let pending = waits || !self.takes_frames() || !self.announcements.is_empty();
        // What storage has may come to be too old, which nobody rings for.
        let timeout = match (pending, self.engine.parked()) {
            (true, _) => Some(RETRY),
            (false, 0) => None,
            (false, _) => Some(LOOK),
        };
        let mut fds = [
            PollFd::from_borrowed_fd(self.mailbox.bell(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.queue.as_fd(), PollFlags::IN),
        ];
        // Frames that are not taken now, and a port that is gone, would end every poll at once.
        let listens = self.takes_frames() && !self.is_gone();
        let waiting = if listens { &mut fds[..] } else { &mut fds[..1] };
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        // An interrupted poll is as good as one that found nothing.
        let _ = poll(waiting, timeout.as_ref());
    }

    /// Whether the interface is no more. The control plane will notice, too, and stop this worker.
    fn is_gone(&self) -> bool {
        self.queue.link() == Link::Gone
    }

    fn report(&self) -> QueueReport {
        QueueReport {
            queue: self.number,
            cpu: self.cpu,
            bind: self.queue.mode().to_string(),
            pages: self.queue.pages().to_string(),
            counts: worker_counts(&self.stats),
            buffers: buffer_counts(&self.queue.census()),
            kernel: kernel_counts(&self.queue.statistics().unwrap_or_default()),
        }
    }

    /// Brings to its end what has been accepted: parked requests come back, replies leave.
    fn drain(&mut self) {
        let deadline = Instant::now() + STOP_PATIENCE;
        loop {
            self.pass();
            let unsent = !self.takes_frames() || self.queue.census().transmit > 0;
            let can_send = self.queue.link() == Link::Up;
            let parked = self.engine.parked();
            if parked == 0 && !(unsent && can_send) {
                break;
            }
            if Instant::now() >= deadline {
                warn!(parked, unsent = self.outbox.len(), "gave up waiting");
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let left: Vec<Packet> =
            self.fanout.drain(..).map(|(packet, _)| packet).chain(self.outbox.drain(..)).collect();
        for packet in left {
            self.discard(packet, Stat::DroppedPortGone);
        }
    }
}

const fn dropped(reason: Ignored) -> Stat {
    match reason {
        Ignored::Masked => Stat::DroppedMasked,
        Ignored::OtherString => Stat::OtherString,
        Ignored::Short => Stat::DroppedShort,
        Ignored::WildcardVersion => Stat::DroppedVersion,
        Ignored::NarrowLink => Stat::DroppedNarrowLink,
    }
}

const fn accepted(operation: Operation) -> Stat {
    match operation {
        Operation::Read(_) => Stat::Reads,
        Operation::Write { .. } => Stat::Writes,
        Operation::Flush => Stat::Flushes,
        Operation::Trim => Stat::Trims,
        Operation::Verify(_) | Operation::LookAhead(_) => Stat::OtherCommands,
    }
}
