//! Requests that are not done, and those whose time is over.

use super::super::order::Place;
use super::super::{Finished, Job, ParkedEdit};
use super::Engine;
use crate::target::{Fault, Operation, Request};
use aoe_xsk::Packet;
use slab::Slab;
use std::time::Instant;

/// A request that is not done.
pub(super) struct Parked {
    pub(super) what: What,
    pub(super) export: usize,
    /// `None` for what stands in nobody's way.
    pub(super) place: Option<Place>,
    pub(super) since: Instant,
    /// How often its file or device had failed when it came.
    pub(super) failures: u32,
    /// Whether it shares no operation with others: one has failed, and it may not be its fault.
    pub(super) alone: bool,
    /// Its sectors that are where they belong already: in the packet of a read, in the cache of a
    /// write.
    pub(super) settled: Settled,
    /// The next of those that share its operation.
    pub(super) next: Option<usize>,
}

/// Some of a request's sectors, of which there are never more than fit a frame.
#[derive(Clone, Copy, Default)]
pub(super) struct Settled(u32);

pub(super) enum What {
    Job(Job),
    Edit(ParkedEdit),
    /// Its packet is not here: it was answered already, or an edit is with the store's thread.
    Away(Option<Request>),
}

impl What {
    pub(super) fn request(&self) -> Option<Request> {
        match self {
            Self::Job(job) => Some(job.request),
            Self::Edit(_) => None,
            Self::Away(request) => *request,
        }
    }
}

impl Settled {
    pub(super) const fn has(self, sector: usize) -> bool {
        self.0 >> sector & 1 != 0
    }

    pub(super) const fn add(&mut self, first: usize, count: usize) {
        self.0 |= ((1 << count) - 1) << first;
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Requests that share an operation, linked by [`Parked::next`].
#[derive(Clone, Copy, Default)]
pub(super) struct Chain(pub(super) Option<usize>);

impl Chain {
    pub(super) fn add(&mut self, parked: &mut Slab<Parked>, key: usize) {
        parked[key].next = self.0.replace(key);
    }

    /// Takes the first one off.
    pub(super) fn pop(&mut self, parked: &mut Slab<Parked>) -> Option<usize> {
        let key = self.0?;
        self.0 = parked[key].next.take();
        Some(key)
    }
}

impl Engine {
    /// Answers what its disk has not answered for too long. What of it is with the disk stays
    /// there, and in the order; what has not had its turn yet is forgotten.
    pub(super) fn expire(&mut self) {
        let mut unbegun = Vec::new();
        for (key, parked) in &mut self.parked {
            if parked.since.elapsed() < self.settings.io_timeout
                || !matches!(parked.what, What::Job(_))
            {
                continue;
            }
            let request = parked.what.request();
            let What::Job(job) = std::mem::replace(&mut parked.what, What::Away(request)) else {
                unreachable!("it was looked at")
            };
            let store = self.disks[parked.export].store();
            let waits = parked.place.is_some_and(|place| store.order().abandon(place));
            let fault = match job.request.operation {
                Operation::Read(_) | Operation::Verify(_) => Fault::ReadFailed,
                // Nothing of it was begun; or it waits for others, and its disk has not refused it.
                _ if waits || store.writeback().is_some() => Fault::WriteFailed,
                // Nobody knows whether it will reach the disk.
                _ => store.fail("the disk does not answer"),
            };
            store.note_silence();
            self.finished.push_back(Finished { job, export: parked.export, outcome: Err(fault) });
            if waits {
                unbegun.push(key);
            }
        }
        for key in unbegun {
            self.counts[self.parked.remove(key).export] -= 1;
        }
    }

    /// Ends it with what is not done: returns the packets. A file or device that a write was on its
    /// way to counts as failed.
    pub fn give_up(mut self) -> Vec<Packet> {
        self.driver.home().close();
        // What a disk may still write keeps its place: nothing may overtake it.
        for (_, group) in &mut self.groups {
            let mut members = group.members();
            while let Some(key) = members.pop(&mut self.parked) {
                self.parked[key].place = None;
            }
        }
        let mut packets = Vec::new();
        for parked in self.parked.drain() {
            let store = self.disks[parked.export].store();
            if let Some(place) = parked.place {
                store.order().leave(place);
            }
            match parked.what {
                What::Job(job) => {
                    if job.request.operation.changes_data() && store.writeback().is_none() {
                        store.fail("a write was given up: the disk does not answer");
                    }
                    packets.push(job.packet);
                }
                What::Edit(edit) => packets.push(edit.packet),
                What::Away(_) => {}
            }
        }
        packets
    }
}
