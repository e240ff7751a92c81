use super::*;
use aoe_common::wire::AoeError;

const PATIENCE: Duration = Duration::from_secs(10);
const FIRST_WAIT: Duration = Duration::from_millis(250);
const READ: Operation = Operation::Read { lba: 5, sectors: 1 };

fn outstanding(window: usize) -> Outstanding {
    let path = Path {
        source: Mac([2, 0, 0, 0, 0, 1]),
        destination: Mac([2, 0, 0, 0, 0, 2]),
        to: Destination { shelf: 1, slot: 3 },
        mtu: 1500,
        sector_limit: 2,
        extended: true,
    };
    Outstanding::new(path, window, PATIENCE)
}

/// Sends everything, and returns the frames.
fn send(outstanding: &mut Outstanding, now: Instant) -> Vec<Vec<u8>> {
    let frames: Vec<_> = outstanding.unsent().map(<[u8]>::to_vec).collect();
    outstanding.sent(frames.len(), now);
    frames
}

/// The target's answer to a read or write: the request turned round, with data if it is a read.
fn answer(request: &[u8]) -> Vec<u8> {
    let mut reply = request[..36].to_vec();
    reply[..6].copy_from_slice(&request[6..12]);
    reply[6..12].copy_from_slice(&request[..6]);
    reply[14] = 0x18;
    let sectors = std::mem::replace(&mut reply[26], 0);
    let opcode = std::mem::replace(&mut reply[27], 0x40);
    if opcode == 0x24 {
        reply.resize(36 + usize::from(sectors) * 512, 0x77);
    }
    reply
}

#[test]
fn a_reply_ends_the_wait_once() {
    let (mut outstanding, now) = (outstanding(1), Instant::now());
    outstanding.start(READ, &[], now).unwrap();
    assert!(!outstanding.has_room());
    let reply = answer(&send(&mut outstanding, now)[0]);
    let later = now + Duration::from_millis(1);
    let done = outstanding.accept(&reply, later).unwrap();
    assert_eq!(done.operation, READ);
    assert_eq!(done.source, Mac([2, 0, 0, 0, 0, 2]));
    assert_eq!(done.latency, Duration::from_millis(1));
    assert_eq!(done.answer, Ok(Answer::Data(&[0x77; 512])));
    assert!(outstanding.is_idle());
    assert!(outstanding.accept(&reply, later).is_none(), "the second copy of a reply is stale");
}

#[test]
fn replies_come_in_any_order() {
    let (mut outstanding, now) = (outstanding(3), Instant::now());
    let operations = [5, 6, 7].map(|lba| Operation::Read { lba, sectors: 1 });
    for operation in operations {
        outstanding.start(operation, &[], now).unwrap();
    }
    let requests = send(&mut outstanding, now);
    for index in [2, 0, 1] {
        let reply = answer(&requests[index]);
        assert_eq!(outstanding.accept(&reply, now).unwrap().operation, operations[index]);
    }
    assert!(outstanding.is_idle());
}

#[test]
fn wrong_replies_are_no_replies() {
    let (mut outstanding, now) = (outstanding(1), Instant::now());
    outstanding.start(READ, &[], now).unwrap();
    let good = answer(&send(&mut outstanding, now)[0]);
    let offsets = [
        (14, 0x10, "a request"),
        (14, 0x28, "another version"),
        (17, 2, "another shelf"),
        (18, 4, "another slot"),
        (19, 1, "another command"),
        (23, good[23] ^ 1, "another tag"),
        (20, 0, "the kernel driver's tag"),
        (28, 6, "another sector"),
        (5, 9, "another station"),
    ];
    for (at, value, what) in offsets {
        let mut wrong = good.clone();
        wrong[at] = value;
        assert!(outstanding.accept(&wrong, now).is_none(), "{what}");
    }
    assert!(outstanding.accept(&good, now).is_some());
}

#[test]
fn an_error_is_an_answer() {
    let (mut outstanding, now) = (outstanding(1), Instant::now());
    outstanding.start(READ, &[], now).unwrap();
    let mut reply = answer(&send(&mut outstanding, now)[0]);
    reply.truncate(24);
    reply[14] = 0x1C;
    reply[15] = 6;
    let done = outstanding.accept(&reply, now).unwrap();
    assert_eq!(done.answer, Err(Failure::Aoe(AoeError::TargetReserved)));
}

#[test]
fn silence_is_answered_by_the_same_frame_again() {
    let (mut outstanding, now) = (outstanding(2), Instant::now());
    outstanding.start(READ, &[], now).unwrap();
    let first = send(&mut outstanding, now);
    assert_eq!(outstanding.wait(now), FIRST_WAIT);
    outstanding.expire(now + FIRST_WAIT - Duration::from_nanos(1)).unwrap();
    assert!(send(&mut outstanding, now).is_empty());
    let now = now + FIRST_WAIT;
    outstanding.expire(now).unwrap();
    outstanding.expire(now).unwrap();
    assert_eq!(send(&mut outstanding, now), first);
    assert_eq!(outstanding.retransmissions(), 1);
    assert_eq!(outstanding.wait(now), FIRST_WAIT * 2, "the second wait is longer");
    let reply = answer(&first[0]);
    let done = outstanding.accept(&reply, now + Duration::from_millis(1)).unwrap();
    assert_eq!(done.latency, FIRST_WAIT + Duration::from_millis(1));
    outstanding.start(READ, &[], now).unwrap();
    send(&mut outstanding, now);
    assert_eq!(outstanding.wait(now), FIRST_WAIT, "an ambiguous reply teaches nothing");
}

#[test]
fn a_reply_that_overtakes_the_retransmission_cancels_it() {
    let (mut outstanding, now) = (outstanding(1), Instant::now());
    outstanding.start(READ, &[], now).unwrap();
    let reply = answer(&send(&mut outstanding, now)[0]);
    let now = now + FIRST_WAIT;
    outstanding.expire(now).unwrap();
    assert!(outstanding.accept(&reply, now).is_some());
    assert!(send(&mut outstanding, now).is_empty());
    assert_eq!(outstanding.retransmissions(), 0);
}

#[test]
fn patience_ends() {
    let (mut outstanding, start) = (outstanding(1), Instant::now());
    outstanding.start(READ, &[], start).unwrap();
    let mut now = start;
    let expired = loop {
        send(&mut outstanding, now);
        now += outstanding.wait(now);
        if let Err(expired) = outstanding.expire(now) {
            break expired;
        }
    };
    // After 0, 0.25, 0.75, 1.75, 3.75, 5.75, 7.75 and 9.75 seconds.
    let expected = Expired { operation: READ, elapsed: PATIENCE, transmissions: 8 };
    assert_eq!(expired, expected);
}

#[test]
fn what_was_never_sent_runs_out_of_patience_too() {
    let (mut outstanding, now) = (outstanding(1), Instant::now());
    outstanding.start(READ, &[], now).unwrap();
    outstanding.expire(now + PATIENCE / 2).unwrap();
    assert_eq!(outstanding.unsent().count(), 1, "queued once only");
    let expired = outstanding.expire(now + PATIENCE).unwrap_err();
    assert_eq!((expired.elapsed, expired.transmissions), (PATIENCE, 0));
}

#[test]
fn abandoned_requests_have_no_replies() {
    let (mut outstanding, now) = (outstanding(2), Instant::now());
    outstanding.start(READ, &[], now).unwrap();
    let reply = answer(&send(&mut outstanding, now)[0]);
    outstanding.start(READ, &[], now).unwrap();
    outstanding.abandon();
    assert!(outstanding.is_idle() && outstanding.has_room());
    assert_eq!(outstanding.unsent().count(), 0);
    assert!(outstanding.accept(&reply, now).is_none());
}

#[test]
fn a_forbidden_request_takes_no_room() {
    let (mut outstanding, now) = (outstanding(1), Instant::now());
    let read = Operation::Read { lba: 0, sectors: 3 };
    let limit = Forbidden::TooManySectors { sectors: 3, limit: 2 };
    assert_eq!(outstanding.start(read, &[], now), Err(limit));
    assert!(outstanding.is_idle());
    assert_eq!(outstanding.unsent().count(), 0);
}
