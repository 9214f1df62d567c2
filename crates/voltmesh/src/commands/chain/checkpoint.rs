//! `voltmesh chain checkpoint`: a snapshot to begin from, checked before it is written.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use voltmesh_identity::write_public;
use voltmesh_ledger::{Checkpoint, Genesis, MAX_CHECKPOINT_BYTES, MAX_GENESIS_BYTES};

use crate::commands::{read_limited, read_text};
use crate::http::Http;
use crate::output;

pub async fn write(http: &Http, fog: SocketAddr, genesis: &Path, path: &Path) -> Result<()> {
    let genesis = Genesis::from_toml(&read_text(genesis, MAX_GENESIS_BYTES)?)?;
    let bytes = http.get_up_to(fog, "/chain/checkpoint", MAX_CHECKPOINT_BYTES).await?;
    let checkpoint = Checkpoint::from_bytes(&bytes).context("the answer is no checkpoint")?;
    let (trust, snapshot) = checkpoint
        .verify_from(genesis)
        .context("the checkpoint does not follow from this genesis: is it the right chain?")?;
    write_public(path, &bytes)?;
    output::line(format!(
        "{}: block {}, chain {}, attested by {} authorities, {} hand-overs, each checked",
        path.display(),
        snapshot.state.height(),
        trust.chain(),
        checkpoint.attestations.len(),
        trust.handovers().len(),
    ));
    output::line(format!("Next: voltmesh fog --config fog.toml --checkpoint {}", path.display()));
    Ok(())
}

/// A file that [`write()`] wrote. Whether it holds is checked by the node that begins from it.
pub fn read(path: &Path) -> Result<Checkpoint> {
    Checkpoint::from_bytes(&read_limited(path, MAX_CHECKPOINT_BYTES)?)
        .with_context(|| format!("{} is no checkpoint", path.display()))
}
