//! The XDP program in the kernel, against the table of verdicts that the host's rule is tested
//! with, and what its maps do to the verdict.

use std::os::fd::OwnedFd;

use aoe_common::address::Address;
use aoe_common::counters::Counter;
use aoe_common::steer::{ADMIT, Filter, REFUSE, Verdict, cases};
use aoe_common::wire::Mac;
use aoe_daemon::xdp::Steering;
use rustix::net::{AddressFamily, SocketType, socket};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;

/// The program, set up for the table of cases.
fn loaded() -> Steering {
    let mut steering = Steering::load().expect("the kernel accepts the program");
    steering.set_mac(cases::PORT).expect("the port's address is set");
    for (vlan_id, target) in cases::served() {
        steering.add_target(vlan_id, target).expect("the target is added");
    }
    for (name, filter, source, value) in cases::filters() {
        let entries = [(source, value)].into_iter();
        steering.set_filter(name, filter, entries).expect("the filter is set");
    }
    steering
}

/// Gives queue 0, on which test frames arrive, a socket for as long as that stays open.
fn bind(steering: &mut Steering) -> OwnedFd {
    let family = AddressFamily::from_raw(libc::AF_XDP as u16);
    let socket = socket(family, SocketType::RAW, None).expect("an AF_XDP socket");
    steering.set_socket(0, &socket).expect("the socket is entered");
    socket
}

/// Runs the program on one frame; gives its action and the counters that it added one to.
fn run(steering: &Steering, frame: &[u8]) -> (u32, Vec<Counter>) {
    let before = steering.counts().expect("counters are readable");
    let action = steering.try_frame(frame).expect("the program runs");
    let after = steering.counts().expect("counters are readable");
    let counted = Counter::ALL.into_iter().filter(|counter| {
        let more = after[*counter as usize] - before[*counter as usize];
        assert!(more <= 1, "{counter:?} grew by {more}");
        more == 1
    });
    (action, counted.collect())
}

/// A frame of the table that is steered.
fn steered_case() -> cases::Case {
    cases::all().find(|case| case.expected == Verdict::Steer).expect("the table has one")
}

#[test]
#[ignore = "needs root: cargo xtask test runs it"]
fn kernel_agrees_with_the_table() {
    let mut steering = loaded();
    let _socket = bind(&mut steering);
    let mut cases_run = 0;
    for case in cases::all() {
        let (action, reason) = match case.expected {
            Verdict::Steer => (XDP_REDIRECT, Counter::Steered),
            Verdict::Pass(reason) => (XDP_PASS, reason),
            Verdict::Drop(reason) => (XDP_DROP, reason),
        };
        let expected = (action, vec![Counter::Seen, reason]);
        let length = case.frame().len();
        assert_eq!(run(&steering, case.frame()), expected, "{}, {length} bytes", case.name);
        cases_run += 1;
    }
    assert!(cases_run > 50, "the table has shrunk to {cases_run} cases");
}

#[test]
#[ignore = "needs root: cargo xtask test runs it"]
fn jumbo_frame_in_several_buffers_is_steered() {
    let mut steering = loaded();
    let _socket = bind(&mut steering);
    let mut frame = steered_case().frame().to_vec();
    frame.resize(9018, 0xA5);
    assert_eq!(run(&steering, &frame), (XDP_REDIRECT, vec![Counter::Seen, Counter::Steered]));
}

#[test]
#[ignore = "needs root: cargo xtask test runs it"]
fn without_a_socket_frames_pass() {
    let mut steering = loaded();
    let case = steered_case();
    let passed = (XDP_PASS, vec![Counter::Seen, Counter::PassedNoSocket]);
    assert_eq!(run(&steering, case.frame()), passed);

    let socket = bind(&mut steering);
    assert_eq!(run(&steering, case.frame()).0, XDP_REDIRECT);
    steering.unset_socket(0).expect("the socket is taken out");
    assert_eq!(run(&steering, case.frame()), passed);

    steering.set_socket(0, &socket).expect("the socket is entered again");
    assert_eq!(run(&steering, case.frame()).0, XDP_REDIRECT);
    drop(socket);
    assert_eq!(run(&steering, case.frame()), passed, "a closed socket leaves the map");
}

#[test]
#[ignore = "needs root: cargo xtask test runs it"]
fn removing_a_target_keeps_the_names_of_others() {
    let mut steering = loaded();
    let _socket = bind(&mut steering);
    let (shelf, slot) = cases::UNTAGGED;
    let target = Address::new(shelf, slot).expect("a valid address");
    let neighbour = Address::new(shelf, slot + 1).expect("a valid address");
    let action = |steering: &Steering, name: &str| {
        let case = cases::all().find(|case| case.name == name).expect("a case of the table");
        run(steering, case.frame()).0
    };

    steering.add_target(0, neighbour).expect("the neighbour is added");
    steering.remove_target(0, target).expect("the target is removed");
    assert_eq!(action(&steering, "exact address"), XDP_PASS);
    assert_eq!(action(&steering, "every shelf, our slot"), XDP_PASS);
    assert_eq!(action(&steering, "every target"), XDP_REDIRECT);
    assert_eq!(action(&steering, "our shelf, every slot"), XDP_REDIRECT);
    assert_eq!(action(&steering, "VLAN 5, its target"), XDP_REDIRECT);

    for (vlan, target) in cases::served().into_iter().chain([(0, neighbour)]) {
        if vlan == 0 {
            steering.remove_target(0, target).expect("the others are removed");
        }
    }
    assert_eq!(action(&steering, "every target"), XDP_PASS);
    assert_eq!(action(&steering, "our shelf, every slot"), XDP_PASS);
}

#[test]
#[ignore = "needs root: cargo xtask test runs it"]
fn frames_follow_the_port_to_another_address() {
    let mut steering = loaded();
    let _socket = bind(&mut steering);
    let mut frame = steered_case().frame().to_vec();
    let moved = Mac([0x02, 0, 0, 0, 0, 0x77]);
    steering.set_mac(moved).expect("the port's address is set");
    assert_eq!(run(&steering, &frame).1, [Counter::Seen, Counter::PassedOtherStation]);
    frame[..6].copy_from_slice(&moved.0);
    assert_eq!(run(&steering, &frame).1, [Counter::Seen, Counter::Steered]);
}

#[test]
#[ignore = "needs root: cargo xtask test runs it"]
fn a_filter_replaces_the_one_before() {
    let mut steering = loaded();
    let _socket = bind(&mut steering);
    let case = cases::all().find(|case| case.name == "a listed source").expect("it is there");
    let source = Mac(case.frame()[6..12].try_into().expect("a source"));
    let stranger = Mac([0x02, 0, 0, 0, 0, 0x66]);
    let (name, ..) = cases::filters()[0];
    let steps = [
        (Filter::Listed, vec![(stranger, ADMIT)], XDP_DROP),
        (Filter::Listed, vec![(stranger, ADMIT), (source, ADMIT)], XDP_REDIRECT),
        (Filter::Unlisted, vec![(stranger, REFUSE)], XDP_REDIRECT),
        (Filter::Unlisted, vec![(source, REFUSE)], XDP_DROP),
        (Filter::Listed, vec![], XDP_DROP),
        (Filter::Everybody, vec![], XDP_REDIRECT),
    ];
    for (filter, entries, expected) in steps {
        let list = format!("{filter:?} {entries:?}");
        steering.set_filter(name, filter, entries.into_iter()).expect("the filter is set");
        assert_eq!(run(&steering, case.frame()).0, expected, "{list}");
    }
}

#[test]
#[ignore = "needs root: cargo xtask test runs it"]
fn a_filter_that_is_too_long_admits_everybody() {
    let mut steering = loaded();
    let _socket = bind(&mut steering);
    let case = cases::all().find(|case| case.name == "a listed source").expect("it is there");
    let (name, ..) = cases::filters()[0];
    let strangers = (0..70_000_u32).map(|number| {
        let [a, b, c, d] = number.to_be_bytes();
        (Mac([0x06, 0, a, b, c, d]), ADMIT)
    });
    assert!(steering.set_filter(name, Filter::Listed, strangers).is_err(), "the map holds all");
    assert_eq!(run(&steering, case.frame()).0, XDP_REDIRECT);
    steering.set_filter(name, Filter::Listed, std::iter::empty()).expect("there is room again");
    assert_eq!(run(&steering, case.frame()).0, XDP_DROP);
}
