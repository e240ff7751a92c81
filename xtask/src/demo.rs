//! `cargo xtask run` without arguments: the target at work, in a network of its own.

use crate::build::{Programs, target_dir};
use crate::privilege;
use crate::sandbox::{CLIENT_END, Sandbox, TARGET_END, run as run_command};
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the daemon may take to answer. It tries for 10 s itself where something is in its way.
const START_PATIENCE: Duration = Duration::from_secs(15);
/// How long the first queries wait for an answer, in milliseconds.
const QUERY_TIMEOUT: &str = "50";
/// How often the end of the daemon or of the user's patience is looked for.
const LOOK: Duration = Duration::from_millis(50);
/// Bytes written and read back.
const SAMPLE: usize = 4 << 20;

/// Set by Ctrl-C and by SIGTERM.
static STOP: AtomicBool = AtomicBool::new(false);

/// Shows everything once, then stays up unless `once`. Building took as long as `built` says.
pub(crate) fn run(programs: &Programs, once: bool, built: Duration) -> Result<()> {
    let started = Instant::now();
    ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed)).context("signal handler")?;
    privilege::prepare(&programs.daemon)?;
    let directory = target_dir().join("demo");
    fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
    let sandbox = Sandbox::new()?;
    let mut demo = Demo { programs, sandbox, directory, daemon: None };
    demo.start()?;
    demo.first_answer(started, built)?;
    demo.show()?;
    if !once {
        demo.invite();
        demo.wait()?;
    }
    demo.stop()
}

struct Demo<'a> {
    programs: &'a Programs,
    sandbox: Sandbox,
    directory: PathBuf,
    daemon: Option<Child>,
}

impl Demo<'_> {
    fn control(&self) -> PathBuf {
        self.directory.join("control.sock")
    }

    fn start(&mut self) -> Result<()> {
        say(&format!("serving a 1 GiB disk as e0.1 in network namespace {}", self.sandbox.name()));
        let mut command = self.sandbox.command(&self.programs.daemon);
        command
            .args(["--iface", TARGET_END, "--shelf", "0", "--slot", "1", "--file"])
            .arg(self.directory.join("e0.1.img"))
            .args(["--create", "1G", "--sparse", "--control"])
            .arg(self.control())
            .arg("--state-dir")
            .arg(self.directory.join("state"));
        self.daemon = Some(command.spawn().context("cannot start the daemon")?);
        Ok(())
    }

    fn show(&self) -> Result<()> {
        say("discovery: who is there?");
        self.client(&["discover"], None)?;
        say("identify: how large is it?");
        self.client(&["stat"], None)?;
        self.compare()?;
        say("two seconds of random 1 KiB reads, 16 at a time, over an ordinary packet socket");
        self.client(&["bench"], Some(&["--seconds", "2", "--depth", "16", "--sectors", "2"]))
    }

    /// Asks until the daemon answers.
    fn first_answer(&mut self, started: Instant, built: Duration) -> Result<()> {
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            let mut query = self.sandbox.command(&self.programs.client);
            query.args(["discover", "--iface", CLIENT_END, "--timeout", QUERY_TIMEOUT]);
            let status = query.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
            if status.success() {
                let (start, build) = (started.elapsed().as_secs_f64(), built.as_secs_f64());
                say(&format!("first answer after {start:.2} s, and {build:.2} s of building"));
                return Ok(());
            }
            self.check_daemon()?;
            ensure!(!STOP.load(Ordering::Relaxed), "stopped");
            ensure!(
                Instant::now() < deadline,
                "no answer from the daemon within {START_PATIENCE:?}"
            );
        }
    }

    /// Runs the initiator from the client's end; with more arguments on the disk itself.
    fn client(&self, command: &[&str], on_disk: Option<&[&str]>) -> Result<()> {
        let mut client = self.sandbox.command(&self.programs.client);
        client.args(command);
        if let Some(more) = on_disk {
            client.arg("e0.1").args(more);
        }
        run_command(client.args(["--iface", CLIENT_END]))
    }

    fn compare(&self) -> Result<()> {
        say(&format!("a write of {} MiB of random bytes, and the way back", SAMPLE >> 20));
        let (sent, received) = (self.directory.join("sent"), self.directory.join("received"));
        let mut bytes = vec![0; SAMPLE];
        File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes))?;
        fs::write(&sent, &bytes)?;
        self.client(&["write"], Some(&[utf8(&sent)?]))?;
        let size = SAMPLE.to_string();
        self.client(&["read"], Some(&["--bytes", &size, "--output", utf8(&received)?]))?;
        ensure!(fs::read(&received)? == bytes, "what was read is not what was written");
        say("what was read is what was written");
        Ok(())
    }

    fn invite(&self) {
        let Programs { daemon, client } = self.programs;
        let prefix = privilege::prefix();
        let inside = format!("{prefix}ip netns exec {}", self.sandbox.name());
        say("it stays up until Ctrl-C; from another terminal you can try");
        for (command, pipe) in [
            ("discover", ""),
            ("stat", ""),
            ("read e0.1 --sectors 1", " | od -A d -t x1 | head -4"),
            ("bench e0.1 --depth 64", ""),
        ] {
            println!("  {inside} {} {command} --iface {CLIENT_END}{pipe}", client.display());
        }
        println!("  {inside} aoeping -I 0 1 {CLIENT_END}        # from the package aoetools");
        println!("  {prefix}{} status --control {}", daemon.display(), self.control().display());
    }

    fn wait(&mut self) -> Result<()> {
        while !STOP.load(Ordering::Relaxed) {
            self.check_daemon()?;
            sleep(LOOK);
        }
        Ok(())
    }

    /// Fails if the daemon has ended by itself.
    fn check_daemon(&mut self) -> Result<()> {
        let Some(daemon) = &mut self.daemon else { return Ok(()) };
        if let Some(status) = daemon.try_wait()? {
            if !STOP.load(Ordering::Relaxed) {
                bail!("the daemon has ended: {status}");
            }
        }
        Ok(())
    }

    /// Ends the daemon by removing what it runs in; it has its last word.
    fn stop(self) -> Result<()> {
        let Self { sandbox, daemon, .. } = self;
        let name = sandbox.name().to_owned();
        drop(sandbox);
        if let Some(mut daemon) = daemon {
            let status = daemon.wait()?;
            ensure!(status.success(), "the daemon ended with {status}");
        }
        say(&format!("network namespace {name} is removed"));
        Ok(())
    }
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

fn say(what: &str) {
    println!("\n== {what}");
}
