//! `/functions` and `/events`: what runs here, and what it said.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::json;
use voltmesh_spool::Position;

use super::refuse;
use crate::{functions::journal::Entry, run::functions::Figures};

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
        .with_state(figures.map(Arc::new))
}

/// `?from=…&limit=…`: neither need be given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    from: Option<u64>,
    limit: Option<usize>,
}

/// Functions and controllers.
async fn functions(State(figures): Asked) -> Response {
    let Some(figures) = figures else { return none() };
    let view = figures.view();
    Json(json!({ "functions": view.functions, "controllers": view.controllers })).into_response()
}

/// Events that are durable, the oldest first; `next` is where to go on.
async fn events(State(figures): Asked, query: Result<Query<EventsQuery>, QueryRejection>) -> Response {
    let Some(figures) = figures else { return none() };
    let (from, limit) = match query {
        Ok(Query(EventsQuery { from, limit })) => (from.unwrap_or_default(), limit.unwrap_or(MAX_EVENTS)),
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
        if let Ok(Entry::Event(event)) = Entry::decode(&bytes) {
            found.push(json!({ "position": position.0, "event": event }));
        }
    }
    Json(json!({ "events": found, "next": next })).into_response()
}

fn none() -> Response {
    refuse(StatusCode::NOT_FOUND, "no function runs here: fog.toml has no [controller]")
}
