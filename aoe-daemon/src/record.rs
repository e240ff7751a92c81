//! A target as it is now, and how it comes to be another.
//!
//! Workers look at it for every frame, without a lock. Whoever changes it makes a new [`Target`]
//! and puts that in the place of the old one; what clients have set is durable before it is seen.

mod changes;

use crate::pace::Pace;
use crate::state::Store;
use crate::target::{Answer, Edit, Lists, Port, Revision, Target};
use arc_swap::{ArcSwap, Cache, Guard};
use changes::Unseen;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tracing::error;

pub use changes::{Bell, Changes};

/// A target that can change.
pub struct Record {
    target: Arc<ArcSwap<Target>>,
    /// Where its lists are kept. Held by whoever makes a change.
    store: Mutex<Store>,
    unseen: Unseen,
    refusals: Pace,
    /// Rings when something has changed that others have to be told of.
    bell: Arc<Bell>,
}

/// A target as one thread sees it: the cheapest way to look again and again.
pub type View = Cache<Arc<ArcSwap<Target>>, Arc<Target>>;

impl Record {
    /// A target that keeps its lists in this store, and rings this bell when it changes.
    pub fn new(target: Target, store: Store, bell: Arc<Bell>) -> Self {
        Self {
            target: Arc::new(ArcSwap::from_pointee(target)),
            store: Mutex::new(store),
            unseen: Unseen::default(),
            refusals: Pace::default(),
            bell,
        }
    }

    /// The target as it is at this moment.
    pub fn current(&self) -> Guard<Arc<Target>> {
        self.target.load()
    }

    /// A view of the target for a thread of its own.
    pub fn view(&self) -> View {
        Cache::new(Arc::clone(&self.target))
    }

    /// Changes what need not be remembered.
    pub fn update(&self, what: Changes, change: impl FnOnce(Target) -> Target) {
        let _store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let target = Target::clone(&self.current());
        self.target.store(Arc::new(change(target)));
        self.note(what);
    }

    /// Carries out an edit that was accepted with a frame: remembers what it sets, durably, and
    /// tells what to answer, and from which target.
    pub fn edit(&self, port: &Port, edit: &Edit, head: &[u8]) -> (Answer, Arc<Target>) {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.target.load_full();
        let Revision { lists, answer } = before.revise(port, edit, head);
        let Some(lists) = lists else { return (answer, before) };
        let lets_in = lists.mask != before.lists().mask;
        let Some(ring) = self.remember(&store, &before, lists) else {
            return (Answer::unavailable(edit), before);
        };
        let after = self.target.load_full();
        drop(store);
        if lets_in {
            // Whoever has let a station in may count on it that its next frame gets through.
            self.bell.wait(ring);
        }
        (answer, after)
    }

    /// Has it remember something else on the administrator's behalf, and tells whether it does.
    pub fn revise(&self, change: impl FnOnce(&mut Lists)) -> bool {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.target.load_full();
        let mut lists = before.lists().clone();
        change(&mut lists);
        lists == *before.lists() || self.remember(&store, &before, lists).is_some()
    }

    /// Remembers something else, and tells by which ring of the bell.
    fn remember(&self, store: &Store, before: &Target, lists: Lists) -> Option<u64> {
        if let Err(reason) = store.save(&lists) {
            if let Some(others) = self.refusals.pass(Instant::now()) {
                let (export, reason) = (before.address(), format!("{reason:#}"));
                error!(%export, reason, others, "an edit is refused: it can't be remembered");
            }
            return None;
        }
        let old = before.lists();
        let changed = |is: bool, what| if is { what } else { Changes::default() };
        let sources = changed(lists.mask != old.mask, Changes::SOURCES);
        let string = changed(lists.config_string != old.config_string, Changes::ANNOUNCEMENT);
        self.target.store(Arc::new(before.clone().with_lists(lists)));
        Some(self.note(sources.and(string)))
    }

    /// Notes what has changed, and tells by which ring of the bell.
    fn note(&self, what: Changes) -> u64 {
        self.unseen.add(what);
        self.bell.ring()
    }

    /// What has changed since the last call.
    pub fn take_changes(&self) -> Changes {
        self.unseen.take()
    }
}
