//! Two estimates of one quantity that exclude each other for a while.

use voltmesh_guest::outputs::Outputs;
use voltmesh_guest::state::{Reader, Writer};
use voltmesh_guest::types::Severity;

/// Share of the standard deviations below which a disagreement may be over.
const OVER: f64 = 0.7;

/// Two estimates with their standard deviations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// What this function says.
    pub own: (f64, f64),
    /// What the vehicle's twin says.
    pub twin: (f64, f64),
}

impl Pair {
    /// Difference in standard deviations of it.
    pub fn deviations(&self) -> f64 {
        (self.own.0 - self.twin.0).abs() / self.own.1.hypot(self.twin.1).max(1e-9)
    }
}

/// When a pair of estimates disagrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Standard deviations from which on it does.
    pub sure: f64,
    /// Difference that is none.
    pub least: f64,
    /// Time in ms for which it must last.
    pub hold_ms: u64,
}

/// Whether two estimates of one quantity disagree, and since when that is about to change.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Disagreement {
    active: bool,
    turning_ms: Option<u64>,
}

impl Disagreement {
    /// Takes both estimates of a quantity at a time of the vehicle's; says when a disagreement begins or ends.
    pub fn see(&mut self, name: &str, time_ms: u64, pair: Pair, bounds: Bounds, outputs: &mut Outputs) {
        let known = [pair.own.0, pair.own.1, pair.twin.0, pair.twin.1].iter().all(|value| value.is_finite());
        if !known {
            self.turning_ms = None;
            return;
        }
        let (deviations, difference) = (pair.deviations(), (pair.own.0 - pair.twin.0).abs());
        let turns = if self.active {
            deviations < OVER * bounds.sure || difference < bounds.least
        } else {
            deviations > bounds.sure && difference > bounds.least
        };
        if !turns {
            self.turning_ms = None;
            return;
        }
        let since_ms = *self.turning_ms.get_or_insert(time_ms);
        if time_ms.saturating_sub(since_ms) < bounds.hold_ms {
            return;
        }
        (self.active, self.turning_ms) = (!self.active, None);
        let figures = [
            ("own", pair.own.0),
            ("own_sd", pair.own.1),
            ("twin", pair.twin.0),
            ("twin_sd", pair.twin.1),
            ("deviations", deviations),
        ];
        let (kind, severity, word) = if self.active {
            (format!("{name}-disagreement-began"), Severity::Warning, "disagree")
        } else {
            (format!("{name}-disagreement-ended"), Severity::Information, "agree again")
        };
        let text = format!(
            "Two estimates of {name} {word}: {:.3} ± {:.3} here, {:.3} ± {:.3} by the vehicle's twin.",
            pair.own.0, pair.own.1, pair.twin.0, pair.twin.1
        );
        outputs.event(&kind, severity, text, &figures);
    }

    /// Writes it.
    pub fn save(&self, writer: &mut Writer) {
        writer.bool(self.active);
        writer.bool(self.turning_ms.is_some());
        writer.u64(self.turning_ms.unwrap_or_default());
    }

    /// Reads it.
    pub fn restore(reader: &mut Reader<'_>) -> Result<Self, String> {
        let (active, turning) = (reader.bool()?, reader.bool()?);
        let since_ms = reader.u64()?;
        Ok(Self { active, turning_ms: turning.then_some(since_ms) })
    }
}
