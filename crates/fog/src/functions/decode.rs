//! Batches and reports as summaries and functions want them: known numbers, or none.
//!
//! A report is what a vehicle's own program signed, of whatever version: what is not known here is left out, what is known is
//! checked for its range, and a report that contradicts that is refused as a whole.

use serde::{Deserialize, de::IgnoredAny};
use voltmesh_battery::{
    estimate::power::Uncertain,
    summary::Estimates,
    twin::Limits,
    watch::{Kind, Stage},
};
use voltmesh_telemetry::{Charger, Reading, Sample};

/// Largest current of a pack that a report may allow, in A: ten times what the largest trucks draw.
const MAX_LIMIT_A: f64 = 20_000.0;

/// Found faults that are taken of a report; a pack has eight kinds of them.
const MAX_FOUND: usize = 64;

/// A vehicle's own word on its battery, beside a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// Time of the sample that it is of, in s.
    pub time_s: f64,
    /// What the twin estimates.
    pub estimates: Estimates,
    /// Resistance relative to new.
    pub soh_resistance: Uncertain,
    /// What its detectors have found and is not over.
    pub found: Vec<(Kind, Stage)>,
}

/// What a report says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReportSaid {
    /// The twin's state; `None` where it says nothing.
    pub said: Option<Said>,
    /// Checks that samples of the batch failed.
    pub failed: u32,
    /// Whether the samples contradict chemistry or sign.
    pub refused: bool,
    /// Chemistry of the cells, where it is stated: `nmc`, `nca`, `lfp`.
    pub chemistry: Option<String>,
}

/// A report as it travels, as far as it is of use here.
#[derive(Deserialize)]
struct Travelling {
    #[serde(default)]
    state: Option<State>,
    #[serde(default)]
    checks: std::collections::BTreeMap<String, u64>,
    #[serde(default)]
    refused: bool,
    #[serde(default)]
    chemistry: Option<String>,
}

#[derive(Deserialize)]
struct State {
    time_s: f64,
    soc: Uncertain,
    soc_range: (f64, f64),
    soh_capacity: Uncertain,
    soh_resistance: Uncertain,
    limits: Limits,
    #[serde(default)]
    disagreement: Option<f64>,
    #[serde(default)]
    active: Vec<Found>,
}

/// What was found; a kind or stage of a later version is left out.
#[derive(Deserialize)]
#[serde(untagged)]
enum Found {
    Known(Kind, Stage),
    Other(IgnoredAny),
}

/// Reads the JSON of a report, which `SealedBatch::report` has bounded.
///
/// # Errors
/// What is wrong with it.
pub fn report(json: &[u8]) -> Result<ReportSaid, String> {
    let travelling: Travelling = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let failed: u64 = travelling.checks.values().fold(0, |sum, count| sum.saturating_add(*count));
    let chemistry = travelling.chemistry.filter(|name| matches!(name.as_str(), "nmc" | "nca" | "lfp"));
    Ok(ReportSaid {
        said: travelling.state.map(said).transpose()?,
        failed: u32::try_from(failed).unwrap_or(u32::MAX),
        refused: travelling.refused,
        chemistry,
    })
}

fn said(state: State) -> Result<Said, String> {
    let within = |what: &str, value: f64, low: f64, high: f64| {
        let inside = (low..=high).contains(&value);
        inside.then_some(()).ok_or_else(|| format!("{what} = {value} is outside {low}..={high}"))
    };
    let uncertain = |what: &str, value: Uncertain, high: f64| {
        within(what, value.value, 0.0, high)?;
        within(&format!("deviation of {what}"), value.sd, 0.0, 10.0)
    };
    within("time_s", state.time_s, 0.0, 1e11)?;
    uncertain("soc", state.soc, 1.0)?;
    let (lowest, highest) = state.soc_range;
    // Cells may be beyond what the mean's window calls empty and full.
    within("soc_range", lowest, -0.5, 1.5)?;
    within("soc_range", highest, lowest, 1.5)?;
    uncertain("soh_capacity", state.soh_capacity, 2.0)?;
    uncertain("soh_resistance", state.soh_resistance, 100.0)?;
    within("limits.charge_a", state.limits.charge_a, 0.0, MAX_LIMIT_A)?;
    within("limits.discharge_a", state.limits.discharge_a, 0.0, MAX_LIMIT_A)?;
    if let Some(disagreement) = state.disagreement {
        within("disagreement", disagreement, 0.0, 10.0)?;
    }
    let known = state.active.into_iter().filter_map(|found| match found {
        Found::Known(kind, stage) => Some((kind, stage)),
        Found::Other(_) => None,
    });
    Ok(Said {
        time_s: state.time_s,
        found: known.take(MAX_FOUND).collect(),
        soh_resistance: state.soh_resistance,
        estimates: Estimates {
            soc: state.soc,
            soc_range: state.soc_range,
            soh_capacity: state.soh_capacity,
            limits: state.limits,
            disagreement: state.disagreement,
        },
    })
}

fn known(value: Reading<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}

/// A sample for functions.
pub fn sample(sample: &Sample) -> voltmesh_function::Sample {
    voltmesh_function::Sample {
        time_ms: sample.time.as_millis(),
        pack_voltage_v: sample.pack_voltage.to_base().ok(),
        pack_current_a: sample.pack_current.to_base().ok(),
        soc: sample.soc.to_base().ok().map(|percent| percent / 100.0),
        cells_v: sample.cells.iter().map(|cell| known(cell.to_base())).collect(),
        temperatures_c: sample.temperatures.iter().map(|temp| known(temp.to_base())).collect(),
        plugged: plugged(sample.charger),
        insulation_ohm: sample.insulation.to_base().ok(),
        ambient_c: sample.ambient.to_base().ok(),
        coolant_c: sample.coolant.to_base().ok(),
    }
}

impl Said {
    /// The same for functions.
    pub fn report(&self) -> voltmesh_function::Report {
        let estimate = |one: Uncertain| voltmesh_function::Estimate { value: one.value, sd: one.sd };
        let estimates = &self.estimates;
        voltmesh_function::Report {
            // In range: `report` has checked it.
            time_ms: (self.time_s * 1_000.0).round() as u64,
            soc: estimate(estimates.soc),
            soc_lowest: estimates.soc_range.0,
            soc_highest: estimates.soc_range.1,
            soh_capacity: estimate(estimates.soh_capacity),
            soh_resistance: estimate(self.soh_resistance),
            charge_limit_a: estimates.limits.charge_a,
            discharge_limit_a: estimates.limits.discharge_a,
        }
    }
}

/// Whether the charger is plugged in or charging; `None` where it is unknown.
pub fn plugged(charger: Charger) -> Option<bool> {
    match charger {
        Charger::Unplugged => Some(false),
        Charger::Plugged | Charger::Charging => Some(true),
        Charger::Unknown | Charger::Fault => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A report as vehicles send it.
    pub const REPORT: &str = r#"{"state":{"time_s":1700000000.5,"soc":{"value":0.6,"sd":0.01},"soc_range":[0.58,0.61],
        "soe":{"value":0.6,"sd":0.01},"soh_capacity":{"value":0.95,"sd":0.01},"soh_resistance":{"value":1.1,"sd":0.02},
        "power":{"discharge_w":[],"charge_w":[]},"limits":{"charge_a":120.0,"discharge_a":300.0},"balance":[],
        "heat_to_c":null,"disagreement":0.004,"current_offset_a":{"value":0.0,"sd":0.1},
        "active":[["insulation","warning"]],"methods":["a","b","c"]},"vss":{},"events":[],"events_dropped":0,
        "checks":{"gap":2,"sparse":1},"refused":false}"#;

    #[test]
    fn a_report_is_read() {
        let read = report(REPORT.as_bytes()).unwrap();
        let said = read.said.unwrap();
        assert_eq!((read.failed, read.refused, read.chemistry), (3, false, None));
        assert_eq!((said.time_s, said.estimates.soc_range), (1_700_000_000.5, (0.58, 0.61)));
        assert_eq!(said.estimates.limits, Limits { charge_a: 120.0, discharge_a: 300.0 });
        assert_eq!(said.found.len(), 1);
    }

    #[test]
    fn what_a_later_version_adds_is_left_out() {
        let later = REPORT
            .replace(
                r#"["insulation","warning"]"#,
                r#"["insulation","warning"],["moonlight","warning"],["insulation","later"],7"#,
            )
            .replace(r#""vss":{}"#, r#""vss":{},"weather":{"rain":[1,2]},"chemistry":"lfp""#);
        let read = report(later.as_bytes()).unwrap();
        assert_eq!((read.said.unwrap().found.len(), read.chemistry.as_deref()), (1, Some("lfp")));
        assert_eq!(report(b"{}"), Ok(ReportSaid::default()), "a report of doubts alone");
        let other = REPORT.replace(r#""vss":{}"#, r#""chemistry":"soup""#);
        assert_eq!(report(other.as_bytes()).unwrap().chemistry, None);
    }

    #[test]
    fn absurd_reports_are_refused() {
        for (from, to, why) in [
            (r#""soc":{"value":0.6"#, r#""soc":{"value":1.2"#, "soc = 1.2"),
            (r#""soc":{"value":0.6,"sd":0.01}"#, r#""soc":{"value":0.6,"sd":-1}"#, "deviation of soc"),
            (r#""soc":{"value":0.6"#, r#""soc":{"value":null"#, "null"),
            (r#""soc_range":[0.58,0.61]"#, r#""soc_range":[0.61,0.58]"#, "soc_range"),
            (r#""charge_a":120.0"#, r#""charge_a":-1.0"#, "limits.charge_a"),
            (r#""charge_a":120.0"#, r#""charge_a":1e300"#, "limits.charge_a"),
            (r#""time_s":1700000000.5"#, r#""time_s":-5"#, "time_s"),
            (r#""checks":{"gap":2"#, r#""checks":{"gap":-2"#, "invalid"),
            (r#""state":{"#, r#""state":["#, ""),
        ] {
            assert!(REPORT.contains(from), "{from}");
            let said = report(REPORT.replacen(from, to, 1).as_bytes()).expect_err(to);
            assert!(said.contains(why), "{to}: {said}");
        }
        let many = format!(r#"{{"checks":{{"gap":{},"sparse":{}}}}}"#, u64::MAX, u64::MAX);
        assert_eq!(report(many.as_bytes()).unwrap().failed, u32::MAX);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..REPORT.len()) {
            let _ = report(&bytes);
            prop_assert!(report(&REPORT.as_bytes()[..cut]).is_err());
        }
    }

    #[test]
    fn only_a_known_state_of_the_charger_is_told() {
        for (charger, expected) in [
            (Charger::Unknown, None),
            (Charger::Fault, None),
            (Charger::Unplugged, Some(false)),
            (Charger::Plugged, Some(true)),
            (Charger::Charging, Some(true)),
        ] {
            assert_eq!(plugged(charger), expected);
        }
    }
}
