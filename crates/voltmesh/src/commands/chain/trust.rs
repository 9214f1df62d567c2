//! `voltmesh chain trust`: the trust file, each hand-over checked.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use voltmesh_identity::write_public;
use voltmesh_ledger::{Genesis, Handover, MAX_GENESIS_BYTES, Trust};

use crate::commands::read_text;
use crate::http::Http;
use crate::output;

/// Every hand-over that a fog node shows; whether they hold is for [`Trust::extend`].
pub async fn handovers(http: &Http, fog: SocketAddr) -> Result<Vec<Handover>> {
    let text = String::from_utf8(http.get(fog, "/chain/trust").await?).context("the answer is no text")?;
    Ok(Trust::from_toml(&text).context("the answer is no trust file")?.handovers().to_vec())
}

pub async fn write(http: &Http, fog: SocketAddr, genesis: &Path, path: &Path) -> Result<()> {
    let genesis = Genesis::from_toml(&read_text(genesis, MAX_GENESIS_BYTES)?)?;
    let mut trust = Trust::from_genesis(genesis);
    let handovers = handovers(http, fog).await?;
    for handover in &handovers {
        trust
            .extend(handover)
            .context("a hand-over does not follow from this genesis: is it the right chain?")?;
    }
    write_public(path, trust.to_toml().as_bytes())?;
    let count = handovers.len();
    output::line(format!("{}: chain {}, {count} hand-overs, each checked", path.display(), trust.chain()));
    Ok(())
}
