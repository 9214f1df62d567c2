//! Decisions in words, for people.

use super::decision::{Choice, Decision, Effect, Value};
use std::fmt::{self, Write as _};

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run { function, node } if node.is_empty() => write!(f, "run {function}"),
            Self::Run { function, node } => write!(f, "run {function} on {node}"),
            Self::End { function } => write!(f, "end {function}"),
            Self::Move { function, from, to } => write!(f, "move {function} from {from} to {to}"),
            Self::Replace { function, by } => write!(f, "replace {function} by {by}"),
            Self::Tune { function, from, to, values } => {
                let way = if to >= from { "more strongly" } else { "more gently" };
                write!(f, "let {function} act {way}")?;
                for (key, old, new) in values {
                    write!(f, ", {key} {old} → {new}")?;
                }
                Ok(())
            }
            Self::Nothing => f.write_str("do nothing"),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        write!(f, "{} {:.4}{unit} (95 %: {:.4} to {:.4})", self.name, self.value, self.low, self.high)?;
        match self.limit {
            Some(limit) => write!(f, " against {limit}{unit}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match (self.condition_ends, self.after_s) {
            (Some(true), Some(after)) => parts.push(format!("the condition ends after {after:.0} s")),
            (Some(true), None) => parts.push("the condition ends".to_owned()),
            (Some(false), _) => parts.push("the condition goes on".to_owned()),
            (None, _) => {}
        }
        parts.extend(self.charge_min.map(|minutes| format!("charging takes {minutes:.1} min longer")));
        parts.extend(self.energy_kwh.map(|kwh| format!("{kwh:.2} kWh are used")));
        parts.extend(self.round_trip_ms.map(|ms| format!("the round trip is {ms:.1} ms")));
        if parts.is_empty() { f.write_str("not known") } else { f.write_str(&parts.join(", ")) }
    }
}

impl Decision {
    /// The decision in a few lines: what, for whom, why, what else was possible, what was expected and what came of it.
    #[must_use]
    pub fn explain(&self) -> String {
        let mut text = format!("Decision {}: {}", self.number, self.chosen);
        // Writing to a String does not fail.
        let _ = match &self.vehicle {
            Some(vehicle) => writeln!(text, " for {vehicle}."),
            None => writeln!(text, " for all vehicles."),
        };
        let _ = write!(text, "  Why: {}", self.rule);
        if let Some(condition) = self.inputs.condition {
            let is = if self.inputs.over { "is over" } else { "is the case" };
            let _ = write!(text, "; {condition} {is}");
            if let Some(stage) = self.inputs.stage {
                let _ = write!(text, " (stage {})", format!("{stage:?}").to_lowercase());
            }
        }
        for value in &self.inputs.values {
            let _ = write!(text, "; {value}");
        }
        let _ = writeln!(text, ".");
        for other in &self.alternatives {
            let _ = write!(text, "  Instead: {}", other.what);
            if let Some(cost) = other.cost {
                let _ = write!(text, ", cost {cost}");
                if let Some(ours) = self.cost {
                    let _ = write!(text, " and not {ours}");
                }
            }
            let _ = writeln!(text, ": {}.", other.why_not);
        }
        let _ = writeln!(text, "  Expected: {}.", self.expected);
        let _ = match &self.actual {
            Some(actual) => writeln!(text, "  Came of it: {actual}."),
            None => writeln!(text, "  Came of it: nothing is known yet."),
        };
        if let Some(undone) = &self.undone {
            let _ = writeln!(text, "  Undone by {}: {}.", undone.by, undone.why);
        } else if !self.may_undo.is_empty() {
            let who: Vec<String> =
                self.may_undo.iter().map(|who| format!("{who:?}").to_lowercase()).collect();
            let _ = writeln!(text, "  May be undone by: {}.", who.join(", "));
        }
        text
    }
}
