//! The control socket: one line asks, one JSON document answers.

use super::report::Report;
use anyhow::{Context, Result, bail};
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

    /// Whether it asks for the status.
    pub(super) fn is_status(&self) -> bool {
        self.text.trim_end() == STATUS
    }

    /// Answers with the status; what can't be understood gets no answer.
    pub(super) async fn answer(mut self, report: &Report) -> io::Result<()> {
        let text = serde_json::to_vec(report)?;
        tokio::time::timeout(PATIENCE, self.stream.write_all(&text)).await?
    }
}

/// The client's end: the status of the daemon that listens at `path`.
///
/// # Errors
///
/// Where no daemon listens there, or it does not answer.
pub fn ask_status(path: &Path) -> Result<Report> {
    let mut stream = BlockingStream::connect(path).with_context(|| {
        format!("no daemon listens at {}: is it running, and with this --control?", path.display())
    })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{STATUS}\n").as_bytes())?;
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .with_context(|| format!("no answer from {}", path.display()))?;
    serde_json::from_str(&text).context("the daemon's answer can't be read: is it another version?")
}
