//! Targets with disks in memory, and the port in front of them.

use super::frame::TARGET;
use super::invariants;
use aoe_common::address::{Address, Destination};
use aoe_common::steer::{self, Admission, Served, ServedKey, Verdict};
use aoe_common::wire::Mac;
use aoe_daemon::target::identify::{Description, Trim};
use aoe_daemon::target::{
    Access, Answer, Edit, Fault, HEAD_CAPACITY, Lists, Operation, Outcome, Port, Step, Target,
    trim_ranges,
};

/// Longest frame that comes in or goes out, in bytes.
const LONGEST: usize = 9200;
/// What the port says it holds at once.
pub const BUFFER_COUNT: u16 = 64;
/// Sectors of a disk unless the test says otherwise.
pub const SECTORS: u64 = 2048;

/// What is asked for at most on a link of this MTU, reckoned as initiators do.
pub fn sectors_per_frame(mtu: usize) -> u8 {
    ((mtu - 36) / 512) as u8
}

/// A disk in memory that keeps a list of what it was asked for.
#[derive(Clone)]
pub struct MemoryDisk {
    pub bytes: Vec<u8>,
    pub asked: Vec<Operation>,
    /// What every further request ends with.
    pub fault: Option<Fault>,
}

impl MemoryDisk {
    fn work(&mut self, operation: Operation, data: &mut [u8]) -> Outcome {
        self.asked.push(operation);
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        match operation {
            Operation::Read(range) => {
                let start = range.byte_offset() as usize;
                data.copy_from_slice(&self.bytes[start..start + range.bytes()]);
            }
            Operation::Write { range, .. } => {
                let start = range.byte_offset() as usize;
                self.bytes[start..start + range.bytes()].copy_from_slice(data);
            }
            Operation::Trim => {
                for span in trim_ranges(data) {
                    let start = span.lba as usize * 512;
                    self.bytes[start..start + span.sectors as usize * 512].fill(0);
                }
            }
            Operation::Verify(_) | Operation::Flush | Operation::LookAhead(_) => {}
        }
        Ok(())
    }
}

/// A target and its disk.
#[derive(Clone)]
pub struct Export {
    pub target: Target,
    pub disk: MemoryDisk,
    /// Whether nothing can be remembered, as with a full disk below the state directory.
    pub forgetful: bool,
}

impl Export {
    fn is_named_by(&self, key: ServedKey) -> bool {
        let names = self.target.address().names();
        names.iter().any(|to| ServedKey::new(self.target.vlan(), *to) == key)
    }

    /// Changes the target.
    pub fn change(&mut self, change: impl FnOnce(Target) -> Target) {
        self.target = change(self.target.clone());
    }

    /// What it remembers.
    pub fn lists(&self) -> &Lists {
        self.target.lists()
    }

    /// Carries out an edit, and tells the length of the reply.
    fn edit(&mut self, port: &Port, edit: &Edit, head: &mut [u8]) -> Option<usize> {
        let revision = self.target.revise(port, edit, head);
        let answer = match revision.lists {
            Some(_) if self.forgetful => Answer::unavailable(edit),
            Some(lists) => {
                lists.check().expect("what the wire sets is not too long");
                self.change(|target| target.with_lists(lists));
                revision.answer
            }
            None => revision.answer,
        };
        self.target.finish_edit(port, edit, head, answer)
    }
}

/// A port with exports.
#[derive(Clone)]
pub struct Rig {
    pub exports: Vec<Export>,
    pub port: Port,
    pub mtu: usize,
}

impl Served for Rig {
    fn admits(&self, key: ServedKey, source: Mac) -> Admission {
        let mut named = self.exports.iter().filter(|export| export.is_named_by(key)).peekable();
        if named.peek().is_none() {
            Admission::Unknown
        } else if named.any(|export| export.target.admits(source)) {
            Admission::Admitted
        } else {
            Admission::Masked
        }
    }
}

impl Rig {
    /// e0.1, read-write, of [`SECTORS`] sectors, on a link of this MTU.
    pub fn new(mtu: usize) -> Self {
        Self::with_disk(mtu, false, super::frame::pattern(1, SECTORS as usize))
    }

    /// e0.1 with this content.
    pub fn with_disk(mtu: usize, read_only: bool, content: Vec<u8>) -> Self {
        let max_sectors = sectors_per_frame(mtu);
        let port = Port { mac: Mac(TARGET), mtu, max_sectors, buffer_count: BUFFER_COUNT };
        let mut rig = Self { exports: Vec::new(), port, mtu };
        rig.add(0, 1, 0, read_only, content);
        rig
    }

    /// Adds an export.
    pub fn add(&mut self, shelf: u16, slot: u8, vlan: u16, read_only: bool, content: Vec<u8>) {
        let sectors = content.len() as u64 / 512;
        self.add_sized(shelf, slot, vlan, read_only, sectors);
        self.exports.last_mut().expect("it was added").disk.bytes = content;
    }

    /// Adds an export that claims any size, but has no content.
    pub fn add_sized(&mut self, shelf: u16, slot: u8, vlan: u16, read_only: bool, sectors: u64) {
        let address = Address::new(shelf, slot).expect("a target's address");
        let description = Description {
            read_only,
            serial: "0123456789ABCDEF".into(),
            trim: Some(Trim::Zeroes),
            ..Description::of_size(sectors)
        };
        let target = Target::new(address, description).on_vlan(vlan);
        let disk = MemoryDisk { bytes: Vec::new(), asked: Vec::new(), fault: None };
        self.exports.push(Export { target, disk, forgetful: false });
    }

    /// The first export.
    pub fn export(&mut self) -> &mut Export {
        &mut self.exports[0]
    }

    /// Has the first export let in only these stations, or everybody where there are none, and
    /// keep these out, whatever the wire says.
    pub fn set_access(&mut self, allow: &[[u8; 6]], deny: &[[u8; 6]]) {
        let macs = |list: &[[u8; 6]]| list.iter().copied().map(Mac).collect::<Vec<_>>();
        let access = Access::new(&macs(allow), &macs(deny));
        self.export().change(|target| target.with_access(access));
    }

    /// The first export's disk.
    pub fn disk(&mut self) -> &mut MemoryDisk {
        &mut self.exports[0].disk
    }

    /// What becomes of a frame before any target sees it.
    pub fn verdict(&self, frame: &[u8]) -> Verdict {
        steer::verdict(frame, self.port.mac, self)
    }

    /// Sends a frame, and returns the replies in the order of the exports.
    ///
    /// Every frame is worked on twice, in buffers that held different bytes before: a reply that
    /// depends on them has leaked some. And whatever a reply says, it must be one.
    pub fn ask(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        let other = self.clone().work(frame, 0x5A);
        let replies = self.work(frame, 0xA5);
        assert_eq!(replies, other, "earlier contents of the buffer leak into the reply");
        replies
    }

    /// As [`Self::ask`], where only one reply can come.
    pub fn ask_one(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let mut replies = self.ask(frame);
        assert!(replies.len() <= 1, "{} replies", replies.len());
        replies.pop()
    }

    fn work(&mut self, frame: &[u8], left_over: u8) -> Vec<Vec<u8>> {
        let Verdict::Steer = self.verdict(frame) else { return Vec::new() };
        let (_, framing) = steer::framing(frame).expect("steered frames have headers");
        let at = framing.aoe_offset;
        let to = Destination {
            shelf: u16::from_be_bytes([frame[at + 2], frame[at + 3]]),
            slot: frame[at + 4],
        };
        let key = ServedKey::new(framing.vlan_id, to);
        let Self { exports, port, mtu } = self;
        let mut replies = Vec::new();
        for export in exports.iter_mut().filter(|export| export.is_named_by(key)) {
            let mut buffer = vec![left_over; LONGEST.max(frame.len())];
            buffer[..frame.len()].copy_from_slice(frame);
            // No more than what is promised: the rest of the frame is in other buffers.
            let head = &mut buffer[..HEAD_CAPACITY];
            let length = match export.target.accept(port, framing, head, frame.len()) {
                Step::Ignore(_) => continue,
                Step::Reply(length) => length,
                Step::Io(request) => {
                    let data = request.data_offset()..request.frame_length();
                    let outcome = export.disk.work(request.operation, &mut buffer[data]);
                    match (request.operation, outcome) {
                        (Operation::LookAhead(on), Ok(())) => {
                            export.change(|target| target.with_look_ahead(on));
                        }
                        (_, Err(Fault::WriteFailed)) => export.change(Target::failed),
                        _ => {}
                    }
                    let head = &mut buffer[..HEAD_CAPACITY];
                    match export.target.finish(port, request, head, outcome) {
                        Some(length) => length,
                        None => continue,
                    }
                }
                Step::Persist(edit) => match export.edit(port, &edit, head) {
                    Some(length) => length,
                    None => continue,
                },
            };
            let reply = buffer[..length].to_vec();
            let address = (export.target.address().shelf(), export.target.address().slot());
            invariants::check(frame, &reply, port.mac.0, address, *mtu);
            replies.push(reply);
        }
        replies
    }
}
