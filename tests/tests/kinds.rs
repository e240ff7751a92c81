//! Every kind of file and device that can be served: written in odd places, read back, and looked
//! at from below when the daemon has ended.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aoe_tests::client::Client;
use aoe_tests::command::{SHORT, finish, run};
use aoe_tests::daemon::Setup;
use aoe_tests::image::{MIB, random_bytes, random_image, sparse_image};
use aoe_tests::loop_device::LoopDevice;
use aoe_tests::mount::Mount;
use aoe_tests::paths;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};
use tempfile::TempDir;

/// For the daemon to say something.
const SOON: Duration = Duration::from_secs(5);
const SECTOR: usize = 512;
/// Size of most disks here, in bytes.
const SMALL: u64 = 8 * MIB;
/// A filesystem, in bytes: xfs wants 300 MiB.
const FILESYSTEM: u64 = 400 * MIB;
/// Writes to random places of each disk.
const RANDOM_WRITES: u64 = 16;
/// Sectors before and behind what was written that are looked at where a disk is too large to be
/// looked at as a whole.
const AROUND: u64 = 24;

/// What is served.
struct Disk<'p> {
    /// A file or device.
    path: &'p Path,
    /// What clients are told.
    sectors: u64,
    /// What it holds before the daemon starts; zeroes, where that is much.
    content: Option<Vec<u8>>,
    /// Byte of the file or device that it begins at, where it is a part of that.
    offset: Option<u64>,
}

impl<'p> Disk<'p> {
    fn whole(path: &'p Path, content: Vec<u8>) -> Self {
        let sectors = (content.len() / SECTOR) as u64;
        Self { path, sectors, content: Some(content), offset: None }
    }

    /// Sectors that have never been written.
    fn before(&self, lba: u64, sectors: u64) -> Vec<u8> {
        let (start, length) = (lba as usize * SECTOR, sectors as usize * SECTOR);
        match &self.content {
            Some(content) => content[start..start + length].to_vec(),
            None => vec![0; length],
        }
    }

    /// Where to write, and how many sectors: both ends, single sectors beside and across the blocks
    /// of 4 KiB, more than a frame holds, some places twice, and anywhere.
    fn places(&self) -> Vec<(u64, u64)> {
        let (end, middle) = (self.sectors, self.sectors / 2);
        let odd = [(0, 1), (1, 1), (7, 2), (15, 1), (63, 18), (70, 3), (middle + 1, 33)];
        let last = [(middle + 9, 8), (end - 9, 3), (end - 1, 1)];
        let seeds = random_bytes(RANDOM_WRITES as usize * 8, end);
        let random = seeds.chunks_exact(8).map(|bytes| {
            let number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            (number % (end - 16), 1 + number % 5)
        });
        odd.into_iter().chain(last).chain(random).collect()
    }

    /// Serves it as a disk of either durability. Returns the log of the first daemon.
    fn walk(&self) -> Result<String> {
        let log = self.walk_with("always", 1000)?;
        self.walk_with("writeback", 2000).context("with durability writeback")?;
        Ok(log)
    }

    /// Serves it, writes, reads, stops, and compares what is on the file or device. Returns the
    /// daemon's log.
    fn walk_with(&self, durability: &str, seed: u64) -> Result<String> {
        let scratch = paths::scratch()?;
        let wire = Wire::new(Shape { mtu: 9000, queues: 1 })?;
        let mut setup =
            Setup::new(&wire.target, TARGET_PORT, scratch.path()).export(0, 1, self.path);
        setup = setup.option("--durability", durability);
        if let Some(offset) = self.offset {
            let length = self.sectors * SECTOR as u64;
            setup = setup
                .option("--offset", &offset.to_string())
                .option("--length", &length.to_string());
        }
        let daemon = setup.start()?;
        let client = Client::new(&wire.client, CLIENT_PORT)?;
        let told = client.json(&["identify", "e0.1"])?["sectors"].as_u64();
        ensure!(told == Some(self.sectors), "{told:?} sectors instead of {}", self.sectors);

        let mut written = BTreeMap::new();
        for (number, (lba, sectors)) in self.places().into_iter().enumerate() {
            let data = random_bytes(sectors as usize * SECTOR, seed + number as u64);
            client.write("e0.1", lba, &data)?;
            written.extend((lba..).zip(data.chunks(SECTOR).map(<[u8]>::to_vec)));
            ensure!(client.read("e0.1", lba, sectors)? == data, "{lba} does not read as written");
        }
        let expected = |lba, sectors| {
            let mut data = self.before(lba, sectors);
            for (at, sector) in written.range(lba..lba + sectors) {
                data[(at - lba) as usize * SECTOR..][..SECTOR].copy_from_slice(sector);
            }
            data
        };
        let windows = self.windows();
        for (lba, sectors) in &windows {
            let read = client.read("e0.1", *lba, *sectors)?;
            ensure!(read == expected(*lba, *sectors), "wrong data read around {lba}");
        }
        let log = daemon.stop()?;
        let below = File::open(self.path)?;
        for (lba, sectors) in windows {
            let mut data = vec![0; sectors as usize * SECTOR];
            below.read_exact_at(&mut data, self.offset.unwrap_or(0) + lba * SECTOR as u64)?;
            ensure!(data == expected(lba, sectors), "other data is stored around {lba}");
        }
        Ok(log)
    }

    /// What is compared: all of it, or all around what is written.
    fn windows(&self) -> Vec<(u64, u64)> {
        if self.content.is_some() {
            return vec![(0, self.sectors)];
        }
        let window = |(lba, sectors): (u64, u64)| {
            let start = lba.saturating_sub(AROUND);
            (start, (lba + sectors + AROUND).min(self.sectors) - start)
        };
        self.places().into_iter().map(window).collect()
    }
}

/// A filesystem in a file.
struct Filesystem {
    // In this order: each is on the next.
    _mount: Mount,
    _device: Option<LoopDevice>,
    scratch: TempDir,
}

impl Filesystem {
    /// A new one of this type; none, and the reason printed, where the machine has none.
    fn new(kind: &str) -> Result<Option<Self>> {
        let scratch = paths::scratch()?;
        let (file, at) = (scratch.path().join("filesystem.img"), scratch.path().join("mounted"));
        if kind == "tmpfs" {
            let mount = Mount::at(&at, &["-t", "tmpfs", "tmpfs"])?;
            return Ok(Some(Self { _mount: mount, _device: None, scratch }));
        }
        sparse_image(&file, FILESYSTEM)?;
        run(Command::new(format!("mkfs.{kind}")).arg("-q").arg(&file))?;
        let Some(device) = LoopDevice::attach(&file, &[])? else { return Ok(None) };
        let path = device.path().display().to_string();
        match Mount::at(&at, &["-t", kind, &path]) {
            Ok(mount) => Ok(Some(Self { _mount: mount, _device: Some(device), scratch })),
            Err(error) if !fs::read_to_string("/proc/filesystems")?.contains(kind) => {
                println!("SKIPPED: this kernel does not mount {kind}: {error:#}");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join("mounted").join(name)
    }
}

/// Serves a file on a filesystem of this type. Then one whose blocks were only allocated, which the
/// daemon says where they cost more to write.
fn walk_on(kind: &str, allocated_is_told: bool) -> Result<()> {
    let Some(filesystem) = Filesystem::new(kind)? else { return Ok(()) };
    let image = filesystem.path("disk.img");
    let content = random_image(&image, SMALL as usize, 80)?;
    File::open(&image)?.sync_all()?;
    let log = Disk::whole(&image, content).walk()?;
    ensure!(!log.contains("never written") && !log.contains("sparse"), "{log}");
    let allocated = filesystem.path("allocated.img");
    run(Command::new("fallocate").args(["--length", "8M"]).arg(&allocated))?;
    let log = Disk::whole(&allocated, vec![0; SMALL as usize]).walk()?;
    let line = log.lines().find(|line| line.contains("never written"));
    ensure!(line.is_some() == allocated_is_told, "{log}");
    ensure!(line.is_none_or(|line| line.contains("WARN") && line.contains("--create")), "{line:?}");
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_file_on_ext4() -> Result<()> {
    walk_on("ext4", true)
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_file_on_xfs() -> Result<()> {
    walk_on("xfs", true)
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_file_on_btrfs() -> Result<()> {
    walk_on("btrfs", false)
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_file_on_tmpfs() -> Result<()> {
    walk_on("tmpfs", false)
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_sparse_file() -> Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    sparse_image(&image, SMALL)?;
    let log = Disk::whole(&image, vec![0; SMALL as usize]).walk()?;
    ensure!(log.contains("the file is sparse") && !log.contains("never written"), "{log}");
    Ok(())
}

/// 2 TiB and a bit: sectors that 32 bits don't count, and an end at no round place.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn more_than_2_tib() -> Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    let sectors = (1 << 32) + 12_345;
    sparse_image(&image, sectors * SECTOR as u64)?;
    Disk { path: &image, sectors, content: None, offset: None }.walk()?;
    Ok(())
}

/// A device of random bytes; none, and the reason printed, where there are no loop devices.
fn device(scratch: &TempDir, flags: &[&str]) -> Result<Option<(LoopDevice, Vec<u8>)>> {
    let file = scratch.path().join("behind.img");
    let content = random_image(&file, SMALL as usize, 81)?;
    File::open(&file)?.sync_all()?;
    Ok(LoopDevice::attach(&file, flags)?.map(|device| (device, content)))
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_whole_device() -> Result<()> {
    let scratch = paths::scratch()?;
    let Some((device, content)) = device(&scratch, &[])? else { return Ok(()) };
    Disk::whole(device.path(), content).walk()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_device_with_sectors_of_4096_bytes() -> Result<()> {
    let scratch = paths::scratch()?;
    let flags = ["--sector-size", "4096"];
    let Some((device, content)) = device(&scratch, &flags)? else { return Ok(()) };
    let size = run(Command::new("blockdev").arg("--getss").arg(device.path()))?;
    ensure!(size.trim() == "4096", "it has sectors of {size}");
    Disk::whole(device.path(), content).walk()?;
    Ok(())
}

/// Neither begins nor ends where a block of 4 KiB does.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_part_of_a_device() -> Result<()> {
    let scratch = paths::scratch()?;
    let Some((device, whole)) = device(&scratch, &[])? else { return Ok(()) };
    let part = 2049 * SECTOR..(2049 + 6001) * SECTOR;
    let disk = Disk {
        offset: Some(part.start as u64),
        ..Disk::whole(device.path(), whole[part.clone()].to_vec())
    };
    disk.walk()?;
    let now = fs::read(device.path())?;
    let rest = |bytes: &[u8]| [&bytes[..part.start], &bytes[part.end..]].concat();
    ensure!(rest(&now) == rest(&whole), "something outside of the part has changed");
    Ok(())
}

/// What is no part of a device, or none that can be written, is said on either way to say it.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn parts_that_can_not_be() -> Result<()> {
    let scratch = paths::scratch()?;
    let flags = ["--sector-size", "4096"];
    let Some((device, _)) = device(&scratch, &flags)? else { return Ok(()) };
    let path = device.path().display().to_string();
    let wire = Wire::new(Shape::default())?;
    let cases = [
        ("512", "4096", "sectors of 4096 bytes, and offset 512 is no multiple"),
        ("4096", "8M", "8388608"),
        ("8M", "512", "8389120"),
    ];
    for (offset, length, expected) in cases {
        let flags = Setup::new(&wire.target, TARGET_PORT, scratch.path())
            .export(0, 1, device.path())
            .option("--offset", offset)
            .option("--length", length);
        let file = scratch.path().join("aoe.toml");
        fs::write(
            &file,
            format!(
                "interfaces = ['{TARGET_PORT}']\n[[export]]\nshelf = 0\nslot = 1\n\
                 file = '{path}'\noffset = '{offset}'\nlength = '{length}'\n"
            ),
        )?;
        for setup in [flags.clone(), Setup::with_config(&wire.target, &file, scratch.path())] {
            let refusal = setup.refuse()?;
            let line = refusal.stderr.lines().last().unwrap_or_default();
            ensure!(refusal.status.code() == Some(1), "{refusal:?}");
            ensure!(line.contains(&path) && line.contains(expected), "{expected}: {line}");
        }
        if offset == "512" {
            flags.flag("--read-only").start()?.stop()?;
        }
    }
    Ok(())
}

/// The kernel may know no partition tables: partx reads them and tells it.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_partition() -> Result<()> {
    let scratch = paths::scratch()?;
    let Some((device, _)) = device(&scratch, &["--partscan"])? else { return Ok(()) };
    let script =
        "printf 'start=2048,size=6144\\nstart=8192\\n' | sfdisk --quiet --label gpt \"$0\"";
    run(Command::new("sh").args(["-c", script]).arg(device.path()))?;
    let added = finish(Command::new("partx").arg("--update").arg(device.path()), SHORT)?;
    let partition = PathBuf::from(format!("{}p1", device.path().display()));
    ensure!(partition.exists(), "there is no {}: {added:?}", partition.display());
    let content = fs::read(&partition)?;
    ensure!(content.len() == 3 << 20, "the partition has {} bytes", content.len());
    let whole = fs::read(device.path())?;
    Disk::whole(&partition, content).walk()?;
    let now = fs::read(device.path())?;
    let rest = |bytes: &[u8]| [&bytes[..MIB as usize], &bytes[4 << 20..]].concat();
    ensure!(rest(&now) == rest(&whole), "something outside of the partition has changed");
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn read_only() -> Result<()> {
    let scratch = paths::scratch()?;
    let Some((device, content)) = device(&scratch, &["--read-only"])? else { return Ok(()) };
    let file = scratch.path().join("disk.img");
    fs::write(&file, &content)?;
    let wire = Wire::new(Shape { mtu: 9000, queues: 1 })?;
    let mut setup = Setup::new(&wire.target, TARGET_PORT, scratch.path()).flag("--read-only");
    for (slot, path) in [(1, device.path()), (2, &file)] {
        setup = setup.export(0, slot, path);
    }
    let mut daemon = setup.start()?;
    daemon.process.wait_for_line("read_only=true", SOON)?;
    let client = Client::new(&wire.client, CLIENT_PORT)?;
    let input = scratch.path().join("input");
    fs::write(&input, [1; SECTOR])?;
    let input = input.to_str().context("a path in UTF-8")?;
    for address in ["e0.1", "e0.2"] {
        let target = client.find(address)?;
        ensure!(target.sectors == Some(SMALL / 512), "{target:?}");
        for lba in ["0", "4097", "16383"] {
            client.refused(&["write", address, "--lba", lba, input], &[address])?;
        }
        ensure!(client.read(address, 0, SMALL / 512)? == content, "{address}: wrong data read");
    }
    daemon.stop()?;
    ensure!(fs::read(device.path())? == content && fs::read(&file)? == content, "it has changed");
    Ok(())
}
