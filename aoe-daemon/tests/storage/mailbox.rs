//! The mailbox: nothing is lost in it, nobody sleeps over a message, and it keeps nothing alive.

use aoe_daemon::mailbox::{Mailbox, Message};
use aoe_daemon::worker::Order;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Sleeps as a worker does until there is a message; false if nobody rings for half a minute.
fn sleep(mailbox: &Mailbox) -> bool {
    if !mailbox.prepare_sleep() {
        return true;
    }
    let mut bell = [PollFd::from_borrowed_fd(mailbox.bell(), PollFlags::IN)];
    let patience = Timespec { tv_sec: 30, tv_nsec: 0 };
    let rung = poll(&mut bell, Some(&patience)).expect("poll works");
    mailbox.woke();
    rung == 1
}

#[test]
fn no_message_is_slept_over() {
    const POSTERS: usize = 3;
    const MESSAGES: usize = 30_000;
    let mailbox = Mailbox::new(1).unwrap();
    let over = AtomicBool::new(false);
    let taken = std::thread::scope(|scope| {
        for _ in 0..POSTERS {
            scope.spawn(|| {
                for _ in 0..MESSAGES {
                    let posted =
                        || mailbox.post(Message::Order(Order::Announce(Vec::new()))).is_ok();
                    while !posted() && !over.load(Ordering::Relaxed) {
                        std::thread::yield_now();
                    }
                }
            });
        }
        let mut taken = 0;
        while taken < POSTERS * MESSAGES {
            if mailbox.take().is_some() {
                taken += 1;
            } else if !sleep(&mailbox) {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        taken
    });
    assert_eq!(taken, POSTERS * MESSAGES, "the worker slept over the rest");
    assert!(mailbox.take().is_none(), "one came twice");
}

/// The two sides of it alone, at the same moment and a little earlier or later, again and again:
/// a worker that may sleep after all has been rung for.
#[test]
fn whoever_may_sleep_is_rung_for() {
    const ROUNDS: usize = 100_000;
    let mailbox = Mailbox::new(1).unwrap();
    let (started, posted) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let wait_for = |round: usize, counter: &AtomicUsize| {
        for spins in 0_usize.. {
            if counter.load(Ordering::Acquire) == round {
                break;
            }
            if spins > 10_000 {
                // Somebody else has the other's CPU.
                std::thread::yield_now();
            }
        }
    };
    let mut slept_over = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=ROUNDS {
                wait_for(round, &started);
                let _ = mailbox.post(Message::Order(Order::Announce(Vec::new())));
                posted.store(round, Ordering::Release);
            }
        });
        for round in 1..=ROUNDS {
            started.store(round, Ordering::Release);
            for step in 0..round % 128 {
                black_box(step);
            }
            let may_sleep = mailbox.prepare_sleep();
            wait_for(round, &posted);
            slept_over += usize::from(may_sleep && !is_rung(&mailbox));
            mailbox.woke();
            while mailbox.take().is_some() {}
        }
    });
    assert_eq!(slept_over, 0, "of {ROUNDS} messages");
}

fn is_rung(mailbox: &Mailbox) -> bool {
    let mut bell = [PollFd::from_borrowed_fd(mailbox.bell(), PollFlags::IN)];
    poll(&mut bell, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
}

#[test]
fn orders_leave_storage_its_room() {
    let mailbox = Mailbox::new(4).unwrap();
    while mailbox.post(Message::Order(Order::Announce(Vec::new()))).is_ok() {}
    for number in 0..4 {
        assert!(mailbox.post(Message::Ready(number)).is_ok(), "no room for {number}");
    }
    let Err(Message::Ready(4)) = mailbox.post(Message::Ready(4)) else {
        panic!("one more than there is room for");
    };
}
