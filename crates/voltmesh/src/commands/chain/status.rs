//! `voltmesh chain status`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use voltmesh_fog::answers::Status;

use super::answer::{ask, called, short};
use crate::http::Http;
use crate::output::{self, row};

/// Blocks by which a node that follows may be behind its peers' last word.
const BEHIND: u64 = 2;

/// Asks a fog node how far the ledger is.
pub async fn status(http: &Http, fog: SocketAddr) -> Result<Status> {
    ask(http, fog, "/chain/status").await
}

pub fn show(status: &Status, as_json: bool) -> Result<()> {
    if as_json {
        return output::json(status);
    }
    let place = place(status);
    let voters = match status.committee {
        Some(k) => format!("a committee of {k}"),
        None => "all".into(),
    };
    let leader = status.leader.as_ref().map_or("–".into(), |key| called(key, status.names.get(key)));
    let mut rows = vec![
        row("chain", &status.chain),
        row("height", format!("{} of {}", status.height, status.target.max(status.height))),
        row("oldest block kept", status.oldest),
        row("blocks executed at the start", format!("{} after the snapshot", status.replayed)),
        row("epoch and view", format!("{}.{}, led by {leader}", status.epoch, status.view)),
        row("blocks an epoch", status.epoch_length),
        row("views a term", status.term_length),
        row("authorities that vote", voters),
        row("convicted", status.convicted.len()),
        row("batches in the log", status.log_size),
        row("records in them", status.records),
        row("waiting transactions", status.pending),
        row("time to finality", format!("{} ms, 99 %: {}", status.finality_p50_ms, status.finality_p99_ms)),
        row("views without a block", status.nullified_views),
        row("next decision's nonce", status.nonce),
        row(
            "this node",
            format!("{}, {place}", called(&status.authority, status.names.get(&status.authority))),
        ),
    ];
    if let Some(seal) = &status.seal {
        let of = format!("{} of {} for block {}", seal.signed, seal.needed, seal.height);
        rows.push(row("seals of the epoch's end", of));
    }
    if let Some(decree) = &status.decree {
        let (have, want) = (decree.followed, decree.needed);
        let of = format!("epoch {} after block {}: {have} of {want} promises", decree.epoch, decree.after);
        rows.push(row("decree", of));
    }
    if let Some(epoch) = status.replaced_by {
        let why = format!("by the decree of epoch {epoch}: wipe its ledger, rotate its key");
        rows.push(row("this node's blocks replaced", why));
    }
    output::table(&["ledger", "value"], &rows);
    output::line("");
    let rows: Vec<Vec<String>> = status
        .authorities
        .iter()
        .map(|key| {
            let height = match status.peers.get(key) {
                Some(height) => height.to_string(),
                None if *key == status.authority => status.height.to_string(),
                None => "not heard of".into(),
            };
            vec![status.names.get(key).cloned().unwrap_or_else(|| "–".into()), short(key), height]
        })
        .collect();
    output::table(&["authority", "key", "height"], &rows);
    Ok(())
}

/// What this node has to say in the ledger, and if nothing, why.
fn place(status: &Status) -> String {
    match (status.is_authority, status.votes, status.abstains_until, status.serves_from) {
        (_, true, ..) => "votes in this epoch".to_owned(),
        (true, false, Some(epoch), _) => format!(
            "does not vote until epoch {epoch} is over: it began without its former votes, and may have cast some"
        ),
        (true, false, None, _) => "follows the committee in this epoch".to_owned(),
        (false, _, _, Some(epoch)) => {
            let block = epoch.saturating_mul(status.epoch_length);
            format!(
                "follows, and does not vote yet: it is admitted, and serves from epoch {epoch} on (block {block})"
            )
        }
        (false, ..) => "follows, and does not vote: its key is not admitted (`voltmesh registry \
                         admit-authority` or `rotate-authority`)"
            .to_owned(),
    }
}

/// Between two questions whether a node is ready.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// Asks a fog node until it answers and has all blocks that its peers say they have, for `patience` at most.
pub async fn wait(http: &Http, fog: SocketAddr, patience: Duration) -> Result<Status> {
    let begun = Instant::now();
    loop {
        let answer = status(http, fog).await;
        match answer {
            Ok(status) if status.height > 0 && status.height + BEHIND >= status.target => return Ok(status),
            answer if begun.elapsed() > patience => {
                let late = || format!("the fog node at {fog} follows no ledger after {patience:?}");
                let status = answer.with_context(late)?;
                bail!("{}: block {} of {}", late(), status.height, status.target);
            }
            _ => tokio::time::sleep(ASK_EVERY).await,
        }
    }
}
