//! What the rounds have shown of one thing.

/// One value of each round.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Samples(Vec<f64>);

impl Samples {
    /// Adds the value of a round.
    pub(super) fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    /// All of them, in the order of the rounds.
    pub(super) fn all(&self) -> &[f64] {
        &self.0
    }

    /// The one in the middle, or what is between the two there; `None` where there are none.
    pub(super) fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = sorted[(sorted.len() - 1) / 2];
        Some(f64::midpoint(lower, upper))
    }

    /// The least and the greatest; `None` where there are none.
    pub(super) fn spread(&self) -> Option<(f64, f64)> {
        let least = self.0.iter().copied().reduce(f64::min)?;
        Some((least, self.0.iter().copied().reduce(f64::max)?))
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Samples {
        values.iter().copied().collect()
    }

    #[test]
    fn one_that_is_far_off_does_not_move_the_median() {
        assert_eq!(of(&[3.0, 1000.0, 1.0, 2.0, 4.0]).median(), Some(3.0));
        assert_eq!(of(&[3.0, 1000.0, 1.0, 2.0]).median(), Some(2.5));
        assert_eq!(of(&[7.0]).median(), Some(7.0));
        assert_eq!(of(&[]).median(), None);
    }

    #[test]
    fn the_spread_has_every_value() {
        assert_eq!(of(&[3.0, 1000.0, 1.0]).spread(), Some((1.0, 1000.0)));
        assert_eq!(of(&[]).spread(), None);
    }
}
