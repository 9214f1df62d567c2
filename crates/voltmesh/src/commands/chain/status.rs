//! `voltmesh chain status`.

use std::net::SocketAddr;

use anyhow::Result;
use voltmesh_fog::answers::Status;

use super::{ask, called, short};
use crate::http::Http;
use crate::output::{self, row};

/// Asks a fog node how far the ledger is.
pub async fn status(http: &Http, fog: SocketAddr) -> Result<Status> {
    ask(http, fog, "/chain/status").await
}

pub fn show(status: &Status, as_json: bool) -> Result<()> {
    if as_json {
        return output::json(status);
    }
    let place = match (status.is_authority, status.votes, status.abstains_until) {
        (_, true, _) => "votes in this epoch".to_owned(),
        (true, false, Some(epoch)) => format!("abstains until epoch {epoch} is over"),
        (true, false, None) => "follows the committee in this epoch".to_owned(),
        (false, false, _) => "is no authority in this epoch".to_owned(),
    };
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
