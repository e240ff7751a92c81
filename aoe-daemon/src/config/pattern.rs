//! Which interfaces are meant: a name, or a pattern for names.

use std::fmt;
use std::str::FromStr;

use glob::Pattern;
use thiserror::Error;

/// Most bytes that the name of an interface can have: `IFNAMSIZ` less its final zero.
const MAX_NAME: usize = 15;
/// Most bytes of a pattern. Each byte of a name may take a class such as `[0-9]`.
const MAX_PATTERN: usize = 128;

/// The name of a network interface, or a pattern that names match as a whole: `*` stands for any
/// characters, `?` for one, `[0-9]` and `[abc]` for one of these, `[!0-9]` for one of the others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfacePattern(Pattern);

/// Why something is neither an interface's name nor a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    /// It is empty.
    #[error("it is empty; `ip link` lists the names")]
    Empty,
    /// It has more bytes than an interface's name, or than a pattern needs.
    #[error("names have at most {MAX_NAME} bytes, and patterns {MAX_PATTERN}")]
    TooLong,
    /// It has characters that the name of an interface can't have, or is one of `.` and `..`.
    #[error("no name has spaces, control characters, / or :")]
    Name,
    /// Its brackets or stars make no pattern.
    #[error(
        "in patterns * stands for any characters, ? for one, [abc] and [0-9] for one of these, \
         [!abc] for one of the others"
    )]
    Syntax,
}

impl InterfacePattern {
    /// Whether this means the interface of this name.
    pub fn matches(&self, name: &str) -> bool {
        self.0.matches(name)
    }

    /// Whether it may mean several interfaces.
    pub fn is_pattern(&self) -> bool {
        is_pattern(self.0.as_str())
    }

    /// What was given: the name, or the pattern.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether there can be an interface that both mean. Not known, and so taken to be possible,
    /// where both are patterns.
    pub fn may_meet(&self, other: &Self) -> bool {
        match (self.is_pattern(), other.is_pattern()) {
            (true, true) => true,
            (_, false) => self.matches(other.as_str()),
            (false, true) => other.matches(self.as_str()),
        }
    }
}

impl FromStr for InterfacePattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let limit = if is_pattern(text) { MAX_PATTERN } else { MAX_NAME };
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > limit {
            return Err(PatternError::TooLong);
        }
        let is_foreign =
            |letter: char| letter.is_whitespace() || letter.is_control() || "/:".contains(letter);
        if text == "." || text == ".." || text.contains(is_foreign) {
            return Err(PatternError::Name);
        }
        Pattern::new(text).map(Self).map_err(|_| PatternError::Syntax)
    }
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

impl fmt::Display for InterfacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> InterfacePattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_means_itself() {
        let name = pattern("ens33.5");
        assert!(!name.is_pattern());
        assert!(name.matches("ens33.5"));
        for other in ["ens33", "ens33x5", "ens33.55", "Ens33.5", ""] {
            assert!(!name.matches(other), "{other}");
        }
        assert_eq!(name.to_string(), "ens33.5");
    }

    #[test]
    fn a_pattern_means_what_matches_as_a_whole() {
        let cases: [(&str, &[&str], &[&str]); 6] = [
            ("*", &["a", "ens33", ".x"], &[]),
            ("ens*", &["ens", "ens33", "ens33.5"], &["xens", "en"]),
            ("eth?", &["eth0", "ethx"], &["eth", "eth10"]),
            ("eth[0-3]", &["eth0", "eth3"], &["eth4", "eth"]),
            ("eth[!0-3]*", &["eth4", "eth45", "ethx"], &["eth0", "eth"]),
            ("*p[ab]*", &["enp0pa", "pb"], &["enp0s3"]),
        ];
        for (text, matching, others) in cases {
            let pattern = pattern(text);
            assert!(pattern.is_pattern(), "{text}");
            assert!(matching.iter().all(|name| pattern.matches(name)), "{text}");
            assert!(!others.iter().any(|name| pattern.matches(name)), "{text}");
        }
    }

    #[test]
    fn what_can_be_no_interface_is_refused() {
        let parse = |text: &str| text.parse::<InterfacePattern>().unwrap_err();
        assert_eq!(parse(""), PatternError::Empty);
        for text in ["interface-of-16b".to_owned(), "*".repeat(200)] {
            assert_eq!(parse(&text), PatternError::TooLong);
        }
        for text in ["a b", "a/b", "a:1", "a\n", ".", "..", "eth*\0"] {
            assert_eq!(parse(text), PatternError::Name);
        }
        for text in ["eth[0-3", "eth[]", "eth**", "***"] {
            assert_eq!(parse(text), PatternError::Syntax);
        }
    }

    #[test]
    fn whether_two_can_mean_one_interface() {
        let meet = |left, right| pattern(left).may_meet(&pattern(right));
        assert!(meet("ens33", "ens33") && meet("ens33", "ens*") && meet("ens*", "ens33"));
        assert!(!meet("ens33", "ens34") && !meet("ens33", "eth*") && !meet("eth*", "ens33"));
        assert!(meet("ens*", "*33"));
    }
}
