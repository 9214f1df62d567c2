//! Short runs of the command's parts.

use clap::Parser as _;

use super::*;
use crate::args::{Bench, Cli, Command};

fn options(line: &str) -> BenchConsensus {
    let words = ["voltmesh", "bench", "consensus"].into_iter().chain(line.split_whitespace());
    match Cli::try_parse_from(words).map(|cli| cli.command) {
        Ok(Command::Bench(Bench::Consensus(options))) => options,
        other => panic!("{line}: {other:?}"),
    }
}

fn report(line: &str) -> Report {
    let options = options(line);
    let model = energy_model(&options).unwrap();
    let jobs = plans::main(&options).unwrap();
    let bar = ProgressBar::hidden();
    let rows = jobs.iter().map(|job| Row::new(&job.name, &measure(job, &bar, 0).unwrap(), &model));
    Report::new(Machine::this(), &options, &jobs, model, rows.collect(), Vec::new())
}

const SHORT: &str = "--protocols poa --authorities 4 --load 20 --seconds 2 --warm-up 1";

#[test]
fn json_has_the_agreed_fields() {
    let report = report(SHORT);
    let value = serde_json::to_value(report.without_timelines()).unwrap();
    let row = &value["protocols"][0];
    assert_eq!(row["name"], "poa");
    for field in ["p50", "p95", "p99"] {
        assert!(row["latency_ms"][field].as_f64().unwrap() > 0.0, "{field}");
    }
    for field in [
        "latency_link_delays_p50",
        "blocks_per_s",
        "tx_per_s",
        "records_per_s",
        "messages_per_block",
        "bytes_per_block",
        "cpu_us_per_record",
        "energy_uj_per_record",
    ] {
        assert!(row[field].as_f64().unwrap() > 0.0, "{field}: {row}");
    }
    for field in ["view_changes", "forks", "conflicting_finals"] {
        assert!(row[field].is_u64(), "{field}");
    }
    assert!(row.get("timeline").is_none() && !report.protocols[0].timeline.is_empty());
    assert_eq!(verdict(&report), Outcome::Done);
}

#[test]
fn figures_are_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let mut report = report(SHORT);
    for by in ["nodes", "block", "transactions", "reads"] {
        let mut rows = report.protocols.clone();
        rows.iter_mut().for_each(|row| row.reads_per_s = Some(5.0));
        let points =
            vec![SweepPoint { x: 4.0, protocols: rows.clone() }, SweepPoint { x: 7.0, protocols: rows }];
        let runtime = Runtime::Sim;
        report.sweeps.push(SweepReport { by: by.to_owned(), unit: "", runtime, points });
    }
    figures::draw(folder.path(), &report).unwrap();
    for name in [
        "latency-over-time",
        "battery-transactions",
        "energy",
        "energy-block",
        "cpu",
        "nodes-latency",
        "throughput-block-size",
        "load-energy",
        "reads",
    ] {
        let text = std::fs::read_to_string(folder.path().join(format!("{name}.svg"))).unwrap();
        assert!(text.contains("poa"), "{name}");
    }
    table::print(&report);
}

#[test]
fn plans_follow_the_command_line() {
    let mut options = options(
        "--protocols poa,pbft,pbft-committee,pow --committee 7 --network rsu --sweep nodes,block,reads",
    );
    let jobs = plans::main(&options).unwrap();
    let committees: Vec<_> = jobs.iter().map(|job| (job.name.as_str(), job.plan.committee)).collect();
    assert_eq!(committees, [("poa", Some(7)), ("pbft", None), ("pbft-committee", Some(7)), ("pow", None)]);
    assert!(jobs.iter().all(|job| job.plan.profile.name == "rsu" && job.plan.block_interval.is_zero()));
    let sweeps = plans::sweeps(&options).unwrap();
    assert_eq!(sweeps.len(), 3);
    assert_eq!(sweeps[0].points.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [4.0, 7.0, 10.0, 20.0, 50.0]);
    assert!(
        sweeps[0].points[0].1.iter().all(|job| job.plan.committee.is_none()),
        "seven of four cannot vote"
    );
    assert!(sweeps[2].points.iter().flat_map(|(_, jobs)| jobs).all(|job| {
        job.runtime == Runtime::Tcp && job.plan.readers == 1 && !job.plan.block_interval.is_zero()
    }));
    options.network = Some("nowhere.toml".to_owned());
    assert!(plans::main(&options).unwrap_err().to_string().contains("not lan, wan or rsu"));
    options.runtime = Runtime::Tcp;
    assert!(plans::main(&options).unwrap_err().to_string().contains("--runtime sim"));
    options.committee = Some(3);
    assert!(plans::main(&options).unwrap_err().to_string().contains("--committee"));
}
