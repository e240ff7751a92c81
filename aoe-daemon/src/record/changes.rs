//! How the control plane hears that targets have changed, and others that it has dealt with it.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
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
    /// The state of the file or device behind it, which other targets may share.
    pub const BACKING: Self = Self(4);

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
    counts: Mutex<Counts>,
    dealt_with: Condvar,
}

#[derive(Debug, Default)]
struct Counts {
    /// Whether somebody deals with rings.
    is_heard: bool,
    rings: u64,
    /// How many of them have been dealt with.
    dealt_with: u64,
}

impl Bell {
    /// From now on somebody [waits](Self::rung) for rings and deals with them.
    pub fn hear(&self) {
        self.lock().is_heard = true;
    }

    /// From now on nobody does, and so nobody waits for that. Returns whether somebody did.
    pub fn ignore(&self) -> bool {
        let was_heard = std::mem::take(&mut self.lock().is_heard);
        self.dealt_with.notify_all();
        was_heard
    }

    /// Waits for those who may ring and wait in turn.
    pub fn while_ignored<T>(&self, wait: impl FnOnce() -> T) -> T {
        let was_heard = self.ignore();
        let waited = wait();
        if was_heard {
            self.hear();
        }
        waited
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it rings, or has rung since the last call.
    pub async fn rung(&self) {
        self.rung.notified().await;
    }

    /// Tells that a target has changed, and by which ring.
    pub(super) fn ring(&self) -> u64 {
        let mut counts = self.lock();
        counts.rings += 1;
        self.rung.notify_one();
        counts.rings
    }

    /// Waits until a ring has been dealt with, or for some time that is long for that.
    pub(super) fn wait(&self, ring: u64) {
        let is_waited_for = |counts: &mut Counts| counts.is_heard && counts.dealt_with < ring;
        // Nobody is waited for longer: whoever is late then drops frames for a moment more.
        let _ = self.dealt_with.wait_timeout_while(self.lock(), PATIENCE, is_waited_for);
    }

    /// Deals with all changes up to now by calling `deal`.
    pub fn deal<T>(&self, deal: impl FnOnce() -> T) -> T {
        let rings = self.lock().rings;
        let dealt = deal();
        self.lock().dealt_with = rings;
        self.dealt_with.notify_all();
        dealt
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
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
        bell.hear();
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

    #[test]
    fn nobody_waits_for_whoever_stops_listening() {
        let bell = Arc::new(Bell::default());
        bell.hear();
        let start = Instant::now();
        let waiting = std::thread::spawn({
            let bell = Arc::clone(&bell);
            move || (0..5).for_each(|_| bell.wait(bell.ring()))
        });
        bell.ignore();
        waiting.join().unwrap();
        assert!(start.elapsed() < 2 * PATIENCE, "it waited for every ring");
    }
}
