//! Probability that a plug is free, with those who are on their way to it.

use std::collections::BTreeMap;

/// Most reservations at once: everybody who asks within an hour in a city of a million.
const MAX_HELD: usize = 20_000;

/// Longest reservation, in s: who has not come by then does not come.
const MAX_HELD_S: i64 = 6 * 3600;

/// Plugs that were named to earlier askers: whoever asks next is sent where they do not go.
///
/// A reservation is a hint to this recommender, not a right to a plug. It should end when the network's statuses show the
/// vehicle, soon after arrival, or it would count twice.
#[derive(Debug, Clone, Default)]
pub struct Reservations {
    /// From and until, by EVSE.
    held: BTreeMap<usize, Vec<(i64, i64)>>,
    count: usize,
}

impl Reservations {
    /// Holds an EVSE from one time to another, in seconds since 1970, six hours at most. False, and nothing is held, if there
    /// are too many.
    pub fn hold(&mut self, evse: usize, from: i64, until: i64) -> bool {
        if self.count >= MAX_HELD {
            self.expire(from);
        }
        if self.count >= MAX_HELD || until < from {
            return false;
        }
        self.held.entry(evse).or_default().push(bounded(from, until));
        self.count += 1;
        true
    }

    /// Gives back what [`Reservations::hold`] held: the driver has come, or does not come.
    pub fn release(&mut self, evse: usize, from: i64, until: i64) {
        let held = self.held.get_mut(&evse);
        let found = held.and_then(|held| {
            let at = held.iter().position(|known| *known == bounded(from, until))?;
            Some(held.swap_remove(at))
        });
        self.count -= usize::from(found.is_some());
    }

    /// Forgets what ended before.
    pub fn expire(&mut self, now: i64) {
        self.held.retain(|_, held| {
            held.retain(|(_, until)| *until >= now);
            !held.is_empty()
        });
        self.count = self.held.values().map(Vec::len).sum();
    }

    /// How many hold an EVSE at a time.
    pub fn at(&self, evse: usize, at: i64) -> usize {
        let held = self.held.get(&evse).into_iter().flatten();
        held.filter(|(from, until)| (*from..=*until).contains(&at)).count()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

fn bounded(from: i64, until: i64) -> (i64, i64) {
    (from, until.min(from.saturating_add(MAX_HELD_S)))
}

/// P(at least `needed` plugs are free at independent chargers), of P(at least one, at least two, … are free) at each.
pub(super) fn at_least(chargers: &[Vec<f64>], needed: usize) -> f64 {
    if needed > chargers.iter().map(Vec::len).sum() {
        return 0.0;
    }
    // fewer[k]: exactly k so far.
    let mut fewer = vec![0.0; needed];
    if let Some(none) = fewer.first_mut() {
        *none = 1.0;
    }
    for charger in chargers {
        let least = |k: usize| if k == 0 { 1.0 } else { charger.get(k - 1).copied().unwrap_or(0.0) };
        for k in (0..needed).rev() {
            fewer[k] = (0..=k.min(charger.len())).map(|n| fewer[k - n] * (least(n) - least(n + 1))).sum();
        }
    }
    (1.0 - fewer.iter().sum::<f64>()).clamp(0.0, 1.0)
}

/// A probability, whatever was said: what is not known is not relied on.
pub(super) fn probability(p: f64) -> f64 {
    if p.is_nan() { 0.0 } else { p.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_agrees_with_the_formulas() {
        let check = |chargers: &[&[f64]], needed, expected: f64| {
            let chargers: Vec<Vec<f64>> = chargers.iter().map(|charger| charger.to_vec()).collect();
            let found = at_least(&chargers, needed);
            assert!((found - expected).abs() < 1e-12, "{chargers:?} {needed}: {found}");
        };
        check(&[], 0, 1.0);
        check(&[], 1, 0.0);
        check(&[&[0.3]], 1, 0.3);
        check(&[&[0.3], &[0.5]], 1, 1.0 - 0.7 * 0.5);
        check(&[&[0.3], &[0.5]], 2, 0.15);
        check(&[&[0.5], &[0.5], &[0.5]], 2, 0.5);
        check(&[&[0.5, 0.2]], 2, 0.2);
        // Both of the first, or one of it and the second.
        check(&[&[0.5, 0.2], &[0.4]], 2, 0.2 + 0.3 * 0.4);
    }

    #[test]
    fn reservations_end() {
        let mut held = Reservations::default();
        assert!(held.hold(3, 100, 200) && held.hold(3, 150, i64::MAX) && !held.hold(3, 10, 5));
        assert_eq!([99, 100, 150, 201, 150 + MAX_HELD_S + 1].map(|at| held.at(3, at)), [0, 1, 2, 1, 0]);
        held.expire(201);
        assert_eq!((held.len(), held.at(3, 150)), (1, 1));
        held.release(3, 150, i64::MAX);
        held.release(3, 150, i64::MAX);
        assert!(held.is_empty() && held.at(3, 150) == 0);
        for _ in 0..2 * MAX_HELD {
            held.hold(4, 300, 400);
        }
        assert_eq!(held.len(), MAX_HELD);
    }
}
