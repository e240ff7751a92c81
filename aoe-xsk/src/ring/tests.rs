//! The ring over heap memory, against a queue that can't be wrong.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use proptest::prelude::*;

use super::*;

/// A ring on the heap, both of whose ends can be used, also by two threads.
#[derive(Clone)]
pub(crate) struct Heap(Arc<Words>);

struct Words {
    producer: AtomicU32,
    consumer: AtomicU32,
    flags: AtomicU32,
    slots: Box<[AtomicU64]>,
}

impl Heap {
    /// A ring whose indices are `start` already, as after so many uses.
    fn new(size: u32, start: u32) -> Self {
        Self(Arc::new(Words {
            producer: start.into(),
            consumer: start.into(),
            flags: 0.into(),
            slots: (0..size).map(|_| AtomicU64::new(u64::MAX)).collect(),
        }))
    }
}

impl Memory for Heap {
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
        self.0.slots[slot as usize].load(Ordering::Relaxed)
    }

    fn write(&mut self, slot: u32, value: u64) {
        self.0.slots[slot as usize].store(value, Ordering::Relaxed);
    }
}

pub(crate) fn pair(size: u32, start: u32) -> (Producer<Heap>, Consumer<Heap>) {
    let memory = Heap::new(size, start);
    let producer = Producer { memory: memory.clone(), next: start, consumed: start };
    (producer, Consumer { memory, next: start, produced: start })
}

impl Producer<Heap> {
    pub(crate) fn memory(&self) -> &Heap {
        &self.memory
    }
}

#[test]
fn a_full_ring_takes_nothing_until_slots_are_released() {
    let (mut producer, mut consumer) = pair(2, 0);
    assert!(producer.push(1) && producer.push(2));
    assert!(!producer.push(3));
    producer.publish();
    assert_eq!(consumer.pop(), Some(1));
    assert!(!producer.push(3), "popped but not released");
    consumer.release();
    assert!(producer.push(3));
}

#[test]
fn what_is_not_published_is_not_seen() {
    let (mut producer, mut consumer) = pair(4, 0);
    assert!(producer.push(7));
    assert_eq!(consumer.pop(), None);
    producer.publish();
    assert_eq!(consumer.pop(), Some(7));
}

#[test]
fn a_wake_up_is_asked_for_by_the_flag() {
    let (producer, _) = pair(4, 0);
    assert!(!producer.needs_wakeup());
    producer.memory.flags().store(libc::XDP_RING_NEED_WAKEUP, Ordering::Relaxed);
    assert!(producer.needs_wakeup());
}

#[test]
fn a_consumer_index_from_nowhere_makes_no_room() {
    let (mut producer, _) = pair(4, 0);
    producer.memory.consumer().store(1000, Ordering::Relaxed);
    for value in 0..4 {
        let _ = producer.push(value);
    }
    assert!(!producer.has_room(1));
}

#[test]
fn two_threads_see_every_value_once_and_in_order() {
    const VALUES: u64 = 20_000;
    let (mut producer, mut consumer) = pair(8, u32::MAX - 5000);
    let writer = std::thread::spawn(move || {
        for value in 0..VALUES {
            while !producer.push(value) {
                std::thread::yield_now();
            }
            producer.publish();
        }
    });
    for expected in 0..VALUES {
        let value = loop {
            if let Some(value) = consumer.pop() {
                break value;
            }
            std::thread::yield_now();
        };
        assert_eq!(value, expected);
        consumer.release();
    }
    writer.join().unwrap();
}

#[derive(Debug, Clone)]
enum Step {
    Push,
    Publish,
    Pop,
    Release,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Push), 2 => Just(Step::Publish), 4 => Just(Step::Pop), 2 => Just(Step::Release)
    ]
}

proptest! {
    /// The oracle: what was pushed, published and popped, as three plain queues and a count.
    #[test]
    fn the_ring_is_a_bounded_queue(
        start in prop_oneof![Just(0), Just(u32::MAX - 3), any::<u32>()],
        bits in 0_u32..4,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let size = 1 << bits;
        let (mut producer, mut consumer) = pair(size, start);
        let (mut pushed, mut visible) = (VecDeque::new(), VecDeque::new());
        let mut popped = 0;
        for (value, step) in steps.iter().enumerate() {
            let value = value as u64;
            match step {
                Step::Push => {
                    let room = size as usize > pushed.len() + visible.len() + popped;
                    prop_assert_eq!(producer.push(value), room);
                    if room {
                        pushed.push_back(value);
                    }
                }
                Step::Publish => {
                    producer.publish();
                    visible.append(&mut pushed);
                }
                Step::Pop => {
                    let expected = visible.pop_front();
                    prop_assert_eq!(consumer.pop(), expected);
                    popped += usize::from(expected.is_some());
                }
                Step::Release => {
                    consumer.release();
                    popped = 0;
                }
            }
        }
        consumer.release();
        let untaken: Vec<_> = producer.untaken().collect();
        let expected: Vec<_> = visible.iter().chain(&pushed).copied().collect();
        prop_assert_eq!(untaken, expected);
    }
}
