//! The single-producer single-consumer ring that AF_XDP is made of, four times a socket.
//!
//! Both indices run freely through all of `u32` and wrap; a slot is an index masked by the ring's
//! size, a power of two. The producer writes slots, then publishes its index with Release; the
//! consumer loads that index with Acquire, then reads the slots, and publishes how far it has read
//! likewise. Each side keeps its own index, and a copy of the other's that it refreshes only when
//! the copy does not suffice, so that the cache line of the other side is touched once a burst.
//!
//! The ring is generic over the memory: the kernel's in use ([`Mapped`](crate::mapped::Mapped)), the
//! heap's in tests. All indices start at zero, on both sides. It is generic over the atomics as well,
//! so that loom can try every order in which two threads may see each other's accesses: that is what
//! `models` does, under `--cfg loom` only.

use std::sync::atomic::{AtomicU32, Ordering, fence};

/// An index or the flags of a ring: the standard library's atomic, or loom's.
pub(crate) trait Word {
    fn load(&self, order: Ordering) -> u32;
    fn store(&self, value: u32, order: Ordering);
    /// A fence between accesses to words.
    fn fence(order: Ordering);
}

impl Word for AtomicU32 {
    fn load(&self, order: Ordering) -> u32 {
        AtomicU32::load(self, order)
    }

    fn store(&self, value: u32, order: Ordering) {
        AtomicU32::store(self, value, order);
    }

    fn fence(order: Ordering) {
        fence(order);
    }
}

/// The memory of a ring. A slot is always below `size`.
pub(crate) trait Memory {
    /// What indices and flags are.
    type Word: Word;
    /// What a slot holds.
    type Slot: Copy;
    /// How many slots there are, a power of two.
    fn size(&self) -> u32;
    fn producer(&self) -> &Self::Word;
    fn consumer(&self) -> &Self::Word;
    fn flags(&self) -> &Self::Word;
    fn read(&self, slot: u32) -> Self::Slot;
    fn write(&mut self, slot: u32, value: Self::Slot);
}

/// The side that writes: of the fill ring and of the TX ring.
pub(crate) struct Producer<M> {
    memory: M,
    /// The next index to write. Beyond the published one by what was pushed since.
    next: u32,
    /// How far the consumer is known to have read.
    consumed: u32,
}

impl<M: Memory> Producer<M> {
    pub(crate) fn new(memory: M) -> Self {
        Self { memory, next: 0, consumed: 0 }
    }

    /// Whether `count` slots can be pushed.
    pub(crate) fn has_room(&mut self, count: u32) -> bool {
        if self.room() < count {
            self.consumed = self.memory.consumer().load(Ordering::Acquire);
        }
        self.room() >= count
    }

    fn room(&self) -> u32 {
        // A consumer index that is ahead of ours can't be: it would make the ring overfull. Then
        // there is no room, which is the answer that harms nothing.
        self.memory.size().saturating_sub(self.next.wrapping_sub(self.consumed))
    }

    /// Writes one slot, to be seen by the consumer after [`Self::publish`]. False if the ring is
    /// full.
    #[must_use]
    pub(crate) fn push(&mut self, value: M::Slot) -> bool {
        if !self.has_room(1) {
            return false;
        }
        let slot = self.next & (self.memory.size() - 1);
        self.memory.write(slot, value);
        self.next = self.next.wrapping_add(1);
        true
    }

    /// Shows the consumer what was pushed.
    pub(crate) fn publish(&self) {
        self.memory.producer().store(self.next, Ordering::Release);
    }

    /// Whether the kernel has asked to be woken for what is published. The fence keeps the flag
    /// from being read before the index is out, when the kernel might miss the one and we the
    /// other.
    pub(crate) fn needs_wakeup(&self) -> bool {
        M::Word::fence(Ordering::SeqCst);
        self.memory.flags().load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }

    /// How many pushed slots the consumer has not taken yet.
    pub(crate) fn pending(&mut self) -> u32 {
        self.consumed = self.memory.consumer().load(Ordering::Acquire);
        self.next.wrapping_sub(self.consumed)
    }

    /// The pushed slots that the consumer has not taken, oldest first.
    pub(crate) fn untaken(&mut self) -> impl Iterator<Item = M::Slot> {
        let pending = self.pending().min(self.memory.size());
        let first = self.next.wrapping_sub(pending);
        (0..pending)
            .map(move |i| self.memory.read(first.wrapping_add(i) & (self.memory.size() - 1)))
    }

    /// How many slots were ever pushed, modulo 2³².
    pub(crate) fn index(&self) -> u32 {
        self.next
    }
}

/// The side that reads: of the RX ring and of the completion ring.
pub(crate) struct Consumer<M> {
    memory: M,
    /// The next index to read. Beyond the published one by what was popped since.
    next: u32,
    /// How far the producer is known to have written.
    produced: u32,
}

impl<M: Memory> Consumer<M> {
    pub(crate) fn new(memory: M) -> Self {
        Self { memory, next: 0, produced: 0 }
    }

    /// Reads the next slot, if the producer has written one.
    pub(crate) fn pop(&mut self) -> Option<M::Slot> {
        if self.next == self.produced {
            self.produced = self.memory.producer().load(Ordering::Acquire);
            if self.next == self.produced {
                return None;
            }
        }
        let value = self.memory.read(self.next & (self.memory.size() - 1));
        self.next = self.next.wrapping_add(1);
        Some(value)
    }

    /// Gives the slots that were popped back to the producer.
    pub(crate) fn release(&self) {
        self.memory.consumer().store(self.next, Ordering::Release);
    }

    /// How many slots were ever popped, modulo 2³².
    pub(crate) fn index(&self) -> u32 {
        self.next
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(test)]
pub(crate) mod tests;
