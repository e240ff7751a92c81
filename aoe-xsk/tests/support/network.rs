//! A network namespace with a veth pair in it, for one test.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The end that the socket under test is bound to.
pub const TARGET: &str = "target";
/// The other end.
pub const PEER: &str = "peer";

/// A namespace, deleted when dropped.
struct Namespace(String);

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&["netns", "delete", &self.0]);
    }
}

/// Runs `test` in a thread inside a new namespace with a veth pair of this MTU, both ends up. With
/// one pair alone in it, both ends can live there.
pub fn in_network(mtu: usize, test: impl FnOnce() + Send) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let namespace = Namespace(format!("xsk-{}-{number}", std::process::id()));
    ip(&["netns", "add", &namespace.0]);
    let file = File::open(format!("/var/run/netns/{}", namespace.0)).unwrap();
    let outcome = std::thread::scope(|scope| {
        let inside = || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            add_pair(mtu);
            test();
        };
        scope.spawn(inside).join()
    });
    drop(namespace);
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

fn add_pair(mtu: usize) {
    let mtu = mtu.to_string();
    let queues = ["numrxqueues", "1", "numtxqueues", "1"];
    let mut add = vec!["link", "add", TARGET, "mtu", &mtu];
    add.extend(queues);
    add.extend(["type", "veth", "peer", "name", PEER, "mtu", &mtu]);
    add.extend(queues);
    ip(&add);
    set_link(PEER, "up");
    set_link(TARGET, "up");
}

/// Brings an interface up or down.
pub fn set_link(interface: &str, state: &str) {
    ip(&["link", "set", interface, state]);
}

/// Runs `ip` in the namespace of the calling thread.
pub fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("iproute2 is installed");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {}: {text}", arguments.join(" "));
}

/// The index of an interface in the namespace of the calling thread.
pub fn ifindex(interface: &str) -> u32 {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap();
    name_to_index(socket, interface).unwrap()
}
