//! Lists that are edited, and lists that can't be.

use anyhow::{Result, ensure};
use aoe_tests::frame::Request;
use aoe_tests::wire::Shape;

use crate::{
    FRIEND_PORT, LINK_LIMIT, Rig, SILENCE, STRANGER, Stations, answers_soon, expect_dropped, flood,
};

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn lists_of_the_configuration_hold_whatever_the_wire_says() -> Result<()> {
    let rig = Rig::new()?;
    let Stations { mut friend, mut intruder } = rig.stations()?;
    let images = (1..=3).map(|slot| rig.image(slot)).collect::<Result<Vec<_>>>()?;
    let export = |slot: usize, more: &str| {
        let file = images[slot - 1].display();
        format!("[[export]]\nshelf = 0\nslot = {slot}\nfile = \"{file}\"\n{more}\n")
    };
    let daemon = rig.serve_config(
        &[
            export(1, &format!("allow = [\"{}\"]", friend.mac_text())),
            export(2, &format!("deny = [\"{}\"]", intruder.mac_text())),
            export(3, ""),
        ]
        .concat(),
    )?;
    for slot in [1, 2] {
        flood(&daemon, &mut intruder, &Request::config(0, slot))?;
        friend.ask(&Request::config(0, slot))?;
    }
    intruder.ask(&Request::config(0, 3))?;

    // A mask list can't let in whom the configuration keeps out.
    let client = rig.friend()?;
    for address in ["e0.1", "e0.2"] {
        client.run(&["mask", "add", address, &friend.mac_text(), &intruder.mac_text()])?;
    }
    client.run(&["mask", "add", "e0.3", &friend.mac_text()])?;
    expect_dropped(&daemon, &mut intruder, &Request::config(0, 3))?;
    for slot in [1, 2] {
        ensure!(intruder.ask_for(&Request::config(0, slot), SILENCE)?.is_empty(), "e0.{slot}");
        expect_dropped(&daemon, &mut intruder, &Request::config(0, slot))?;
        friend.ask(&Request::config(0, slot))?;
    }
    // But shut out whom it lets in.
    client.run(&["mask", "add", "e0.1", "--force", STRANGER])?;
    client.run(&["mask", "remove", "e0.1", "--force", &friend.mac_text()])?;
    expect_dropped(&daemon, &mut friend, &Request::config(0, 1))?;
    daemon.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn an_edited_list_is_in_force_when_the_edit_is_answered() -> Result<()> {
    let rig = Rig::new()?;
    let daemon = rig.serve(1)?;
    let Stations { friend, mut intruder } = rig.stations()?;
    let client = rig.friend()?;
    let request = Request::config(0, 1);
    intruder.ask(&request)?;
    for _ in 0..3 {
        client.run(&["mask", "add", "e0.1", &friend.mac_text()])?;
        expect_dropped(&daemon, &mut intruder, &request)?;
        client.run(&["mask", "add", "e0.1", &intruder.mac_text()])?;
        intruder.ask(&request)?;
        client.run(&["mask", "remove", "e0.1", &intruder.mac_text()])?;
        expect_dropped(&daemon, &mut intruder, &request)?;
        client.run(&["mask", "clear", "e0.1"])?;
        intruder.ask(&request)?;
    }
    // What the administrator clears, too.
    client.run(&["mask", "add", "e0.1", &friend.mac_text()])?;
    daemon.clear(&["e0.1", "--mask"])?.success()?;
    answers_soon(&mut intruder, &request)?;
    daemon.stop()?;
    Ok(())
}

/// A list that was there before the interface is in force on it.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_list_holds_on_an_interface_that_comes_back() -> Result<()> {
    let rig = Rig::new()?;
    let daemon = rig.serve(1)?;
    let friend = rig.stations()?.friend;
    rig.friend()?.run(&["mask", "add", "e0.1", &friend.mac_text()])?;
    rig.wire.cut()?;
    rig.wire.lay(Shape::default())?;
    rig.wire.add_station(FRIEND_PORT)?;
    daemon.wait_for_status("the interface is served", LINK_LIMIT, |status| {
        status.interface().is_ok_and(|interface| interface.serving)
    })?;
    // Both stations have other addresses now.
    let Stations { mut friend, mut intruder } = rig.stations()?;
    flood(&daemon, &mut intruder, &Request::config(0, 1))?;
    expect_dropped(&daemon, &mut friend, &Request::config(0xffff, 0xff))?;
    daemon.stop()?;
    Ok(())
}
