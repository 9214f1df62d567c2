//! `voltmesh inspect`: what would be read of recordings, before anything is signed.

mod config;
mod figures;
mod show;

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use voltmesh_recording::report::{Report, Verdict};
use voltmesh_recording::table::Options as TableOptions;
use voltmesh_recording::{Options, Recording};

use self::figures::Figures;
use crate::args::Inspect;
use crate::{Outcome, output};

/// What a machine is told.
#[derive(Serialize)]
struct Json<'a> {
    #[serde(flatten)]
    report: &'a Report,
    /// What the files are read by, as TOML.
    configuration: &'a str,
}

/// What a machine is told of files that cannot be read: the same keys, empty, and why.
#[derive(Serialize)]
struct Unread {
    format: Option<String>,
    segments: [u8; 0],
    quantities: serde_json::Map<String, serde_json::Value>,
    samples: u64,
    skipped: serde_json::Map<String, serde_json::Value>,
    warnings: Vec<String>,
    usable: bool,
    verdict: Verdict,
    error: String,
}

/// Runs the command.
pub fn run(options: Inspect) -> Result<Outcome> {
    if let Some(path) = &options.output {
        let kind = path.extension().and_then(|kind| kind.to_str());
        ensure!(matches!(kind, Some("html" | "svg")), "-o wants a file that ends in .html or .svg");
    }
    let read = read(&options);
    let (report, configuration, figures) = match read {
        Ok(read) => read,
        Err(error) => {
            output::error(&error);
            if options.json {
                let error = format!("{error:#}");
                output::json(&Unread {
                    format: None,
                    segments: [],
                    quantities: Default::default(),
                    samples: 0,
                    skipped: Default::default(),
                    warnings: vec![error.clone()],
                    usable: false,
                    verdict: Verdict::Unread,
                    error,
                })?;
            }
            return Ok(Outcome::Unread);
        }
    };
    if let Some(path) = &options.output {
        figures.write(path, &report, &configuration)?;
    }
    if options.json {
        // What makes values doubtful is the first warning.
        let mut report = report.clone();
        report.warnings.splice(0..0, report.reasons.iter().cloned());
        output::json(&Json { report: &report, configuration: &configuration })?;
    } else {
        show::show(&report, &configuration);
        if let Some(path) = &options.output {
            output::line(format!("wrote {}", path.display()));
        }
    }
    Ok(match report.verdict {
        Verdict::Usable => Outcome::Done,
        Verdict::Doubtful => Outcome::Wrong,
        Verdict::Unread => Outcome::Unread,
    })
}

/// Puts what the command line states of a table before what a configuration states.
fn stated(asked: &Inspect, table: &mut TableOptions) {
    let or = |asked: &Option<String>, configured: &mut Option<String>| {
        if asked.is_some() {
            configured.clone_from(asked);
        }
    };
    or(&asked.time_format, &mut table.time_format);
    or(&asked.time_zone, &mut table.time_zone);
    or(&asked.date, &mut table.date);
    or(&asked.state, &mut table.state);
    table.decimal = asked.decimal.or(table.decimal);
    table.separator = asked.separator.or(table.separator);
    table.skip_lines = asked.skip_lines.or(table.skip_lines);
    if !asked.missing.is_empty() {
        table.missing.clone_from(&asked.missing);
    }
}

/// Reads the files once.
fn read(asked: &Inspect) -> Result<(Report, String, Figures)> {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
    let (mut files, mut options) = match &asked.config {
        Some(path) => config::load(path, now_ms)?,
        None => (Vec::new(), Options::new(now_ms)),
    };
    if !asked.files.is_empty() {
        files.clone_from(&asked.files);
    }
    ensure!(!files.is_empty(), "no file is named, neither here nor under [source]");
    options.mappings.clone_from(&asked.mappings);
    options.dbc = asked.dbc.clone().or(options.dbc);
    options.diagnostics = asked.diagnostics.clone().or(options.diagnostics);
    options.interface = asked.interface.clone().or(options.interface);
    options.start_ms = asked.start_ms.or(options.start_ms);
    stated(asked, &mut options.table);
    options.battery.chemistry = asked.chemistry.or(options.battery.chemistry);
    options.battery.cells_in_series = asked.cells.or(options.battery.cells_in_series);
    // A missing date is said as a doubt, with everything else.
    options.needs_date = false;
    let mut recording = Recording::open(&files, &options).context("the files cannot be read")?;
    let mut figures = Figures::default();
    while let Some(placed) = recording.next().context("the files cannot be read")? {
        figures.take(placed.time, &placed.item);
    }
    Ok((recording.report(), recording.configuration(), figures))
}
