//! What a queue is opened with: which queue, which modes, how many chunks, how long the rings.

use std::fmt;

use crate::error::Error;
use crate::region::HugePages;

/// One rung of the bind ladder. The kernel is never left to choose by itself: what it would choose
/// silently changes speed, and what packets fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BindMode {
    /// The NIC writes into our chunks; a packet may span several.
    ZeroCopyScatter,
    /// The NIC writes into our chunks; a packet is one chunk.
    ZeroCopy,
    /// The kernel copies into our chunks; a packet may span several. Linux 6.6 or later.
    CopyScatter,
    /// The kernel copies into our chunks; a packet is one chunk.
    Copy,
}

impl BindMode {
    /// Every rung, best first.
    pub const LADDER: [Self; 4] =
        [Self::ZeroCopyScatter, Self::ZeroCopy, Self::CopyScatter, Self::Copy];

    /// Whether the NIC itself writes into the chunks.
    #[must_use]
    pub const fn is_zero_copy(self) -> bool {
        matches!(self, Self::ZeroCopyScatter | Self::ZeroCopy)
    }

    /// Whether a packet may span several chunks.
    #[must_use]
    pub const fn is_scatter(self) -> bool {
        matches!(self, Self::ZeroCopyScatter | Self::CopyScatter)
    }

    /// The flags of `struct sockaddr_xdp`. NEED_WAKEUP always: without it every burst would pay
    /// for a system call that the driver does not need.
    pub(crate) const fn flags(self) -> u16 {
        let copy = if self.is_zero_copy() { libc::XDP_ZEROCOPY } else { libc::XDP_COPY };
        let scatter = if self.is_scatter() { libc::XDP_USE_SG } else { 0 };
        copy | scatter | libc::XDP_USE_NEED_WAKEUP
    }
}

impl fmt::Display for BindMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZeroCopyScatter => "zero-copy with scatter-gather",
            Self::ZeroCopy => "zero-copy",
            Self::CopyScatter => "copy with scatter-gather",
            Self::Copy => "copy",
        })
    }
}

/// How to open a [`Queue`](crate::Queue).
///
/// The default sizes, for one queue of 16 MiB: of 4096 chunks, 2048 are lent to the kernel for
/// receiving. A full RX ring holds 1024 of them, and 1024 are left for what arrives meanwhile. The
/// other 2048 are for a full TX ring (1024) and for packets that wait for a disk (1024). The fill
/// ring has 4096 entries although 2048 are lent, because the kernel publishes how far it has read
/// in batches only: a fill ring that could just hold them would look full when it is not. The
/// completion ring is longer than the TX ring, so that the kernel never has to stop sending for it.
#[derive(Debug, Clone)]
pub struct QueueConfig {
    /// The interface, as `if_nametoindex` has it.
    pub ifindex: u32,
    /// The RX queue of the interface.
    pub queue_id: u32,
    /// The permitted modes, tried in this order.
    pub modes: Vec<BindMode>,
    /// How many chunks of 4 KiB the queue owns. Used by [`Queue::open`](crate::Queue::open) only.
    pub chunks: u32,
    /// What the chunks are on. Used by [`Queue::open`](crate::Queue::open) only.
    pub huge_pages: HugePages,
    /// How many of the chunks are lent to the kernel for receiving.
    pub fill_target: u32,
    /// Entries of the RX ring, a power of two.
    pub rx_ring: u32,
    /// Entries of the TX ring, a power of two.
    pub tx_ring: u32,
    /// Entries of the fill ring, a power of two greater than `fill_target`.
    pub fill_ring: u32,
    /// Entries of the completion ring, a power of two, at least `tx_ring`.
    pub completion_ring: u32,
}

impl QueueConfig {
    /// The default sizes and the whole ladder, for one RX queue of one interface.
    #[must_use]
    pub fn new(ifindex: u32, queue_id: u32) -> Self {
        Self {
            ifindex,
            queue_id,
            modes: BindMode::LADDER.to_vec(),
            chunks: 4096,
            huge_pages: HugePages::Use,
            fill_target: 2048,
            rx_ring: 1024,
            tx_ring: 1024,
            fill_ring: 4096,
            completion_ring: 4096,
        }
    }

    /// Checks what the kernel would answer with a bare EINVAL, or not at all.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let rings = [self.rx_ring, self.tx_ring, self.fill_ring, self.completion_ring];
        let checks = [
            (rings.iter().all(|size| size.is_power_of_two()), "a ring size is no power of two"),
            (self.fill_ring > self.fill_target, "the fill ring must exceed the fill target"),
            (self.completion_ring >= self.tx_ring, "the completion ring is below the TX ring"),
            (self.fill_target > 0, "the fill target is zero: nothing would be received"),
            (!self.modes.is_empty(), "no bind mode is permitted"),
        ];
        checks
            .into_iter()
            .find(|(holds, _)| !holds)
            .map_or(Ok(()), |(_, text)| Err(Error::Config(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_is_the_documented_flag_words() {
        assert_eq!(BindMode::LADDER.map(BindMode::flags), [0x1c, 0x0c, 0x1a, 0x0a]);
    }

    #[test]
    fn the_defaults_are_sound() {
        QueueConfig::new(1, 0).check().unwrap();
    }

    #[test]
    fn each_bad_size_is_refused() {
        let good = QueueConfig::new(1, 0);
        let bad = [
            QueueConfig { rx_ring: 1000, ..good.clone() },
            QueueConfig { fill_ring: good.fill_target, ..good.clone() },
            QueueConfig { completion_ring: good.tx_ring / 2, ..good.clone() },
            QueueConfig { fill_target: 0, ..good.clone() },
            QueueConfig { modes: Vec::new(), ..good },
        ];
        for config in bad {
            assert!(matches!(config.check(), Err(Error::Config(_))), "{config:?}");
        }
    }
}
