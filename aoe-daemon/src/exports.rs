//! The exports of the daemon: targets with their disks.

mod offer;
mod opening;
mod size;
mod sources;
mod targets;

pub use offer::Offer;
pub use sources::Sources;
pub use targets::Targets;

use crate::config::{Config, InterfacePattern};
use crate::control::Clear;
use crate::mailbox::Mailbox;
use crate::record::{Bell, Changes, Record};
use crate::state::StateDir;
use crate::storage::Disk;
use crate::storage::cache::{Cache, keep_growing};
use crate::storage::engine::{Engine, Settings};
use crate::storage::preload::Preloader;
use crate::storage::room::Room;
use crate::storage::writeback::Saver;
use anyhow::Result;
use aoe_common::address::Address;
use aoe_common::steer::ServedKey;
use aoe_common::wire::SECTOR_SIZE;
use aoe_xsk::HugePages;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::{info, warn};

/// A target and the disk behind it.
pub struct Export {
    /// The target as it is now.
    pub record: Arc<Record>,
    /// The storage of it.
    pub disk: Arc<Disk>,
    /// Interfaces that it is offered on; all of the daemon's where empty.
    interfaces: Vec<InterfacePattern>,
}

impl Export {
    /// Whether it is offered on the interface of this name.
    pub fn is_offered_on(&self, interface: &str) -> bool {
        self.interfaces.is_empty() || self.interfaces.iter().any(|one| one.matches(interface))
    }

    /// Its address, which never changes.
    pub fn address(&self) -> Address {
        self.record.current().address()
    }

    /// Every form in which a frame may name it, on its VLAN.
    pub fn keys(&self) -> [ServedKey; 4] {
        let target = self.record.current();
        target.address().names().map(|name| ServedKey::new(target.vlan(), name))
    }
}

/// All exports. Which there are is fixed while workers use them.
pub struct Exports {
    exports: Vec<Export>,
    cache: Arc<Cache>,
    settings: Settings,
    /// Of the files and devices that write back.
    savers: Mutex<Vec<Saver>>,
    preloader: Mutex<Option<Preloader>>,
    bell: Arc<Bell>,
    /// Kept for its lock.
    _state: StateDir,
}

impl Exports {
    /// Opens and locks the images of all exports, makes those that are missing where that is
    /// asked for, and recalls what the targets remember.
    ///
    /// # Errors
    ///
    /// Where one can't be served: one line that says why.
    pub fn open(config: &Config) -> Result<Self> {
        let room = Room::now(config.storage.cache)?;
        let state = StateDir::open(&config.state_dir)?;
        let bell = Arc::new(Bell::default());
        let exports = opening::open(config, &state, &bell)?;
        let cached = exports.iter().filter(|export| !export.disk.store().is_memory());
        let bytes = cached.map(|export| export.disk.image().sectors * SECTOR_SIZE as u64).sum();
        let cache = Arc::new(Cache::new(room.blocks(bytes), config.huge_pages)?);
        keep_growing(&cache)?;
        let savers = start_savers(&exports, &cache, config.huge_pages)?;
        let settings =
            Settings { io_timeout: config.storage.io_timeout, huge_pages: config.huge_pages };
        Ok(Self {
            exports,
            cache,
            settings,
            savers: Mutex::new(savers),
            preloader: Mutex::default(),
            bell,
            _state: state,
        })
    }

    /// One worker's way to all disks, with answers to this mailbox.
    ///
    /// # Errors
    ///
    /// Where there is no memory for its buffers.
    pub fn engine(&self, home: Arc<Mailbox>) -> Result<Engine, aoe_xsk::Error> {
        let disks = self.exports.iter().map(|export| Arc::clone(&export.disk)).collect();
        Engine::new(disks, Arc::clone(&self.cache), home, self.settings)
    }

    /// Starts to read all disks into the cache.
    ///
    /// # Errors
    ///
    /// Where there is no memory for that, or no thread.
    pub fn preload(&self) -> Result<()> {
        let disks = self.exports.iter().map(|export| Arc::clone(&export.disk)).collect();
        let preloader = Preloader::start(disks, Arc::clone(&self.cache), self.settings.huge_pages)?;
        *lock(&self.preloader) = Some(preloader);
        Ok(())
    }

    /// Ends what is done behind the requests: preloading, and writing what the cache has for the
    /// disks, when no worker adds to it any more. when no worker adds to it any more.
    pub fn finish(&self) {
        if let Some(preloader) = lock(&self.preloader).take() {
            preloader.stop();
        }
        std::mem::take(&mut *lock(&self.savers)).into_iter().for_each(Saver::stop);
    }

    /// The cache of all disks.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// All exports in the order of their indices.
    pub fn all(&self) -> &[Export] {
        &self.exports
    }

    /// The export at this address.
    pub fn at(&self, address: Address) -> Option<&Export> {
        self.exports.iter().find(|export| export.address() == address)
    }

    /// Rings when some target has changed.
    pub fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// What has changed about every export since the last call, by index.
    pub fn take_changes(&self) -> Vec<(usize, Changes)> {
        let changes = self.exports.iter().map(|export| export.record.take_changes());
        changes.enumerate().filter(|(_, changes)| *changes != Changes::default()).collect()
    }

    /// Has a target forget what clients have set: the way out where they have locked each other
    /// out.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub fn clear(&self, clear: &Clear) -> Result<(), String> {
        let Clear { address, config_string, mask, reservation, failed } = *clear;
        let export = self.at(address).ok_or_else(|| format!("{address} is not served"))?;
        if failed {
            self.clear_failed(export)?;
        }
        let remembered = export.record.revise(|lists| {
            if config_string {
                lists.config_string.clear();
            }
            if mask {
                lists.mask.clear();
            }
            if reservation {
                lists.reserved.clear();
            }
        });
        if remembered { Ok(()) } else { Err("it can't be remembered: see the daemon's log".into()) }
    }

    /// Has the file or device of an export, and so of all that are on it, take writes again.
    fn clear_failed(&self, export: &Export) -> Result<(), String> {
        let backing = &export.disk.image().backing;
        let (address, path) = (export.address(), backing.path.display());
        if !backing.is_failed() {
            return Ok(());
        }
        if let Err(reason) = backing.clear_failed() {
            warn!(export = %address, %path, %reason, "it still fails, and writes are refused");
            return Err(format!("{path} still fails: {reason}"));
        }
        info!(export = %address, %path, "cleared by an administrator: writes are taken again");
        self.spread_backings();
        Ok(())
    }

    /// Has every target tell the state of the file or device behind it, which several may be on.
    pub fn spread_backings(&self) {
        for Export { record, disk, .. } in &self.exports {
            let backing = &disk.image().backing;
            if backing.is_failed() != record.current().is_failed() {
                record.update(Changes::default(), |target| {
                    if backing.is_failed() { target.failed() } else { target.mended() }
                });
            }
            let on = backing.looks_ahead();
            if record.current().description().look_ahead != on {
                record.update(Changes::default(), |target| target.with_look_ahead(on));
            }
        }
    }
}

/// Has every file and device that is to write back do so.
fn start_savers(
    exports: &[Export],
    cache: &Arc<Cache>,
    huge_pages: HugePages,
) -> Result<Vec<Saver>> {
    let mut seen = HashSet::new();
    let stores = exports.iter().map(|export| export.disk.store());
    let once = stores.filter(|store| seen.insert(Arc::as_ptr(store)));
    once.filter_map(|store| Saver::start(store, cache, huge_pages).transpose()).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
