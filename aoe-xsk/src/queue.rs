//! The queue: one RX queue of an interface, its socket and its memory, for one worker thread.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::assemble::{Assembler, Unusable};
use crate::book::{Census, Owner};
use crate::chunk::CHUNK_SIZE;
use crate::config::{BindMode, QueueConfig};
use crate::error::{Error, Refusal};
use crate::packet::{FRAME_OFFSET, MAX_CHUNKS, Packet};
use crate::region::Pages;
use crate::socket::{Rings, Socket};
use crate::umem::{Hold, Place, Umem};
use crate::wake::{self, Outcome};

pub use crate::wake::{Flushed, Link};
pub use report::{Counters, OpenError, Statistics, Unsent};

mod report;

/// How often, and at what distance, [`Queue::into_umem`] looks whether the last frames are out.
const DRAIN_ROUNDS: u32 = 50;
const DRAIN_PAUSE: Duration = Duration::from_millis(1);

/// One bound AF_XDP socket with its memory. For one thread at a time, it may move to another.
///
/// The worker's loop is: [`receive`](Self::receive) a burst, [`send`](Self::send) or
/// [`recycle`](Self::recycle) each packet at some time, [`flush`](Self::flush) once. Nothing of
/// this allocates, logs, or makes a system call per packet.
pub struct Queue {
    // In this order they are dropped: the rings keep the socket alive, the socket the memory.
    rings: Rings,
    socket: Socket,
    umem: Umem,
    assembler: Assembler,
    place: Place,
    mode: BindMode,
    refusals: Vec<Refusal>,
    fill_target: u32,
    link: Link,
    counters: Counters,
}

impl Queue {
    /// Opens a queue over memory of its own.
    ///
    /// # Errors
    ///
    /// [`Error`], of which [`Error::Busy`] is worth retrying for some seconds.
    pub fn open(config: &QueueConfig) -> Result<Self, Error> {
        config.check()?;
        let umem = Umem::new(config.chunks, config.huge_pages)?;
        Self::open_with(config, umem).map_err(|failed| failed.error)
    }

    /// Opens a queue over memory that another queue had before, whose packets may still be about.
    /// `config.chunks` and `config.huge_pages` do not matter.
    ///
    /// # Errors
    ///
    /// As [`Self::open`], and the memory comes back.
    pub fn open_with(config: &QueueConfig, mut umem: Umem) -> Result<Self, Box<OpenError>> {
        let opened = config.check().and_then(|()| open_socket(config, &mut umem));
        let (socket, rings, (mode, refusals)) = match opened {
            Ok(parts) => parts,
            Err(error) => {
                umem.repossess(std::iter::empty(), Hold::Nothing);
                return Err(Box::new(OpenError { error, umem }));
            }
        };
        let place = (config.ifindex, config.queue_id);
        umem.bound(place);
        Ok(Self {
            rings,
            socket,
            umem,
            assembler: Assembler::new(),
            place,
            mode,
            refusals,
            fill_target: config.fill_target,
            link: Link::Up,
            counters: Counters::default(),
        })
    }

    /// Appends up to `max` packets that have arrived to `out`, and returns how many. Give `out`
    /// that much capacity beforehand, and nothing is allocated.
    pub fn receive(&mut self, out: &mut Vec<Packet>, max: usize) -> usize {
        let mut received = 0;
        while received < max {
            let Some(descriptor) = self.rings.receive.pop() else { break };
            match self.assembler.push(&mut self.umem, descriptor) {
                None => {}
                Some(Ok(packet)) => {
                    out.push(packet);
                    received += 1;
                }
                Some(Err(Unusable::Oversized)) => self.counters.oversized += 1,
                Some(Err(Unusable::Invalid)) => self.counters.invalid += 1,
            }
        }
        self.rings.receive.release();
        self.counters.received += received as u64;
        received
    }

    /// See [`Umem::allocate`].
    pub fn allocate(&mut self, len: usize) -> Option<Packet> {
        self.umem.allocate(len)
    }

    /// See [`Umem::resize`].
    ///
    /// # Panics
    ///
    /// If the packet is of another queue's memory.
    pub fn resize(&mut self, packet: &mut Packet, len: usize) -> bool {
        self.umem.resize(packet, len)
    }

    /// Takes a packet back that is not to be sent.
    ///
    /// # Panics
    ///
    /// If the packet is of another queue's memory.
    pub fn recycle(&mut self, packet: Packet) {
        self.umem.recycle(packet);
    }

    /// Puts a packet into the TX ring, all of it or nothing. [`Self::flush`] makes the kernel see
    /// it.
    ///
    /// # Errors
    ///
    /// [`Unsent`], with the packet.
    ///
    /// # Panics
    ///
    /// If the packet is of another queue's memory.
    pub fn send(&mut self, packet: Packet) -> Result<(), Unsent> {
        self.umem.assert_ours(&packet);
        if packet.chunks() > 1 && !self.mode.is_scatter() {
            return Err(Unsent::Scattered(packet));
        }
        let chunks = packet.chunks() as u32;
        if !self.rings.transmit.has_room(chunks) {
            self.reap();
            self.counters.no_room += 1;
            return Err(Unsent::NoRoom(packet));
        }
        let mut left = chunks;
        for segment in packet.into_parts() {
            left -= 1;
            let len = u32::from(segment.len);
            let options = if left > 0 { libc::XDP_PKT_CONTD } else { 0 };
            let addr = self.umem.transmit(segment);
            let pushed = self.rings.transmit.push(libc::xdp_desc { addr, len, options });
            debug_assert!(pushed, "room was made sure of");
        }
        self.counters.sent += 1;
        Ok(())
    }

    /// Once per burst: takes back what was sent, lends the kernel chunks to receive into, publishes
    /// what [`Self::send`] has queued, and wakes the kernel where its rings ask for that.
    pub fn flush(&mut self) -> Flushed {
        self.reap();
        lend(&mut self.umem, &mut self.rings, self.fill_target);
        self.rings.transmit.publish();
        debug_assert!(self.is_balanced(), "{}", self.census());
        if self.link != Link::Gone && self.rings.fill.needs_wakeup() {
            self.counters.receive_wakeups += 1;
            self.link = wake::receive(self.socket.as_fd());
        }
        if self.link == Link::Gone {
            return Flushed::Gone;
        }
        let Outcome { flushed, calls, link } = wake::transmit(
            self.socket.as_fd(),
            &mut self.rings.transmit,
            self.mode.is_zero_copy(),
            self.link,
        );
        self.counters.transmit_wakeups += u64::from(calls);
        self.link = link;
        flushed
    }

    /// Takes the chunks back that have been sent.
    fn reap(&mut self) {
        while let Some(address) = self.rings.completion.pop() {
            if !self.umem.sent(address) {
                self.counters.invalid += 1;
            }
        }
        self.rings.completion.release();
    }

    /// The longest packet that the socket receives and sends, in bytes. Without scatter-gather it
    /// is what one chunk holds behind the headroom; what is longer is dropped by the kernel.
    #[must_use]
    pub fn max_packet_len(&self) -> usize {
        let chunks = if self.mode.is_scatter() { MAX_CHUNKS } else { 1 };
        chunks * (CHUNK_SIZE - FRAME_OFFSET)
    }

    /// How many chunks are there to receive into when nothing is being received.
    #[must_use]
    pub fn fill_target(&self) -> u32 {
        self.fill_target
    }

    /// The mode that the socket really got.
    #[must_use]
    pub fn mode(&self) -> BindMode {
        self.mode
    }

    /// The better modes that were refused, in the order they were tried.
    #[must_use]
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// The pages behind the packets.
    #[must_use]
    pub fn pages(&self) -> &Pages {
        self.umem.pages()
    }

    /// Who owns how many chunks.
    #[must_use]
    pub fn census(&self) -> Census {
        self.umem.census()
    }

    /// What happened since the queue was opened.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What the kernel has counted since the queue was opened.
    ///
    /// # Errors
    ///
    /// [`Error::System`], never in practice.
    pub fn statistics(&self) -> Result<Statistics, Error> {
        self.socket.statistics().map(Statistics::from)
    }

    /// The interface's state when the kernel was last woken.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link
    }

    /// Asks for the interface's state, with a system call. For a worker that is idle: an interface
    /// that disappears says nothing by itself.
    pub fn probe_link(&mut self) -> Link {
        if self.link != Link::Gone {
            self.link = wake::receive(self.socket.as_fd());
        }
        self.link
    }

    /// Checks that no chunk is lost or doubled, and that the book agrees with the rings. For
    /// shutdown and tests: it looks at every chunk.
    ///
    /// # Panics
    ///
    /// If it does not balance.
    pub fn assert_conserved(&self) {
        self.umem.assert_conserved();
        assert!(self.is_balanced(), "the rings disagree with the book: {}", self.census());
    }

    /// Whether the kernel has as many chunks as went into one ring and did not come out of the
    /// other. A descriptor that made no sense has upset this sum.
    fn is_balanced(&self) -> bool {
        let Rings { fill, receive, transmit, completion } = &self.rings;
        let filled = fill.index().wrapping_sub(receive.index());
        let sending = transmit.index().wrapping_sub(completion.index());
        let census = self.census();
        self.counters.invalid > 0 || (filled, sending) == (census.fill, census.transmit)
    }

    /// Closes the socket and keeps the memory, for a new socket or for packets that are still
    /// about. Waits up to 50 ms for frames to go out, if the link is up.
    ///
    /// Chunks that the kernel may still use after the close are retired. Binding a new socket to
    /// the same queue with this memory frees them.
    #[must_use = "dropping the memory is closing the queue"]
    pub fn into_umem(mut self) -> Umem {
        for _ in 0..DRAIN_ROUNDS {
            let flushed = self.flush();
            let over = matches!(flushed, Flushed::LinkDown | Flushed::Gone);
            if over || self.umem.count(Owner::Transmit) == 0 {
                break;
            }
            std::thread::sleep(DRAIN_PAUSE);
        }
        let hold = match (self.probe_link(), self.mode.is_zero_copy()) {
            (Link::Gone, true) => Hold::Nothing,
            (_, true) => Hold::Everything(self.place),
            (_, false) => Hold::Taken(self.place),
        };
        let Self { mut rings, socket, mut umem, .. } = self;
        let untaken: Vec<u64> =
            rings.transmit.untaken().map(|descriptor| descriptor.addr).collect();
        drop((rings, socket));
        umem.repossess(untaken.into_iter(), hold);
        umem
    }

    /// Closes the queue and says where its chunks were in the end. All that are not free or retired
    /// are with packets that were not given back.
    pub fn close(self) -> Census {
        let umem = self.into_umem();
        umem.assert_conserved();
        umem.census()
    }
}

impl AsFd for Queue {
    /// For poll: readable when packets have arrived. Don't poll for writing, it is nearly always
    /// possible. A deleted interface is not reported by poll: after a while without packets, call
    /// [`Queue::probe_link`].
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

type Opened = (Socket, Rings, (BindMode, Vec<Refusal>));

fn open_socket(config: &QueueConfig, umem: &mut Umem) -> Result<Opened, Error> {
    let (socket, mut rings) = Socket::open(umem.extent(), config)?;
    lend(umem, &mut rings, config.fill_target);
    let bound = socket.bind(config)?;
    Ok((socket, rings, bound))
}

/// Lends the kernel free chunks until it has `target`, the fill ring is full or none is free.
fn lend(umem: &mut Umem, rings: &mut Rings, target: u32) {
    while umem.count(Owner::Fill) < target && rings.fill.has_room(1) {
        let Some(address) = umem.lend() else { break };
        let pushed = rings.fill.push(address);
        debug_assert!(pushed, "room was made sure of");
    }
    rings.fill.publish();
}
