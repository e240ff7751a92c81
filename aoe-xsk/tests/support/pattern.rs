//! The frames of the tests: a header, and content that follows from a number.
//!
//! ```text
//! 0 destination | 6 source | 12 EtherType | 14 number | 18 length of the reply | 22 content …
//! ```

use std::sync::LazyLock;

/// Bytes before the content.
pub const HEADER: usize = 22;

/// The longest frame of a test, in bytes.
pub const LONGEST: usize = 9014;

const ETHERTYPE: [u8; 2] = [0x88, 0xa2];

/// Bytes without a visible order. Content `number` starts somewhere in here.
static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..65_536 + LONGEST).map(|_| next()).collect()
});

/// The content of frame `number`, `offset` bytes behind its header.
pub fn content(number: u32, offset: usize, len: usize) -> &'static [u8] {
    let start = (number.wrapping_mul(2_654_435_761) >> 16) as usize + offset;
    &NOISE[start..start + len]
}

/// A request, to be answered with `reply` bytes.
pub fn request(number: u32, len: usize, reply: usize, to: [u8; 6], from: [u8; 6]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(len);
    frame.extend(to);
    frame.extend(from);
    frame.extend(ETHERTYPE);
    frame.extend(number.to_be_bytes());
    frame.extend((reply as u32).to_be_bytes());
    frame.extend(content(number, 0, len - HEADER));
    frame
}

/// Whether the frame is one of ours and not the kernel's own chatter.
pub fn is_ours(head: &[u8]) -> bool {
    head.get(12..14) == Some(&ETHERTYPE)
}

/// The number of a frame and the length of the reply that it asks for.
pub fn fields(head: &[u8]) -> (u32, usize) {
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    (word(14), word(18) as usize)
}

/// What the content of the reply to frame `number` is made from.
pub fn reply_number(number: u32) -> u32 {
    number.wrapping_add(1 << 20)
}
