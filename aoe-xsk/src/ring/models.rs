//! The ring under loom: every interleaving of two threads, and everything that the memory model
//! lets them see of each other's accesses.
//!
//! The slots are loom's cells, which fail the model where a read and a write are not ordered by
//! what happened before. So a slot that is read before it is published, or written before it is
//! released, is found even where the value would have been right.
//!
//! `cargo xtask test` runs this; by itself it is
//! `RUSTFLAGS="--cfg loom" cargo test -p aoe-xsk --release --lib ring::models`.
#![allow(unsafe_code, reason = "loom's cells are as unsafe to use as those that they stand for")]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::AtomicU32;
use loom::thread;

use super::*;

/// Both indices wrap while the first three values go through.
const START: u32 = u32::MAX - 1;

impl Word for AtomicU32 {
    fn load(&self, order: Ordering) -> u32 {
        AtomicU32::load(self, order)
    }

    fn store(&self, value: u32, order: Ordering) {
        AtomicU32::store(self, value, order);
    }

    fn fence(order: Ordering) {
        loom::sync::atomic::fence(order);
    }
}

/// A ring whose every access loom sees.
#[derive(Clone)]
struct Watched(Arc<Words>);

struct Words {
    producer: AtomicU32,
    consumer: AtomicU32,
    flags: AtomicU32,
    slots: Vec<UnsafeCell<u64>>,
}

// SAFETY: loom runs one thread at a time, and fails the model instead of letting two accesses to a
// cell race. That they don't is what is to be shown.
unsafe impl Sync for Words {}

impl Memory for Watched {
    type Word = AtomicU32;
    type Slot = u64;

    fn size(&self) -> u32 {
        self.0.slots.len() as u32
    }

    fn producer(&self) -> &AtomicU32 {
        &self.0.producer
    }

    fn consumer(&self) -> &AtomicU32 {
        &self.0.consumer
    }

    fn flags(&self) -> &AtomicU32 {
        &self.0.flags
    }

    fn read(&self, slot: u32) -> u64 {
        // SAFETY: loom has checked that no write is concurrent when it calls this.
        self.0.slots[slot as usize].with(|value| unsafe { *value })
    }

    fn write(&mut self, slot: u32, value: u64) {
        // SAFETY: loom has checked that no other access is concurrent when it calls this.
        self.0.slots[slot as usize].with_mut(|place| unsafe { *place = value });
    }
}

fn pair(size: u32) -> (Producer<Watched>, Consumer<Watched>) {
    let memory = Watched(Arc::new(Words {
        producer: AtomicU32::new(START),
        consumer: AtomicU32::new(START),
        flags: AtomicU32::new(0),
        slots: (0..size).map(|_| UnsafeCell::new(u64::MAX)).collect(),
    }));
    let producer = Producer { memory: memory.clone(), next: START, consumed: START };
    (producer, Consumer { memory, next: START, produced: START })
}

/// Pops what there is, expecting the values from `next` on, and releases it.
fn drain(consumer: &mut Consumer<Watched>, next: &mut u64) {
    while let Some(value) = consumer.pop() {
        assert_eq!(value, *next);
        *next += 1;
    }
    consumer.release();
}

/// Two threads: one pushes and publishes the values from 0 on in bursts of this many, as far as
/// there is room; the other one drains the ring as often. Then what is left is drained.
fn bursts(size: u32, bursts: &'static [u64]) {
    loom::model(move || {
        let (mut producer, mut consumer) = pair(size);
        let writer = thread::spawn(move || {
            let mut pushed = 0;
            for burst in bursts {
                for _ in 0..*burst {
                    pushed += u64::from(producer.push(pushed));
                }
                producer.publish();
            }
            pushed
        });
        let mut popped = 0;
        for _ in bursts {
            drain(&mut consumer, &mut popped);
        }
        let pushed = writer.join().unwrap();
        drain(&mut consumer, &mut popped);
        assert_eq!(popped, pushed);
        assert!(pushed >= u64::from(size), "the ring was empty, and took {pushed}");
    });
}

#[test]
fn slots_are_read_after_they_are_published_and_written_after_they_are_released() {
    bursts(1, &[1, 1, 1]);
    bursts(2, &[1, 1, 1]);
}

#[test]
fn bursts_are_seen_whole_or_not_at_all_and_in_order() {
    bursts(2, &[2, 2]);
    bursts(4, &[3, 3]);
}

#[test]
fn a_wake_up_is_not_lost() {
    // The consumer is a kernel that says that it will sleep, looks once more, and sleeps.
    loom::model(|| {
        let (mut producer, mut consumer) = pair(2);
        let kernel = thread::spawn(move || {
            let flags = consumer.memory.flags();
            flags.store(libc::XDP_RING_NEED_WAKEUP, Ordering::Relaxed);
            AtomicU32::fence(Ordering::SeqCst);
            consumer.pop().is_none()
        });
        assert!(producer.push(7));
        producer.publish();
        let woken = producer.needs_wakeup();
        let asleep = kernel.join().unwrap();
        assert!(woken || !asleep, "the kernel sleeps over a descriptor");
    });
}

#[test]
fn what_the_consumer_has_left_is_known_and_what_it_has_released_is_free() {
    loom::model(|| {
        let (mut producer, mut consumer) = pair(2);
        assert!(producer.push(0) && producer.push(1));
        producer.publish();
        let reader = thread::spawn(move || {
            let popped = consumer.pop();
            consumer.release();
            popped
        });
        let mut values = vec![0, 1];
        // Pushing relies on the look that `pending` has just taken.
        if producer.pending() < 2 {
            assert!(producer.push(2));
            values.push(2);
        }
        assert_eq!(reader.join().unwrap(), Some(0));
        assert_eq!(producer.untaken().collect::<Vec<_>>(), values[1..]);
    });
}
