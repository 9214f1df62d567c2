//! `voltmesh edge | fog | cloud | controller`: one role, one process, one runner.

#[cfg(feature = "full")]
mod cloud;
#[cfg(feature = "full")]
mod controller;
#[cfg(feature = "full")]
mod fog;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use commonware_runtime::{Runner as _, tokio};
use rustix::fs::Mode;
use voltmesh_edge::Start;
use voltmesh_http::{Confined, Confinement, Process};

#[cfg(feature = "full")]
pub use self::cloud::cloud;
#[cfg(feature = "full")]
pub use self::controller::controller;
#[cfg(feature = "full")]
pub use self::fog::fog;
use super::audit_log;
use crate::args::{EdgeRole, RoleArgs};
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
    let confined = confine(&config.process, &path, &config.written())?;
    // An edge shares a small computer: one worker thread is enough for a pack at 10 Hz.
    let data = config.data.clone();
    disk::guard(&data, || {
        let recorder = audit_log::begin(&data.join(AUDIT), &path)?;
        let start = Start { process: Process { audit: recorder.clone(), confined }, drain: args.drain };
        let ended = runner(&data, 1).start(|context| voltmesh_edge::run(context, config, start));
        let ended = ended.map_err(anyhow::Error::from);
        audit_log::end(&recorder, &ended);
        output::line(ended?.to_string());
        Ok(Outcome::Done)
    })
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

#[cfg(feature = "full")]
fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// The runner that all asynchronous work of a process shares; its storage lives in the role's data folder.
fn runner(data: &Path, workers: usize) -> tokio::Runner {
    tokio::Runner::new(tokio::Config::default().with_storage_directory(data).with_worker_threads(workers))
}
