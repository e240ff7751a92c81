//! How the control plane hears that targets have changed, and others that it has dealt with it.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How long whoever has changed a target waits for the control plane at most.
const PATIENCE: Duration = Duration::from_secs(1);

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

    /// Whether any of these are among them.
    pub const fn include(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// Both.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }
}

/// The changes of one target that nobody has looked at yet.
#[derive(Debug, Default)]
pub(super) struct Unseen(AtomicU8);

impl Unseen {
    pub(super) fn add(&self, changes: Changes) {
        self.0.fetch_or(changes.0, Ordering::SeqCst);
    }

    pub(super) fn take(&self) -> Changes {
        Changes(self.0.swap(0, Ordering::SeqCst))
    }
}

/// Rings when any target has changed. Whoever rings can wait until that is dealt with, where there
/// is somebody to deal with it.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Notify,
    is_heard: AtomicBool,
    counts: Mutex<Counts>,
    dealt_with: Condvar,
}

#[derive(Debug, Default)]
struct Counts {
    rings: u64,
    /// How many of them have been dealt with.
    dealt_with: u64,
}

impl Bell {
    /// From now on somebody [waits](Self::rung) for rings and deals with them.
    pub fn is_heard(&self) {
        self.is_heard.store(true, Ordering::Relaxed);
    }

    /// Waits until it rings, or has rung since the last call.
    pub async fn rung(&self) {
        self.rung.notified().await;
    }

    /// Tells that a target has changed, and by which ring.
    pub(super) fn ring(&self) -> u64 {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.rings += 1;
        self.rung.notify_one();
        counts.rings
    }

    /// Waits until a ring has been dealt with, or for some time that is long for that.
    pub(super) fn wait(&self, ring: u64) {
        if self.is_heard.load(Ordering::Relaxed) {
            let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            // Whether it was in time makes no difference: the target itself does as it says.
            let _ = self
                .dealt_with
                .wait_timeout_while(counts, PATIENCE, |counts| counts.dealt_with < ring);
        }
    }

    /// Deals with all changes up to now by calling `deal`.
    pub fn deal<T>(&self, deal: impl FnOnce() -> T) -> T {
        let rings = self.counts.lock().unwrap_or_else(PoisonError::into_inner).rings;
        let dealt = deal();
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).dealt_with = rings;
        self.dealt_with.notify_all();
        dealt
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Instant;

    #[test]
    fn nobody_waits_where_nobody_listens() {
        let bell = Bell::default();
        let start = Instant::now();
        bell.wait(bell.ring());
        assert!(start.elapsed() < PATIENCE);
    }

    #[test]
    fn whoever_rings_can_wait_until_it_is_dealt_with() {
        let bell = Arc::new(Bell::default());
        bell.is_heard();
        let dealt = Arc::new(AtomicBool::new(false));
        let ring = bell.ring();
        let other = std::thread::spawn({
            let (bell, dealt) = (Arc::clone(&bell), Arc::clone(&dealt));
            move || bell.deal(|| dealt.store(true, Ordering::SeqCst))
        });
        bell.wait(ring);
        assert!(dealt.load(Ordering::SeqCst));
        other.join().unwrap();
        // What is dealt with is not waited for, and what is not is not waited for forever.
        let start = Instant::now();
        bell.wait(ring);
        bell.wait(bell.ring());
        assert!(start.elapsed() >= PATIENCE);
    }
}
