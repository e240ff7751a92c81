//! Debian's vblade: the target that the harness and the client are proven against.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::namespace::Namespace;
use crate::process::Process;

/// Starts vblade as e0.1 and waits until it serves.
pub fn start(namespace: &Namespace, interface: &str, image: &Path) -> Result<Process> {
    start_with(namespace, interface, image, &[], &[])
}

/// The same with flags of its own, by a command that starts the command behind it.
pub fn start_with(
    namespace: &Namespace,
    interface: &str,
    image: &Path,
    flags: &[&str],
    wrapper: &[&str],
) -> Result<Process> {
    // Its banner is the sign that it listens, and would stay in the buffer of a redirected stdout.
    let mut command = namespace.command("stdbuf");
    command.arg("-oL").args(wrapper).arg("/usr/sbin/vblade").args(flags);
    command.args(["0", "1", interface]).arg(image);
    let mut vblade = Process::spawn("vblade", &mut command, &image.with_extension("vblade.log"))?;
    vblade.wait_for_line("e0.1", Duration::from_secs(10))?;
    Ok(vblade)
}
