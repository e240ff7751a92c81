//! The mailbox: nothing is lost in it, nobody sleeps over a message, and it keeps nothing alive.

use super::bench::{Bench, sleep};
use super::support::frame::Registers;
use aoe_daemon::mailbox::{Mailbox, Message};
use aoe_daemon::storage::Finished;
use aoe_daemon::storage::image::Image;
use aoe_daemon::worker::Order;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tempfile::NamedTempFile;

fn bench() -> Bench {
    let file = NamedTempFile::new().unwrap();
    file.as_file().set_len(1 << 20).unwrap();
    Bench::new(Image::open(file.path(), false).unwrap())
}

fn finished(bench: &mut Bench) -> Finished {
    Finished { job: bench.job(Registers::command(0xE7), &[]), export: 0, outcome: Ok(()) }
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
fn orders_leave_the_jobs_their_room() {
    let mut bench = bench();
    let mailbox = Mailbox::new(4).unwrap();
    while mailbox.post(Message::Order(Order::Announce(Vec::new()))).is_ok() {}
    for number in 0..4 {
        let job = finished(&mut bench);
        assert!(mailbox.post(Message::Finished(job)).is_ok(), "no room for job {number}");
    }
    let one_more = finished(&mut bench);
    let Err(Message::Finished(back)) = mailbox.post(Message::Finished(one_more)) else {
        panic!("a job more than there is room for");
    };
    bench.recycle(back.job.packet);
    drop(mailbox);
    assert_eq!(bench.umem.census().application, 4, "their packets are given up");
}

/// A worker that gave up waiting leaves its mailbox to the disk. What comes home then is given
/// up, too, and so is the mailbox.
#[test]
fn a_mailbox_that_nobody_reads_goes_away_with_its_last_job() {
    let mut bench = bench();
    for number in 0..100 {
        let job = bench.job(Registers::write48(number, 1), &[0xA5; 512]);
        bench.park(job, 0);
    }
    let nobody = Arc::new(Mailbox::new(1).unwrap());
    let mailbox = Arc::downgrade(&std::mem::replace(&mut bench.mailbox, nobody));
    // The disk ends when it has done everything, and forgets where it came from.
    bench.disk = None;
    assert!(mailbox.upgrade().is_none(), "the mailbox keeps itself alive");
    assert_eq!(bench.umem.census().application, 100, "its packets are given up");
}
