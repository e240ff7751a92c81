//! What is done with disks beside reads and writes: with Debian's vblade as far as that goes, and
//! with a target of the tests' own.

use crate::scripted::{COMMAND, COUNT, DATA, FEATURE, LBA, beside_target, succeed};
use crate::support::{aoe, e0_1, error, inside, printed, refused, vblade};
use anyhow::{Result, ensure};
use aoe_client::request::Forbidden;
use aoe_client::{Disk, Error, Extent, Mac, Options};
use aoe_common::wire::FRAME_HEADER;
use aoe_common::wire::ata::trim_range;
use aoe_common::wire::identify::{Identify, MODEL_LENGTH, word};
use aoe_tests::image::random_image;
use aoe_tests::paths::scratch;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// A disk of 2^32 sectors with everything that the commands ask for.
fn identify() -> Identify {
    let mut identify = Identify::zeroed();
    identify.set_string(word::MODEL, MODEL_LENGTH, "scripted");
    identify.set_words(word::LBA48_SECTORS, (1_u64 << 32).to_le_bytes());
    let words = [
        (word::ADDITIONAL_SUPPORTED, 0x4020),
        (word::COMMAND_SETS_1, 0x0001),
        (word::COMMAND_SETS_2, 0x7400),
        (word::TRIM_BLOCKS, 8),
        (word::DATA_SET_MANAGEMENT, 1),
    ];
    for (index, value) in words {
        identify.set_word(index, value);
    }
    identify.seal();
    identify
}

fn open() -> Result<Disk> {
    Ok(Disk::open(CLIENT_PORT, e0_1(), Options::default())?)
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn vblade_is_identified_and_asked_for_nothing_that_it_has_not() -> Result<()> {
    let directory = scratch()?;
    let wire = Wire::new(Shape::default())?;
    let image = directory.path().join("disk.img");
    random_image(&image, 1 << 20, 1)?;
    let _target = vblade(&wire.target, TARGET_PORT, 1, &[], &image)?;

    let text = printed(&wire, &["identify", "e0.1"])?;
    ensure!(text.contains("size               0.001GB, 2048 sectors\n"), "{text}");
    ensure!(text.contains("flush              FLUSH CACHE\n"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&printed(&wire, &["identify", "e0.1", "--json"])?)?;
    assert_eq!((&json["sectors"], &json["lba48"]), (&2048.into(), &true.into()));
    assert_eq!((&json["trim"], &json["smart"]["supported"]), (&().into(), &false.into()));
    ensure!(json["model"].as_str().is_some_and(|model| !model.is_empty()), "{json}");

    // It has FLUSH CACHE only, whatever that does.
    assert_eq!(printed(&wire, &["flush", "e0.1"])?, "e0.1 has flushed its cache\n");
    let trim = refused(&wire, &["trim", "e0.1", "--lba", "0", "--sectors", "1"])?;
    assert_eq!(trim, "aoe: e0.1 does not offer TRIM: its IDENTIFY DEVICE data says so\n");
    let smart = refused(&wire, &["smart", "e0.1"])?;
    assert_eq!(smart, "aoe: e0.1 does not offer SMART: its IDENTIFY DEVICE data says so\n");
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_trim_is_cut_into_what_the_path_takes() -> Result<()> {
    let wire = Wire::new(Shape::default())?;
    let extents = [Extent { lba: 7, sectors: 1 }, Extent { lba: 1000, sectors: 20_000_000 }];
    let trim = || inside(&wire.client, || Ok(open()?.trim(&extents)?));
    let (_, mut requests) = beside_target(&wire, &identify(), |reply| succeed(reply), trim)?;
    // 1 + 316 ranges: two requests of two blocks, and one of one.
    requests.sort_by_key(|request| trim_range(request[DATA..DATA + 8].try_into().unwrap()));
    let blocks: Vec<_> = requests.iter().map(|request| request[COUNT]).collect();
    assert_eq!(blocks, [2, 2, 1]);
    let mut ranges = Vec::new();
    for request in &requests {
        let registers = [0x41, 1, request[COUNT], 0x06, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(request[FRAME_HEADER..DATA], registers);
        assert_eq!(request.len(), DATA + usize::from(request[COUNT]) * 512);
        let entries = request[DATA..].chunks_exact(8);
        ranges.extend(entries.map(|entry| trim_range(entry.try_into().unwrap())));
    }
    ranges.retain(|(_, sectors)| *sectors > 0);
    assert_eq!(ranges[0], (7, 1));
    let mut next = 1000;
    for (lba, sectors) in &ranges[1..] {
        assert_eq!(*lba, next);
        next += u64::from(*sectors);
    }
    assert_eq!(next, 20_001_000);
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_trim_that_makes_no_sense_is_not_sent() -> Result<()> {
    let wire = Wire::new(Shape::default())?;
    let end = 1 << 32;
    let work = || {
        inside(&wire.client, || {
            let mut disk = open()?;
            let good = Extent { lba: 0, sectors: 1 };
            for bad in [Extent { lba: end - 1, sectors: 2 }, Extent { lba: u64::MAX, sectors: 1 }] {
                let past_end = error(disk.trim(&[good, bad]))?;
                ensure!(matches!(past_end, Error::PastEnd { .. }), "{past_end}");
            }
            for extents in [&[][..], &[good, Extent { lba: 5, sectors: 0 }]] {
                let nothing = error(disk.trim(extents))?;
                let why = Forbidden::NoSectors;
                let is_it =
                    matches!(nothing, Error::Forbidden { forbidden, .. } if forbidden == why);
                ensure!(is_it, "{nothing}");
            }
            Ok(())
        })
    };
    let (_, requests) = beside_target(&wire, &identify(), |reply| succeed(reply), work)?;
    assert!(requests.is_empty(), "{requests:02x?}");
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn the_commands_do_what_a_capable_disk_can() -> Result<()> {
    let wire = Wire::new(Shape::default())?;
    let work = || {
        assert_eq!(printed(&wire, &["flush", "e0.1"])?, "e0.1 has flushed its cache\n");
        assert_eq!(printed(&wire, &["smart", "e0.1"])?, "e0.1 is well\n");
        let trim = printed(&wire, &["trim", "e0.1", "--lba", "8", "--bytes", "64K", "--json"])?;
        let json: serde_json::Value = serde_json::from_str(&trim)?;
        assert_eq!(json, serde_json::json!({ "address": "e0.1", "lba": 8, "sectors": 128 }));
        let all = printed(&wire, &["trim", "e0.1", "--whole-disk"])?;
        assert_eq!(all, "e0.1 has discarded 4294967296 sectors at 0\n");
        let past_end = refused(&wire, &["trim", "e0.1", "--lba", "4294967295", "--sectors", "2"])?;
        ensure!(past_end.starts_with("aoe: 2 sectors at 4294967295 go past the end"), "{past_end}");
        Ok(())
    };
    let (_, requests) = beside_target(&wire, &identify(), |reply| succeed(reply), work)?;
    let commands: Vec<_> =
        requests.iter().map(|request| (request[COMMAND], request[FEATURE])).collect();
    assert_eq!(commands[..4], [(0xEA, 0), (0xB0, 0xD8), (0xB0, 0xDA), (0x06, 1)]);
    assert!(commands[4..].iter().all(|command| *command == (0x06, 1)), "{commands:02x?}");
    // 67651 ranges of the whole disk, 128 of them in a request.
    assert_eq!(commands[4..].len(), 529);
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_failing_disk_is_an_exit_code() -> Result<()> {
    let wire = Wire::new(Shape::default())?;
    let failing = |reply: &mut Vec<u8>| {
        succeed(reply);
        reply[LBA + 1..LBA + 3].copy_from_slice(&[0xF4, 0x2C]);
    };
    let work = || {
        let text = "aoe: e0.1 is failing, says its SMART status: save what is on it\n";
        assert_eq!(refused(&wire, &["smart", "e0.1"])?, text);
        let finished = aoe(&wire, &["smart", "e0.1", "--json"])?;
        assert_eq!(finished.status.code(), Some(1));
        let json: serde_json::Value = serde_json::from_str(&finished.text())?;
        assert_eq!(json, serde_json::json!({ "address": "e0.1", "healthy": false }));
        Ok(())
    };
    beside_target(&wire, &identify(), failing, work)?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn what_the_disk_aborts_is_said_in_words() -> Result<()> {
    let wire = Wire::new(Shape::default())?;
    let abort = |reply: &mut Vec<u8>| {
        reply[FEATURE] = 0x04;
        reply[COMMAND] = 0x41;
    };
    let why = "ATA status 0x41, error 0x04 (command aborted: not supported, or not allowed)\n";
    let work = || {
        let attempts = [
            (&["flush", "e0.1"][..], "FLUSH CACHE EXT"),
            (&["trim", "e0.1", "--lba", "0", "--sectors", "1"], "TRIM"),
            (&["smart", "e0.1"], "SMART ENABLE OPERATIONS"),
        ];
        for (arguments, what) in attempts {
            assert_eq!(refused(&wire, arguments)?, format!("aoe: e0.1 failed {what}: {why}"));
        }
        Ok(())
    };
    beside_target(&wire, &identify(), abort, work)?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn mask_edits_that_stop_say_where_and_old_targets_that_they_are_old() -> Result<()> {
    let wire = Wire::new(Shape::default())?;
    let full = |reply: &mut Vec<u8>| {
        let read = reply[FRAME_HEADER + 1] == 0;
        // The list is empty, and the first directive was the last that fitted.
        let argument = if read { [0, 0, 0, 0] } else { [0, 1, 3, 1] };
        reply[FRAME_HEADER..FRAME_HEADER + 4].copy_from_slice(&argument);
    };
    let own = inside(&wire.client, || Ok(aoe_client::Initiator::open(CLIENT_PORT)?.mac()))?;
    let (own, other) = (own.to_string(), Mac([2, 0, 0, 0, 0, 7]).to_string());
    let add = ["mask", "add", "e0.1", &own, &other];
    let work = || refused(&wire, &add);
    let (said, _) = beside_target(&wire, &identify(), full, work)?;
    let text = "aoe: e0.1 failed the edit of the MAC mask list: the list is full; the first \
                directive was carried out\n";
    assert_eq!(said, text);

    let unknown = |reply: &mut Vec<u8>| {
        reply[14] = 0x1C;
        reply[15] = 1;
    };
    let (said, _) = beside_target(&wire, &identify(), unknown, || refused(&wire, &add))?;
    let text = "aoe: e0.1 failed the query of the MAC mask list: unrecognized command code: this \
                target does not offer that\n";
    assert_eq!(said, text);
    Ok(())
}
