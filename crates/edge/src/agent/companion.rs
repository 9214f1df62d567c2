//! The battery's twin beside the agent: it sees every sample, or fewer while the vehicle is behind, and what it says goes
//! with the batch.

use super::thinning::Thinning;
use serde::Serialize;
use std::collections::BTreeMap;
use voltmesh_battery::pack::PackSample;
use voltmesh_battery::twin::{Memory, State};
use voltmesh_battery::watch::{Check, Event};
use voltmesh_battery::{Chemistry, Twin, vss};
use voltmesh_telemetry::{MAX_REPORT_BYTES, Sample, Timestamp};

/// Events in one report at most; more are counted.
const MAX_EVENTS: usize = 64;

/// What the twin says of one batch, as JSON beside the records.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Active material of the cells, where the vehicle's configuration states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chemistry: Option<Chemistry>,
    /// After the batch's last record; absent while nothing can be said.
    pub state: Option<State>,
    /// The same as VSS signals.
    pub vss: BTreeMap<String, f64>,
    /// What was found, got worse or was over.
    pub events: Vec<Event>,
    /// Further events that found no room.
    pub events_dropped: u64,
    /// Checks that samples failed, with how often.
    pub checks: BTreeMap<Check, u64>,
    /// Whether samples contradict the configured chemistry or sign, so that nothing is estimated.
    pub refused: bool,
    /// Records of the batch that the twin did not see, because the vehicle could not keep up with its source.
    #[serde(skip_serializing_if = "is_zero")]
    pub samples_skipped: u64,
    /// Why the recording that the records are of is doubtful, where someone accepted it nevertheless.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accepted_doubts: Vec<String>,
}

impl Report {
    /// What is said of a batch without a twin: `None` if nothing is to be said.
    pub(super) fn of_doubts(doubts: &[String]) -> Option<Vec<u8>> {
        if doubts.is_empty() {
            return None;
        }
        serde_json::to_vec(&Self { accepted_doubts: doubts.to_vec(), ..Self::default() }).ok()
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What is signed is decimal: ten-thousandths are far below what any estimate knows.
fn quantise(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Number(number) if number.is_f64() => {
            let rounded = number.as_f64().map(|exact| (exact * 1e4).round() / 1e4);
            if let Some(rounded) = rounded.and_then(serde_json::Number::from_f64) {
                *number = rounded;
            }
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(quantise),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(quantise),
        _ => {}
    }
}

/// Twin and open report.
pub struct Companion {
    twin: Twin,
    /// Whether the twin's chemistry is stated, not assumed.
    says_chemistry: bool,
    open: Report,
    thinning: Thinning,
    /// Samples not seen since the start.
    pub skipped: u64,
    /// Events since the start.
    pub events: u64,
    /// Failed checks since the start.
    pub failed: u64,
}

impl Companion {
    /// A twin with an empty report; `says_chemistry` if its chemistry is stated and not assumed.
    #[must_use]
    pub fn new(twin: Twin, says_chemistry: bool) -> Self {
        Self {
            twin,
            says_chemistry,
            open: Report::default(),
            thinning: Thinning::new(),
            skipped: 0,
            events: 0,
            failed: 0,
        }
    }

    /// The vehicle is behind its source from now on, or is not.
    pub fn set_behind(&mut self, now: Timestamp, behind: bool) {
        self.thinning.set_behind(now, behind);
    }

    /// Sees more or fewer samples if it is time; returns what is new, for the log.
    pub fn adjust(&mut self, now: Timestamp) -> Option<String> {
        Some(match self.thinning.adjust(now)? {
            1 => "the vehicle keeps up again: its twin sees every sample".to_owned(),
            every => format!("the vehicle does not keep up: its twin sees one sample of {every}"),
        })
    }

    /// Takes a sample. Returns what is new, for the log.
    pub fn see(&mut self, sample: &Sample) -> Vec<Event> {
        if !self.thinning.sees() {
            self.skipped += 1;
            self.open.samples_skipped += 1;
            return Vec::new();
        }
        let update = self.twin.update(PackSample::from(sample));
        self.failed += update.verdict.failed.len() as u64;
        for check in update.verdict.failed {
            *self.open.checks.entry(check).or_default() += 1;
        }
        self.events += update.events.len() as u64;
        for event in &update.events {
            if self.open.events.len() < MAX_EVENTS {
                self.open.events.push(event.clone());
            } else {
                self.open.events_dropped += 1;
            }
        }
        update.events
    }

    /// Closes the report of a batch.
    pub fn report(&mut self, doubts: &[String]) -> Option<Vec<u8>> {
        let state = self.twin.state();
        let vss = state.as_ref().map(|state| vss::signals(state, &self.twin.passport())).unwrap_or_default();
        let refused = self.twin.refuses();
        let accepted_doubts = doubts.to_vec();
        let chemistry = self.says_chemistry.then(|| self.twin.chemistry());
        let report =
            Report { chemistry, state, vss, refused, accepted_doubts, ..std::mem::take(&mut self.open) };
        let mut report = serde_json::to_value(&report).ok()?;
        quantise(&mut report);
        let bytes = serde_json::to_vec(&report).ok()?;
        // Far above what the bounds on cells and events allow.
        (bytes.len() <= MAX_REPORT_BYTES).then_some(bytes)
    }

    /// State, passport and schedule, for people and the interface.
    #[must_use]
    pub fn view(&self) -> serde_json::Value {
        serde_json::json!({
            "state": self.twin.state(),
            "passport": self.twin.passport(),
            "maintenance": self.twin.maintenance(),
            "refused": self.twin.refuses(),
            "sees_one_of": self.thinning.every(),
        })
    }

    /// Charging and discharging current in A that the battery may take and give now; `None` while nothing is estimated.
    #[must_use]
    pub fn limits_a(&self) -> Option<(f64, f64)> {
        self.twin.state().map(|state| (state.limits.charge_a, state.limits.discharge_a))
    }

    /// What outlives a restart.
    #[must_use]
    pub fn memory(&self) -> Memory {
        self.twin.memory()
    }
}
