//! Which exports would get in each other's way, because the same bytes of one file are in both.

use std::collections::HashMap;
use std::hash::Hash;

/// Bytes of a file: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    start: u64,
    /// The byte behind the last one.
    end: u64,
}

impl ByteRange {
    /// `length` bytes from `offset`; all of them, and those by which the file will grow, where
    /// `length` is `None`. `None` where there are no such bytes: no length, or an end beyond what
    /// 64 bits count.
    pub fn new(offset: u64, length: Option<u64>) -> Option<Self> {
        let end = match length {
            Some(length) => offset.checked_add(length)?,
            None => u64::MAX,
        };
        (offset < end).then_some(Self { start: offset, end })
    }

    /// The byte behind the last one; `u64::MAX` where there is no last one.
    pub fn end(self) -> u64 {
        self.end
    }

    /// Whether a byte is in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// What one export does with a file, `F` being what tells files apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim<F> {
    /// The file.
    pub file: F,
    /// The bytes that are served.
    pub bytes: ByteRange,
    /// Whether they may be written.
    pub writes: bool,
}

/// Pairs of claims, by their places in `claims`, that can't both be granted: they have a byte in
/// common, and at least one writes. The lower place comes first.
///
/// Every claim that is at odds with another is in at least one pair, but there are never more
/// pairs than claims, so that a thousand copies of one export are a thousand problems and not half
/// a million.
pub fn conflicts<F: Eq + Hash>(claims: &[Claim<F>]) -> Vec<(usize, usize)> {
    let mut by_file: HashMap<&F, Vec<usize>> = HashMap::new();
    for (place, claim) in claims.iter().enumerate() {
        by_file.entry(&claim.file).or_default().push(place);
    }
    let mut pairs: Vec<_> =
        by_file.into_values().flat_map(|places| conflicts_in_file(claims, places)).collect();
    pairs.sort_unstable();
    pairs
}

/// The same for claims of one file, whose places are given in ascending order.
fn conflicts_in_file<F>(claims: &[Claim<F>], mut places: Vec<usize>) -> Vec<(usize, usize)> {
    places.sort_by_key(|place| claims[*place].bytes.start);
    let mut pairs = Vec::new();
    // Of the claims before, those that reach furthest.
    let mut reader: Option<usize> = None;
    let mut writer: Option<usize> = None;
    for place in places {
        let claim = &claims[place];
        let reaches = |other: &usize| claims[*other].bytes.end > claim.bytes.start;
        let of_writer = writer.filter(reaches);
        let other = if claim.writes { of_writer.or(reader.filter(reaches)) } else { of_writer };
        pairs.extend(other.map(|other| (place.min(other), place.max(other))));
        let furthest = if claim.writes { &mut writer } else { &mut reader };
        if furthest.is_none_or(|other| claims[other].bytes.end < claim.bytes.end) {
            *furthest = Some(place);
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claim(file: u8, offset: u64, length: Option<u64>, writes: bool) -> Claim<u8> {
        Claim { file, bytes: ByteRange::new(offset, length).unwrap(), writes }
    }

    #[test]
    fn a_range_has_bytes_and_an_end() {
        assert_eq!(ByteRange::new(512, Some(0)), None);
        assert_eq!(ByteRange::new(u64::MAX, Some(1)), None);
        assert_eq!(ByteRange::new(512, Some(512)).map(ByteRange::end), Some(1024));
        assert_eq!(ByteRange::new(512, None).map(ByteRange::end), Some(u64::MAX));
    }

    #[test]
    fn neighbours_do_not_conflict() {
        let claims = [
            claim(0, 1024, None, true),
            claim(0, 0, Some(512), true),
            claim(0, 512, Some(512), true),
            claim(1, 0, None, true),
        ];
        assert!(conflicts(&claims).is_empty());
    }

    #[test]
    fn one_writer_is_enough_for_a_conflict() {
        let [reader, writer] = [false, true].map(|writes| claim(0, 0, None, writes));
        assert!(conflicts(&[reader.clone(), reader.clone()]).is_empty());
        for pair in [[&reader, &writer], [&writer, &reader], [&writer, &writer]] {
            assert_eq!(conflicts(&pair.map(Clone::clone)), [(0, 1)]);
        }
    }

    #[test]
    fn a_range_within_another_is_found_whatever_lies_between() {
        let claims = [
            claim(0, 0, None, true),
            claim(0, 512, Some(512), false),
            claim(0, 4096, Some(512), true),
        ];
        assert_eq!(conflicts(&claims), [(0, 1), (0, 2)]);
    }

    proptest! {
        #[test]
        fn it_finds_what_comparing_all_pairs_finds(
            parts in prop::collection::vec((0..2_u8, 0..12_u64, 1..6_u64, any::<bool>()), 0..12),
        ) {
            let claims: Vec<_> = parts
                .into_iter()
                .map(|(file, offset, length, writes)| claim(file, offset, Some(length), writes))
                .collect();
            let at_odds = |left: &Claim<u8>, right: &Claim<u8>| {
                left.file == right.file
                    && left.bytes.overlaps(right.bytes)
                    && (left.writes || right.writes)
            };
            let found = conflicts(&claims);
            for (first, second) in &found {
                prop_assert!(first < second && at_odds(&claims[*first], &claims[*second]));
            }
            prop_assert!(found.len() <= claims.len());
            let any = (0..claims.len())
                .any(|place| claims[..place].iter().any(|other| at_odds(other, &claims[place])));
            prop_assert_eq!(any, !found.is_empty());
        }
    }
}
