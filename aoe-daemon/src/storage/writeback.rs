//! What clients were told is written, and is in the cache alone: written out when it is old, when
//! there is much of it, and when somebody asks for it to be durable.
//!
//! A store that writes back has a thread for that, with a ring and buffers of its own. It works in
//! rounds: everything that is dirty when a round begins is written, in the order of its place on
//! the disk and neighbours as one, and made durable by one flush. Who asks for durability is
//! answered by the first round that began after that.
//!
//! Where a round fails the store has failed: what was not written stays dirty, is read by clients
//! as they wrote it, and is tried again only when an administrator says so.

mod round;

use super::cache::{BLOCK, Cache};
use super::store::Store;
use crate::mailbox::{Mailbox, Message};
use crate::target::{Fault, Outcome};
use anyhow::Result;
use aoe_xsk::HugePages;
use round::Writer;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tracing::{error, info, warn};

/// How old what is dirty gets at most before it is written.
const AGE: Duration = Duration::from_secs(5);
/// How often is looked whether there is too much.
const LOOK: Duration = Duration::from_millis(250);
/// Dirty blocks of all stores with which all begin to write, in parts of the cache, and at most.
const MANY: usize = 4;
const MOST: usize = (256 << 20) / BLOCK;
/// How long to wait where there is no room, and nothing that could make some.
const BREATH: Duration = Duration::from_millis(1);

/// What of one store is to be written, and who waits for that.
#[derive(Default)]
pub struct Writeback {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    /// Blocks that have become dirty since the last round began.
    dirty: Vec<u64>,
    /// When the first of them did.
    since: Option<Instant>,
    /// Who wants to know when everything is durable.
    waiting: Vec<Waiting>,
    /// Workers whose writes found no room.
    crowded: Vec<Arc<Mailbox>>,
    stops: bool,
}

/// A request of a worker.
struct Waiting {
    home: Arc<Mailbox>,
    key: usize,
}

/// What one round has to do.
struct Round {
    dirty: Vec<u64>,
    waiting: Vec<Waiting>,
    crowded: Vec<Arc<Mailbox>>,
    stops: bool,
}

impl Writeback {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a block has become dirty.
    pub(super) fn note(&self, block: u64) {
        let mut state = self.lock();
        state.dirty.push(block);
        if state.since.is_none() {
            state.since = Some(Instant::now());
            // From now on it watches the time.
            self.wake.notify_one();
        }
    }

    /// Has a request be told by [`Message::Saved`] when everything that is dirty now is durable.
    pub(super) fn save(&self, home: &Arc<Mailbox>, key: usize) {
        self.lock().waiting.push(Waiting { home: Arc::clone(home), key });
        self.wake.notify_one();
    }

    /// Has a worker be told by [`Message::Room`] when there may be room again.
    pub(super) fn make_room(&self, home: &Arc<Mailbox>) {
        let mut state = self.lock();
        if !state.crowded.iter().any(|other| Arc::ptr_eq(other, home)) {
            state.crowded.push(Arc::clone(home));
        }
        self.wake.notify_one();
    }

    /// Waits for something to do.
    fn next(&self, store: &Store, cache: &Cache) -> Round {
        let mut state = self.lock();
        while !state.is_pressing(store, cache) {
            let wait = self.wake.wait_timeout(state, LOOK);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        let stops = state.stops;
        let State { dirty, waiting, crowded, .. } = std::mem::take(&mut *state);
        state.stops = stops;
        Round { dirty, waiting, crowded, stops }
    }

    /// Takes back what could not be written.
    fn keep(&self, mut dirty: Vec<u64>) {
        let mut state = self.lock();
        dirty.append(&mut state.dirty);
        state.dirty = dirty;
        state.since = Some(Instant::now());
    }
}

impl State {
    /// Whether it is time for a round.
    fn is_pressing(&self, store: &Store, cache: &Cache) -> bool {
        if self.stops || !self.waiting.is_empty() || !self.crowded.is_empty() {
            return true;
        }
        let is_old = self.since.is_some_and(|since| since.elapsed() >= AGE);
        let is_much = cache.dirty() >= (cache.capacity() / MANY).min(MOST);
        !self.dirty.is_empty() && !store.backing().is_failed() && (is_old || is_much)
    }
}

/// The thread of a store that writes back.
pub struct Saver {
    store: Arc<Store>,
    writeback: Arc<Writeback>,
    thread: JoinHandle<()>,
}

impl Saver {
    /// Has a store write back from now on, through this cache. `None` where that would gain
    /// nothing: it is only read, or is memory, or there is no cache.
    ///
    /// # Errors
    ///
    /// Where there is no memory for its buffers, or no thread.
    pub fn start(
        store: &Arc<Store>,
        cache: &Arc<Cache>,
        huge_pages: HugePages,
    ) -> Result<Option<Self>> {
        let Some(writeback) = store.write_back().filter(|_| cache.capacity() > 0) else {
            return Ok(None);
        };
        let writer = Writer::new(store, cache, huge_pages)?;
        let shared = Arc::clone(&writeback);
        let thread = thread::Builder::new().name("writeback".into());
        let thread = thread.spawn(move || work(&shared, writer))?;
        Ok(Some(Self { store: Arc::clone(store), writeback, thread }))
    }

    /// Writes what is dirty, and ends. The log tells what is lost, if anything is.
    pub fn stop(self) {
        let path = self.store.backing().path.display();
        let blocks = {
            let mut state = self.writeback.lock();
            state.stops = true;
            state.dirty.len()
        };
        if blocks > 0 {
            info!(%path, bytes = blocks * BLOCK, "writing what was acknowledged");
        }
        self.writeback.wake.notify_one();
        if self.thread.join().is_err() {
            error!(%path, "the thread that writes back is gone, and with it what was not written");
            return;
        }
        let left = self.writeback.lock().dirty.len();
        if left > 0 {
            error!(%path, bytes = left * BLOCK, "acknowledged writes are lost: they can't be written");
        }
    }
}

fn work(writeback: &Writeback, mut writer: Writer) {
    writer.open_ring();
    loop {
        let (store, cache) = (Arc::clone(writer.store()), Arc::clone(writer.cache()));
        let Round { mut dirty, waiting, crowded, stops } = writeback.next(&store, &cache);
        dirty.sort_unstable();
        // Those that have failed may have become dirty once more.
        dirty.dedup();
        if !crowded.is_empty() && dirty.is_empty() {
            thread::sleep(BREATH);
        }
        let outcome = save(&store, &mut writer, &dirty);
        if outcome.is_err() && !dirty.is_empty() {
            writeback.keep(dirty);
        }
        for Waiting { home, key } in waiting {
            home.deliver(Message::Saved(key, outcome));
        }
        for home in crowded {
            home.deliver(Message::Room(usize::from(store.number())));
        }
        if stops {
            return;
        }
    }
}

/// One round.
fn save(store: &Store, writer: &mut Writer, dirty: &[u64]) -> Outcome {
    if store.backing().is_failed() {
        return Err(Fault::WriteFailed);
    }
    writer.write(dirty).map_err(|reason| {
        let path = store.backing().path.display();
        warn!(%path, bytes = dirty.len() * BLOCK, "acknowledged writes are in memory alone");
        store.fail(&reason.to_string())
    })
}
