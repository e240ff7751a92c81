//! Who may talk to some target of a name: what the XDP program can drop for all of them.

use crate::target::Target;
use aoe_common::steer::{ADMIT, Filter, REFUSE};
use aoe_common::wire::Mac;
use std::collections::BTreeSet;

/// A set of stations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sources {
    /// These.
    Only(BTreeSet<Mac>),
    /// All but these.
    AllBut(BTreeSet<Mac>),
}

impl Sources {
    /// No station.
    pub const fn nobody() -> Self {
        Self::Only(BTreeSet::new())
    }

    /// Those that a target admits.
    pub fn of(target: &Target) -> Self {
        let (access, mask) = (target.access(), &target.lists().mask);
        if access.allow().is_empty() && mask.is_empty() {
            return Self::AllBut(access.deny().iter().copied().collect());
        }
        let listed = access.allow().iter().chain(mask).copied();
        Self::Only(listed.filter(|station| target.admits(*station)).collect())
    }

    /// Those that are in either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(one), Self::Only(other)) => Self::Only(&one | &other),
            (Self::AllBut(one), Self::AllBut(other)) => Self::AllBut(&one & &other),
            (Self::AllBut(but), Self::Only(only)) | (Self::Only(only), Self::AllBut(but)) => {
                Self::AllBut(&but - &only)
            }
        }
    }

    /// How the XDP program is told, with what it is told of single stations.
    pub fn filter(&self) -> (Filter, impl Iterator<Item = (Mac, u8)>) {
        let (filter, stations, entry) = match self {
            Self::AllBut(but) if but.is_empty() => (Filter::Everybody, but, REFUSE),
            Self::AllBut(but) => (Filter::Unlisted, but, REFUSE),
            Self::Only(only) => (Filter::Listed, only, ADMIT),
        };
        (filter, stations.iter().map(move |station| (*station, entry)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Access, Lists};
    use aoe_common::address::Address;
    use aoe_common::steer::{Admission, admission};
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Few, so that they meet.
    fn station() -> impl Strategy<Value = Mac> {
        (0..4_u8).prop_map(|number| Mac([2, 0, 0, 0, 0, number]))
    }

    fn target() -> impl Strategy<Value = Target> {
        let list = || vec(station(), 0..3);
        (list(), list(), list()).prop_map(|(allow, deny, mask)| {
            let description = crate::target::identify::Description::of_size(8);
            Target::new(Address::new(0, 1).unwrap(), description)
                .with_access(Access::new(&allow, &deny))
                .with_lists(Lists { mask, ..Lists::default() })
        })
    }

    proptest! {
        /// The program drops exactly what every target of the name drops.
        #[test]
        fn nobody_is_dropped_whom_a_target_admits(targets in vec(target(), 1..5)) {
            let sources = targets.iter().map(Sources::of).fold(Sources::nobody(), Sources::or);
            let (filter, entries) = sources.filter();
            let entries: Vec<_> = entries.collect();
            for number in 0..5 {
                let source = Mac([2, 0, 0, 0, 0, number]);
                let entry = || entries.iter().find(|(mac, _)| *mac == source).map(|(_, of)| *of);
                let admitted = targets.iter().any(|target| target.admits(source));
                let got = admission(filter as u8, entry) == Admission::Admitted;
                prop_assert_eq!(got, admitted, "{:?}: {:?}", source, sources);
            }
        }
    }
}
