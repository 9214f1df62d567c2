//! D5.3's figures 6 to 10 again, and those of the sweeps.

use std::path::Path;

use anyhow::Result;

use super::report::{Report, Row, SweepReport};
use crate::plot::{Axis, Line, bars, lines};

/// Points of a battery's line: it is straight, but not on a logarithmic axis.
const BATTERY_POINTS: usize = 60;

fn linear(label: &str) -> Axis<'_> {
    Axis { label, log: false }
}

fn log(label: &str) -> Axis<'_> {
    Axis { label, log: true }
}

/// Draws everything that was measured into `folder`.
pub fn draw(folder: &Path, report: &Report) -> Result<()> {
    let rows = &report.protocols;
    latency(folder, rows)?;
    battery(folder, report)?;
    bars(
        &folder.join("energy.svg"),
        "Energy of all nodes by the model (D5.3, figure 9)",
        log("mJ per transaction, log"),
        &figures(rows, |row| row.energy_mj_per_transaction),
    )?;
    bars(
        &folder.join("energy-block.svg"),
        "Energy of all nodes by the model, for a block",
        log("mJ per block, log"),
        &figures(rows, |row| row.energy_mj_per_block),
    )?;
    bars(
        &folder.join("cpu.svg"),
        "Processor time (D5.3, figure 10)",
        log("% of a core at each node, log"),
        &figures(rows, |row| Some(row.cpu_percent_per_node)),
    )?;
    report.sweeps.iter().try_for_each(|sweep| swept(folder, sweep))
}

fn figures(rows: &[Row], figure: impl Fn(&Row) -> Option<f64>) -> Vec<(String, f64)> {
    rows.iter().filter_map(|row| Some((row.name.clone(), figure(row)?))).collect()
}

/// D5.3, figure 6.
fn latency(folder: &Path, rows: &[Row]) -> Result<()> {
    let line = |row: &Row| -> Line {
        let points = row.timeline.iter().filter_map(|step| Some((step.at_s, step.latency_ms?)));
        (row.name.clone(), points.collect())
    };
    let all: Vec<Line> = rows.iter().map(line).collect();
    if all.iter().all(|(_, points)| points.is_empty()) {
        return Ok(());
    }
    lines(
        &folder.join("latency-over-time.svg"),
        "Latency from submission to finality (D5.3, figure 6)",
        linear("time (s)"),
        log("median latency (ms), log"),
        &all,
    )
}

/// D5.3, figure 8: what is left of a node's battery. The energy for each transaction is as measured, and goes on until
/// the battery is empty.
fn battery(folder: &Path, report: &Report) -> Result<()> {
    let line = |row: &Row| -> Option<Line> {
        let of_node_j = row.energy_mj_per_transaction? / 1e3 / row.authorities as f64;
        let empty = report.energy_model.battery_j / of_node_j;
        let points = (0..=BATTERY_POINTS).map(|point| {
            // Evenly on a logarithmic axis over four powers of ten.
            let part = 10_f64.powf(4.0 * (point as f64 / BATTERY_POINTS as f64 - 1.0));
            (empty * part, 100.0 * (1.0 - part))
        });
        Some((row.name.clone(), points.collect()))
    };
    lines(
        &folder.join("battery-transactions.svg"),
        "A node's battery by the model (D5.3, figure 8)",
        log("transactions final, log"),
        linear("battery left (%)"),
        &report.protocols.iter().filter_map(line).collect::<Vec<_>>(),
    )
}

fn swept(folder: &Path, sweep: &SweepReport) -> Result<()> {
    let along = |figure: fn(&Row) -> Option<f64>| -> Vec<Line> {
        let mut all: Vec<Line> = Vec::new();
        for point in &sweep.points {
            for row in &point.protocols {
                let Some(y) = figure(row) else { continue };
                match all.iter_mut().find(|(name, _)| *name == row.name) {
                    Some((_, points)) => points.push((point.x, y)),
                    None => all.push((row.name.clone(), vec![(point.x, y)])),
                }
            }
        }
        all
    };
    let draw = |name: &str, title: &str, x: Axis<'_>, y: Axis<'_>, figure: fn(&Row) -> Option<f64>| {
        lines(&folder.join(name), title, x, y, &along(figure))
    };
    match sweep.by.as_str() {
        "nodes" => {
            let x = linear("nodes");
            draw(
                "nodes-latency.svg",
                "Latency by number of nodes",
                x,
                log("median latency (ms), log"),
                |row| row.latency_ms.p50,
            )?;
            draw(
                "nodes-messages.svg",
                "Messages of the agreement",
                x,
                log("messages per block, log"),
                |row| row.messages_per_block,
            )?;
            draw("nodes-energy.svg", "Energy by the model", x, log("mJ per transaction, log"), |row| {
                row.energy_mj_per_transaction
            })
        }
        "block" => draw(
            "throughput-block-size.svg",
            "Throughput with full blocks (D5.3, figure 7)",
            // A straight line of slope 1 is throughput in proportion to the size.
            log("block size (KiB), log"),
            log("records per second, log"),
            |row| Some(row.records_per_s),
        ),
        "transactions" => {
            let x = log("transactions per second, log");
            draw("load-energy.svg", "Energy by the model", x, log("mJ per transaction, log"), |row| {
                row.energy_mj_per_transaction
            })?;
            draw("load-latency.svg", "Latency under load", x, log("median latency (ms), log"), |row| {
                row.latency_ms.p50
            })
        }
        _ => draw(
            "reads.svg",
            "Readings answered beside the agreement",
            log("transactions per second, log"),
            linear("readings per second"),
            |row| row.reads_per_s,
        ),
    }
}
