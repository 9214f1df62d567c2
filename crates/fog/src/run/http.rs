//! The loopback interface: figures for people and monitoring, and the ledger for the command line.
//!
//! Provided: loopback only; followers, checkpoints under way and costly questions bounded; what `voltmesh_http` refuses for all roles; a token
//! for what changes something, if configured. Not provided: authentication of readers. A registry transaction and a decree carry their own
//! signatures.

mod chain;
mod checkpoint;
mod decree;
mod follow;
mod functions;
mod leaves;
mod shared;
mod stations;

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use commonware_codec::DecodeExt as _;
use commonware_runtime::Metrics as _;
use serde_json::json;
use voltmesh_audit::Kind;
use voltmesh_consensus::SubmitError;
use voltmesh_control::{Status, commitment};
use voltmesh_http::{Exposition, Figures, Rules, Server, Settings, Token};
use voltmesh_ledger::{RegistryTx, Transaction, Trust};

use super::{functions::FIGURE_GAUGES, memory};
use crate::{Error, config, ingest::newest_statement};
pub use shared::Shared;
use shared::{Asked, refuse};

/// Largest registry transaction: 256 actions of 65 bytes and 16 signatures, with room.
const MAX_TX_BYTES: usize = 64 * 1024;

/// Longest wait for signatures of the log's root: they are asked for twice in it.
const SIGNATURES: Duration = Duration::from_secs(3);

/// Counters that may fall.
const GAUGES: [&str; 22] = [
    "height",
    "oldest_height",
    "epoch",
    "view",
    "score_ppm",
    "turns_ppm",
    "pool",
    "convicted",
    "peers",
    "sessions",
    "held_batches",
    "spool_bytes",
    "inflight_bytes",
    "forward_queue",
    "anchor_queue",
    "disk_free_bytes",
    "resident_bytes",
    "stations_evses",
    "stations_reservations",
    "stations_model_bytes",
    "stations_forecaster_bytes",
    "stations_snapshot_age_s",
];

/// Bodies of requests that change something: transactions and decrees are bytes.
const BODY_TYPES: [&str; 2] = ["application/json", "application/octet-stream"];

/// Listens and serves until the server is dropped.
pub async fn serve(address: SocketAddr, access: &config::Http, shared: Shared) -> Result<Server, Error> {
    let rules = rules(access)?;
    let settings = Settings { body_bytes: MAX_TX_BYTES, ..Settings::default() };
    let listening = |source| Error::Listen { what: "HTTP", address, source };
    let listener = tokio::net::TcpListener::bind(address).await.map_err(listening)?;
    let figures = shared.figures.clone();
    let charging = stations::router(shared.stations.clone());
    let acting = functions::router(shared.functions.clone());
    let app = Router::new()
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/tx", post(submit))
        .route("/chain/status", get(chain::status))
        .route("/chain/block/{height}", get(chain::block))
        .route("/chain/block/{height}/explained", get(chain::explained))
        .route("/chain/authorities", get(chain::authorities))
        .route("/chain/scores", get(chain::scores))
        .route("/chain/control", get(chain::control))
        .route("/chain/evidence", get(chain::evidence))
        .route("/chain/evidence/{height}", get(chain::evidence_at))
        .route("/chain/decree", get(decree::show).post(decree::submit))
        .route("/chain/follow", get(follow::follow))
        .route("/chain/leaves", get(leaves::leaves))
        .route("/chain/checkpoint", get(checkpoint::checkpoint))
        .route("/chain/trust", get(chain_trust))
        .route("/chain/opening", get(chain_opening))
        .route("/archive/statement", get(archive_statement))
        .with_state(Arc::new(shared))
        .merge(charging)
        .merge(acting);
    voltmesh_http::serve(listener, app, rules, settings, None, figures).map_err(listening)
}

/// Who may ask.
fn rules(access: &config::Http) -> Result<Rules, Error> {
    let token = access.token_file.as_deref().map(Token::read).transpose();
    let token = token.map_err(|error| Error::Config { what: format!("http.token_file: {error}") })?;
    let rules = Rules::new(access.names()?).with_token(token, voltmesh_http::Asked::Changes);
    Ok(rules.with_types(&BODY_TYPES))
}

fn board(shared: &Shared) -> Status {
    let mut status = shared.board.borrow().clone();
    status
        .counters
        .extend(shared.figures.snapshot().into_iter().map(|(name, value)| (name.to_owned(), value)));
    if let Some(stations) = &shared.stations {
        stations::report(stations, &mut status);
    }
    if let Some(functions) = &shared.functions {
        functions.report(&mut status);
    }
    if let Some(bytes) = memory::resident_bytes() {
        status.counters.insert("resident_bytes".to_owned(), bytes);
    }
    status
}

async fn status(State(shared): Asked) -> Json<Status> {
    Json(board(&shared))
}

async fn metrics(State(shared): Asked) -> Response {
    exposition(&board(&shared)).response(&shared.context.encode())
}

/// The status as metrics.
fn exposition(status: &Status) -> Exposition {
    let mut figures = Exposition::new("fog");
    for (name, value) in &status.counters {
        let mqtt = name.strip_prefix("mqtt_").is_some_and(voltmesh_mqtt::Counters::is_gauge);
        if mqtt || GAUGES.into_iter().chain(Figures::GAUGES).chain(FIGURE_GAUGES).any(|gauge| gauge == name) {
            figures.gauge(name, *value);
        } else {
            figures.counter(name, *value);
        }
    }
    figures.gauge("ready", u64::from(status.ready));
    for (name, latency) in &status.latencies {
        figures.seconds(name, &[("0.5", latency.p50_us), ("0.99", latency.p99_us)], latency.count);
    }
    figures
}

/// Takes an encoded `Transaction` or `RegistryTx`.
async fn submit(State(shared): Asked, body: Bytes) -> Response {
    let transaction = match Transaction::decode(body.clone()) {
        Ok(transaction) => transaction,
        Err(error) => match RegistryTx::decode(body) {
            Ok(registry) => Transaction::Registry(registry),
            Err(_) => {
                return refuse(StatusCode::BAD_REQUEST, format!("this is no transaction: {error}"));
            }
        },
    };
    if let Transaction::Policy(_) = transaction {
        return submit_policy(&shared, transaction);
    }
    if !matches!(transaction, Transaction::Registry(_)) {
        return refuse(
            StatusCode::FORBIDDEN,
            "only transactions of operators (registry) and controllers (policy) are taken here",
        );
    }
    let digest = transaction.digest().to_string();
    let checked = shared.ledger.state().check(&transaction);
    if let Err(error) = &checked
        && !error.is_transient()
    {
        shared.audit.refusal("/tx", "a registry transaction that does not hold");
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, error);
    }
    let signers = signers(&transaction);
    let taken = shared.ledger.submit(transaction);
    match (&taken, checked) {
        (Ok(()), Ok(())) => {
            let before = {
                let mut entered = shared.entered.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::replace(&mut *entered, digest.clone())
            };
            if before == digest {
                return (StatusCode::ACCEPTED, Json(json!({ "transaction": digest }))).into_response();
            }
            let what = format!("registry transaction {digest} is offered to the ledger");
            shared.audit.record(Kind::Operator, &signers, &what);
        }
        // Anyone may offer what does not hold, or not yet: counted, not entered one by one.
        _ => shared.audit.refusal("/tx", "a registry transaction that cannot be judged yet"),
    }
    match taken {
        Ok(()) => (StatusCode::ACCEPTED, Json(json!({ "transaction": digest }))).into_response(),
        Err(error @ SubmitError::Full { .. }) => refuse(StatusCode::SERVICE_UNAVAILABLE, error),
        Err(error) => refuse(StatusCode::UNPROCESSABLE_ENTITY, error),
    }
}

/// Takes a controller's policy transaction. It says itself who it is, so it is not entered in the audit log one by one: the
/// ledger has it.
fn submit_policy(shared: &Shared, transaction: Transaction) -> Response {
    let digest = transaction.digest().to_string();
    match shared.ledger.submit(transaction) {
        Ok(()) => (StatusCode::ACCEPTED, Json(json!({ "transaction": digest }))).into_response(),
        Err(error @ SubmitError::Full { .. }) => refuse(StatusCode::SERVICE_UNAVAILABLE, error),
        Err(error) => {
            shared.audit.refusal("/tx", "a policy transaction that does not hold");
            refuse(StatusCode::UNPROCESSABLE_ENTITY, error)
        }
    }
}

/// The operators that have signed a transaction, by the beginnings of their keys.
fn signers(transaction: &Transaction) -> String {
    let Transaction::Registry(registry) = transaction else { return "nobody".to_owned() };
    let keys =
        registry.signatures.iter().map(|(key, _)| key.to_string().chars().take(16).collect::<String>());
    format!("operators {}", keys.collect::<Vec<_>>().join(" "))
}

/// A trust file: the genesis, every hand-over since, and the newest proof of the log's size. Nothing needs to be believed to
/// use it.
async fn chain_trust(State(shared): Asked) -> Response {
    let mut trust = Trust::from_genesis(shared.genesis.clone());
    for handover in shared.ledger.handovers().await {
        if let Err(error) = trust.extend(&handover) {
            return refuse(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("a hand-over does not follow: {error}"),
            );
        }
    }
    // Its epoch may have begun with a hand-over that is not complete here yet: then the next question is answered.
    let proof = match tokio::time::timeout(SIGNATURES, shared.ledger.log_proof()).await {
        Ok(proof) => proof,
        Err(_) => shared.ledger.signed_log().await,
    };
    if let Some(proof) = proof
        && let Err(error) = trust.set_log(proof)
    {
        tracing::debug!(%error, "the newest proof of the log's size is left out");
    }
    ([(CONTENT_TYPE, "application/toml")], trust.to_toml()).into_response()
}

/// What operators enrol so that this node may attest foreign records.
async fn chain_opening(State(shared): Asked) -> Response {
    let hex = |bytes: &[u8; 32]| voltmesh_telemetry::Digest::new(*bytes).to_string();
    Json(json!({
        "id": shared.fog.to_string(),
        "salt": hex(&shared.opening.salt),
        "key": hex(&shared.opening.key),
        "commitment": commitment(&shared.fog, &shared.opening).to_string(),
    }))
    .into_response()
}

/// The newest statement of the cloud's archive that the log holds, with its evidence, encoded. Whoever takes it checks it.
async fn archive_statement(State(shared): Asked) -> Response {
    let kept = shared.statements.borrow().clone();
    match newest_statement(&kept) {
        Some(bytes) => ([(CONTENT_TYPE, "application/octet-stream")], bytes).into_response(),
        None => refuse(
            StatusCode::NOT_FOUND,
            "no statement of an archive is in the log yet: the cloud makes one a minute after it has archived something",
        ),
    }
}
