//! A read of 1 KiB that the cache holds, from the frame's first look to its finished reply with the
//! data in it; and what copying 1 KiB from a random place of as much memory costs.

use aoe_common::address::Address;
use aoe_common::steer;
use aoe_common::wire::SECTOR_SIZE;
use aoe_common::wire::ata::{AtaHeader, aflag, opcode};
use aoe_common::wire::{
    ATA_FRAME_HEADER, AoeHeader, ETHER_TYPE_AOE, EthernetHeader, MIN_FRAME, Mac, VERSION, command,
};
use aoe_daemon::config::{CacheSize, Config, ExportConfig, HugePages, Mode, StorageConfig};
use aoe_daemon::exports::{Exports, Targets};
use aoe_daemon::mailbox::Mailbox;
use aoe_daemon::storage::Job;
use aoe_daemon::storage::cache::BLOCK;
use aoe_daemon::storage::engine::{Engine, Started};
use aoe_daemon::target::{Port, Step};
use aoe_xsk::Umem;
use criterion::Criterion;
use memmap2::{Advice, MmapMut};
use std::fs::File;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use zerocopy::IntoBytes;

/// Bytes of the disk, and of the memory that is copied from.
const BYTES: usize = 1 << 30;
/// Bytes of a read.
const READ: usize = 1024;
const PORT: Port =
    Port { mac: Mac([2, 0, 0, 0, 0, 2]), mtu: 1500, max_sectors: 2, buffer_count: 64 };
const PACKETS: u32 = 64;

/// Places that look like chance.
struct Places(u64);

impl Places {
    /// One of the pieces of [`READ`] bytes.
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % (BYTES / READ)
    }
}

/// One disk, whole in the cache.
fn cached_disk(directory: &Path) -> Arc<Exports> {
    let image = directory.join("image");
    File::create(&image).and_then(|file| file.set_len(BYTES as u64)).expect("an image");
    let address = Address::new(0, 1).expect("a target's address");
    let config = Config {
        interfaces: Vec::new(),
        exports: vec![ExportConfig::new(address, image)],
        mode: Mode::Auto,
        create: None,
        sparse: false,
        control: directory.join("control"),
        state_dir: directory.join("state"),
        announce_every: None,
        huge_pages: HugePages::Use,
        storage: StorageConfig { cache: CacheSize::All, preload: true, ..StorageConfig::default() },
    };
    let exports = Arc::new(Exports::open(&config).expect("the export opens"));
    exports.preload().expect("preloading starts");
    while exports.cache().used() < BYTES / BLOCK {
        thread::sleep(Duration::from_millis(10));
    }
    exports
}

/// READ SECTORS EXT of two sectors, as Linux sends it.
fn request(piece: usize) -> [u8; MIN_FRAME] {
    let ethernet = EthernetHeader {
        destination: PORT.mac,
        source: Mac([2, 0, 0, 0, 0, 1]),
        ether_type: ETHER_TYPE_AOE.into(),
    };
    let aoe = AoeHeader {
        version_flags: VERSION << 4,
        error: 0,
        shelf: 0.into(),
        slot: 1,
        command: command::ATA,
        tag: [0, 0, 0, 1],
    };
    let [a, b, c, d, e, f, ..] = (piece * READ / SECTOR_SIZE).to_le_bytes();
    let ata = AtaHeader {
        aflags: aflag::EXTENDED,
        feature: 0,
        sector_count: (READ / SECTOR_SIZE) as u8,
        command: opcode::READ_SECTORS_EXT,
        lba: [a, b, c, d, e, f],
        reserved: 0.into(),
    };
    let mut frame = [0; MIN_FRAME];
    frame[..14].copy_from_slice(ethernet.as_bytes());
    frame[14..24].copy_from_slice(aoe.as_bytes());
    frame[24..ATA_FRAME_HEADER].copy_from_slice(ata.as_bytes());
    frame
}

/// What a worker does, without rings.
fn serve(umem: &mut Umem, engine: &mut Engine, targets: &mut Targets, frame: &[u8]) {
    let mut packet = umem.allocate(frame.len()).expect("a free packet");
    packet.copy_in(0, frame);
    let (_, framing) = steer::framing(packet.head()).expect("it has headers");
    let length = packet.len();
    let Step::Io(request) = targets.look(0).accept(&PORT, framing, packet.head_mut(), length)
    else {
        unreachable!("it is a read")
    };
    assert!(umem.resize(&mut packet, request.frame_length()));
    let Started::Done(job, outcome) = engine.start(0, Job { packet, request }) else {
        unreachable!("the cache holds all of it")
    };
    let Job { mut packet, request } = job;
    black_box(targets.look(0).finish(&PORT, request, packet.head_mut(), outcome));
    umem.recycle(packet);
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("1 KiB of 1 GiB");
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let mut places = Places(0x9E37_79B9_7F4A_7C15);

    let exports = cached_disk(directory.path());
    let home = Arc::new(Mailbox::new(Engine::messages(PACKETS as usize)).expect("a mailbox"));
    let mut engine = exports.engine(home).expect("an engine");
    let mut targets = Targets::of(&exports);
    let mut umem = Umem::new(PACKETS, HugePages::Use).expect("memory");
    group.bench_function("hit", |bencher| {
        bencher.iter(|| {
            serve(&mut umem, &mut engine, &mut targets, &request(places.next()));
        });
    });

    let mut memory = MmapMut::map_anon(BYTES).expect("memory");
    // As the cache has it; where there are no huge pages, neither has any.
    let _ = memory.advise(Advice::HugePage);
    memory.fill(1);
    let mut target = [0; READ];
    group.bench_function("copy", |bencher| {
        bencher.iter(|| {
            let at = places.next() * READ;
            target.copy_from_slice(&memory[at..at + READ]);
            black_box(&mut target);
        });
    });
    group.finish();
    exports.finish();
    criterion.final_summary();
}
