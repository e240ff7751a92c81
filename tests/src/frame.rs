//! Frames of AoE, written and read by their offsets: a wrong header type of the code under test
//! can't agree with itself here.

/// MAC address of everybody.
pub const BROADCAST: [u8; 6] = [0xff; 6];

/// Bytes of the headers in front of a command's argument.
const HEADER: usize = 24;
/// Bytes of the shortest frame.
const SHORTEST: usize = 60;

/// Commands of AoE.
pub mod command {
    /// Issue an ATA command.
    pub const ATA: u8 = 0;
    /// Query config.
    pub const CONFIG: u8 = 1;
    /// MAC mask list.
    pub const MASK: u8 = 2;
    /// Reserve and release.
    pub const RESERVE: u8 = 3;
}

/// Commands of ATA.
pub mod opcode {
    /// READ SECTORS EXT.
    pub const READ: u8 = 0x24;
    /// WRITE SECTORS EXT.
    pub const WRITE: u8 = 0x34;
    /// FLUSH CACHE EXT.
    pub const FLUSH: u8 = 0xea;
    /// IDENTIFY DEVICE.
    pub const IDENTIFY: u8 = 0xec;
}

/// Status and error of ATA commands.
pub mod outcome {
    /// It was done.
    pub const SUCCESS: (u8, u8) = (0x40, 0);
    /// What was to be read can't be.
    pub const READ_FAILED: (u8, u8) = (0x41, 0x40);
    /// What was to be written is not, or may not be.
    pub const WRITE_FAILED: (u8, u8) = (0x61, 0x04);
    /// There are no such sectors.
    pub const PAST_END: (u8, u8) = (0x41, 0x10);
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who sends it.
    pub source: [u8; 6],
    /// VLAN tag: priority and VLAN, if there is one.
    pub vlan: Option<u16>,
    /// Shelf; all ones for every one.
    pub shelf: u16,
    /// Slot; all ones for every one.
    pub slot: u8,
    /// One of [`command`].
    pub command: u8,
    /// What the reply has to repeat.
    pub tag: u32,
    /// What follows the header.
    pub argument: Vec<u8>,
}

impl Request {
    /// A config query that reads.
    pub fn config(shelf: u16, slot: u8) -> Self {
        Self::new(shelf, slot, command::CONFIG, vec![0; 8])
    }

    /// An ATA command of one sector, with data if it writes.
    pub fn ata(shelf: u16, slot: u8, opcode: u8, lba: u64, data: &[u8]) -> Self {
        let flags = if data.is_empty() { 0x40 } else { 0x41 };
        let mut argument = vec![flags, 0, 1, opcode];
        argument.extend(&lba.to_le_bytes()[..6]);
        argument.extend([0, 0]);
        argument.extend(data);
        Self::new(shelf, slot, command::ATA, argument)
    }

    /// Any request. Source and tag are for the sender to fill in.
    pub fn new(shelf: u16, slot: u8, command: u8, argument: Vec<u8>) -> Self {
        Self { source: [0; 6], vlan: None, shelf, slot, command, tag: 0, argument }
    }

    /// The frame, to everybody.
    pub fn bytes(&self) -> Vec<u8> {
        let mut frame = [BROADCAST, self.source].concat();
        if let Some(tag) = self.vlan {
            frame.extend([0x81, 0x00]);
            frame.extend(tag.to_be_bytes());
        }
        frame.extend([0x88, 0xa2, 0x10, 0]);
        frame.extend(self.shelf.to_be_bytes());
        frame.extend([self.slot, self.command]);
        frame.extend(self.tag.to_be_bytes());
        frame.extend(&self.argument);
        frame.resize(frame.len().max(SHORTEST), 0);
        frame
    }
}

/// An untagged frame that came in, at least as long as its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(Vec<u8>);

impl Frame {
    /// Takes the bytes, if they are enough.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= HEADER).then(|| Self(bytes.to_vec()))
    }

    /// Who it is for.
    pub fn destination(&self) -> [u8; 6] {
        [0, 1, 2, 3, 4, 5].map(|at| self.0[at])
    }

    /// Who sent it.
    pub fn source(&self) -> [u8; 6] {
        [6, 7, 8, 9, 10, 11].map(|at| self.0[at])
    }

    /// Version and flags.
    pub fn flags(&self) -> u8 {
        self.0[14]
    }

    /// Whether it is a reply or an announcement.
    pub fn is_response(&self) -> bool {
        self.flags() & 0x08 != 0
    }

    /// The AoE error.
    pub fn error(&self) -> u8 {
        self.0[15]
    }

    /// Such as `e0.1`.
    pub fn address(&self) -> String {
        format!("e{}.{}", u16::from_be_bytes([self.0[16], self.0[17]]), self.0[18])
    }

    /// One of [`command`].
    pub fn command(&self) -> u8 {
        self.0[19]
    }

    /// The tag.
    pub fn tag(&self) -> u32 {
        u32::from_be_bytes([20, 21, 22, 23].map(|at| self.0[at]))
    }

    /// What follows the header.
    pub fn argument(&self) -> &[u8] {
        &self.0[HEADER..]
    }

    /// Whether nobody has asked for it: a config reply with tag 0.
    pub fn is_announcement(&self) -> bool {
        self.is_response() && self.command() == command::CONFIG && self.tag() == 0
    }

    /// The ATA status and error of a reply.
    pub fn ata_outcome(&self) -> (u8, u8) {
        (self.0[27], self.0[25])
    }

    /// The most sectors per request, in a config reply.
    pub fn sector_count(&self) -> u8 {
        self.0[28]
    }

    /// The config string of a config reply.
    pub fn config_string(&self) -> &[u8] {
        let length = usize::from(u16::from_be_bytes([self.0[30], self.0[31]]));
        self.0.get(32..32 + length).unwrap_or_default()
    }
}
