//! `/chain/checkpoint`: what another node can begin from instead of genesis. Whoever takes it checks it; nothing here is to
//! be believed.

use std::convert::Infallible;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{
        StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use tokio::sync::OwnedSemaphorePermit;

use super::shared::{Asked, refuse};

/// Bytes of one piece of the answer.
const PIECE: usize = 256 * 1024;

/// The newest checkpoint, encoded.
pub async fn checkpoint(State(shared): Asked) -> Response {
    let Ok(place) = shared.checkpoint.clone().try_acquire_owned() else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "a checkpoint is being sent to somebody: ask again");
    };
    match shared.ledger.checkpoint().await {
        Some(checkpoint) => send(checkpoint.to_bytes(), place),
        None => refuse(
            StatusCode::NOT_FOUND,
            "there is no snapshot yet that f + 1 authorities attest; ledger.snapshot_blocks says how often one is taken",
        ),
    }
}

/// Sends in pieces, and keeps the place until the last one is taken or nobody reads any more.
fn send(bytes: Bytes, place: OwnedSemaphorePermit) -> Response {
    let length = bytes.len();
    let pieces = futures::stream::unfold((bytes, place), |(mut rest, place)| async move {
        let piece = rest.split_to(rest.len().min(PIECE));
        (!piece.is_empty()).then_some((Ok::<_, Infallible>(piece), (rest, place)))
    });
    let head = [(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_LENGTH, length.to_string())];
    (head, Body::from_stream(pieces)).into_response()
}
