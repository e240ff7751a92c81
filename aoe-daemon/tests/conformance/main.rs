//! The conformance cases of the protocol core, as frames in and frames out.
//!
//! Letters and numbers (A1, D12, …) number the cases: A framing and addressing, B query config,
//! C IDENTIFY DEVICE, D reads and writes, E other ATA commands, F MAC mask lists, G reservations.
//! The target is e0.1 at 02:00:00:00:00:02, read-write, with 2048 sectors, on a link of MTU 1500
//! (2 sectors a frame); the client is 02:00:00:00:00:01 and marks its requests 80000001.
//!
//! Every reply is compared whole, padding included, and every frame is answered twice, over
//! different leftovers in the buffer (see `support::rig`).

#[path = "../support/mod.rs"]
mod support;

mod config;
mod framing;
mod identify;
mod mask;
mod other;
mod reserve;
mod snapshot;
mod transfer;
mod vectors;

use support::frame::Frame;
use support::rig::Rig;

/// Asserts that a frame has exactly this answer: the case's name tells which.
#[track_caller]
fn answers(rig: &mut Rig, case: &str, request: &Frame, reply: &Frame) {
    let got = rig.ask_one(&request.bytes());
    assert_eq!(got.as_deref(), Some(&reply.padded()[..]), "{case}");
}

/// Asserts that a frame has no answer.
#[track_caller]
fn is_silent(rig: &mut Rig, case: &str, request: &[u8]) {
    assert_eq!(rig.ask_one(request), None, "{case}");
}

/// Asserts that a frame has no answer and leaves every disk alone, and another one the given
/// answer without a disk being asked.
#[track_caller]
fn answers_without_disk(rig: &mut Rig, case: &str, request: &Frame, reply: &Frame) {
    let asked = rig.disk().asked.len();
    answers(rig, case, request, reply);
    assert_eq!(rig.disk().asked.len(), asked, "{case}: the disk was asked");
}
