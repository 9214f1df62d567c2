//! What a demo run found, for people and machines.

use serde::Serialize;

use super::closed_loop::LoopLine;
use super::stations::StationsLine;
use crate::output::{self, row};

/// Percentiles in milliseconds.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub struct Percentiles {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
}

impl From<voltmesh_control::Latency> for Percentiles {
    fn from(latency: voltmesh_control::Latency) -> Self {
        let ms = |us: u64| us as f64 / 1000.0;
        Percentiles { p50: ms(latency.p50_us), p99: ms(latency.p99_us) }
    }
}

/// What a vehicle's battery twin said, signed with its newest archived batch.
#[derive(Debug, Default, Clone, Serialize)]
pub struct TwinLine {
    /// Whose.
    pub vehicle: String,
    /// Whether a report came with the batch.
    pub reported: bool,
    /// State of charge in percent, if it estimates.
    pub soc_pct: Option<f64>,
    /// Its standard deviation.
    pub soc_sd_pct: Option<f64>,
    /// Charge current that it allows, in A.
    pub charge_limit_a: Option<f64>,
    /// Discharge current that it allows, in A.
    pub discharge_limit_a: Option<f64>,
    /// Events in that report.
    pub events: u64,
    /// Whether samples contradict the twin's chemistry or sign.
    pub refused: bool,
}

/// Faults that were drawn.
#[derive(Debug, Default, Clone, Serialize)]
pub struct ChaosLine {
    /// From which seed.
    pub seed: u64,
    /// As `--fault` takes them, to repeat the run.
    pub faults: String,
}

/// The result of a run. Counts are records.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Report {
    /// Distinct samples that the sources yielded: the recordings are read again to count them.
    pub sampled: u64,
    /// Records that the vehicles signed and synced.
    pub spooled: u64,
    /// Records whose batch a fog node acknowledged, once each however often they are offered.
    pub received: u64,
    /// Records whose batch is in a finalised block, by the evidence in the archive.
    pub anchored: u64,
    /// Rows of the archive.
    pub archived: u64,
    /// Rows whose whole chain of evidence holds.
    pub verified: u64,
    /// Samples of the sources that are not in the archive, or not as they were.
    pub lost: u64,
    /// Rows beyond the first with one record id or one place in a recording.
    pub duplicates: u64,
    /// Rows beyond the first with one record id.
    pub stands_twice: u64,
    /// Rows of the quarantine.
    pub quarantined: u64,
    /// Whether the alteration in the copy of the archive was found.
    pub tamper_detected: bool,
    /// From a batch's fsync on the vehicle to its checked receipt.
    pub anchor_latency_ms: Percentiles,
    /// From a batch's fsync on the vehicle to its checked archive notice.
    pub archive_latency_ms: Percentiles,
    /// Archived records by the time from the first sample to the last notice.
    pub records_per_s: f64,
    /// Signed batch bytes on the wire by record.
    pub bytes_per_record: f64,
    /// Height of the ledger at the end.
    pub height: u64,
    /// What each vehicle's twin said beside its newest archived batch.
    pub twins: Vec<TwinLine>,
    /// What a fog node said of charging stations; none if a fault kept it away at the end.
    pub stations: Option<StationsLine>,
    /// What a controller, functions and the vehicle that obeys them did.
    pub closed_loop: LoopLine,
    /// The faults that were drawn, if any were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chaos: Option<ChaosLine>,
    /// Faults that happened, with their times.
    pub faults: Vec<String>,
    /// What is wrong; empty if all is well.
    pub problems: Vec<String>,
}

impl Report {
    /// Whether every record is there once, verified, and tampering was found.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }

    /// Says what is wrong in words, from the figures.
    pub fn judge(&mut self) {
        let mut wrong = |bad: bool, text: String| {
            if bad {
                self.problems.push(text);
            }
        };
        wrong(self.sampled == 0, "no sample was taken".into());
        wrong(self.lost > 0, format!("{} samples are not in the archive as they were", self.lost));
        wrong(self.duplicates > 0, format!("{} rows stand more than once", self.duplicates));
        wrong(
            self.archived != self.sampled,
            format!("{} rows in the archive for {} samples", self.archived, self.sampled),
        );
        wrong(
            self.verified != self.archived,
            format!(
                "{} of {} rows do not verify",
                self.archived.saturating_sub(self.verified),
                self.archived
            ),
        );
        let silent: Vec<&str> =
            self.twins.iter().filter(|twin| !twin.reported).map(|twin| twin.vehicle.as_str()).collect();
        wrong(!silent.is_empty(), format!("no report of a battery twin came with {}", silent.join(", ")));
        wrong(self.quarantined > 0, format!("{} batches were quarantined", self.quarantined));
        wrong(!self.tamper_detected, "an altered copy of the archive was taken for genuine".into());
    }

    /// The result for people.
    pub fn print(&self) {
        let rows = [
            row("sampled", self.sampled),
            row("spooled", self.spooled),
            row("received", self.received),
            row("anchored", self.anchored),
            row("archived", self.archived),
            row("verified", self.verified),
            row("lost", self.lost),
            row("duplicates", self.duplicates),
            row("stand twice", self.stands_twice),
            row("quarantined", self.quarantined),
        ];
        output::table(&["records", "count"], &rows);
        output::line("");
        output::line(format!(
            "anchored after {:.0} ms (p50), {:.0} ms (p99); archived after {:.0} ms, {:.0} ms; {:.0} records/s, {:.1} bytes a record, block {}",
            self.anchor_latency_ms.p50,
            self.anchor_latency_ms.p99,
            self.archive_latency_ms.p50,
            self.archive_latency_ms.p99,
            self.records_per_s,
            self.bytes_per_record,
            self.height,
        ));
        for twin in &self.twins {
            output::line(
                match (twin.soc_pct, twin.soc_sd_pct, twin.charge_limit_a, twin.discharge_limit_a) {
                    (Some(soc), Some(sd), Some(charge), Some(discharge)) => format!(
                        "{}: its twin says {soc:.1} ± {sd:.1} % charged; at most {charge:.0} A in, {discharge:.0} A out; {} events",
                        twin.vehicle, twin.events
                    ),
                    _ if twin.refused => {
                        format!("{}: its twin refuses: the samples are of another kind of cell", twin.vehicle)
                    }
                    _ => format!("{}: its twin has no estimate", twin.vehicle),
                },
            );
        }
        if let Some(stations) = &self.stations {
            output::line(format!(
                "charging stations: {} EVSEs forecast; a driver is sent to {}, where a plug is free with {:.0} %; answers within {:.1} ms (p99)",
                stations.forecasts,
                stations.recommend_top,
                100.0 * stations.p_free,
                stations.p99_us as f64 / 1000.0,
            ));
        }
        self.print_loop();
        if self.is_good() {
            output::line(format!(
                "Every record is in the archive exactly once and verifies; lost {}, duplicates {}; the altered copy was found out.",
                self.lost, self.duplicates
            ));
        } else {
            self.problems.iter().for_each(|problem| output::line(format!("WRONG: {problem}")));
            if let Some(chaos) = &self.chaos {
                output::line(format!(
                    "These faults were drawn from seed {}: --fault {}",
                    chaos.seed, chaos.faults
                ));
            }
        }
    }
}

impl Report {
    /// What was seen of the loop, step by step.
    fn print_loop(&self) {
        let seen = &self.closed_loop;
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none seen".to_owned());
        let in_force = seen.in_force.map(|value| format!(", {} in force", with_unit(seen, value)));
        let stage = seen.stage.as_ref().map(|stage| format!(" ({stage})")).unwrap_or_default();
        let receipt = seen.receipt.as_ref().map_or_else(
            || "none seen".to_owned(),
            |receipt| {
                let verifies = if receipt.verifies { "verifies" } else { "was not checked" };
                format!("act {} of the ledger, block {}; {verifies}", receipt.act, receipt.height)
            },
        );
        output::line("");
        output::line(format!("{} obeys what functions near it command:", seen.vehicle));
        output::table(
            &["step", "what"],
            &[
                row("condition", or_none(&seen.condition) + &stage),
                row("function", format!("{} on {}", or_none(&seen.function), or_none(&seen.fog))),
                row("command", or_none(&seen.command) + &in_force.unwrap_or_default()),
                row("event", or_none(&seen.event)),
                row("receipt", receipt),
                row("records", format!("{} signed, {} archived", seen.signed, seen.archived)),
            ],
        );
        if let Some(explained) = &seen.explained {
            output::line(explained.trim_end());
        }
        output::line("");
    }
}

/// What is in force, in a unit that people read.
fn with_unit(seen: &LoopLine, value: i64) -> String {
    match seen.command.as_deref() {
        Some("charge-limit" | "discharge-limit") => format!("{:.1} A", value as f64 / 1_000.0),
        Some("target-temperature") => format!("{:.1} °C", value as f64 / 100.0),
        Some("derate") => format!("{:.0} %", value as f64 / 10_000.0),
        Some("balance") => format!("{value} groups"),
        Some("sampling-rate") => format!("{:.1} Hz", value as f64 / 1_000.0),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl Fn(&mut Report), expected: &str) {
        let mut report =
            Report { sampled: 9, archived: 9, verified: 9, tamper_detected: true, ..Report::default() };
        change(&mut report);
        report.judge();
        assert_eq!(report.problems.join("; "), expected);
    }

    #[test]
    fn anything_wrong_is_said() {
        check(|_| {}, "");
        check(|r| r.lost = 1, "1 samples are not in the archive as they were");
        check(|r| r.duplicates = 2, "2 rows stand more than once");
        check(|r| r.verified = 7, "2 of 9 rows do not verify");
        check(|r| r.tamper_detected = false, "an altered copy of the archive was taken for genuine");
        check(|r| r.quarantined = 1, "1 batches were quarantined");
    }
}
