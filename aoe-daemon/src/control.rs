//! The control plane: it starts and stops the data plane, follows what happens to interfaces,
//! disks and targets, and answers questions. It never touches a frame.

mod limits;
pub mod memory;
pub mod report;
mod socket;

pub use socket::{Clear, ask_status, clear};

use crate::config::{Config, InterfacePattern};
use crate::exports::Exports;
use crate::link::{Link, LinkMonitor};
use crate::port::{Port, Settings};
use crate::record::Changes;
use anyhow::{Context, Result};
use memory::MemoryReport;
use report::{Counts, ExportReport, Report, add_counts};
use socket::{ControlSocket, Question, Wish};
use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, sleep_until};
use tracing::{info, warn};

/// How often an interface that is waited for is looked at, besides every change of a link.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often files and devices are looked at.
const LOOK_AT_DISKS: Duration = Duration::from_secs(60);
/// How long announcements are gathered: clients may change much.
const GATHER: Duration = Duration::from_millis(50);
/// Questions that may wait for an answer.
const QUESTIONS: usize = 16;

/// Serves until a signal ends it.
///
/// # Errors
///
/// Where it can't start. One line that says why and what to do.
pub fn serve(config: &Config) -> Result<()> {
    limits::check_capabilities()?;
    limits::raise_open_files();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let mut daemon = Daemon::bring_up(config)?;
        // Until here a signal just ended the process: there was nothing to finish.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let (asked, mut questions) = mpsc::channel(QUESTIONS);
        let socket = ControlSocket::bind(&config.control)?;
        let listening = tokio::spawn(socket.listen(asked));
        let bell = Arc::clone(daemon.exports.bell());
        bell.hear();
        let mut look_again = every(LOOK_AGAIN);
        let mut look_at_disks = every(LOOK_AT_DISKS);
        let mut announce = config.announce_every.map(every);
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => daemon.exports.look_at_disks(),
                changed = daemon.links.changed() => {
                    if let Err(error) = changed {
                        warn!(%error, "changes of interfaces go unnoticed");
                        sleep(LOOK_AGAIN).await;
                    }
                    daemon.refresh();
                }
                _ = look_again.tick() => daemon.retry(),
                _ = look_at_disks.tick() => daemon.exports.look_at_disks(),
                () = tick(&mut announce) => {
                    daemon.ports.iter().for_each(|port| port.announce(None));
                }
                () = bell.rung() => bell.deal(|| daemon.take_changes()),
                () = sleep_until(daemon.announce_at), if !daemon.unannounced.is_empty() => {
                    daemon.announce_changes();
                }
                Some(question) = questions.recv() => daemon.answer(question).await,
            }
        }
        info!("stopping");
        listening.abort();
        let summary = daemon.stop().await;
        print!("{summary}");
        Ok(())
    });
    // A disk that does not answer may still be waited for on a client's behalf.
    runtime.shutdown_background();
    served
}

/// Ticks after each of these periods. What is late is not made up for.
fn every(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Waits for the next tick, for ever where there is none.
async fn tick(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => pending().await,
    }
}

/// The running daemon.
struct Daemon {
    started: Instant,
    exports: Arc<Exports>,
    settings: Settings,
    /// Interfaces that are waited for where they are gone.
    named: Vec<String>,
    /// What was counted on those that are not.
    departed: Counts,
    /// Patterns whose interfaces are served when they appear.
    patterns: Vec<InterfacePattern>,
    ports: Vec<Port>,
    /// Exports that have changed and are to be announced.
    unannounced: BTreeSet<usize>,
    announce_at: Instant,
    links: LinkMonitor,
}

impl Daemon {
    /// Does everything that needs privilege: opens images, loads programs, binds sockets.
    fn bring_up(config: &Config) -> Result<Self> {
        let started = Instant::now();
        // First, so that no change between looking at an interface and serving it is missed.
        let links = LinkMonitor::new().context("following the network interfaces")?;
        let exports = Arc::new(Exports::open(config)?);
        let (patterns, names): (Vec<_>, Vec<_>) =
            config.interfaces.iter().cloned().partition(InterfacePattern::is_pattern);
        let settings = Settings { mode: config.mode, huge_pages: config.huge_pages };
        let named: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut ports = Vec::with_capacity(named.len());
        for name in &named {
            ports.push(Port::start(name, settings, &exports)?);
        }
        let mut daemon = Self {
            started,
            exports,
            settings,
            named,
            departed: Counts::new(),
            patterns,
            ports,
            unannounced: BTreeSet::new(),
            announce_at: started,
            links,
        };
        daemon.attend_new_interfaces();
        if config.storage.preload {
            daemon.exports.preload()?;
        }
        if daemon.ports.is_empty() {
            warn!("there is no interface of these names yet: waiting for one");
        }
        Ok(daemon)
    }

    /// Follows what has happened to interfaces.
    fn refresh(&mut self) {
        self.ports.iter_mut().for_each(Port::refresh);
        self.forget_departed();
        self.attend_new_interfaces();
    }

    /// Looks again at interfaces that are waited for.
    fn retry(&mut self) {
        let waiting = self.ports.iter_mut().filter(|port| port.is_waiting());
        waiting.for_each(Port::refresh);
    }

    /// Ports that are there only because of a pattern go with their interfaces, of which a host may
    /// make any number.
    fn forget_departed(&mut self) {
        let Self { ports, named, departed, .. } = self;
        ports.retain(|port| {
            let stays = !port.is_gone() || named.iter().any(|name| name == port.name());
            if !stays {
                add_counts(departed, port.counts_before());
            }
            stays
        });
    }

    fn attend_new_interfaces(&mut self) {
        if self.patterns.is_empty() {
            return;
        }
        let names = match Link::names() {
            Ok(names) => names,
            Err(error) => {
                warn!(%error, "new interfaces go unnoticed");
                return;
            }
        };
        for name in names {
            let is_wanted = self.patterns.iter().any(|pattern| pattern.matches(&name));
            if is_wanted && self.ports.iter().all(|port| port.name() != name) {
                self.ports.push(Port::attend(&name, self.settings, &self.exports));
            }
        }
    }

    /// Has the XDP programs follow who may talk to which target, and keeps what is to be
    /// announced.
    fn take_changes(&mut self) {
        let changes = self.exports.take_changes();
        let of = |kind: Changes| -> Vec<usize> {
            let changed = changes.iter().filter(|(_, changes)| changes.include(kind));
            changed.map(|(index, _)| *index).collect()
        };
        let sources = of(Changes::SOURCES);
        self.ports.iter_mut().for_each(|port| port.filter_sources(&sources));
        if self.unannounced.is_empty() {
            self.announce_at = Instant::now() + GATHER;
        }
        self.unannounced.extend(of(Changes::ANNOUNCEMENT));
        if !of(Changes::BACKING).is_empty() {
            self.exports.spread_backings();
        }
    }

    fn announce_changes(&mut self) {
        let exports: Vec<usize> = std::mem::take(&mut self.unannounced).into_iter().collect();
        self.ports.iter().for_each(|port| port.announce(Some(&exports)));
    }

    /// Answers, without waiting for whoever reads it.
    async fn answer(&self, question: Question) {
        match question.wish() {
            Some(Wish::Status) => {
                let report = self.report().await;
                tokio::spawn(async move { question.answer(&report).await });
            }
            Some(Wish::Clear(clear)) => {
                let exports = Arc::clone(&self.exports);
                tokio::spawn(async move {
                    // It writes to the disk that the state directory is on.
                    let cleared = spawn_blocking(move || exports.clear(&clear)).await;
                    let cleared = cleared.unwrap_or_else(|failed| Err(failed.to_string()));
                    question.answer(&cleared).await
                });
            }
            None => {}
        }
    }

    async fn report(&self) -> Report {
        let mut interfaces = Vec::with_capacity(self.ports.len());
        for port in &self.ports {
            interfaces.push(port.report().await);
        }
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            exports: self.exports.all().iter().map(ExportReport::of).collect(),
            memory: MemoryReport::of(self.exports.cache()),
            interfaces,
            departed: self.departed.clone(),
        }
    }

    /// Finishes what is in flight and tells what has been done.
    async fn stop(mut self) -> String {
        // Nobody will deal with what is still changed.
        self.exports.bell().ignore();
        self.ports.iter_mut().for_each(Port::stop);
        self.exports.finish();
        self.report().await.summary()
    }
}
