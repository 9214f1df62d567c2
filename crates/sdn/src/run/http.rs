//! The HTTP interface: what the controller knows, and what operators may change.
//!
//! Provided: bounded lists; changes only by who has the token or an operator's certificate, each entered in the audit log.
//! Not provided: roles finer than that, rate limits.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, Request as HttpRequest, State},
    http::{Method, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::{mpsc, oneshot};
use voltmesh_control::{Role, Status};
use voltmesh_function::MAX_PACKAGE_BYTES;
use voltmesh_http::{Exposition, Figures, Problem};
use voltmesh_mqtt::ServerFigures;
use voltmesh_telemetry::{Digest, Timestamp, VehicleId, is_name};

use super::packages::Packages;
use super::proofs::Proofs;
use crate::controller::{Controller, Deployment, Replaced, Request, RequestError};
use crate::decisions::Decision;
use crate::rules::{MAX_RULES_BYTES, Rules};

/// Most entries of a list.
const MAX_ENTRIES: usize = 10_000;
/// Entries of a list if the request does not say.
const DEFAULT_ENTRIES: usize = 1_000;
/// Types of bodies that change something.
pub const TYPES: &[&str] = &["application/json", "application/octet-stream", "application/toml"];

/// A request of an operator on its way to the controller.
pub struct Asked {
    /// What.
    pub request: Request,
    /// For the audit log.
    pub what: String,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<(), RequestError>>,
}

/// What the handlers need.
#[derive(Clone)]
pub struct Api {
    /// Name of the controller.
    pub id: String,
    /// Shared with the loop, which alone changes it.
    pub controller: Arc<Mutex<Controller>>,
    /// To the loop.
    pub requests: mpsc::Sender<Asked>,
    /// Where packages are kept.
    pub packages: Packages,
    /// Held by the request that publishes a release.
    pub publishing: Arc<tokio::sync::Mutex<()>>,
    /// Where proofs of decisions are kept.
    pub proofs: Proofs,
    /// SHA-256 of the configured rules.
    pub configured_rules: Digest,
    /// Whether anybody may change something: a token or operators' certificates are asked for.
    pub may_change: bool,
    /// Of the interface's own connections.
    pub figures: Arc<Figures>,
    /// Of the MQTT server, once it listens.
    pub mqtt: Arc<OnceLock<ServerFigures>>,
    /// Further metrics of the process.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The clock.
    pub now: fn() -> Timestamp,
}

impl Api {
    fn controller(&self) -> MutexGuard<'_, Controller> {
        self.controller.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a request carried out, durably.
    async fn ask(&self, what: String, request: Request) -> Result<(), Problem> {
        let stopping = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the controller is stopping");
        let (answer, answered) = oneshot::channel();
        self.requests.send(Asked { request, what, answer }).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?.map_err(refused)
    }

    fn counters(&self) -> Vec<(String, u64, bool)> {
        let controller = self.controller();
        let gauges = controller.figures((self.now)());
        let gauges = gauges.into_iter().map(|(name, value)| (name.to_owned(), value, true));
        let counts = controller.counts().into_iter().map(|(name, value)| (name, value, false));
        let mut all: Vec<_> = gauges.chain(counts).collect();
        drop(controller);
        let mqtt = self.mqtt.get().map(ServerFigures::snapshot).unwrap_or_default();
        all.extend(mqtt.into_iter().map(|(name, value)| {
            let gauge = voltmesh_mqtt::Counters::is_gauge(&name);
            (format!("mqtt_{name}"), value, gauge)
        }));
        let own = self.figures.snapshot().into_iter();
        all.extend(own.map(|(name, value)| (name.to_owned(), value, Figures::GAUGES.contains(&name))));
        all
    }
}

fn refused(error: RequestError) -> Problem {
    let status = match error {
        RequestError::Unknown(_) => StatusCode::NOT_FOUND,
        RequestError::Conflict(_) => StatusCode::CONFLICT,
    };
    Problem::new(status, error)
}

/// Most bytes of a request other than a release or rules: 64 KiB.
const MAX_REQUEST_BYTES: usize = 64 << 10;

/// The routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/fogs", get(fogs))
        .route("/vehicles", get(vehicles))
        .route("/vehicles/{vehicle}", get(vehicle))
        .route("/conditions", get(conditions))
        .route("/functions", get(releases))
        .route(
            "/functions/releases",
            post(publish).layer(DefaultBodyLimit::max(MAX_PACKAGE_BYTES)).get(releases),
        )
        .route("/functions/releases/{digest}", delete(withdraw))
        .route("/functions/deployments", get(deployments).post(deploy))
        .route("/functions/deployments/{name}", delete(undeploy))
        .route("/functions/logs", get(logs))
        .route("/placements", get(placements))
        .route("/decisions", get(decisions))
        .route("/decisions/{number}", get(decision))
        .route("/decisions/{number}/proof", get(proof))
        .route("/decisions/{number}/undo", post(undo))
        .route("/pause", post(pause))
        .route("/resume", post(resume))
        .route("/rules", put(set_rules).layer(DefaultBodyLimit::max(MAX_RULES_BYTES)))
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .layer(middleware::from_fn_with_state(api.clone(), only_with_credentials))
        .with_state(api)
}

/// Without a token and without certificates nobody is known who may change something.
async fn only_with_credentials(State(api): State<Api>, request: HttpRequest, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) || api.may_change {
        return next.run(request).await;
    }
    let why = "nothing can be changed here: set http.token_file, or http.tls for operators' certificates";
    Problem::new(StatusCode::FORBIDDEN, why).into_response()
}

fn bad(why: impl std::fmt::Display) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, why)
}

fn vehicle_id(text: &str) -> Result<VehicleId, Problem> {
    text.parse().map_err(|error: voltmesh_telemetry::Error| bad(error))
}

async fn status(State(api): State<Api>) -> impl IntoResponse {
    let mut status = Status::new(Role::Controller, api.id.clone());
    status.ready = api.controller().term().is_some();
    status.counters = api.counters().into_iter().map(|(name, value, _)| (name, value)).collect();
    ([(axum::http::header::CONTENT_TYPE, "application/json")], status.to_json())
}

async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    let mut figures = Exposition::new("controller");
    for (name, value, gauge) in api.counters() {
        if gauge {
            figures.gauge(&name, value);
        } else {
            figures.counter(&name, value);
        }
    }
    figures.response(&(api.metrics)())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    vehicle: Option<VehicleId>,
    function: Option<String>,
    limit: Option<usize>,
}

impl Filter {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_ENTRIES).min(MAX_ENTRIES)
    }
}

async fn fogs(State(api): State<Api>) -> Json<Value> {
    Json(json!({ "fogs": api.controller().fog_nodes((api.now)()) }))
}

async fn vehicles(State(api): State<Api>, Query(filter): Query<Filter>) -> Json<Value> {
    let controller = api.controller();
    let vehicles: Vec<_> = controller.vehicles().take(filter.limit()).collect();
    Json(json!({ "vehicles": vehicles }))
}

async fn vehicle(State(api): State<Api>, Path(vehicle): Path<String>) -> Result<Response, Problem> {
    let id = vehicle_id(&vehicle)?;
    let view = api.controller().vehicle(&id);
    view.map(|view| Json(view).into_response())
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("no fog node has seen {vehicle}")))
}

async fn conditions(State(api): State<Api>, Query(filter): Query<Filter>) -> Json<Value> {
    let controller = api.controller();
    let is_of = |vehicle: &VehicleId| filter.vehicle.as_ref().is_none_or(|wanted| wanted == vehicle);
    let active: Vec<_> =
        controller.conditions().filter(|condition| is_of(&condition.vehicle)).take(filter.limit()).collect();
    let past = controller.past_conditions().rev();
    let past: Vec<_> = past.filter(|past| is_of(&past.change.vehicle)).take(filter.limit()).collect();
    Json(json!({ "active": active, "changes": past }))
}

async fn releases(State(api): State<Api>) -> Json<Value> {
    let controller = api.controller();
    let releases: Vec<_> = controller.kept().releases.values().collect();
    Json(json!({ "releases": releases }))
}

async fn publish(State(api): State<Api>, body: Bytes) -> Result<Response, Problem> {
    let withdrawn = api.controller().kept().withdrawn();
    let release = api
        .packages
        .check((api.now)(), &body, &withdrawn)
        .map_err(|why| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why))?;
    // One after the other: what is refused below must not have taken the place of what another request brought.
    let _turn = api.publishing.lock().await;
    let is_new = api.controller().is_new(&release).map_err(refused)?;
    let (packages, kept) = (api.packages.clone(), release.clone());
    // The package first: a release that is known can be sent.
    let written = tokio::task::spawn_blocking(move || match is_new || packages.agrees(&kept.digest, &body) {
        true => packages.keep(&kept, &body).map(|()| true),
        false => Ok(false),
    });
    let written = written.await.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error))?;
    let agrees = written.map_err(|error| {
        tracing::error!(%error, "a package cannot be kept");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the package cannot be kept: see the log")
    })?;
    if !agrees {
        let why = "this component is published with another manifest: a new release needs another component";
        return Err(Problem::new(StatusCode::CONFLICT, why));
    }
    let (a, b, c) = release.version;
    let what = format!("{} {a}.{b}.{c} published, component {}", release.function, release.digest);
    let asked = api.ask(what, Request::Publish(release.clone())).await;
    if asked.is_err() && is_new {
        api.packages.remove(&release.digest);
    }
    asked?;
    Ok((StatusCode::CREATED, Json(release)).into_response())
}

async fn withdraw(State(api): State<Api>, Path(digest): Path<String>) -> Result<Response, Problem> {
    let digest: Digest =
        digest.parse().map_err(|_| bad(format!("{digest:?} is no SHA-256 in hexadecimal")))?;
    api.ask(format!("release {digest} withdrawn"), Request::Withdraw(digest)).await?;
    Ok(Json(json!({ "withdrawn": digest })).into_response())
}

async fn deployments(State(api): State<Api>) -> Json<Value> {
    let controller = api.controller();
    let deployments: Vec<_> = controller.kept().deployments.values().collect();
    let instances: Vec<_> = controller.instances().take(MAX_ENTRIES).collect();
    Json(json!({ "deployments": deployments, "instances": instances }))
}

async fn deploy(State(api): State<Api>, body: Bytes) -> Result<Response, Problem> {
    let deployment: Deployment =
        serde_json::from_slice(&body).map_err(|error| bad(format!("this is no deployment: {error}")))?;
    if !is_name(&deployment.name) || !is_name(&deployment.function) {
        return Err(bad("name and function want 1 to 64 letters, digits, dots, hyphens, underscores"));
    }
    let what = format!("deployment {} of {}", deployment.name, deployment.function);
    api.ask(what, Request::Deploy(deployment.clone())).await?;
    Ok((StatusCode::CREATED, Json(deployment)).into_response())
}

async fn undeploy(State(api): State<Api>, Path(name): Path<String>) -> Result<Response, Problem> {
    api.ask(format!("deployment {name} removed"), Request::Undeploy(name.clone())).await?;
    Ok(Json(json!({ "removed": name })).into_response())
}

async fn logs(State(api): State<Api>, Query(filter): Query<Filter>) -> Json<Value> {
    let controller = api.controller();
    let lines = controller.lines().rev().filter(|line| {
        filter.vehicle.as_ref().is_none_or(|wanted| wanted == line.vehicle())
            && filter.function.as_ref().is_none_or(|wanted| wanted == line.function())
    });
    let lines: Vec<_> = lines.take(filter.limit()).collect();
    Json(json!({ "lines": lines }))
}

async fn placements(State(api): State<Api>, Query(filter): Query<Filter>) -> Json<Value> {
    let controller = api.controller();
    let placements = controller
        .instances()
        .filter(|instance| filter.vehicle.as_ref().is_none_or(|wanted| *wanted == instance.vehicle))
        .filter(|instance| filter.function.as_ref().is_none_or(|wanted| *wanted == instance.function));
    let placements: Vec<_> = placements.take(filter.limit()).collect();
    let unplaced: Vec<_> = controller
        .vehicles()
        .flat_map(|vehicle| {
            let id = vehicle.vehicle;
            vehicle
                .unplaced
                .into_iter()
                .map(move |(function, why)| json!({ "vehicle": id, "function": function, "why": why }))
        })
        .take(filter.limit())
        .collect();
    Json(json!({ "placements": placements, "unplaced": unplaced }))
}

/// A decision with its place on the ledger, null while it has none.
fn with_receipt(controller: &Controller, decision: &Decision) -> Value {
    let mut json = json!(decision);
    json["receipt"] = json!(controller.kept().receipts.get(&decision.number));
    json
}

async fn decisions(State(api): State<Api>, Query(filter): Query<Filter>) -> Json<Value> {
    let controller = api.controller();
    let decisions = controller.decisions(filter.vehicle.as_ref()).take(filter.limit());
    let decisions: Vec<_> = decisions.map(|decision| with_receipt(&controller, decision)).collect();
    Json(json!({ "decisions": decisions }))
}

async fn decision(State(api): State<Api>, Path(number): Path<u64>) -> Result<Response, Problem> {
    let controller = api.controller();
    let decision = controller.kept().decisions.get(&number);
    let absent = || Problem::new(StatusCode::NOT_FOUND, format!("there is no decision {number}"));
    let decision = decision.ok_or_else(absent)?;
    let json = json!({ "decision": with_receipt(&controller, decision), "text": decision.explain() });
    Ok(Json(json).into_response())
}

/// The proof that a decision is on the ledger, for `voltmesh verify --event`.
async fn proof(State(api): State<Api>, Path(number): Path<u64>) -> Result<Response, Problem> {
    let (known, receipt) = {
        let controller = api.controller();
        let kept = controller.kept();
        (kept.decisions.contains_key(&number), kept.receipts.get(&number).copied())
    };
    let Some(receipt) = receipt else {
        return Err(match known {
            true => Problem::new(StatusCode::CONFLICT, format!("decision {number} is not on the ledger")),
            false => Problem::new(StatusCode::NOT_FOUND, format!("there is no decision {number}")),
        });
    };
    let proofs = api.proofs.clone();
    let proof = tokio::task::spawn_blocking(move || proofs.read(&receipt)).await.ok().flatten();
    let gone = || {
        Problem::new(StatusCode::NOT_FOUND, format!("the proof of decision {number} is not here any more"))
    };
    let proof = proof.ok_or_else(gone)?;
    Ok(([(axum::http::header::CONTENT_TYPE, "application/octet-stream")], proof).into_response())
}

async fn undo(State(api): State<Api>, Path(number): Path<u64>) -> Result<Response, Problem> {
    api.ask(format!("decision {number} undone"), Request::Undo(number)).await?;
    Ok(Json(json!({ "undone": number })).into_response())
}

async fn pause(State(api): State<Api>) -> Result<Response, Problem> {
    api.ask("controller paused".to_owned(), Request::Pause).await?;
    Ok(Json(json!({ "paused": true })).into_response())
}

async fn resume(State(api): State<Api>) -> Result<Response, Problem> {
    api.ask("controller resumed".to_owned(), Request::Resume).await?;
    Ok(Json(json!({ "paused": false })).into_response())
}

async fn set_rules(State(api): State<Api>, body: Bytes) -> Result<Response, Problem> {
    let text = std::str::from_utf8(&body).map_err(|_| bad("rules are text in UTF-8"))?;
    let rules = Rules::parse(text).map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error))?;
    let count = rules.len();
    let replaced = Replaced { instead_of: api.configured_rules, text: text.to_owned() };
    let what = format!("{count} rules in force, SHA-256 {}", Digest::of(&body));
    api.ask(what, Request::SetRules(rules, replaced)).await?;
    Ok(Json(json!({ "rules": count })).into_response())
}
