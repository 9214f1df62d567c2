//! `voltmesh verify`: checks a proof of a record or an event, or a whole archive, with nothing but a trust file.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use voltmesh_ledger::proof::MAX_PROOF_BYTES;
use voltmesh_ledger::{Act, EventProof, MAX_EVENT_PROOF_BYTES, Proof, ProofError, Stage, Trust};
use voltmesh_telemetry::vss;

use super::chain::read_trust;
use super::read_limited;
use crate::{Outcome, args, output};

/// Runs the command.
pub fn run(options: args::Verify) -> Result<Outcome> {
    let trust = read_trust(&options.trust)?;
    match (&options.proof, &options.event, &options.archive) {
        (Some(proof), ..) => verify_proof(proof, &trust, options.json),
        (None, Some(event), _) => verify_event(event, &trust, options.json),
        (None, None, Some(archive)) => super::archive::verify::verify(
            archive,
            &trust,
            &options.claims,
            options.leaves.as_deref(),
            options.json,
        ),
        (None, None, None) => {
            anyhow::bail!("name a proof, an event with --event, or an archive with --archive")
        }
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
                    "older_form": proven.anchored.older_form,
                    "summary": proven.summary(),
                    // Under VSS names; unknown values are null or have their cause.
                    "sample": serde_json::from_str::<Value>(&vss::to_json(&proven.record.sample))?,
                }))?;
            } else {
                output::line(proven.summary());
            }
            Ok(Outcome::Done)
        }
        Err(error) => refused(&error, as_json),
    }
}

fn verify_event(path: &Path, trust: &Trust, as_json: bool) -> Result<Outcome> {
    let bytes = read_limited(path, MAX_EVENT_PROOF_BYTES)?;
    match EventProof::from_bytes(&bytes).and_then(|proof| proof.verify(trust)) {
        Ok(proven) => {
            // Events of functions are JSON; what is not is shown in hexadecimal.
            let text = std::str::from_utf8(&proven.bytes).ok();
            if as_json {
                let json = text.and_then(|text| serde_json::from_str::<Value>(text).ok());
                output::json(&json!({
                    "valid": true,
                    "event": json.or_else(|| text.map(|text| Value::String(text.into()))),
                    "bytes": hex::encode(&proven.bytes),
                    "digest": proven.digest.to_string(),
                    "act": act(&proven.act),
                    "height": proven.height.get(),
                    "since_ms": proven.time.as_millis(),
                    "chain": proven.chain,
                    "summary": proven.summary(),
                }))?;
            } else {
                output::line(proven.summary());
                // It was written by others and may hold control characters.
                let shown =
                    text.map_or_else(|| hex::encode(&proven.bytes), |text| text.escape_debug().to_string());
                output::line(shown);
            }
            Ok(Outcome::Done)
        }
        Err(error) => refused(&error, as_json),
    }
}

/// Whose an event or decision is.
fn act(act: &Act) -> Value {
    match act {
        Act::Events { authority, .. } => json!({ "kind": "event", "authority": authority.to_string() }),
        Act::Decision { controller, term, number, .. } => json!({
            "kind": "decision", "controller": controller.to_string(), "term": term, "number": number,
        }),
        Act::Term { controller, term } => {
            json!({ "kind": "term", "controller": controller.to_string(), "term": term })
        }
    }
}

/// Says which part of a proof does not hold.
fn refused(error: &ProofError, as_json: bool) -> Result<Outcome> {
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
