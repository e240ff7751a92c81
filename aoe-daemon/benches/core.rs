//! What the protocol costs: a read of 1 KiB from the frame's first look to its finished reply, over
//! a disk that does nothing, as the number of exports grows.

use aoe_common::address::{Address, Destination};
use aoe_common::steer::{self, FrameBytes, ServedKey, Verdict};
use aoe_common::wire::ata::{AtaHeader, aflag, opcode};
use aoe_common::wire::{
    ATA_FRAME_HEADER, AoeHeader, ETHER_TYPE_AOE, EthernetHeader, MIN_FRAME, Mac, VERSION, command,
};
use aoe_daemon::config::{Config, ExportConfig, HugePages, Mode, StorageConfig};
use aoe_daemon::exports::{Exports, Offer, Targets};
use aoe_daemon::target::{Port, Step};
use criterion::{BenchmarkId, Criterion};
use std::fs::File;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use zerocopy::IntoBytes;

const PORT: Port =
    Port { mac: Mac([2, 0, 0, 0, 0, 2]), mtu: 1500, max_sectors: 2, buffer_count: 64 };
const CLIENT: Mac = Mac([2, 0, 0, 0, 0, 1]);
/// Exports of a shelf.
const SLOTS: usize = 250;
/// Bytes of a packet's first buffer.
const HEAD: usize = 3620;

fn address(export: usize) -> Address {
    Address::new((export / SLOTS) as u16, (export % SLOTS) as u8).expect("a target's address")
}

/// So many exports of one image, for reading.
fn exports(count: usize, directory: &Path) -> Arc<Exports> {
    let image = directory.join("image");
    File::create(&image).and_then(|file| file.set_len(1 << 30)).expect("an image");
    let export = |number| ExportConfig {
        read_only: true,
        ..ExportConfig::new(address(number), image.clone())
    };
    let config = Config {
        interfaces: Vec::new(),
        exports: (0..count).map(export).collect(),
        mode: Mode::Auto,
        create: None,
        sparse: false,
        control: directory.join("control"),
        state_dir: directory.join("state"),
        announce_every: None,
        huge_pages: HugePages::Use,
        storage: StorageConfig::default(),
    };
    Arc::new(Exports::open(&config).expect("the exports open"))
}

/// READ SECTORS EXT of two sectors, as Linux sends it.
fn request(to: Address) -> [u8; MIN_FRAME] {
    let ethernet =
        EthernetHeader { destination: PORT.mac, source: CLIENT, ether_type: ETHER_TYPE_AOE.into() };
    let aoe = AoeHeader {
        version_flags: VERSION << 4,
        error: 0,
        shelf: to.shelf().into(),
        slot: to.slot(),
        command: command::ATA,
        tag: [0, 0, 0, 1],
    };
    let ata = AtaHeader {
        aflags: aflag::EXTENDED,
        feature: 0,
        sector_count: 2,
        command: opcode::READ_SECTORS_EXT,
        lba: [8, 0, 0, 0, 0, 0],
        reserved: 0.into(),
    };
    let mut frame = [0; MIN_FRAME];
    frame[..14].copy_from_slice(ethernet.as_bytes());
    frame[14..24].copy_from_slice(aoe.as_bytes());
    frame[24..ATA_FRAME_HEADER].copy_from_slice(ata.as_bytes());
    frame
}

/// What a worker does with a frame, without rings and disk.
fn serve(offer: &Offer, targets: &mut Targets, head: &mut [u8], length: usize) -> Option<usize> {
    let received = &head[..length];
    let Verdict::Steer = steer::verdict(received, PORT.mac, offer) else {
        unreachable!("the frames are for us")
    };
    let (_, framing) = steer::framing(received).expect("it has headers");
    let aoe = received.header::<AoeHeader>(framing.aoe_offset).expect("it has headers");
    let to = Destination { shelf: aoe.shelf.get(), slot: aoe.slot };
    let [export] = *offer.named(ServedKey::new(framing.vlan_id, to)) else {
        unreachable!("the addresses are exact")
    };
    match targets.look(export).accept(&PORT, framing, head, length) {
        Step::Io(request) => targets.look(export).finish(&PORT, request, head, Ok(())),
        step => unreachable!("no read: {step:?}"),
    }
}

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read of 1 KiB, accept to finish");
    for count in [1, 100, 1000] {
        let directory = tempfile::tempdir().expect("a directory");
        let exports = exports(count, directory.path());
        let offer = Offer::on("eth0", &exports);
        let mut targets = Targets::of(&exports);
        let request = request(address(0));
        let mut head = vec![0; HEAD];
        let mut next = 0;
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                // All of them in turn, but not in the order that they lie in memory.
                next = (next + 617) % count;
                // As if the frame had just come in: its own bytes are the ring's business.
                head[..MIN_FRAME].copy_from_slice(&request);
                head[16..18].copy_from_slice(&address(next).shelf().to_be_bytes());
                head[18] = address(next).slot();
                black_box(serve(&offer, &mut targets, black_box(&mut head), MIN_FRAME))
            });
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    read(&mut criterion);
    criterion.final_summary();
}
