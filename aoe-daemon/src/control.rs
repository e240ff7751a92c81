//! The control plane: it starts and stops the data plane, follows what happens to the
//! interfaces, and answers questions. It never touches a frame.

pub mod report;
mod socket;

pub use socket::ask_status;

use crate::config::Config;
use crate::exports::Exports;
use crate::link::LinkMonitor;
use crate::port::Port;
use anyhow::{Context, Result, ensure};
use report::{ExportReport, Report};
use rustix::thread::{CapabilitySet, capabilities};
use socket::{ControlSocket, Question};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{info, warn};

/// How often an interface that is waited for is looked at, besides every change of a link.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Questions that may wait for an answer.
const QUESTIONS: usize = 16;

/// Serves until a signal ends it.
///
/// # Errors
///
/// Where it can't start. One line that says why and what to do.
pub fn serve(config: &Config) -> Result<()> {
    check_capabilities()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut daemon = Daemon::bring_up(config)?;
        // Until here a signal just ended the process: there was nothing to finish.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (asked, mut questions) = mpsc::channel(QUESTIONS);
        let socket = ControlSocket::bind(&config.control)?;
        let listening = tokio::spawn(socket.listen(asked));
        let mut look_again = tokio::time::interval(LOOK_AGAIN);
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                changed = daemon.links.changed() => {
                    if let Err(error) = changed {
                        warn!(%error, "changes of interfaces go unnoticed");
                        tokio::time::sleep(LOOK_AGAIN).await;
                    }
                    daemon.ports.iter_mut().for_each(Port::refresh);
                }
                _ = look_again.tick() => {
                    let waiting = daemon.ports.iter_mut().filter(|port| port.is_waiting());
                    waiting.for_each(Port::refresh);
                }
                Some(question) = questions.recv() => answer(question, daemon.report().await).await,
            }
        }
        info!("stopping");
        listening.abort();
        let summary = daemon.stop().await;
        print!("{summary}");
        Ok(())
    })
}

async fn answer(question: Question, report: Report) {
    if question.is_status() {
        // The client may have gone.
        let _ = question.answer(&report).await;
    }
}

/// Everything needs these: without them every later message would be a riddle.
fn check_capabilities() -> Result<()> {
    let held = capabilities(None).context("capabilities of the process")?.effective;
    let network = held.contains(CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW);
    let bpf = held.intersects(CapabilitySet::BPF | CapabilitySet::SYS_ADMIN);
    ensure!(
        network && bpf,
        "serving needs root, or the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW: start \
         it with sudo"
    );
    Ok(())
}

/// The running daemon.
struct Daemon {
    started: Instant,
    exports: Arc<Exports>,
    ports: Vec<Port>,
    links: LinkMonitor,
}

impl Daemon {
    /// Does everything that needs privilege: opens images, loads programs, binds sockets.
    fn bring_up(config: &Config) -> Result<Self> {
        let started = Instant::now();
        // First, so that no change between looking at an interface and serving it is missed.
        let links = LinkMonitor::new().context("following the network interfaces")?;
        let exports = Arc::new(Exports::open(config)?);
        let mut ports = Vec::with_capacity(config.interfaces.len());
        for interface in &config.interfaces {
            ports.push(Port::start(interface.as_str(), config.mode, &exports)?);
        }
        Ok(Self { started, exports, ports, links })
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
            interfaces,
        }
    }

    /// Finishes what is in flight and tells what has been done.
    async fn stop(mut self) -> String {
        self.ports.iter_mut().for_each(Port::stop);
        self.report().await.summary()
    }
}
