//! `/chain/follow`: a server-sent event for each final block, as it becomes final.
//!
//! Whoever follows pulls: a slow one gets every block, later. Nothing is queued for it but the block under way.

use std::sync::Arc;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use voltmesh_ledger::{Epoch, Header, Height, Roster, Timestamp};

use super::{
    chain,
    shared::{Asked, Shared, refuse},
};
use crate::{answers::FinalBlock, run::clock::now};

/// Where to begin.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct From {
    /// First height; without it, the next block to become final.
    from: Option<u64>,
}

/// One who follows.
struct Follower {
    shared: Arc<Shared>,
    next: Height,
    /// Final before this one came: how long that took was not seen.
    past: Height,
    parent: Option<Header>,
    roster: Option<(Epoch, Option<Arc<Roster>>)>,
    _place: OwnedSemaphorePermit,
}

pub async fn follow(State(shared): Asked, from: Result<Query<From>, QueryRejection>) -> Response {
    let from = match from {
        Ok(Query(From { from })) => from,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, error.body_text()),
    };
    let Ok(place) = shared.followers.clone().try_acquire_owned() else {
        let why = format!("{} follow already: end one first", Shared::FOLLOWERS);
        return refuse(StatusCode::SERVICE_UNAVAILABLE, why);
    };
    let past = shared.ledger.height();
    let oldest = shared.ledger.oldest();
    if let Some(from) = from.filter(|from| (1..oldest.get()).contains(&(*from).max(1))) {
        let why = format!("block {from} is not here any more: the oldest is {oldest}");
        return refuse(StatusCode::NOT_FOUND, why);
    }
    // Block 0 was final from the beginning.
    let next = from.map_or(past.next(), |from| Height::new(from.max(1)));
    let follower = Follower { shared, next, past, parent: None, roster: None, _place: place };
    let events = futures::stream::unfold(follower, |mut follower| async {
        let block = follower.next().await?;
        let event = Event::default().id(block.height.to_string()).json_data(&block);
        Some((event, follower))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

impl Follower {
    /// The next final block; `None` once the node has stopped.
    async fn next(&mut self) -> Option<FinalBlock> {
        let shared = self.shared.clone();
        if !shared.ledger.reached(self.next).await {
            return None;
        }
        let at = (self.next > self.past).then(|| now(&shared.context));
        let block = shared.ledger.block(self.next).await?;
        if self.parent.is_none() {
            self.parent =
                chain::at(&shared, self.next.previous()?).await.map(|parent| parent.header().clone());
        }
        let header = block.header();
        let roster = match &self.roster {
            Some((epoch, roster)) if *epoch == header.epoch => roster.clone(),
            _ => {
                let roster = chain::roster(&shared, header.epoch).await;
                self.roster.insert((header.epoch, roster)).1.clone()
            }
        };
        let at: Option<Timestamp> = at;
        let line = FinalBlock::new(&block, self.parent.as_ref(), roster.as_deref(), at, &shared.names);
        self.parent = Some(header.clone());
        self.next = self.next.next();
        Some(line)
    }
}
