//! `voltmesh edge | fog | cloud`: one role, one process, one runner.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use commonware_runtime::{Runner as _, tokio};

use crate::args::RoleArgs;
use crate::{Outcome, output};

/// Runs a vehicle's agent.
pub fn edge(args: RoleArgs) -> Result<Outcome> {
    let Some(path) = file(&args, voltmesh_edge::config::DEFAULTS) else { return Ok(Outcome::Done) };
    let config = voltmesh_edge::Config::load(&path)?;
    // An edge shares a small computer: one worker thread is enough for a pack at 10 Hz.
    let summary = runner(&config.data, 1)?.start(|context| voltmesh_edge::run(context, config))?;
    output::line(summary.to_string());
    Ok(Outcome::Done)
}

/// Runs a fog node.
pub fn fog(args: RoleArgs) -> Result<Outcome> {
    let Some(path) = file(&args, voltmesh_fog::config::DEFAULTS) else { return Ok(Outcome::Done) };
    let config = voltmesh_fog::Config::load(&path)?;
    runner(&config.data, cores())?.start(|context| voltmesh_fog::run(context, config))?;
    Ok(Outcome::Done)
}

/// Runs the cloud.
pub fn cloud(args: RoleArgs) -> Result<Outcome> {
    let Some(path) = file(&args, voltmesh_cloud::config::DEFAULTS) else { return Ok(Outcome::Done) };
    let config = voltmesh_cloud::Config::load(&path)?;
    // The archive is an object store's; the runner's own storage is not used.
    let config_for_runner = tokio::Config::default().with_worker_threads(cores());
    tokio::Runner::new(config_for_runner).start(|context| voltmesh_cloud::run(context, config))?;
    Ok(Outcome::Done)
}

/// The configuration file, or `None` once the defaults are printed.
fn file(args: &RoleArgs, defaults: &str) -> Option<PathBuf> {
    if args.defaults {
        output::line(defaults.trim_end());
        return None;
    }
    args.config.clone()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// The runner that all asynchronous work of a process shares; its storage lives in the role's data folder.
fn runner(data: &Path, workers: usize) -> Result<tokio::Runner> {
    std::fs::create_dir_all(data)
        .with_context(|| format!("cannot make the data folder {}", data.display()))?;
    let config = tokio::Config::default().with_storage_directory(data).with_worker_threads(workers);
    Ok(tokio::Runner::new(config))
}
