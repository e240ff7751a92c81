//! A network namespace with a virtual cable in it, which goes away however we end.

use crate::privilege::as_root;
use anyhow::{Context, Result, ensure};
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// The target's end of the cable.
pub(crate) const TARGET_END: &str = "target0";
/// The client's end of the cable.
pub(crate) const CLIENT_END: &str = "client0";

/// Waits until its standard input ends, which it does with the process that holds the other end,
/// however that ends. Then ends the namespace's processes and removes it.
const GUARDIAN: &str = "\
read -r _
pids=$(ip netns pids \"$1\") && [ -n \"$pids\" ] && kill $pids
for _ in $(seq 100); do [ -z \"$(ip netns pids \"$1\")\" ] && break; sleep 0.1; done
ip netns delete \"$1\"";

/// The namespace. Dropping it ends the processes in it and removes it.
pub(crate) struct Sandbox {
    name: String,
    guardian: Child,
}

impl Sandbox {
    /// Makes a namespace, and in it a cable whose ends are up.
    pub(crate) fn new() -> Result<Self> {
        let name = format!("aoe-demo-{}", std::process::id());
        run(as_root("ip").args(["netns", "add", &name]))?;
        let guardian = as_root("sh")
            .args(["-c", GUARDIAN, "sh", &name])
            .stdin(Stdio::piped())
            // Ctrl-C is for us and the daemon; the guardian has to outlive both.
            .process_group(0)
            .spawn()
            .context("cannot start sh")?;
        let sandbox = Self { name, guardian };
        let cable = ["link", "add", TARGET_END, "type", "veth", "peer", "name", CLIENT_END];
        run(sandbox.command("ip").args(cable))?;
        for end in [TARGET_END, CLIENT_END] {
            run(sandbox.command("ip").args(["link", "set", end, "up"]))?;
        }
        Ok(sandbox)
    }

    /// Name of the namespace.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A command inside the namespace, as root.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = as_root("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        // It has said itself what it could not do.
        let _ = self.guardian.wait();
    }
}

/// Runs a command that has to succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}
