//! A port: one network interface that exports are offered on, through all that may happen to it.

mod bring_up;
mod facts;
mod ladder;

pub use facts::{Facts, FactsView};

use crate::config::{HugePages, Mode};
use crate::control::report::{Counts, InterfaceReport, add_counts};
use crate::exports::{Exports, Offer};
use crate::link::{Link, LinkError};
use crate::patience::while_busy;
use anyhow::{Result, anyhow};
use bring_up::Running;
use ladder::Failure;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// How all ports receive.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How frames get from the network card to the daemon.
    pub mode: Mode,
    /// What they are on.
    pub huge_pages: HugePages,
}

/// One interface, served or waited for.
pub struct Port {
    name: String,
    settings: Settings,
    offer: Arc<Offer>,
    /// As it was when last looked at.
    link: Option<Link>,
    state: State,
    /// How frames are, or were last, received.
    receiving: Option<&'static str>,
    /// When to try again what has failed, and how long to wait then.
    retry: (Instant, Duration),
    /// What was counted each time that it served, up to the last time but this.
    before: Counts,
}

/// How long a port that waits is left alone at first, and at most.
const PAUSE: Duration = Duration::from_millis(900);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

enum State {
    Running(Box<Running>),
    /// Why frames can't be taken now.
    Waiting(String),
    Stopped,
}

impl Port {
    /// Starts to serve an interface, or to wait for it where it is down. To be called within a
    /// tokio runtime.
    ///
    /// # Errors
    ///
    /// Where there is no such interface, or it can't be served as it is. One line that says why.
    pub fn start(name: &str, settings: Settings, exports: &Arc<Exports>) -> Result<Self> {
        let link = Link::by_name(name)?;
        let mut port = Self::new(name, settings, exports);
        let is_busy = |failure: &Failure| matches!(failure, Failure::Busy(_));
        while_busy(name, is_busy, || port.bring_up(link.clone()))
            .map_err(|failure| anyhow!("{name}: {failure}"))?;
        Ok(port)
    }

    /// Starts to serve an interface as far as that works, and to wait for it where it does not. To
    /// be called within a tokio runtime.
    pub fn attend(name: &str, settings: Settings, exports: &Arc<Exports>) -> Self {
        let mut port = Self::new(name, settings, exports);
        port.refresh();
        port
    }

    fn new(name: &str, settings: Settings, exports: &Arc<Exports>) -> Self {
        Self {
            name: name.to_owned(),
            settings,
            offer: Arc::new(Offer::on(name, exports)),
            link: None,
            state: State::Stopped,
            receiving: None,
            retry: (Instant::now(), PAUSE),
            before: Counts::new(),
        }
    }

    /// Brings the port up on this link, or has it wait.
    fn bring_up(&mut self, link: Link) -> Result<(), Failure> {
        self.link = Some(link.clone());
        if !link.up {
            self.wait(format!("the interface is down: ip link set {} up", self.name));
            return Ok(());
        }
        let running = Running::start(&link, self.settings, &self.offer)?;
        self.receiving = Some(running.mode());
        self.state = State::Running(Box::new(running));
        Ok(())
    }

    fn wait(&mut self, reason: String) {
        if !matches!(&self.state, State::Waiting(known) if *known == reason) {
            warn!(interface = self.name, reason, "waiting");
        }
        self.state = State::Waiting(reason);
    }

    /// Looks at the interface again and does what its changes ask for.
    pub fn refresh(&mut self) {
        let link = match Link::by_name(&self.name) {
            Ok(link) => link,
            Err(LinkError::NoSuchName { .. }) => {
                self.leave();
                self.link = None;
                self.wait("the interface is gone".into());
                return;
            }
            Err(error) => {
                warn!(interface = self.name, %error, "can't look at the interface");
                return;
            }
        };
        // What has failed on this very link fails again, more likely than not.
        if self.is_waiting() && self.link.as_ref() == Some(&link) && Instant::now() < self.retry.0 {
            return;
        }
        let same_device = self.link.as_ref().is_some_and(|known| known.index == link.index);
        match &mut self.state {
            State::Running(running) if same_device && running.queues() == link.rx_queues => {
                let works = |link: &Link| link.up && link.carrier;
                let mut announce = running.adapt(&link);
                if let Some(known) = &self.link {
                    tell_changes(known, &link);
                    announce |= works(&link) && !works(known);
                }
                if announce {
                    running.announce(self.offer.offered());
                }
                self.link = Some(link);
            }
            _ => self.restart(link),
        }
    }

    /// Serves another device of the same name, or the same device with other queues, or one that
    /// was waited for.
    fn restart(&mut self, link: Link) {
        self.leave();
        if self.link.as_ref() != Some(&link) {
            self.retry.1 = PAUSE;
        }
        if let Err(failure) = self.bring_up(link) {
            self.wait(failure.to_string());
        }
        if self.is_waiting() {
            let pause = self.retry.1;
            self.retry = (Instant::now() + pause, (2 * pause).min(LONGEST_PAUSE));
        } else {
            self.retry.1 = PAUSE;
        }
    }

    /// Announces exports, of which it takes those that it offers, or all of them.
    pub fn announce(&self, exports: Option<&[usize]>) {
        if let State::Running(running) = &self.state {
            match exports {
                Some(exports) => running.announce(&self.offered(exports)),
                None => running.announce(self.offer.offered()),
            }
        }
    }

    /// Takes over who may talk to exports, of which it looks at those that it offers.
    pub fn filter_sources(&mut self, exports: &[usize]) {
        let offered = self.offered(exports);
        if let State::Running(running) = &mut self.state {
            running.filter_sources(&offered);
        }
    }

    fn offered(&self, exports: &[usize]) -> Vec<usize> {
        let is_offered = |index: &&usize| self.offer.offered().binary_search(index).is_ok();
        exports.iter().filter(is_offered).copied().collect()
    }

    /// Whether its interface is gone.
    pub const fn is_gone(&self) -> bool {
        self.link.is_none() && self.is_waiting()
    }

    /// What was counted before its interface went away or came back.
    pub const fn counts_before(&self) -> &Counts {
        &self.before
    }

    /// The name of the interface.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has to be looked at again even if the kernel tells of no change.
    pub const fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting(_))
    }

    /// Finishes what is in flight and leaves the interface for good.
    pub fn stop(&mut self) {
        self.leave();
        self.state = State::Stopped;
    }

    /// Leaves the interface if it is served.
    fn leave(&mut self) {
        match std::mem::replace(&mut self.state, State::Stopped) {
            State::Running(running) => {
                // It waits for its workers, those for disks, and those perhaps for us.
                let bell = self.offer.exports().bell();
                let counts = bell.while_ignored(|| running.stop());
                add_counts(&mut self.before, &counts);
            }
            other => self.state = other,
        }
    }

    /// How it does.
    pub async fn report(&self) -> InterfaceReport {
        let mut report = InterfaceReport {
            name: self.name.clone(),
            serving: false,
            waiting_for: None,
            mac: self.link.as_ref().map(|link| link.mac.to_string()).unwrap_or_default(),
            mtu: self.link.as_ref().map_or(0, |link| link.mtu),
            max_sectors: 0,
            mode: self.receiving.map(str::to_owned),
            xdp: Counts::new(),
            queues: Vec::new(),
            before: self.before.clone(),
        };
        match &self.state {
            State::Stopped => {}
            State::Waiting(reason) => report.waiting_for = Some(reason.clone()),
            State::Running(running) => {
                report.serving = true;
                report.max_sectors = running.facts().max_sectors;
                report.xdp = running.counts();
                report.queues = running.report().await;
            }
        }
        report
    }
}

fn tell_changes(known: &Link, link: &Link) {
    let interface = &link.name;
    if (known.up && known.carrier) != (link.up && link.carrier) {
        let state = if !link.up {
            "is down: requests wait until it is up"
        } else if !link.carrier {
            "has no carrier: requests wait until it has"
        } else {
            "is up"
        };
        info!(interface, "the link {state}");
    }
    if known.mac != link.mac {
        info!(interface, mac = %link.mac, "the interface has another MAC address");
    }
}
