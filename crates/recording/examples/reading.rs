//! Speed of reading recordings as a vehicle does, on one core: made-up tables and a log of a bus, beside pandas and cantools
//! where Python has them: `cargo run --release -p voltmesh-recording --example reading`; with files as arguments (`FILE…`, of
//! which a DBC file is for the logs), those.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for a terminal")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use voltmesh_recording::{Options, Recording};

/// A moment of 2026 in ms.
const NOW_MS: u64 = 1_790_000_000_000;

const DBC: &str = "VERSION \"\"\n\nBU_: A\n\nBO_ 256 Pack: 8 A\n SG_ PackVoltage : 0|16@1+ (0.1,0) [0|1000] \"V\" A\n \
    SG_ PackCurrent : 16|16@1- (0.1,0) [-1000|1000] \"A\" A\n";

/// Script that prints its seconds of processor time.
const PANDAS: &str = "import sys, time, pandas\nt = time.process_time()\npandas.read_csv(sys.argv[1])\nprint(time.process_time() - t)";
const CANTOOLS: &str = "import sys, time, can, cantools\nd = cantools.database.load_file(sys.argv[2])\nt = time.process_time()\n\
    m = d.get_message_by_name('Pack')\nfor f in can.LogReader(sys.argv[1]):\n    \
    if f.arbitration_id == m.frame_id: m.decode(f.data)\nprint(time.process_time() - t)";

fn main() {
    let files: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    if !files.is_empty() {
        let (dbc, files): (Vec<PathBuf>, Vec<PathBuf>) =
            files.into_iter().partition(|path| path.extension().is_some_and(|kind| kind == "dbc"));
        files.iter().for_each(|file| read(file, dbc.first().map(PathBuf::as_path), None));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(
        at("cell.csv"),
        table("time_s,voltage_v,current_a", 2_000_000, |n, text| {
            let amperes = -2.0 + (n as f64 / 17.0).sin();
            write!(text, "{:.1},{:.4},{amperes:.3}", n as f64 / 10.0, 3.7 + 0.01 * amperes)
        }),
    )
    .unwrap();
    std::fs::write(
        at("drive.csv"),
        table(
            "time_s,pack_voltage_v,pack_current_a,soc_pct,temp_1_c,temp_2_c,speed_kmh",
            1_000_000,
            |n, text| {
                let amperes = -50.0 + 40.0 * (n as f64 / 17.0).sin();
                let (volts, soc, temp) =
                    (360.0 + 0.1 * amperes, 90.0 - 2e-5 * n as f64, 20.0 + 1e-5 * n as f64);
                write!(
                    text,
                    "{:.1},{volts:.2},{amperes:.2},{soc:.2},{temp:.1},{:.1},{:.1}",
                    n as f64 / 10.0,
                    temp + 1.0,
                    -amperes
                )
            },
        ),
    )
    .unwrap();
    let cells: String = (1..=96).map(|cell| format!(",cell_{cell}_v")).collect();
    std::fs::write(
        at("pack.csv"),
        table(&format!("time_s,pack_voltage_v,current_a{cells}"), 80_000, |n, text| {
            write!(text, "{n},355.20,-12.50")?;
            (0..96)
                .try_for_each(|cell| write!(text, ",{:.4}", 3.7 + 1e-4 * f64::from((n as u32 + cell) % 13)))
        }),
    )
    .unwrap();
    let mut log = String::new();
    for n in 0..2_000_000_u64 {
        let (id, ms) = (0x100 + n % 20, n / 2);
        let _ = writeln!(
            log,
            "({}.{:03}000) can0 {id:03X}#E00D83FF00{:06X}",
            1_700_000_000 + ms / 1000,
            ms % 1000,
            n
        );
    }
    std::fs::write(at("bus.log"), log).unwrap();
    std::fs::write(at("bus.dbc"), DBC).unwrap();
    for name in ["cell.csv", "drive.csv", "pack.csv"] {
        read(&at(name), None, Some(("pandas", PANDAS)));
    }
    read(&at("bus.log"), Some(&at("bus.dbc")), Some(("cantools", CANTOOLS)));
}

fn table(header: &str, rows: u64, row: impl Fn(u64, &mut String) -> std::fmt::Result) -> String {
    let mut text = format!("{header}\n");
    for n in 0..rows {
        row(n, &mut text).unwrap();
        text.push('\n');
    }
    text
}

/// Seconds of the processor that this process has used: a busy machine takes none of them.
fn used() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}

fn read(file: &Path, dbc: Option<&Path>, other: Option<(&str, &str)>) {
    let mut options = Options::new(NOW_MS);
    options.dbc = dbc.map(Path::to_owned);
    let (begin, before) = (Instant::now(), used());
    let mut recording = match Recording::open(&[file.to_owned()], &options) {
        Ok(recording) => recording,
        Err(error) => return println!("{}: {error}", file.display()),
    };
    let mut rows = 0_u64;
    while recording.next().unwrap().is_some() {
        rows += 1;
    }
    let seconds = before.and_then(|before| Some(used()? - before)).unwrap_or(begin.elapsed().as_secs_f64());
    let megabytes = std::fs::metadata(file).unwrap().len() as f64 / 1e6;
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    print!("{name}: {rows} rows, {megabytes:.0} MB, {seconds:.2} s, {:.0} MB/s", megabytes / seconds);
    if dbc.is_some() {
        let lines = std::fs::read(file).unwrap().iter().filter(|byte| **byte == b'\n').count();
        print!(", {:.2} M frames/s", lines as f64 / seconds / 1e6);
    }
    let output = other.and_then(|(name, script)| {
        let mut command = Command::new("python3");
        let output = command.args(["-c", script]).arg(file).args(dbc).output().ok()?;
        Some((name, String::from_utf8(output.stdout).ok()?.trim().parse::<f64>().ok()?))
    });
    match output {
        Some((name, theirs)) => println!("; {name} {theirs:.2} s: {:.1} times as long", theirs / seconds),
        None => println!(),
    }
}
