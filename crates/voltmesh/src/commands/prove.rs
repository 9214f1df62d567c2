//! `voltmesh prove`: fetches a record with everything that proves it.

use anyhow::{Context as _, Result};
use voltmesh_identity::{read_token, write_public};
use voltmesh_ledger::Proof;
use voltmesh_telemetry::RecordId;

use super::block_on;
use crate::http::Http;
use crate::{Outcome, args, output};

/// Runs the command.
pub fn run(options: args::Prove) -> Result<Outcome> {
    let record: RecordId = options.record.parse()?;
    let token = options.token_file.as_deref().map(read_token).transpose()?;
    let url = format!("{}/v1/records/{record}/proof", options.cloud.trim_end_matches('/'));
    let bytes =
        block_on(async { Http::new()?.get_url(&url, token.as_ref().map(|token| token.trim())).await })?;
    // What an interface hands out is checked for its form at once; whether it holds is for `verify`.
    Proof::decode(&bytes).with_context(|| format!("{url} did not answer with a proof"))?;
    write_public(&options.output, &bytes)?;
    output::line(format!("{} bytes: {}", bytes.len(), options.output.display()));
    output::line(format!("Next: voltmesh verify {} --trust trust.toml", options.output.display()));
    Ok(Outcome::Done)
}
