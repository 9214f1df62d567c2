//! Report of `bench path`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::bench::machine::Machine;
use crate::output::{self, row};

pub(super) const ROLES: [&str; 3] = ["edge", "fog", "cloud"];

#[derive(Debug, Default, Serialize)]
pub(super) struct Rates {
    pub(super) path: f64,
    pub(super) with_twin: f64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// What one vehicle at 1 Hz costs.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Idle {
    /// Growth of the cloud's folder.
    pub(super) cloud_mb: f64,
    pub(super) cloud_cpu_s: f64,
    /// Growth of the largest fog node's folder.
    pub(super) fog_mb: f64,
    /// Growth of the cloud's resident memory.
    pub(super) rss_growth_mb: f64,
}

impl Idle {
    pub(super) fn times(self, factor: f64) -> Self {
        Idle {
            cloud_mb: self.cloud_mb * factor,
            cloud_cpu_s: self.cloud_cpu_s * factor,
            fog_mb: self.fog_mb * factor,
            rss_growth_mb: self.rss_growth_mb * factor,
        }
    }
}

/// A day, from less than a day.
#[derive(Debug, Serialize)]
pub(super) struct IdleDay {
    #[serde(flatten)]
    pub(super) day: Idle,
    /// Linear: the hour's figures times 24.
    pub(super) extrapolated: bool,
    /// From so many seconds.
    pub(super) measured_s: f64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) vehicles: u8,
    pub(super) batch: u16,
    pub(super) records: u64,
    pub(super) twin_records: u64,
    /// From the first sample to the last archive notice.
    pub(super) records_per_s: Rates,
    /// Processor time of all processes of a role, without the twin.
    pub(super) cpu_us_per_record: BTreeMap<&'static str, f64>,
    pub(super) cpu_us_per_record_with_twin: BTreeMap<&'static str, f64>,
    /// Of the cloud's commits, without the twin.
    pub(super) commit_ms: Percentiles,
    /// Most resident memory of the largest process of a role, without the twin.
    pub(super) rss_mb: BTreeMap<&'static str, f64>,
    /// Of the archive's folder, replaced files that are kept included.
    pub(super) archive_mb_per_million: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) idle_hour: Option<Idle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) idle_day: Option<IdleDay>,
}

impl Report {
    pub(super) fn print(&self) {
        let by_role = |figures: &BTreeMap<&str, f64>, digits: usize| {
            ROLES.map(|role| format!("{:.digits$}", figures.get(role).copied().unwrap_or(0.0))).join(" / ")
        };
        let mut rows = vec![
            row("records archived per second", format!("{:.0}", self.records_per_s.path)),
            row("the same with the twin", format!("{:.0}", self.records_per_s.with_twin)),
            row("processor µs a record, edge / fog / cloud", by_role(&self.cpu_us_per_record, 2)),
            row("the same with the twin", by_role(&self.cpu_us_per_record_with_twin, 2)),
            row("commit p50 / p99, ms", format!("{:.0} / {:.0}", self.commit_ms.p50, self.commit_ms.p99)),
            row("peak memory, MB, edge / fog / cloud", by_role(&self.rss_mb, 0)),
            row("archive, MB per million records", format!("{:.1}", self.archive_mb_per_million)),
        ];
        if let Some(hour) = &self.idle_hour {
            rows.push(row("idle, an hour: cloud MB", format!("{:.1}", hour.cloud_mb)));
            rows.push(row("idle, an hour: cloud processor s", format!("{:.1}", hour.cloud_cpu_s)));
            rows.push(row("idle, an hour: a fog node MB", format!("{:.1}", hour.fog_mb)));
            rows.push(row("idle, an hour: cloud memory growth MB", format!("{:.1}", hour.rss_growth_mb)));
        }
        output::table(&["the whole path, generator included", "figure"], &rows);
    }
}
