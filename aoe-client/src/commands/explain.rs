//! What a target knows about an error of its own.

use anyhow::anyhow;
use aoe_client::reply::Failure;
use aoe_client::{AoeError, Error, Mac, Port};

use crate::text::printable;

/// The error with what can be done about it. The target is asked where it knows more.
pub(crate) fn explain(port: &mut Port, error: anyhow::Error) -> anyhow::Error {
    let Some(Error::Failed { failure: Failure::Aoe(code), .. }) = error.downcast_ref() else {
        return error;
    };
    let more = match code {
        AoeError::TargetReserved => port.reservation().map(|holders| reserved(&holders)).ok(),
        AoeError::ConfigStringPresent => port.config_string().map(|string| present(&string)).ok(),
        AoeError::UnrecognizedCommand => Some(": this target does not offer that".to_owned()),
        AoeError::DeviceUnavailable => {
            Some(": what it serves is gone, and its own log may say why".to_owned())
        }
        AoeError::BadArgument | AoeError::UnsupportedVersion => None,
    };
    match more {
        Some(more) => anyhow!("{error:#}{more}"),
        None => error,
    }
}

/// Why a target that nobody has heard of yet may be silent.
pub(crate) fn silence(error: Error) -> anyhow::Error {
    match error {
        Error::Timeout { .. } => anyhow!(
            "{error}: `aoe discover` shows who is there; a target with a MAC mask list answers \
             only the stations on it"
        ),
        error => error.into(),
    }
}

fn reserved(holders: &[Mac]) -> String {
    if holders.is_empty() {
        return ", but was released just now: try again".to_owned();
    }
    let holders = list(holders);
    format!(" by {holders}: wait for its release, or take it with `aoe reserve set --force`")
}

fn present(string: &[u8]) -> String {
    format!(": it is \"{}\", and --force replaces it", printable(string))
}

/// Addresses in one line.
fn list(macs: &[Mac]) -> String {
    macs.iter().map(Mac::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_named() {
        let holders = [Mac([2, 0, 0, 0, 0, 7]), Mac([2, 0, 0, 0, 0, 8])];
        let expected = " by 02:00:00:00:00:07, 02:00:00:00:00:08: wait for its release, or take it \
                        with `aoe reserve set --force`";
        assert_eq!(reserved(&holders), expected);
        assert_eq!(reserved(&[]), ", but was released just now: try again");
    }

    #[test]
    fn strings_are_quoted() {
        assert_eq!(present(b"a\"\x07"), r#": it is "a\"\u{7}", and --force replaces it"#);
    }
}
