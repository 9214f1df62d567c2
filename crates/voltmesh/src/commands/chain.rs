//! `voltmesh chain …`: what the ledger has agreed on, from any fog node.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use commonware_cryptography::Digestible as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use voltmesh_identity::write_public;
use voltmesh_ledger::{Block, Genesis, Handover, MAX_GENESIS_BYTES, Transaction, Trust};

use super::{block_on, read_text};
use crate::http::Http;
use crate::output::{self, row};
use crate::{Outcome, args};

/// What `/chain/status` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChainStatus {
    /// Digest of the genesis.
    pub chain: String,
    /// Newest final block here.
    pub height: u64,
    /// Height that f + 1 authorities say they have.
    pub target: u64,
    /// Its epoch.
    pub epoch: u64,
    /// Batches in the log.
    pub log_size: u64,
    /// Records in those batches, as their anchors say.
    pub records: u64,
    /// Number that the next decision of the operators must carry.
    pub nonce: u64,
    /// This node's key.
    pub authority: String,
    /// Whether it votes in this epoch.
    pub is_authority: bool,
    /// Keys that vote in this epoch.
    pub authorities: Vec<String>,
    /// Nodes heard of, and their heights.
    pub peers: std::collections::BTreeMap<String, u64>,
    /// Transactions that wait for a block.
    pub pending: u64,
}

/// Runs the command.
pub fn run(command: args::Chain) -> Result<Outcome> {
    block_on(async {
        let http = Http::new()?;
        match command {
            args::Chain::Status { fog, json } => show_status(&status(&http, fog.fog).await?, json)?,
            args::Chain::Block { height, fog, json } => {
                let bytes = http.get(fog.fog, &format!("/chain/block/{height}")).await?;
                let block = Block::decode_bounded(&bytes).context("the answer is no block")?;
                show_block(&block, json)?;
            }
            args::Chain::Trust { fog, genesis, output } => {
                write_trust(&http, fog.fog, &genesis, &output).await?
            }
        }
        Ok(Outcome::Done)
    })
}

/// Asks a fog node how far the ledger is.
pub async fn status(http: &Http, fog: SocketAddr) -> Result<ChainStatus> {
    serde_json::from_slice(&http.get(fog, "/chain/status").await?).context("the answer is no status")
}

/// Every hand-over that a fog node shows; whether they hold is for [`Trust::extend`].
pub async fn handovers(http: &Http, fog: SocketAddr) -> Result<Vec<Handover>> {
    let text = String::from_utf8(http.get(fog, "/chain/trust").await?).context("the answer is no text")?;
    Ok(Trust::from_toml(&text).context("the answer is no trust file")?.handovers().to_vec())
}

async fn write_trust(http: &Http, fog: SocketAddr, genesis: &Path, path: &Path) -> Result<()> {
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

fn show_status(status: &ChainStatus, as_json: bool) -> Result<()> {
    if as_json {
        return output::json(status);
    }
    let votes = if status.is_authority { "votes in this epoch" } else { "follows in this epoch" };
    output::table(
        &["ledger", "value"],
        &[
            row("chain", &status.chain),
            row("height", format!("{} of {}", status.height, status.target.max(status.height))),
            row("epoch", status.epoch),
            row("batches in the log", status.log_size),
            row("records in them", status.records),
            row("waiting transactions", status.pending),
            row("next decision's nonce", status.nonce),
            row("this node", format!("{}, {votes}", short(&status.authority))),
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
            vec![short(key), height]
        })
        .collect();
    output::table(&["authority", "height"], &rows);
    Ok(())
}

fn show_block(block: &Block, as_json: bool) -> Result<()> {
    let header = block.header();
    let transactions: Vec<_> = block
        .transactions()
        .iter()
        .map(|transaction| match transaction {
            Transaction::Anchor(anchor) => json!({
                "kind": "anchor", "authority": anchor.authority.to_string(), "sequence": anchor.sequence,
                "records": anchor.records, "batches": anchor.batches.len(),
            }),
            Transaction::Registry(registry) => json!({
                "kind": "registry", "nonce": registry.nonce, "actions": registry.actions.len(),
                "signatures": registry.signatures.len(),
            }),
            Transaction::RoundTrips(report) => json!({
                "kind": "round_trips", "authority": report.authority.to_string(), "epoch": report.epoch.get(),
                "micros": report.micros,
            }),
            Transaction::Evidence(evidence) => json!({
                "kind": "evidence", "offence": evidence.offence().to_string(), "epoch": evidence.epoch().get(),
                "view": evidence.view(),
            }),
        })
        .collect();
    let value = json!({
        "height": header.height.get(), "digest": block.digest().to_string(), "parent": header.parent.to_string(),
        "time_ms": header.time.as_millis(), "epoch": header.epoch.get(), "log_size": header.log_size,
        "log_root": header.log_root.to_string(), "registry_root": header.registry_root.to_string(),
        "transactions": transactions,
    });
    if as_json {
        return output::json(&value);
    }
    output::line(serde_json::to_string_pretty(&value)?);
    Ok(())
}

/// The beginning of a key: enough to tell a few apart.
fn short(key: &str) -> String {
    key.chars().take(16).collect()
}
