//! A disk with a client before it: packets are made of requests, parked, and come home.

use super::support::frame::{Frame, Registers, TARGET};
use aoe_common::address::Address;
use aoe_common::steer;
use aoe_common::wire::Mac;
use aoe_daemon::mailbox::{Mailbox, Message};
use aoe_daemon::record::Record;
use aoe_daemon::state::Store;
use aoe_daemon::storage::image::Image;
use aoe_daemon::storage::medium::Medium;
use aoe_daemon::storage::{Disk, Edited, Finished, Job, Parked, ParkedEdit};
use aoe_daemon::target::identify::Description;
use aoe_daemon::target::{Fault, Operation, Outcome, Port, Step, Target};
use aoe_xsk::{Packet, Umem};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::sync::Arc;

/// Chunks of the packets' memory.
const CHUNKS: u32 = 2048;
/// Sectors that the target claims, so that no request is refused before the disk sees it.
const CLAIMED: u64 = 1 << 48;

/// A disk, the memory of the packets that go to it, and the mailbox that they come home to.
pub(crate) struct Bench {
    pub(crate) umem: Umem,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) disk: Option<Disk>,
    pub(crate) record: Arc<Record>,
}

/// The port that all of it comes in on.
const PORT: Port = Port { mac: Mac(TARGET), mtu: 9000, max_sectors: 17, buffer_count: 64 };

impl Bench {
    pub(crate) fn new(image: Image) -> Self {
        Self::remembering(image, Store::nowhere())
    }

    /// A bench whose target keeps its lists in this store.
    pub(crate) fn remembering(image: Image, store: Store) -> Self {
        let address = Address::new(0, 1).unwrap();
        let trim = Medium::of(&image.backing).trim;
        let target = Target::new(address, Description { trim, ..Description::of_size(CLAIMED) });
        let record = Arc::new(Record::new(target, store, Arc::default()));
        Self {
            umem: Umem::new(CHUNKS).unwrap(),
            mailbox: Arc::new(Mailbox::new(CHUNKS as usize).unwrap()),
            disk: Some(Disk::new(image, Arc::clone(&record)).unwrap()),
            record,
        }
    }

    pub(crate) fn disk(&self) -> &Disk {
        self.disk.as_ref().expect("the disk is there")
    }

    /// The job that a worker makes of a frame.
    pub(crate) fn job(&mut self, registers: Registers, data: &[u8]) -> Job {
        let (mut packet, step) = self.accept(&Frame::ata(registers).with_data(data));
        let Step::Io(request) = step else { panic!("not for the disk: {step:?}") };
        if matches!(request.operation, Operation::Read(_)) {
            assert!(self.umem.resize(&mut packet, request.frame_length()));
        }
        Job { packet, request }
    }

    /// A frame in a packet, and what the target makes of it.
    fn accept(&mut self, frame: &Frame) -> (Packet, Step) {
        let frame = frame.bytes();
        let mut packet = self.umem.allocate(frame.len()).expect("a free chunk");
        packet.copy_in(0, &frame);
        let (_, framing) = steer::framing(&frame[..]).unwrap();
        let target = self.record.current();
        let step = target.accept(&PORT, framing, packet.head_mut(), frame.len());
        (packet, step)
    }

    /// Parks an edit.
    pub(crate) fn park_edit(&mut self, frame: &Frame) {
        let (packet, step) = self.accept(frame);
        let Step::Persist(edit) = step else { panic!("no edit: {step:?}") };
        let home = Arc::clone(&self.mailbox);
        assert!(self.disk().park_edit(ParkedEdit { packet, edit, port: PORT, home }).is_ok());
    }

    /// The next edit that comes home, as the reply to it, if there is one.
    pub(crate) fn await_edited(&mut self) -> Option<Vec<u8>> {
        let Message::Edited(edited) = self.await_message() else { panic!("no edit came home") };
        let Edited { mut packet, edit, answer } = edited;
        let Some((answer, target)) = answer else {
            self.umem.recycle(packet);
            return None;
        };
        let length = target.finish_edit(&PORT, &edit, packet.head_mut(), answer).unwrap();
        let reply = packet.head_mut()[..length].to_vec();
        self.umem.recycle(packet);
        Some(reply)
    }

    /// Parks a job; `number` comes back as its export.
    pub(crate) fn park(&self, job: Job, number: usize) {
        let home = Arc::clone(&self.mailbox);
        assert!(self.disk().park(Parked { job, export: number, home }).is_ok(), "no room");
    }

    /// The next job that comes home, in the way of a worker that sleeps until then.
    pub(crate) fn await_finished(&self) -> Finished {
        match self.await_message() {
            Message::Finished(finished) => finished,
            Message::Edited(_) => panic!("an edit came home"),
            Message::Order(_) => panic!("nobody gives orders here"),
        }
    }

    fn await_message(&self) -> Message {
        loop {
            match self.mailbox.take() {
                Some(message) => return message,
                None => assert!(sleep(&self.mailbox), "nothing comes home"),
            }
        }
    }

    /// Has one job done by the disk's thread, and returns the outcome and the sectors.
    pub(crate) fn work(&mut self, registers: Registers, data: &[u8]) -> (Outcome, Vec<u8>) {
        let job = self.job(registers, data);
        self.park(job, 0);
        let Finished { job, outcome, .. } = self.await_finished();
        (outcome, self.take_apart(job))
    }

    pub(crate) fn read(&mut self, lba: u64, sectors: u8) -> Result<Vec<u8>, Fault> {
        let (outcome, data) = self.work(Registers::read48(lba, sectors), &[]);
        outcome.map(|()| data)
    }

    pub(crate) fn write(&mut self, lba: u64, data: &[u8]) -> Outcome {
        self.work(Registers::write48(lba, (data.len() / 512) as u8), data).0
    }

    pub(crate) fn flush(&mut self) -> Outcome {
        self.work(Registers::command(0xEA), &[]).0
    }

    /// The sectors of a job, whose packet goes back to the memory.
    pub(crate) fn take_apart(&mut self, job: Job) -> Vec<u8> {
        let mut data = vec![0; job.request.operation.data_length()];
        job.packet.copy_out(job.request.data_offset(), &mut data);
        self.umem.recycle(job.packet);
        data
    }

    pub(crate) fn recycle(&mut self, packet: Packet) {
        self.umem.recycle(packet);
    }
}

/// Sleeps as a worker does until there is a message; false if nobody rings for half a minute.
pub(crate) fn sleep(mailbox: &Mailbox) -> bool {
    if !mailbox.prepare_sleep() {
        return true;
    }
    let mut bell = [PollFd::from_borrowed_fd(mailbox.bell(), PollFlags::IN)];
    let patience = Timespec { tv_sec: 30, tv_nsec: 0 };
    let rung = poll(&mut bell, Some(&patience)).expect("poll works");
    mailbox.woke();
    rung == 1
}
