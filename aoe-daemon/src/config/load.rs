//! A configuration file from its path to what is wrong with it.

use super::disks::Disks;
use super::file::{self, File, FileExport};
use super::problem::{Flaw, Lines, Problem};
use crate::link::Link;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Most bytes of a configuration file: some ten thousand exports.
pub const MAX_BYTES: u64 = 8 << 20;

/// Why a configuration file can't be used.
#[derive(Debug, Error)]
pub enum FileError {
    /// It can't be read.
    #[error("the configuration file {path} can't be read: {source}")]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It has more than [`MAX_BYTES`].
    #[error("the configuration file {path} is too large: at most {MAX_BYTES} bytes are read")]
    TooLarge {
        /// Its path.
        path: PathBuf,
    },
    /// Something in it is wrong.
    #[error("{0}")]
    Wrong(Report),
}

/// What there is to say of a configuration file.
#[derive(Debug)]
pub struct Report {
    /// Its path.
    pub path: PathBuf,
    /// What keeps it from being served.
    pub problems: Vec<Problem>,
    /// What may be meant as it is, or may change.
    pub warnings: Vec<Problem>,
    /// Exports in it, without those that have problems.
    pub exports: usize,
    /// Names and patterns of interfaces in it.
    pub interfaces: usize,
}

/// A line for each problem and warning, and one that sums up where there is no problem.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        let problems = self.problems.iter().map(|problem| format!("{path}:{problem}"));
        let warning = |Problem { line, column, text }: &Problem| {
            format!("{path}:{line}:{column}: warning: {text}")
        };
        let mut lines: Vec<_> = problems.chain(self.warnings.iter().map(warning)).collect();
        if self.problems.is_empty() {
            let exports = counted(self.exports, "export");
            lines.push(format!(
                "{path}: {exports} on {}",
                counted(self.interfaces, "interface pattern")
            ));
        }
        f.write_str(&lines.join("\n"))
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Says what is wrong with a file, and what about it does not fit the machine now. Nothing is
/// opened but the file itself.
///
/// # Errors
///
/// The file can't be read.
pub fn check(path: &Path) -> Result<Report, FileError> {
    let mut report = Checked::new(path)?;
    report.look_for_interfaces();
    Ok(report.into_report())
}

/// Reads a file that is to be served. The paths in it are as they are from here.
///
/// # Errors
///
/// It can't be read, or something in it is wrong.
pub(super) fn load(path: &Path) -> Result<File, FileError> {
    let checked = Checked::new(path)?;
    if checked.problems.is_empty() {
        return Ok(checked.file);
    }
    let mut report = checked.into_report();
    // Those are for `check`: here they would hide what has to be mended before anything is served.
    report.warnings.clear();
    Err(FileError::Wrong(report))
}

/// A file that has been looked at.
struct Checked {
    path: PathBuf,
    text: String,
    file: File,
    problems: Vec<Flaw>,
    warnings: Vec<Flaw>,
}

impl Checked {
    fn new(path: &Path) -> Result<Self, FileError> {
        let (text, flaw) = read(path)?;
        let mut checked = Self {
            path: path.to_owned(),
            text,
            file: File::default(),
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        match flaw {
            Some(flaw) => checked.problems.push(flaw),
            None => checked.look_at_disks(),
        }
        Ok(checked)
    }

    fn look_at_disks(&mut self) {
        let (mut file, mut problems) = file::read(&self.text);
        if let Some(directory) = self.path.parent() {
            resolve(&mut file, directory);
        }
        let mut disks = Disks::default();
        for FileExport { config, bytes, places } in &file.exports {
            disks.look(config, *bytes, places);
        }
        let lines = Lines::new(&self.text);
        problems.extend(file::overlaps(&file, &lines, |export| disks.identity(&export.file)));
        problems.extend(file::disagreements(&file, &lines, |export| disks.identity(&export.file)));
        problems.append(&mut disks.problems);
        self.warnings.append(&mut disks.warnings);
        (self.file, self.problems) = (file, problems);
    }

    fn look_for_interfaces(&mut self) {
        let mut warn = |at, text| self.warnings.push(Flaw { at, text });
        let present = match Link::names() {
            Ok(present) => present,
            Err(error) => return warn(0, error.to_string()),
        };
        for pattern in &self.file.interfaces {
            let (at, pattern) = (pattern.span().start, pattern.get_ref());
            if !present.iter().any(|name| pattern.matches(name)) {
                let what = if pattern.is_pattern() { "like" } else { "named" };
                warn(at, format!("there is no Ethernet interface {what} {pattern} now"));
            }
        }
    }

    fn into_report(self) -> Report {
        let lines = Lines::new(&self.text);
        Report {
            path: self.path,
            problems: lines.locate(self.problems),
            warnings: lines.locate(self.warnings),
            exports: self.file.exports.len(),
            interfaces: self.file.interfaces.len(),
        }
    }
}

/// The text of a file; up to the first byte that is none, if there is one, and then what is wrong.
fn read(path: &Path) -> Result<(String, Option<Flaw>), FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(FileError::TooLarge { path: path.to_owned() });
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok((text, None)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = "this is no TOML: it is not UTF-8 here".to_owned();
            let mut bytes = error.into_bytes();
            bytes.truncate(at);
            Ok((String::from_utf8(bytes).unwrap_or_default(), Some(Flaw { at, text })))
        }
    }
}

/// Paths in the file that do not begin with a slash begin where the file is.
fn resolve(file: &mut File, directory: &Path) {
    let exports = file.exports.iter_mut().map(|export| &mut export.config.file);
    for path in exports.chain(&mut file.control).chain(&mut file.state_dir) {
        *path = directory.join(&path);
    }
}
