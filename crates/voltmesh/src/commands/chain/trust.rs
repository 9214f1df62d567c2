//! `voltmesh chain trust`: the trust file: hand-overs, and how large the log is, each checked.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use voltmesh_identity::write_public;
use voltmesh_ledger::{Genesis, MAX_GENESIS_BYTES, Trust};

use super::statement;
use super::trust_file::read_trust;
use crate::commands::public_key::read_public;
use crate::commands::read_text;
use crate::http::Http;
use crate::{args, output};

/// What a fog node shows; whether it holds under another genesis than its own is for [`Trust`].
async fn shown(http: &Http, fog: SocketAddr) -> Result<Trust> {
    let text = String::from_utf8(http.get(fog, "/chain/trust").await?).context("the answer is no text")?;
    Trust::from_toml(&text).context("the answer is no trust file")
}

/// Adds to `trust` what a fog node shows, each part checked. False if it could not prove the log's size yet.
pub async fn refresh(http: &Http, fog: SocketAddr, trust: &mut Trust) -> Result<bool> {
    let shown = shown(http, fog).await?;
    for handover in shown.handovers() {
        trust
            .extend(handover)
            .context("a hand-over does not follow from this genesis: is it the right chain?")?;
    }
    let Some(proof) = shown.log_proof() else { return Ok(false) };
    trust.set_log(proof.clone()).context("what the fog node shows of the log does not hold")?;
    if let Some(anchored) = statement::ask(http, fog).await? {
        statement::take_over(trust, anchored)?;
    }
    Ok(true)
}

/// Writes the trust file; what one that is there already says is kept and extended.
pub async fn write(http: &Http, options: &args::Trust) -> Result<()> {
    let path = &options.output;
    let genesis = Genesis::from_toml(&read_text(&options.genesis, MAX_GENESIS_BYTES)?)?;
    let mut trust = Trust::from_genesis(genesis);
    if path.exists() {
        let known = read_trust(path)?;
        if known.chain() != trust.chain() {
            bail!("{} is of another chain than {}", path.display(), options.genesis.display());
        }
        trust = known;
    }
    for key in &options.cloud {
        trust.add_cloud(read_public(key)?);
    }
    if !refresh(http, options.fog.fog, &mut trust).await? {
        output::note("the fog node cannot prove the log's size yet: ask again in a moment");
    }
    write_public(path, trust.to_toml().as_bytes())?;
    let count = trust.handovers().len();
    output::line(format!("{}: chain {}, {count} hand-overs, each checked", path.display(), trust.chain()));
    if let Some(log) = trust.log() {
        let at = output::rfc3339((log.time.as_millis() / 1000) as i64);
        output::line(format!("The log has {} leaves at block {} of {at}.", log.size, log.height));
    }
    for anchored in trust.archives() {
        output::line(statement::sentence(anchored)?);
    }
    if trust.archives().is_empty() && trust.cloud_keys().is_empty() {
        output::note("statements of the archive are left out: name the cloud's sign.pub with --cloud");
    }
    Ok(())
}
