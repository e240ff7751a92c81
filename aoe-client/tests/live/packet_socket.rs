//! What the AF_PACKET socket receives, and what it must not.

use std::time::Duration;

use crate::support::inside;
use anyhow::{Result, ensure};
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};
use aoe_xsk::{PacketSocket, ReceiveBatch};

/// How long to wait for a frame that must come, on a busy machine.
const LIMIT: Duration = Duration::from_secs(10);
const FRAME_BYTES: usize = 60;

/// A frame from one end to the other, with a number to know it by.
fn frame(destination: [u8; 6], source: [u8; 6], ether_types: &[u8], number: u8) -> Vec<u8> {
    let mut frame = [&destination[..], &source[..], ether_types].concat();
    frame.push(number);
    frame.resize(FRAME_BYTES, 0);
    frame
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn frames_of_other_stations_and_networks_never_arrive() -> Result<()> {
    let wire = Wire::new(Shape::default())?;
    let sender = inside(&wire.target, || Ok(PacketSocket::open(TARGET_PORT)?))?;
    let receiver = inside(&wire.client, || Ok(PacketSocket::open(CLIENT_PORT)?))?;
    assert_eq!(receiver.mtu()?, 1500);
    // As it would receive them all beside a packet capture.
    wire.client.ip(&format!("link set dev {CLIENT_PORT} promisc on"))?;
    let (to, from) = (receiver.mac(), sender.mac());
    let stranger = [2, 0, 0, 0, 0, 0x77];
    let frames = [
        frame(to, from, &[0x88, 0xA2], 1),
        frame(stranger, from, &[0x88, 0xA2], 2),
        frame(to, from, &[0x08, 0x00], 3),
        frame(to, from, &[0x81, 0x00, 0, 5, 0x88, 0xA2], 4),
        frame([0xFF; 6], from, &[0x81, 0x00, 0, 5, 0x88, 0xA2], 5),
        frame(to, from, &[0x81, 0x00, 0x60, 0, 0x88, 0xA2], 6),
        frame([0xFF; 6], from, &[0x88, 0xA2], 7),
    ];
    for frame in &frames {
        sender.send(frame)?;
    }
    let mut batch = ReceiveBatch::new(1514);
    let mut numbers = Vec::new();
    while numbers.last() != Some(&7) {
        ensure!(receiver.receive(&mut batch, LIMIT)? > 0, "the last frame is missing: {numbers:?}");
        numbers.extend(batch.frames().map(|frame| frame[14]));
    }
    // The one tag that names no VLAN is only a priority, and removed.
    assert_eq!(numbers, [1, 6, 7]);
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn frames_too_long_for_their_buffer_are_no_frames() -> Result<()> {
    let wire = Wire::new(Shape::default())?;
    let sender = inside(&wire.target, || Ok(PacketSocket::open(TARGET_PORT)?))?;
    let receiver = inside(&wire.client, || Ok(PacketSocket::open(CLIENT_PORT)?))?;
    let frame = frame(receiver.mac(), sender.mac(), &[0x88, 0xA2], 1);
    sender.send(&frame)?;
    let mut batch = ReceiveBatch::new(FRAME_BYTES - 1);
    assert_eq!(receiver.receive(&mut batch, LIMIT)?, 1);
    assert_eq!(batch.frames().collect::<Vec<_>>(), [&[][..] as &[u8]]);
    sender.send(&frame)?;
    let mut batch = ReceiveBatch::new(FRAME_BYTES);
    assert_eq!(receiver.receive(&mut batch, LIMIT)?, 1);
    assert_eq!(batch.frames().collect::<Vec<_>>(), [&frame[..]]);
    let mut batch = ReceiveBatch::new(FRAME_BYTES);
    assert_eq!(receiver.receive(&mut batch, Duration::from_millis(1))?, 0);
    assert_eq!(batch.frames().count(), 0);
    Ok(())
}
