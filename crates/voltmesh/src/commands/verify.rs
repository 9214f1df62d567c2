//! `voltmesh verify`: checks a proof, or a whole archive, with nothing but a trust file.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use voltmesh_ledger::proof::MAX_PROOF_BYTES;
use voltmesh_ledger::{Proof, Stage, Trust};
use voltmesh_telemetry::vss;

use super::chain::read_trust;
use super::read_limited;
use crate::{Outcome, args, output};

/// Runs the command.
pub fn run(options: args::Verify) -> Result<Outcome> {
    let trust = read_trust(&options.trust)?;
    match (&options.proof, &options.archive) {
        (Some(proof), _) => verify_proof(proof, &trust, options.json),
        (None, Some(archive)) => super::archive::verify::verify(
            archive,
            &trust,
            &options.claims,
            options.leaves.as_deref(),
            options.json,
        ),
        (None, None) => anyhow::bail!("name a proof, or an archive with --archive"),
    }
}

fn verify_proof(path: &Path, trust: &Trust, as_json: bool) -> Result<Outcome> {
    let bytes = read_limited(path, MAX_PROOF_BYTES)?;
    match Proof::decode(&bytes).and_then(|proof| proof.verify(trust)) {
        Ok(proven) => {
            if as_json {
                output::json(&json!({
                    "valid": true,
                    "record": proven.id.to_string(),
                    "height": proven.anchored.height.get(),
                    "since_ms": proven.anchored.time.as_millis(),
                    "chain": proven.chain,
                    "summary": proven.summary(),
                    // Under VSS names; unknown values are null or have their cause.
                    "sample": serde_json::from_str::<Value>(&vss::to_json(&proven.record.sample))?,
                }))?;
            } else {
                output::line(proven.summary());
            }
            Ok(Outcome::Done)
        }
        Err(error) => {
            // An old trust file says nothing of the proof: neither good nor bad.
            let unknown = error.stage == Stage::Authorities;
            if as_json {
                output::json(&json!({
                    "valid": if unknown { Value::Null } else { Value::Bool(false) },
                    "stage": error.stage.to_string(),
                    "reason": error.to_string(),
                }))?;
            } else {
                output::line(format!("{}: {error}", if unknown { "CANNOT TELL" } else { "NOT PROVEN" }));
            }
            Ok(if unknown { Outcome::NotLooked } else { Outcome::Wrong })
        }
    }
}
