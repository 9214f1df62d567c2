//! `/status`, `/twin`, `/commands` and `/metrics` on loopback.

use crate::{Config, Error};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use commonware_runtime::Metrics;
use std::sync::{Arc, Mutex, PoisonError};
use voltmesh_control::Status;
use voltmesh_http::{Exposition, Figures, Problem, Process, Rules, Server, Settings};

/// The newest status, written by the agent's loop and read by requests.
pub(crate) type Board = Arc<Mutex<Status>>;

/// What the twin says, if there is one, and what the commands say.
#[derive(Default)]
pub(crate) struct Said {
    pub twin: Option<serde_json::Value>,
    pub commands: serde_json::Value,
}

/// The newest of it.
pub(crate) type TwinBoard = Arc<Mutex<Said>>;

/// Listens and answers until the server is dropped. Its address' port is a real one.
pub(crate) async fn serve<E: Metrics>(
    config: &Config,
    process: Process,
    board: Board,
    twin: TwinBoard,
    context: E,
) -> Result<Server, Error> {
    let address = config.http.listen;
    let refuse = |e: std::io::Error| Error::config("http", format!("cannot listen on {address}: {e}"));
    let rules = Rules::new(config.http.names()?);
    let listener = tokio::net::TcpListener::bind(address).await.map_err(refuse)?;
    let figures = Figures::of(process);
    let shown = Shown { board, figures: figures.clone() };
    let metrics_shown = shown.clone();
    let context = Arc::new(context);
    let metrics = move || {
        let response = metrics(&metrics_shown.status()).response(&context.encode());
        async move { response }
    };
    let router = axum::Router::new()
        .route("/metrics", get(metrics))
        .route(
            "/commands",
            get({
                let said = twin.clone();
                move || commands(said)
            }),
        )
        .route("/twin", get(move || said(twin.clone())))
        .route("/status", get(status))
        .with_state(shown);
    voltmesh_http::serve(listener, router, rules, Settings::default(), None, figures).map_err(refuse)
}

/// What `/status` and `/metrics` show.
#[derive(Clone)]
struct Shown {
    board: Board,
    figures: Arc<Figures>,
}

impl Shown {
    fn status(&self) -> Status {
        let mut status = self.board.lock().unwrap_or_else(PoisonError::into_inner).clone();
        status
            .counters
            .extend(self.figures.snapshot().into_iter().map(|(name, value)| (name.to_owned(), value)));
        status
    }
}

async fn status(State(shown): State<Shown>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], shown.status().to_json())
}

async fn said(twin: TwinBoard) -> axum::response::Response {
    let said = twin.lock().unwrap_or_else(PoisonError::into_inner);
    match &said.twin {
        Some(value) => ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response(),
        None => {
            Problem::new(StatusCode::NOT_FOUND, "the twin is switched off (twin.enabled)").into_response()
        }
    }
}

async fn commands(said: TwinBoard) -> impl IntoResponse {
    let text = said.lock().unwrap_or_else(PoisonError::into_inner).commands.to_string();
    ([(CONTENT_TYPE, "application/json")], text)
}

/// Counters that may fall.
const GAUGES: [&str; 4] = ["held", "spool_bytes", "boot", "commands_in_force"];

/// The status as metrics; the runtime's own follow it.
fn metrics(status: &Status) -> Exposition {
    let mut figures = Exposition::new("edge");
    for (name, value) in &status.counters {
        if GAUGES.into_iter().chain(Figures::GAUGES).any(|gauge| gauge == name) {
            figures.gauge(name, *value);
        } else {
            figures.counter(name, *value);
        }
    }
    for (name, latency) in &status.latencies {
        figures.seconds(name, &[("0.5", latency.p50_us), ("0.99", latency.p99_us)], latency.count);
    }
    figures.gauge("ready", u64::from(status.ready));
    figures
}
