//! `/status`, `/twin` and `/metrics` on loopback.

use crate::{Config, Error};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use commonware_runtime::Metrics;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use voltmesh_control::Status;
use voltmesh_http::{Figures, Problem, Process, Rules, Server, Settings};

/// The newest status, written by the agent's loop and read by requests.
pub(crate) type Board = Arc<Mutex<Status>>;

/// What the twin says, if there is one.
pub(crate) type TwinBoard = Arc<Mutex<Option<serde_json::Value>>>;

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
        let text = format!("{}{}", metrics(&metrics_shown.status()), context.encode());
        async move { ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text) }
    };
    let router = axum::Router::new()
        .route("/metrics", get(metrics))
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
    let value = twin.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match value {
        Some(value) => ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response(),
        None => {
            Problem::new(StatusCode::NOT_FOUND, "the twin is switched off (twin.enabled)").into_response()
        }
    }
}

/// Counters that may fall.
const GAUGES: [&str; 3] = ["held", "spool_bytes", "boot"];

/// The status in Prometheus' text format; the runtime's own metrics follow it.
fn metrics(status: &Status) -> String {
    let mut text = String::new();
    for (name, value) in &status.counters {
        let (kind, suffix) = if GAUGES.into_iter().chain(Figures::GAUGES).any(|gauge| gauge == name) {
            ("gauge", "")
        } else {
            ("counter", "_total")
        };
        let _ = writeln!(text, "# TYPE voltmesh_edge_{name} {kind}\nvoltmesh_edge_{name}{suffix} {value}");
    }
    for (name, latency) in &status.latencies {
        let _ = writeln!(text, "# TYPE voltmesh_edge_{name}_seconds summary");
        for (quantile, us) in [("0.5", latency.p50_us), ("0.99", latency.p99_us)] {
            let seconds = us as f64 / 1e6;
            let _ = writeln!(text, "voltmesh_edge_{name}_seconds{{quantile=\"{quantile}\"}} {seconds}");
        }
        let _ = writeln!(text, "voltmesh_edge_{name}_seconds_count {}", latency.count);
    }
    let _ =
        writeln!(text, "# TYPE voltmesh_edge_ready gauge\nvoltmesh_edge_ready {}", u8::from(status.ready));
    text
}
