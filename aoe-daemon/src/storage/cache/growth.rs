//! Who gets memory for the cache, behind everything else that is done.

use super::{BLOCK, Cache};
use crate::storage::room::has_to_spare;
use rustix::process::setpriority_process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tracing::{info, warn};

/// How long it is left alone when there was no memory.
const PAUSE: Duration = Duration::from_secs(10);
/// Leaves the processor to whoever wants it: zeroing memory is work.
const NICE: i32 = 19;

/// Gets the first memory of a cache, and has a thread get the rest.
///
/// # Errors
///
/// Where there is not even the first, or no thread.
pub fn keep_growing(cache: &Arc<Cache>) -> anyhow::Result<()> {
    let pages = cache.grow()?.map_or_else(|| "none".to_owned(), |pages| pages.to_string());
    info!(bytes = cache.capacity() * BLOCK, %pages, "cache");
    if cache.capacity() == 0 {
        return Ok(());
    }
    let cache = Arc::clone(cache);
    thread::Builder::new().name("cache".into()).spawn(move || grow(&cache))?;
    Ok(())
}

fn grow(cache: &Cache) {
    // Of this thread alone. Refused nowhere: it takes no right to be modest.
    let _ = setpriority_process(None, NICE);
    let mut is_short = false;
    loop {
        let grown = if has_to_spare() {
            cache.grow().map_err(|error| error.to_string())
        } else {
            Err("little memory is left to others".into())
        };
        match grown {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(reason) => {
                if !std::mem::replace(&mut is_short, true) {
                    let bytes = cache.chunks() * BLOCK;
                    warn!(bytes, reason, "the cache stays smaller until there is more memory");
                }
                thread::sleep(PAUSE);
            }
        }
    }
    info!(bytes = cache.chunks() * BLOCK, pages = %cache.pages(), "the cache has all its memory");
}
