//! Who gets memory for the cache, before it is needed.

use super::{BLOCK, Cache};
use crate::storage::room::has_to_spare;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;
use tracing::{debug, info, warn};

/// How long it is left alone when there was no memory.
const PAUSE: Duration = Duration::from_secs(10);

/// The bell of the thread that gets it.
#[derive(Default)]
pub struct Growth {
    asked: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Growth {
    /// Asks for more. Costs nothing where somebody has.
    pub(super) fn ask(&self) {
        if !self.asked.load(Ordering::Relaxed) && !self.asked.swap(true, Ordering::Relaxed) {
            if let Some(thread) = self.thread.get() {
                thread.unpark();
            }
        }
    }

    fn was_asked(&self) -> bool {
        self.asked.swap(false, Ordering::Relaxed)
    }
}

/// Gets the first memory of a cache, and has a thread get more when it is asked for.
///
/// # Errors
///
/// Where there is not even the first, or no thread.
pub fn keep_growing(cache: &Arc<Cache>) -> anyhow::Result<()> {
    let Some(pages) = cache.grow()? else {
        info!(bytes = 0, "cache");
        return Ok(());
    };
    info!(bytes = cache.capacity() * BLOCK, %pages, "cache");
    let cache = Arc::clone(cache);
    thread::Builder::new().name("cache".into()).spawn(move || {
        let _ = cache.growth.thread.set(thread::current());
        cache.growth.ask();
        while grow_when_asked(&cache) {}
    })?;
    Ok(())
}

/// Whether there may be more.
fn grow_when_asked(cache: &Cache) -> bool {
    if !cache.growth.was_asked() {
        thread::park_timeout(PAUSE);
        return true;
    }
    let grown = if has_to_spare() {
        cache.grow().map_err(|error| error.to_string())
    } else {
        Err("little memory is left to others".into())
    };
    match grown {
        Ok(Some(pages)) => {
            debug!(bytes = cache.chunks() * BLOCK, %pages, "cache");
            if !cache.is_ahead() {
                cache.growth.ask();
            }
        }
        Ok(None) => return false,
        Err(reason) => {
            warn!(bytes = cache.chunks() * BLOCK, reason, "the cache stays smaller for now");
            thread::sleep(PAUSE);
        }
    }
    true
}
