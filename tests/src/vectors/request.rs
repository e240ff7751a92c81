//! Request frames out of the words of a row.

use anyhow::{Context, Result, bail};

use super::tokens::{Byte, append, call, fixed, mac, number};
use super::{CLIENT, TARGET};

/// What precedes the argument of a frame.
struct Header {
    destination: [u8; 6],
    source: [u8; 6],
    /// Control field of an IEEE 802.1Q tag.
    vlan: Option<[u8; 2]>,
    ether_type: [u8; 2],
    version_flags: u8,
    error: u8,
    address: [u8; 3],
    command: u8,
    tag: [u8; 4],
}

impl Header {
    /// From the client to e0.1.
    const fn new() -> Self {
        Self {
            destination: TARGET,
            source: CLIENT,
            vlan: None,
            ether_type: [0x88, 0xa2],
            version_flags: 0x10,
            error: 0,
            address: [0, 0, 1],
            command: 0,
            tag: [0x80, 0, 0, 1],
        }
    }

    /// Takes a word that is about the header; whether it was one.
    fn take(&mut self, word: &str) -> Result<bool> {
        match word {
            "bcast" => self.destination = [0xff; 6],
            "all" => self.address = [0xff; 3],
            "ata" => self.command = 0,
            "config" => self.command = 1,
            "mask" => self.command = 2,
            "reserve" => self.command = 3,
            _ => match word.split_once('=') {
                Some(("dst", value)) => self.destination = mac(value)?,
                Some(("src", value)) => self.source = mac(value)?,
                Some(("vlan", value)) => self.vlan = Some(fixed(value)?),
                Some(("type", value)) => self.ether_type = fixed(value)?,
                Some(("vf", value)) => [self.version_flags] = fixed(value)?,
                Some(("err", value)) => [self.error] = fixed(value)?,
                Some(("to", value)) => self.address = address(value)?,
                Some(("cmd", value)) => [self.command] = fixed(value)?,
                Some(("tag", value)) => self.tag = fixed(value)?,
                _ => return Ok(false),
            },
        }
        Ok(true)
    }

    fn bytes(&self) -> Vec<Byte> {
        let mut bytes = [self.destination, self.source].concat();
        if let Some(control) = self.vlan {
            bytes.extend([0x81, 0x00]);
            bytes.extend(control);
        }
        bytes.extend(self.ether_type);
        bytes.extend([self.version_flags, self.error]);
        bytes.extend(self.address);
        bytes.push(self.command);
        bytes.extend(self.tag);
        bytes.into_iter().map(Some).collect()
    }
}

/// Shelf and slot in hexadecimal: `ffff.01`.
pub(super) fn address(text: &str) -> Result<[u8; 3]> {
    let (shelf, slot) = text.split_once('.').with_context(|| format!("{text} is no address"))?;
    let [high, low] = fixed(shelf)?;
    let [slot] = fixed(slot)?;
    Ok([high, low, slot])
}

/// The frame that these words describe, on a target with this content.
pub(super) fn frame(words: &[String], disk: Option<&[u8]>) -> Result<Vec<u8>> {
    let mut header = Header::new();
    let mut argument = Vec::new();
    let mut cuts = Vec::new();
    for word in words {
        if header.take(word)? {
            continue;
        }
        match call(word) {
            Some((name @ ("cut" | "pad"), length)) => {
                let [length] = length[..] else { bail!("{word}: to one length") };
                cuts.push((name, number(length)?));
            }
            _ => append(&mut argument, word, disk)?,
        }
    }
    let frame = [header.bytes(), argument].concat();
    let frame: Option<Vec<u8>> = frame.into_iter().collect();
    let mut frame = frame.context("a request has no free bytes")?;
    for (name, length) in cuts {
        match name {
            "cut" if length < frame.len() => frame.truncate(length),
            "pad" if length > frame.len() => frame.resize(length, 0),
            _ => bail!("the frame has {} bytes: nothing to {name}", frame.len()),
        }
    }
    Ok(frame)
}
