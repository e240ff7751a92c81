//! A target as it is now, and how it comes to be another.
//!
//! Workers look at it for every frame, without a lock. Whoever changes it makes a new [`Target`]
//! and puts that in the place of the old one; what clients have set is durable before it is seen.

use crate::state::Store;
use crate::target::{Answer, Edit, Lists, Port, Target};
use arc_swap::{ArcSwap, Cache, Guard};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tracing::error;

/// A target that can change.
pub struct Record {
    target: Arc<ArcSwap<Target>>,
    /// Where its lists are kept. Held by whoever makes a change.
    store: Mutex<Store>,
    changes: AtomicU8,
    /// Rings when something has changed that others have to be told of.
    changed: Arc<Notify>,
}

/// A target as one thread sees it: the cheapest way to look again and again.
pub type View = Cache<Arc<ArcSwap<Target>>, Arc<Target>>;

/// What has changed about a target since somebody last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes(u8);

impl Changes {
    /// Who may talk to it.
    pub const SOURCES: Self = Self(1);
    /// What it announces.
    pub const ANNOUNCEMENT: Self = Self(2);
    /// Whether its disk has failed.
    pub const FAILURE: Self = Self(4);

    /// Whether these are among them.
    pub const fn include(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

impl Record {
    /// A target that keeps its lists in this store, and rings this bell when it changes.
    pub fn new(target: Target, store: Store, changed: Arc<Notify>) -> Self {
        Self {
            target: Arc::new(ArcSwap::from_pointee(target)),
            store: Mutex::new(store),
            changes: AtomicU8::new(0),
            changed,
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
        let revision = before.revise(port, edit, head);
        let Some(lists) = revision.lists else { return (revision.answer, before) };
        match self.remember(&store, &before, lists) {
            Ok(after) => (revision.answer, after),
            Err(()) => (Answer::unavailable(edit), before),
        }
    }

    /// Has it remember something else on the administrator's behalf, and tells whether it does.
    pub fn revise(&self, change: impl FnOnce(&mut Lists)) -> bool {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.target.load_full();
        let mut lists = before.lists().clone();
        change(&mut lists);
        lists == *before.lists() || self.remember(&store, &before, lists).is_ok()
    }

    fn remember(&self, store: &Store, before: &Target, lists: Lists) -> Result<Arc<Target>, ()> {
        if let Err(reason) = store.save(&lists) {
            error!(export = %before.address(), reason = format!("{reason:#}"), "not remembered");
            return Err(());
        }
        let old = before.lists();
        let sources = if lists.mask == old.mask { 0 } else { Changes::SOURCES.0 };
        let string = lists.config_string != old.config_string;
        let announcement = if string { Changes::ANNOUNCEMENT.0 } else { 0 };
        let after = Arc::new(before.clone().with_lists(lists));
        self.target.store(Arc::clone(&after));
        self.note(Changes(sources | announcement));
        Ok(after)
    }

    fn note(&self, what: Changes) {
        if what != Changes::default() {
            self.changes.fetch_or(what.0, Ordering::Relaxed);
            self.changed.notify_one();
        }
    }

    /// What has changed since the last call.
    pub fn take_changes(&self) -> Changes {
        Changes(self.changes.swap(0, Ordering::Relaxed))
    }
}
