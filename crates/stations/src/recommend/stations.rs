//! Stations, their chargers, and what of them a vehicle can plug into.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Request;
use crate::{Place, Places, Plug, Position, ids};

/// Chargers closer than this are one station, in km.
const STATION_KM: f64 = 0.15;

/// Cells of the grid in which neighbours are looked for, in degrees; 150 m are less in either direction up to 82° north.
const CELL_DEGREES: f64 = 0.01;

/// EVSEs of one charger are not farther from its first, in km.
const CHARGER_KM: f64 = 1.0;

/// A charger: its connectors go together.
#[derive(Debug, Clone, PartialEq)]
pub struct Charger {
    /// The station's id in the list of places, or the common part of the EVSE ids.
    pub id: String,
    /// Its EVSEs, by index in the network.
    pub evses: Vec<usize>,
}

/// Station as it is ranked: chargers within 150 m of the first.
#[derive(Debug, Clone, PartialEq)]
pub struct Station {
    /// The id of its first charger.
    pub id: String,
    /// Where that is.
    pub position: Position,
    /// Its chargers, by id.
    pub chargers: Vec<Charger>,
}

/// A network's stations.
#[derive(Debug, Clone)]
pub struct Stations {
    list: Vec<Station>,
    ids: Vec<Arc<str>>,
    places: Vec<Place>,
    plugs_known: bool,
    unplaced: usize,
}

/// A plug that the vehicle can use.
#[derive(Debug, Clone, PartialEq)]
pub struct Usable {
    /// The EVSE, by index in the network.
    pub evse: usize,
    /// The charger, by index in the station.
    pub charger: usize,
    /// Which plug.
    pub plug: Plug,
    /// What it gives this vehicle, in kW.
    pub power_kw: f64,
    /// Whether that is known; otherwise it is typical of the plug.
    pub power_known: bool,
}

/// Reason why a station offers nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// No plug fits.
    Plug,
    /// None is of an operator that was asked for.
    Operator,
    /// All cost more.
    Price,
    /// All are closed then.
    Closed,
}

impl Stations {
    /// From EVSE ids and what is known of them. Order does not matter but for the indices.
    pub fn new<'a>(evses: impl IntoIterator<Item = &'a str>, places: &Places) -> Self {
        let ids: Vec<Arc<str>> = evses.into_iter().map(Arc::from).collect();
        let places: Vec<Place> =
            ids.iter().map(|id| places.get(&**id).cloned().unwrap_or_default()).collect();
        let mut chargers = BTreeMap::<String, Vec<usize>>::new();
        for (evse, (id, place)) in ids.iter().zip(&places).enumerate() {
            let common = || ids::charger(id).unwrap_or(id).to_owned();
            chargers.entry(place.station.clone().unwrap_or_else(common)).or_default().push(evse);
        }
        let mut stations = Self {
            list: Vec::new(),
            // A text that is not understood is no plug, and none of the request's either.
            plugs_known: places.iter().any(|place| !place.plugs.is_empty() || place.connector.is_some()),
            ids,
            places,
            unplaced: 0,
        };
        let mut grid = BTreeMap::<(i32, i32), Vec<usize>>::new();
        for (id, evses) in chargers {
            let (near, far) = stations.parted(evses);
            stations.add(id, near, &mut grid);
            for evse in far {
                stations.add(stations.ids[evse].to_string(), vec![evse], &mut grid);
            }
        }
        stations
    }

    /// The EVSEs of a charger that are where its first is, or of which that is not known; and those that lie elsewhere, whose ids only look
    /// alike.
    fn parted(&self, evses: Vec<usize>) -> (Vec<usize>, Vec<usize>) {
        let first = evses.iter().find_map(|evse| self.places[*evse].position);
        evses.into_iter().partition(|evse| {
            let apart = first.zip(self.places[*evse].position).map(|(first, here)| first.distance_km(here));
            apart.is_none_or(|km| km <= CHARGER_KM)
        })
    }

    fn add(&mut self, id: String, mut evses: Vec<usize>, grid: &mut BTreeMap<(i32, i32), Vec<usize>>) {
        evses.sort_by(|a, b| self.ids[*a].cmp(&self.ids[*b]));
        let on_earth = |position: Position| Position::new(position.latitude, position.longitude);
        let Some(position) = evses.iter().find_map(|evse| self.places[*evse].position.and_then(on_earth))
        else {
            self.unplaced += 1;
            return;
        };
        let cell = |degrees: f64| (degrees / CELL_DEGREES).floor() as i32;
        let (row, column) = (cell(position.latitude), cell(position.longitude));
        let around = (row - 1..=row + 1).flat_map(|r| (column - 1..=column + 1).map(move |c| (r, c)));
        let near = around.flat_map(|cell| grid.get(&cell).into_iter().flatten().copied());
        let near = near.map(|at| (self.list[at].position.distance_km(position), at));
        let nearest =
            near.filter(|(km, _)| *km <= STATION_KM).min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        if let Some((_, at)) = nearest {
            self.list[at].chargers.push(Charger { id, evses });
            return;
        }
        grid.entry((row, column)).or_default().push(self.list.len());
        let chargers = vec![Charger { id: id.clone(), evses }];
        self.list.push(Station { id, position, chargers });
    }

    /// Whether any place says what can be plugged in; where none does, each counts as fitting every vehicle.
    pub fn plugs_known(&self) -> bool {
        self.plugs_known
    }

    /// All of them.
    pub fn list(&self) -> &[Station] {
        &self.list
    }

    /// Chargers of which nobody says where they are.
    pub fn unplaced(&self) -> usize {
        self.unplaced
    }

    /// An EVSE's id.
    pub fn id(&self, evse: usize) -> &str {
        &self.ids[evse]
    }

    /// What is known of an EVSE.
    pub fn place(&self, evse: usize) -> &Place {
        &self.places[evse]
    }

    /// The EVSEs of a station that the request can use at a time in seconds since 1970, by charger and id. An EVSE without known plugs is none, unless no EVSE
    /// of the network has any: then each is taken to have the request's first.
    ///
    /// # Errors
    /// What the station lacks.
    pub fn options(&self, station: usize, request: &Request, at: i64) -> Result<Vec<Usable>, Unfit> {
        let mut why = Unfit::Plug;
        let mut found = Vec::new();
        for (charger, Charger { evses, .. }) in self.list[station].chargers.iter().enumerate() {
            for evse in evses {
                let place = &self.places[*evse];
                let Some(usable) = self.plug(*evse, charger, request) else { continue };
                let wanted = |operator: &String| request.operators.iter().any(|name| same(name, operator));
                if !request.operators.is_empty() && !place.operator.as_ref().is_some_and(wanted) {
                    why = if why == Unfit::Plug { Unfit::Operator } else { why };
                } else if place
                    .price_at(at)
                    .zip(request.max_price_kwh)
                    .is_some_and(|(price, most)| price > most)
                {
                    why = Unfit::Price;
                } else if !place.is_open(at) {
                    why = Unfit::Closed;
                } else {
                    found.push(usable);
                }
            }
        }
        if found.is_empty() { Err(why) } else { Ok(found) }
    }

    /// The plug of an EVSE that gives the vehicle most.
    fn plug(&self, evse: usize, charger: usize, request: &Request) -> Option<Usable> {
        let place = &self.places[evse];
        let assumed = [request.plugs.first().copied()?];
        let plugs = if self.plugs_known { &place.plugs[..] } else { &assumed };
        let rated = place.power_kw.filter(|kw| kw.is_finite() && *kw > 0.0);
        let mut best: Option<Usable> = None;
        for plug in plugs.iter().filter(|plug| request.plugs.contains(plug)) {
            let (plug_kw, vehicle_kw) = match plug.alternating_kw() {
                Some(most_kw) => (most_kw, request.max_ac_kw),
                None => (f64::INFINITY, request.max_dc_kw),
            };
            let power_kw = rated.unwrap_or(plug.typical_kw()).min(plug_kw).min(vehicle_kw);
            if power_kw > best.as_ref().map_or(0.0, |best| best.power_kw) {
                best = Some(Usable { evse, charger, plug: *plug, power_kw, power_known: rated.is_some() });
            }
        }
        best
    }
}

/// Names are the same whatever their case.
fn same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}
