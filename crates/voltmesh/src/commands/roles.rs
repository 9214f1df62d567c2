//! `voltmesh edge | fog | cloud`: one role, one process, one runner.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use commonware_runtime::{Runner as _, tokio};
use rustix::fs::Mode;
use voltmesh_consensus::StartError;
use voltmesh_edge::Start;
use voltmesh_http::{Confined, Confinement, Process};

use super::audit;
use super::chain::read_checkpoint;
use crate::args::{EdgeRole, FogRole, RoleArgs};
use crate::{Outcome, disk, output, sandbox};

/// Rights that files and folders made by a role never have: those of its group and of others. What a role keeps says where
/// vehicles were and how they are.
const FOR_ITS_OWNER_ONLY: Mode = Mode::RWXG.union(Mode::RWXO);

/// Folder of the audit log in the data folder of an edge or fog node.
const AUDIT: &str = "audit";

/// Runs a vehicle's agent.
pub fn edge(args: EdgeRole) -> Result<Outcome> {
    let Some(path) = file(&args.role, voltmesh_edge::config::DEFAULTS) else { return Ok(Outcome::Done) };
    let mut config = voltmesh_edge::Config::load(&path)?;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
    config.check_source(now_ms, args.accept_doubtful)?;
    let confined = confine(&config.process, &path, &[&config.data])?;
    // An edge shares a small computer: one worker thread is enough for a pack at 10 Hz.
    let data = config.data.clone();
    disk::guard(&data, || {
        let recorder = audit::begin(&data.join(AUDIT), &path)?;
        let start = Start { process: Process { audit: recorder.clone(), confined }, drain: args.drain };
        let ended = runner(&data, 1).start(|context| voltmesh_edge::run(context, config, start));
        let ended = ended.map_err(anyhow::Error::from);
        audit::end(&recorder, &ended);
        output::line(ended?.to_string());
        Ok(Outcome::Done)
    })
}

/// Runs a fog node.
pub fn fog(args: FogRole) -> Result<Outcome> {
    let Some(path) = file(&args.role, voltmesh_fog::config::DEFAULTS) else { return Ok(Outcome::Done) };
    let mut config = voltmesh_fog::Config::load(&path)?;
    config.ledger.checkpoint = args.checkpoint.as_deref().map(read_checkpoint).transpose()?;
    config.ledger.repair = args.repair_ledger;
    let confined = confine(&config.process, &path, &[&config.data])?;
    let data = config.data.clone();
    disk::guard(&data, || {
        let recorder = audit::begin(&data.join(AUDIT), &path)?;
        let process = Process { audit: recorder.clone(), confined };
        let ended = runner(&data, cores()).start(|context| voltmesh_fog::run(context, config, process));
        let ended = ended.map_err(|error| match remedy(&error) {
            Some(remedy) => anyhow::Error::new(error).context(remedy),
            None => error.into(),
        });
        audit::end(&recorder, &ended);
        ended.map(|()| Outcome::Done)
    })
}

/// What to type if the ledger does not start.
fn remedy(error: &voltmesh_fog::Error) -> Option<&'static str> {
    let voltmesh_fog::Error::Ledger(error) = error else { return None };
    match **error {
        StartError::Damaged { .. } | StartError::Votes { .. } | StartError::Missing { .. } => {
            Some("the ledger's disk is damaged: restore it from a copy, or start once with --repair-ledger")
        }
        StartError::Checkpoint(_) => Some(
            "the checkpoint is not believed: take one from another node with `voltmesh chain checkpoint`",
        ),
        _ => None,
    }
}

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
        let recorder = audit::begin(&config.audit, &path)?;
        let process = Process { audit: recorder.clone(), confined };
        let ended = tokio::Runner::new(config_for_runner)
            .start(|context| voltmesh_cloud::run(context, config, process));
        let ended = ended.map_err(anyhow::Error::from);
        audit::end(&recorder, &ended);
        ended.map(|()| Outcome::Done)
    };
    match local {
        Some(folder) => disk::guard(&folder, run),
        None => run(),
    }
}

/// The configuration file, or `None` once the defaults are printed. From here on the process makes private files.
fn file(args: &RoleArgs, defaults: &str) -> Option<PathBuf> {
    if args.defaults {
        output::line(defaults.trim_end());
        return None;
    }
    rustix::process::umask(FOR_ITS_OWNER_ONLY);
    args.config.clone()
}

/// Confines this process, which has one thread yet, to what its configuration names and the folders that it writes.
fn confine(rules: &Confinement, config: &Path, written: &[&Path]) -> Result<Confined> {
    // From here on its file may be out of reach.
    voltmesh_identity::read_passphrase_early();
    let user_changed = sandbox::become_user(rules.user.as_deref())?;
    for folder in written.iter().filter(|folder| !folder.exists()) {
        voltmesh_identity::create_private_dir(folder)?;
    }
    let read = sandbox::named_in(config)?;
    let confined = sandbox::enter(rules.sandbox, &read, written)?;
    Ok(Confined { user_changed, ..confined })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// The runner that all asynchronous work of a process shares; its storage lives in the role's data folder.
fn runner(data: &Path, workers: usize) -> tokio::Runner {
    tokio::Runner::new(tokio::Config::default().with_storage_directory(data).with_worker_threads(workers))
}
