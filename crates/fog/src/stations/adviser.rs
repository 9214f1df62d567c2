//! A trained model that follows snapshots, and what is forecast and recommended from it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use voltmesh_stations::ids::Ids;
use voltmesh_stations::recommend::{Circumstances, Expected, Recommender, Request, Reservations, Roads};
use voltmesh_stations::{Forecaster, Labels, Mapping, Places, Position};

use super::answer::{Advice, Forecast, Forecasts, Horizon, Reservation, Short};
use super::feed::{Grid, Snapshot};
use super::refusal::Refusal;

/// What is known of the network now.
struct Known {
    model: Forecaster,
    index: BTreeMap<Arc<str>, usize>,
    /// The same in any spelling.
    ids: Ids,
    /// When each EVSE's newest reading was said, seconds since 1970.
    said: Vec<Option<i64>>,
    /// Made when first asked for after a snapshot.
    forecasts: OnceLock<Vec<Option<Vec<f32>>>>,
    snapshots: u64,
}

/// What is counted, outside the locks: reading figures waits for no forecast.
#[derive(Default)]
struct Figures {
    evses: AtomicU64,
    snapshots: AtomicU64,
    bytes: AtomicU64,
    reservations: AtomicU64,
}

/// What recommending needs besides.
struct Desk {
    recommender: Recommender,
    reservations: Reservations,
}

/// Forecasts and recommends. Times are seconds since 1970 by the feed's clock.
pub struct Adviser {
    known: RwLock<Known>,
    desk: Mutex<Desk>,
    figures: Figures,
    places: Places,
    mapping: Mapping,
    max_age_s: i64,
    reservation_s: i64,
}

impl Adviser {
    /// With a trained model and what a list of places says beyond it.
    pub fn new(
        mut model: Forecaster,
        places: Places,
        mapping: Mapping,
        max_age_s: i64,
        reservation_min: u32,
    ) -> Self {
        let listed: Vec<Arc<str>> = places.keys().map(|id| id.as_str().into()).collect();
        model.meet(&listed, &places);
        let desk = Desk { recommender: recommender(&model, &places), reservations: Reservations::default() };
        let mut known = Known {
            model,
            index: BTreeMap::new(),
            ids: Ids::default(),
            said: Vec::new(),
            forecasts: OnceLock::new(),
            snapshots: 0,
        };
        let figures = Figures::default();
        known.count(&figures);
        let reservation_s = 60 * i64::from(reservation_min);
        Self {
            known: RwLock::new(known),
            desk: Mutex::new(desk),
            figures,
            places,
            mapping,
            max_age_s,
            reservation_s,
        }
    }

    /// The grid that snapshots should be on.
    pub fn grid(&self) -> Grid {
        let known = self.known();
        Grid { step_s: known.model.step_s(), phase: known.model.tracker().at.unwrap_or(0) }
    }

    /// The statuses that the model knows.
    pub fn labels(&self) -> Labels {
        self.known().model.labels().clone()
    }

    /// Takes what was observed. False if it is not newer than what the model has seen.
    pub fn take(&self, snapshot: &Snapshot) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let known = &mut *known;
        let new: Vec<Arc<str>> = snapshot
            .readings
            .iter()
            .filter(|(id, _)| known.ids.find(id).is_none())
            .map(|(id, _)| id.as_str().into())
            .collect();
        if !new.is_empty() {
            known.model.meet(&new, &self.places);
            known.count(&self.figures);
            self.desk().recommender = recommender(&known.model, &self.places);
        }
        for ((id, _), said) in snapshot.readings.iter().zip(&snapshot.said) {
            if let Some(said_before) = known.ids.find(id).and_then(|evse| known.said.get_mut(evse)) {
                *said_before = Some(*said);
            }
        }
        if !known.model.observe(snapshot.at, &snapshot.readings, &self.mapping) {
            return false;
        }
        known.snapshots += 1;
        self.figures.snapshots.store(known.snapshots, Relaxed);
        known.forecasts = OnceLock::new();
        true
    }

    /// A forecast of one EVSE, at one horizon or all.
    ///
    /// # Errors
    /// No such EVSE or horizon, or nothing fresh is known.
    pub fn forecast(&self, now: i64, evse: &str, minutes: Option<u32>) -> Result<Forecast, Refusal> {
        let known = self.known();
        let at = self.fresh(&known, now)?;
        let index = known.ids.find(evse).ok_or_else(|| Refusal::NoEvse(evse.chars().take(80).collect()))?;
        let horizons = known.horizons(minutes)?;
        let forecast = match known.forecasts.get() {
            Some(all) => all.get(index).cloned().flatten(),
            None => known.model.forecast(index),
        };
        let model = &known.model;
        let names = model.labels().names();
        let horizon = |(n, minutes): &(usize, u32)| {
            let p = forecast.as_deref().and_then(|p| p.chunks(names.len()).nth(*n));
            Horizon {
                minutes: *minutes,
                usable: known.usable(index, forecast.as_deref(), f64::from(*minutes)),
                probabilities: p.map(|p| names.iter().cloned().zip(p.iter().copied()).collect()),
            }
        };
        Ok(Forecast {
            at: text(at),
            evse: evse.to_owned(),
            status: known.status(index),
            age_s: known.age_s(index, now),
            model: model.name(),
            horizons: horizons.iter().map(horizon).collect(),
        })
    }

    /// Forecasts of all EVSEs, at one horizon or all.
    ///
    /// # Errors
    /// No such horizon, or nothing fresh is known.
    pub fn forecasts(&self, now: i64, minutes: Option<u32>) -> Result<Forecasts, Refusal> {
        let known = self.known();
        let at = self.fresh(&known, now)?;
        let horizons = known.horizons(minutes)?;
        let all = known.all();
        let short = |(id, index): (&Arc<str>, &usize)| {
            let p = all.get(*index).and_then(Option::as_deref);
            let usable = |(_, minutes): &(usize, u32)| {
                let usable = known.usable(*index, p, f64::from(*minutes));
                (usable * 1e4).round() / 1e4
            };
            Short {
                evse: id.to_string(),
                status: known.status(*index),
                age_s: known.age_s(*index, now),
                usable: horizons.iter().map(usable).collect(),
            }
        };
        Ok(Forecasts {
            at: text(at),
            model: known.model.name(),
            minutes: horizons.iter().map(|(_, minutes)| *minutes).collect(),
            evses: known.index.iter().map(short).collect(),
        })
    }

    /// The stations that are worth measuring roads to: ids and positions.
    ///
    /// # Errors
    /// A request that makes no sense, or nothing fresh is known.
    pub fn candidates(&self, now: i64, request: &Request) -> Result<Vec<(String, Position)>, Refusal> {
        self.fresh(&self.known(), now)?;
        let desk = self.desk();
        let (found, _) = desk.recommender.candidates(now, request, &Roads::default(), &[])?;
        let list = desk.recommender.stations().list();
        let station = |index: usize| list.get(index).map(|station| (station.id.clone(), station.position));
        Ok(found.iter().filter_map(|candidate| station(candidate.station)).collect())
    }

    /// Ranks stations, and holds the best for this driver if that is asked for.
    ///
    /// # Errors
    /// A request that makes no sense, or nothing fresh is known.
    pub fn recommend(
        &self,
        now: i64,
        request: &Request,
        roads: &Roads,
        said_of_roads: String,
        reserve: bool,
    ) -> Result<Advice, Refusal> {
        let known = self.known();
        let at = self.fresh(&known, now)?;
        let since_min = now.saturating_sub(at).max(0) as f64 / 60.0;
        let outlook = Expected::new(&known.model, known.all()).after(since_min).said(&known.said, now);
        let mut desk = self.desk();
        let desk = &mut *desk;
        desk.reservations.expire(now);
        let here =
            Circumstances { now, outlook: &outlook, roads, reservations: &desk.reservations, avoid: &[] };
        let ranking = desk.recommender.rank(request, here)?;
        let reservation = match ranking.stations.first().filter(|_| reserve) {
            Some(best) => {
                let until = now + (best.drive_min * 60.0) as i64 + self.reservation_s;
                let held = desk.reservations.hold(best.likeliest, now, until);
                let evse = desk.recommender.stations().id(best.likeliest).to_owned();
                held.then(|| Reservation { evse, until: text(until) })
            }
            None => None,
        };
        self.figures.reservations.store(desk.reservations.len() as u64, Relaxed);
        Ok(Advice {
            at: text(now),
            model: known.model.name(),
            roads: said_of_roads,
            stations: ranking.stations,
            excluded: ranking.excluded,
            reservation,
        })
    }

    /// Figures for `/status` and `/metrics`.
    pub fn figures(&self) -> [(&'static str, u64); 4] {
        let figures = &self.figures;
        [
            ("stations_evses", figures.evses.load(Relaxed)),
            ("stations_snapshots", figures.snapshots.load(Relaxed)),
            ("stations_forecaster_bytes", figures.bytes.load(Relaxed)),
            ("stations_reservations", figures.reservations.load(Relaxed)),
        ]
    }

    /// The newest snapshot's time, unless nothing should be said.
    fn fresh(&self, known: &Known, now: i64) -> Result<i64, Refusal> {
        let at = known.model.tracker().at.filter(|_| known.snapshots > 0).ok_or(Refusal::NotYet)?;
        let (age_s, max_age_s) = (now.saturating_sub(at), self.max_age_s.max(2 * known.model.step_s()));
        if age_s > max_age_s { Err(Refusal::Stale { age_s, max_age_s }) } else { Ok(at) }
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Always taken after what is known.
    fn desk(&self) -> std::sync::MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Brings up to date what follows from the model's list of EVSEs.
    fn count(&mut self, figures: &Figures) {
        let ids = &self.model.tracker().ids;
        self.index = ids.iter().cloned().enumerate().map(|(index, id)| (id, index)).collect();
        self.ids = Ids::new(ids.iter().map(|id| &**id));
        self.said.resize(ids.len(), None);
        figures.evses.store(ids.len() as u64, Relaxed);
        // Small integers take fewer bytes than in memory: some tenth too little.
        let bytes = postcard::experimental::serialized_size(&self.model).unwrap_or(0);
        figures.bytes.store(bytes as u64, Relaxed);
    }

    fn all(&self) -> &[Option<Vec<f32>>] {
        self.forecasts.get_or_init(|| self.model.forecast_all())
    }

    fn usable(&self, evse: usize, forecast: Option<&[f32]>, minutes: f64) -> f64 {
        match forecast {
            Some(p) => self.model.usable_of(evse, p, minutes),
            None => self.model.usable(evse, minutes),
        }
    }

    fn status(&self, evse: usize) -> Option<String> {
        let now = self.model.tracker().evses.get(evse)?.now;
        self.model.labels().names().get(usize::from(now)).cloned()
    }

    fn age_s(&self, evse: usize, now: i64) -> Option<i64> {
        self.said.get(evse).copied().flatten().map(|said| now.saturating_sub(said).max(0))
    }

    /// Indices and minutes of the horizons asked for.
    fn horizons(&self, minutes: Option<u32>) -> Result<Vec<(usize, u32)>, Refusal> {
        let all = self.model.horizons_min();
        let wanted = all.iter().copied().enumerate().filter(|(_, known)| minutes.is_none_or(|m| m == *known));
        let wanted: Vec<_> = wanted.collect();
        match minutes {
            Some(minutes) if wanted.is_empty() => Err(Refusal::NoHorizon { minutes, horizons: all.to_vec() }),
            _ => Ok(wanted),
        }
    }
}

fn recommender(model: &Forecaster, listed: &Places) -> Recommender {
    let mut places = model.tracker().places.clone();
    places.extend(listed.iter().map(|(id, place)| (id.clone(), place.clone())));
    Recommender::new(model.tracker().ids.iter().map(|id| &**id), &places)
}

/// RFC 3339.
pub(super) fn text(at: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(at).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| at.to_string())
}
