//! Edits in the disk's line: durable before they are answered, and in order with everything else.

use super::bench::{Bench, Setup};
use super::support::frame::{CLIENT, Frame, Registers, pattern};
use aoe_common::address::Address;
use aoe_common::wire::Mac;
use aoe_daemon::state::StateDir;
use aoe_daemon::storage::image::Image;
use aoe_daemon::target::Fault;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const OTHER: [u8; 6] = [0x02, 0, 0, 0, 0, 9];

fn bench(directory: &Path) -> Bench {
    let image = directory.join("image");
    fs::write(&image, pattern(1, 64)).unwrap();
    let state = StateDir::open(&directory.join("state")).unwrap();
    let (_, memory) = state.load(Address::new(0, 1).unwrap());
    Bench::with(Setup::USUAL, Image::open(&image, false).unwrap(), memory)
}

fn remembered(directory: &Path) -> aoe_daemon::target::Lists {
    let state = StateDir::open(&directory.join("state")).unwrap();
    state.load(Address::new(0, 1).unwrap()).0.unwrap_or_default()
}

fn set_string(string: &[u8]) -> Frame {
    Frame::request(1, [0, 0, 0, 0, 0, 4, 0, string.len() as u8]).with_data(string)
}

fn reserve_for(station: [u8; 6]) -> Frame {
    Frame::request(3, [vec![2, 1], station.to_vec()].concat())
}

fn mask_all_but(station: [u8; 6]) -> Frame {
    Frame::request(2, [vec![0, 1, 0, 1, 0, 1], station.to_vec()].concat())
}

#[test]
fn what_is_answered_is_on_the_disk() {
    let directory = TempDir::new().unwrap();
    let mut bench = bench(directory.path());
    for string in [&b"hello"[..], b"", b"again"] {
        bench.park_edit(&set_string(string));
        let reply = bench.await_edited().unwrap();
        assert_eq!(&reply[32..32 + string.len()], string);
        assert_eq!(remembered(directory.path()).config_string, string);
    }
    bench.park_edit(&reserve_for(OTHER));
    assert_eq!(bench.await_edited().unwrap()[24..32], [2, 1, 2, 0, 0, 0, 0, 9]);
    bench.park_edit(&mask_all_but(CLIENT));
    bench.await_edited();
    let lists = remembered(directory.path());
    assert_eq!((lists.reserved, lists.mask), (vec![Mac(OTHER)], vec![Mac(CLIENT)]));
}

/// Nothing is changed, and the client is told so, where nothing can be remembered.
#[test]
fn an_edit_that_can_not_be_kept_changes_nothing() {
    let directory = TempDir::new().unwrap();
    let mut bench = bench(directory.path());
    // The new state can't be written where a directory is.
    fs::create_dir(directory.path().join("state/e0.1.json.new")).unwrap();
    bench.park_edit(&set_string(b"hello"));
    let reply = bench.await_edited().unwrap();
    assert_eq!((reply[14], reply[15], &reply[30..32]), (0x1C, 3, &[0, 0][..]));
    assert!(bench.record.current().lists().config_string.is_empty());
    bench.park_edit(&mask_all_but(OTHER));
    assert_eq!(bench.await_edited().unwrap()[24..28], [0, 1, 1, 0]);
    assert!(bench.record.current().admits(Mac(CLIENT)));
}

/// A write that was accepted before a reservation, and would be carried out after it, is refused:
/// whoever has reserved the target may rely on what it reads then.
#[test]
fn what_comes_after_an_edit_meets_what_it_made() {
    for (edit, fault) in
        [(reserve_for(OTHER), Fault::Reserved), (mask_all_but(OTHER), Fault::Masked)]
    {
        let directory = TempDir::new().unwrap();
        let mut bench = bench(directory.path());
        let before = bench.job(Registers::write48(0, 1), &pattern(2, 1));
        let after = bench.job(Registers::write48(1, 1), &pattern(3, 1));
        bench.park(before, 0);
        bench.park_edit(&edit);
        bench.park(after, 1);
        let first = bench.await_finished();
        assert_eq!(first.outcome, Ok(()));
        bench.recycle(first.job.packet);
        bench.await_edited();
        let last = bench.await_finished();
        assert_eq!(last.outcome, Err(fault));
        bench.recycle(last.job.packet);
        let image = fs::read(directory.path().join("image")).unwrap();
        assert!(image[..512] == pattern(2, 1)[..], "the write before it");
        assert!(image[512..1024] == pattern(1, 64)[512..1024], "the write after it");
    }
}

/// Whoever has been masked is not let in again by what he sent meanwhile.
#[test]
fn an_edit_of_a_station_that_was_masked_meanwhile_is_not_carried_out() {
    let directory = TempDir::new().unwrap();
    let mut bench = bench(directory.path());
    bench.park_edit(&mask_all_but(OTHER));
    bench.park_edit(&mask_all_but(CLIENT));
    bench.park_edit(&reserve_for(CLIENT));
    assert!(bench.await_edited().is_some());
    assert_eq!(bench.await_edited(), None);
    assert_eq!(bench.await_edited(), None);
    let lists = remembered(directory.path());
    assert_eq!((lists.mask, lists.reserved), (vec![Mac(OTHER)], vec![]));
}
