//! Where targets keep what they remember: a file for each, in the state directory.
//!
//! A file is replaced as a whole: the new one is written beside it, made durable, and renamed. So
//! there is the old state or the new one, whenever the power fails.

mod file;

use crate::patience::while_busy;
use crate::target::Lists;
use anyhow::{Context, Result, anyhow, bail};
use aoe_common::address::Address;
use rustix::fs::{Access, FlockOperation, access, flock};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tracing::warn;

/// The state directory.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Locked, so that no other daemon replaces what this one remembers. `None` where the
    /// directory can't be used: then nothing is remembered.
    lock: Option<File>,
}

/// The place of one target's state.
#[derive(Debug)]
pub struct Store {
    /// `None` where nothing can be remembered.
    path: Option<PathBuf>,
}

impl StateDir {
    /// Opens a state directory, and makes it where it is missing. One that can't be used is warned
    /// of: the targets then start with empty lists, and refuse edits.
    ///
    /// # Errors
    ///
    /// Where another daemon uses it: what that remembers must not be overruled.
    pub fn open(path: &Path) -> Result<Self> {
        let opened = fs::create_dir_all(path).and_then(|()| File::open(path));
        let lock = match opened {
            Ok(directory) => {
                let lock = || flock(&directory, FlockOperation::NonBlockingLockExclusive);
                let busy = |error: &Errno| *error == Errno::WOULDBLOCK;
                match while_busy(&path.display().to_string(), busy, lock) {
                    Ok(()) => {
                        warn_if_read_only(path);
                        Some(directory)
                    }
                    Err(Errno::WOULDBLOCK) => bail!(
                        "{} is the state directory of another running daemon: stop that one, or \
                         give this one another with --state-dir",
                        path.display()
                    ),
                    Err(error) => refuse(path, &error.into()),
                }
            }
            Err(error) => refuse(path, &error),
        };
        Ok(Self { path: path.to_owned(), lock })
    }

    /// What a target remembers, with the place to keep that; `None` where it has never been asked
    /// to remember anything.
    ///
    /// A state that can't be read is warned of. One that is damaged is kept under another name.
    pub fn load(&self, address: Address) -> (Option<Lists>, Store) {
        if self.lock.is_none() {
            return (None, Store { path: None });
        }
        let path = self.path.join(format!("{address}.json"));
        match read(&path) {
            Ok(lists) => (lists, Store { path: Some(path) }),
            Err(error) => {
                warn!(
                    export = %address,
                    error = format!("{error:#}"),
                    "the export starts with empty lists, and takes no edits"
                );
                (None, Store { path: None })
            }
        }
    }
}

fn warn_if_read_only(path: &Path) {
    if let Err(error) = access(path, Access::WRITE_OK) {
        warn!(
            path = %path.display(),
            %error,
            "the state directory can't be written: config strings, MAC masks and reservations are \
             in force and can't be changed"
        );
    }
}

fn refuse(path: &Path, error: &io::Error) -> Option<File> {
    warn!(
        path = %path.display(),
        %error,
        "the state directory can't be used: config strings, MAC masks and reservations are empty \
         and can't be changed; give another with --state-dir"
    );
    None
}

/// Reads a state file; `None` where there is none. A damaged one is put aside.
fn read(path: &Path) -> Result<Option<Lists>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    match file::parse(&text) {
        Ok(lists) => Ok(Some(lists)),
        Err(damage) => {
            let kept = free_name(path);
            fs::rename(path, &kept).with_context(|| {
                format!("{} is damaged ({damage}) and can't be put aside", path.display())
            })?;
            warn!(
                kept = %kept.display(),
                damage = format!("{damage:#}"),
                "a damaged state file was put aside: its export starts with empty lists"
            );
            Ok(None)
        }
    }
}

/// A name beside a state file for a damaged one, that no other damaged one has.
fn free_name(path: &Path) -> PathBuf {
    let names = (2..).map(|number| path.with_extension(format!("json.{number}.bad")));
    let mut names = [path.with_extension("json.bad")].into_iter().chain(names);
    names.find(|name| !name.exists()).expect("there are more numbers than files")
}

impl Store {
    /// A place where nothing is kept: every edit is refused.
    pub const fn nowhere() -> Self {
        Self { path: None }
    }

    /// Whether anything can be remembered.
    pub const fn is_usable(&self) -> bool {
        self.path.is_some()
    }

    /// Remembers this, durably.
    ///
    /// # Errors
    ///
    /// Where it can't: then the state before is kept, unless only the very last step has failed,
    /// making the new name durable: then the next start finds the one or the other.
    pub fn save(&self, lists: &Lists) -> Result<()> {
        let path = self.path.as_ref().ok_or_else(|| anyhow!("there is no state directory"))?;
        replace(path, &file::format(lists)?).with_context(|| path.display().to_string())
    }
}

/// Replaces a file as a whole, durably.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aoe_common::wire::Mac;

    fn address() -> Address {
        Address::new(0, 1).unwrap()
    }

    fn lists() -> Lists {
        Lists {
            config_string: vec![0, 255, b'x'],
            mask: vec![Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2])],
            reserved: vec![Mac([2, 0, 0, 0, 0, 1])],
        }
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("made/on/the/way");
        let state = StateDir::open(&path).unwrap();
        let (none, store) = state.load(address());
        assert_eq!(none, None);
        for lists in [lists(), Lists::default(), lists()] {
            store.save(&lists).unwrap();
            assert_eq!(state.load(address()).0, Some(lists));
        }
        assert_eq!(state.load(Address::new(0, 2).unwrap()).0, None, "another target's");
        assert_eq!(path.read_dir().unwrap().count(), 1, "one file for each");
    }

    #[test]
    fn a_half_written_state_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        let (_, store) = state.load(address());
        store.save(&lists()).unwrap();
        // As a crash between writing and renaming leaves it.
        fs::write(directory.path().join("e0.1.json.new"), b"{").unwrap();
        let (loaded, store) = state.load(address());
        assert_eq!(loaded, Some(lists()));
        store.save(&Lists::default()).unwrap();
        assert_eq!(state.load(address()).0, Some(Lists::default()));
    }

    #[test]
    fn a_damaged_state_is_kept_aside() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        let file = directory.path().join("e0.1.json");
        fs::write(&file, b"{\"version\": 1, \"mac").unwrap();
        let (lists, store) = state.load(address());
        assert_eq!(lists, None);
        assert!(store.is_usable());
        assert!(!file.exists());
        let kept = directory.path().join("e0.1.json.bad");
        assert_eq!(fs::read(&kept).unwrap(), b"{\"version\": 1, \"mac");
        fs::write(&file, b"worse").unwrap();
        assert_eq!(state.load(address()).0, None);
        assert_eq!(fs::read(kept).unwrap(), b"{\"version\": 1, \"mac", "the first one stays");
        assert_eq!(fs::read(directory.path().join("e0.1.json.2.bad")).unwrap(), b"worse");
    }

    #[test]
    fn two_daemons_do_not_share_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let first = StateDir::open(directory.path()).unwrap();
        let error = StateDir::open(directory.path()).unwrap_err().to_string();
        assert!(error.contains("--state-dir"), "{error}");
        drop(first);
        assert!(StateDir::open(directory.path()).is_ok());
    }

    #[test]
    fn without_a_directory_nothing_is_remembered() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let state = StateDir::open(&file.path().join("below a file")).unwrap();
        let (lists, store) = state.load(address());
        assert_eq!(lists, None);
        assert!(!store.is_usable() && store.save(&Lists::default()).is_err());
    }

    #[test]
    fn what_can_not_be_saved_leaves_what_was() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        let (_, store) = state.load(address());
        store.save(&lists()).unwrap();
        // The new file can't be made where a directory is.
        fs::create_dir(directory.path().join("e0.1.json.new")).unwrap();
        assert!(store.save(&Lists::default()).is_err());
        assert_eq!(state.load(address()).0, Some(lists()));
    }
}
