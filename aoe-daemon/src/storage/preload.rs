//! Reading disks into the cache before anybody asks for them, behind all that is asked for.

use super::cache::{BLOCK, BlockId, Cache, UNEVEN};
use super::disk::Disk;
use super::fill::keep;
use super::operation::{Done, Kind, Operation, Purpose};
use super::order::{FILL_BLOCKS, FillId};
use super::solo::Solo;
use super::staging::LARGE;
use super::store::Store;
use anyhow::Result;
use aoe_common::wire::SECTOR_SIZE;
use aoe_xsk::HugePages;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use slab::Slab;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Reads in flight: enough for a disk to be busy, and few beside those of clients.
const DEPTH: usize = 4;
/// How often the log is told how far it is, where there is nobody to see the bar.
const TELL: Duration = Duration::from_secs(10);
/// How long to wait for more memory of the cache.
const PAUSE: Duration = Duration::from_millis(5);

/// The thread that reads ahead of all.
pub struct Preloader {
    stops: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Preloader {
    /// Starts to read all of these disks, as far as they fit.
    ///
    /// # Errors
    ///
    /// Where there is no memory for its buffers, or no thread.
    pub fn start(disks: Vec<Arc<Disk>>, cache: Arc<Cache>, huge_pages: HugePages) -> Result<Self> {
        let solo = Solo::new(huge_pages)?;
        let stops = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stops);
        let thread = thread::Builder::new().name("preload".into());
        let thread = thread.spawn(move || preload(&disks, &cache, solo, &stopped))?;
        Ok(Self { stops, thread })
    }

    /// Ends it, wherever it is.
    pub fn stop(self) {
        self.stops.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            warn!("preloading has ended early");
        }
    }
}

fn preload(disks: &[Arc<Disk>], cache: &Cache, mut solo: Solo, stops: &AtomicBool) {
    solo.open_ring(&[]);
    let total: u64 = disks.iter().map(|disk| disk.image().sectors * SECTOR_SIZE as u64).sum();
    let mut progress = Progress::new(total.min((cache.capacity() * BLOCK) as u64));
    for disk in disks.iter().filter(|disk| !disk.store().is_memory()) {
        let mut reader = Reader { store: disk.store(), cache, solo, reads: Slab::new(), errors: 0 };
        let is_whole = reader.read(blocks(disk), stops, &mut progress);
        reader.finish();
        solo = reader.solo;
        if !is_whole {
            break;
        }
    }
    progress.finish(cache);
}

/// The whole blocks of a disk, and parts of blocks at its ends.
fn blocks(disk: &Disk) -> Range<u64> {
    let image = disk.image();
    let end = image.offset + image.sectors * SECTOR_SIZE as u64;
    image.offset / BLOCK as u64..end.div_ceil(BLOCK as u64)
}

/// Reads one disk.
struct Reader<'a> {
    store: &'a Arc<Store>,
    cache: &'a Cache,
    solo: Solo,
    /// What is in flight, each with its first byte.
    reads: Slab<(FillId, u64)>,
    errors: u64,
}

impl Reader<'_> {
    /// Whether there may be room for more disks, and nobody wants it to end.
    fn read(&mut self, blocks: Range<u64>, stops: &AtomicBool, progress: &mut Progress) -> bool {
        for first in blocks.clone().step_by(FILL_BLOCKS as usize) {
            if stops.load(Ordering::Relaxed) || !self.has_room(stops) {
                return false;
            }
            let count = FILL_BLOCKS.min(blocks.end - first);
            let is_there = |block| self.cache.contains(BlockId::new(self.store.number(), block));
            if !(first..first + count).all(is_there) {
                while self.reads.len() >= DEPTH {
                    self.take_done();
                }
                self.begin(first, count);
            }
            progress.add(count * BLOCK as u64);
        }
        true
    }

    /// Whether more fits into the cache without anything having to leave it.
    fn has_room(&self, stops: &AtomicBool) -> bool {
        loop {
            let (used, chunks) = (self.cache.used(), self.cache.chunks());
            // Its parts fill up unevenly.
            if used + chunks / UNEVEN + DEPTH * FILL_BLOCKS as usize <= chunks {
                return true;
            }
            if chunks == self.cache.capacity() || stops.load(Ordering::Relaxed) {
                return false;
            }
            thread::sleep(PAUSE);
        }
    }

    fn begin(&mut self, first: u64, count: u64) {
        let bytes = count as usize * BLOCK;
        let Some(buffer) = self.solo.take(LARGE.min(bytes)) else {
            unreachable!("there are more buffers than reads in flight")
        };
        let id = self.store.order().begin_fill(first, count);
        let position = first * BLOCK as u64;
        let read = self.reads.insert((id, position));
        self.solo.submit(Operation {
            store: Arc::clone(self.store),
            kind: Kind::Read,
            purpose: Purpose::Fill(read),
            buffer: Some(buffer),
            bytes: 0..bytes,
            position,
        });
    }

    fn take_done(&mut self) {
        let Done { operation, result } = self.solo.next_done();
        let (Purpose::Fill(read), Some(buffer)) = (operation.purpose, operation.buffer) else {
            unreachable!("it only reads")
        };
        let (id, position) = self.reads.remove(read);
        let got = result.as_ref().map_or(0, |bytes| *bytes);
        keep(self.cache, self.store, position, &buffer.bytes()[..got], id);
        self.solo.give(buffer);
        if let Err(reason) = result {
            // Those who ask for it will be told.
            if self.errors == 0 {
                warn!(path = %self.store.backing().path.display(), %reason, "preloading skips a part");
            }
            self.errors += 1;
        }
    }

    fn finish(&mut self) {
        while !self.reads.is_empty() {
            self.take_done();
        }
    }
}

/// How far it is, for whoever sits before it, or for the log.
struct Progress {
    bar: ProgressBar,
    done: u64,
    total: u64,
    started: Instant,
    told: Instant,
}

impl Progress {
    fn new(total: u64) -> Self {
        // On a terminal; elsewhere it shows nothing.
        let bar = ProgressBar::new(total).with_message("preloading");
        let template = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let now = Instant::now();
        Self { bar, done: 0, total, started: now, told: now }
    }

    fn add(&mut self, bytes: u64) {
        self.done = (self.done + bytes).min(self.total);
        self.bar.set_position(self.done);
        if self.bar.is_hidden() && self.told.elapsed() >= TELL {
            self.told = Instant::now();
            info!(bytes = self.done, of = self.total, rate = %self.rate(), "preloading");
        }
    }

    fn rate(&self) -> String {
        let seconds = self.started.elapsed().as_secs_f64().max(1e-3);
        format!("{}/s", HumanBytes((self.done as f64 / seconds) as u64))
    }

    fn finish(self, cache: &Cache) {
        self.bar.finish_and_clear();
        let blocks = cache.used();
        info!(cached = blocks * BLOCK, of = self.total, rate = %self.rate(), "preloaded");
    }
}
