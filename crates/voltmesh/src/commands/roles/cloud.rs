//! `voltmesh cloud`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use commonware_runtime::{Runner as _, tokio};
use voltmesh_http::Process;

use super::{confine, cores, file};
use crate::args::RoleArgs;
use crate::commands::audit_log;
use crate::{Outcome, disk};

/// Runs the cloud.
pub fn cloud(args: RoleArgs) -> Result<Outcome> {
    let Some(path) = file(&args, voltmesh_cloud::config::DEFAULTS) else { return Ok(Outcome::Done) };
    let config = voltmesh_cloud::Config::load(&path)?;
    let local = (!config.archive.contains("://")).then(|| PathBuf::from(&config.archive));
    let learned = config.trust_learned.as_deref().and_then(Path::parent).map(Path::to_path_buf);
    let written: Vec<&Path> =
        local.iter().chain([&config.audit]).chain(&learned).map(PathBuf::as_path).collect();
    let confined = confine(&config.process, &path, &written)?;
    // The archive is an object store's; the runner's own storage is not used, but its folder is made at the start.
    let config_for_runner = tokio::Config::default()
        .with_storage_directory(&config.audit)
        .with_worker_threads(cores())
        .with_max_blocking_threads(voltmesh_cloud::delta::BLOCKING_THREADS);
    let run = || {
        let recorder = audit_log::begin(&config.audit, &path)?;
        let process = Process { audit: recorder.clone(), confined };
        let ended = tokio::Runner::new(config_for_runner)
            .start(|context| voltmesh_cloud::run(context, config, process));
        let ended = ended.map_err(anyhow::Error::from);
        audit_log::end(&recorder, &ended);
        ended.map(|()| Outcome::Done)
    };
    match local {
        Some(folder) => disk::guard(&folder, run),
        None => run(),
    }
}
