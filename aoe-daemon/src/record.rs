//! A target as it is now, and how it comes to be another.
//!
//! Workers look at it for every frame, without a lock. Whoever changes it makes a new [`Target`]
//! and puts that in the place of the old one; what clients have set is durable before it is seen.

mod changes;

use crate::pace::Pace;
use crate::state::Store;
use crate::target::{Answer, Edit, Lists, Port, Revision, Target};
use aoe_common::wire::Mac;
use arc_swap::{ArcSwap, Cache, Guard};
use changes::Unseen;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tracing::error;

pub use changes::{Bell, Changes};

/// A target that can change.
pub struct Record {
    target: Arc<ArcSwap<Target>>,
    /// Where its lists are kept. Held by whoever changes them.
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

    /// Changes what need not be remembered. `change` may be called again where others change the
    /// target at the same moment.
    pub fn update(&self, what: Changes, change: impl Fn(Target) -> Target) {
        self.target.rcu(|target| change(Target::clone(target)));
        self.note(what);
    }

    /// Carries out an edit that was accepted with a frame: remembers what it sets, durably, and
    /// tells what to answer, and from which target. `None` where its source has come to be masked.
    pub fn edit(&self, port: &Port, edit: &Edit, head: &[u8]) -> Option<(Answer, Arc<Target>)> {
        let store = self.lock();
        let before = self.target.load_full();
        if !before.admits(edit.source()) {
            return None;
        }
        let Revision { lists, answer } = before.revise(port, edit, head);
        let Some(lists) = lists else { return Some((answer, before)) };
        let lets_in = lets_in(&before.lists().mask, &lists.mask);
        let Some(ring) = self.remember(&store, &before, lists) else {
            return Some((Answer::unavailable(edit), before));
        };
        let after = self.target.load_full();
        drop(store);
        if lets_in {
            // Whoever has let a station in may count on it that its next frame gets through.
            self.bell.wait(ring);
        }
        Some((answer, after))
    }

    /// Has it remember something else on the administrator's behalf, and tells whether it does.
    pub fn revise(&self, change: impl FnOnce(&mut Lists)) -> bool {
        let store = self.lock();
        let before = self.target.load_full();
        let mut lists = before.lists().clone();
        change(&mut lists);
        lists == *before.lists() || self.remember(&store, &before, lists).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.target.rcu(|target| Target::clone(target).with_lists(lists.clone()));
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

/// Whether another mask list lets a station in that the one before kept out.
fn lets_in(before: &[Mac], after: &[Mac]) -> bool {
    let is_new = |station| !before.contains(station);
    !before.is_empty() && (after.is_empty() || after.iter().any(is_new))
}
