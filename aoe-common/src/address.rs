//! Shelf and slot: who a target is, and whom a frame is for.

use core::fmt;
use core::str::FromStr;

/// Shelf on the wire that means every shelf.
pub const EVERY_SHELF: u16 = 0xFFFF;
/// Slot on the wire that means every slot.
pub const EVERY_SLOT: u8 = 0xFF;
/// Shelf that Linux refuses: old appliances announced it while their address switches were unset.
const UNSET_SHELF: u16 = 0x0FFF;

/// The address of one target: no wildcard, and none that initiators refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    shelf: u16,
    slot: u8,
}

impl Address {
    /// Checks an address.
    ///
    /// # Errors
    ///
    /// The wildcards, shelf 65535 and slot 255, and shelf 4095 can't be a target's.
    pub const fn new(shelf: u16, slot: u8) -> Result<Self, AddressError> {
        match (shelf, slot) {
            (EVERY_SHELF, _) => Err(AddressError::WildcardShelf),
            (UNSET_SHELF, _) => Err(AddressError::UnsetShelf),
            (_, EVERY_SLOT) => Err(AddressError::WildcardSlot),
            _ => Ok(Self { shelf, slot }),
        }
    }

    /// The shelf, or major address.
    pub const fn shelf(self) -> u16 {
        self.shelf
    }

    /// The slot, or minor address.
    pub const fn slot(self) -> u8 {
        self.slot
    }

    /// Every form in which a frame may name this target: exactly, or by either wildcard.
    pub const fn names(self) -> [Destination; 4] {
        let Self { shelf, slot } = self;
        [
            Destination { shelf, slot },
            Destination { shelf: EVERY_SHELF, slot },
            Destination { shelf, slot: EVERY_SLOT },
            Destination::EVERY,
        ]
    }
}

/// `e0.1`: shelf 0, slot 1.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}.{}", self.shelf, self.slot)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads `e0.1`; the `e` may be missing.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let digits = text.strip_prefix('e').unwrap_or(text);
        let (shelf, slot) = digits.split_once('.').ok_or(AddressError::Syntax)?;
        // Digits only: to Rust "+1" is a number, too.
        if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(AddressError::Syntax);
        }
        let shelf = shelf.parse().map_err(|_| AddressError::Syntax)?;
        let slot = slot.parse().map_err(|_| AddressError::Syntax)?;
        Self::new(shelf, slot)
    }
}

/// The address field of a frame, where all ones in either part means every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Shelf or [`EVERY_SHELF`].
    pub shelf: u16,
    /// Slot or [`EVERY_SLOT`].
    pub slot: u8,
}

impl Destination {
    /// Every target on the segment.
    pub const EVERY: Self = Self { shelf: EVERY_SHELF, slot: EVERY_SLOT };

    /// Whether either part is a wildcard.
    pub const fn is_wildcard(self) -> bool {
        self.shelf == EVERY_SHELF || self.slot == EVERY_SLOT
    }

    /// Whether the frame is for this target.
    pub const fn matches(self, target: Address) -> bool {
        (self.shelf == EVERY_SHELF || self.shelf == target.shelf)
            && (self.slot == EVERY_SLOT || self.slot == target.slot)
    }
}

impl From<Address> for Destination {
    fn from(address: Address) -> Self {
        Self { shelf: address.shelf, slot: address.slot }
    }
}

/// Why something is no target's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// Shelf 65535.
    WildcardShelf,
    /// Shelf 4095.
    UnsetShelf,
    /// Slot 255.
    WildcardSlot,
    /// Not of the form `e0.1`.
    Syntax,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WildcardShelf => "shelf 65535 means every shelf: use 0 to 65534",
            Self::UnsetShelf => "Linux refuses shelf 4095: use another from 0 to 65534",
            Self::WildcardSlot => "slot 255 means every slot: use 0 to 254",
            Self::Syntax => "an address has the form e0.1: shelf 0 to 65534, slot 0 to 254",
        })
    }
}

impl core::error::Error for AddressError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_initiators_refuse() {
        assert_eq!(Address::new(65535, 0), Err(AddressError::WildcardShelf));
        assert_eq!(Address::new(4095, 0), Err(AddressError::UnsetShelf));
        assert_eq!(Address::new(0, 255), Err(AddressError::WildcardSlot));
        assert!(Address::new(65534, 254).is_ok());
    }

    #[test]
    fn reads_what_it_writes() {
        let address = Address::new(7, 3).unwrap();
        assert_eq!("e7.3".parse(), Ok(address));
        assert_eq!("7.3".parse(), Ok(address));
        extern crate std;
        assert_eq!(std::format!("{address}"), "e7.3");
        for bad in
            ["", "e", "e7", "7.", ".3", "e7.3.1", "ee7.3", "e70000.1", "e1.256", "e-1.2", "e+1.2"]
        {
            assert_eq!(bad.parse::<Address>(), Err(AddressError::Syntax), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_destination_matches_exactly_the_targets_that_list_it(
            shelf in any::<u16>(), slot in any::<u8>(),
            to_shelf in prop_oneof![any::<u16>(), Just(EVERY_SHELF), Just(3)],
            to_slot in prop_oneof![any::<u8>(), Just(EVERY_SLOT), Just(4)],
        ) {
            let to = Destination { shelf: to_shelf, slot: to_slot };
            for address in [Address::new(shelf, slot), Address::new(3, 4)].into_iter().flatten() {
                prop_assert_eq!(to.matches(address), address.names().contains(&to));
            }
        }
    }
}
