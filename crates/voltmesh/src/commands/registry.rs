//! `voltmesh registry …`: what operators decide, as transactions that m of n of them sign.

mod decide;
mod named;
mod openings;
mod operators;
mod replace;
mod rotate;

pub use decide::submit_until_final;
pub use openings::{read_opening, write_opening};

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use voltmesh_control::Opening;
use voltmesh_identity::{Pki, Role, write_public};
use voltmesh_ledger::{Action, Genesis, Trust};
use voltmesh_telemetry::Timestamp;

use self::decide::decide;
use self::named::{authority, digest_of};
use self::openings::{commitment_of, commitment_of_fog, salt};
use super::public_key::{raw_key, read_public};
use crate::{Outcome, args, output};

/// Runs the command.
pub fn run(command: args::Registry) -> Result<Outcome> {
    match command {
        args::Registry::Genesis(options) => genesis(&options)?,
        args::Registry::Opening { key, output: path } => {
            let opening = Opening { salt: salt(), key: raw_key(&key)? };
            write_opening(&path, &opening)?;
            output::line(format!("{}: keep it where only the vehicle can read it", path.display()));
        }
        args::Registry::Enrol { vehicle, opening, pki, submit } => {
            if let Some(folder) = pki {
                Pki::open(&folder)?.check_one_role(&vehicle, &[Role::Edge, Role::Fog])?;
            }
            let commitment = commitment_of(&vehicle, &opening)?;
            decide(&submit, Action::EnrolVehicle { commitment }, &format!("{vehicle} is enrolled"))?;
        }
        args::Registry::EnrolFog { id, pki, submit } => {
            if let Some(folder) = pki {
                Pki::open(&folder)?.check_one_role(&id, &[Role::Fog])?;
            }
            let commitment = commitment_of_fog(&id, submit.fog.fog)?;
            decide(&submit, Action::EnrolVehicle { commitment }, &format!("fog node {id} is enrolled"))?;
        }
        args::Registry::Revoke { vehicle, opening, submit } => {
            let commitment = commitment_of(&vehicle, &opening)?;
            decide(&submit, Action::RevokeVehicle { commitment }, &format!("{vehicle}'s key is revoked"))?;
        }
        args::Registry::RotateVehicle(options) => rotate::vehicle(&options)?,
        args::Registry::RotateOpening { vehicle, opening, new_opening, submit } => {
            rotate::opening(&vehicle, &opening, &new_opening, &submit)?;
        }
        args::Registry::SetOperators(options) => operators::run(&options)?,
        args::Registry::AdmitAuthority { key, submit } => {
            let key = authority(&key)?;
            decide(&submit, Action::AdmitAuthority { key }, "the authority is admitted")?;
        }
        args::Registry::RemoveAuthority { key, submit } => {
            let key = authority(&key)?;
            decide(&submit, Action::RemoveAuthority { key }, "the authority is removed")?;
        }
        args::Registry::RotateAuthority { old, new, submit } => {
            let action = Action::RotateAuthority { old: authority(&old)?, new: authority(&new)? };
            decide(&submit, action, "the key is rotated")?;
        }
        args::Registry::PardonAuthority { key, submit } => {
            let key = authority(&key)?;
            decide(&submit, Action::PardonAuthority { key }, "the authority is pardoned")?;
        }
        args::Registry::AdmitController { key, submit } => {
            let key = authority(&key)?;
            decide(&submit, Action::AdmitController { key }, "the controller is admitted")?;
        }
        args::Registry::RemoveController { key, submit } => {
            let key = authority(&key)?;
            decide(&submit, Action::RemoveController { key }, "the controller is removed")?;
        }
        args::Registry::PublishFunction { component, publisher, submit } => {
            let (component, publisher) = (digest_of(&component)?, authority(&publisher)?);
            let done = format!("function {component} is released");
            decide(&submit, Action::PublishFunction { component, publisher }, &done)?;
        }
        args::Registry::WithdrawFunction { component, submit } => {
            let component = digest_of(&component)?;
            let done = format!("function {component} is withdrawn");
            decide(&submit, Action::WithdrawFunction { component }, &done)?;
        }
        args::Registry::ReplaceCommittee(options) => replace::run(&options)?,
    }
    Ok(Outcome::Done)
}

fn genesis(options: &args::GenesisArgs) -> Result<()> {
    let keys =
        |files: &[std::path::PathBuf]| files.iter().map(|file| read_public(file)).collect::<Result<Vec<_>>>();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let genesis = Genesis::new(
        options.chain.clone(),
        Timestamp::from_millis(since.as_millis() as u64),
        keys(&options.authorities)?,
        keys(&options.operators)?,
        options.threshold,
        options.epoch_length,
    )?;
    let genesis = elect(genesis, options.election)?;
    write_public(&options.output, genesis.to_toml().as_bytes())?;
    let mut trust = Trust::from_genesis(genesis);
    if let Some(cloud) = &options.cloud {
        trust.add_cloud(read_public(cloud)?);
    }
    write_public(&options.trust, trust.to_toml().as_bytes())?;
    output::line(format!(
        "chain {}: {} and {}",
        trust.chain(),
        options.output.display(),
        options.trust.display()
    ));
    Ok(())
}

/// Sets how a chain elects leaders and voters.
pub fn elect(genesis: Genesis, election: args::ElectionArgs) -> Result<Genesis> {
    let genesis = genesis.with_terms(election.term_length)?.with_committee(election.committee)?;
    let authorities = genesis.authorities.len();
    if let Some(committee) = genesis.committee {
        ensure!(
            usize::from(committee) <= authorities,
            "a committee of {committee} cannot be elected among {authorities} authorities"
        );
    }
    Ok(genesis)
}
