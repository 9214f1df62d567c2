//! `/stations/…`: what charging stations will be like, and which one to drive to.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use voltmesh_control::Status;
use voltmesh_stations::recommend::Request;
use voltmesh_stations::{Plug, Position};

use super::shared::refuse;
use crate::{run::stations::Service, stations::Refusal};

/// Longest text of a list in a query, in bytes: a few operators.
const MAX_LIST: usize = 2048;

type Asked = State<Option<Arc<Service>>>;

/// The routes; without a service they say that there is none.
pub fn router(stations: Option<Arc<Service>>) -> Router {
    Router::new()
        .route("/stations/forecast", get(forecast))
        .route("/stations/recommend", get(recommend).post(reserve))
        .with_state(stations)
}

/// Adds figures to a status.
pub fn report(stations: &Service, board: &mut Status) {
    let figures = stations.figures().into_iter();
    board.counters.extend(figures.map(|(name, value)| (name.to_owned(), value)));
    board.latencies.extend(stations.latencies().map(|(name, latency)| (name.to_owned(), latency)));
}

/// `?evse=…&minutes=…`: neither need be given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForecastQuery {
    evse: Option<String>,
    minutes: Option<u32>,
}

/// A [`Request`] as a query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecommendQuery {
    lat: f64,
    lon: f64,
    soc: f64,
    capacity_kwh: f64,
    plugs: String,
    max_dc_kw: Option<f64>,
    max_ac_kw: Option<f64>,
    target_soc: Option<f64>,
    reserve_soc: Option<f64>,
    consumption_kwh_km: Option<f64>,
    temperature_c: Option<f64>,
    arrive_by_min: Option<f64>,
    max_price: Option<f64>,
    operators: Option<String>,
    price_per_hour: Option<f64>,
    waste_min: Option<f64>,
    top: Option<usize>,
}

impl RecommendQuery {
    fn request(self) -> Result<Request, String> {
        let list = |text: &str, name: &str| {
            if text.len() > MAX_LIST {
                return Err(format!("{name}: more than {MAX_LIST} bytes"));
            }
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(items.map(str::to_owned).collect::<Vec<String>>())
        };
        let plug = |name: String| {
            let unknown = format!("plugs: `{name}` is none of {}", Plug::NAMES);
            Plug::of_name(&name).ok_or(unknown)
        };
        let plugs = list(&self.plugs, "plugs")?.into_iter().map(plug).collect::<Result<_, _>>()?;
        let position = Position { latitude: self.lat, longitude: self.lon };
        let usual = Request::new(position, self.soc, self.capacity_kwh, plugs);
        Ok(Request {
            max_dc_kw: self.max_dc_kw.unwrap_or(usual.max_dc_kw),
            max_ac_kw: self.max_ac_kw.unwrap_or(usual.max_ac_kw),
            target_soc: self.target_soc.unwrap_or(usual.target_soc),
            reserve_soc: self.reserve_soc.unwrap_or(usual.reserve_soc),
            consumption_kwh_km: self.consumption_kwh_km.unwrap_or(usual.consumption_kwh_km),
            battery_c: self.temperature_c.unwrap_or(usual.battery_c),
            ambient_c: self.temperature_c.unwrap_or(usual.ambient_c),
            arrive_within_min: self.arrive_by_min,
            max_price_kwh: self.max_price,
            operators: list(self.operators.as_deref().unwrap_or_default(), "operators")?,
            price_per_hour: self.price_per_hour.unwrap_or(usual.price_per_hour),
            waste_min: self.waste_min.unwrap_or(usual.waste_min),
            top: self.top.unwrap_or(usual.top),
            ..usual
        })
    }
}

/// Forecasts of one EVSE or all.
async fn forecast(State(stations): Asked, query: Result<Query<ForecastQuery>, QueryRejection>) -> Response {
    let Some(stations) = stations else { return none() };
    match query {
        Ok(Query(ForecastQuery { evse: Some(evse), minutes })) => {
            answer(stations.forecast(evse, minutes).await)
        }
        Ok(Query(ForecastQuery { evse: None, minutes })) => answer(stations.forecasts(minutes).await),
        Err(wrong) => refuse(StatusCode::BAD_REQUEST, wrong.body_text()),
    }
}

/// Ranks stations.
async fn recommend(stations: Asked, query: Result<Query<RecommendQuery>, QueryRejection>) -> Response {
    rank(stations, query, false).await
}

/// Ranks stations and holds the best.
async fn reserve(stations: Asked, query: Result<Query<RecommendQuery>, QueryRejection>) -> Response {
    rank(stations, query, true).await
}

async fn rank(
    State(stations): Asked,
    query: Result<Query<RecommendQuery>, QueryRejection>,
    reserve: bool,
) -> Response {
    let Some(stations) = stations else { return none() };
    let request = query.map_err(|wrong| wrong.body_text()).and_then(|Query(query)| query.request());
    match request {
        Ok(request) => answer(stations.recommend(request, reserve).await),
        Err(wrong) => refuse(StatusCode::BAD_REQUEST, wrong),
    }
}

fn none() -> Response {
    refuse(StatusCode::NOT_FOUND, "this node has no charging stations: its configuration has no [stations]")
}

fn answer(answer: Result<impl Serialize, Refusal>) -> Response {
    match answer {
        Ok(answer) => Json(answer).into_response(),
        Err(refusal) => {
            let status = match &refusal {
                Refusal::NotYet | Refusal::Stale { .. } => StatusCode::SERVICE_UNAVAILABLE,
                Refusal::NoEvse(_) => StatusCode::NOT_FOUND,
                Refusal::NoHorizon { .. } | Refusal::Request(_) => StatusCode::BAD_REQUEST,
            };
            refuse(status, refusal)
        }
    }
}

#[cfg(test)]
mod tests;
