//! How other threads reach a worker.

use crate::storage::{Done, Edited};
use crate::target::Outcome;
use crate::worker::Order;
use crossbeam_queue::ArrayQueue;
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Duration;

/// What a worker finds in its mailbox.
pub enum Message {
    /// Nothing is in the way any more of the request that its engine has parked under this key.
    Ready(usize),
    /// A disk is done with an operation.
    Done(Done),
    /// What was in the cache alone when its engine asked for it, for the request that it has parked
    /// under this key, is durable, or can't be made so.
    Saved(usize, Outcome),
    /// There may be room in the cache again for writes to the store of this number.
    Room(usize),
    /// A disk has discarded these bytes, each a position and a length, or not.
    Trimmed {
        /// The key of the request.
        key: usize,
        /// What it listed.
        bytes: Vec<(u64, u64)>,
        /// How it went.
        outcome: Outcome,
    },
    /// The edit that its engine has parked under this key is durable, or was refused.
    Edited(usize, Edited),
    /// The control plane wants something.
    Order(Order),
}

/// A bounded queue into one worker, with a bell for when it sleeps.
pub struct Mailbox {
    /// What storage has to say.
    storage: ArrayQueue<Message>,
    /// Apart from that, so that no number of orders takes their room.
    orders: ArrayQueue<Order>,
    /// Not among the orders: it must never find them full.
    stop: AtomicBool,
    /// Whether nobody takes messages any more.
    closed: AtomicBool,
    bell: OwnedFd,
    /// Whether the worker sleeps, or is about to: then a message has to ring.
    sleeping: AtomicBool,
}

/// How long to wait for room before the next attempt.
const BREATH: Duration = Duration::from_millis(1);
/// Room for orders.
const ORDERS: usize = 16;

impl Mailbox {
    /// A mailbox for at most so many messages of storage.
    ///
    /// # Errors
    ///
    /// Where the process has no file descriptor left.
    pub fn new(messages: usize) -> io::Result<Self> {
        Ok(Self {
            storage: ArrayQueue::new(messages),
            orders: ArrayQueue::new(ORDERS),
            stop: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            sleeping: AtomicBool::new(false),
        })
    }

    /// Leaves a message. One that is closed forgets it.
    ///
    /// # Errors
    ///
    /// The message, where the mailbox holds as many of its kind as it may.
    #[expect(clippy::result_large_err, reason = "boxing what comes back would allocate")]
    pub fn post(&self, message: Message) -> Result<(), Message> {
        if self.closed.load(Ordering::Relaxed) {
            forget(message);
            return Ok(());
        }
        match message {
            Message::Order(order) => self.orders.push(order).map_err(Message::Order)?,
            message => self.storage.push(message)?,
        }
        self.ring();
        Ok(())
    }

    /// Leaves a message, and waits until there is room for it: for threads that are not workers
    /// themselves.
    pub fn deliver(&self, message: Message) {
        let mut message = message;
        while let Err(back) = self.post(message) {
            message = back;
            std::thread::sleep(BREATH);
        }
    }

    /// Forgets what comes from now on: nobody takes it.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Has the worker finish what is in flight, and end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// Whether the worker is to end.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn ring(&self) {
        // Pairs with the fence in prepare_sleep(): either the worker sees what was left for it
        // before it sleeps, or we see that it does.
        fence(Ordering::SeqCst);
        if self.sleeping.swap(false, Ordering::Relaxed) {
            // Fails only where the counter is full, and then the bell rings already.
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }

    /// Takes the oldest message, orders first.
    pub fn take(&self) -> Option<Message> {
        self.orders.pop().map(Message::Order).or_else(|| self.storage.pop())
    }

    /// Announces that the worker is about to wait for [`bell`]; `false` where it must not,
    /// because there is a message, or it is to end.
    ///
    /// [`bell`]: Self::bell
    pub fn prepare_sleep(&self) -> bool {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.storage.is_empty() && self.orders.is_empty() && !self.is_stopped() {
            return true;
        }
        self.sleeping.store(false, Ordering::Relaxed);
        false
    }

    /// Ends the sleep that [`prepare_sleep`](Self::prepare_sleep) announced.
    pub fn woke(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
        // Empty where something else ended the sleep.
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
    }

    /// Becomes readable when a message comes in during a sleep.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl Drop for Mailbox {
    /// Packets that a worker has not waited for come home to nobody.
    fn drop(&mut self) {
        while let Some(message) = self.storage.pop() {
            forget(message);
        }
    }
}

fn forget(message: Message) {
    if let Message::Edited(_, edited) = message {
        edited.packet.abandon();
    }
}
