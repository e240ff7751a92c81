//! A target that does what a test says, for what no target at hand does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::inside;
use anyhow::Result;
use aoe_common::wire::ata::opcode;
use aoe_common::wire::identify::Identify;
use aoe_common::wire::{ETHERNET_HEADER, FRAME_HEADER, command};
use aoe_tests::wire::{TARGET_PORT, Wire};
use aoe_xsk::{PacketSocket, ReceiveBatch};

/// Where the ATA registers of a frame are.
pub(crate) const FEATURE: usize = FRAME_HEADER + 1;
pub(crate) const COUNT: usize = FRAME_HEADER + 2;
pub(crate) const COMMAND: usize = FRAME_HEADER + 3;
pub(crate) const LBA: usize = FRAME_HEADER + 4;
/// Where the data of an ATA frame starts.
pub(crate) const DATA: usize = FRAME_HEADER + 12;

/// How long the target listens before it looks whether the test is over.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs `work` beside a target at e0.1 that holds 16 requests of 2 sectors. It answers config
/// queries and IDENTIFY DEVICE by itself, and everything else as `answer` says, which gets the
/// request turned into a good reply with the same argument and all of the request's data.
///
/// Returns what `work` does, and the requests that `answer` has seen, each once: on a busy machine
/// some are sent again.
pub(crate) fn beside_target<T: Send>(
    wire: &Wire,
    identify: &Identify,
    answer: impl Fn(&mut Vec<u8>) + Sync,
    work: impl FnOnce() -> Result<T>,
) -> Result<(T, Vec<Vec<u8>>)> {
    let socket = inside(&wire.target, || Ok(PacketSocket::open(TARGET_PORT)?))?;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let target = scope.spawn(|| -> Result<Vec<Vec<u8>>> {
            let mut requests = Vec::new();
            let mut batch = ReceiveBatch::new(ETHERNET_HEADER + 1500);
            while !done.load(Ordering::Relaxed) {
                socket.receive(&mut batch, PAUSE)?;
                for frame in batch.frames().filter(|frame| frame.len() > FRAME_HEADER) {
                    let mut reply = turned(frame, socket.mac());
                    match (frame[19], frame[COMMAND]) {
                        (command::CONFIG, _) => {
                            reply[24..32].copy_from_slice(&[0, 16, 0, 0, 2, 0x10, 0, 0]);
                        }
                        (command::ATA, opcode::IDENTIFY_DEVICE) => {
                            succeed(&mut reply);
                            reply.truncate(DATA);
                            reply.extend_from_slice(&identify.0);
                        }
                        _ => {
                            if !requests.iter().any(|request| request == frame) {
                                requests.push(frame.to_vec());
                            }
                            answer(&mut reply);
                        }
                    }
                    socket.send(&reply)?;
                }
            }
            Ok(requests)
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        let requests = target.join().expect("the target panicked")?;
        Ok((result?, requests))
    })
}

/// Makes the ATA registers of a reply those of a success.
pub(crate) fn succeed(reply: &mut [u8]) {
    reply[FEATURE] = 0;
    reply[COUNT] = 0;
    reply[COMMAND] = 0x40;
}

/// The request as a reply of e0.1.
fn turned(request: &[u8], own: [u8; 6]) -> Vec<u8> {
    let mut reply = request.to_vec();
    reply[..6].copy_from_slice(&request[6..12]);
    reply[6..12].copy_from_slice(&own);
    reply[14..19].copy_from_slice(&[0x18, 0, 0, 0, 1]);
    reply
}
