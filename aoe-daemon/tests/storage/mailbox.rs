//! The mailbox: nothing is lost in it, nobody sleeps over a message, and it keeps nothing alive.

use super::bench::{Bench, sleep};
use super::support::frame::Registers;
use aoe_daemon::mailbox::{Mailbox, Message};
use aoe_daemon::storage::Finished;
use aoe_daemon::storage::image::Image;
use aoe_daemon::worker::Order;
use std::sync::Arc;
use tempfile::NamedTempFile;

fn bench() -> Bench {
    let file = NamedTempFile::new().unwrap();
    file.as_file().set_len(1 << 20).unwrap();
    Bench::new(Image::open(file.path(), false).unwrap())
}

fn finished(bench: &mut Bench) -> Finished {
    Finished { job: bench.job(Registers::command(0xE7), &[]), export: 0, outcome: Ok(()) }
}

/// Whoever posts either sees that the worker sleeps, or is seen by it: with neither, `sleep`
/// panics.
#[test]
fn no_message_is_slept_over() {
    const POSTERS: usize = 3;
    const MESSAGES: usize = 30_000;
    let mailbox = Mailbox::new(1).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..POSTERS {
            scope.spawn(|| {
                for _ in 0..MESSAGES {
                    while mailbox.post(Message::Order(Order::Stop)).is_err() {
                        std::thread::yield_now();
                    }
                }
            });
        }
        for _ in 0..POSTERS * MESSAGES {
            while mailbox.take().is_none() {
                sleep(&mailbox);
            }
        }
    });
    assert!(mailbox.take().is_none(), "one came twice");
}

/// A message at a time, so that every one of them meets a worker that is falling asleep.
#[test]
fn a_message_wakes_a_worker_that_falls_asleep() {
    let (there, back) = (Mailbox::new(1).unwrap(), Mailbox::new(1).unwrap());
    let send = |mailbox: &Mailbox| assert!(mailbox.post(Message::Order(Order::Stop)).is_ok());
    let receive = |mailbox: &Mailbox| {
        while mailbox.take().is_none() {
            sleep(mailbox);
        }
    };
    const ROUNDS: usize = 30_000;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..ROUNDS {
                receive(&there);
                send(&back);
            }
        });
        for _ in 0..ROUNDS {
            send(&there);
            receive(&back);
        }
    });
}

#[test]
fn orders_leave_the_jobs_their_room() {
    let mut bench = bench();
    let mailbox = Mailbox::new(4).unwrap();
    while mailbox.post(Message::Order(Order::Stop)).is_ok() {}
    for number in 0..4 {
        let job = finished(&mut bench);
        assert!(mailbox.post(Message::Finished(job)).is_ok(), "no room for job {number}");
    }
    let one_more = finished(&mut bench);
    let Err(Message::Finished(back)) = mailbox.post(Message::Finished(one_more)) else {
        panic!("a job more than there is room for");
    };
    bench.recycle(back.job.packet);
    while let Some(message) = mailbox.take() {
        if let Message::Finished(job) = message {
            bench.recycle(job.job.packet);
        }
    }
    assert_eq!(bench.umem.census().application, 0);
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
