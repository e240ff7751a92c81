//! The daemon's buffers under a flood of frames that each want many replies.

mod support;

use aoe_xsk::{BATCH_FRAMES, PacketSocket, ReceiveBatch};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::IoSlice;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::frame::{BROADCAST, Frame};

/// More than the replies of one burst of wildcards fit the transmit ring.
const EXPORTS: usize = 40;
/// Replies that a flood goes on for: many times what the daemon has buffers.
const REPLIES: usize = 100_000;
/// How long anything may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A namespace of the test's own, deleted when dropped.
struct Namespace(String);

impl Namespace {
    fn new() -> Self {
        let name = format!("aoe-flood-{}", std::process::id());
        ip(&format!("netns add {name}"));
        Self(name)
    }

    /// Moves the calling thread, and what it starts, into it.
    fn enter(&self) {
        let file = File::open(format!("/var/run/netns/{}", self.0)).unwrap();
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&format!("netns delete {}", self.0));
    }
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split_whitespace()).status().unwrap();
    assert!(status.success(), "ip {arguments}: {status}");
}

/// The daemon, killed when dropped.
struct Daemon(Child);

impl Daemon {
    /// Serves e0.1 to e0.40 on `target`.
    fn start(namespace: &Namespace, directory: &Path) -> Self {
        let mut command = Command::new("ip");
        // It shows /sys as it is in the namespace, too, and becomes the daemon.
        command.args(["netns", "exec", &namespace.0, env!("CARGO_BIN_EXE_aoe-daemon")]);
        command.args(["--iface", "target", "--control"]).arg(directory.join("control"));
        command.arg("--state-dir").arg(directory.join("state"));
        for slot in 1..=EXPORTS {
            let image = directory.join(slot.to_string());
            File::create(&image).unwrap().set_len(1 << 20).unwrap();
            command.args(["--shelf", "0", "--slot", &slot.to_string(), "--file"]).arg(image);
        }
        Self(command.stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Client {
    socket: PacketSocket,
    batch: ReceiveBatch,
}

impl Client {
    fn discovery(&self, shelf: u16, slot: u8, tag: [u8; 4]) -> Vec<u8> {
        let source = self.socket.mac();
        let query = Frame { destination: BROADCAST, source, tag, ..Frame::config(0) };
        query.to(shelf, slot).bytes()
    }

    /// Asks e0.1 again and again until it answers; `tag` tells this answer from earlier ones.
    fn find(&mut self, tag: [u8; 4]) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            self.socket.send(&self.discovery(0, 1, tag)).unwrap();
            while self.socket.receive(&mut self.batch, Duration::from_millis(200)).unwrap() > 0 {
                if self.batch.frames().any(|frame| frame.len() >= 60 && frame[20..24] == tag) {
                    return true;
                }
            }
        }
        false
    }

    /// Sends discoveries to everybody, 64 for each 64 replies, though each wants 40 of them;
    /// whether the replies kept coming.
    fn flood(&mut self) -> bool {
        let frame = self.discovery(0xFFFF, 0xFF, [0x80, 0, 0, 2]);
        let frames = [IoSlice::new(&frame); BATCH_FRAMES];
        let deadline = Instant::now() + PATIENCE;
        let mut replies = 0;
        while replies < REPLIES && Instant::now() < deadline {
            // What does not leave now is no part of this test.
            let _ = self.socket.send_batch(&frames);
            replies += self.socket.receive(&mut self.batch, Duration::ZERO).unwrap();
        }
        replies >= REPLIES
    }
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_flood_of_wildcards_passes() {
    let namespace = Namespace::new();
    let images = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            namespace.enter();
            let queues = "numrxqueues 1 numtxqueues 1";
            ip(&format!("link add target {queues} type veth peer name client {queues}"));
            ip("link set target up");
            ip("link set client up");
            let _daemon = Daemon::start(&namespace, images.path());
            let socket = PacketSocket::open("client").unwrap();
            let mut client = Client { socket, batch: ReceiveBatch::new(2048) };
            assert!(client.find([0x80, 0, 0, 1]), "e0.1 does not answer at all");
            assert!(client.flood(), "the answers stopped");
            assert!(client.find([0x80, 0, 0, 3]), "e0.1 does not answer any more");
        });
    });
}
