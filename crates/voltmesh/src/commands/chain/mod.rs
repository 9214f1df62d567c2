//! `voltmesh chain …`: what the ledger has agreed on, from any fog node. The fog node's word, except for what is checked
//! here: hand-overs, the log's size, its leaves from 0 on, checkpoints and evidence.

mod answer;
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
mod trust_file;

pub use checkpoint::read as read_checkpoint;
pub use status::status;
pub use trust::refresh;
pub use trust_file::read_trust;

use anyhow::Result;

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
