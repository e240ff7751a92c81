//! Debian's vblade: the target that the harness and the client are proven against.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::namespace::Namespace;
use crate::process::Process;

/// Starts vblade as e0.1 and waits until it serves.
pub fn start(namespace: &Namespace, interface: &str, image: &Path) -> Result<Process> {
    // Its banner is the sign that it listens, and would stay in the buffer of a redirected stdout.
    let mut command = namespace.command("stdbuf");
    command.args(["-oL", "/usr/sbin/vblade", "0", "1", interface]).arg(image);
    let mut vblade = Process::spawn("vblade", &mut command, &image.with_extension("vblade.log"))?;
    vblade.wait_for_line("e0.1", Duration::from_secs(10))?;
    Ok(vblade)
}
