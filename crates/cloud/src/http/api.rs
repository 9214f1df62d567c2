//! The HTTP interface. Reading only; loopback by default.
//!
//! Provided: bounded answers. Who may ask is decided in `voltmesh_http`: by a bearer token or a client certificate, if configured.
//! Not provided: roles finer than that, rate limits, TLS for the token (put a proxy in front, or set `tls`).

use crate::{
    delta::{ArchiveError, ArchivedRow, Cursor, Reader},
    http::board::Board,
    proof::{ProveError, prove, report},
};
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use voltmesh_http::{Figures, Problem};
use voltmesh_ledger::Digest;
use voltmesh_telemetry::{Boot, RecordId, RecordNumber, VehicleId};

/// Most records in a page.
pub const MAX_PAGE: usize = 10_000;
/// Records in a page if the request does not say.
pub const DEFAULT_PAGE: usize = 1_000;
/// The interface's description.
pub const OPENAPI: &str = include_str!("openapi.json");
/// Path of the description, which everybody may read.
pub const DESCRIPTION: &str = "/openapi.json";

/// State that the handlers share.
#[derive(Clone)]
pub struct Api {
    /// Reads the archive.
    pub reader: Reader,
    /// What the archivist shows.
    pub board: Arc<Board>,
    /// The chain's identity, for proofs.
    pub chain: Digest,
    /// Of the interface's own connections.
    pub figures: Arc<Figures>,
    /// Further metrics of the process.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// The routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/vehicles", get(vehicles))
        .route("/v1/vehicles/{vehicle}/latest", get(latest))
        .route("/v1/vehicles/{vehicle}/twin", get(twin))
        .route("/v1/vehicles/{vehicle}/records", get(records))
        .route("/v1/records/{vehicle}/{boot}/{number}/proof", get(proof))
        .route("/v1/stages", get(stages))
        .route("/v1/gaps", get(gaps))
        .route("/v1/trust", get(trust))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route(DESCRIPTION, get(|| async { ([(header::CONTENT_TYPE, "application/json")], OPENAPI) }))
        .with_state(api)
}

impl From<ArchiveError> for Problem {
    fn from(error: ArchiveError) -> Self {
        tracing::error!(%error, cause = ?std::error::Error::source(&error), "the archive cannot be read");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error)
    }
}

fn vehicle_id(text: &str) -> Result<VehicleId, Problem> {
    text.parse()
        .map_err(|error: voltmesh_telemetry::Error| Problem::new(StatusCode::BAD_REQUEST, error.to_string()))
}

async fn vehicles(State(api): State<Api>) -> Json<Value> {
    Json(json!({ "vehicles": api.board.vehicles() }))
}

async fn latest(State(api): State<Api>, Path(vehicle): Path<String>) -> Result<Response, Problem> {
    let id = vehicle_id(&vehicle)?;
    let row = newest(&api, &vehicle, &id).await?;
    row.map(|row| Json(row).into_response())
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("no record of {vehicle} is archived")))
}

/// A vehicle's newest row: as the archivist knows it, else as the archive has it.
async fn newest(api: &Api, vehicle: &str, id: &VehicleId) -> Result<Option<ArchivedRow>, ArchiveError> {
    match api.board.latest(vehicle) {
        Some(row) => Ok(Some(row)),
        None => api.reader.latest_of(id).await,
    }
}

async fn twin(State(api): State<Api>, Path(vehicle): Path<String>) -> Result<Response, Problem> {
    let id = vehicle_id(&vehicle)?;
    let row = newest(&api, &vehicle, &id).await?;
    let absent = || {
        Problem::new(StatusCode::NOT_FOUND, format!("no batch of {vehicle} with a twin's report is archived"))
    };
    let row = row.ok_or_else(absent)?;
    let record = RecordId { vehicle: id, boot: Boot::new(row.boot), number: RecordNumber::new(row.number) };
    let report = report(&api.reader, &record).await?.ok_or_else(absent)?;
    Ok(Json(json!({ "record": record.to_string(), "time_ms": row.time_ms, "report": report }))
        .into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    from: Option<String>,
    to: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
}

async fn records(
    State(api): State<Api>,
    Path(vehicle): Path<String>,
    Query(range): Query<Range>,
) -> Result<Json<Value>, Problem> {
    let vehicle = vehicle_id(&vehicle)?;
    let time = |text: &Option<String>, default| text.as_deref().map_or(Ok(default), parse_time);
    // The end of time that a record may carry.
    let end = voltmesh_telemetry::Timestamp::MAX.as_millis() + 1;
    let (from, to) = (time(&range.from, 0)?, time(&range.to, end)?.min(end));
    let limit = range.limit.unwrap_or(DEFAULT_PAGE).min(MAX_PAGE);
    let after = range.after.as_deref().map(parse_cursor).transpose()?;
    let page = api.reader.records(&vehicle, from, to, after, limit).await?;
    let next = page.next.map(|at| format!("{}-{}-{}", at.time_ms, at.boot, at.number));
    Ok(Json(json!({ "records": page.records, "next": next })))
}

/// Milliseconds since the Unix epoch, or RFC 3339.
fn parse_time(text: &str) -> Result<u64, Problem> {
    if let Ok(ms) = text.parse() {
        return Ok(ms);
    }
    let parsed = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
    let wrong =
        || Problem::new(StatusCode::BAD_REQUEST, format!("{text:?} is neither milliseconds nor RFC 3339"));
    let ms = parsed.map_err(|_| wrong())?.unix_timestamp_nanos() / 1_000_000;
    u64::try_from(ms).map_err(|_| wrong())
}

fn parse_cursor(text: &str) -> Result<Cursor, Problem> {
    let mut parts = text.split('-').map(str::parse);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(Ok(time_ms)), Some(Ok(boot)), Some(Ok(number)), None) => Ok(Cursor { time_ms, boot, number }),
        _ => Err(Problem::new(StatusCode::BAD_REQUEST, "after: want the `next` of the page before")),
    }
}

async fn proof(
    State(api): State<Api>,
    Path((vehicle, boot, number)): Path<(String, u64, u64)>,
) -> Result<Response, Problem> {
    let vehicle = vehicle_id(&vehicle)?;
    let record = RecordId { vehicle, boot: Boot::new(boot), number: RecordNumber::new(number) };
    match prove(&api.reader, &api.chain, &record).await {
        Ok(bytes) => {
            let name = format!("attachment; filename=\"{}-{boot}-{number}.cose\"", record.vehicle);
            let headers =
                [(header::CONTENT_TYPE, "application/cose".to_owned()), (header::CONTENT_DISPOSITION, name)];
            Ok((headers, bytes).into_response())
        }
        Err(ProveError::NotArchived(id)) => {
            Err(Problem::new(StatusCode::NOT_FOUND, format!("{id} is not archived")))
        }
        Err(ProveError::Archive(error)) => Err(error.into()),
    }
}

async fn stages(State(api): State<Api>) -> Json<Value> {
    Json(json!({ "since_start": api.board.stages(), "tables": api.reader.totals() }))
}

async fn gaps(State(api): State<Api>) -> Json<Value> {
    let (gaps, count) = api.board.gaps();
    let gaps: Vec<_> = gaps
        .iter()
        .map(|gap| {
            json!({
                "vehicle": gap.vehicle, "boot": gap.boot.get(), "first": gap.first, "count": gap.next - gap.first,
            })
        })
        .collect();
    Json(json!({ "count": count, "gaps": gaps }))
}

async fn trust(State(api): State<Api>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/toml")], api.board.trust())
}

async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    api.board.metrics(api.figures.snapshot()).response(&(api.metrics)())
}

async fn status(State(api): State<Api>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], api.board.status_with(api.figures.snapshot()).to_json())
}
