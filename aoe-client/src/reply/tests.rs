use super::*;
use proptest::prelude::*;

const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
const QUERY: Operation = Operation::Config(ConfigQuery::Read);
const READ: Operation = Operation::Read { lba: 0x0605_0403_0201, sectors: 2 };

/// Header of a reply from e1.3 with the tag 80000001, and behind it what is given.
fn frame(flags: u8, error: u8, command: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xA2, flags, error];
    bytes.extend([0, 1, 3, command, 0x80, 0, 0, 1]);
    bytes.extend(body);
    bytes
}

fn answer(frame: &[u8], operation: Operation) -> Option<Result<Answer<'_>, Failure>> {
    parse(frame, OWN).unwrap().answer(operation)
}

#[test]
fn takes_an_unpadded_config_reply() {
    let bytes = frame(0x18, 0, 1, &[0, 16, 0x40, 0x19, 0, 0x10, 0, 0]);
    assert_eq!(bytes.len(), 32);
    let reply = parse(&bytes, OWN).unwrap();
    assert_eq!(reply.source, Mac([2, 0, 0, 0, 0, 2]));
    assert_eq!(reply.address, Address::new(1, 3).unwrap());
    assert_eq!(reply.tag, 0x8000_0001);
    let expected =
        Config { buffer_count: 16, firmware_version: 0x4019, sector_count: 2, string: b"" };
    assert_eq!(reply.answer(QUERY), Some(Ok(Answer::Config(expected))));
}

#[test]
fn config_strings_end_where_their_length_says() {
    let mut body = vec![0, 16, 0, 0, 17, 0x10, 0, 5];
    body.extend(b"hello rest");
    let bytes = frame(0x18, 0, 1, &body);
    let Some(Ok(Answer::Config(config))) = answer(&bytes, QUERY) else { panic!() };
    assert_eq!((config.sector_count, config.string), (17, &b"hello"[..]));
    assert_eq!(answer(&frame(0x18, 0, 1, &body[..12]), QUERY), None);
    body[6..8].copy_from_slice(&1025_u16.to_be_bytes());
    body.resize(8 + 1025, b'x');
    assert_eq!(answer(&frame(0x18, 0, 1, &body), QUERY), None);
}

#[test]
fn refuses_frames_of_others() {
    let good = frame(0x18, 0, 1, &[0; 36]);
    assert!(parse(&good, OWN).is_ok());
    for length in 0..24 {
        assert_eq!(parse(&good[..length], OWN).unwrap_err(), NotOurs::TooShort);
    }
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        parse(&bytes, OWN).unwrap_err()
    };
    assert_eq!(with(12, 0x08), NotOurs::EtherType);
    assert_eq!(with(5, 9), NotOurs::Destination);
    assert_eq!(with(14, 0x10), NotOurs::Request);
    assert_eq!(with(14, 0x08), NotOurs::Version);
    assert_eq!(with(14, 0x28), NotOurs::Version);
    assert_eq!(with(18, 0xFF), NotOurs::Address);
}

#[test]
fn reads_return_exactly_what_was_asked_for() {
    let mut body = vec![0x40, 0, 0, 0x40, 1, 2, 3, 4, 5, 6, 0, 0];
    body.extend([7; 1024]);
    body.extend([0; 4]);
    assert_eq!(answer(&frame(0x18, 0, 0, &body), READ), Some(Ok(Answer::Data(&[7; 1024]))));
    let short = frame(0x18, 0, 0, &body[..12 + 1023]);
    let failure = Failure::Short { bytes: 1023, expected: 1024 };
    assert_eq!(answer(&short, READ), Some(Err(failure)));
    assert_eq!(answer(&frame(0x18, 0, 0, &body[..11]), READ), None);
}

#[test]
fn replies_about_something_else_are_not_ours() {
    let body = [0x40, 0, 0, 0x40, 1, 2, 3, 4, 5, 6, 0, 0];
    let write = |lba| Operation::Write { lba, sectors: 1 };
    let bytes = frame(0x18, 0, 0, &body);
    assert_eq!(answer(&bytes, write(0x0605_0403_0201)), Some(Ok(Answer::Data(&[]))));
    assert_eq!(answer(&bytes, write(0x0605_0403_0202)), None);
    assert_eq!(answer(&bytes, QUERY), None);
    assert_eq!(answer(&frame(0x18, 0, 2, &body), write(0x0605_0403_0201)), None);
    let body = [0x01, 0, 0, 0x40, 1, 2, 3, 0xE4, 0, 0, 0, 0];
    let bytes = frame(0x18, 0, 0, &body);
    assert_eq!(answer(&bytes, write(0x0403_0201)), Some(Ok(Answer::Data(&[]))));
    assert_eq!(answer(&bytes, write(0xE403_0201)), None);
}

#[test]
fn aoe_errors_have_their_names() {
    let names = [
        "unrecognized command code",
        "bad argument parameter",
        "device unavailable",
        "config string present",
        "unsupported version",
        "target is reserved",
    ];
    for (code, name) in (1..).zip(names) {
        // The bare header is all that some targets send.
        let bytes = frame(0x1C, code, 0, &[]);
        let Some(Err(failure)) = answer(&bytes, READ) else { panic!() };
        assert_eq!(failure, Failure::Aoe(AoeError::from_code(code).unwrap()));
        assert_eq!(failure.to_string(), name);
    }
    let bytes = frame(0x1C, 7, 0, &[]);
    assert_eq!(answer(&bytes, READ), Some(Err(Failure::UnknownAoe(7))));
    // Without the E flag the byte means nothing.
    let bytes = frame(0x18, 7, 0, &[0x40, 0, 0, 0x40, 1, 2, 3, 4, 5, 6, 0, 0]);
    let write = Operation::Write { lba: 0x0605_0403_0201, sectors: 1 };
    assert_eq!(answer(&bytes, write), Some(Ok(Answer::Data(&[]))));
}

#[test]
fn any_bad_bit_of_the_status_register_is_a_failure() {
    for status in [0x41, 0x60, 0x48, 0xC0] {
        let bytes = frame(0x18, 0, 0, &[0x40, 0x10, 2, status, 1, 2, 3, 4, 5, 6, 0, 0]);
        let failure = Failure::Ata { status, error: 0x10 };
        assert_eq!(answer(&bytes, READ), Some(Err(failure)));
    }
    let text = Failure::Ata { status: 0x41, error: 0x10 }.to_string();
    assert_eq!(text, "ATA status 0x41, error 0x10 (no such sector)");
    // vblade reports a successful flush this way.
    let bytes = frame(0x18, 0, 0, &[0x40, 0, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0]);
    let write = Operation::Write { lba: 0x0605_0403_0201, sectors: 1 };
    assert_eq!(answer(&bytes, write), Some(Ok(Answer::Data(&[]))));
}

#[test]
fn config_replies_fit_their_query() {
    let reply = |sub_command: u8| {
        let bytes = frame(0x18, 0, 1, &[0, 16, 0, 0, 2, 0x10 | sub_command, 0, 1, b'x']);
        answer(&bytes, Operation::Config(ConfigQuery::ForceSet)).is_some()
    };
    // kvblade answers everything as a read.
    assert!(reply(4) && reply(0));
    assert!(!reply(1) && !reply(3));
}

#[test]
fn a_refused_string_is_told_from_a_stored_one() {
    let bytes = frame(0x1C, 4, 1, &[0, 16, 0, 0, 2, 0x13, 0, 1, b'x']);
    let failure = Failure::Aoe(AoeError::ConfigStringPresent);
    assert_eq!(answer(&bytes, Operation::Config(ConfigQuery::Set)), Some(Err(failure)));
}

/// The addresses that a reply lists.
fn macs(frame: &[u8], operation: Operation) -> Option<Vec<Mac>> {
    match answer(frame, operation)? {
        Ok(Answer::Macs(list)) => Some(list.iter().collect()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn lists_are_read_entry_by_entry() {
    let listed = Some(vec![Mac([2, 0, 0, 0, 0, 7]), Mac([2, 0, 0, 0, 0, 8])]);
    let entries = [0, 0, 2, 0, 0, 0, 0, 7, 0, 0, 2, 0, 0, 0, 0, 8, 9, 9];
    for (operation, command) in [(Operation::ReadMask, 0), (Operation::EditMask, 1)] {
        let body = [&[0, command, 0, 2], &entries[..]].concat();
        assert_eq!(macs(&frame(0x18, 0, 2, &body), operation), listed);
        assert_eq!(macs(&frame(0x18, 0, 2, &body[..19]), operation), None, "too short");
        let other = [&[0, command ^ 1, 0, 2], &entries[..]].concat();
        assert_eq!(macs(&frame(0x18, 0, 2, &other), operation), None, "another command's");
        assert_eq!(macs(&frame(0x18, 0, 2, &[0, command, 0, 0]), operation), Some(vec![]));
    }
    let entries = [2, 0, 0, 0, 0, 7, 2, 0, 0, 0, 0, 8, 9, 9];
    let reserve = |force| Operation::Reserve { force };
    let operations = [Operation::ReadReservation, reserve(false), reserve(true)];
    for (command, operation) in (0..).zip(operations) {
        let body = [&[command, 2], &entries[..]].concat();
        assert_eq!(macs(&frame(0x18, 0, 3, &body), operation), listed);
        assert_eq!(macs(&frame(0x18, 0, 3, &body[..13]), operation), None, "too short");
        let other = [&[(command + 1) % 3, 2], &entries[..]].concat();
        assert_eq!(macs(&frame(0x18, 0, 3, &other), operation), None, "another command's");
        assert_eq!(macs(&frame(0x18, 0, 3, &[command, 0]), operation), Some(vec![]));
    }
}

#[test]
fn an_edit_that_stopped_says_where_and_why() {
    let stopped = |code, done| {
        let bytes = frame(0x18, 0, 2, &[0, 1, code, done]);
        answer(&bytes, Operation::EditMask).unwrap().unwrap_err()
    };
    let bad = stopped(2, 1);
    assert_eq!(bad, Failure::Mask { error: MaskError::BadDirective, done: 1 });
    assert_eq!(bad.to_string(), "bad directive; the first directive was carried out");
    let full = stopped(3, 5).to_string();
    assert_eq!(full, "the list is full; the first 5 directives were carried out");
    assert_eq!(stopped(1, 0).to_string(), "unspecified error; nothing was carried out");
    assert_eq!(stopped(9, 0), Failure::UnknownMask { code: 9, done: 0 });
}

#[test]
fn flushes_and_trims_are_about_no_sector() {
    let plain = frame(0x18, 0, 0, &[0, 0, 0, 0x40, 0, 0, 0, 0xA0, 0, 0, 0, 0]);
    let extended = frame(0x18, 0, 0, &[0x41, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0]);
    let elsewhere = frame(0x18, 0, 0, &[0x41, 0, 0, 0x40, 1, 0, 0, 0, 0, 0, 0, 0]);
    let failed = frame(0x18, 0, 0, &[0x40, 0x04, 0, 0x61, 1, 0, 0, 0, 0, 0, 0, 0]);
    let failure = Failure::Ata { status: 0x61, error: 0x04 };
    assert_eq!(failure.to_string(), "ATA status 0x61, error 0x04 (device fault)");
    for (operation, good) in [(Operation::Flush, &plain), (Operation::FlushExt, &extended)] {
        assert_eq!(answer(good, operation), Some(Ok(Answer::Data(&[]))));
        assert_eq!(answer(&elsewhere, operation), None, "somebody else's write");
        assert_eq!(answer(&failed, operation), Some(Err(failure)));
    }
    let trim = Operation::Trim { blocks: 1 };
    assert_eq!(answer(&extended, trim), Some(Ok(Answer::Data(&[]))));
    assert_eq!(answer(&elsewhere, trim), None);
    let refused = frame(0x18, 0, 0, &[0x41, 0x04, 1, 0x41, 0, 0, 0, 0, 0, 0, 0, 0]);
    let Some(Err(failure)) = answer(&refused, trim) else { panic!() };
    let text = "ATA status 0x41, error 0x04 (command aborted: not supported, or not allowed)";
    assert_eq!(failure.to_string(), text);
}

#[test]
fn smart_tells_good_disks_from_failing_ones() {
    let status = |middle, high| {
        let bytes = frame(0x18, 0, 0, &[0, 0, 0, 0x40, 0, middle, high, 0xA0, 0, 0, 0, 0]);
        assert_eq!(answer(&bytes, Operation::EnableSmart), Some(Ok(Answer::Data(&[]))));
        match answer(&bytes, Operation::SmartStatus) {
            Some(Ok(Answer::Health(health))) => Ok(health),
            Some(Err(failure)) => Err(failure),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(status(0x4F, 0xC2), Ok(Health::Good));
    assert_eq!(status(0xF4, 0x2C), Ok(Health::Failing));
    assert_eq!(status(0x4F, 0x2C), Err(Failure::UnknownHealth { status: [0x4F, 0x2C] }));
    let text = Failure::UnknownHealth { status: [0x4F, 0x2C] }.to_string();
    assert_eq!(text, "the SMART status is 4f 2c, which ATA does not define");
}

/// Any operation there is.
pub(crate) fn operations() -> impl Strategy<Value = Operation> {
    use ConfigQuery::{ForceSet, Prefix, Read, Set, Test};
    let config = prop::sample::select(vec![Read, Test, Prefix, Set, ForceSet]);
    prop_oneof![
        config.prop_map(Operation::Config),
        Just(Operation::ReadMask),
        Just(Operation::EditMask),
        Just(Operation::ReadReservation),
        any::<bool>().prop_map(|force| Operation::Reserve { force }),
        Just(Operation::Identify),
        (any::<u64>(), any::<u8>()).prop_map(|(lba, sectors)| Operation::Read { lba, sectors }),
        (any::<u64>(), any::<u8>()).prop_map(|(lba, sectors)| Operation::Write { lba, sectors }),
        Just(Operation::Flush),
        Just(Operation::FlushExt),
        any::<u8>().prop_map(|blocks| Operation::Trim { blocks }),
        Just(Operation::EnableSmart),
        Just(Operation::SmartStatus),
    ]
}

proptest! {
    #[test]
    fn no_bytes_are_too_much(
        mut bytes in prop::collection::vec(any::<u8>(), 0..1200),
        sound in any::<bool>(),
        operation in operations(),
    ) {
        if sound {
            // Random bytes alone would hardly ever get past the header.
            let header = frame(0x18, 0, operation.command(), &[]);
            let length = header.len().min(bytes.len());
            bytes[..length].copy_from_slice(&header[..length]);
        }
        if let Ok(reply) = parse(&bytes, OWN) {
            prop_assert!(bytes.len() >= 24);
            match reply.answer(operation) {
                Some(Ok(Answer::Data(data))) => {
                    let expected = match operation {
                        Operation::Read { sectors, .. } => usize::from(sectors) * 512,
                        Operation::Identify => 512,
                        _ => 0,
                    };
                    prop_assert_eq!(data.len(), expected);
                }
                Some(Ok(Answer::Macs(list))) => {
                    let entry_bytes = if operation.command() == 2 { 8 } else { 6 };
                    prop_assert!(24 + list.iter().count() * entry_bytes <= bytes.len());
                }
                Some(Ok(Answer::Config(config))) => {
                    prop_assert!(32 + config.string.len() <= bytes.len());
                }
                Some(Ok(Answer::Health(_)) | Err(_)) | None => (),
            }
        }
    }

    #[test]
    fn lists_of_any_length_are_whole(
        count in any::<u8>(),
        entries in prop::collection::vec(any::<[u8; 8]>(), 0..300),
    ) {
        let body = [&[0, 0, 0, count], entries.as_flattened()].concat();
        let expected = entries.get(..count.into()).map(|entries| {
            entries.iter().map(|entry| Mac(*entry.last_chunk().unwrap())).collect::<Vec<_>>()
        });
        prop_assert_eq!(macs(&frame(0x18, 0, 2, &body), Operation::ReadMask), expected);
    }
}
