//! What is wrong in a configuration file, and where.

use std::fmt;

/// Most problems of one file that are told. Whoever has more has one cause for most of them.
pub const MAX_PROBLEMS: usize = 100;
/// Most characters of what a file says that a message repeats.
const MAX_SHOWN: usize = 40;

/// Something wrong at a place of a file, or worth a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The character of the line, from 1.
    pub column: usize,
    /// What it is and what to do, in one line.
    pub text: String,
}

/// `12:5: what it is`, to be put behind the name of the file and a colon.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.text)
    }
}

/// A problem while the file is still being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    /// The byte of the text where it is.
    pub(super) at: usize,
    /// What it is and what to do, in one line.
    pub(super) text: String,
}

/// Where the lines of a text are.
pub(super) struct Lines<'t> {
    text: &'t str,
    /// The first byte of each line.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let behind = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(behind.map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// The number of the line with this byte, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at)
    }

    /// The problems in the order of their places; of too many only the first.
    pub(super) fn locate(&self, mut flaws: Vec<Flaw>) -> Vec<Problem> {
        flaws.sort_by_key(|flaw| flaw.at);
        let more = flaws.len().saturating_sub(MAX_PROBLEMS);
        flaws.truncate(MAX_PROBLEMS);
        let mut problems: Vec<_> = flaws.into_iter().map(|flaw| self.problem(flaw)).collect();
        if let (1.., Some(last)) = (more, problems.last_mut()) {
            last.text += &format!(" (and {more} more problems after this one)");
        }
        problems
    }

    fn problem(&self, flaw: Flaw) -> Problem {
        let line = self.line(flaw.at);
        let before = self.text.get(self.starts[line - 1]..flaw.at).unwrap_or_default();
        Problem { line, column: before.chars().count() + 1, text: flaw.text }
    }
}

/// What a file says, fit for a line of a message: in quotes, without control characters, and not
/// too long.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaw(at: usize) -> Flaw {
        Flaw { at, text: "x".to_owned() }
    }

    #[test]
    fn lines_and_characters_count_from_one() {
        let lines = Lines::new("ab\nä b\n");
        let places = lines.locate([8, 0, 2, 3, 5].map(flaw).to_vec());
        let places: Vec<_> = places.iter().map(|problem| (problem.line, problem.column)).collect();
        assert_eq!(places, [(1, 1), (1, 3), (2, 1), (2, 2), (3, 1)]);
        assert_eq!(Lines::new("").locate(vec![flaw(0)])[0].to_string(), "1:1: x");
    }

    #[test]
    fn of_too_many_problems_the_first_are_told() {
        let text = "\n".repeat(2 * MAX_PROBLEMS);
        let problems = Lines::new(&text).locate((0..2 * MAX_PROBLEMS).rev().map(flaw).collect());
        assert_eq!(problems.len(), MAX_PROBLEMS);
        assert_eq!(problems[0], Problem { line: 1, column: 1, text: "x".to_owned() });
        assert_eq!(problems[MAX_PROBLEMS - 1].text, "x (and 100 more problems after this one)");
    }

    #[test]
    fn what_is_shown_fits_a_line() {
        assert_eq!(shown("a\n\"b\""), r#""a\n\"b\"""#);
        assert_eq!(shown(&"ä".repeat(50)), format!("\"{}\"…", "ä".repeat(40)));
    }
}
