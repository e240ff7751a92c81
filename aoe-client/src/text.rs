//! Bytes that need not be text, on a terminal, in JSON and on a command line.

use std::fmt::Write;

/// A config string to look at: as it is, but with escapes for whatever would not print, the
/// double quote and the backslash, and for everything outside ASCII if it is no UTF-8.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let Ok(text) = str::from_utf8(bytes) else { return bytes.escape_ascii().to_string() };
    let mut printable = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter == '\'' {
            printable.push(letter);
        } else {
            printable.extend(letter.escape_debug());
        }
    }
    printable
}

/// A config string for JSON, which has escapes of its own: only what is no UTF-8 is escaped.
pub(crate) fn plain(bytes: &[u8]) -> String {
    str::from_utf8(bytes).map_or_else(|_| bytes.escape_ascii().to_string(), str::to_owned)
}

/// Two hexadecimal digits for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(digits, "{byte:02x}").expect("a string takes everything");
    }
    digits
}

/// Bytes that a command line has as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl std::str::FromStr for Hex {
    type Err = &'static str;

    fn from_str(digits: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "bytes are pairs of hexadecimal digits, such as 68656c6c6f";
        let value = |digit: u8| char::from(digit).to_digit(16).ok_or(WRONG);
        let pairs = digits.as_bytes().chunks(2).map(|pair| match *pair {
            [high, low] => Ok((value(high)? << 4 | value(low)?) as u8),
            _ => Err(WRONG),
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prints_is_shown_as_it_is() {
        assert_eq!(printable(b""), "");
        assert_eq!(printable("it's gr\u{f6}\u{df}er".as_bytes()), "it's gr\u{f6}\u{df}er");
        assert_eq!(printable(b"say \"a\\b\""), r#"say \"a\\b\""#);
    }

    #[test]
    fn what_would_break_a_terminal_is_escaped() {
        assert_eq!(printable(b"a\x1b[2J\n\0"), r"a\u{1b}[2J\n\0");
        assert_eq!(printable("a\u{202e}b".as_bytes()), r"a\u{202e}b");
        assert_eq!(printable(b"gr\xf6\xdfer\x1b"), r"gr\xf6\xdfer\x1b");
    }

    #[test]
    fn json_escapes_for_itself() {
        assert_eq!(plain(b"a\x1b\"\\"), "a\x1b\"\\");
        assert_eq!(plain(b"a\xff\""), r#"a\xff\""#);
    }

    #[test]
    fn hexadecimal_digits_go_both_ways() {
        let bytes = vec![0x00, 0x0F, 0xA5, 0xFF];
        assert_eq!(hex(&bytes), "000fa5ff");
        assert_eq!("000fA5fF".parse(), Ok(Hex(bytes)));
        assert_eq!("".parse(), Ok(Hex(Vec::new())));
        for bad in ["0", "000", "0g", "+1", "0x00", "\u{f6}"] {
            assert!(bad.parse::<Hex>().is_err(), "{bad}");
        }
    }
}
