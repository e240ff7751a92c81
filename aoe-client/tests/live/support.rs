//! What the tests against a live target share.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use aoe_client::{Address, Error};
use aoe_tests::command::{Finished, SHORT, finish};
use aoe_tests::namespace::Namespace;
use aoe_tests::process::Process;
use aoe_tests::wire::{CLIENT_PORT, Wire};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

pub(crate) fn e0_1() -> Address {
    Address::new(0, 1).expect("a sound address")
}

/// Runs the `aoe` command on the client's side.
pub(crate) fn aoe(wire: &Wire, arguments: &[&str]) -> Result<Finished> {
    let mut command = wire.client.command(env!("CARGO_BIN_EXE_aoe"));
    command.args(arguments).args(["--iface", CLIENT_PORT]);
    finish(&mut command, SHORT)
}

/// What the command printed, which must have worked.
pub(crate) fn printed(wire: &Wire, arguments: &[&str]) -> Result<String> {
    Ok(aoe(wire, arguments)?.success()?.text())
}

/// What the command said when it failed, with exit code 1.
pub(crate) fn refused(wire: &Wire, arguments: &[&str]) -> Result<String> {
    let finished = aoe(wire, arguments)?;
    let code = finished.status.code();
    anyhow::ensure!(code == Some(1), "exit code {code:?}, {finished:?}");
    Ok(finished.stderr)
}

/// The library's error, which must be one.
pub(crate) fn error<T>(result: Result<T, Error>) -> Result<Error> {
    result.err().ok_or_else(|| anyhow!("this had to fail"))
}

/// Runs `work` on a thread of its own that is inside the namespace.
pub(crate) fn inside<T: Send>(
    namespace: &Namespace,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    let file = File::open(Path::new("/run/netns").join(namespace.name()))?;
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
            work()
        });
        worker.join().expect("the thread inside the namespace panicked")
    })
}

/// Starts Debian's vblade on shelf 0 and waits until it serves.
pub(crate) fn vblade(
    namespace: &Namespace,
    interface: &str,
    slot: u8,
    options: &[&str],
    image: &Path,
) -> Result<Process> {
    // Its banner is the sign that it listens, and would stay in the buffer of a redirected stdout.
    let mut command = namespace.command("stdbuf");
    command.args(["-oL", "/usr/sbin/vblade"]).args(options);
    command.args(["0", &slot.to_string(), interface]).arg(image);
    let log = image.with_extension(format!("{slot}.log"));
    let mut process = Process::spawn("vblade", &mut command, &log)?;
    process
        .wait_for_line(&format!("e0.{slot}"), Duration::from_secs(10))
        .context("vblade (apt-get install vblade)")?;
    Ok(process)
}
