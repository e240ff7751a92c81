//! The control socket: one line asks, one JSON document answers.

use super::report::Report;
use anyhow::{Context, Result, anyhow, bail};
use aoe_common::address::Address;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tracing::warn;

/// Asks for a [`Report`].
const STATUS: &str = "status";
/// Asks to have a target forget something: in front of its address, and the words below.
const CLEAR: &str = "clear";
const CONFIG_STRING: &str = "config-string";
const MASK: &str = "mask";
const RESERVATION: &str = "reservation";
const FAILED: &str = "failed";
/// Longest question in bytes.
const MAX_QUESTION: u64 = 256;
/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(5);

/// The daemon's end. Dropping it removes the socket.
pub(super) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Listens at `path`, in the place of a daemon that is gone. To be called within a tokio
    /// runtime.
    ///
    /// # Errors
    ///
    /// Where another daemon listens there, or the path can't be used.
    pub(super) fn bind(path: &Path) -> Result<Self> {
        if BlockingStream::connect(path).is_ok() {
            bail!(
                "{} is the control socket of another running daemon: stop that one, or give this \
                 one another with --control",
                path.display()
            );
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("control socket {}", path.display()));
            }
            _ => {}
        }
        let listener = UnixListener::bind(path).with_context(|| {
            format!("control socket {}: choose another with --control", path.display())
        })?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Reads what clients ask and passes it on, until the daemon ends.
    pub(super) async fn listen(self, asked: mpsc::Sender<Question>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let asked = asked.clone();
                    tokio::spawn(async move {
                        // Whoever dawdles or says nothing is not waited for.
                        let read = tokio::time::timeout(PATIENCE, Question::read(stream));
                        if let Ok(Ok(question)) = read.await {
                            let _ = asked.send(question).await;
                        }
                    });
                }
                Err(error) => {
                    warn!(%error, "the control socket takes no client");
                    tokio::time::sleep(PATIENCE).await;
                }
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Somebody else may have removed it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What a client asks.
pub(super) struct Question {
    stream: UnixStream,
    text: String,
}

impl Question {
    async fn read(mut stream: UnixStream) -> io::Result<Self> {
        let mut text = String::new();
        tokio::io::BufReader::new((&mut stream).take(MAX_QUESTION)).read_line(&mut text).await?;
        Ok(Self { stream, text })
    }

    /// What is wanted; `None` where that can't be understood.
    pub(super) fn wish(&self) -> Option<Wish> {
        let mut words = self.text.split_whitespace();
        match words.next()? {
            STATUS => Some(Wish::Status),
            CLEAR => Clear::parse(words).map(Wish::Clear),
            _ => None,
        }
    }

    /// Answers.
    pub(super) async fn answer(mut self, answer: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_vec(answer)?;
        tokio::time::timeout(PATIENCE, self.stream.write_all(&text)).await?
    }
}

/// What a client wants.
pub(super) enum Wish {
    /// A [`Report`].
    Status,
    /// A target to forget something.
    Clear(Clear),
}

/// What a target, or the file or device behind it, is to forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clear {
    /// The target.
    pub address: Address,
    /// Its config string.
    pub config_string: bool,
    /// Its MAC mask list.
    pub mask: bool,
    /// Who holds it reserved.
    pub reservation: bool,
    /// That writing has failed to the file or device behind it.
    pub failed: bool,
}

impl Clear {
    fn parse<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Self> {
        let address = words.next()?.parse().ok()?;
        let mut clear =
            Self { address, config_string: false, mask: false, reservation: false, failed: false };
        for word in words {
            match word {
                CONFIG_STRING => clear.config_string = true,
                MASK => clear.mask = true,
                RESERVATION => clear.reservation = true,
                FAILED => clear.failed = true,
                _ => return None,
            }
        }
        Some(clear)
    }

    fn text(&self) -> String {
        let words = [
            (self.config_string, CONFIG_STRING),
            (self.mask, MASK),
            (self.reservation, RESERVATION),
            (self.failed, FAILED),
        ];
        let wanted = words.into_iter().filter(|(wanted, _)| *wanted).map(|(_, word)| word);
        let words: Vec<&str> = wanted.collect();
        format!("{CLEAR} {} {}", self.address, words.join(" "))
    }
}

/// The client's end: the status of the daemon that listens at `path`.
///
/// # Errors
///
/// Where no daemon listens there, or it does not answer.
pub fn ask_status(path: &Path) -> Result<Report> {
    ask(path, STATUS)
}

/// The client's end: has a target of the daemon that listens at `path` forget something.
///
/// # Errors
///
/// Where no daemon listens there, or it can't do that.
pub fn clear(path: &Path, clear: &Clear) -> Result<()> {
    ask::<Result<(), String>>(path, &clear.text())?.map_err(|reason| anyhow!(reason))
}

fn ask<T: DeserializeOwned>(path: &Path, question: &str) -> Result<T> {
    let mut stream = BlockingStream::connect(path).with_context(|| {
        format!("no daemon listens at {}: is it running, and with this --control?", path.display())
    })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{question}\n").as_bytes())?;
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .with_context(|| format!("no answer from {}", path.display()))?;
    serde_json::from_str(&text).context("the daemon's answer can't be read: is it another version?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_to_clear_is_understood() {
        let address = Address::new(7, 3).unwrap();
        for bits in 0..16 {
            let clear = Clear {
                address,
                config_string: bits & 1 != 0,
                mask: bits & 2 != 0,
                reservation: bits & 4 != 0,
                failed: bits & 8 != 0,
            };
            let text = clear.text();
            let words = text.split_whitespace().skip(1);
            assert_eq!(Clear::parse(words), Some(clear), "{text}");
        }
        assert_eq!(Clear::parse("e7.3 everything".split(' ')), None);
        assert_eq!(Clear::parse("e7 mask".split(' ')), None);
    }
}
