//! `voltmesh fog`.

use anyhow::Result;
use commonware_runtime::Runner as _;
use voltmesh_consensus::StartError;
use voltmesh_http::Process;

use super::{AUDIT, confine, cores, file, runner};
use crate::args::FogRole;
use crate::commands::audit_log;
use crate::commands::chain::read_checkpoint;
use crate::{Outcome, disk};

/// Runs a fog node.
pub fn fog(args: FogRole) -> Result<Outcome> {
    let Some(path) = file(&args.role, voltmesh_fog::config::DEFAULTS) else { return Ok(Outcome::Done) };
    let mut config = voltmesh_fog::Config::load(&path)?;
    config.ledger.checkpoint = args.checkpoint.as_deref().map(read_checkpoint).transpose()?;
    config.ledger.repair = args.repair_ledger;
    let confined = confine(&config.process, &path, &[&config.data])?;
    let data = config.data.clone();
    disk::guard(&data, || {
        let recorder = audit_log::begin(&data.join(AUDIT), &path)?;
        let process = Process { audit: recorder.clone(), confined };
        let ended = runner(&data, cores()).start(|context| voltmesh_fog::run(context, config, process));
        let ended = ended.map_err(|error| match remedy(&error) {
            Some(remedy) => anyhow::Error::new(error).context(remedy),
            None => error.into(),
        });
        audit_log::end(&recorder, &ended);
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
