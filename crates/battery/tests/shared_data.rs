//! Logs that others measured, where they are beside the project: no false alarm, and honest intervals from any start.

#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use voltmesh_battery::estimate::{Options, evaluate};
use voltmesh_battery::log::Log;
use voltmesh_battery::pack::PackSample;
use voltmesh_battery::twin::Setup;
use voltmesh_battery::watch::Stage;
use voltmesh_battery::{Cell, CellParams, Chemistry, Sample, Twin, bpx};

/// Files of a folder of the shared data; none, with the reason printed, where it is not there.
fn files(folder: &str) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(folder);
    let Ok(entries) = std::fs::read_dir(&path) else {
        println!("skipped: ../shared/{folder} is not here");
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.to_string_lossy().ends_with(".csv.gz"));
    files.sort();
    files
}

fn text(path: &Path) -> String {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).expect("a file that was listed");
    flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes).expect("gzip");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Hours that were looked at, and what was found there: warnings by name; nothing may ask for protection.
fn watched(cell: &Arc<Cell>, series: usize, name: &str, samples: Vec<PackSample>) -> (f64, Vec<String>) {
    let setup = Setup { series, full_every_s: None, ..Setup::default() };
    let mut twin = Twin::new(cell.clone(), setup, None);
    let mut events = Vec::new();
    for sample in samples {
        events.extend(twin.update(sample).events);
    }
    let protect: Vec<_> = events.iter().filter(|event| event.stage == Stage::Protect).collect();
    assert!(protect.is_empty(), "{name}: {protect:?}");
    let found = events
        .iter()
        .filter(|event| !event.over)
        .map(|event| format!("{name}: {} {:?}", event.kind, event.stage));
    (twin.watch().coverage().seconds() / 3_600.0, found.collect())
}

/// A table's rows: of each, the values of the columns that begin so; no number where there is none.
fn columns<const N: usize>(path: &Path, separator: char, starts: [&str; N]) -> Vec<[f64; N]> {
    let text = text(path);
    let mut lines = text.lines();
    let titles: Vec<&str> = lines.next().unwrap_or_default().split(separator).collect();
    let of = starts.map(|start| titles.iter().position(|title| title.starts_with(start)));
    let value = |fields: &[&str], column: Option<usize>| {
        column.and_then(|column| fields.get(column)?.trim().parse().ok()).unwrap_or(f64::NAN)
    };
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split(separator).collect();
            of.map(|column| value(&fields, column))
        })
        .collect()
}

#[test]
fn no_drive_and_no_pulse_is_taken_for_a_runaway_slow() {
    let nca = Arc::new(Cell::new(CellParams::typical(Chemistry::Nca, 2.9)).expect("a preset"));
    let (mut hours, mut found) = (0.0, Vec::new());
    for folder in
        ["data/battery/panasonic_18650pf/cycles_1hz", "data/battery/panasonic_18650pf/characterisation"]
    {
        for path in files(folder) {
            let titles = ["time_s", "voltage_v", "current_a", "cell_temp_c", "chamber_temp_c"];
            let samples = columns(&path, ',', titles).into_iter().map(
                |[time_s, voltage_v, current_a, cell, chamber]| PackSample {
                    time_s,
                    voltage_v,
                    current_a,
                    cells_v: vec![voltage_v],
                    temps_c: [cell, chamber].into_iter().find(|temp| temp.is_finite()).into_iter().collect(),
                    insulation_ohm: None,
                },
            );
            let (looked, events) = watched(&nca, 1, &name(&path), samples.collect());
            hours += looked;
            found.extend(events);
        }
    }
    let nmc = Arc::new(Cell::new(CellParams::typical(Chemistry::Nmc, 60.0)).expect("a preset"));
    for path in files("data/battery/bmw_i3_trips") {
        // One trip has no maximum.
        let titles =
            ["Time", "Battery Voltage", "Battery Current", "Battery Temperature", "max. Battery Temperature"];
        let samples =
            columns(&path, ';', titles).into_iter().map(|[time_s, voltage_v, current_a, temp, most]| {
                PackSample {
                    time_s,
                    voltage_v,
                    current_a,
                    cells_v: Vec::new(),
                    temps_c: vec![temp, most],
                    insulation_ohm: None,
                }
            });
        let (looked, events) = watched(&nmc, 96, &name(&path), samples.collect());
        hours += looked;
        found.extend(events);
    }
    println!("{hours:.1} h looked at; below protect: {found:?}");
    let heated = found.iter().filter(|found| found.contains("thermal-runaway")).count();
    assert_eq!(heated, 0, "{found:?}");
}

/// `Time [s],I[A],U[V]`, from a full cell on.
fn lfp(path: &Path) -> Log {
    let (mut samples, mut counter) = (Vec::<Sample>::new(), Vec::new());
    let mut ah = 0.0;
    for line in text(path).lines().skip(1) {
        let row: Vec<f64> = line.split(',').map(|field| field.parse().expect("a number")).collect();
        if let Some(last) = samples.last() {
            ah += row[1] * (row[0] - last.time_s) / 3_600.0;
        }
        counter.push(ah);
        samples.push(Sample {
            time_s: row[0],
            voltage_v: row[2],
            current_a: row[1],
            cell_temp_c: Some(25.0),
            ambient_c: None,
        });
    }
    Log { name: name(path), samples, counter_ah: Some(counter) }
}

#[test]
fn an_lfp_cell_is_within_its_interval_from_any_claim_slow() {
    let logs: Vec<Log> = files("data/bpx").iter().map(|path| lfp(path)).collect();
    let bpx = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/bpx/lfp_18650_cell_BPX.json");
    let Ok(text) = std::fs::read_to_string(bpx) else { return };
    let imported = bpx::import(&text, None).expect("a cell").params;
    for params in [imported, CellParams::typical(Chemistry::Lfp, 2.0)] {
        let cell = Arc::new(Cell::new(params).expect("usable"));
        for initial_soc in [0.2, 0.4, 0.55, 0.75, 0.9, 1.0] {
            let options = Options { capacity_ah: 2.0, initial_soc, ..Options::default() };
            let found = evaluate(&cell, &logs, &options, || 0.0).expect("an evaluation");
            for file in &found.files {
                let within = file.within_2sigma_pct.expect("it is stated");
                assert!(
                    within >= 93.0,
                    "{} from {initial_soc} by {}: {within} %",
                    file.file,
                    cell.params().name
                );
            }
        }
    }
}

/// A drive of the Panasonic cell with its tester's counter, from where it is logged without gaps.
fn nca(path: &Path) -> Log {
    let titles = ["time_s", "voltage_v", "current_a", "cell_temp_c", "chamber_temp_c", "ah"];
    let known = |value: f64| Some(value).filter(|value| value.is_finite());
    let (mut samples, mut counter) = (Vec::new(), Vec::new());
    for [time_s, voltage_v, current_a, cell, chamber, ah] in columns(path, ',', titles) {
        samples.push(Sample {
            time_s,
            voltage_v,
            current_a,
            cell_temp_c: known(cell),
            ambient_c: known(chamber),
        });
        counter.push(ah);
    }
    Log { name: name(path), samples, counter_ah: Some(counter) }.after_last_gap()
}

#[test]
fn an_nca_cell_is_within_the_interval_of_a_typical_one_slow() {
    let files = files("data/battery/panasonic_18650pf/cycles_1hz");
    // The cell has aged by 13 % when the chamber's temperature rises: the reference knows one capacity.
    let logs: Vec<Log> =
        files.iter().filter(|path| !name(path).starts_with("trise")).map(|path| nca(path)).collect();
    let cell = Arc::new(Cell::new(CellParams::typical(Chemistry::Nca, 2.9)).expect("a preset"));
    let (mut sum, mut within, mut settled) = (0.0, 0.0, 0.0);
    for initial_soc in [0.2, 0.4, 0.55, 0.75, 0.9, 1.0] {
        let options = Options { capacity_ah: 2.9, initial_soc, ..Options::default() };
        if logs.is_empty() {
            return;
        }
        let found = evaluate(&cell, &logs, &options, || 0.0).expect("an evaluation").total;
        println!("from {initial_soc}: {found:?}");
        let samples = found.samples as f64;
        sum += found.soc_rmse_pct * found.soc_rmse_pct * samples;
        within += found.within_2sigma_pct.expect("it is stated") * samples;
        settled += samples;
    }
    let within = within / settled;
    println!("RMSE {:.2} %, in 2σ {within:.1} %", (sum / settled).sqrt());
    assert!(within >= 93.0, "{within} %");
}
