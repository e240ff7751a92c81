//! The notation itself.

use super::parse::sessions as parse;
use super::{Case, Expected, Vblade, letters, mismatch, sessions};

/// The only case of a text without its session line.
fn case(row: &str) -> Case {
    let sessions = parse(&format!("session s\n{row}\n")).unwrap();
    sessions[0].cases().next().unwrap().clone()
}

fn error(text: &str) -> String {
    format!("{:#}", parse(text).unwrap_err())
}

#[test]
fn every_file_is_readable_and_every_id_is_there_once() {
    let mut ids = Vec::new();
    for letter in letters() {
        for session in sessions(letter).unwrap() {
            assert!(session.cases().next().is_some(), "{} is empty", session.name);
            ids.extend(session.cases().map(|case| case.id.clone()));
        }
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id is there twice");
    assert!(count > 2000, "only {count} rows");
}

#[test]
fn a_row_is_a_whole_frame() {
    let case = case("A1 | bcast all config 0000 0000 00 00 0000 pad(40) | silence | =");
    let header = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xa2, 0x10, 0, 0xff, 0xff,
        0xff, 1, 0x80, 0, 0, 1,
    ];
    assert_eq!(case.request, [&header[..], &[0; 16]].concat());
    assert!(case.replies.is_empty() && matches!(case.vblade, Vblade::Same));
}

#[test]
fn every_byte_of_a_reply_counts() {
    let case = case("A1 | vlan=0005 ata 40 00 02 24 010203040506 a5a5 | OK ATA(41/10) | skip why");
    let expected = &case.replies[0];
    let right = [
        2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 5, 0x88, 0xa2, 0x18, 0, 0, 0, 1, 0, 0x80,
        0, 0, 1, 0x40, 0x10, 2, 0x41, 1, 2, 3, 4, 5, 6, 0, 0,
    ];
    let mut right = right.to_vec();
    right.resize(64, 0);
    assert_eq!(expected.example(), right);
    assert_eq!(expected.mismatch(&right), None);
    for at in 0..right.len() {
        let mut wrong = right.clone();
        wrong[at] ^= 1;
        assert!(expected.mismatch(&wrong).is_some(), "byte {at}");
        // What vblade pads with is its own affair.
        assert_eq!(expected.content_mismatch(&wrong).is_some(), at < 40, "byte {at}");
    }
    for length in [40, 63, 65] {
        let mut wrong = right.clone();
        wrong.resize(length, 0);
        assert!(expected.mismatch(&wrong).is_some(), "{length} bytes");
    }
    assert_eq!(expected.content_mismatch(&right[..40]), None);
    let mut bare = [&right[..12], &right[16..40]].concat();
    bare.resize(60, 0);
    assert_eq!(expected.without_tag().mismatch(&bare), None);
}

#[test]
fn free_bytes_and_conditions() {
    let case = case("A1 | config 0000 0000 00 00 0000 | OK bufcnt .... 02 10 0000 | =");
    let expected = &case.replies[0];
    let right = expected.example();
    for (at, is_free) in [(24, true), (25, true), (26, true), (27, true), (28, false)] {
        let mut other = right.clone();
        other[at] ^= 0x40;
        assert_eq!(expected.mismatch(&other).is_none(), is_free, "byte {at}");
    }
    let mut too_few = right.clone();
    too_few[24..26].copy_from_slice(&[0, 1]);
    assert!(expected.mismatch(&too_few).unwrap().contains("less than 2"));
}

#[test]
fn words_are_little_endian_and_strings_are_swapped() {
    let row = "A1 | ata 00 00 01 ec 000000000000 0000 | OK ATA(40/00) words 0=0040 1-2=1234 \
               10-11=\"ABC\" 255=..a5 sum0 | =";
    let case = case(row);
    let right = case.replies[0].example();
    assert_eq!(right[36..42], [0x40, 0, 0x34, 0x12, 0x34, 0x12]);
    assert_eq!(&right[56..60], b"BA C");
    assert_eq!((right.len(), right[546]), (548, 0xa5));
    assert_eq!(right[36..].iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)), 0);
    let mut odd = right.clone();
    odd[547] ^= 1;
    assert!(case.replies[0].mismatch(&odd).unwrap().contains("sum"));
}

#[test]
fn a_row_for_each_value() {
    let sessions = parse("session s\nA1[0e-10 20] | cmd=@@ 00 | ERR 1 argument | =\n").unwrap();
    let cases: Vec<&Case> = sessions[0].cases().collect();
    let ids: Vec<&str> = cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(ids, ["A1.0e", "A1.0f", "A1.10", "A1.20"]);
    assert!(
        cases.iter().zip([0x0e, 0x0f, 0x10, 0x20]).all(|(case, byte)| case.request[19] == byte)
    );
}

#[test]
fn the_number_of_replies_counts() {
    let case = case("A1 | all cmd=07 | ERR 1 + ERR 1 from=0009.02 | =");
    let frames: Vec<Vec<u8>> = case.replies.iter().map(Expected::example).collect();
    assert_eq!(mismatch(&case.replies, &frames), None);
    assert!(mismatch(&case.replies, &frames[..1]).unwrap().contains("1 replies instead of 2"));
    let swapped = [frames[1].clone(), frames[0].clone()];
    assert!(mismatch(&case.replies, &swapped).is_some());
    assert!(mismatch(&[], &frames[..1]).is_some(), "silence was asked for");
}

#[test]
fn mistakes_are_found() {
    for (text, expected) in [
        ("A1 | cmd=04 | ERR 1 | =", "before any session"),
        ("session s\nA1 | cmd=04 | ERR 1", "four columns"),
        ("session s\nA1 | cmd=04 | NO | =", "not NO"),
        ("session s\nA1 | cmd=04 0 | ERR 1 | =", "no sequence of bytes"),
        ("session s\nA1 | cmd=04 .. | ERR 1 | =", "no free bytes"),
        ("session s\nA1 | cmd=04 cut(99) | ERR 1 | =", "nothing to cut"),
        ("session s\nA1 | cmd=04 $x | ERR 1 | =", "no $x"),
        ("session s\nA1 | cmd=04 disk(2048,1) | ERR 1 | =", "past the end"),
        ("session s\nA1 | cmd=04 | ERR 1 | skip", "vblade's"),
        ("session s\nstored 1 00*100", "no whole sectors"),
        ("session s nonsense", "nonsense"),
        ("hello", "neither"),
    ] {
        let got = error(text);
        assert!(got.contains(expected), "{text}: {got}");
    }
}
