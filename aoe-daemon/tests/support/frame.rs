//! Frames by hand.

/// MAC address of the port that the target is on.
pub const TARGET: [u8; 6] = [0x02, 0, 0, 0, 0, 2];
/// MAC address of the client.
pub const CLIENT: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
/// The broadcast address.
pub const BROADCAST: [u8; 6] = [0xFF; 6];

/// A frame in its parts. As made by [`Frame::request`], it goes from the client to e0.1.
#[derive(Clone, Debug)]
pub struct Frame {
    pub destination: [u8; 6],
    pub source: [u8; 6],
    /// Control field of an IEEE 802.1Q tag, if there is one.
    pub vlan: Option<u16>,
    pub ether_type: u16,
    pub version_flags: u8,
    pub error: u8,
    pub shelf: u16,
    pub slot: u8,
    pub command: u8,
    pub tag: [u8; 4],
    /// Everything behind the tag.
    pub argument: Vec<u8>,
}

impl Frame {
    /// A request of AoE command `command`.
    pub fn request(command: u8, argument: impl Into<Vec<u8>>) -> Self {
        Self {
            destination: TARGET,
            source: CLIENT,
            vlan: None,
            ether_type: 0x88A2,
            version_flags: 0x10,
            error: 0,
            shelf: 0,
            slot: 1,
            command,
            tag: [0x80, 0, 0, 1],
            argument: argument.into(),
        }
    }

    /// A config query of this sub-command, with an empty string.
    pub fn config(sub_command: u8) -> Self {
        Self::request(1, [0, 0, 0, 0, 0, sub_command, 0, 0])
    }

    /// An ATA command with these registers.
    pub fn ata(registers: Registers) -> Self {
        Self::request(0, registers.bytes())
    }

    /// The same, to another address.
    pub fn to(self, shelf: u16, slot: u8) -> Self {
        Self { shelf, slot, ..self }
    }

    /// The same with this many data bytes appended.
    pub fn with_data(mut self, data: &[u8]) -> Self {
        self.argument.extend_from_slice(data);
        self
    }

    /// What e0.1 answers to this, with an argument of its own.
    pub fn reply(&self, argument: impl Into<Vec<u8>>) -> Self {
        Self {
            destination: self.source,
            source: TARGET,
            version_flags: 0x18,
            error: 0,
            shelf: 0,
            slot: 1,
            argument: argument.into(),
            ..self.clone()
        }
    }

    /// An AoE error that e0.1 answers, which returns `kept` bytes of the argument.
    pub fn error(&self, code: u8, kept: usize) -> Self {
        let reply = self.reply(&self.argument[..kept]);
        Self { version_flags: 0x1C, error: code, ..reply }
    }

    /// The frame as it stands.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = [self.destination, self.source].concat();
        if let Some(control) = self.vlan {
            bytes.extend([0x81, 0x00]);
            bytes.extend(control.to_be_bytes());
        }
        bytes.extend(self.ether_type.to_be_bytes());
        bytes.extend([self.version_flags, self.error]);
        bytes.extend(self.shelf.to_be_bytes());
        bytes.extend([self.slot, self.command]);
        bytes.extend(self.tag);
        bytes.extend(&self.argument);
        bytes
    }

    /// The frame, zero-padded to 60 bytes, or 64 with a tag.
    pub fn padded(&self) -> Vec<u8> {
        let mut bytes = self.bytes();
        let shortest = if self.vlan.is_some() { 64 } else { 60 };
        if bytes.len() < shortest {
            bytes.resize(shortest, 0);
        }
        bytes
    }

    /// The first `length` bytes of the frame.
    pub fn cut(&self, length: usize) -> Vec<u8> {
        let mut bytes = self.bytes();
        bytes.truncate(length);
        bytes
    }
}

/// The argument of an ATA command.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    pub aflags: u8,
    /// Features in a request, Error in a reply.
    pub feature: u8,
    pub count: u8,
    /// Command in a request, Status in a reply.
    pub command: u8,
    pub lba: [u8; 6],
    pub reserved: [u8; 2],
}

impl Registers {
    /// A command without address.
    pub const fn command(command: u8) -> Self {
        Self { aflags: 0, feature: 0, count: 0, command, lba: [0; 6], reserved: [0; 2] }
    }

    /// READ SECTORS EXT as Linux sends it.
    pub fn read48(lba: u64, count: u8) -> Self {
        Self { aflags: 0x40, count, ..Self::command(0x24) }.at48(lba)
    }

    /// WRITE SECTORS EXT as Linux sends it.
    pub fn write48(lba: u64, count: u8) -> Self {
        Self { aflags: 0x41, count, ..Self::command(0x34) }.at48(lba)
    }

    /// READ SECTORS as Linux sends it.
    pub fn read28(lba: u32, count: u8) -> Self {
        Self { count, ..Self::command(0x20) }.at28(lba)
    }

    /// WRITE SECTORS as Linux sends it.
    pub fn write28(lba: u32, count: u8) -> Self {
        Self { aflags: 0x01, count, ..Self::command(0x30) }.at28(lba)
    }

    fn at48(self, lba: u64) -> Self {
        let [a, b, c, d, e, f, ..] = lba.to_le_bytes();
        Self { lba: [a, b, c, d, e, f], ..self }
    }

    fn at28(self, lba: u32) -> Self {
        let [a, b, c, d] = lba.to_le_bytes();
        Self { lba: [a, b, c, d & 0x0F | 0xE0, 0, 0], ..self }
    }

    /// The same, completed: the registers of a reply.
    pub const fn done(self, status: u8, error: u8, count: u8) -> Self {
        Self { command: status, feature: error, count, reserved: [0; 2], ..self }
    }

    pub fn bytes(self) -> [u8; 12] {
        let [a, b, c, d, e, f] = self.lba;
        let [g, h] = self.reserved;
        [self.aflags, self.feature, self.count, self.command, a, b, c, d, e, f, g, h]
    }
}

/// A frame out of hexadecimal digits, zero-padded to 60 bytes.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|digit| !digit.is_whitespace())
        .map(|digit| digit.to_digit(16).expect("a hexadecimal digit"))
        .collect();
    assert!(digits.len().is_multiple_of(2), "half a byte is left over");
    let mut bytes: Vec<u8> = digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect();
    bytes.resize(bytes.len().max(60), 0);
    bytes
}

/// Bytes that differ from sector to sector and from one `seed` to another.
pub fn pattern(seed: u32, sectors: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    let mut next = || {
        // xorshift32
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 11) as u8
    };
    (0..sectors * 512).map(|_| next()).collect()
}
