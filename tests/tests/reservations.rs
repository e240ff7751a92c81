//! A reservation or a MAC mask list ends what others write, also what they have sent already.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aoe_tests::daemon::Setup;
use aoe_tests::frame::{Frame, Request, command, opcode};
use aoe_tests::image::{MIB, sparse_image};
use aoe_tests::paths;
use aoe_tests::station::Station;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// The interface of the station that reserves.
const OTHER_PORT: &str = "other0";
/// Requests that the writer has on the way at once.
const WINDOW: usize = 32;
/// Sectors of the disk.
const SECTORS: u64 = MIB / 512;
/// What is written before an edit, and behind it.
const BEFORE: u8 = 0xbe;
const BEHIND: u8 = 0xff;
/// After which nothing more comes.
const SILENCE: Duration = Duration::from_millis(200);
/// How long the writer goes on before and after the reservation.
const WHILE: Duration = Duration::from_millis(200);

/// What became of the writes, by their tags, which grow.
#[derive(Debug, Default)]
struct Written {
    done: BTreeSet<u32>,
    refused: BTreeSet<u32>,
}

impl Written {
    fn add(&mut self, reply: &Frame) -> Result<()> {
        let is_new = match (reply.flags(), reply.error(), reply.ata_outcome()) {
            (0x18, 0, (0x40, 0)) => self.done.insert(reply.tag()),
            (0x1c, 6, _) => self.refused.insert(reply.tag()),
            _ => bail!("neither done nor refused: {reply:?}"),
        };
        ensure!(is_new, "answered twice: {reply:?}");
        Ok(())
    }

    /// Fails unless some were done and some refused, and, where there is one queue to keep them in
    /// order, none done that was sent after a refused one.
    fn check(&self, queues: u32) -> Result<()> {
        let (done, refused) = (self.done.len(), self.refused.len());
        ensure!(done > WINDOW && refused > WINDOW, "{done} done, {refused} refused");
        let in_order = self.done.last() < self.refused.first();
        ensure!(in_order || queues > 1, "one was done after the reservation");
        Ok(())
    }
}

/// Writes other data everywhere, with many requests on the way, until it is told to stop.
fn write_on(mut station: Station, stop: &AtomicBool) -> Result<Written> {
    let mut written = Written::default();
    let mut number: u64 = 0;
    let mut waiting = 0;
    loop {
        while waiting < WINDOW && !stop.load(Ordering::Relaxed) {
            let data = number.to_le_bytes().repeat(64);
            let request = Request::ata(0, 1, opcode::WRITE, number * 7 % SECTORS, &data);
            station.send(&request)?;
            number += 1;
            waiting += 1;
        }
        if waiting == 0 {
            return Ok(written);
        }
        let is_answer = |frame: &Frame| frame.is_response() && frame.command() == command::ATA;
        written.add(&station.expect("an answer to a write", is_answer)?)?;
        waiting -= 1;
    }
}

fn nobody_else_writes(queues: u32) -> Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    sparse_image(&image, MIB)?;
    let wire = Wire::new(Shape { mtu: 1500, queues })?;
    wire.add_station(OTHER_PORT)?;
    let setup = Setup::new(&wire.target, TARGET_PORT, scratch.path()).export(0, 1, &image);
    let daemon = setup.start()?;
    let mut other = Station::new(&wire.client, OTHER_PORT)?;
    let own = other.mac();
    let reserve = |station: &mut Station, holders: &[[u8; 6]]| {
        let argument = [&[2, holders.len() as u8][..], &holders.concat()].concat();
        let reply = station.ask(&Request::new(0, 1, command::RESERVE, argument))?;
        ensure!((reply.flags(), reply.error()) == (0x18, 0), "{reply:?}");
        Ok(())
    };
    for round in 0..2 {
        let writer = Station::new(&wire.client, CLIENT_PORT)?;
        let stop = AtomicBool::new(false);
        let written = thread::scope(|scope| {
            let writing = scope.spawn(|| write_on(writer, &stop));
            thread::sleep(WHILE);
            let reserved = reserve(&mut other, &[own]);
            let before = fs::read(&image);
            thread::sleep(WHILE);
            let after = fs::read(&image);
            stop.store(true, Ordering::Relaxed);
            let written = writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            reserved?;
            ensure!(before? == after?, "the disk has changed after the reservation");
            written
        });
        written
            .and_then(|written| written.check(queues))
            .with_context(|| format!("round {round}"))?;
        // Its holder writes.
        let last = Request::ata(0, 1, opcode::WRITE, 0, &[0xbb; 512]);
        ensure!(other.ask(&last)?.ata_outcome() == (0x40, 0), "its holder can't write");
        ensure!(fs::read(&image)?[..512] == [0xbb; 512], "it was not written");
        reserve(&mut other, &[])?;
    }
    daemon.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn once_a_reservation_is_answered_nobody_else_writes() -> Result<()> {
    nobody_else_writes(1)
}

/// The station that reserves may be served by another worker than the one that writes.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn nor_does_anybody_by_another_queue() -> Result<()> {
    nobody_else_writes(2)
}

/// Sends writes, an edit that shuts their sender out, and writes again, without waiting for
/// anything. Gives all replies in the order of their arrival, so many at least, and the tag of the
/// edit.
fn shut_out(station: &mut Station, edit: &Request, least: usize) -> Result<(Vec<Frame>, u32)> {
    let write = |station: &mut Station, lba: u64, byte: u8| {
        station.send(&Request::ata(0, 1, opcode::WRITE, lba, &[byte; 512])).map(drop)
    };
    let half = WINDOW as u64;
    (0..half).try_for_each(|lba| write(station, lba, BEFORE))?;
    let edit = station.send(edit)?;
    (half..2 * half).try_for_each(|lba| write(station, lba, BEHIND))?;
    let is_reply = |frame: &Frame| frame.is_response() && !frame.is_announcement();
    let mut replies = Vec::new();
    while replies.len() < least {
        replies.push(station.expect("a reply", is_reply)?);
    }
    replies.extend(station.collect(SILENCE, is_reply)?);
    Ok((replies, edit))
}

/// Fails unless the first writes are done, and answered before the edit, and of the others nothing
/// is on the disk.
fn check_order(image: &Path, replies: &[Frame], edit: u32) -> Result<()> {
    let at =
        replies.iter().position(|frame| frame.tag() == edit).context("no reply to the edit")?;
    let is_done = |frame: &Frame| (frame.flags(), frame.ata_outcome()) == (0x18, (0x40, 0));
    ensure!(replies[at].flags() == 0x18, "the edit was refused: {:?}", replies[at]);
    ensure!(!replies[at..].iter().skip(1).any(is_done), "one was done after the edit");
    let done = replies[..at].iter().filter(|frame| is_done(frame)).count();
    ensure!(done == WINDOW, "{done} were done before the edit");
    let content = fs::read(image)?;
    let (before, behind) = content[..2 * WINDOW * 512].split_at(WINDOW * 512);
    ensure!(before.iter().all(|byte| *byte == BEFORE), "one before the edit is lost");
    ensure!(behind.iter().all(|byte| *byte == 0), "one behind the edit was done");
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn what_was_sent_before_an_edit_is_done_and_what_was_sent_behind_it_is_not() -> Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    let wire = Wire::new(Shape::default())?;
    let stranger = [2, 0, 0, 0, 0, 0x99];
    let reserve = Request::new(0, 1, command::RESERVE, [&[1, 1][..], &stranger].concat());
    let add = [&[0, 1, 0, 1, 0, 1][..], &stranger].concat();
    let mask = Request::new(0, 1, command::MASK, add);
    for (edit, flag, refused) in [(reserve, "--reservation", WINDOW), (mask, "--mask", 0)] {
        for _ in 0..2 {
            sparse_image(&image, MIB)?;
            let setup = Setup::new(&wire.target, TARGET_PORT, scratch.path());
            let daemon = setup.export(0, 1, &image).start()?;
            let mut station = Station::new(&wire.client, CLIENT_PORT)?;
            let (replies, tag) = shut_out(&mut station, &edit, WINDOW + 1 + refused)?;
            check_order(&image, &replies, tag).with_context(|| flag.to_owned())?;
            let errors: Vec<u8> =
                replies.iter().map(Frame::error).filter(|error| *error != 0).collect();
            ensure!(errors == vec![6; refused], "{flag}: errors {errors:?}");
            daemon.clear(&["e0.1", flag])?.success()?;
            daemon.stop()?;
        }
    }
    Ok(())
}
