//! Frames that nobody should send: every length, random bytes, and a new sender in every frame.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aoe_tests::client::Client;
use aoe_tests::daemon::{Daemon, Setup};
use aoe_tests::image::{random_bytes, random_image};
use aoe_tests::paths;
use aoe_tests::raw::Raw;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// How long replies may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait for what should not come.
const SILENCE: Duration = Duration::from_millis(100);
/// Longest frame on a link of MTU 1500, in bytes.
const LONGEST: usize = 1514;
/// Frames that are under way at once.
const WINDOW: usize = 32;

/// A daemon that serves e0.1, and sockets on the other end of its cable.
struct Rig {
    raw: Raw,
    target: [u8; 6],
    content: Vec<u8>,
}

impl Rig {
    fn new<'n>(wire: &'n Wire, directory: &std::path::Path) -> Result<(Self, Setup<'n>)> {
        let image = directory.join("disk.img");
        let content = random_image(&image, 1 << 20, 1)?;
        let setup = Setup::new(&wire.target, TARGET_PORT, directory).export(0, 1, &image);
        let raw = Raw::open(&wire.client, CLIENT_PORT)?;
        // The target's end has an address of its own choosing.
        let target = Raw::open(&wire.target, TARGET_PORT)?.mac();
        Ok((Self { raw, target, content }, setup))
    }

    /// A request to e0.1 with this tag.
    fn request(&self, command: u8, tag: u32, argument: &[u8]) -> Vec<u8> {
        let mut frame = [self.target, self.raw.mac()].concat();
        frame.extend([0x88, 0xa2, 0x10, 0, 0, 0, 1, command]);
        frame.extend(tag.to_be_bytes());
        frame.extend(argument);
        frame
    }

    /// Sends some frames and gives the replies: `expected` at least, if so many come.
    fn ask(&self, frames: &[Vec<u8>], expected: usize) -> Result<Vec<Vec<u8>>> {
        self.raw.send_all(frames)?;
        let deadline = Instant::now() + PATIENCE;
        let mut replies = Vec::new();
        while replies.len() < expected {
            let Some(reply) = self.raw.receive(deadline)? else { break };
            // Announcements go to everybody.
            if reply[..6] != [0xff; 6] {
                replies.push(reply);
            }
        }
        Ok(replies)
    }

    /// Fails unless e0.1 still is what it was.
    fn expect_well(&self, daemon: &mut Daemon, wire: &Wire) -> Result<()> {
        daemon.process.expect_running()?;
        let client = Client::new(&wire.client, CLIENT_PORT)?;
        ensure!(client.read("e0.1", 0, 2048)? == self.content, "the content has changed");
        Ok(())
    }
}

/// Whether a frame looks like a reply at all.
fn check_reply(reply: &[u8]) -> Result<()> {
    ensure!((60..=LONGEST).contains(&reply.len()), "{} bytes", reply.len());
    ensure!(matches!(reply[14], 0x18 | 0x1c), "flags {:02x}", reply[14]);
    ensure!(reply[16..19] == [0, 0, 1], "from {:02x?}", &reply[16..19]);
    Ok(())
}

/// For every command the whole of it is answered, and nothing shorter, whatever follows it.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn every_length_from_14_bytes_up() -> Result<()> {
    let scratch = paths::scratch()?;
    let wire = Wire::new(Shape::default())?;
    let (rig, setup) = Rig::new(&wire, scratch.path())?;
    let mut daemon = setup.start()?;
    // Command, argument, and the shortest frame that has an answer: CHECK POWER MODE, three reads
    // of lists, and a command that does not exist.
    let commands: [(u8, &[u8], usize); 5] = [
        (0, &[0, 0, 0, 0xe5, 0, 0, 0, 0, 0, 0, 0, 0], 36),
        (1, &[0, 0, 0, 0, 0, 0, 0, 0], 32),
        (2, &[0, 0, 0, 0], 28),
        (3, &[0, 0], 26),
        (4, &[], 24),
    ];
    for (command, argument, shortest) in commands {
        let lengths: Vec<usize> = (14..=LONGEST).collect();
        for lengths in lengths.chunks(WINDOW) {
            let frame = |length: &usize| {
                let mut frame = rig.request(command, *length as u32, argument);
                frame.resize(*length, 0xa5);
                frame
            };
            let frames: Vec<Vec<u8>> = lengths.iter().map(frame).collect();
            let expected: BTreeSet<u32> = lengths
                .iter()
                .filter(|length| **length >= shortest)
                .map(|length| *length as u32)
                .collect();
            let mut replies = rig.ask(&frames, expected.len())?;
            if expected.len() < lengths.len() {
                replies.extend(rig.raw.receive_all(Instant::now() + SILENCE)?);
            }
            replies.iter().try_for_each(|reply| check_reply(reply))?;
            let tag =
                |reply: &Vec<u8>| u32::from_be_bytes([reply[20], reply[21], reply[22], reply[23]]);
            let answered: BTreeSet<u32> = replies.iter().map(tag).collect();
            ensure!(
                answered == expected && replies.len() == expected.len(),
                "command {command}: answered were the lengths {answered:?} instead of {expected:?}"
            );
        }
    }
    rig.expect_well(&mut daemon, &wire)?;
    daemon.stop()?;
    Ok(())
}

/// Whether a random frame would change what later ones are about: then it is left out.
fn is_lasting(frame: &[u8]) -> bool {
    let byte = |at: usize| frame.get(at).copied().unwrap_or_default();
    match byte(19) {
        // Anything that writes has the W flag.
        0 => byte(24) & 0x01 != 0,
        2 => byte(25) == 1,
        3 => byte(24) != 0,
        _ => false,
    }
}

/// Random bytes behind the EtherType, more and more of the header right.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn random_bytes_behind_the_ether_type() -> Result<()> {
    const FRAMES: u64 = 20_000;
    let scratch = paths::scratch()?;
    let wire = Wire::new(Shape::default())?;
    let (rig, setup) = Rig::new(&wire, scratch.path())?;
    let mut daemon = setup.start()?;
    let mut answered = 0;
    // Command and tag: what waits for the disk is answered later than what does not.
    let mut asked = BTreeSet::new();
    for first in (0..FRAMES).step_by(WINDOW) {
        let mut frames = Vec::new();
        for number in first..first + WINDOW as u64 {
            let random = random_bytes(LONGEST + 2, number);
            let length =
                14 + usize::from(u16::from_be_bytes([random[0], random[1]])) % (LONGEST - 13);
            let mut frame = random[2..2 + length].to_vec();
            let right = rig.request(random[3] % 5, number as u32, &[]);
            // The Ethernet header, the version, the address, the command and the tag.
            let known = [14, 14, 15, 19, 24][number as usize % 5].min(length);
            frame[..known].copy_from_slice(&right[..known]);
            if !is_lasting(&frame) {
                frames.push(frame);
            }
        }
        asked.extend(frames.iter().filter_map(|frame| Some(frame.get(19..24)?.to_vec())));
        rig.raw.send_all(&frames)?;
        // Most have no answer; the last one asks for one.
        let barrier = rig.request(1, u32::MAX, &[0; 8]);
        rig.raw.send(&barrier)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reply = rig.raw.receive(deadline)?.context("it does not answer any more")?;
            if reply[..6] == [0xff; 6] {
                continue;
            }
            check_reply(&reply)?;
            if reply[20..24] == [0xff; 4] {
                break;
            }
            ensure!(asked.contains(&reply[19..24]), "nobody asked for {reply:02x?}");
            answered += 1;
        }
    }
    ensure!(answered > FRAMES / 10, "only {answered} of {FRAMES} had an answer");
    rig.expect_well(&mut daemon, &wire)?;
    daemon.stop()?;
    Ok(())
}

/// Memory of a process that is really there, in KiB.
fn resident_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Lines of a log, counted by what they say: times and numbers differ from line to line.
fn reasons(log: &str) -> BTreeMap<String, u64> {
    let mut reasons = BTreeMap::new();
    for line in log.lines() {
        let text = line.split_once(' ').map_or(line, |(_time, text)| text);
        let text: String = text.chars().filter(|character| !character.is_ascii_digit()).collect();
        *reasons.entry(text).or_default() += 1;
    }
    reasons
}

/// A source address that has never been seen costs as little as any other: no memory, and no log.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_flood_with_a_new_sender_in_every_frame() -> Result<()> {
    /// Frames that have to arrive, from as many senders.
    const WARM_UP: u64 = 20_000;
    const FRAMES: u64 = 200_000;
    /// What may be more at the end, in KiB: the addresses of 200,000 senders alone are more.
    const GROWTH: u64 = 1024;
    let scratch = paths::scratch()?;
    let wire = Wire::new(Shape::default())?;
    let (rig, setup) = Rig::new(&wire, scratch.path())?;
    let mut daemon = setup.start()?;
    let pid = daemon.process.pid();

    let mut number = 0;
    flood(&rig, &daemon, &mut number, WARM_UP)?;
    let before = resident_kib(pid)?;
    let said_before = reasons(&daemon.process.log());
    let start = Instant::now();
    flood(&rig, &daemon, &mut number, FRAMES)?;
    let seconds = start.elapsed().as_secs() + 1;
    let after = resident_kib(pid)?;

    ensure!(after <= before + GROWTH, "it has grown from {before} to {after} KiB");
    for (reason, count) in reasons(&daemon.process.log()) {
        let count = count - said_before.get(&reason).copied().unwrap_or_default();
        ensure!(count <= seconds + 1, "{count} lines in {seconds} s: {reason}");
    }
    rig.raw.receive_all(Instant::now() + SILENCE)?;
    rig.expect_well(&mut daemon, &wire)?;
    daemon.stop()?;
    Ok(())
}

/// Sends frames, each from a sender of its own, until so many more have arrived.
fn flood(rig: &Rig, daemon: &Daemon, number: &mut u32, frames: u64) -> Result<()> {
    const ROUND: u32 = 16_384;
    let received = || daemon.status()?.count("received");
    let goal = received()? + frames;
    let deadline = Instant::now() + Duration::from_secs(120);
    while received()? < goal {
        ensure!(Instant::now() < deadline, "after {number} frames too few have arrived");
        for first in (*number..*number + ROUND).step_by(64) {
            let some: Vec<_> = (first..first + 64).map(|number| stranger(rig, number)).collect();
            // What does not leave now is no part of this test.
            let _ = rig.raw.send_all(&some);
            rig.raw.receive_all(Instant::now())?;
        }
        *number += ROUND;
    }
    Ok(())
}

/// A frame of one of several kinds, good and bad, from a source that no other frame has.
fn stranger(rig: &Rig, number: u32) -> Vec<u8> {
    let mut frame = match number % 8 {
        0 => rig.request(1, number, &[0; 8]),
        1 => rig.request(0, number, &[0x40, 0, 2, 0x24, 0, 0, 0, 0, 0, 0, 0, 0]),
        // Past the end, more than a frame holds, and without the data to write.
        2 => rig.request(0, number, &[0x40, 0, 2, 0x24, 0, 0, 0, 0, 1, 0, 0, 0]),
        3 => rig.request(0, number, &[0x40, 0, 9, 0x24, 0, 0, 0, 0, 0, 0, 0, 0]),
        4 => rig.request(0, number, &[0x41, 0, 1, 0x34, 0, 0, 0, 0, 0, 0, 0, 0]),
        // Too short, unknown, and reading a list.
        5 => rig.request(0, number, &[0; 5]),
        6 => rig.request(9, number, &[]),
        _ => rig.request(2, number, &[0; 4]),
    };
    frame[6..8].copy_from_slice(&[0x06, 0x5a]);
    frame[8..12].copy_from_slice(&number.to_be_bytes());
    frame
}
