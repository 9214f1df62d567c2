//! `voltmesh controller --config`.

use anyhow::Result;
use commonware_runtime::Runner as _;
use voltmesh_http::Process;

use super::{AUDIT, confine, cores, file, runner};
use crate::args::RoleArgs;
use crate::commands::audit_log;
use crate::{Outcome, disk};

/// Runs the controller.
pub fn controller(args: &RoleArgs) -> Result<Outcome> {
    let Some(path) = file(args, voltmesh_sdn::run::DEFAULTS) else { return Ok(Outcome::Done) };
    let config = voltmesh_sdn::run::Config::load(&path)?;
    let confined = confine(&config.process, &path, &[&config.data])?;
    let data = config.data.clone();
    disk::guard(&data, || {
        let recorder = audit_log::begin(&data.join(AUDIT), &path)?;
        let process = Process { audit: recorder.clone(), confined };
        let ended = runner(&data, cores()).start(|context| voltmesh_sdn::run::run(context, config, process));
        let ended = ended.map_err(anyhow::Error::from);
        audit_log::end(&recorder, &ended);
        ended.map(|()| Outcome::Done)
    })
}
