//! Requests about the config string.

use aoe_common::wire::AoeHeader;
use aoe_common::wire::config::{ConfigHeader, MAX_CONFIG_STRING, sub_command};
use zerocopy::byteorder::network_endian::U16;

use super::{ConfigQuery, Forbidden, Path, check_length};

/// Bytes of a packet in front of the config string.
const HEADERS: usize = size_of::<AoeHeader>() + size_of::<ConfigHeader>();

impl ConfigQuery {
    /// Its number on the wire.
    pub(crate) const fn sub_command(self) -> u8 {
        match self {
            Self::Read => sub_command::READ,
            Self::Test => sub_command::TEST,
            Self::Prefix => sub_command::PREFIX,
            Self::Set => sub_command::SET,
            Self::ForceSet => sub_command::FORCE_SET,
        }
    }
}

pub(super) fn check(path: &Path, query: ConfigQuery, string: &[u8]) -> Result<(), Forbidden> {
    if query == ConfigQuery::Read {
        return check_length(string, 0);
    }
    let limit = MAX_CONFIG_STRING.min(path.mtu.saturating_sub(HEADERS));
    if string.len() > limit {
        return Err(Forbidden::ConfigTooLong { bytes: string.len(), limit });
    }
    Ok(())
}

/// The argument of a query with a string of so many bytes, which have been checked.
pub(super) fn header(query: ConfigQuery, bytes: usize) -> ConfigHeader {
    ConfigHeader {
        buffer_count: U16::ZERO,
        firmware_version: U16::ZERO,
        sector_count: 0,
        version_command: query.sub_command(),
        string_length: U16::new(bytes as u16),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{built, header, padded, path};
    use super::*;
    use crate::request::Operation;
    use aoe_common::address::Destination;

    #[test]
    fn a_read_is_all_zeroes_behind_the_header() {
        let read = Operation::Config(ConfigQuery::Read);
        assert_eq!(built(&path(), read, &[]).unwrap(), padded(header(1)));
        let wrong = Forbidden::WrongData { bytes: 1, expected: 0 };
        assert_eq!(built(&path(), read, b"x"), Err(wrong));
    }

    #[test]
    fn every_other_query_carries_its_string() {
        let queries =
            [ConfigQuery::Test, ConfigQuery::Prefix, ConfigQuery::Set, ConfigQuery::ForceSet];
        for (number, query) in (1..).zip(queries) {
            let mut expected = header(1);
            expected.extend([0, 0, 0, 0, 0, number, 0, 5]);
            expected.extend(b"hello");
            let operation = Operation::Config(query);
            assert_eq!(built(&path(), operation, b"hello").unwrap(), padded(expected));
            let mut expected = header(1);
            expected.extend([0, 0, 0, 0, 0, number, 0, 0]);
            assert_eq!(built(&path(), operation, b"").unwrap(), padded(expected));
        }
    }

    #[test]
    fn strings_end_where_the_protocol_or_the_link_does() {
        let set = Operation::Config(ConfigQuery::Set);
        let frame = built(&path(), set, &[b'x'; 1024]).unwrap();
        assert_eq!((frame.len(), &frame[30..32]), (1056, &[4, 0][..]));
        let too_long = Forbidden::ConfigTooLong { bytes: 1025, limit: 1024 };
        assert_eq!(built(&path(), set, &[b'x'; 1025]), Err(too_long));
        let narrow = Path { mtu: 548, ..path() };
        assert_eq!(built(&narrow, set, &[b'x'; 530]).unwrap().len(), 14 + 548);
        let too_long = Forbidden::ConfigTooLong { bytes: 531, limit: 530 };
        assert_eq!(built(&narrow, set, &[b'x'; 531]), Err(too_long));
    }

    #[test]
    fn everybody_may_be_asked_for_a_string_but_not_given_one() {
        let everybody = Path { to: Destination { shelf: 1, ..Destination::EVERY }, ..path() };
        for query in [ConfigQuery::Test, ConfigQuery::Prefix] {
            assert!(built(&everybody, Operation::Config(query), b"x").is_ok());
        }
        for query in [ConfigQuery::Set, ConfigQuery::ForceSet] {
            let refused = built(&everybody, Operation::Config(query), b"x");
            assert_eq!(refused, Err(Forbidden::WildcardChange));
        }
    }
}
