//! What the tests against a live target share.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use aoe_tests::namespace::Namespace;
use aoe_tests::process::Process;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

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
