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
    let place = match (status.is_authority, status.votes) {
        (_, true) => "votes in this epoch",
        (true, false) => "follows the committee in this epoch",
        (false, false) => "is no authority in this epoch",
    };
    let voters = match status.committee {
        Some(k) => format!("a committee of {k}"),
        None => "all".into(),
    };
    let leader = status.leader.as_ref().map_or("–".into(), |key| called(key, status.names.get(key)));
    output::table(
        &["ledger", "value"],
        &[
            row("chain", &status.chain),
            row("height", format!("{} of {}", status.height, status.target.max(status.height))),
            row("epoch and view", format!("{}.{}, led by {leader}", status.epoch, status.view)),
            row("blocks an epoch", status.epoch_length),
            row("views a term", status.term_length),
            row("authorities that vote", voters),
            row("convicted", status.convicted.len()),
            row("batches in the log", status.log_size),
            row("records in them", status.records),
            row("waiting transactions", status.pending),
            row(
                "time to finality",
                format!("{} ms, 99 %: {}", status.finality_p50_ms, status.finality_p99_ms),
            ),
            row("views without a block", status.nullified_views),
            row("next decision's nonce", status.nonce),
            row(
                "this node",
                format!("{}, {place}", called(&status.authority, status.names.get(&status.authority))),
            ),
        ],
    );
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
