//! What an assessment says: conditions that begin, end or are the case, and how a rule judges one value.

use crate::rules::{Rule, Trigger};
use crate::{Condition, Quantity};
use serde::Serialize;
use voltmesh_battery::watch::Stage;
use voltmesh_telemetry::VehicleId;

/// A condition that begins or ends.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Whose battery.
    pub vehicle: VehicleId,
    /// By which rule.
    pub rule: String,
    /// What is the case, or is over.
    pub condition: Condition,
    /// How urgent it is, or was.
    pub stage: Stage,
    /// Whether it ends.
    pub over: bool,
    /// When that was found, in the summaries' time in s.
    pub at_s: f64,
    /// When the first of the summaries that showed it was; where it ends, when it began.
    pub since_s: f64,
    /// What was compared; nothing for a finding of the detectors.
    pub quantity: Option<Quantity>,
    /// Its value.
    pub value: Option<f64>,
    /// Its standard deviation.
    pub sd: Option<f64>,
    /// The limit, or what it had to clear.
    pub limit: Option<f64>,
}

/// A condition that a vehicle is in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Active {
    /// By which rule.
    pub rule: String,
    /// What is the case.
    pub condition: Condition,
    /// How urgent it is.
    pub stage: Stage,
    /// Since when, in the summaries' time in s.
    pub since_s: f64,
}

/// What a rule says of a value with its standard deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// It is beyond the limit, surely.
    Beyond,
    /// It is where the condition ends, surely.
    Clear,
    /// Neither.
    Neither,
}

/// A condition begins when the interval of the value says so, and ends when its mean is past `clear`: an estimate that becomes
/// uncertain neither begins one nor keeps it for ever.
pub(super) fn says(rule: &Rule, value: f64, sd: f64) -> Says {
    let away = rule.sure * sd;
    match rule.trigger {
        Trigger::Above { limit, .. } if value - away > limit => Says::Beyond,
        Trigger::Below { limit, .. } if value + away < limit => Says::Beyond,
        Trigger::Above { clear, .. } if value <= clear => Says::Clear,
        Trigger::Below { clear, .. } if value >= clear => Says::Clear,
        _ => Says::Neither,
    }
}
