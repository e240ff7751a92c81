//! MAC mask lists and reservations, with Debian's vblade.
//!
//! vblade 25 aborts on a deletion that finds its address, and mangles lists of three and more: that
//! is tested against a target of the tests' own.

use std::path::Path;

use crate::scripted::beside_target;
use crate::support::{aoe, e0_1, error, inside, printed, refused, vblade};
use anyhow::{Result, ensure};
use aoe_client::reply::Failure;
use aoe_client::request::{Forbidden, MaskEdit};
use aoe_client::{AoeError, Disk, Error, Mac, Options, Port};
use aoe_common::wire::FRAME_HEADER;
use aoe_common::wire::identify::Identify;
use aoe_tests::image::random_image;
use aoe_tests::paths::scratch;
use aoe_tests::process::Process;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

const OTHER: Mac = Mac([2, 0, 0, 0, 0, 7]);
const GROUP: Mac = Mac([3, 0, 0, 0, 0, 9]);

fn target(wire: &Wire, directory: &Path) -> Result<Process> {
    let image = directory.join("disk.img");
    random_image(&image, 1 << 20, 1)?;
    vblade(&wire.target, TARGET_PORT, 1, &[], &image)
}

fn open() -> Result<Port> {
    Ok(Port::open(CLIENT_PORT, e0_1(), Options::default())?)
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn the_mask_is_read_and_added_to() -> Result<()> {
    let directory = scratch()?;
    let wire = Wire::new(Shape::default())?;
    let _target = target(&wire, directory.path())?;
    inside(&wire.client, || {
        let mut port = open()?;
        let own = port.own_mac();
        assert_eq!(port.mask()?, []);
        assert_eq!(port.edit_mask(&[MaskEdit::Add(own)])?, [own]);
        assert_eq!(port.edit_mask(&[MaskEdit::Add(OTHER)])?, [own, OTHER]);
        assert_eq!(port.mask()?, [own, OTHER]);
        let refused = [
            (vec![], Forbidden::NoDirectives),
            (vec![MaskEdit::Add(GROUP)], Forbidden::GroupAddress { mac: GROUP }),
            (vec![MaskEdit::Add(OTHER); 186], Forbidden::ListTooLong { entries: 186, limit: 185 }),
        ];
        for (edits, why) in refused {
            let found = error(port.edit_mask(&edits))?;
            let is_it = matches!(found, Error::Forbidden { forbidden, .. } if forbidden == why);
            ensure!(is_it, "{found}");
        }
        assert_eq!(port.mask()?, [own, OTHER]);
        Ok(())
    })
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn the_command_shuts_nobody_out_by_mistake() -> Result<()> {
    let directory = scratch()?;
    let wire = Wire::new(Shape::default())?;
    let _target = target(&wire, directory.path())?;
    let own = inside(&wire.client, || Ok(open()?.own_mac()))?.to_string();

    assert_eq!(printed(&wire, &["mask", "show", "e0.1"])?, "e0.1 answers everybody\n");
    assert_eq!(printed(&wire, &["mask", "clear", "e0.1"])?, "e0.1 answers everybody\n");
    let shut_out = format!(
        "aoe: that would shut out this station, {own}: put it on the list of e0.1, too, or use \
         --force\n"
    );
    assert_eq!(refused(&wire, &["mask", "add", "e0.1", "02:00:00:00:00:07"])?, shut_out);
    assert_eq!(printed(&wire, &["mask", "add", "e0.1", &own])?, format!("{own}\n"));
    let both = printed(&wire, &["mask", "add", "e0.1", "02:00:00:00:00:07", "--json"])?;
    let json: serde_json::Value = serde_json::from_str(&both)?;
    assert_eq!(json["mask"], serde_json::json!([own, "02:00:00:00:00:07"]));
    assert_eq!(refused(&wire, &["mask", "remove", "e0.1", &own])?, shut_out);
    assert_eq!(aoe(&wire, &["mask", "add", "e0.1", "03:00:00:00:00:07"])?.status.code(), Some(2));
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_reservation_is_made_and_released() -> Result<()> {
    let directory = scratch()?;
    let wire = Wire::new(Shape::default())?;
    let _target = target(&wire, directory.path())?;
    inside(&wire.client, || {
        let mut port = open()?;
        let own = port.own_mac();
        assert_eq!(port.reservation()?, []);
        assert_eq!(port.reserve(&[own, OTHER], false)?, [own, OTHER]);
        assert_eq!(port.reserve(&[OTHER], false)?, [OTHER], "who is on the list may give it away");
        assert_eq!(port.reservation()?, [OTHER]);
        let reserved = |error: &Error| {
            let code = AoeError::TargetReserved;
            matches!(error, Error::Failed { failure: Failure::Aoe(found), .. } if *found == code)
        };
        let refused = error(port.reserve(&[], false))?;
        ensure!(reserved(&refused), "{refused}");
        let mut disk = Disk::attach(port)?;
        let refused = error(disk.read(0, &mut [0; 512]))?;
        ensure!(reserved(&refused), "{refused}");
        let many: Vec<Mac> = (0..240).map(|number| Mac([2, 0, 0, 0, 1, number])).collect();
        assert_eq!(disk.port_mut().reserve(&many, true)?, many);
        assert_eq!(disk.port_mut().reserve(&[], true)?, []);
        disk.read(0, &mut [0; 512])?;
        Ok(())
    })
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn the_command_names_the_holders() -> Result<()> {
    let directory = scratch()?;
    let wire = Wire::new(Shape::default())?;
    let _target = target(&wire, directory.path())?;
    let own = inside(&wire.client, || Ok(open()?.own_mac()))?.to_string();

    assert_eq!(printed(&wire, &["reserve", "show", "e0.1"])?, "e0.1 is not reserved\n");
    assert_eq!(printed(&wire, &["reserve", "set", "e0.1"])?, format!("{own}\n"));
    let given = printed(&wire, &["reserve", "set", "e0.1", "02:00:00:00:00:07"])?;
    assert_eq!(given, "02:00:00:00:00:07\n");
    let by = "target is reserved by 02:00:00:00:00:07: wait for its release, or take it with `aoe \
              reserve set --force`\n";
    let attempts = [
        (
            &["read", "e0.1", "--sectors", "2"][..],
            "standard output: e0.1 failed the read of 2 sectors at 0",
        ),
        (&["flush", "e0.1"], "e0.1 failed FLUSH CACHE"),
        (&["reserve", "set", "e0.1"], "e0.1 failed the change of the reservation"),
        (&["reserve", "release", "e0.1"], "e0.1 failed the change of the reservation"),
    ];
    for (arguments, what) in attempts {
        assert_eq!(refused(&wire, arguments)?, format!("aoe: {what}: {by}"));
    }
    printed(&wire, &["identify", "e0.1"])?;
    let json: serde_json::Value =
        serde_json::from_str(&printed(&wire, &["reserve", "show", "e0.1", "--json"])?)?;
    assert_eq!(json["holders"], serde_json::json!(["02:00:00:00:00:07"]));
    let taken = printed(&wire, &["reserve", "set", "e0.1", "--force"])?;
    assert_eq!(taken, format!("{own}\n"));
    assert_eq!(printed(&wire, &["reserve", "release", "e0.1"])?, "e0.1 is not reserved\n");
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_mask_is_cleared_by_one_edit() -> Result<()> {
    let wire = Wire::new(Shape::default())?;
    let own = inside(&wire.client, || Ok(aoe_client::Initiator::open(CLIENT_PORT)?.mac()))?;
    let listed = [OTHER, own, Mac([2, 0, 0, 0, 0, 8])];
    let answer = |reply: &mut Vec<u8>| {
        let edits = reply[FRAME_HEADER + 1] == 1;
        reply.truncate(FRAME_HEADER);
        reply.extend([0, u8::from(edits), 0, if edits { 0 } else { 3 }]);
        if !edits {
            listed.iter().for_each(|mac| reply.extend([&[0, 0], &mac.0[..]].concat()));
        }
    };
    let clear = || printed(&wire, &["mask", "clear", "e0.1"]);
    let (said, requests) = beside_target(&wire, &Identify::zeroed(), answer, clear)?;
    assert_eq!(said, "e0.1 answers everybody\n");
    let [read, edit] = &requests[..] else { anyhow::bail!("{requests:02x?}") };
    assert_eq!(read[FRAME_HEADER..FRAME_HEADER + 4], [0, 0, 0, 0]);
    assert_eq!(edit[FRAME_HEADER..FRAME_HEADER + 4], [0, 1, 0, 3]);
    let deletions = listed.map(|mac| [&[0, 2], &mac.0[..]].concat()).concat();
    assert_eq!(edit[FRAME_HEADER + 4..FRAME_HEADER + 28], deletions);
    Ok(())
}
