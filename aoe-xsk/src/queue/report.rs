//! What a queue tells: its counters, the kernel's, and what could not be done.

use crate::error::Error;
use crate::packet::Packet;
use crate::umem::Umem;

/// What happened on a queue since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets delivered by [`Queue::receive`](crate::Queue::receive).
    pub received: u64,
    /// Packets put into the TX ring.
    pub sent: u64,
    /// Packets thrown away because they had more than [`MAX_CHUNKS`](crate::MAX_CHUNKS) chunks.
    pub oversized: u64,
    /// Packets thrown away, and completions ignored, because a descriptor made no sense. Always
    /// zero with a sound kernel and driver.
    pub invalid: u64,
    /// Packets given back by [`Queue::send`](crate::Queue::send) for lack of room in the TX ring.
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

impl From<libc::xdp_statistics> for Statistics {
    fn from(raw: libc::xdp_statistics) -> Self {
        Self {
            rx_dropped: raw.rx_dropped,
            rx_invalid_descs: raw.rx_invalid_descs,
            tx_invalid_descs: raw.tx_invalid_descs,
            rx_ring_full: raw.rx_ring_full,
            rx_fill_ring_empty: raw.rx_fill_ring_empty_descs,
            tx_ring_empty: raw.tx_ring_empty_descs,
        }
    }
}

/// A packet that was not sent, and why.
#[derive(Debug)]
pub enum Unsent {
    /// The TX ring has no room for all of it: try again after [`Queue::flush`](crate::Queue::flush), or drop it.
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
    pub error: Error,
    /// The memory, to try again with.
    pub umem: Umem,
}
