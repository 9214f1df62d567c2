//! `voltmesh demo`: the whole system as separate processes on this machine, with faults, and a check from the outside.

mod apply;
mod chaos;
mod check;
mod closed_loop;
mod conclude;
pub mod fault;
mod progress;
mod recordings;
mod report;
mod run;
mod scenario;
mod stations;
mod tamper;
mod view;
mod watch;

use anyhow::{Context as _, Result};

use crate::deploy::run_with_processes;
use crate::{Outcome, args, output};
use run::Run;

/// Runs the demo and says in its exit code whether all is well.
pub fn run(mut options: args::Demo) -> Result<Outcome> {
    if let Some(chosen) = &options.scenario {
        return scenario::run(chosen, options.dir.as_deref(), options.json);
    }
    if let Some(seed) = options.chaos {
        options.fault = chaos::draw(seed, options.fogs.into(), options.vehicles.into(), options.duration)
            .map_err(anyhow::Error::msg)?;
        output::note(&format!("chaos {seed}, to be repeated with\n--fault {}", options.fault));
    }
    options.fault.check(options.fogs.into(), options.vehicles.into()).map_err(anyhow::Error::msg)?;
    let temporary =
        tempfile::Builder::new().prefix("voltmesh-demo-").tempdir().context("a temporary folder")?;
    let dir = options.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let dir = dir.canonicalize()?;
    let json = options.json;
    let report = run_with_processes(async {
        let mut run = Run::prepare(&dir, options).await?;
        let result = run.drive().await;
        run.stop().await;
        result
    });
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            // What the processes said is the best explanation there is.
            let kept = temporary.keep();
            return Err(error.context(format!("the run's files are kept in {}", kept.display())));
        }
    };
    if json {
        output::json(&report)?;
    } else {
        report.print();
    }
    Ok(if report.is_good() { Outcome::Done } else { Outcome::Wrong })
}
