//! `/functions` and `/events`: what runs here, what it said, and the proof that the ledger has it.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::json;
use voltmesh_spool::Position;
use voltmesh_telemetry::VehicleId;

use super::shared::refuse;
use crate::{
    functions::journal::Entry,
    run::functions::{Figures, Unproven},
};

/// Events in one answer, at most.
const MAX_EVENTS: usize = 1_000;

/// Entries of the journal that are read for them: snapshots lie between events.
const MAX_ENTRIES: usize = 4_096;

/// Bytes of them.
const MAX_BYTES: usize = 8 << 20;

type Asked = State<Option<Arc<Figures>>>;

/// The routes; without functions they say that there are none.
pub fn router(figures: Option<Figures>) -> Router {
    Router::new()
        .route("/functions", get(functions))
        .route("/events", get(events))
        .route("/events/{position}/proof", get(proof))
        .with_state(figures.map(Arc::new))
}

/// `?from=…&limit=…&vehicle=…`: none need be given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    from: Option<u64>,
    limit: Option<usize>,
    vehicle: Option<VehicleId>,
}

/// Functions and controllers.
async fn functions(State(figures): Asked) -> Response {
    let Some(figures) = figures else { return none() };
    let view = figures.view();
    Json(json!({ "functions": view.functions, "controllers": view.controllers })).into_response()
}

/// Events that are durable, the oldest first; `next` is where to go on. `ledger` says which list of this node holds the event, in
/// which block, and the list's place in the log of acts; it is null while the event waits.
async fn events(State(figures): Asked, query: Result<Query<EventsQuery>, QueryRejection>) -> Response {
    let Some(figures) = figures else { return none() };
    let (from, limit, vehicle) = match query {
        Ok(Query(EventsQuery { from, limit, vehicle })) => {
            (from.unwrap_or_default(), limit.unwrap_or(MAX_EVENTS), vehicle)
        }
        Err(wrong) => return refuse(StatusCode::BAD_REQUEST, wrong.body_text()),
    };
    if !(1..=MAX_EVENTS).contains(&limit) {
        return refuse(StatusCode::BAD_REQUEST, format!("limit = {limit} is outside 1..={MAX_EVENTS}"));
    }
    let journal = figures.journal();
    let from = from.max(journal.floor().0);
    let entries = match journal.read_from(Position(from), MAX_ENTRIES, MAX_BYTES).await {
        Ok(entries) => entries,
        Err(error) => {
            return refuse(StatusCode::INTERNAL_SERVER_ERROR, format!("the journal cannot be read: {error}"));
        }
    };
    let (mut found, mut next) = (Vec::new(), from);
    for (position, bytes) in entries {
        if found.len() >= limit {
            break;
        }
        next = position.0 + 1;
        let Ok(Entry::Event(event)) = Entry::decode(&bytes) else { continue };
        if vehicle.as_ref().is_none_or(|vehicle| *vehicle == event.vehicle) {
            let ledger = figures
                .receipts()
                .place(position.0)
                .map(|place| json!({ "list": place.sequence, "height": place.height, "act": place.act }));
            found.push(json!({ "position": position.0, "event": event, "ledger": ledger }));
        }
    }
    Json(json!({ "events": found, "next": next })).into_response()
}

/// The proof that an event is on the ledger, for `voltmesh verify --event`.
async fn proof(State(figures): Asked, Path(position): Path<String>) -> Response {
    let Some(figures) = figures else { return none() };
    let Ok(position) = position.parse() else {
        return refuse(StatusCode::BAD_REQUEST, "want the position of an event, as /events says it");
    };
    match figures.receipts().prove(figures.journal(), position).await {
        Ok(proof) => ([(CONTENT_TYPE, "application/octet-stream")], proof.to_bytes()).into_response(),
        Err(why @ Unproven::Disk(_)) => refuse(StatusCode::INTERNAL_SERVER_ERROR, why),
        Err(why @ Unproven::Waits) => refuse(StatusCode::CONFLICT, why),
        Err(why) => refuse(StatusCode::NOT_FOUND, why),
    }
}

fn none() -> Response {
    refuse(StatusCode::NOT_FOUND, "no function runs here: fog.toml has no [controller]")
}
