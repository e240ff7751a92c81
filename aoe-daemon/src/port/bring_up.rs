//! Bringing a port up: program, sockets, workers; and taking it down again.

use super::ladder::{Failure, climb};
use super::{Facts, Settings};
use crate::control::report::{Counts, QueueReport, add_counts, xdp_counts};
use crate::exports::Offer;
use crate::link::{Link, strips_vlan_tags};
use crate::mailbox::{Mailbox, Message};
use crate::pace::Pace;
use crate::storage::engine::Engine;
use crate::target::Port;
use crate::worker::{Order, Worker};
use crate::xdp::Steering;
use anyhow::Result;
use aoe_common::steer::ServedKey;
use aoe_common::wire::{ATA_FRAME_HEADER, SECTOR_SIZE, VlanTag, sectors_per_frame};
use aoe_xsk::{CHUNK_SIZE, FRAME_OFFSET, Queue};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tracing::{debug, info, warn};

/// Most sectors per request on any port. Above it a Linux client may need more fragments for a
/// frame than its socket buffers have.
const MAX_SECTORS: usize = 17;
/// Clients that one queue has room for with all that they may send at once.
const CLIENTS: usize = 8;
/// Fewest requests that a port may say it holds: with less, Linux never uses it.
const LEAST_BUFFERS: usize = 2;
/// Most requests that a port says it holds: Linux uses no more by default.
const MOST_BUFFERS: usize = 64;
/// How long a report waits for a worker.
const REPORT_PATIENCE: Duration = Duration::from_secs(1);

/// A port in service.
pub(super) struct Running {
    steering: Steering,
    mode: &'static str,
    offer: Arc<Offer>,
    facts: Facts,
    sockets: Sockets,
    workers: Vec<Handle>,
    unfiltered: Pace,
    /// Passes on what the XDP program logs.
    log: Option<AbortHandle>,
}

/// What the least of a port's sockets can take.
#[derive(Clone, Copy)]
struct Sockets {
    /// Bytes of a frame.
    frame: usize,
    /// Chunks that are there to receive into.
    chunks: usize,
}

impl Sockets {
    fn of(queues: &[Queue]) -> Self {
        Self {
            frame: queues.iter().map(Queue::max_packet_len).min().unwrap_or(0),
            chunks: queues.iter().map(Queue::fill_target).min().unwrap_or(0) as usize,
        }
    }
}

/// A worker, seen from the control plane.
struct Handle {
    mailbox: Arc<Mailbox>,
    thread: JoinHandle<(Queue, QueueReport)>,
    unheard: Pace,
}

impl Running {
    /// Serves a link that is up.
    pub(super) fn start(
        link: &Link,
        settings: Settings,
        offer: &Arc<Offer>,
    ) -> Result<Self, Failure> {
        let mut steering = Steering::load()?;
        steering.set_mac(link.mac)?;
        let (rung, queues) = climb(link, settings, &mut steering)?;
        let sockets = Sockets::of(&queues);
        let facts = Facts::new(facts_of(link, sockets));
        let mode = rung.mode(&queues);
        info!(
            interface = link.name,
            mode,
            bind = %queues[0].mode(),
            pages = %queues[0].pages(),
            queues = queues.len(),
            mac = %link.mac,
            mtu = link.mtu,
            sectors = facts.get().max_sectors,
            "serving"
        );
        let mut workers = Vec::with_capacity(queues.len());
        for (number, queue) in (0..).zip(queues) {
            steering.set_socket(number, &queue)?;
            workers.push(spawn(link, number, queue, offer, &facts)?);
        }
        // Last: until every queue has its socket, frames for us go where they went before.
        for index in offer.offered() {
            let target = offer.export(*index).record.current();
            steering.add_target(target.vlan(), target.address())?;
        }
        let log = forward_log(&mut steering);
        let (offer, offered) = (Arc::clone(offer), offer.offered().to_vec());
        let unfiltered = Pace::default();
        let mut running = Self { steering, mode, offer, facts, sockets, workers, unfiltered, log };
        running.filter_sources(&offered);
        running.warn_of_limits(link);
        warn_of_stripping(link);
        running.announce(&offered);
        Ok(running)
    }

    /// Has the XDP program drop what these exports mask. Where it can't, they drop it themselves.
    pub(super) fn filter_sources(&mut self, exports: &[usize]) {
        let keys: BTreeSet<ServedKey> =
            exports.iter().flat_map(|index| self.offer.export(*index).keys()).collect();
        let mut failures = Vec::new();
        for key in keys {
            let sources = self.offer.sources(key);
            let (filter, entries) = sources.filter();
            failures.extend(self.steering.set_filter(key, filter, entries).err());
        }
        let Some(error) = failures.first() else { return };
        if let Some(others) = self.unfiltered.pass(Instant::now()) {
            let names = failures.len();
            warn!(names, %error, others, "frames from masked stations cost time in user space");
        }
    }

    /// Announces these exports.
    pub(super) fn announce(&self, exports: &[usize]) {
        // One of them does it for all: what they send leaves by the same interface.
        if let Some(worker) = self.workers.first() {
            worker.order(Order::Announce(exports.to_vec()));
        }
    }

    /// Takes over what has changed about the link, and tells whether that changes any reply.
    pub(super) fn adapt(&mut self, link: &Link) -> bool {
        let facts = facts_of(link, self.sockets);
        if facts == self.facts.get() {
            return false;
        }
        if let Err(error) = self.steering.set_mac(link.mac) {
            warn!(interface = link.name, %error, "the XDP program keeps the old MAC address");
        }
        self.facts.set(facts);
        info!(interface = link.name, mtu = link.mtu, sectors = facts.max_sectors, "link changed");
        self.warn_of_limits(link);
        true
    }

    fn warn_of_limits(&self, link: &Link) {
        let sectors = usize::from(self.facts.get().max_sectors);
        let fit = sectors_per_frame(link.mtu as usize).min(MAX_SECTORS);
        if fit == 0 {
            warn!(
                interface = link.name,
                mtu = link.mtu,
                "the MTU is too small for a sector: use 1500 or more"
            );
        } else if sectors < fit {
            warn!(
                interface = link.name,
                "requests are limited to {sectors} sectors instead of {fit}: this kernel or driver \
                 receives a frame into one buffer only (Linux 6.6 and a driver with XDP \
                 multi-buffer lift that)"
            );
        }
    }

    /// Finishes what is in flight, leaves the interface, and returns all that was counted.
    pub(super) fn stop(mut self) -> Counts {
        // First no new frames; what has been steered already is still answered.
        self.steering.detach();
        if let Some(log) = &self.log {
            log.abort();
        }
        for worker in &self.workers {
            worker.mailbox.stop();
        }
        let mut counts = self.counts();
        for worker in self.workers {
            match worker.thread.join() {
                Ok((queue, report)) => {
                    add_counts(&mut counts, &report.counts);
                    add_counts(&mut counts, &report.kernel);
                    close(queue);
                }
                Err(_) => warn!("a worker had failed"),
            }
        }
        counts
    }

    pub(super) fn queues(&self) -> u32 {
        self.workers.len() as u32
    }

    pub(super) fn facts(&self) -> Port {
        self.facts.get()
    }

    pub(super) const fn mode(&self) -> &'static str {
        self.mode
    }

    /// What the XDP program has counted.
    pub(super) fn counts(&self) -> Counts {
        match self.steering.counts() {
            Ok(counts) => xdp_counts(&counts),
            Err(error) => {
                warn!(%error, "no XDP counters");
                Counts::new()
            }
        }
    }

    /// How the workers do. One that does not answer is left out.
    pub(super) async fn report(&self) -> Vec<QueueReport> {
        let mut reports = Vec::with_capacity(self.workers.len());
        for worker in &self.workers {
            let (answer, report) = oneshot::channel();
            worker.order(Order::Report(answer));
            match tokio::time::timeout(REPORT_PATIENCE, report).await {
                Ok(Ok(report)) => reports.push(report),
                _ => warn!("a worker does not answer"),
            }
        }
        reports
    }
}

impl Handle {
    fn order(&self, order: Order) {
        if self.mailbox.post(Message::Order(order)).is_ok() {
            return;
        }
        if let Some(others) = self.unheard.pass(Instant::now()) {
            warn!(others, "a worker does not take orders");
        }
    }
}

/// Warns where frames lose their VLAN tags on the way to the XDP program.
fn warn_of_stripping(link: &Link) {
    match strips_vlan_tags(link.index) {
        Ok(Some(true)) => warn!(
            interface = link.name,
            "the network card takes VLAN tags off: frames of every VLAN look untagged, and exports \
             on a VLAN are out of reach; leave them on with `ethtool -K {} rxvlan off`",
            link.name
        ),
        Ok(_) => {}
        Err(error) => debug!(interface = link.name, %error, "VLAN stripping is unknown"),
    }
}

/// Starts to pass on what the XDP program logs. Without that, everything else still works.
fn forward_log(steering: &mut Steering) -> Option<AbortHandle> {
    match steering.forward_log() {
        Ok(log) => Some(tokio::spawn(log).abort_handle()),
        Err(error) => {
            warn!(%error, "the XDP program's log can't be read");
            None
        }
    }
}

/// Closes a queue whose worker has ended, and makes sure that every buffer is accounted for.
fn close(queue: Queue) {
    let census = queue.close();
    if census.application > 0 {
        warn!(%census, "requests were given up");
    } else {
        debug!(%census, "queue closed");
    }
}

fn facts_of(link: &Link, sockets: Sockets) -> Port {
    let mtu = link.mtu as usize;
    let tagged_header = ATA_FRAME_HEADER + size_of::<VlanTag>();
    let by_socket = sockets.frame.saturating_sub(tagged_header) / SECTOR_SIZE;
    let sectors = sectors_per_frame(mtu).min(by_socket).min(MAX_SECTORS);
    let longest = tagged_header + sectors * SECTOR_SIZE;
    let chunks_of_frame = longest.div_ceil(CHUNK_SIZE - FRAME_OFFSET);
    let frames = sockets.chunks / chunks_of_frame;
    let buffers = (frames / CLIENTS).clamp(LEAST_BUFFERS, MOST_BUFFERS);
    Port { mac: link.mac, mtu, max_sectors: sectors as u8, buffer_count: buffers as u16 }
}

fn spawn(
    link: &Link,
    number: u32,
    queue: Queue,
    offer: &Arc<Offer>,
    facts: &Facts,
) -> Result<Handle> {
    let exports = offer.exports();
    let messages = Engine::messages(queue.census().total as usize);
    let mailbox = Arc::new(Mailbox::new(messages)?);
    let engine = exports.engine(Arc::clone(&mailbox))?;
    let cpu = cpu_for(number);
    let offer = Arc::clone(offer);
    let worker = Worker::new(number, cpu, queue, offer, facts.view(), Arc::clone(&mailbox), engine);
    let thread =
        std::thread::Builder::new().name(format!("{}-{number}", link.name)).spawn(move || {
            pin(cpu);
            worker.run()
        })?;
    Ok(Handle { mailbox, thread, unheard: Pace::default() })
}

/// The CPU for a queue's worker: the permitted ones in turn.
fn cpu_for(queue: u32) -> Option<usize> {
    let permitted = sched_getaffinity(None).ok()?;
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| permitted.is_set(*cpu)).collect();
    cpus.get(queue as usize % cpus.len().max(1)).copied()
}

fn pin(cpu: Option<usize>) {
    let Some(cpu) = cpu else { return };
    let mut set = CpuSet::new();
    set.set(cpu);
    if let Err(error) = sched_setaffinity(None, &set) {
        warn!(cpu, %error, "a worker can't be pinned");
    }
}
