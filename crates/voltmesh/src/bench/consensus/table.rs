//! The report for people.

use super::report::{Report, Row};
use crate::output;
use crate::plot::short;

fn maybe(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), short)
}

/// Prints it.
pub fn print(report: &Report) {
    output::line(report.machine.line());
    let settings = &report.settings;
    let links =
        settings.mean_link_ms.map_or(String::new(), |ms| format!(" (links of {} ms on average)", short(ms)));
    output::line(format!(
        "{} nodes on {}{links}, {} transactions/s of {} records ({}), blocks of at most {} B at least {} ms apart, fault {}, {} s after {} s, seed {}",
        settings.authorities,
        settings.network,
        short(settings.load_tps),
        settings.records_per_transaction,
        settings.arrivals,
        settings.block_bytes,
        settings.block_interval_ms,
        settings.fault,
        settings.seconds,
        settings.warm_up_s,
        settings.seed,
    ));
    main(&report.protocols);
    for ratio in &report.ratios {
        output::line(format!(
            "{} : {}  latency {} (p50), messages a block {}, CPU a record {}, energy a record {}",
            ratio.of,
            ratio.to,
            maybe(ratio.latency_p50),
            maybe(ratio.messages_per_block),
            maybe(ratio.cpu_per_record),
            maybe(ratio.energy_per_record),
        ));
    }
    for sweep in &report.sweeps {
        output::line(format!("\nby {} ({})", sweep.by, sweep.unit));
        let rows: Vec<Vec<String>> = sweep
            .points
            .iter()
            .flat_map(|point| point.protocols.iter().map(|row| swept(point.x, row)))
            .collect();
        output::table(
            &[
                "at",
                "protocol",
                "p50 ms",
                "blocks/s",
                "tx/s",
                "messages/block",
                "CPU µs/tx",
                "energy mJ/tx",
                "reads/s",
            ],
            &rows,
        );
        if sweep.by == "reads" {
            output::line("the readers' processor time is in these figures");
        }
    }
    let model = &report.energy_model;
    output::line(format!(
        "energy is a model: CPU seconds × {} W + bytes × {} µJ; a battery of {} J at every node. Defaults:",
        short(model.cpu_w),
        short(model.uj_per_byte),
        short(model.battery_j),
    ));
    model.sources.iter().for_each(|source| output::line(format!("  {source}")));
    if report.protocols.iter().any(|row| row.name == "pow") {
        output::line(format!(
            "pow: a block each {} ms on average; D5.3 states no interval, so read every ratio to pow with it",
            settings.pow_interval_ms
        ));
    }
}

fn main(rows: &[Row]) {
    let line = |name: &str, figure: &dyn Fn(&Row) -> String| {
        let mut cells = vec![name.to_owned()];
        cells.extend(rows.iter().map(figure));
        cells
    };
    let mut lines = vec![
        line("voters", &|row| row.committee.to_string()),
        line("epoch when the measurement began", &|row| row.epoch.to_string()),
        line("latency p50 (ms)", &|row| maybe(row.latency_ms.p50)),
        line("latency p95 (ms)", &|row| maybe(row.latency_ms.p95)),
        line("latency p99 (ms)", &|row| maybe(row.latency_ms.p99)),
        line("latency p50 (link delays)", &|row| maybe(row.latency_link_delays_p50)),
        line("block to finality p50 (ms)", &|row| maybe(row.finality_ms.p50)),
        line("block to finality p50 (link delays)", &|row| maybe(row.finality_link_delays_p50)),
        line("blocks/s", &|row| short(row.blocks_per_s)),
        line("transactions/s", &|row| short(row.tx_per_s)),
        line("records/s", &|row| short(row.records_per_s)),
        line("messages/block", &|row| maybe(row.messages_per_block)),
        line("bytes/block", &|row| maybe(row.bytes_per_block)),
        line("messages/block, spreading too", &|row| maybe(row.all_messages_per_block)),
        line("bytes/block, spreading too", &|row| maybe(row.all_bytes_per_block)),
        line("CPU ms/block", &|row| maybe(row.cpu_ms_per_block)),
        line("CPU µs/transaction", &|row| maybe(row.cpu_us_per_transaction)),
        line("CPU µs/record", &|row| maybe(row.cpu_us_per_record)),
        line("CPU of a core at a node (%)", &|row| short(row.cpu_percent_per_node)),
        line("energy mJ/block", &|row| maybe(row.energy_mj_per_block)),
        line("energy mJ/transaction", &|row| maybe(row.energy_mj_per_transaction)),
        line("energy µJ/record", &|row| maybe(row.energy_uj_per_record)),
        line("view changes", &|row| row.view_changes.to_string()),
        line("forks", &|row| row.forks.to_string()),
        line("conflicting final blocks", &|row| row.conflicting_finals.to_string()),
        line("refused, of those submitted", &|row| format!("{} of {}", row.refused, row.submitted)),
        line("never final, of those submitted", &|row| format!("{} of {}", row.unfinished, row.submitted)),
    ];
    if rows.iter().any(|row| row.recovery_ms.is_some()) {
        let recovery = |all: bool| {
            move |row: &Row| {
                maybe(row.recovery_ms.and_then(|recovery| if all { recovery.all } else { recovery.first }))
            }
        };
        lines.push(line("healed to first final block (ms)", &recovery(false)));
        lines.push(line("healed to final at every node (ms)", &recovery(true)));
    }
    if rows.iter().any(|row| row.name == "poa" && row.epoch < 2) {
        output::line(
            "poa was measured before its first election took effect, in epoch 2: raise --warm-up or lower --epoch",
        );
    }
    let mut header = vec!["of all nodes together"];
    header.extend(rows.iter().map(|row| row.name.as_str()));
    output::table(&header, &lines);
}

fn swept(x: f64, row: &Row) -> Vec<String> {
    vec![
        short(x),
        row.name.clone(),
        maybe(row.latency_ms.p50),
        short(row.blocks_per_s),
        short(row.tx_per_s),
        maybe(row.messages_per_block),
        maybe(row.cpu_us_per_transaction),
        maybe(row.energy_mj_per_transaction),
        maybe(row.reads_per_s),
    ]
}
