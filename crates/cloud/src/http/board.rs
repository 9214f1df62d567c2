//! State that the archivist shows to the HTTP interface: counters, gaps, latencies, each vehicle's latest record.

use crate::{
    archivist::{Archivist, Commit, Counters, Gap},
    delta::ArchivedRow,
    verify::Stage,
};
use hdrhistogram::Histogram;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};
use voltmesh_control::{Role, Status};
use voltmesh_http::{Exposition, Figures};
use voltmesh_mqtt::ServerFigures;
use voltmesh_telemetry::{Digest, VehicleId};

/// Gaps listed; more are only counted.
pub const MAX_GAPS: usize = 10_000;

/// Shared by the archivist's task and the HTTP interface.
pub struct Board {
    id: String,
    /// Of the server for fog nodes, once there is one.
    mqtt: OnceLock<ServerFigures>,
    inner: Mutex<Inner>,
}

/// Longest latency that is told apart: an hour.
const MAX_LATENCY_US: u64 = 3_600_000_000;

struct Inner {
    ready: bool,
    counters: Counters,
    by_stage: BTreeMap<Stage, u64>,
    gaps: Vec<Gap>,
    gap_count: usize,
    missing: u64,
    pending: u64,
    quarantine_bytes: (u64, u64),
    fogs: u64,
    vehicles: (usize, BTreeSet<VehicleId>),
    latest: BTreeMap<String, ArchivedRow>,
    commit: Histogram<u64>,
    archive: Histogram<u64>,
    trust: String,
}

impl Board {
    /// A board of the cloud `id`.
    pub fn new(id: &str) -> Self {
        // 1 µs to an hour, two significant digits: about 40 KiB each. One that grows by itself does not when it saturates.
        let histogram = || {
            Histogram::new_with_bounds(1, MAX_LATENCY_US, 2)
                .unwrap_or_else(|_| unreachable!("the bounds and two digits are valid"))
        };
        let inner = Inner {
            ready: false,
            counters: Counters::default(),
            by_stage: BTreeMap::new(),
            gaps: Vec::new(),
            gap_count: 0,
            missing: 0,
            pending: 0,
            quarantine_bytes: (0, 0),
            fogs: 0,
            vehicles: Default::default(),
            latest: BTreeMap::new(),
            commit: histogram(),
            archive: histogram(),
            trust: String::new(),
        };
        Self { id: id.to_owned(), mqtt: OnceLock::new(), inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the main job is done now.
    pub fn set_ready(&self, ready: bool) {
        self.lock().ready = ready;
    }

    /// Shows the figures of the server for fog nodes, too.
    pub fn set_mqtt(&self, figures: ServerFigures) {
        self.mqtt.set(figures).ok();
    }

    /// Connected fog nodes.
    pub fn set_fogs(&self, fogs: usize) {
        self.lock().fogs = fogs as u64;
    }

    /// Starts with what the archive's newest files say.
    pub fn seed_latest(&self, latest: BTreeMap<String, ArchivedRow>) {
        self.lock().latest = latest;
    }

    /// Takes over the archivist's figures. Gaps only if they may have changed: they are the costly part.
    pub fn update(&self, archivist: &Archivist, gaps: bool) {
        let listed = gaps.then(|| archivist.gaps());
        let mut inner = self.lock();
        if inner.vehicles.0 != archivist.boots() {
            inner.vehicles = (archivist.boots(), archivist.vehicles());
        }
        inner.counters = archivist.counters();
        inner.pending = archivist.pending() as u64;
        inner.quarantine_bytes = archivist.quarantine_bytes();
        inner.by_stage.clone_from(archivist.quarantined_by_stage());
        if let Some(mut gaps) = listed {
            inner.gap_count = gaps.len();
            inner.missing =
                gaps.iter().fold(0, |sum: u64, gap| sum.saturating_add(gap.next.saturating_sub(gap.first)));
            gaps.truncate(MAX_GAPS);
            inner.gaps = gaps;
        }
    }

    /// Shows the trust as extended by hand-overs.
    pub fn set_trust(&self, toml: String) {
        self.lock().trust = toml;
    }

    /// The trust file, as far as hand-overs led.
    pub fn trust(&self) -> String {
        self.lock().trust.clone()
    }

    /// Notes a commit that is durable, and how long it took.
    pub fn committed(&self, commit: &Commit, took: Duration) {
        let mut inner = self.lock();
        inner.commit.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        for entry in &commit.entries {
            let batch = &entry.batch;
            let Some(record) = entry.kept_records().max_by_key(|record| record.number) else { continue };
            let place = (batch.header.boot.get(), record.number.get());
            let vehicle = batch.header.vehicle.as_str();
            if inner.latest.get(vehicle).is_some_and(|known| (known.boot, known.number) >= place) {
                continue;
            }
            let row = ArchivedRow::of(batch, record);
            inner.latest.insert(row.vehicle.clone(), row);
        }
    }

    /// Notes how long a delivery waited for its PUBACK.
    pub fn answered(&self, waited: Duration) {
        self.lock().archive.saturating_record(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX));
    }

    /// A vehicle's latest archived record, if it is in memory.
    pub fn latest(&self, vehicle: &str) -> Option<ArchivedRow> {
        self.lock().latest.get(vehicle).cloned()
    }

    /// Vehicles with archived records.
    pub fn vehicles(&self) -> BTreeSet<VehicleId> {
        self.lock().vehicles.1.clone()
    }

    /// Gaps, at most [`MAX_GAPS`], and how many there are.
    pub fn gaps(&self) -> (Vec<Gap>, usize) {
        let inner = self.lock();
        (inner.gaps.clone(), inner.gap_count)
    }

    /// Records per stage as the cloud sees them.
    pub fn stages(&self) -> BTreeMap<&'static str, u64> {
        let inner = self.lock();
        BTreeMap::from([
            ("archived", inner.counters.records),
            ("missing", inner.missing),
            ("duplicate_batches", inner.counters.duplicates),
            ("quarantined_deliveries", inner.counters.quarantined),
            ("pending_deliveries", inner.pending),
        ])
    }

    /// The status.
    pub fn status(&self) -> Status {
        let inner = self.lock();
        let mut status = Status::new(Role::Cloud, self.id.clone());
        status.ready = inner.ready;
        let Counters {
            records,
            batches,
            duplicates,
            quarantined,
            quarantine_dropped,
            refused,
            commits,
            retries,
        } = inner.counters;
        for (name, value) in [
            ("archived_records", records),
            ("batches", batches),
            ("duplicates", duplicates),
            ("quarantined", quarantined),
            ("quarantine_dropped", quarantine_dropped),
            ("quarantine_bytes", inner.quarantine_bytes.0),
            ("quarantine_bytes_bound", inner.quarantine_bytes.1),
            ("gaps", inner.gap_count as u64),
            ("missing", inner.missing),
            ("refused", refused),
            ("commits", commits),
            ("commit_retries", retries),
            ("pending", inner.pending),
            ("fogs", inner.fogs),
        ] {
            status.counters.insert(name.to_owned(), value);
        }
        let mqtt = self.mqtt.get().map(ServerFigures::snapshot).unwrap_or_default();
        status.counters.extend(mqtt.into_iter().map(|(name, value)| (format!("mqtt_{name}"), value)));
        for (stage, count) in &inner.by_stage {
            status.counters.insert(format!("quarantined_{stage}"), *count);
        }
        for (name, histogram) in [("commit", &inner.commit), ("puback", &inner.archive)] {
            status.latencies.insert(name.to_owned(), histogram.into());
        }
        status
    }

    /// The status with further counters.
    pub fn status_with(&self, counters: Vec<(&'static str, u64)>) -> Status {
        let mut status = self.status();
        status.counters.extend(counters.into_iter().map(|(name, value)| (name.to_owned(), value)));
        status
    }

    /// The same figures as metrics.
    pub fn metrics(&self, counters: Vec<(&'static str, u64)>) -> Exposition {
        let status = self.status_with(counters);
        let gauges = ["gaps", "missing", "pending", "fogs", "quarantine_bytes", "quarantine_bytes_bound"]
            .into_iter()
            .chain(Figures::GAUGES);
        let mut figures = Exposition::new("cloud");
        for (name, value) in &status.counters {
            let mqtt = name.strip_prefix("mqtt_").is_some_and(voltmesh_mqtt::Counters::is_gauge);
            if mqtt || gauges.clone().any(|gauge| gauge == name) {
                figures.gauge(name, *value);
            } else {
                figures.counter(name, *value);
            }
        }
        for (name, latency) in &status.latencies {
            figures.seconds(name, &[("0.5", latency.p50_us), ("0.99", latency.p99_us)], latency.count);
        }
        figures
    }
}

/// Changes when the text does: to write the learned trust only then.
pub(crate) fn fingerprint(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_what_was_measured() {
        let board = Board::new("cloud");
        (1..=100).for_each(|n| board.answered(Duration::from_millis(10 * n)));
        let puback = board.status().latencies["puback"];
        assert!((490_000..=510_000).contains(&puback.p50_us), "{puback:?}");
        assert!((980_000..=1_000_000).contains(&puback.p99_us), "{puback:?}");
        board.answered(Duration::from_secs(86_400));
        assert_eq!(board.status().latencies["puback"].count, 101);
    }
}
