//! Cost of each station to a driver in minutes, and the order that follows.

use super::answer::{Excluded, Ranking, Recommended};
use super::charge::Charging;
use super::odds::{Reservations, at_least, probability};
use super::stations::{Station, Stations, Unfit, Usable};
use super::words::why;
use super::{Outlook, Request, RequestError, Roads};
use crate::Places;

/// Longest wait that is counted on, in minutes: who would wait longer drives on.
pub(super) const MAX_WAIT_MIN: f64 = 30.0;

/// Assumed time that a plug stays busy where nothing is known of it, in minutes.
const BUSY_MIN: f64 = 45.0;

/// Plugs of one EVSE that are told apart.
const MAX_PLUGS: usize = 4;

/// Stations looked at, the nearest that can be reached and fit.
const MAX_CANDIDATES: usize = 64;

/// Everything beside the request that an answer depends on.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    /// Seconds since 1970.
    pub now: i64,
    /// What is expected of each EVSE.
    pub outlook: &'a dyn Outlook,
    /// How long drives are.
    pub roads: &'a Roads,
    /// Who is on the way.
    pub reservations: &'a Reservations,
    /// Stations to leave out, by index.
    pub avoid: &'a [usize],
}

/// Finds stations for drivers.
pub struct Recommender {
    stations: Stations,
    charging: Charging,
    most: usize,
}

/// A station that can be reached and has a plug that fits.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its index in [`Stations::list`].
    pub station: usize,
    /// Kilometres of road.
    pub drive_km: f64,
    /// Minutes of drive.
    pub drive_min: f64,
    /// Whether both are estimated since a router that was asked did not say.
    pub unmeasured: bool,
    /// What fits.
    pub options: Vec<Usable>,
}

/// An option with all that is asked of it once.
struct Offer {
    usable: Usable,
    charge_min: f64,
    /// P(one can plug in beside 0, 1, … others), falling.
    p_free: Vec<f64>,
    faulty: f64,
    busy_min: f64,
    price_kwh: Option<f64>,
}

impl Recommender {
    /// For a network's EVSEs; an [`Outlook`] counts them in the same order.
    pub fn new<'a>(evses: impl IntoIterator<Item = &'a str>, places: &Places) -> Self {
        Self { stations: Stations::new(evses, places), charging: Charging::default(), most: MAX_CANDIDATES }
    }

    /// Looks at no more than so many stations a request.
    #[must_use]
    pub fn looking_at(self, most: usize) -> Self {
        Self { most: most.clamp(1, MAX_CANDIDATES), ..self }
    }

    /// The network's stations.
    pub fn stations(&self) -> &Stations {
        &self.stations
    }

    /// Minutes of charge from a state of charge to the request's target; `None` if it is too cold.
    pub fn charge_min(&mut self, request: &Request, power_kw: f64, soc: f64) -> Option<f64> {
        self.charging.minutes(request, power_kw, soc)
    }

    /// The stations that are worth a closer look to a driver who leaves at `now`, seconds since 1970, the nearest first: for a caller
    /// that measures roads to them.
    ///
    /// # Errors
    /// A request that makes no sense.
    pub fn candidates(
        &self,
        now: i64,
        request: &Request,
        roads: &Roads,
        avoid: &[usize],
    ) -> Result<(Vec<Candidate>, Excluded), RequestError> {
        request.check()?;
        let mut excluded = Excluded { unplaced: self.stations.unplaced(), ..Excluded::default() };
        let mut found = Vec::new();
        for (station, known) in self.stations.list().iter().enumerate() {
            if avoid.contains(&station) {
                continue;
            }
            let drive = roads.to(request.position, known);
            let (drive_km, drive_min, unmeasured) = (drive.km, drive.min, drive.unmeasured);
            if request.soc_after(drive_km) < request.reserve_soc {
                excluded.unreachable += 1;
                continue;
            }
            match self.stations.options(station, request, arrival(now, drive_min)) {
                Err(Unfit::Plug) => excluded.plug += 1,
                Err(Unfit::Operator) => excluded.operator += 1,
                Err(Unfit::Price) => excluded.price += 1,
                Err(Unfit::Closed) => excluded.closed += 1,
                Ok(_) if request.arrive_within_min.is_some_and(|most| drive_min > most) => {
                    excluded.too_late += 1
                }
                Ok(options) => found.push(Candidate { station, drive_km, drive_min, unmeasured, options }),
            }
        }
        let id = |candidate: &Candidate| &self.stations.list()[candidate.station].id;
        found.sort_by(|a, b| a.drive_min.total_cmp(&b.drive_min).then_with(|| id(a).cmp(id(b))));
        excluded.too_many = found.len().saturating_sub(self.most);
        found.truncate(self.most);
        Ok((found, excluded))
    }

    /// Ranks.
    ///
    /// # Errors
    /// A request that makes no sense.
    pub fn rank(&mut self, request: &Request, here: Circumstances<'_>) -> Result<Ranking, RequestError> {
        let (candidates, mut excluded) = self.candidates(here.now, request, here.roads, here.avoid)?;
        let usual_kwh = self.usual_price(here.now, &candidates);
        let mut ranked = Vec::new();
        for candidate in &candidates {
            let again_min = self.again_min(candidate, &candidates, here.roads);
            match self.best(request, here, candidate, again_min, usual_kwh) {
                Some(entry) => ranked.push(entry),
                None => excluded.too_cold += 1,
            }
        }
        ranked.sort_by(|a, b| a.cost_min.total_cmp(&b.cost_min).then_with(|| a.station.cmp(&b.station)));
        ranked.truncate(request.top);
        for entry in &mut ranked {
            let usable = candidates.iter().filter(|candidate| candidate.station == entry.index);
            let option =
                usable.flat_map(|candidate| &candidate.options).find(|usable| usable.evse == entry.likeliest);
            entry.why = why(request, entry, option);
        }
        Ok(Ranking { stations: ranked, excluded })
    }

    /// What a kWh costs where nobody says: the mean of what others say.
    fn usual_price(&self, now: i64, candidates: &[Candidate]) -> Option<f64> {
        let price = |candidate: &Candidate, usable: &Usable| {
            self.stations.place(usable.evse).price_at(arrival(now, candidate.drive_min))
        };
        let known: Vec<f64> = candidates
            .iter()
            .flat_map(|c| c.options.iter().filter_map(move |usable| price(c, usable)))
            .collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    }

    /// Minutes from a station to the nearest other that would do, or back, if there is none.
    fn again_min(&self, from: &Candidate, candidates: &[Candidate], roads: &Roads) -> f64 {
        let position = |candidate: &Candidate| self.stations.list()[candidate.station].position;
        let others = candidates.iter().filter(|other| other.station != from.station);
        let minutes = others.map(|other| roads.between(position(from), position(other)).1);
        minutes.min_by(f64::total_cmp).unwrap_or(from.drive_min)
    }

    /// The best way to use a station: of its EVSEs those that charge in so many minutes or less, for every such number. `None`
    /// if none of them charges.
    fn best(
        &mut self,
        request: &Request,
        here: Circumstances<'_>,
        candidate: &Candidate,
        again_min: f64,
        usual_kwh: Option<f64>,
    ) -> Option<Recommended> {
        let arrival_soc = request.soc_after(candidate.drive_km);
        let mut offers = self.offers(request, here, candidate, arrival_soc);
        let id = |offer: &Offer| self.stations.id(offer.usable.evse);
        offers.sort_by(|a, b| a.charge_min.total_cmp(&b.charge_min).then_with(|| id(a).cmp(id(b))));
        let station = &self.stations.list()[candidate.station];
        let arrival = arrival(here.now, candidate.drive_min);
        let ends = (1..=offers.len())
            .filter(|end| offers.get(*end).is_none_or(|o| o.charge_min > offers[end - 1].charge_min));
        let mut best: Option<Recommended> = None;
        for end in ends {
            let tier = &offers[..end];
            let slowest = tier.last()?;
            let odds = Odds::of(tier, station, here.reservations, arrival);
            let wait_min = (1.0 - odds.p_free) * odds.residual_min;
            let total_min = candidate.drive_min + wait_min + slowest.charge_min;
            let kwh = (request.target_soc - arrival_soc).max(0.0) * request.capacity_kwh;
            let prices = tier.iter().filter_map(|offer| offer.price_kwh);
            let price = prices.max_by(f64::total_cmp).map(|price_kwh| price_kwh * kwh);
            let paid = price.or(usual_kwh.map(|price_kwh| price_kwh * kwh)).unwrap_or(0.0);
            let closes_min = self.closes_min(tier, arrival, wait_min + slowest.charge_min);
            // A charge that ends too early is worth as much less as a wasted arrival.
            let unmet = closes_min.map_or(0.0, |min| 1.0 - min / (wait_min + slowest.charge_min));
            let cost_min = total_min
                + (1.0 - odds.p_free + unmet).min(1.0) * request.waste_min
                + odds.faulty * again_min
                + paid / request.price_per_hour * 60.0;
            if best.as_ref().is_some_and(|best| best.cost_min <= cost_min) {
                continue;
            }
            let likeliest =
                tier.iter().reduce(|a, b| if b.p_free[0] > a.p_free[0] { b } else { a })?.usable.evse;
            let place = self.stations.place(likeliest);
            let ages = tier.iter().filter_map(|offer| here.outlook.age_s(offer.usable.evse));
            best = Some(Recommended {
                station: station.id.clone(),
                evses: tier.iter().map(|offer| id(offer).to_owned()).collect(),
                position: station.position,
                address: place.address.clone(),
                operator: place.operator.clone(),
                drive_km: candidate.drive_km,
                drive_min: candidate.drive_min,
                drive_unmeasured: candidate.unmeasured,
                p_free: odds.p_free,
                wait_min,
                charge_min: slowest.charge_min,
                total_min,
                cost_min,
                power_kw: slowest.usable.power_kw,
                price,
                reliability: 1.0 - odds.faulty,
                arrival_soc,
                closes_min,
                age_s: ages.min(),
                why: String::new(),
                index: candidate.station,
                likeliest,
            });
        }
        best
    }

    /// Minutes from arrival until the first EVSE of a tier closes, if that is within so many minutes.
    fn closes_min(&self, tier: &[Offer], arrival: i64, stay_min: f64) -> Option<f64> {
        let until = arrival.saturating_add((60.0 * stay_min) as i64);
        let hours = tier.iter().filter_map(|offer| self.stations.place(offer.usable.evse).hours.as_ref());
        let closes = hours.filter_map(|hours| hours.closes(arrival, until)).min()?;
        Some((closes - arrival) as f64 / 60.0)
    }

    fn offers(
        &mut self,
        request: &Request,
        here: Circumstances<'_>,
        candidate: &Candidate,
        arrival_soc: f64,
    ) -> Vec<Offer> {
        let outlook = here.outlook;
        let arrival = arrival(here.now, candidate.drive_min);
        let chargers = self.stations.list()[candidate.station].chargers.iter();
        let held: usize =
            chargers.flat_map(|c| &c.evses).map(|evse| here.reservations.at(*evse, arrival)).sum();
        let mut offers = Vec::new();
        for usable in &candidate.options {
            if let Some(charge_min) = self.charging.minutes(request, usable.power_kw, arrival_soc) {
                let evse = usable.evse;
                let busy_min = outlook.busy_min(evse);
                let mut least = 1.0f64;
                let p_free = (0..=held.min(MAX_PLUGS - 1)).map(|others| {
                    least = least.min(probability(outlook.usable_beside(evse, candidate.drive_min, others)));
                    least
                });
                offers.push(Offer {
                    usable: usable.clone(),
                    charge_min,
                    p_free: p_free.collect(),
                    faulty: probability(outlook.faulty(evse)),
                    busy_min: if busy_min.is_finite() { busy_min.max(0.0) } else { BUSY_MIN },
                    price_kwh: self.stations.place(evse).price_at(arrival),
                });
            }
        }
        offers
    }
}

/// When a driver who leaves now is there.
fn arrival(now: i64, drive_min: f64) -> i64 {
    now.saturating_add((drive_min.min(1e6) * 60.0) as i64)
}

/// Probabilities of some EVSEs of a station together.
struct Odds {
    p_free: f64,
    faulty: f64,
    /// Until one frees, if none is free, in minutes.
    residual_min: f64,
}

impl Odds {
    fn of(tier: &[Offer], station: &Station, reservations: &Reservations, arrival: i64) -> Self {
        let mut chances = Vec::new();
        let (mut faulty, mut held) = (1.0, 0);
        for (index, charger) in station.chargers.iter().enumerate() {
            let mine = || tier.iter().filter(|offer| offer.usable.charger == index);
            if mine().next().is_none() {
                continue;
            }
            let plugs = mine().map(|offer| offer.p_free.len()).max().unwrap_or(0);
            let likeliest = |others: usize| mine().map(|offer| offer.p_free[others]).fold(0.0, f64::max);
            chances.push((0..plugs).map(likeliest).collect::<Vec<f64>>());
            faulty *= mine().map(|offer| offer.faulty).fold(1.0, f64::min);
            held += charger.evses.iter().map(|evse| reservations.at(*evse, arrival)).sum::<usize>();
        }
        // The first of n spells to end, if they end at a constant rate; who came before is served before.
        let mean_min = tier.iter().map(|offer| offer.busy_min).sum::<f64>() / tier.len() as f64;
        let residual_min = (mean_min * (held + 1) as f64 / chances.len().max(1) as f64).min(MAX_WAIT_MIN);
        Self { p_free: at_least(&chances, held + 1), faulty, residual_min }
    }
}
