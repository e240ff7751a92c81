//! A client that finds disks as WinAoE does: no config query, but IDENTIFY to everybody, and then
//! longer and longer reads until one is not answered in full.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aoe_tests::daemon::Setup;
use aoe_tests::image::{random_bytes, random_image};
use aoe_tests::paths;
use aoe_tests::raw::Raw;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// How long to wait for another disk. WinAoE waits for 250 ms; this machine may be busy.
const PATIENCE: Duration = Duration::from_secs(1);
/// For a reply, on a busy machine.
const LIMIT: Duration = Duration::from_secs(5);
/// Size of the images, in sectors.
const SECTORS: usize = 2048;

const IDENTIFY: u8 = 0xec;
const READ_EXT: u8 = 0x24;
const WRITE_EXT: u8 = 0x34;

/// A disk that has been found.
#[derive(Debug)]
struct Disk {
    mac: [u8; 6],
    shelf: [u8; 2],
    slot: u8,
    sectors: u64,
}

struct Client {
    raw: Raw,
    /// Counts up, in the client's own byte order.
    tag: u32,
}

impl Client {
    /// Sends an ATA command with 48-bit addressing, and gives its tag.
    fn send(
        &mut self,
        to: &Disk,
        command: u8,
        count: u8,
        lba: u64,
        data: &[u8],
    ) -> Result<[u8; 4]> {
        self.tag += 1;
        let tag = self.tag.to_ne_bytes();
        let mut frame = [to.mac, self.raw.mac()].concat();
        frame.extend([0x88, 0xa2, 0x10, 0, to.shelf[0], to.shelf[1], to.slot, 0]);
        frame.extend(tag);
        let write = u8::from(command == WRITE_EXT);
        frame.extend([0x40 | write, 0, count, command]);
        frame.extend(&lba.to_le_bytes()[..6]);
        frame.extend([0, 0]);
        frame.extend(data);
        self.raw.send(&frame)?;
        Ok(tag)
    }

    /// The reply with this tag, if it comes in time. Shorter ones than Ethernet allows don't count.
    fn reply(&self, tag: [u8; 4], limit: Duration) -> Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + limit;
        while let Some(frame) = self.raw.receive(deadline)? {
            if frame.len() >= 60 && frame[14] & 0x08 != 0 && frame[20..24] == tag {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// Every disk that answers IDENTIFY.
    fn discover(&mut self) -> Result<Vec<Disk>> {
        let everybody = Disk { mac: [0xff; 6], shelf: [0xff; 2], slot: 0xff, sectors: 0 };
        let tag = self.send(&everybody, IDENTIFY, 1, 0, &[])?;
        let mut disks = Vec::new();
        while let Some(frame) = self.reply(tag, PATIENCE)? {
            ensure!(frame.len() == 36 + 512 && frame[27] == 0x40, "no IDENTIFY: {frame:02x?}");
            disks.push(Disk {
                mac: frame[6..12].try_into()?,
                shelf: [frame[16], frame[17]],
                slot: frame[18],
                sectors: u64::from_le_bytes(frame[236..244].try_into()?),
            });
        }
        disks.sort_by_key(|disk| (disk.shelf, disk.slot));
        Ok(disks)
    }

    /// The most sectors that a read returns. WinAoE takes silence for the end, too, but waits for
    /// it each time; a good target answers with a short frame.
    fn most_sectors(&mut self, disk: &Disk) -> Result<u8> {
        for count in 1.. {
            let tag = self.send(disk, READ_EXT, count, 0, &[])?;
            let reply = self.reply(tag, LIMIT)?.context("no answer to a longer read")?;
            if reply.len() < 36 + 512 * usize::from(count) {
                return Ok(count - 1);
            }
        }
        unreachable!("no frame holds 255 sectors")
    }

    fn read(&mut self, disk: &Disk, lba: u64, count: u8) -> Result<Vec<u8>> {
        let tag = self.send(disk, READ_EXT, count, lba, &[])?;
        let reply = self.reply(tag, LIMIT)?.context("no answer to a read")?;
        ensure!(reply[27] == 0x40, "status {:02x}", reply[27]);
        Ok(reply[36..].to_vec())
    }

    fn write(&mut self, disk: &Disk, lba: u64, data: &[u8]) -> Result<()> {
        let tag = self.send(disk, WRITE_EXT, (data.len() / 512) as u8, lba, data)?;
        let reply = self.reply(tag, LIMIT)?.context("no answer to a write")?;
        ensure!(reply[27] == 0x40, "status {:02x}", reply[27]);
        Ok(())
    }
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn disks_are_found_by_identify_and_used() -> Result<()> {
    for (mtu, most) in [(1500, 2), (9000, 17)] {
        let scratch = paths::scratch()?;
        let wire = Wire::new(Shape { mtu, queues: 1 })?;
        let mut setup = Setup::new(&wire.target, TARGET_PORT, scratch.path());
        let mut contents = Vec::new();
        for slot in [1, 2] {
            let image = scratch.path().join(format!("{slot}.img"));
            contents.push(random_image(&image, SECTORS * 512, u64::from(slot))?);
            setup = setup.export(3, slot, &image);
        }
        let daemon = setup.start()?;
        let mut client = Client { raw: Raw::open(&wire.client, CLIENT_PORT)?, tag: 0 };

        let disks = client.discover()?;
        let found: Vec<_> =
            disks.iter().map(|disk| (disk.shelf, disk.slot, disk.sectors)).collect();
        ensure!(found == [([0, 3], 1, 2048), ([0, 3], 2, 2048)], "MTU {mtu}: found {disks:?}");
        for (disk, content) in disks.iter().zip(&mut contents) {
            ensure!(client.most_sectors(disk)? == most, "MTU {mtu}: {disk:?}");
            let data = random_bytes(usize::from(most) * 512, 9);
            client.write(disk, 100, &data)?;
            content[100 * 512..100 * 512 + data.len()].copy_from_slice(&data);
            let mut read = Vec::new();
            while read.len() < content.len() {
                let lba = read.len() / 512;
                let count = usize::from(most).min(SECTORS - lba);
                read.extend(client.read(disk, lba as u64, count as u8)?);
            }
            ensure!(read == *content, "MTU {mtu}: {disk:?} has other content");
        }
        daemon.stop()?;
        for (slot, content) in [1, 2].iter().zip(&contents) {
            let image = fs::read(scratch.path().join(format!("{slot}.img")))?;
            ensure!(image == *content, "MTU {mtu}: the image of slot {slot}");
        }
    }
    Ok(())
}
