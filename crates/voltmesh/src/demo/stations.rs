//! Charging stations in the demo: a small network that never was, a model trained on its first days, and further days as the
//! feed of the first fog node; at the end that node is asked what a driver would ask.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::Value;
use voltmesh_control::Status;
use voltmesh_stations::forecaster::train_ours;
use voltmesh_stations::{Covariates, History, Mapping, read_places};

use crate::deploy::Deployment;
use crate::http::{Http, Refused};
use crate::output::rfc3339;

/// The fog node that has them, counted from 1.
pub const FOG: usize = 1;

/// Stations, and EVSEs at each.
const STATIONS: usize = 12;
const EVSES_EACH: usize = 3;

/// The sampling interval, in seconds.
const STEP_S: i64 = 900;

/// Slots of a day.
const DAY: i64 = 86_400 / STEP_S;

/// Slots to train on, and slots of the feed: four days and two.
const TRAINED: i64 = 4 * DAY;
const FED: i64 = 2 * DAY;

/// The first slot: Monday, 2025-03-03, midnight UTC.
const START: i64 = 1_740_960_000;

/// How far is forecast, in minutes.
const HORIZONS_MIN: [u32; 4] = [15, 30, 60, 120];

/// The feed is played so many times faster than it happened: a slot in half a second.
const REPLAY_SPEED: f64 = 1800.0;

/// Longest wait for the first snapshot: the node may just have been started again.
const PATIENCE: Duration = Duration::from_secs(30);

/// A driver in the middle of it.
const DRIVER: &str =
    "/stations/recommend?lat=53.345&lon=-6.26&soc=0.3&capacity_kwh=60&plugs=ccs,type2&max_dc_kw=100";

/// Questions of drivers that are timed.
const DRIVERS: usize = 20;

/// What the fog node said of charging stations.
#[derive(Debug, Default, Clone, Serialize)]
pub struct StationsLine {
    /// EVSEs of which it gave a forecast.
    pub forecasts: u64,
    /// The station that it sends a driver to.
    pub recommend_top: String,
    /// P(a plug is free there on arrival).
    pub p_free: f64,
    /// 99th percentile of its answers, in microseconds: the slower of forecasts and recommendations.
    pub p99_us: u64,
}

/// Trains, writes model, places and feed into the fog node's folder, and names them in its configuration.
pub fn prepare(deployment: &Deployment) -> Result<()> {
    let places = places();
    let history = History::from_csv(rows(0, TRAINED).as_bytes(), &Mapping::new())?;
    let listed = read_places(places.as_bytes())?;
    let (slots, none) = (0..history.slots(), Covariates::default());
    let model = train_ours(&history, &listed, slots, &HORIZONS_MIN, &none, &mut |_| {})?;
    deployment.add_stations(FOG, &model.write()?, &places, &rows(TRAINED, FED), REPLAY_SPEED)
}

/// Asks for forecasts of all EVSEs, one by one, and for a station to drive to; holds the answers to what they must be.
pub async fn ask(http: &Http, fog: SocketAddr) -> Result<StationsLine> {
    let all = first(http, fog).await?;
    let ids: Vec<&str> =
        all["evses"].as_array().into_iter().flatten().filter_map(|evse| evse["evse"].as_str()).collect();
    ensure!(ids.len() == STATIONS * EVSES_EACH, "{} EVSEs are known, not all", ids.len());
    let mut line = StationsLine::default();
    for id in ids {
        let forecast = get(http, fog, &format!("/stations/forecast?evse={id}")).await?;
        let horizons = forecast["horizons"].as_array().context("a forecast without horizons")?;
        ensure!(horizons.len() == HORIZONS_MIN.len(), "a forecast lacks horizons: {forecast}");
        for horizon in horizons {
            let p = horizon["probabilities"].as_object().context("a forecast without probabilities")?;
            let sum: f64 = p.values().filter_map(Value::as_f64).sum();
            ensure!((sum - 1.0).abs() < 1e-3, "probabilities whose sum is {sum}: {forecast}");
        }
        line.forecasts += 1;
    }
    for _ in 0..DRIVERS {
        let advice = get(http, fog, DRIVER).await?;
        let best = &advice["stations"][0];
        line.recommend_top = best["station"].as_str().context("no station is recommended")?.to_owned();
        line.p_free = best["p_free"].as_f64().context("a station without its chance")?;
    }
    let status = Status::from_json(&http.get(fog, "/status").await?)?;
    let p99 = |name: &str| status.latencies.get(name).map_or(0, |latency| latency.p99_us);
    line.p99_us = p99("stations_forecast").max(p99("stations_recommend"));
    Ok(line)
}

/// Forecasts of all EVSEs, as soon as there are any.
async fn first(http: &Http, fog: SocketAddr) -> Result<Value> {
    let begun = Instant::now();
    loop {
        match get(http, fog, "/stations/forecast").await {
            Err(error)
                if begun.elapsed() < PATIENCE
                    && error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == 503) =>
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            answer => return answer,
        }
    }
}

async fn get(http: &Http, fog: SocketAddr, path: &str) -> Result<Value> {
    serde_json::from_slice(&http.get(fog, path).await?)
        .with_context(|| format!("{path} is answered without JSON"))
}

/// An EVSE's id; nothing in it needs escaping in a URL.
fn id(station: usize, evse: usize) -> String {
    format!("S{:02}*{}", station + 1, evse + 1)
}

/// Two of three EVSEs have CCS, the third type 2; stations lie on a grid of a kilometre and a half.
fn places() -> String {
    let mut text = "evse_id,station_id,connector_type,latitude,longitude,power_kw,price_kwh\n".to_owned();
    for station in 0..STATIONS {
        let (latitude, longitude) =
            (53.33 + 0.014 * (station / 4) as f64, -6.29 + 0.022 * (station % 4) as f64);
        for evse in 0..EVSES_EACH {
            let (connector, power_kw) =
                if evse == 2 { ("type2", 22) } else { ("ccs", 50 + 50 * (station % 3)) };
            let price = 0.35 + 0.05 * (station % 3) as f64;
            let _ = writeln!(
                text,
                "{},S{:02},{connector},{latitude:.4},{longitude:.4},{power_kw},{price:.2}",
                id(station, evse),
                station + 1
            );
        }
    }
    text
}

/// Statuses of so many slots. They are the same whatever slots are asked for.
fn rows(from: i64, slots: i64) -> String {
    let mut text = "timestamp,evse_id,status\n".to_owned();
    let mut states = [State::Free; STATIONS * EVSES_EACH];
    for slot in 0..from + slots {
        let at = START + slot * STEP_S;
        for (n, state) in states.iter_mut().enumerate() {
            *state = state.next(n, slot);
            if slot >= from {
                let name = id(n / EVSES_EACH, n % EVSES_EACH);
                let _ = writeln!(text, "{},{name},{}", rfc3339(at), state.name());
            }
        }
    }
    text
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Free,
    Busy,
    Broken,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Free => "Available",
            State::Busy => "Charging",
            State::Broken => "OutOfOrder",
        }
    }

    /// One step of a chain whose rates follow the hour: offices by day, homes by night, and some stations are busier.
    fn next(self, evse: usize, slot: i64) -> State {
        let hour = (slot % DAY) as f64 * 24.0 / DAY as f64;
        let peak = if (evse / EVSES_EACH).is_multiple_of(2) { 12.0 } else { 19.0 };
        let away: f64 = (hour - peak).abs();
        let rush = (-(away.min(24.0 - away) / 4.0).powi(2)).exp();
        let arrival = (0.02 + 0.25 * rush) * (0.6 + 0.2 * (evse % 5) as f64);
        let luck = uniform(evse as u64, slot as u64);
        match self {
            State::Free if luck < arrival => State::Busy,
            State::Free if luck > 0.999 => State::Broken,
            State::Busy if luck < 0.35 => State::Free,
            State::Broken if luck < 0.05 => State::Free,
            stays => stays,
        }
    }
}

/// A number of 0..1 that depends on both and nothing else (SplitMix64).
fn uniform(evse: u64, slot: u64) -> f64 {
    let mut x = (evse << 32 | slot).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_has_days_and_nights_and_goes_on_where_it_stopped() {
        let all = rows(0, TRAINED + FED);
        assert!(all.ends_with(rows(TRAINED, FED).split_once('\n').expect("a header").1));
        let share = |name: &str, lines: &str| {
            let found = lines.lines().filter(|line| line.ends_with(name)).count();
            found as f64 / lines.lines().count() as f64
        };
        let at = |hour: &str| -> String {
            all.lines().filter(|line| line.contains(hour)).fold(String::new(), |all, line| all + line + "\n")
        };
        assert!(share("Charging", &at("T12:")) > 2.0 * share("Charging", &at("T04:")));
        assert!((0.0005..0.1).contains(&share("OutOfOrder", &all)), "{}", share("OutOfOrder", &all));
        let places = read_places(places().as_bytes()).expect("places");
        assert_eq!(places.len(), STATIONS * EVSES_EACH);
    }
}
