//! Byte vectors: what goes in and what has to come out, one row per case.
//!
//! The files are in `tests/vectors`, one for each letter of the case numbers; `README.md` beside
//! them explains how they are written. Nothing here uses the header types of the code under test:
//! offsets are written out, so that a wrong type can't agree with itself.
//!
//! ```text
//! parse    lines: sessions, their set-up, rows
//! request  a request frame out of the tokens of a row
//! reply    an expected reply out of its tokens, and whether a frame is it
//! tokens   what both are written with: bytes
//! pcap     frames as a capture file, for other people's decoders
//! ```

mod parse;
pub mod pcap;
mod reply;
mod request;
#[cfg(test)]
mod tests;
mod tokens;

pub use reply::Expected;

use anyhow::{Context, Result};

use crate::image::random_bytes;

/// MAC address of the port that the target is on.
pub const TARGET: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];
/// MAC address of the client.
pub const CLIENT: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
/// Two more stations.
pub const OTHERS: [[u8; 6]; 2] = [[0x02, 0, 0, 0, 0, 0x09], [0x02, 0, 0, 0, 0, 0x0a]];

/// Bytes of a sector.
pub const SECTOR: usize = 512;

/// The files, by the letter of their cases.
const FILES: [(char, &str); 8] = [
    ('a', include_str!("../vectors/a-framing.txt")),
    ('b', include_str!("../vectors/b-config.txt")),
    ('c', include_str!("../vectors/c-identify.txt")),
    ('d', include_str!("../vectors/d-transfer.txt")),
    ('e', include_str!("../vectors/e-other-ata.txt")),
    ('f', include_str!("../vectors/f-mac-mask.txt")),
    ('g', include_str!("../vectors/g-reserve.txt")),
    ('h', include_str!("../vectors/h-robustness.txt")),
];

/// Letters of the files.
pub fn letters() -> impl Iterator<Item = char> {
    FILES.iter().map(|(letter, _)| *letter)
}

/// The sessions of the file with this letter.
pub fn sessions(letter: char) -> Result<Vec<Session>> {
    let (_, text) = FILES.iter().find(|file| file.0 == letter).context("no such file")?;
    parse::sessions(text).with_context(|| format!("the vectors of letter {letter}"))
}

/// Cases that follow each other on a fresh target.
#[derive(Clone, Debug)]
pub struct Session {
    /// What it is about.
    pub name: String,
    /// What the target is like.
    pub setup: Setup,
    /// What happens, in this order.
    pub steps: Vec<Step>,
}

impl Session {
    /// Its cases, without what happens between them.
    pub fn cases(&self) -> impl Iterator<Item = &Case> {
        self.steps.iter().filter_map(|step| match step {
            Step::Case(case) => Some(&**case),
            Step::Restart | Step::Stored { .. } => None,
        })
    }
}

/// What a target is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// MTU of the link in bytes.
    pub mtu: usize,
    /// Whether the exports are read-only.
    pub read_only: bool,
    /// Size of each export in sectors.
    pub sectors: u64,
    /// Bytes of the image behind its last whole sector.
    pub tail: u64,
    /// VLAN that the exports are offered on; 0 for untagged frames.
    pub vlan: u16,
    /// Shelf and slot of each export.
    pub exports: Vec<(u16, u8)>,
    /// What the disk is not able to do.
    pub fault: Option<Fault>,
    /// Whether rows read a disk that has no content.
    pub holes: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            mtu: 1500,
            read_only: false,
            sectors: 2048,
            tail: 0,
            vlan: 0,
            exports: vec![(0, 1)],
            fault: None,
            holes: false,
        }
    }
}

/// Most sectors of a disk that has content; a larger one is empty.
const MOST_CONTENT: u64 = 1 << 12;

impl Setup {
    /// What is on each export at the start of a session; `None` where it is too large to have
    /// content, and all zero.
    pub fn content(&self) -> Option<Vec<u8>> {
        (self.sectors <= MOST_CONTENT).then(|| random_bytes(self.sectors as usize * SECTOR, 1))
    }
}

/// What a disk is not able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Reads end with an I/O error.
    Read,
    /// Writes and flushes do.
    Write,
}

/// Something that happens in a session.
#[derive(Clone, Debug)]
pub enum Step {
    /// A frame is sent.
    Case(Box<Case>),
    /// The target is stopped and started again.
    Restart,
    /// The image has this content now, and keeps it.
    Stored {
        /// First sector.
        lba: u64,
        /// Whole sectors.
        data: Vec<u8>,
    },
}

/// One row.
#[derive(Clone, Debug)]
pub struct Case {
    /// Such as `A1`.
    pub id: String,
    /// Where it stands in its file, from 1.
    pub line: usize,
    /// The frame that is sent.
    pub request: Vec<u8>,
    /// The frames that have to come back; none for silence.
    pub replies: Vec<Expected>,
    /// What vblade does with it.
    pub vblade: Vblade,
}

/// What vblade does.
#[derive(Clone, Debug)]
pub enum Vblade {
    /// The same, but for the padding.
    Same,
    /// Something else, and this.
    Differs(Vec<Expected>),
    /// Nothing that a test can rely on, or nothing that it should be asked for: the reason.
    Skipped(String),
}

/// Why these frames are not the expected ones, if they are not.
pub fn mismatch(expected: &[Expected], got: &[Vec<u8>]) -> Option<String> {
    if expected.len() != got.len() {
        let frames: Vec<String> = got.iter().map(|frame| hex(frame)).collect();
        return Some(format!("{} replies instead of {}: {frames:?}", got.len(), expected.len()));
    }
    expected.iter().zip(got).find_map(|(expected, frame)| expected.mismatch(frame))
}

/// Bytes in hexadecimal, at most as many as a reader wants to see.
pub fn hex(bytes: &[u8]) -> String {
    const MOST: usize = 80;
    let digits: String = bytes.iter().take(MOST).map(|byte| format!("{byte:02x}")).collect();
    let rest = if bytes.len() > MOST { "…" } else { "" };
    format!("{} bytes {digits}{rest}", bytes.len())
}
