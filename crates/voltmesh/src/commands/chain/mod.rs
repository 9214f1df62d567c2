//! `voltmesh chain …`: what the ledger has agreed on, from any fog node. The fog node's word, except for what is checked
//! here: hand-overs, the log's size, its leaves from 0 on, checkpoints and evidence.

mod authorities;
mod block;
mod checkpoint;
mod control;
mod evidence;
mod follow;
pub mod leaves;
mod statement;
mod status;
mod trust;

pub use checkpoint::read as read_checkpoint;
pub use status::status;
pub use trust::{read_trust, refresh};

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;

use super::block_on;
use crate::http::Http;
use crate::{Outcome, args};

/// Runs the command.
pub fn run(command: args::Chain) -> Result<Outcome> {
    block_on(async {
        let http = Http::new()?;
        match command {
            args::Chain::Status { ask, wait } => {
                let status = match wait {
                    Some(patience) => status::wait(&http, ask.fog.fog, patience).await?,
                    None => status(&http, ask.fog.fog).await?,
                };
                status::show(&status, ask.json)?;
            }
            args::Chain::Block { height, ask } => block::run(&http, height, &ask).await?,
            args::Chain::Authorities(ask) => authorities::authorities(&http, &ask).await?,
            args::Chain::Control(ask) => control::run(&http, &ask).await?,
            args::Chain::Scores(ask) => authorities::scores(&http, &ask).await?,
            args::Chain::Evidence(options) => return evidence::run(&http, &options).await,
            args::Chain::Follow(options) => follow::run(&http, &options).await?,
            args::Chain::Checkpoint { fog, genesis, output } => {
                checkpoint::write(&http, fog.fog, &genesis, &output).await?
            }
            args::Chain::Trust(options) => trust::write(&http, &options).await?,
            args::Chain::Statement(options) => return statement::run(&http, &options).await,
            args::Chain::Leaves(options) => leaves::write(&http, &options).await?,
        }
        Ok(Outcome::Done)
    })
}

/// Asks a fog node for one of its answers.
async fn ask<T: DeserializeOwned>(http: &Http, fog: SocketAddr, path: &str) -> Result<T> {
    let bytes = http.get(fog, path).await?;
    serde_json::from_slice(&bytes).with_context(|| {
        format!("the answer to {path} is of another kind; is it a fog node of this version?")
    })
}

/// The beginning of a key: enough to tell a few apart.
fn short(key: &str) -> String {
    key.chars().take(16).collect()
}

/// A node's name if it has one, else the beginning of its key.
fn called(key: &str, name: Option<&String>) -> String {
    name.cloned().unwrap_or_else(|| short(key))
}

/// As [`called`], for many.
fn all_called(keys: &[String], names: &BTreeMap<String, String>) -> String {
    keys.iter().map(|key| called(key, names.get(key))).collect::<Vec<_>>().join(" ")
}

/// `1.5` of milliseconds, `–` if there are none.
fn ms(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:.1}"))
}
