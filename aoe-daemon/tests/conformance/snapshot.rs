//! What becomes of a target besides by its frames: sizes, failure, the administrator's lists.

use super::answers;
use super::support::frame::{CLIENT, Frame, Registers, TARGET};
use super::support::rig::{Rig, SECTORS};
use aoe_common::wire::Mac;
use aoe_daemon::target::{Access, Fault, Lists, Operation, Range, Span, Target};

/// Reads one sector and expects this status and error.
#[track_caller]
fn reads(rig: &mut Rig, lba: u64, (status, error): (u8, u8)) {
    let registers = Registers::read48(lba, 1);
    let request = Frame::ata(registers);
    let count = if error == 0 { 0 } else { 1 };
    let mut reply = request.reply(registers.done(status, error, count).bytes());
    if error == 0 {
        let start = lba as usize * 512;
        reply = reply.with_data(&rig.disk().bytes[start..start + 512]);
    }
    answers(rig, &format!("a read of sector {lba}"), &request, &reply);
}

/// The number of sectors that IDENTIFY DEVICE tells.
fn told(rig: &mut Rig) -> u64 {
    let request = Frame::ata(Registers { count: 1, ..Registers::command(0xEC) });
    let reply = rig.ask_one(&request.bytes()).expect("IDENTIFY is answered");
    // Words 100 to 103.
    u64::from_le_bytes(reply[36 + 200..36 + 208].try_into().expect("eight bytes"))
}

#[test]
fn what_can_not_be_reached_is_out_of_range_and_the_size_stays() {
    let mut rig = Rig::new(1500);
    rig.export().change(|target| target.with_reachable(8));
    assert_eq!(rig.export().target.reachable(), 8);
    reads(&mut rig, 7, (0x40, 0));
    reads(&mut rig, 8, (0x41, 0x10));
    assert_eq!(told(&mut rig), SECTORS);
}

#[test]
fn a_disk_of_another_size_is_told_and_reached() {
    let mut rig = Rig::new(1500);
    rig.export().change(|target| target.with_reachable(8).with_sectors(16));
    assert_eq!(rig.export().target.reachable(), 16);
    assert_eq!(rig.export().target.description().sectors, 16);
    reads(&mut rig, 15, (0x40, 0));
    reads(&mut rig, 16, (0x41, 0x10));
    assert_eq!(told(&mut rig), 16);
}

#[test]
fn a_target_knows_whether_it_has_failed() {
    let mut rig = Rig::new(1500);
    assert!(!rig.export().target.is_failed());
    rig.export().change(Target::failed);
    assert!(rig.export().target.is_failed());
}

#[test]
fn look_ahead_is_described() {
    let mut rig = Rig::new(1500);
    for on in [false, true] {
        rig.export().change(|target| target.with_look_ahead(on));
        assert_eq!(rig.export().target.description().look_ahead, on);
    }
}

#[test]
fn an_edit_in_between_takes_the_permission() {
    let mut rig = Rig::new(1500);
    let (client, other) = (Mac(CLIENT), Mac(TARGET));
    let mut permits = |lists| {
        rig.export().change(|target| target.with_lists(lists));
        rig.export().target.still_permits(client)
    };
    let mask = |station| Lists { mask: vec![station], ..Lists::default() };
    let reserved = |station| Lists { reserved: vec![station], ..Lists::default() };
    assert_eq!(permits(Lists::default()), Ok(()));
    assert_eq!((permits(mask(client)), permits(mask(other))), (Ok(()), Err(Fault::Masked)));
    assert_eq!(
        (permits(reserved(client)), permits(reserved(other))),
        (Ok(()), Err(Fault::Reserved))
    );
}

#[test]
fn writes_and_trims_change_data() {
    let range = Range { lba: 0, sectors: 1 };
    let changing = [Operation::Write { range, fua: false }, Operation::Trim];
    assert!(changing.iter().all(Operation::changes_data));
    let others = [
        Operation::Read(Range { lba: 0, sectors: 1 }),
        Operation::Verify(Span { lba: 0, sectors: 1 }),
        Operation::Flush,
        Operation::LookAhead(true),
    ];
    assert!(!others.iter().any(Operation::changes_data));
}

#[test]
fn access_is_open_while_nobody_is_listed() {
    let client = [Mac(CLIENT)];
    assert!(Access::default().is_open());
    assert!(!Access::new(&client, &[]).is_open());
    assert!(!Access::new(&[], &client).is_open());
    assert_eq!(Access::new(&client, &[]).allow(), client);
    assert_eq!(Access::new(&[], &client).deny(), client);
}

#[test]
fn what_is_too_long_to_be_told_is_not_remembered() {
    let longest = Lists {
        config_string: vec![b'x'; 1024],
        mask: vec![Mac(CLIENT); 255],
        reserved: vec![Mac(CLIENT); 255],
    };
    assert_eq!(longest.check(), Ok(()));
    let mut longer = [longest.clone(), longest.clone(), longest];
    longer[0].config_string.push(b'x');
    longer[1].mask.push(Mac(CLIENT));
    longer[2].reserved.push(Mac(CLIENT));
    let complaints = longer.map(|lists| lists.check().unwrap_err().to_string());
    assert_eq!(
        complaints,
        [
            "the config string is too long: 1025 of at most 1024",
            "the MAC mask list is too long: 256 of at most 255",
            "the reservation is too long: 256 of at most 255",
        ]
    );
}
