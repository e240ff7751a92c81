//! Virtual machines: QEMU under plain emulation, because nested KVM is not to be had everywhere.
//!
//! The guest's serial console is the result. Its scripts print `STEP <name> ok` after each step,
//! or `STEP <name> failed` and power off.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::initramfs::Overlay;
use crate::kernel::Kernel;
use crate::namespace::Namespace;
use crate::paths;
use crate::process::Process;
use crate::wire::TAP;

/// Memory of a guest, in MiB: room for the initramfs, 64 MiB of data and their page cache.
const MEMORY_MIB: u32 = 768;

/// From start to the first step, on a busy machine.
pub const BOOT_LIMIT: Duration = Duration::from_secs(120);

/// A guest that has not been started.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// Where its taps are.
    pub namespace: &'a Namespace,
    /// The other ends of its network cards, in the order in which it will find them.
    pub taps: &'a [&'a str],
    /// For what it boots and for the serial log.
    pub directory: &'a Path,
    /// More of QEMU's options.
    pub options: &'a [String],
}

impl<'a> Machine<'a> {
    /// A machine with one network card, on the [`TAP`] of a namespace.
    pub fn on_tap(namespace: &'a Namespace, directory: &'a Path) -> Self {
        Self { namespace, taps: &[TAP], directory, options: &[] }
    }

    /// Boots Linux.
    ///
    /// `environment` are the variables that the guest's scripts see: the kernel hands the words
    /// of its command line that it does not know to init.
    pub fn boot_linux(
        &self,
        kernel: &Kernel,
        files: Overlay,
        environment: &[(&str, &str)],
    ) -> Result<Vm> {
        let initramfs = self.directory.join("initramfs.cpio");
        files.pack(kernel, &initramfs)?;
        let mut append = String::from("console=ttyS0 panic=-1 quiet mitigations=off");
        for (name, value) in environment {
            append.push_str(&format!(" {name}={value}"));
        }
        let mut command = self.command(&kernel.image, &initramfs)?;
        command.args(["-append", &append]);
        self.start(command)
    }

    /// Boots iPXE, which runs a script.
    pub fn boot_ipxe(&self, loader: &Path, script: &str) -> Result<Vm> {
        let file = self.directory.join("script.ipxe");
        fs::write(&file, script)?;
        self.start(self.command(loader, &file)?)
    }

    fn command(&self, kernel: &Path, initrd: &Path) -> Result<Command> {
        let mut command = self.namespace.command(paths::qemu()?);
        command
            .args(["-machine", "pc", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"])
            .args(["-m", &MEMORY_MIB.to_string(), "-nodefaults", "-no-reboot"])
            .args(["-display", "none", "-serial", "stdio"])
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(initrd)
            .args(self.options);
        for (number, tap) in self.taps.iter().enumerate() {
            let end = format!("tap,id=net{number},ifname={tap},script=no,downscript=no,vhost=off");
            // The cards of one wire must differ.
            let card = format!(
                "virtio-net-pci,netdev=net{number},mac=52:54:00:00:00:{number:02x},romfile="
            );
            command.args(["-netdev", &end, "-device", &card]);
        }
        Ok(command)
    }

    fn start(&self, mut command: Command) -> Result<Vm> {
        let log = self.directory.join("serial.log");
        Ok(Vm { process: Process::spawn("guest", &mut command, &log)? })
    }
}

/// A running guest; dropping it ends QEMU and prints the end of the serial log.
#[derive(Debug)]
pub struct Vm {
    process: Process,
}

impl Vm {
    /// Waits until the guest has done a step, and gives everything it has said so far. Fails at
    /// once when the guest says that a step failed: it powers off then.
    pub fn wait_for_step(&mut self, step: &str, limit: Duration) -> Result<String> {
        self.wait_for(&format!("STEP {step} ok"), limit)
    }

    /// Waits until the guest has printed `text`, and gives everything it has said so far.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> Result<String> {
        self.process.wait_for_line(text, limit)?;
        Ok(self.process.log())
    }

    /// Ends it as a power cut does.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill()
    }

    /// Everything the guest has said so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Sends a line to the guest's console.
    pub fn say(&mut self, line: &str) -> Result<()> {
        self.process.say(line)
    }

    /// Waits for the guest's last step and its power-off; gives its whole log.
    pub fn wait_for_end(mut self, limit: Duration) -> Result<String> {
        self.wait_for_step("everything", limit)?;
        let status = self.process.wait(Duration::from_secs(30))?;
        anyhow::ensure!(status.success(), "QEMU ended with {status}");
        Ok(self.process.log())
    }
}

/// The rest of the first line of a serial log that begins with `key`.
pub fn value_of<'a>(log: &'a str, key: &str) -> Result<&'a str> {
    log.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
        .map(str::trim)
        .with_context(|| format!("the guest did not print {key}"))
}
