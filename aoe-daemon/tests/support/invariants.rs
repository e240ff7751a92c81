//! What holds for every reply to any frame.

/// Panics where `reply` breaks a rule of replies. `address` is the target that it came from.
pub fn check(request: &[u8], reply: &[u8], port: [u8; 6], address: (u16, u8), mtu: usize) {
    let tagged = request[12..14] == [0x81, 0x00];
    let at = if tagged { 18 } else { 14 };
    let shortest = if tagged { 64 } else { 60 };
    assert!(reply.len() >= shortest, "{} bytes", reply.len());
    assert!(reply.len() - at <= mtu, "{} bytes on a link of MTU {mtu}", reply.len());

    assert_eq!(reply[..6], request[6..12], "it goes back to where the request came from");
    assert_eq!(reply[6..12], port, "it comes from the port that sends it");
    assert_eq!(reply[12..at], request[12..at], "VLAN tag and EtherType");
    assert!(matches!(reply[at], 0x18 | 0x1C), "version and flags {:02x}", reply[at]);
    match reply[at] & 0x04 {
        0 => assert_eq!(reply[at + 1], 0, "an error code without the flag"),
        _ => assert!((1..=6).contains(&reply[at + 1]), "error code {}", reply[at + 1]),
    }
    let shelf = u16::from_be_bytes([reply[at + 2], reply[at + 3]]);
    assert_eq!((shelf, reply[at + 4]), address, "the target's own address");
    assert_eq!(reply[at + 5..at + 10], request[at + 5..at + 10], "command and tag");

    let content = at + content_length(&request[at..], &reply[at..]);
    assert_eq!(reply.len(), content.max(shortest), "nothing but the content and its padding");
    assert!(reply[content..].iter().all(|byte| *byte == 0), "padding is zero");
}

/// Bytes that a reply has something to say in, from the AoE header on.
fn content_length(request: &[u8], reply: &[u8]) -> usize {
    let failed = reply[0] & 0x04 != 0;
    match (reply[5], reply[1]) {
        // An error about the header as a whole returns nothing of the argument.
        (_, 1 | 5) => 10,
        (0, _) if failed => check_reserved(reply),
        (0, _) => check_reserved(reply) + ata_data_length(request, reply),
        // Of what can't be understood the argument's header comes back.
        (1, 2) => 18,
        (1, _) => 18 + usize::from(u16::from_be_bytes([reply[16], reply[17]])),
        (2, error) => {
            assert_eq!(reply[10], 0, "reserved fields are zero");
            let (stopped, entries) = (reply[12] != 0, usize::from(reply[13]));
            if failed || stopped {
                assert!(error == 0 || error == 2, "error {error} to a MAC mask command");
                return 14;
            }
            for entry in reply[14..14 + entries * 8].chunks(8) {
                assert_eq!(entry[..2], [0, 0], "an entry is no directive");
            }
            14 + entries * 8
        }
        (3, 2) => 12,
        (3, _) => 12 + usize::from(reply[11]) * 6,
        (command, error) => panic!("error {error} to AoE command {command}"),
    }
}

/// The length of the headers of an ATA reply, whose reserved bytes must be zero.
fn check_reserved(reply: &[u8]) -> usize {
    assert_eq!(reply[20..22], [0, 0], "reserved fields are zero");
    22
}

/// Bytes of data in a reply to an ATA command.
fn ata_data_length(request: &[u8], reply: &[u8]) -> usize {
    let (count, command, status) = (request[12], request[13], reply[13]);
    match status {
        0x40 => match command {
            0x20 | 0x21 | 0x24 | 0x25 | 0xC8 => 512 * usize::from(count),
            0xEC => 512,
            _ => 0,
        },
        0x41 | 0x61 => 0,
        _ => panic!("status {status:02x}"),
    }
}
