//! Report of `bench archive`.

use serde::Serialize;

use crate::bench::machine::Machine;
use crate::output::{self, row};

/// One table's folder.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Disk {
    pub(super) table: String,
    pub(super) files: u64,
    pub(super) data_mb: f64,
    /// Files that merging replaced and that are not deleted yet.
    pub(super) replaced: u64,
    pub(super) replaced_mb: f64,
    pub(super) log_entries: u64,
    pub(super) log_mb: f64,
    pub(super) checkpoints: u64,
    pub(super) checkpoints_mb: f64,
}

impl Disk {
    pub(super) fn total_mb(&self) -> f64 {
        self.data_mb + self.replaced_mb + self.log_mb + self.checkpoints_mb
    }
}

/// One column's share.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Column {
    pub(super) table: &'static str,
    pub(super) column: String,
    pub(super) bytes_per_record: f64,
}

/// Memory and disk after a part of the run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Moment {
    pub(super) hours: f64,
    pub(super) records: u64,
    pub(super) rss_mb: f64,
    pub(super) threads: u64,
    pub(super) disk_mb: f64,
    /// Of archiving in this part.
    pub(super) cpu_ms_per_commit: f64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) vehicles: u32,
    pub(super) hz: f64,
    pub(super) hours: f64,
    pub(super) records: u64,
    pub(super) batches: u64,
    pub(super) commits: u64,
    pub(super) wall_s: f64,
    pub(super) check_cpu_s: f64,
    pub(super) archive_cpu_s: f64,
    pub(super) upkeep_cpu_s: f64,
    pub(super) cpu_s: f64,
    pub(super) commit_ms: Percentiles,
    pub(super) disk: Vec<Disk>,
    pub(super) disk_mb: f64,
    /// Without what is going to be deleted: files of the latest snapshot, log and checkpoints.
    pub(super) bytes_per_record: f64,
    /// Of which in which column, the largest first; the rest is the files' headers and footers, log and checkpoints.
    pub(super) columns: Vec<Column>,
    pub(super) moments: Vec<Moment>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

pub(super) fn print(report: &Report) {
    output::line(report.machine.line());
    let mb = |value: f64| format!("{value:.2}");
    let mut rows = vec![
        row(
            "records, batches, commits",
            format!("{}, {}, {}", report.records, report.batches, report.commits),
        ),
        row(
            "processor time, s: checks, commits, upkeep",
            format!("{:.1}, {:.1}, {:.1}", report.check_cpu_s, report.archive_cpu_s, report.upkeep_cpu_s),
        ),
        row(
            "commit p50 / p99 / max, ms",
            format!(
                "{:.1} / {:.1} / {:.1}",
                report.commit_ms.p50, report.commit_ms.p99, report.commit_ms.max
            ),
        ),
        row("disk, MB", mb(report.disk_mb)),
        row("bytes a record, replaced files aside", format!("{:.1}", report.bytes_per_record)),
    ];
    for disk in &report.disk {
        rows.push(row(
            &format!("{}: data, replaced, log, checkpoints in MB", disk.table),
            format!(
                "{} ({} files), {} ({}), {} ({}), {} ({})",
                mb(disk.data_mb),
                disk.files,
                mb(disk.replaced_mb),
                disk.replaced,
                mb(disk.log_mb),
                disk.log_entries,
                mb(disk.checkpoints_mb),
                disk.checkpoints
            ),
        ));
    }
    output::table(
        &[&format!("{} vehicles, {} Hz, {} h", report.vehicles, report.hz, report.hours), "figure"],
        &rows,
    );
    let column = |column: &Column| {
        vec![format!("{}.{}", column.table, column.column), format!("{:.2}", column.bytes_per_record)]
    };
    let rows: Vec<_> =
        report.columns.iter().filter(|column| column.bytes_per_record >= 0.05).map(column).collect();
    output::table(&["column", "bytes a record"], &rows);
    let rows: Vec<_> = report
        .moments
        .iter()
        .map(|m| {
            vec![
                format!("{:.2}", m.hours),
                m.records.to_string(),
                format!("{:.1}", m.rss_mb),
                m.threads.to_string(),
                format!("{:.2}", m.disk_mb),
                format!("{:.1}", m.cpu_ms_per_commit),
            ]
        })
        .collect();
    output::table(&["hours", "records", "RSS MB", "threads", "disk MB", "CPU ms a commit"], &rows);
}
