//! Network namespaces.

use std::fs::File;
use std::os::fd::AsFd;
use std::panic::resume_unwind;
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{Context, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::command::run;

/// Makes the names of one process's namespaces differ.
static CREATED: AtomicU32 = AtomicU32::new(0);

/// A network namespace of the test's own, with all interfaces in it; removed with the value.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Creates an empty namespace, whose name contains `label`, this process's id and a counter.
    pub fn new(label: &str) -> Result<Self> {
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        let name = format!("aoe-test-{label}-{}-{number}", process::id());
        run(Command::new("ip").args(["netns", "add", &name]))
            .context("create a network namespace (this needs root)")?;
        Ok(Self { name })
    }

    /// The name, as `ip netns` lists it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run in this namespace and dies with the test.
    ///
    /// `ip netns exec` and `setpriv` replace themselves by the program, so the child's process id
    /// is the program's own.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.name])
            .args(["setpriv", "--pdeathsig", "KILL", "--"])
            .arg(program);
        command
    }

    /// Does something in this namespace, on a thread of its own. Sockets stay where they are made.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let file = File::open(format!("/var/run/netns/{}", self.name))?;
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
                work()
            });
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Runs `ip` on this namespace with arguments separated by spaces; gives its output.
    pub fn ip(&self, arguments: &str) -> Result<String> {
        run(Command::new("ip").args(["-n", &self.name]).args(arguments.split_whitespace()))
    }

    /// The `xdp` object that `ip -json link show` prints for an interface, or `None` if no XDP
    /// program is attached.
    pub fn xdp_attachment(&self, interface: &str) -> Result<Option<serde_json::Value>> {
        let text = self.ip(&format!("-json -details link show dev {interface}"))?;
        let links: serde_json::Value = serde_json::from_str(&text).context("read ip's JSON")?;
        Ok(links[0].get("xdp").cloned())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("ip").args(["netns", "del", &self.name])) {
            eprintln!("{error:#}");
        }
    }
}
