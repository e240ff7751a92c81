//! Whether a served file is still what its path leads to.
//!
//! What is open is served in any case: clients must not notice what becomes of a name. But whoever
//! starts the daemon again will not find it, and a file without any name goes with the daemon.

use super::backing::{Backing, Kind};
use super::store::Store;
use rustix::fs::{AtFlags, CWD, Statx, StatxFlags, statx};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::os::fd::AsRawFd;
use tracing::{debug, error, info, warn};

/// What has become of a file since it was opened. Devices are in place as long as they are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sighting {
    /// Its path leads to it.
    #[default]
    InPlace,
    /// Its path leads nowhere, and it has another.
    Moved,
    /// Its path leads to another file, and it has another path.
    Replaced,
    /// It has no path any more.
    Deleted,
    /// It has no path any more, and that which it had leads to another file.
    DeletedAndReplaced,
}

impl Sighting {
    /// Looks.
    fn of(backing: &Backing) -> Result<Self, Errno> {
        if backing.kind != Kind::File {
            return Ok(Self::InPlace);
        }
        // No times: to have been asked for them makes the kernel note them anew with the next write.
        let what = StatxFlags::INO | StatxFlags::NLINK;
        let open = statx(&backing.file, "", AtFlags::EMPTY_PATH, what)?;
        let found = match statx(CWD, &backing.path, AtFlags::empty(), what) {
            Ok(found) => Some(found),
            Err(Errno::NOENT | Errno::NOTDIR) => None,
            Err(other) => return Err(other),
        };
        let identity = |file: &Statx| (file.stx_dev_major, file.stx_dev_minor, file.stx_ino);
        Ok(match found {
            Some(found) if identity(&found) == identity(&open) => Self::InPlace,
            Some(_) if open.stx_nlink == 0 => Self::DeletedAndReplaced,
            Some(_) => Self::Replaced,
            None if open.stx_nlink == 0 => Self::Deleted,
            None => Self::Moved,
        })
    }

    /// Whether its data goes with the daemon.
    const fn is_deleted(self) -> bool {
        matches!(self, Self::Deleted | Self::DeletedAndReplaced)
    }
}

impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InPlace => "it is in its place",
            Self::Moved => "it was moved: no file is in its place",
            Self::Replaced => "it was moved: another file is in its place",
            Self::Deleted => "it was deleted: what is written to it is lost when the daemon ends",
            Self::DeletedAndReplaced => {
                "another file is in its place, and it was deleted: what is written to it is lost \
                 when the daemon ends"
            }
        })
    }
}

impl Store {
    /// Looks whether its file is in its place, and says so in the log where that has changed.
    pub fn look_at_place(&self) {
        let backing = self.backing();
        let path = backing.path.display();
        let sighting = match Sighting::of(backing) {
            Ok(sighting) => sighting,
            Err(reason) => {
                debug!(%path, %reason, "what its path leads to can't be seen");
                return;
            }
        };
        if !self.note_sighting(sighting) {
            return;
        }
        if sighting.is_deleted() {
            let (process, file) = (std::process::id(), backing.file.as_raw_fd());
            error!(
                %path,
                "the file is served on, but {sighting}; to save it, have its clients stop writing, \
                 and then: cp /proc/{process}/fd/{file} NEW"
            );
        } else if sighting == Sighting::InPlace {
            info!(%path, "{sighting} again");
        } else {
            warn!(%path, "the file is served on, but {sighting}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_becomes_of_a_name_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let [path, link, other] = ["file", "link", "other"].map(|name| directory.path().join(name));
        fs::write(&path, [1; 512]).unwrap();
        let backing = Backing::open(&path, false).unwrap();
        let seen = || Sighting::of(&backing).unwrap();
        assert_eq!(seen(), Sighting::InPlace);
        fs::rename(&path, &other).unwrap();
        assert_eq!(seen(), Sighting::Moved);
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert_eq!(seen(), Sighting::InPlace, "by another way");
        fs::remove_file(&path).unwrap();
        fs::write(&path, [2; 512]).unwrap();
        assert_eq!(seen(), Sighting::Replaced);
        fs::rename(&path, &link).unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!(seen(), Sighting::InPlace);
        fs::rename(&link, &path).unwrap();
        assert_eq!(seen(), Sighting::DeletedAndReplaced);
        fs::remove_file(&path).unwrap();
        assert_eq!(seen(), Sighting::Deleted);
        drop(directory);
        assert_eq!(seen(), Sighting::Deleted, "its directory is gone, too");
    }

    #[test]
    fn news_is_told_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let backing = Backing::open(file.path(), false).unwrap().into();
        let store = Store::new(0, backing, crate::config::Durability::Always);
        assert!(!store.note_sighting(Sighting::InPlace));
        assert!(store.note_sighting(Sighting::Deleted) && !store.note_sighting(Sighting::Deleted));
        assert_eq!(store.sighting(), Sighting::Deleted);
    }
}
