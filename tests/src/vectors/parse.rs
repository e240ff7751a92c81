//! Lines: sessions, their set-up, and the rows in them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use super::reply::Expected;
use super::request;
use super::tokens::{append, number, split};
use super::{Case, Fault, SECTOR, Session, Setup, Step, Vblade};

/// The sessions that a text describes.
pub(super) fn sessions(text: &str) -> Result<Vec<Session>> {
    let mut parser = Parser::default();
    for (line, text) in joined(text) {
        parser.take(line, &text).with_context(|| format!("line {line}: {text}"))?;
    }
    Ok(parser.sessions)
}

/// The lines with their numbers, without comments, each with its continuations: those that begin
/// with white space.
fn joined(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim_end();
        if line.is_empty() {
            continue;
        }
        match lines.last_mut() {
            Some((_, last)) if line.starts_with(char::is_whitespace) => last.push_str(line),
            _ => lines.push((index + 1, line.to_owned())),
        }
    }
    lines
}

#[derive(Default)]
struct Parser {
    sessions: Vec<Session>,
    /// Content of the session's disk.
    disk: Option<Vec<u8>>,
    /// Names for sequences of words.
    names: BTreeMap<String, Vec<String>>,
}

impl Parser {
    fn take(&mut self, line: usize, text: &str) -> Result<()> {
        if text.contains('|') {
            return self.take_row(line, text);
        }
        let words = self.words(text)?;
        match &words[..] {
            [key, name, attributes @ ..] if key == "session" => {
                let setup = setup(attributes)?;
                self.disk = setup.content();
                self.sessions.push(Session { name: name.clone(), setup, steps: Vec::new() });
            }
            [key, name, equals, rest @ ..] if key == "let" && equals == "=" => {
                self.names.insert(name.clone(), rest.to_vec());
            }
            [key] if key == "restart" => self.session()?.steps.push(Step::Restart),
            [key, lba, rest @ ..] if key == "stored" => {
                let mut data = Vec::new();
                for word in rest {
                    append(&mut data, word, self.disk.as_deref())?;
                }
                let data: Option<Vec<u8>> = data.into_iter().collect();
                let data = data.context("stored data has no free bytes")?;
                ensure!(!data.is_empty() && data.len().is_multiple_of(SECTOR), "no whole sectors");
                let lba = number(lba)? as u64;
                self.session()?.steps.push(Step::Stored { lba, data });
            }
            _ => bail!("neither a row nor a statement"),
        }
        Ok(())
    }

    fn session(&mut self) -> Result<&mut Session> {
        self.sessions.last_mut().context("before any session")
    }

    /// The words of a text, names replaced by what they stand for.
    fn words(&self, text: &str) -> Result<Vec<String>> {
        let mut words = Vec::new();
        for word in split(text) {
            match word.strip_prefix('$') {
                Some(name) => {
                    words.extend(
                        self.names.get(name).with_context(|| format!("no {word}"))?.clone(),
                    );
                }
                None => words.push(word),
            }
        }
        Ok(words)
    }

    /// A row, or one for each of a list of values.
    fn take_row(&mut self, line: usize, text: &str) -> Result<()> {
        let (id, columns) = text.split_once('|').context("no columns")?;
        let Some((id, values)) = id.trim().split_once('[') else {
            return self.take_case(line, id.trim(), columns);
        };
        let values = values.strip_suffix(']').context("values end with ]")?;
        for value in values_of(values)? {
            let value = format!("{value:02x}");
            self.take_case(line, &format!("{id}.{value}"), &columns.replace("@@", &value))?;
        }
        Ok(())
    }

    fn take_case(&mut self, line: usize, id: &str, columns: &str) -> Result<()> {
        let columns: Vec<&str> = columns.split('|').map(str::trim).collect();
        let [request, replies, vblade] = columns[..] else { bail!("a row has four columns") };
        let request = request::frame(&self.words(request)?, self.disk.as_deref())
            .context("in the request")?;
        let vblade = match split(vblade).split_first() {
            Some((word, [])) if word == "=" => Vblade::Same,
            Some((word, reason)) if word == "skip" && !reason.is_empty() => {
                Vblade::Skipped(reason.join(" "))
            }
            _ => Vblade::Differs(self.replies(vblade, &request).context("vblade's")?),
        };
        let replies = self.replies(replies, &request)?;
        let id = id.to_owned();
        let case = Case { id, line, request, replies, vblade };
        self.session()?.steps.push(Step::Case(Box::new(case)));
        Ok(())
    }

    /// `silence`, or replies with a `+` between them.
    fn replies(&self, text: &str, request: &[u8]) -> Result<Vec<Expected>> {
        if text == "silence" {
            return Ok(Vec::new());
        }
        let words = self.words(text)?;
        let session = self.sessions.last().context("before any session")?;
        let from = session.setup.exports[0];
        words
            .split(|word| word == "+")
            .map(|words| Expected::new(words, request, from, self.disk.as_deref()))
            .collect()
    }
}

/// Bytes in hexadecimal, and ranges of them: `00-05 07`.
fn values_of(text: &str) -> Result<Vec<u8>> {
    let mut values = Vec::new();
    for word in text.split_whitespace() {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let byte =
            |digits| u8::from_str_radix(digits, 16).with_context(|| format!("what is {word}?"));
        values.extend(byte(first)?..=byte(last)?);
    }
    Ok(values)
}

/// What the words behind a session's name say of its target.
fn setup(attributes: &[String]) -> Result<Setup> {
    let mut setup = Setup::default();
    for attribute in attributes {
        match attribute.split_once('=') {
            None if attribute == "read-only" => setup.read_only = true,
            None if attribute == "holes" => setup.holes = true,
            Some(("mtu", value)) => setup.mtu = number(value)?,
            Some(("sectors", value)) => setup.sectors = number(value)? as u64,
            Some(("tail", value)) => setup.tail = number(value)? as u64,
            Some(("vlan", value)) => setup.vlan = number(value)? as u16,
            Some(("exports", value)) => {
                let export = |text| {
                    let [high, low, slot] = request::address(text)?;
                    Ok((u16::from_be_bytes([high, low]), slot))
                };
                setup.exports = value.split(',').map(export).collect::<Result<_>>()?;
            }
            Some(("fault", "read")) => setup.fault = Some(Fault::Read),
            Some(("fault", "write")) => setup.fault = Some(Fault::Write),
            _ => bail!("{attribute} is no attribute of a target"),
        }
    }
    Ok(setup)
}
