//! `voltmesh stations recommend`

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use voltmesh_fog::Osrm;
use voltmesh_stations::recommend::{
    Candidate, Circumstances, Expected, Ranking, Recommended, Recommender, Request, Reservations, Roads,
};
use voltmesh_stations::{Places, Position};

use super::super::block_on;
use super::input;
use crate::{args, output};

/// How long a router may take.
const OSRM_TIMEOUT: Duration = Duration::from_secs(10);

/// Ranks stations.
pub fn run(options: &args::StationsRecommend, odd: &mut input::Odd) -> Result<()> {
    let mut model = input::model(&options.model)?;
    let mapping = input::mapping(&options.input.meaning)?;
    let covariates = input::covariates(&options.input)?;
    let history = options.history.as_deref().map(|path| input::history(path, &mapping, odd)).transpose()?;
    let places = input::places(&options.input, input::ids(&model, history.as_ref()), odd)?;
    let listed: Vec<_> = places.keys().map(|id| id.as_str().into()).collect();
    model.meet(&listed, &places);
    if let Some((path, history)) = options.history.as_ref().zip(history.as_ref())
        && input::catch_up(&mut model, history, &covariates, &places, &mapping, None) == 0
    {
        output::note(&format!("nothing in {} is later than what the model has seen", path.display()));
    }
    let now = model.tracker().at.context("the model has seen nothing; give --history")?;
    let request = request(options, now)?;
    request.check()?;
    let known = merged(&model.tracker().places, places);
    let mut recommender = Recommender::new(model.tracker().ids.iter().map(|id| &**id), &known);
    let roads = roads(options, &recommender, &request, now)?;
    let forecasts = model.forecast_all();
    let outlook = Expected::new(&model, &forecasts);
    let here = Circumstances {
        now,
        outlook: &outlook,
        roads: &roads,
        reservations: &Reservations::default(),
        avoid: &[],
    };
    let ranking = recommender.rank(&request, here)?;
    if !recommender.stations().plugs_known() {
        output::note("no place says what can be plugged in: each counts as fitting every vehicle");
    }
    let exchanged = exchanged(&known, request.position);
    if exchanged > 0 {
        output::note(&format!(
            "{exchanged} places are far from the vehicle, and near it with latitude and longitude exchanged: correct the list of \
             places, or `--at`, which is latitude,longitude"
        ));
    }
    if options.json {
        let (stations, excluded) = (&ranking.stations, &ranking.excluded);
        return output::json(
            &json!({ "at": output::rfc3339(now), "stations": stations, "excluded": excluded }),
        );
    }
    print(&ranking, now);
    Ok(())
}

/// Places that lie out of every vehicle's reach as they are, and near this one where latitude and longitude are exchanged.
fn exchanged(places: &Places, here: Position) -> usize {
    const FAR_KM: f64 = 2_500.0;
    const NEAR_KM: f64 = 500.0;
    let positions = places.values().filter_map(|place| place.position);
    let is_one = |place: &Position| {
        let other = Position::new(place.longitude, place.latitude);
        place.distance_km(here) > FAR_KM && other.is_some_and(|other| other.distance_km(here) < NEAR_KM)
    };
    positions.filter(is_one).count()
}

/// What a model knows of places, and what a list says now.
pub(super) fn merged(known: &Places, listed: Places) -> Places {
    let mut places = known.clone();
    places.extend(listed);
    places
}

/// Measured where a router was named, for the stations that could be reached if roads were straight.
fn roads(
    options: &args::StationsRecommend,
    recommender: &Recommender,
    request: &Request,
    now: i64,
) -> Result<Roads> {
    let mut roads = Roads::default();
    let Some(url) = &options.osrm else { return Ok(roads) };
    let straight = Roads { detour_factor: 1.0, ..Roads::default() };
    let (candidates, _) = recommender.candidates(now, request, &straight, &[])?;
    let station = |candidate: &Candidate| &recommender.stations().list()[candidate.station];
    let to: Vec<Position> = candidates.iter().map(|candidate| station(candidate).position).collect();
    let osrm = Osrm::new(url, OSRM_TIMEOUT)?;
    let table = block_on(async { Ok(osrm.table(request.position, &to).await?) })?;
    if let Some(refusal) = &table.refusal {
        output::note(refusal);
    }
    let ids = candidates.iter().map(|candidate| station(candidate).id.clone());
    roads.measured = ids.zip(table.drives).collect();
    if roads.unmeasured() > 0 {
        let (unmeasured, all) = (roads.unmeasured(), roads.measured.len());
        output::note(&format!(
            "the routing service did not measure {unmeasured} of {all} drives; they are estimated"
        ));
    }
    Ok(roads)
}

fn request(options: &args::StationsRecommend, now: i64) -> Result<Request> {
    let arrive_by = options.arrive_by.as_deref().map(input::seconds).transpose()?;
    Ok(Request {
        target_soc: options.target_soc,
        reserve_soc: options.reserve_soc,
        max_dc_kw: options.max_dc_kw,
        max_ac_kw: options.max_ac_kw,
        consumption_kwh_km: options.consumption_kwh_km,
        battery_c: options.temperature_c,
        ambient_c: options.temperature_c,
        arrive_within_min: arrive_by.map(|by| (by - now) as f64 / 60.0),
        max_price_kwh: options.max_price,
        operators: options.operators.clone(),
        price_per_hour: options.price_per_hour,
        waste_min: options.waste_min,
        top: options.top,
        ..Request::new(options.at, options.soc, options.capacity_kwh, options.plugs.clone())
    })
}

fn print(ranking: &Ranking, now: i64) {
    let left_out = ranking.excluded;
    output::note(&format!(
        "at {}; left out: {} out of reach, {} without a plug that fits, {} of other operators, {} too expensive, \
         {} closed on arrival, {} too late, {} too cold, {} farther than those looked at, {} without a position",
        output::rfc3339(now),
        left_out.unreachable,
        left_out.plug,
        left_out.operator,
        left_out.price,
        left_out.closed,
        left_out.too_late,
        left_out.too_cold,
        left_out.too_many,
        left_out.unplaced
    ));
    if ranking.stations.is_empty() {
        output::line("no station suits this request");
        return;
    }
    let header = ["station", "km", "drive min", "free", "wait min", "charge min", "total min", "price", "kW"];
    let row = |entry: &Recommended| {
        vec![
            entry.station.clone(),
            format!("{:.1}", entry.drive_km),
            format!("{:.0}", entry.drive_min),
            format!("{:.0} %", entry.p_free * 100.0),
            format!("{:.0}", entry.wait_min),
            format!("{:.0}", entry.charge_min),
            format!("{:.0}", entry.total_min),
            entry.price.map_or("–".to_owned(), |price| format!("{price:.2}")),
            format!("{:.0}", entry.power_kw),
        ]
    };
    output::table(&header, &ranking.stations.iter().map(row).collect::<Vec<_>>());
    for entry in &ranking.stations {
        output::line(format!("{}: {}", entry.station, entry.why));
    }
}
