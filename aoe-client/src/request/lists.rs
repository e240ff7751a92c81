//! Requests about the two lists of MAC addresses: the mask and the reservation.

use aoe_common::wire::Mac;
use aoe_common::wire::mac_mask::{
    Directive, MacMaskHeader, directive, mask_capacity, mask_command,
};
use aoe_common::wire::reserve::{ReserveHeader, reserve_capacity, reserve_command};
use zerocopy::FromBytes;

use super::{Forbidden, Path};

/// A change of the MAC mask list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskEdit {
    /// Put this address on the list.
    Add(Mac),
    /// Take this address off the list.
    Delete(Mac),
}

impl From<MaskEdit> for Directive {
    fn from(edit: MaskEdit) -> Self {
        let (command, mac) = match edit {
            MaskEdit::Add(mac) => (directive::ADD, mac),
            MaskEdit::Delete(mac) => (directive::DELETE, mac),
        };
        Self { reserved: 0, command, mac }
    }
}

pub(super) fn check_directives(path: &Path, data: &[u8]) -> Result<(), Forbidden> {
    let directives: &[Directive] = entries(data, mask_capacity(path.mtu))?;
    if directives.is_empty() {
        return Err(Forbidden::NoDirectives);
    }
    for (number, &Directive { reserved, command, mac }) in (1..).zip(directives) {
        if reserved != 0 || command > directive::DELETE {
            return Err(Forbidden::BadDirective { number });
        }
        // A group address that has got on the list somehow may be taken off it.
        if command == directive::ADD {
            check_station(mac)?;
        }
    }
    Ok(())
}

pub(super) fn check_holders(path: &Path, data: &[u8]) -> Result<(), Forbidden> {
    let holders: &[Mac] = entries(data, reserve_capacity(path.mtu))?;
    holders.iter().try_for_each(|&mac| check_station(mac))
}

/// The entries of a list that has no more of them than `limit`.
fn entries<T>(data: &[u8], limit: usize) -> Result<&[T], Forbidden>
where
    T: FromBytes + zerocopy::Immutable + zerocopy::KnownLayout + zerocopy::Unaligned,
{
    let bytes = data.len();
    let wrong = Forbidden::WrongData { bytes, expected: bytes - bytes % size_of::<T>() };
    let entries = <[T]>::ref_from_bytes(data).map_err(|_| wrong)?;
    if entries.len() > limit {
        return Err(Forbidden::ListTooLong { entries: entries.len(), limit });
    }
    Ok(entries)
}

fn check_station(mac: Mac) -> Result<(), Forbidden> {
    if mac.is_group() { Err(Forbidden::GroupAddress { mac }) } else { Ok(()) }
}

pub(super) const READ_MASK: MacMaskHeader =
    MacMaskHeader { reserved: 0, command: mask_command::READ, error: 0, count: 0 };

/// The argument of an edit with so many bytes of directives, which have been checked.
pub(super) fn edit_mask(bytes: usize) -> MacMaskHeader {
    let count = (bytes / size_of::<Directive>()) as u8;
    MacMaskHeader { command: mask_command::EDIT, count, ..READ_MASK }
}

pub(super) const READ_RESERVATION: ReserveHeader =
    ReserveHeader { command: reserve_command::READ, count: 0 };

/// The argument of a reservation with so many bytes of addresses, which have been checked.
pub(super) fn reserve(force: bool, bytes: usize) -> ReserveHeader {
    let command = if force { reserve_command::FORCE_SET } else { reserve_command::SET };
    ReserveHeader { command, count: (bytes / size_of::<Mac>()) as u8 }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{built, header, padded, path};
    use super::*;
    use crate::request::Operation;
    use aoe_common::address::Destination;
    use zerocopy::IntoBytes;

    const GROUP: Mac = Mac([3, 0, 0, 0, 0, 9]);

    fn stations(count: usize) -> Vec<Mac> {
        (0..count).map(|number| Mac([2, 0, 0, 0, 1, number as u8])).collect()
    }

    fn adding(count: usize) -> Vec<Directive> {
        stations(count).into_iter().map(|mac| MaskEdit::Add(mac).into()).collect()
    }

    #[test]
    fn reads_of_lists_are_all_zeroes_behind_the_header() {
        assert_eq!(built(&path(), Operation::ReadMask, &[]).unwrap(), padded(header(2)));
        assert_eq!(built(&path(), Operation::ReadReservation, &[]).unwrap(), padded(header(3)));
        let everybody = Path { to: Destination::EVERY, ..path() };
        assert!(built(&everybody, Operation::ReadMask, &[]).is_ok());
        assert!(built(&everybody, Operation::ReadReservation, &[]).is_ok());
    }

    #[test]
    fn an_edit_is_its_directives_in_order() {
        let mac = Mac([2, 0, 0, 0, 0, 7]);
        let directives = [MaskEdit::Delete(mac), MaskEdit::Add(mac)].map(Directive::from);
        let mut expected = header(2);
        expected.extend([0, 1, 0, 2]);
        expected.extend([0, 2, 2, 0, 0, 0, 0, 7]);
        expected.extend([0, 1, 2, 0, 0, 0, 0, 7]);
        let frame = built(&path(), Operation::EditMask, directives.as_bytes()).unwrap();
        assert_eq!(frame, padded(expected));
    }

    #[test]
    fn a_reservation_is_its_addresses() {
        let holders = [Mac([2, 0, 0, 0, 0, 7]), Mac([2, 0, 0, 0, 0, 8])];
        for (force, command) in [(false, 1), (true, 2)] {
            let mut expected = header(3);
            expected.extend([command, 2, 2, 0, 0, 0, 0, 7, 2, 0, 0, 0, 0, 8]);
            let operation = Operation::Reserve { force };
            assert_eq!(built(&path(), operation, holders.as_bytes()).unwrap(), padded(expected));
            let mut release = header(3);
            release.extend([command, 0]);
            assert_eq!(built(&path(), operation, &[]).unwrap(), padded(release));
        }
    }

    #[test]
    fn lists_end_where_their_frame_or_their_count_does() {
        let jumbo = Path { mtu: 9000, ..path() };
        let reserve = Operation::Reserve { force: false };
        for (path, masks, holders) in [(path(), 185, 248), (jumbo, 255, 255)] {
            let frame = built(&path, Operation::EditMask, adding(masks).as_bytes()).unwrap();
            assert_eq!((frame.len(), frame[27]), (28 + masks * 8, masks as u8));
            let too_long = Forbidden::ListTooLong { entries: masks + 1, limit: masks };
            let refused = built(&path, Operation::EditMask, adding(masks + 1).as_bytes());
            assert_eq!(refused, Err(too_long));

            let frame = built(&path, reserve, stations(holders).as_bytes()).unwrap();
            assert_eq!((frame.len(), frame[25]), (26 + holders * 6, holders as u8));
            assert!(frame.len() <= 14 + path.mtu);
            let too_long = Forbidden::ListTooLong { entries: holders + 1, limit: holders };
            assert_eq!(built(&path, reserve, stations(holders + 1).as_bytes()), Err(too_long));
        }
    }

    #[test]
    fn group_addresses_get_on_no_list_but_off_it() {
        let refused = Err(Forbidden::GroupAddress { mac: GROUP });
        let edit =
            |edit: MaskEdit| built(&path(), Operation::EditMask, Directive::from(edit).as_bytes());
        assert_eq!(edit(MaskEdit::Add(GROUP)), refused);
        assert!(edit(MaskEdit::Delete(GROUP)).is_ok());
        let holders = [stations(1)[0], GROUP];
        assert_eq!(built(&path(), Operation::Reserve { force: true }, holders.as_bytes()), refused);
    }

    #[test]
    fn lists_that_say_nothing_or_nonsense_are_refused() {
        assert_eq!(built(&path(), Operation::EditMask, &[]), Err(Forbidden::NoDirectives));
        let nothing = [0, 0, 2, 0, 0, 0, 0, 7];
        assert!(built(&path(), Operation::EditMask, &nothing).is_ok());
        for (reserved, command) in [(0, 3), (0, 9), (1, 1)] {
            let bad = [nothing, [reserved, command, 2, 0, 0, 0, 0, 7]];
            let refused = built(&path(), Operation::EditMask, bad.as_flattened());
            assert_eq!(refused, Err(Forbidden::BadDirective { number: 2 }));
        }
        let wrong = Forbidden::WrongData { bytes: 9, expected: 8 };
        assert_eq!(built(&path(), Operation::EditMask, &[0; 9]), Err(wrong));
        let wrong = Forbidden::WrongData { bytes: 7, expected: 6 };
        assert_eq!(built(&path(), Operation::Reserve { force: true }, &[0; 7]), Err(wrong));
    }

    #[test]
    fn lists_of_everybody_can_not_be_changed() {
        let everybody = Path { to: Destination { slot: 1, ..Destination::EVERY }, ..path() };
        let refused = Err(Forbidden::WildcardChange);
        assert_eq!(built(&everybody, Operation::EditMask, adding(1).as_bytes()), refused);
        assert_eq!(built(&everybody, Operation::Reserve { force: false }, &[]), refused);
    }
}
