//! A target as the protocol's tables describe it, written for the tests only: frames in, whole
//! replies out, nothing of the code under test.

use super::frame::{BROADCAST, TARGET};

/// One target with its disk.
#[derive(Clone)]
pub struct Model {
    pub shelf: u16,
    pub slot: u8,
    pub vlan: u16,
    pub read_only: bool,
    pub mtu: usize,
    /// Most sectors of a request.
    pub limit: u8,
    pub buffer_count: u16,
    pub bytes: Vec<u8>,
    pub config_string: Vec<u8>,
    pub mask: Vec<[u8; 6]>,
    pub reserved: Vec<[u8; 6]>,
}

/// A request in its parts.
struct Asked<'a> {
    frame: &'a [u8],
    at: usize,
    source: [u8; 6],
    wildcard: bool,
    /// Everything behind the tag.
    argument: &'a [u8],
}

impl<'a> Asked<'a> {
    fn parse(frame: &'a [u8], vlan: u16) -> Option<Self> {
        let (tag, at) = match frame[12..14] {
            [0x88, 0xA2] => (0, 14),
            [0x81, 0x00] if frame.len() >= 18 && frame[16..18] == [0x88, 0xA2] => {
                (u16::from_be_bytes([frame[14], frame[15]]) & 0x0FFF, 18)
            }
            _ => return None,
        };
        let source: [u8; 6] = frame[6..12].try_into().expect("six bytes");
        let stations_fit = (frame[..6] == TARGET || frame[..6] == BROADCAST)
            && source[0] & 1 == 0
            && source != TARGET;
        if !stations_fit || tag != vlan || frame.len() < at + 10 || frame[at] & 0x08 != 0 {
            return None;
        }
        let wildcard = frame[at + 2..at + 4] == [0xFF, 0xFF] || frame[at + 4] == 0xFF;
        Some(Self { frame, at, source, wildcard, argument: &frame[at + 10..] })
    }
}

impl Model {
    /// The reply to a frame, if it deserves one.
    pub fn answer(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let asked = Asked::parse(frame, self.vlan)?;
        let aoe = &frame[asked.at..];
        let shelf = u16::from_be_bytes([aoe[2], aoe[3]]);
        if (shelf != 0xFFFF && shelf != self.shelf) || (aoe[4] != 0xFF && aoe[4] != self.slot) {
            return None;
        }
        if !self.mask.is_empty() && !self.mask.contains(&asked.source) {
            return None;
        }
        if aoe[0] >> 4 != 1 {
            return (!asked.wildcard).then(|| self.reply(&asked, 5, &[]));
        }
        if self.limit == 0 {
            return None;
        }
        match aoe[5] {
            0 => self.ata(&asked),
            1 => self.config(&asked),
            2 => self.mask(&asked),
            3 => self.reserve(&asked),
            _ => Some(self.reply(&asked, 1, &[])),
        }
    }

    /// A reply with this AoE error (0: none) and this argument, padded.
    fn reply(&self, asked: &Asked<'_>, error: u8, argument: &[u8]) -> Vec<u8> {
        let Asked { frame, at, source, .. } = *asked;
        let mut bytes = [source, TARGET].concat();
        bytes.extend(&frame[12..at]);
        bytes.extend([if error == 0 { 0x18 } else { 0x1C }, error]);
        bytes.extend(self.shelf.to_be_bytes());
        bytes.push(self.slot);
        bytes.extend(&frame[at + 5..at + 10]);
        bytes.extend(argument);
        let shortest = at + 46;
        bytes.resize(bytes.len().max(shortest), 0);
        bytes
    }

    /// The same, if the link carries it unpadded.
    fn fitting_reply(&self, asked: &Asked<'_>, error: u8, argument: &[u8]) -> Option<Vec<u8>> {
        (10 + argument.len() <= self.mtu).then(|| self.reply(asked, error, argument))
    }

    fn config(&mut self, asked: &Asked<'_>) -> Option<Vec<u8>> {
        let header = asked.argument.get(..8)?;
        let command = header[5] & 0x0F;
        let bad = command > 4 || asked.wildcard && command > 2;
        let length = usize::from(u16::from_be_bytes([header[6], header[7]]));
        let is_whole = length <= 1024 && asked.argument.len() >= 8 + length;
        if bad && (command > 4 || is_whole) {
            return Some(self.reply(asked, 2, header));
        }
        let mut error = 0;
        if command > 0 {
            let length = usize::from(u16::from_be_bytes([header[6], header[7]]));
            let string = asked.argument.get(8..8 + length).filter(|_| length <= 1024)?;
            let stored = &self.config_string;
            match command {
                1 if string != stored => return None,
                2 if !stored.starts_with(string) => return None,
                3 if !stored.is_empty() && string != stored => error = 4,
                3 | 4 => self.config_string = string.to_vec(),
                _ => {}
            }
        }
        let mut argument = self.buffer_count.to_be_bytes().to_vec();
        argument.extend([0, 1, self.limit, 0x10 | command]);
        argument.extend((self.config_string.len() as u16).to_be_bytes());
        argument.extend(&self.config_string);
        self.fitting_reply(asked, error, &argument)
    }

    fn mask(&mut self, asked: &Asked<'_>) -> Option<Vec<u8>> {
        let header = asked.argument.get(..4)?;
        let directives = asked.argument.get(4..4 + 8 * usize::from(header[3]));
        let stopped = match (header[1], directives) {
            (0, _) => None,
            (1, Some(directives)) if !asked.wildcard => self.edit_mask(directives),
            _ => return Some(self.reply(asked, 2, &[0, header[1], header[2], header[3]])),
        };
        if let Some((error, done)) = stopped {
            return Some(self.reply(asked, 0, &[0, 1, error, done]));
        }
        let mut argument = vec![0, header[1], 0, self.mask.len() as u8];
        for mac in &self.mask {
            argument.extend([0, 0]);
            argument.extend(mac);
        }
        self.fitting_reply(asked, 0, &argument)
    }

    /// Where and why an edit stops.
    fn edit_mask(&mut self, directives: &[u8]) -> Option<(u8, u8)> {
        let capacity = ((self.mtu - 14) / 8).min(255);
        for (number, directive) in directives.chunks(8).enumerate() {
            let mac: [u8; 6] = directive[2..].try_into().expect("six bytes");
            let present = self.mask.contains(&mac);
            let error = match directive[1] {
                0 => 0,
                1 if present => 0,
                1 if mac[0] & 1 != 0 => 2,
                1 if self.mask.len() >= capacity => 3,
                1 => {
                    self.mask.push(mac);
                    0
                }
                2 => {
                    self.mask.retain(|entry| *entry != mac);
                    0
                }
                _ => 2,
            };
            if error != 0 {
                return Some((error, number as u8));
            }
        }
        None
    }

    fn reserve(&mut self, asked: &Asked<'_>) -> Option<Vec<u8>> {
        let header = asked.argument.get(..2)?;
        let stations = asked.argument.get(2..2 + 6 * usize::from(header[1]));
        let mut error = 0;
        match (header[0], stations) {
            (0, _) => {}
            _ if asked.wildcard => return Some(self.reply(asked, 2, header)),
            (1, Some(_)) if self.is_kept_from(asked.source) => error = 6,
            (1 | 2, Some(stations)) => {
                let macs = stations.chunks(6).map(|mac| mac.try_into().expect("six bytes"));
                self.reserved = macs.collect();
            }
            _ => return Some(self.reply(asked, 2, header)),
        }
        let mut argument = vec![header[0], self.reserved.len() as u8];
        argument.extend(self.reserved.concat());
        self.fitting_reply(asked, error, &argument)
    }

    fn is_kept_from(&self, source: [u8; 6]) -> bool {
        !self.reserved.is_empty() && !self.reserved.contains(&source)
    }

    fn ata(&mut self, asked: &Asked<'_>) -> Option<Vec<u8>> {
        let registers = asked.argument.get(..12)?;
        let refused = [&registers[..10], &[0, 0]].concat();
        if self.is_kept_from(asked.source) && registers[3] != 0xEC {
            return Some(self.reply(asked, 6, &refused));
        }
        let one_only = matches!(
            registers[3],
            0x30 | 0x31 | 0x34 | 0x35 | 0x3D | 0xCA | 0x40..=0x42 | 0xE0
                ..=0xE3 | 0xE6 | 0xE7 | 0xEA | 0xEF
        ) || registers[..4][1] == 1 && registers[3] == 0x06;
        if asked.wildcard && one_only {
            return Some(self.reply(asked, 2, &refused));
        }
        Some(match self.command(registers, &asked.argument[12..]) {
            Expected::BadArgument => self.reply(asked, 2, &refused),
            Expected::Failed(error) => {
                let mut argument = refused;
                (argument[1], argument[3]) = (error, 0x41);
                self.reply(asked, 0, &argument)
            }
            Expected::Done { error, count, data } => {
                let mut argument = refused;
                (argument[1], argument[2], argument[3]) = (error, count, 0x40);
                argument.extend(data);
                self.reply(asked, 0, &argument)
            }
        })
    }

    /// What a command that may be tried comes to. IDENTIFY returns zeroes.
    fn command(&mut self, registers: &[u8], payload: &[u8]) -> Expected {
        let [aflags, feature, count, command] = registers[..4] else { unreachable!("four bytes") };
        let lba = |bytes: usize, last: u8| {
            let mut lba = [0; 8];
            lba[..bytes].copy_from_slice(&registers[4..4 + bytes]);
            lba[3] &= last;
            u64::from_le_bytes(lba)
        };
        let (lba28, lba48) = (lba(4, 0x0F), lba(6, 0xFF));
        let plain = Expected::done(0, vec![]);
        match command {
            0x20 | 0x21 | 0xC8 => self.read(aflags, count, lba28),
            0x24 | 0x25 => self.read(aflags, count, lba48),
            0x30 | 0x31 | 0xCA => self.write(aflags, count, lba28, payload),
            0x34 | 0x35 | 0x3D => self.write(aflags, count, lba48, payload),
            0x40..=0x42 => {
                let (lba, of_zero) = if command == 0x42 { (lba48, 65536) } else { (lba28, 256) };
                let sectors = if count == 0 { of_zero } else { u64::from(count) };
                if lba + sectors > self.sectors() { NOT_FOUND } else { plain }
            }
            0x06 if feature == 1 => self.trim(aflags, count, payload),
            0xE0..=0xE3 | 0xE6 | 0xE7 | 0xEA => plain,
            0xE5 => Expected::done(0xFF, vec![]),
            0xEC => Expected::done(0, vec![0; 512]),
            0x90 => Expected::Done { error: 1, count: 0, data: vec![] },
            0xB0 if registers[5..7] == [0x4F, 0xC2] && matches!(feature, 0xD8 | 0xDA) => plain,
            0xEF if matches!(feature, 0x55 | 0x82 | 0xAA) => plain,
            0xEF if feature == 0x03 && matches!(count, 0 | 8..=12 | 0x22) => plain,
            _ => ABORTED,
        }
    }

    fn sectors(&self) -> u64 {
        self.bytes.len() as u64 / 512
    }

    fn range(&self, lba: u64, sectors: u64) -> Option<std::ops::Range<usize>> {
        let fits = lba + sectors <= self.sectors();
        fits.then(|| lba as usize * 512..(lba + sectors) as usize * 512)
    }

    fn read(&self, aflags: u8, count: u8, lba: u64) -> Expected {
        if aflags & 1 != 0 || count == 0 || count > self.limit {
            return ABORTED;
        }
        match self.range(lba, count.into()) {
            Some(range) => Expected::done(0, self.bytes[range].to_vec()),
            None => NOT_FOUND,
        }
    }

    fn write(&mut self, aflags: u8, count: u8, lba: u64, payload: &[u8]) -> Expected {
        if aflags & 1 == 0 || self.read_only || count == 0 || count > self.limit {
            return ABORTED;
        }
        let Some(data) = payload.get(..usize::from(count) * 512) else {
            return Expected::BadArgument;
        };
        match self.range(lba, count.into()) {
            Some(range) => {
                self.bytes[range].copy_from_slice(data);
                Expected::done(0, vec![])
            }
            None => NOT_FOUND,
        }
    }

    fn trim(&mut self, aflags: u8, count: u8, payload: &[u8]) -> Expected {
        if aflags & 1 == 0 || self.read_only || count != 1 {
            return ABORTED;
        }
        let Some(list) = payload.get(..512) else { return Expected::BadArgument };
        let ranges = list.chunks(8).map(|entry| {
            let word = u64::from_le_bytes(entry.try_into().expect("eight bytes"));
            (word << 16 >> 16, word >> 48)
        });
        let used = ranges.filter(|(_, sectors)| *sectors > 0);
        let ranges: Vec<_> = used.map(|(lba, sectors)| self.range(lba, sectors)).collect();
        if ranges.contains(&None) {
            return NOT_FOUND;
        }
        for range in ranges.into_iter().flatten() {
            self.bytes[range].fill(0);
        }
        Expected::done(0, vec![])
    }
}

/// What a command must be answered with.
enum Expected {
    BadArgument,
    /// With this in the Error register.
    Failed(u8),
    Done {
        error: u8,
        count: u8,
        data: Vec<u8>,
    },
}

const ABORTED: Expected = Expected::Failed(0x04);
const NOT_FOUND: Expected = Expected::Failed(0x10);

impl Expected {
    fn done(count: u8, data: Vec<u8>) -> Self {
        Self::Done { error: 0, count, data }
    }
}
