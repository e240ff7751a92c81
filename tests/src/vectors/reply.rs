//! Expected replies out of the words of a row, and whether a frame is one.

use anyhow::{Context, Result, bail, ensure};

use super::request::address;
use super::tokens::{Byte, append, call, fixed};
use super::{TARGET, hex};

/// Shortest reply, in bytes without a tag.
const SHORTEST: usize = 60;
/// Bytes of an ATA argument.
const ATA: usize = 12;

/// A reply that has to come.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// What it says, from the first byte to the last that is not padding.
    content: Vec<Byte>,
    /// Where a number of two bytes has to be 2 at least.
    at_least_two: Vec<usize>,
    /// Where 512 bytes begin that have to add up to 0, modulo 256.
    sums: Vec<usize>,
}

impl Expected {
    /// The reply, as these words describe it, to a request to a target at `from` with this content.
    pub(super) fn new(
        words: &[String],
        request: &[u8],
        from: (u16, u8),
        disk: Option<&[u8]>,
    ) -> Result<Self> {
        let (kind, mut words) = words.split_first().context("no reply")?;
        let error = match kind.as_str() {
            "OK" => 0,
            "ERR" => {
                let (error, rest) = words.split_first().context("which error?")?;
                words = rest;
                error.parse().context("no number of an error")?
            }
            _ => bail!("a reply is OK, ERR or silence, and not {kind}"),
        };
        let mut reply = Builder::new(request, error, from)?;
        for word in words {
            reply.take(word, disk).with_context(|| format!("in the reply, at {word}"))?;
        }
        Ok(reply.expected)
    }

    /// Why this frame is not it, if it is not.
    pub fn mismatch(&self, frame: &[u8]) -> Option<String> {
        self.content_mismatch(frame).or_else(|| {
            let length = self.content.len().max(self.shortest());
            if frame.len() != length {
                return Some(format!("not {length} bytes long: {}", hex(frame)));
            }
            let padding = &frame[self.content.len()..];
            let is_zero = padding.iter().all(|byte| *byte == 0);
            (!is_zero).then(|| format!("padding is not zero: {}", hex(frame)))
        })
    }

    /// Why this frame does not say that, if it does not; what pads it is not looked at, nor that
    /// it is padded at all.
    pub fn content_mismatch(&self, frame: &[u8]) -> Option<String> {
        let allowed = [self.content.len(), self.content.len().max(self.shortest())];
        let Some(content) =
            frame.get(..self.content.len()).filter(|_| allowed.contains(&frame.len()))
        else {
            return Some(format!("not {allowed:?} bytes long: {}", hex(frame)));
        };
        let differs = |(want, got): (&Byte, &u8)| want.is_some_and(|want| want != *got);
        if let Some(at) = self.content.iter().zip(content).position(differs) {
            let want = self.content[at].unwrap_or_default();
            return Some(format!("byte {at} is not {want:02x}: {}", hex(frame)));
        }
        let is_small = |at: &&usize| content[**at] == 0 && content[**at + 1] < 2;
        if let Some(at) = self.at_least_two.iter().find(is_small) {
            return Some(format!("the number at {at} is less than 2: {}", hex(frame)));
        }
        let is_odd = |at: &&usize| {
            let words = &content[**at..**at + super::SECTOR];
            words.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)) != 0
        };
        self.sums.iter().find(is_odd).map(|at| format!("the bytes from {at} on don't sum to 0"))
    }

    /// A frame that is this reply: free bytes are 0x20, which is a good number of buffers.
    pub fn example(&self) -> Vec<u8> {
        let mut frame: Vec<u8> = self.content.iter().map(|byte| byte.unwrap_or(0x20)).collect();
        frame.resize(frame.len().max(self.shortest()), 0);
        for at in &self.sums {
            let words = &frame[*at..*at + super::SECTOR];
            let sum = words.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
            let last = at + super::SECTOR - 1;
            frame[last] = frame[last].wrapping_sub(sum);
        }
        frame
    }

    /// A tag comes on top: whoever takes it off must be left with a whole frame.
    fn shortest(&self) -> usize {
        let tagged = self.content[12..14] == [Some(0x81), Some(0x00)];
        if tagged { SHORTEST + 4 } else { SHORTEST }
    }

    /// The same reply to a client that does not see the tag, because its kernel has taken it off.
    pub fn without_tag(&self) -> Self {
        assert_eq!(self.content[12..14], [Some(0x81), Some(0x00)], "the reply has no tag");
        let content = [&self.content[..12], &self.content[16..]].concat();
        let moved = |places: &[usize]| places.iter().map(|at| at - 4).collect();
        Self { content, at_least_two: moved(&self.at_least_two), sums: moved(&self.sums) }
    }
}

/// A reply that is being written.
struct Builder<'a> {
    expected: Expected,
    request: &'a [u8],
    /// Offset of the AoE header in both.
    aoe: usize,
}

impl<'a> Builder<'a> {
    fn new(request: &'a [u8], error: u8, from: (u16, u8)) -> Result<Self> {
        ensure!(request.len() >= 24, "this request has no reply");
        let aoe = if request[12..14] == [0x81, 0x00] { 18 } else { 14 };
        let mut content = [&request[6..12], &TARGET, &request[12..aoe]].concat();
        let [high, low] = from.0.to_be_bytes();
        let version_flags = if error == 0 { 0x18 } else { 0x1c };
        content.extend([version_flags, error, high, low, from.1]);
        content.extend(request.get(aoe + 5..aoe + 10).context("this request has no reply")?);
        let content = content.into_iter().map(Some).collect();
        Ok(Self { expected: Expected { content, ..Expected::default() }, request, aoe })
    }

    fn take(&mut self, word: &str, disk: Option<&[u8]>) -> Result<()> {
        let content = &mut self.expected.content;
        let argument = self.aoe + 10;
        match word {
            "echo" => {
                let header = self.header_of_command()?;
                self.expected.content.extend(header.into_iter().map(Some));
            }
            "argument" => content.extend(self.request[argument..].iter().copied().map(Some)),
            "bufcnt" => {
                self.expected.at_least_two.push(content.len());
                content.extend([None; 2]);
            }
            "sum0" => {
                let start = content.len().checked_sub(super::SECTOR).context("sum of what?")?;
                self.expected.sums.push(start);
            }
            _ => match (word.split_once('='), call(word)) {
                (Some(("vf", value)), _) => {
                    content[self.aoe] = Some(u8::from_be_bytes(fixed(value)?));
                }
                (Some(("err", value)), _) => {
                    content[self.aoe + 1] = Some(u8::from_be_bytes(fixed(value)?));
                }
                (Some(("from", value)), _) => {
                    let place = &mut content[self.aoe + 2..self.aoe + 5];
                    place.copy_from_slice(&address(value)?.map(Some));
                }
                (Some(("count", value)), _) => {
                    content[argument + 2] = Some(u8::from_be_bytes(fixed(value)?));
                }
                (Some(("lba", value)), _) => {
                    let place = &mut content[argument + 4..argument + 10];
                    place.copy_from_slice(&fixed::<6>(value)?.map(Some));
                }
                (_, Some(("ATA", registers))) => {
                    let bytes = self.ata(&registers)?;
                    self.expected.content.extend(bytes.map(Some));
                }
                _ => append(content, word, disk)?,
            },
        }
        Ok(())
    }

    /// The fixed argument of the request's command, reserved bytes zero.
    fn header_of_command(&self) -> Result<Vec<u8>> {
        let length = match self.request[self.aoe + 5] {
            0 => ATA,
            1 => 8,
            2 => 4,
            3 => 2,
            command => bail!("command {command} has no argument"),
        };
        let start = self.aoe + 10;
        let header = self.request.get(start..start + length).context("the request is shorter")?;
        let mut header = header.to_vec();
        match length {
            ATA => header[10..].fill(0),
            4 => header[0] = 0,
            _ => {}
        }
        Ok(header)
    }

    /// The argument of an ATA reply with these registers, `status/error`. The count is what was
    /// not transferred: nothing on success, all on failure.
    fn ata(&self, registers: &[&str]) -> Result<[u8; ATA]> {
        let [registers] = registers else { bail!("status/error") };
        let (status, error) = registers.split_once('/').context("status/error")?;
        let [status] = fixed(status)?;
        let [error] = fixed(error)?;
        let mut bytes: [u8; ATA] = self
            .header_of_command()?
            .try_into()
            .map_err(|_| anyhow::anyhow!("only a reply to an ATA command has registers"))?;
        if status & 0x01 == 0 {
            bytes[2] = 0;
        }
        (bytes[1], bytes[3]) = (error, status);
        Ok(bytes)
    }
}
