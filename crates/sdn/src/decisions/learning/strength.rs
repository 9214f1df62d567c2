//! Strength: one whole number for all tuned numbers of a function, so that "more strongly" is one direction.
//!
//! From the policy's configuration (strength 0) each step upwards moves one number by its step towards its stronger bound: the
//! first in the policy's order until it is there, then the next. Downwards likewise to the gentler bounds.

use crate::policy::{Stronger, Tunable};
use serde_json::{Map, Value};

/// Part of a step that counts as none: rounding of decimal fractions.
const ROUNDING: f64 = 1e-9;

/// Steps from a value to a bound; the last may be shorter.
fn steps(tune: &Tunable, value: f64, upwards: bool) -> i32 {
    let higher = (tune.stronger == Stronger::Higher) == upwards;
    let way = if higher { tune.most - value } else { value - tune.least };
    // Casting saturates, and what is not a number gives 0.
    (way / tune.step - ROUNDING).ceil().max(0.0) as i32
}

fn number(configuration: &Map<String, Value>, key: &str) -> Option<f64> {
    configuration.get(key).and_then(Value::as_f64)
}

/// Least and largest strength of a configuration.
#[must_use]
pub fn range(tune: &[Tunable], configuration: &Map<String, Value>) -> (i32, i32) {
    let sum = |upwards: bool| {
        let each = tune
            .iter()
            .filter_map(|tune| number(configuration, &tune.key).map(|value| steps(tune, value, upwards)));
        each.fold(0_i32, i32::saturating_add)
    };
    (-sum(false), sum(true))
}

/// The tuned numbers at a strength; one outside the range counts as its nearest end.
#[must_use]
pub fn at_strength(
    tune: &[Tunable],
    configuration: &Map<String, Value>,
    strength: i32,
) -> Vec<(String, f64)> {
    let upwards = strength >= 0;
    let mut left = strength.saturating_abs();
    let mut values = Vec::with_capacity(tune.len());
    for tune in tune {
        let Some(value) = number(configuration, &tune.key) else { continue };
        let taken = left.min(steps(tune, value, upwards));
        left -= taken;
        let higher = (tune.stronger == Stronger::Higher) == upwards;
        let moved = f64::from(taken) * tune.step;
        let tuned = if higher { value + moved } else { value - moved };
        values.push((tune.key.clone(), tuned.clamp(tune.least, tune.most)));
    }
    values
}
