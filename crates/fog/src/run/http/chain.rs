//! `/chain/…`: the ledger as this node has it. Read-only.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use commonware_codec::Encode as _;
use voltmesh_ledger::{Block, Epoch, Height, MAX_ANCESTORS};

use super::shared::{Asked, Shared, refuse};
use crate::answers::{self, Authorities, Convictions, Evidence, Scores, Status, Surroundings};

pub async fn status(State(shared): Asked) -> Json<Status> {
    Json(Status::new(&shared.ledger, &shared.names))
}

/// Who commands, and which functions may run.
pub async fn control(State(shared): Asked) -> Json<answers::Control> {
    Json(answers::Control::new(&shared.ledger.state()))
}

/// The encoded block.
pub async fn block(State(shared): Asked, Path(height): Path<String>) -> Response {
    match find(&shared, &height).await {
        Ok(block) => ([(CONTENT_TYPE, "application/octet-stream")], block.encode().to_vec()).into_response(),
        Err(refusal) => refusal,
    }
}

/// The block, readable.
pub async fn explained(State(shared): Asked, Path(height): Path<String>) -> Response {
    let block = match find(&shared, &height).await {
        Ok(block) => block,
        Err(refusal) => return refusal,
    };
    let mut ancestors = Vec::new();
    // The parent says which views were skipped; further ones are needed only if the votes are for one of them.
    let wanted = block.justification().map(|votes| votes.block());
    let mut digest = block.header().parent;
    let mut height = block.header().height;
    while let Some(below) = height.previous()
        && ancestors.len() < MAX_ANCESTORS
        && (ancestors.is_empty() || wanted.is_some())
    {
        height = below;
        let Some(ancestor) = at(&shared, height).await else { break };
        ancestors.push((digest, ancestor.header().clone()));
        if wanted == Some(digest) {
            break;
        }
        digest = ancestor.header().parent;
    }
    let header = block.header();
    let roster = roster(&shared, header.epoch).await;
    let around = Surroundings {
        ancestors,
        leader: roster.and_then(|roster| answers::leader(&roster, header.view).cloned()),
        authorities: &|epoch| shared.ledger.authorities(epoch),
        voters: &|epoch| shared.ledger.voters(epoch),
        names: &shared.names,
    };
    Json(answers::Block::new(&block, &around)).into_response()
}

pub async fn authorities(State(shared): Asked) -> Json<Authorities> {
    let ledger = &shared.ledger;
    Json(Authorities::new(&ledger.state(), ledger.public_key(), &ledger.peers(), &shared.names))
}

pub async fn scores(State(shared): Asked) -> Json<Scores> {
    Json(Scores::new(&shared.ledger.state(), &shared.names))
}

pub async fn evidence(State(shared): Asked) -> Json<Convictions> {
    let ledger = &shared.ledger;
    Json(Convictions::new(&ledger.state(), &ledger.misbehaviour(), &shared.names))
}

/// The signed votes in one block.
pub async fn evidence_at(State(shared): Asked, Path(height): Path<String>) -> Response {
    let block = match find(&shared, &height).await {
        Ok(block) => block,
        Err(refusal) => return refusal,
    };
    let chain = shared.genesis.digest();
    let voters = |epoch| shared.ledger.voters(epoch);
    match Evidence::in_block(&block, &chain, voters, &shared.names) {
        Some(evidence) => Json(evidence).into_response(),
        None => {
            let height = block.header().height;
            refuse(StatusCode::NOT_FOUND, format!("block {height} holds no evidence"))
        }
    }
}

/// The block that a path names: a height, or `latest`.
async fn find(shared: &Shared, text: &str) -> Result<Arc<Block>, Response> {
    let newest = shared.ledger.height();
    let height = match text {
        "latest" => newest,
        text => match text.parse() {
            Ok(height) => Height::new(height),
            Err(_) => {
                let text: String = text.chars().take(40).collect();
                let why = format!("{text:?} is no height: want 0 to {newest}, or latest");
                return Err(refuse(StatusCode::BAD_REQUEST, why));
            }
        },
    };
    if height > newest {
        let why = format!("block {height} is not final here: the newest is {newest}");
        return Err(refuse(StatusCode::NOT_FOUND, why));
    }
    at(shared, height).await.ok_or_else(|| {
        let oldest = shared.ledger.oldest();
        refuse(StatusCode::NOT_FOUND, format!("block {height} is not here any more: the oldest is {oldest}"))
    })
}

/// The final block at `height`, block 0 included.
pub(super) async fn at(shared: &Shared, height: Height) -> Option<Arc<Block>> {
    match height.is_zero() {
        true => Some(Arc::new(shared.genesis.block())),
        false => shared.ledger.block(height).await,
    }
}

/// Who serves in an epoch. Those of old ones cost time: one question at a time.
pub(super) async fn roster(shared: &Shared, epoch: Epoch) -> Option<Arc<voltmesh_ledger::Roster>> {
    if let Some(roster) = shared.ledger.state().roster_for(epoch) {
        return Some(roster.clone());
    }
    let _one = shared.replay.lock().await;
    shared.ledger.roster(epoch).await
}
