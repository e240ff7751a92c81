//! What the kernel says of interfaces, in a network namespace of the test's own.

use aoe_daemon::link::{Link, strips_vlan_tags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Command, ExitStatus};
use std::thread;

/// A network namespace with a virtual cable, a0 to a1. It is removed with the value.
struct Namespace {
    name: String,
}

impl Namespace {
    fn new(label: &str) -> Self {
        let name = format!("aoe-link-{label}-{}", std::process::id());
        run("ip", &format!("netns add {name}"));
        let namespace = Self { name };
        namespace.run("ip", "link add a0 type veth peer name a1");
        namespace
    }

    fn run(&self, program: &str, arguments: &str) {
        run("ip", &format!("netns exec {} {program} {arguments}", self.name));
    }

    /// The index of an interface.
    fn index(&self, interface: &str) -> u32 {
        let arguments = ["-n", &self.name, "-oneline", "link", "show", interface];
        let output = Command::new("ip").args(arguments).output().unwrap();
        let line = String::from_utf8(output.stdout).unwrap();
        line.split(':').next().unwrap().parse().unwrap()
    }

    /// Runs a function on a thread within the namespace.
    fn within<T: Send>(&self, function: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.name)).unwrap();
        let inside = || {
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), network).unwrap();
            function()
        };
        thread::scope(|scope| scope.spawn(inside).join().unwrap())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        run("ip", &format!("netns del {}", self.name));
    }
}

fn run(program: &str, arguments: &str) {
    let status = Command::new(program).args(arguments.split_whitespace()).status();
    let succeeded = status.as_ref().is_ok_and(ExitStatus::success);
    assert!(succeeded, "{program} {arguments}: {status:?}");
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_card_that_takes_vlan_tags_off_is_noticed() {
    let namespace = Namespace::new("vlan");
    let a0 = namespace.index("a0");
    let strips = |index| namespace.within(move || strips_vlan_tags(index));
    for (set, expected) in [("off", false), ("on", true), ("off", false)] {
        namespace.run("ethtool", &format!("-K a0 rxvlan {set}"));
        assert_eq!(strips(a0).unwrap(), Some(expected), "{set}");
    }
    let error = strips(a0 + 1000).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENODEV), "{error}");
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn all_ethernet_interfaces_are_found_however_many() {
    let namespace = Namespace::new("names");
    let mut expected = vec!["a0".to_owned(), "a1".to_owned()];
    for number in 0..50 {
        namespace.run("ip", &format!("link add b{number} type veth peer name c{number}"));
        expected.extend([format!("b{number}"), format!("c{number}")]);
    }
    let mut names = namespace.within(Link::names).unwrap();
    names.sort();
    expected.sort();
    assert_eq!(names, expected);
}
