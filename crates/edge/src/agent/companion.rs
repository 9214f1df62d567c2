//! The battery's twin beside the agent: it sees every sample, and what it says goes with the batch.

use serde::Serialize;
use std::collections::BTreeMap;
use voltmesh_battery::pack::PackSample;
use voltmesh_battery::twin::{Memory, State};
use voltmesh_battery::watch::{Check, Event};
use voltmesh_battery::{Twin, vss};
use voltmesh_telemetry::{MAX_REPORT_BYTES, Sample};

/// Events in one report at most; more are counted.
const MAX_EVENTS: usize = 64;

/// What the twin says of one batch, as JSON beside the records.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
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
pub(super) struct Companion {
    twin: Twin,
    open: Report,
    /// Events and failed checks since the start.
    pub events: u64,
    pub failed: u64,
}

impl Companion {
    pub fn new(twin: Twin) -> Self {
        Self { twin, open: Report::default(), events: 0, failed: 0 }
    }

    /// Takes a sample. Returns what is new, for the log.
    pub fn see(&mut self, sample: &Sample) -> Vec<Event> {
        let update = self.twin.update(PackSample {
            time_s: sample.time.as_millis() as f64 / 1_000.0,
            voltage_v: sample.pack_voltage.to_base(),
            current_a: sample.pack_current.to_base(),
            cells_v: sample.cells.iter().map(|cell| cell.to_base()).collect(),
            temps_c: sample.temperatures.iter().map(|temp| temp.to_base()).collect(),
            insulation_ohm: None,
        });
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
    pub fn report(&mut self) -> Option<Vec<u8>> {
        let state = self.twin.state();
        let vss = state.as_ref().map(|state| vss::signals(state, &self.twin.passport())).unwrap_or_default();
        let refused = self.twin.refuses();
        let report = Report { state, vss, refused, ..std::mem::take(&mut self.open) };
        let mut report = serde_json::to_value(&report).ok()?;
        quantise(&mut report);
        let bytes = serde_json::to_vec(&report).ok()?;
        // Far above what the bounds on cells and events allow.
        (bytes.len() <= MAX_REPORT_BYTES).then_some(bytes)
    }

    /// State, passport and schedule, for people and the interface.
    pub fn view(&self) -> serde_json::Value {
        serde_json::json!({
            "state": self.twin.state(),
            "passport": self.twin.passport(),
            "maintenance": self.twin.maintenance(),
            "refused": self.twin.refuses(),
        })
    }

    pub fn memory(&self) -> Memory {
        self.twin.memory()
    }
}
