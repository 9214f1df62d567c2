//! Cycles in a course of charge, as they come: rainflow counting by four points (ASTM E1049-85, 5.4.4; Amzallag et al., Int.
//! J. Fatigue 16:287, 1994).

use serde::{Deserialize, Serialize};

/// Moves of SoC below this are noise of the estimate, not cycles.
const LEAST: f64 = 0.002;

/// Turning points kept at most: nested cycles deeper than this are closed as halves.
const MOST: usize = 256;

/// A turning point, with sums since the beginning, so that a cycle knows its means.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Turn {
    /// State of charge.
    pub soc: f64,
    /// Charge moved so far, both directions, in Ah.
    pub moved_ah: f64,
    /// ∫ temperature d(charge moved), in °C Ah.
    pub temp_c_ah: f64,
    /// Time so far in which current flowed, in h.
    pub active_h: f64,
}

/// A cycle, or half of one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cycle {
    /// Where it began and turned.
    pub turns: [Turn; 2],
    /// 1 or ½.
    pub count: f64,
}

/// Counts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Rainflow {
    turns: Vec<Turn>,
    /// The furthest point since the last turn: a turn itself if the course goes back from it.
    newest: Option<Turn>,
}

impl Rainflow {
    /// Takes the next point; cycles that it closes go to `each`.
    pub fn push(&mut self, point: Turn, mut each: impl FnMut(Cycle)) {
        if !point.soc.is_finite() {
            return;
        }
        let Some(newest) = self.newest else {
            self.turns.push(point);
            self.newest = Some(point);
            return;
        };
        let last = self.turns.last().map_or(newest.soc, |turn| turn.soc);
        let onwards = (newest.soc - last) * (point.soc - newest.soc) >= 0.0;
        if onwards {
            self.newest = Some(point);
            return;
        }
        if (point.soc - newest.soc).abs() < LEAST {
            return;
        }
        if (newest.soc - last).abs() >= LEAST {
            self.turns.push(newest);
            self.close(&mut each);
        }
        self.newest = Some(point);
    }

    fn close(&mut self, each: &mut impl FnMut(Cycle)) {
        while let [.., a, b, c, d] = self.turns[..] {
            let inner = (c.soc - b.soc).abs();
            if inner > (b.soc - a.soc).abs() || inner > (d.soc - c.soc).abs() {
                break;
            }
            each(Cycle { turns: [b, c], count: 1.0 });
            let at = self.turns.len() - 3;
            self.turns.drain(at..at + 2);
        }
        if self.turns.len() > MOST {
            each(Cycle { turns: [self.turns[0], self.turns[1]], count: 0.5 });
            self.turns.remove(0);
        }
    }

    /// What is still open, as halves; counting begins anew from here.
    pub fn finish(&mut self, mut each: impl FnMut(Cycle)) {
        if let Some(newest) = self.newest.take() {
            self.turns.push(newest);
            self.close(&mut each);
        }
        for pair in self.turns.windows(2) {
            each(Cycle { turns: [pair[0], pair[1]], count: 0.5 });
        }
        self.turns.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn count(course: &[f64]) -> Vec<(f64, f64)> {
        let mut found = Vec::new();
        let mut rainflow = Rainflow::default();
        let mut each =
            |cycle: Cycle| found.push(((cycle.turns[0].soc - cycle.turns[1].soc).abs(), cycle.count));
        for soc in course {
            rainflow.push(Turn { soc: *soc, ..Turn::default() }, &mut each);
        }
        rainflow.finish(&mut each);
        found
    }

    #[test]
    fn a_small_cycle_within_a_large_one_is_found() {
        let found = count(&[1.0, 0.2, 0.5, 0.4, 0.9]);
        assert_eq!(found.len(), 3);
        assert!((found[0].0 - 0.1).abs() < 1e-9 && found[0].1 == 1.0, "{found:?}");
        assert!((found[1].0 - 0.8).abs() < 1e-9 && (found[2].0 - 0.7).abs() < 1e-9, "{found:?}");
    }

    proptest! {
        #[test]
        fn all_charge_is_counted_once(course in proptest::collection::vec(0.0..1.0f64, 2..200)) {
            // Every move, up or down, is half a cycle of its depth in the sum; tiny ones may be dropped.
            let moved: f64 = course.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum();
            let counted: f64 = count(&course).iter().map(|(depth, count)| 2.0 * depth * count).sum();
            let dropped = 2.0 * LEAST * course.len() as f64;
            prop_assert!(counted <= moved + 1e-9 && counted >= moved - dropped, "{counted} of {moved}");
        }

        #[test]
        fn samples_between_turns_change_nothing(course in proptest::collection::vec(0.0..1.0f64, 2..60), parts in 2usize..9) {
            let mut finer = vec![course[0]];
            for pair in course.windows(2) {
                finer.extend((1..=parts).map(|part| pair[0] + (pair[1] - pair[0]) * part as f64 / parts as f64));
            }
            let (coarse, fine) = (count(&course), count(&finer));
            let sum = |found: &[(f64, f64)]| found.iter().map(|(depth, count)| depth * depth * count).sum::<f64>();
            prop_assert!((sum(&coarse) - sum(&fine)).abs() <= 4.0 * LEAST * course.len() as f64);
        }
    }
}
