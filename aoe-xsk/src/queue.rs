//! The queue: one RX queue of an interface, its socket and its memory, for one worker thread.

use std::io;
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

/// How often, and at what distance, [`Queue::into_umem`] looks whether the last frames are out.
const DRAIN_ROUNDS: u32 = 50;
const DRAIN_PAUSE: Duration = Duration::from_millis(1);

/// What happened on a queue since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets delivered by [`Queue::receive`].
    pub received: u64,
    /// Packets put into the TX ring.
    pub sent: u64,
    /// Packets thrown away because they had more than [`MAX_CHUNKS`] chunks.
    pub oversized: u64,
    /// Packets thrown away, and completions ignored, because a descriptor made no sense. Always
    /// zero with a sound kernel and driver.
    pub invalid: u64,
    /// Packets given back by [`Queue::send`] for lack of room in the TX ring.
    pub no_room: u64,
    /// System calls to wake the kernel for sending.
    pub transmit_wakeups: u64,
    /// System calls to wake the driver for receiving.
    pub receive_wakeups: u64,
}

/// The kernel's own counters of the socket. What an older kernel does not count is zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Packets dropped by the kernel, among others for being longer than a chunk without
    /// scatter-gather.
    pub rx_dropped: u64,
    /// Invalid descriptors in the fill ring.
    pub rx_invalid_descs: u64,
    /// Invalid descriptors in the TX ring.
    pub tx_invalid_descs: u64,
    /// Packets dropped because the RX ring was full.
    pub rx_ring_full: u64,
    /// Times the kernel found the fill ring empty.
    pub rx_fill_ring_empty: u64,
    /// Times the kernel found the TX ring empty.
    pub tx_ring_empty: u64,
}

/// A packet that was not sent, and why.
#[derive(Debug)]
pub enum Unsent {
    /// The TX ring has no room for all of it: try again after [`Queue::flush`], or drop it.
    NoRoom(Packet),
    /// It has several chunks, and the socket is bound without scatter-gather: the kernel would
    /// lose it without a word. It will never go out on this socket.
    Scattered(Packet),
}

impl Unsent {
    /// The packet itself.
    #[must_use]
    pub fn into_packet(self) -> Packet {
        match self {
            Self::NoRoom(packet) | Self::Scattered(packet) => packet,
        }
    }
}

/// A queue that could not be opened, and the memory that was meant for it.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct OpenError {
    /// Why.
    #[source]
    pub error: Error,
    /// The memory, to try again with.
    pub umem: Umem,
}

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
        let umem = Umem::new(config.chunks)?;
        Self::open_with(config, umem).map_err(|failed| failed.error)
    }

    /// Opens a queue over memory that another queue had before, whose packets may still be about.
    /// `config.chunks` does not matter.
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
        let raw = self.socket.statistics().map_err(statistics_error)?;
        Ok(Statistics {
            rx_dropped: raw.rx_dropped,
            rx_invalid_descs: raw.rx_invalid_descs,
            tx_invalid_descs: raw.tx_invalid_descs,
            rx_ring_full: raw.rx_ring_full,
            rx_fill_ring_empty: raw.rx_fill_ring_empty_descs,
            tx_ring_empty: raw.tx_ring_empty_descs,
        })
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
    /// possible.
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

fn statistics_error(source: io::Error) -> Error {
    Error::System { call: "getsockopt(XDP_STATISTICS)", source }
}
