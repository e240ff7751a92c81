//! What rows are written with: words, and the bytes that they stand for.

use anyhow::{Context, Result, bail, ensure};

use super::{CLIENT, OTHERS, SECTOR, TARGET};
use crate::image::random_bytes;

/// One byte of a frame; `None` where any will do.
pub(super) type Byte = Option<u8>;

/// Splits text at white space, but not between quotation marks.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in text.chars() {
        quoted ^= character == '"';
        if character.is_whitespace() && !quoted {
            words.push(String::new());
        } else if let Some(word) = words.last_mut() {
            word.push(character);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Appends what a word stands for to a frame.
pub(super) fn append(bytes: &mut Vec<Byte>, word: &str, disk: Option<&[u8]>) -> Result<()> {
    if let Some(text) = word.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        bytes.extend(text.bytes().map(Some));
    } else if let Some((name, arguments)) = call(word) {
        let made = made(name, &arguments, disk).with_context(|| format!("what is {word}?"))?;
        bytes.extend(made.into_iter().map(Some));
    } else if word == "words" {
        bytes.extend([Some(0); SECTOR]);
    } else if let Some((words, value)) = word.split_once('=') {
        set_words(bytes, words, value).with_context(|| format!("what is {word}?"))?;
    } else if let Some((digits, times)) = word.split_once('*') {
        let piece = pairs(digits)?;
        for _ in 0..times.parse::<usize>()? {
            bytes.extend(&piece);
        }
    } else {
        bytes.extend(pairs(word)?);
    }
    Ok(())
}

/// The name and the arguments of `name(argument,argument)`.
pub(super) fn call(word: &str) -> Option<(&str, Vec<&str>)> {
    let (name, rest) = word.split_once('(')?;
    Some((name, rest.strip_suffix(')')?.split(',').collect()))
}

/// A number, in hexadecimal after `0x`.
pub(super) fn number(text: &str) -> Result<usize> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => usize::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.with_context(|| format!("{text} is no number"))
}

/// A number of two or four hexadecimal digits and so on, most significant byte first.
pub(super) fn fixed<const N: usize>(digits: &str) -> Result<[u8; N]> {
    let bytes: Option<Vec<u8>> = pairs(digits)?.into_iter().collect();
    let bytes = bytes.with_context(|| format!("{digits} is not fixed"))?;
    bytes.try_into().map_err(|_| anyhow::anyhow!("{digits} does not have {N} bytes"))
}

/// A MAC address: one of the stations, or its bytes.
pub(super) fn mac(text: &str) -> Result<[u8; 6]> {
    Ok(match text {
        "C" => CLIENT,
        "T" => TARGET,
        "X" => OTHERS[0],
        "Y" => OTHERS[1],
        digits => fixed(digits)?,
    })
}

/// Pairs of hexadecimal digits, or of dots for bytes that are free.
fn pairs(text: &str) -> Result<Vec<Byte>> {
    ensure!(text.len().is_multiple_of(2) && text.is_ascii(), "{text} is no sequence of bytes");
    let pair = |at| match &text[at..at + 2] {
        ".." => Ok(None),
        digits => u8::from_str_radix(digits, 16)
            .map(Some)
            .with_context(|| format!("{text} is no sequence of bytes")),
    };
    (0..text.len()).step_by(2).map(pair).collect()
}

/// The bytes of a call.
fn made(name: &str, arguments: &[&str], disk: Option<&[u8]>) -> Result<Vec<u8>> {
    match (name, arguments) {
        ("mac", [station]) => Ok(mac(station)?.to_vec()),
        // MAC addresses 02:ff:00:00:00:00, 02:ff:00:00:00:01 and so on.
        ("macs", [count]) => Ok((0..number(count)?).flat_map(numbered_mac).collect()),
        // The same as directives of a mask list, or as its entries, with this DCmd.
        ("list", [command, count]) => {
            let command = number(command)? as u8;
            let entry = |index| [&[0, command][..], &numbered_mac(index)].concat();
            Ok((0..number(count)?).flat_map(entry).collect())
        }
        ("data", [seed, length]) => Ok(random_bytes(number(length)?, number(seed)? as u64)),
        ("disk", [lba, sectors]) => {
            let (start, length) = (number(lba)? * SECTOR, number(sectors)? * SECTOR);
            let disk = disk.context("this disk has no content")?;
            Ok(disk.get(start..start + length).context("past the end of the disk")?.to_vec())
        }
        // A TRIM range, as DATA SET MANAGEMENT wants it.
        ("range", [lba, sectors]) => {
            let entry = number(lba)? as u64 | (number(sectors)? as u64) << 48;
            Ok(entry.to_le_bytes().to_vec())
        }
        _ => bail!("no such thing"),
    }
}

fn numbered_mac(index: usize) -> [u8; 6] {
    let [high, low] = (index as u16).to_be_bytes();
    [0x02, 0xff, 0, 0, high, low]
}

/// Sets words of the last 512 bytes: `83=7400`, `100-103=....` or `27-46="a model"`.
fn set_words(bytes: &mut [Byte], words: &str, value: &str) -> Result<()> {
    let (first, last) = words.split_once('-').unwrap_or((words, words));
    let (first, last) = (number(first)?, number(last)?);
    let start = bytes.len().checked_sub(SECTOR).context("there are no words")?;
    ensure!(first <= last && last < 256, "no such words");
    let field = &mut bytes[start + 2 * first..start + 2 * last + 2];
    if let Some(text) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        // The first character of each pair is in the high byte, which comes second.
        let padded = text.bytes().chain(std::iter::repeat(b' '));
        for (at, character) in padded.take(field.len()).enumerate() {
            field[at ^ 1] = Some(character);
        }
        return Ok(());
    }
    let value = pairs(value)?;
    let [high, low] = value[..] else { bail!("a word has four digits") };
    for word in field.chunks_exact_mut(2) {
        word.copy_from_slice(&[low, high]);
    }
    Ok(())
}
