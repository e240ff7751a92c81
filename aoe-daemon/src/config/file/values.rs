//! What the values of keys may be. Each function says of a wrong value what it must be instead.

use super::super::problem::shown;
use super::super::{CacheSize, HugePages, InterfacePattern};
use aoe_common::size::parse_bytes;
use aoe_common::wire::{Mac, SECTOR_SIZE};
use clap::ValueEnum;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use toml::de::{DeInteger, DeValue};

/// A value as messages call it.
pub(super) fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) => "a string".to_owned(),
        DeValue::Integer(number) => integer(number)
            .map_or_else(|| "a number with so many digits".to_owned(), |number| number.to_string()),
        DeValue::Float(_) => "a number with a fraction".to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn integer(number: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}

fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| format!("must be a string, not {}", found(value)))
}

/// A number within limits.
pub(super) fn number(value: &DeValue<'_>, limits: RangeInclusive<u64>) -> Result<u64, String> {
    let number = value.as_integer().and_then(integer);
    let number = number.and_then(|number| u64::try_from(number).ok());
    number.filter(|number| limits.contains(number)).ok_or_else(|| {
        let (low, high) = limits.into_inner();
        format!("must be a number from {low} to {high}, not {}", found(value))
    })
}

/// A time in whole seconds.
pub(super) fn seconds(
    value: &DeValue<'_>,
    limits: RangeInclusive<u64>,
) -> Result<Duration, String> {
    number(value, limits).map(Duration::from_secs)
}

pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("must be true or false, not {}", found(value)))
}

pub(super) fn path(value: &DeValue<'_>) -> Result<PathBuf, String> {
    match text(value)? {
        "" => Err("must be a path, not an empty string".to_owned()),
        path if path.contains('\0') => {
            Err("must be a path, which has no zero characters".to_owned())
        }
        path => Ok(path.into()),
    }
}

/// Bytes in whole sectors, as a number or as a text like `20G`.
pub(super) fn size(value: &DeValue<'_>) -> Result<u64, String> {
    match value {
        DeValue::String(text) => {
            parse_bytes(text).map_err(|error| format!("can't be {}: {error}", shown(text)))
        }
        DeValue::Integer(number) => {
            let number = integer(number).and_then(|number| u64::try_from(number).ok());
            let multiple = number.filter(|number| number.is_multiple_of(SECTOR_SIZE as u64));
            multiple.ok_or_else(|| {
                format!("must be bytes, a multiple of {SECTOR_SIZE}, not {}", found(value))
            })
        }
        other => {
            let found = found(other);
            Err(format!("must be a number of bytes, or a size like \"20G\", not {found}"))
        }
    }
}

pub(super) fn huge_pages(value: &DeValue<'_>) -> Result<HugePages, String> {
    let text = text(value)?;
    text.parse().map_err(|_| format!("must be reserve, use or off, not {}", shown(text)))
}

/// A size, or `all`.
pub(super) fn cache(value: &DeValue<'_>) -> Result<CacheSize, String> {
    match value.as_str() {
        Some("all") => Ok(CacheSize::All),
        _ => size(value).map(CacheSize::Bytes),
    }
}

/// Bytes in whole sectors, at least one of them.
pub(super) fn length(value: &DeValue<'_>) -> Result<u64, String> {
    match size(value)? {
        0 => Err("must not be 0: leave it out for all up to the end of the file".to_owned()),
        bytes => Ok(bytes),
    }
}

pub(super) fn interface(value: &DeValue<'_>) -> Result<InterfacePattern, String> {
    let text = text(value)?;
    text.parse()
        .map_err(|error| format!("must be an interface, and {} is none: {error}", shown(text)))
}

/// One of several words.
pub(super) fn choice<T: ValueEnum>(value: &DeValue<'_>) -> Result<T, String> {
    let text = text(value)?;
    T::from_str(text, false).map_err(|_| {
        let names = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let names: Vec<_> = names.map(|name| name.get_name().to_owned()).collect();
        format!("must be one of {}, not {}", names.join(", "), shown(text))
    })
}

/// A station: the address of one network card.
pub(super) fn station(value: &DeValue<'_>) -> Result<Mac, String> {
    let text = text(value)?;
    let mac: Mac = text.parse().map_err(|_| {
        format!("must be a MAC address like 02:00:00:00:00:01, not {}", shown(text))
    })?;
    if mac.is_group() {
        return Err(format!("must be the MAC address of one station, and {mac} is a group's"));
    }
    Ok(mac)
}

/// Printable ASCII, for IDENTIFY.
pub(super) fn printable(value: &DeValue<'_>, most: usize) -> Result<String, String> {
    let text = text(value)?;
    let fits = (1..=most).contains(&text.len());
    let is_printable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if fits && is_printable && !text.trim().is_empty() {
        return Ok(text.to_owned());
    }
    Err(format!("must be 1 to {most} printable ASCII characters, not {}", shown(text)))
}

/// A text of at most so many bytes.
pub(super) fn bytes(value: &DeValue<'_>, most: usize) -> Result<Vec<u8>, String> {
    let text = text(value)?;
    if text.len() > most {
        return Err(format!("must have at most {most} bytes, not {}", text.len()));
    }
    Ok(text.as_bytes().to_vec())
}

/// A world wide name, as a number or as 16 hexadecimal digits.
pub(super) fn wwn(value: &DeValue<'_>) -> Result<u64, String> {
    let number = match value {
        DeValue::String(text)
            if text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            u64::from_str_radix(text, 16).ok()
        }
        DeValue::Integer(number) => integer(number).and_then(|number| u64::try_from(number).ok()),
        _ => None,
    };
    number.filter(|number| *number != 0).ok_or_else(|| {
        let found = value.as_str().map_or_else(|| found(value), shown);
        format!("must be 16 hexadecimal digits as in \"5000c500a1b2c3d4\", not {found}")
    })
}
