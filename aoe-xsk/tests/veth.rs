//! Queues on a real kernel, over veth pairs in network namespaces of their own.

mod support;

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aoe_xsk::{
    BindMode, Error, Flushed, Link, Packet, PacketSocket, Queue, QueueConfig, ReceiveBatch, Umem,
    Unsent,
};
use support::network::{PEER, TARGET, ifindex, in_network, ip, set_link};
use support::pattern;
use support::redirect::{Attach, Redirect};
use support::worker::{answer, ask};

/// An arbitrary address of the sender, in frames that nobody answers.
const NOBODY: [u8; 6] = [2, 0, 0, 0, 0, 9];

fn open(modes: &[BindMode]) -> Queue {
    Queue::open(&QueueConfig { modes: modes.to_vec(), ..QueueConfig::new(ifindex(TARGET), 0) })
        .unwrap()
}

/// Opens a queue again. The kernel releases the former socket a moment after its close.
fn reopen(config: &QueueConfig, mut umem: Umem) -> Queue {
    for _ in 0..500 {
        match Queue::open_with(config, umem) {
            Ok(queue) => return queue,
            Err(failed) => {
                assert!(matches!(failed.error, Error::Busy { .. }), "{failed}");
                umem = failed.umem;
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the queue is busy for ever");
}

/// A packet for `peer` with the content of frame `number`.
fn packet(queue: &mut Queue, peer: &PacketSocket, number: u32, len: usize) -> Packet {
    let mut packet = queue.allocate(len).unwrap();
    packet.copy_in(0, &pattern::request(number, len, 0, peer.mac(), NOBODY));
    packet
}

/// Receives `count` frames at the peer and checks that they are the frames from `first` on.
fn expect(peer: &PacketSocket, first: u32, count: u32, len: usize) {
    let mut batch = ReceiveBatch::new(pattern::LONGEST);
    let mut next = first;
    while next < first + count {
        let received = peer.receive(&mut batch, Duration::from_secs(2)).unwrap();
        assert!(received > 0, "frame {next} did not arrive");
        for frame in batch.frames() {
            assert_eq!(frame, pattern::request(next, len, 0, peer.mac(), NOBODY));
            next += 1;
        }
    }
}

/// Flushes until every frame is out and every chunk is back.
fn settle(queue: &mut Queue) {
    let deadline = Instant::now() + Duration::from_secs(2);
    while queue.flush() != Flushed::Done || queue.census().transmit > 0 {
        assert!(Instant::now() < deadline, "{}", queue.census());
        std::thread::yield_now();
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn packets_of_one_and_of_three_chunks_arrive_intact() {
    in_network(9000, || {
        let mut queue = open(&BindMode::LADDER);
        let peer = PacketSocket::open(PEER).unwrap();
        assert_eq!(queue.mode(), BindMode::CopyScatter, "veth has no zero-copy");
        assert_eq!(queue.refusals().len(), 2);
        for (round, (len, chunks)) in [(60, 1), (1060, 1), (9014, 3)].into_iter().enumerate() {
            let first = round as u32 * 1000;
            for number in first..first + 200 {
                let packet = packet(&mut queue, &peer, number, len);
                assert_eq!(packet.chunks(), chunks);
                queue.send(packet).unwrap();
            }
            settle(&mut queue);
            expect(&peer, first, 200, len);
        }
        queue.assert_conserved();
        let census = queue.close();
        assert_eq!((census.free, census.retired), (census.total, 0));
    });
}

/// Requests of all lengths, answered in place with replies of all lengths, over and over.
fn converse(mtu: usize, attach: Attach, requests: usize) {
    in_network(mtu, || {
        let mut queue = open(&BindMode::LADDER);
        let redirect = Redirect::attach(ifindex(TARGET), attach).unwrap();
        redirect.direct_to(queue.as_fd()).unwrap();
        let target = PacketSocket::open(TARGET).unwrap().mac();
        let peer = PacketSocket::open(PEER).unwrap();
        let stop = AtomicBool::new(false);
        let (tally, corrupt) = std::thread::scope(|scope| {
            let worker = scope.spawn(|| answer(&mut queue, &stop));
            let bouncer = scope.spawn(bounce_link);
            let tally = ask(&peer, target, requests, mtu + 14);
            bouncer.join().unwrap();
            stop.store(true, Ordering::Relaxed);
            (tally, worker.join().unwrap())
        });
        assert_eq!((tally.answered, tally.corrupt, corrupt), (requests, 0, 0), "{tally:?}");
        assert_eq!((queue.counters().oversized, queue.counters().invalid), (0, 0));
        settle(&mut queue);
        queue.assert_conserved();
        let census = queue.census();
        assert_eq!((census.application, census.assembly, census.transmit), (0, 0, 0), "{census}");
        let census = queue.close();
        assert_eq!(census.free, census.total, "{census}");
    });
}

/// Takes the link away in the middle of the traffic, for long enough that frames pile up.
fn bounce_link() {
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(100));
        set_link(TARGET, "down");
        std::thread::sleep(Duration::from_millis(20));
        set_link(TARGET, "up");
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn requests_are_answered_in_place_native() {
    converse(1500, Attach::Native, 50_000);
    converse(9000, Attach::Native, 30_000);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn requests_are_answered_in_place_generic() {
    converse(1500, Attach::Generic, 50_000);
    converse(9000, Attach::Generic, 30_000);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_link_that_is_down_keeps_frames_and_a_deleted_interface_is_noticed() {
    in_network(1500, || {
        let mut queue = open(&[BindMode::CopyScatter]);
        let peer = PacketSocket::open(PEER).unwrap();
        set_link(TARGET, "down");
        for number in 0..10 {
            let packet = packet(&mut queue, &peer, number, 1060);
            queue.send(packet).unwrap();
        }
        assert_eq!(queue.flush(), Flushed::LinkDown);
        assert_eq!((queue.link(), queue.census().transmit), (Link::Down, 10));
        set_link(TARGET, "up");
        settle(&mut queue);
        expect(&peer, 0, 10, 1060);
        assert_eq!(queue.probe_link(), Link::Up);

        let packet = packet(&mut queue, &peer, 11, 60);
        queue.send(packet).unwrap();
        ip(&["link", "delete", TARGET]);
        assert_eq!(queue.probe_link(), Link::Gone);
        assert_eq!(queue.flush(), Flushed::Gone);
        let census = queue.close();
        assert_eq!(census.free, census.total, "{census}");
    });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_full_ring_gives_packets_back_and_loses_none() {
    in_network(1500, || {
        let mut queue = open(&[BindMode::CopyScatter]);
        let peer = PacketSocket::open(PEER).unwrap();
        let mut sent = 0;
        loop {
            let packet = packet(&mut queue, &peer, sent, 60);
            match queue.send(packet) {
                Ok(()) => sent += 1,
                Err(unsent) => {
                    assert!(matches!(unsent, Unsent::NoRoom(_)));
                    queue.recycle(unsent.into_packet());
                    break;
                }
            }
        }
        assert_eq!(sent, 1024);
        settle(&mut queue);
        expect(&peer, 0, sent, 60);
        queue.assert_conserved();
    });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_packet_outlives_its_socket_and_leaves_by_the_next() {
    in_network(9000, || {
        let peer = PacketSocket::open(PEER).unwrap();
        let mut queue = open(&[BindMode::Copy]);
        assert_eq!(queue.max_packet_len(), 3620);
        let parked = packet(&mut queue, &peer, 7, 9014);
        let Err(Unsent::Scattered(parked)) = queue.send(parked) else { panic!("it was sent") };

        let umem = queue.into_umem();
        let config = QueueConfig::new(ifindex(TARGET), 0);
        let failed = Queue::open_with(&QueueConfig { queue_id: 9, ..config.clone() }, umem);
        let failed = failed.err().expect("there is no queue 9");
        assert!(matches!(failed.error, Error::Refused { .. }), "{failed}");
        let mut queue = reopen(&config, failed.umem);

        queue.send(parked).unwrap();
        settle(&mut queue);
        expect(&peer, 7, 1, 9014);
        queue.assert_conserved();
    });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn what_cannot_be_bound_says_why() {
    in_network(1500, || {
        let config = QueueConfig::new(ifindex(TARGET), 0);
        let _first = Queue::open(&config).unwrap();
        assert!(matches!(Queue::open(&config), Err(Error::Busy { queue_id: 0, .. })));
        let nowhere = QueueConfig::new(9999, 0);
        assert!(matches!(Queue::open(&nowhere), Err(Error::NoDevice { ifindex: 9999 })));
        let zero_copy =
            QueueConfig { modes: vec![BindMode::ZeroCopy], ..QueueConfig::new(ifindex(PEER), 0) };
        let Err(Error::Refused { refusals, .. }) = Queue::open(&zero_copy) else {
            panic!("veth has no zero-copy");
        };
        assert_eq!(refusals[0].mode, BindMode::ZeroCopy);
    });
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn an_interface_that_is_down_can_be_bound() {
    in_network(1500, || {
        let peer = PacketSocket::open(PEER).unwrap();
        set_link(TARGET, "down");
        let mut queue = open(&[BindMode::CopyScatter]);
        let packet = packet(&mut queue, &peer, 0, 60);
        queue.send(packet).unwrap();
        assert_eq!(queue.flush(), Flushed::LinkDown);
        set_link(TARGET, "up");
        settle(&mut queue);
        expect(&peer, 0, 1, 60);
    });
}
