//! The requests to one target that are under way: who waits, since when, and what to send again.
//!
//! Nothing in here reads a clock or a socket: the time is a parameter, frames go in and out.
//!
//! A request that stays unanswered is sent again **with its old tag**, as iPXE does and Linux
//! does not: a reply to the first copy that was merely late then still ends the wait. The price
//! is that such replies can't be timed, since nobody knows which copy they answer, so they teach
//! [`RoundTrip`] nothing.

use std::time::{Duration, Instant};

use aoe_common::address::Destination;
use aoe_common::wire::Mac;

use crate::reply::{self, Answer, Failure};
use crate::request::{self, Forbidden, Operation, Path};
use crate::round_trip::RoundTrip;
use crate::tag::Tags;

/// Requests to one target that are under way, at most a window full.
#[derive(Debug)]
pub(crate) struct Outstanding {
    path: Path,
    tags: Tags,
    round_trip: RoundTrip,
    patience: Duration,
    slots: Vec<Slot>,
    /// The tag of every slot's request, [`NO_TAG`] where there is none: dense, because it is
    /// searched for every frame.
    slot_tags: Vec<u32>,
    /// Slots that hold no request.
    free: Vec<usize>,
    /// Slots whose frame waits to be sent, the longest waiting first.
    unsent: Vec<usize>,
    retransmissions: u64,
}

/// No request of ours: those have bit 31 set.
const NO_TAG: u32 = 0;

/// Room for one request; its frame's memory is used again for the next one.
#[derive(Debug, Default)]
struct Slot {
    request: Option<Request>,
    frame: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    operation: Operation,
    /// When it was sent first, or queued if it was not sent yet.
    started: Instant,
    last_sent: Instant,
    /// How often it was sent.
    transmissions: u32,
}

/// A request that has its answer.
#[derive(Debug)]
pub(crate) struct Done<'a> {
    /// What was asked.
    pub(crate) operation: Operation,
    /// The port that answered.
    pub(crate) source: Mac,
    /// What it says, or why there is nothing.
    pub(crate) answer: Result<Answer<'a>, Failure>,
    /// From the first sending to the answer.
    pub(crate) latency: Duration,
}

/// A request that has waited too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expired {
    /// What was asked.
    pub(crate) operation: Operation,
    /// Since the first sending, or since it was queued if it could not even be sent.
    pub(crate) elapsed: Duration,
    /// How often it was sent.
    pub(crate) transmissions: u32,
}

impl Outstanding {
    /// For requests along `path`, at most `window` at once, each given up after `patience`.
    pub(crate) fn new(path: Path, window: usize, patience: Duration) -> Self {
        let mut new = Self {
            path,
            tags: Tags::new(),
            round_trip: RoundTrip::default(),
            patience,
            slots: Vec::new(),
            slot_tags: Vec::new(),
            free: Vec::new(),
            unsent: Vec::new(),
            retransmissions: 0,
        };
        new.set_window(window);
        new
    }

    /// Forgets all requests, and keeps at most `window` from now on.
    pub(crate) fn set_window(&mut self, window: usize) {
        self.slots.resize_with(window, Slot::default);
        self.slot_tags.resize(window, NO_TAG);
        self.abandon();
    }

    /// Forgets all requests. Replies to them will be no replies to us.
    pub(crate) fn abandon(&mut self) {
        self.unsent.clear();
        self.free.clear();
        self.free.extend(0..self.slots.len());
        self.slot_tags.fill(NO_TAG);
        for slot in &mut self.slots {
            slot.request = None;
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn set_path(&mut self, path: Path) {
        self.path = path;
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Gives requests up after `patience` from now on.
    pub(crate) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    pub(crate) fn window(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    /// How many frames were sent again, ever.
    pub(crate) fn retransmissions(&self) -> u64 {
        self.retransmissions
    }

    /// Adds a request and queues its frame. There must be room.
    pub(crate) fn start(
        &mut self,
        operation: Operation,
        data: &[u8],
        now: Instant,
    ) -> Result<(), Forbidden> {
        let index = *self.free.last().expect("the caller has asked whether there is room");
        let slot = &mut self.slots[index];
        let tag = self.tags.take();
        request::build(&mut slot.frame, &self.path, tag, operation, data)?;
        slot.request = Some(Request { operation, started: now, last_sent: now, transmissions: 0 });
        self.slot_tags[index] = tag;
        self.free.pop();
        self.unsent.push(index);
        Ok(())
    }

    /// The frames that wait to be sent, in order.
    pub(crate) fn unsent(&self) -> impl Iterator<Item = &[u8]> {
        self.unsent.iter().map(|&index| self.slots[index].frame.as_slice())
    }

    /// Notes that the first `count` of the [unsent](Self::unsent) frames have left.
    pub(crate) fn sent(&mut self, count: usize, now: Instant) {
        for index in self.unsent.drain(..count) {
            let request = self.slots[index].request.as_mut();
            let request = request.expect("an unsent frame belongs to a request");
            if request.transmissions == 0 {
                request.started = now;
            } else {
                self.retransmissions += 1;
            }
            request.last_sent = now;
            request.transmissions += 1;
        }
    }

    /// Takes a frame from the wire. `None`: it is no reply to any of the requests.
    pub(crate) fn accept<'a>(&mut self, frame: &'a [u8], now: Instant) -> Option<Done<'a>> {
        let reply = reply::parse(frame, self.path.source).ok()?;
        let index = self.slot_tags.iter().position(|&tag| tag == reply.tag)?;
        let request = self.slots[index].request?;
        if Destination::from(reply.address) != self.path.to {
            return None;
        }
        let answer = reply.answer(request.operation)?;
        let latency = now.saturating_duration_since(request.started);
        if request.transmissions == 1 {
            self.round_trip.learn(latency);
        }
        self.slots[index].request = None;
        self.slot_tags[index] = NO_TAG;
        self.unsent.retain(|&unsent| unsent != index);
        self.free.push(index);
        Some(Done { operation: request.operation, source: reply.source, answer, latency })
    }

    /// How long to wait for a frame before [`expire`](Self::expire) has something to do.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        let requests = self.slots.iter().filter_map(|slot| slot.request);
        let due = requests.map(|request| {
            let again = request.last_sent + self.round_trip.timeout(request.transmissions);
            again.min(request.started + self.patience)
        });
        due.min().map_or(Duration::ZERO, |due| due.saturating_duration_since(now))
    }

    /// Queues again what has waited long enough for its reply.
    ///
    /// # Errors
    ///
    /// A request that has waited for all the time there is.
    pub(crate) fn expire(&mut self, now: Instant) -> Result<(), Expired> {
        for (index, slot) in self.slots.iter().enumerate() {
            let Some(request) = slot.request else { continue };
            let elapsed = now.saturating_duration_since(request.started);
            if elapsed >= self.patience {
                let Request { operation, transmissions, .. } = request;
                return Err(Expired { operation, elapsed, transmissions });
            }
            let waited = now.saturating_duration_since(request.last_sent);
            if waited >= self.round_trip.timeout(request.transmissions)
                && !self.unsent.contains(&index)
            {
                self.unsent.push(index);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
