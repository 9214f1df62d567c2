//! Lists of places: tables in any column names that registers use, and what networks publish as JSON.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{BufRead as _, BufReader, Read};

use super::columns::Columns;
use super::power::{Power, StatedPower};
use super::report::{Joined, PlacesReport};
use super::{Place, Places, Position};
use crate::Error;
use crate::error::cut;
use crate::feeds;
use crate::history::Counted;
use crate::ids::Ids;
use crate::table::separator;

/// Most EVSEs in a list: all of Europe had a million public ones in 2025.
const MAX_PLACES: usize = 2_000_000;

/// Lines before the header at most: BNetzA's register has some ten.
pub(super) const MAX_PREAMBLE: usize = 20;

/// Positions so far from the list's middle are looked at, in km: wider than the countries of one list.
const FAR_KM: f64 = 2_500.0;

/// Two positions of one EVSE so far apart contradict each other, in km.
const MOVED_KM: f64 = 1.0;

/// Prices a kWh above this are said: in euros, pounds or francs they are cents.
const HIGH_PRICE: f64 = 5.0;

pub(super) const WHAT: &str = "the list of places";

/// Places, and what was read of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlaceList {
    /// By EVSE id.
    pub places: Places,
    /// What was odd.
    pub report: PlacesReport,
    /// Currencies of the prices by EVSE, where they are said.
    currencies: BTreeMap<String, String>,
}

/// The places of a list: [`PlaceList::read`] without what was odd.
///
/// # Errors
/// As [`PlaceList::read`].
pub fn read_places(from: impl Read) -> Result<Places, Error> {
    Ok(PlaceList::read(from)?.places)
}

impl PlaceList {
    /// Reads `evse_id[,station_id][,connector_type][,latitude,longitude][,power_kw][,price_kwh][,operator][,address][,opening_hours][,time_zone]` in any order
    /// and in the names that IRVE, Belib and BNetzA use, or OCPI, OICP, DATEX II and Open Charge Map as JSON, or DATEX II as XML, told by the content.
    /// An empty value is unknown, and so is one that cannot be read, which is counted.
    ///
    /// # Errors
    /// No table and no such document, or no EVSE ids.
    pub fn read(from: impl Read) -> Result<Self, Error> {
        let mut from = BufReader::with_capacity(64 * 1024, from);
        let csv_error = |source: std::io::Error| Error::Csv { what: WHAT, source: source.into() };
        let beginning = from.fill_buf().map_err(csv_error)?;
        let text = beginning.strip_prefix("\u{feff}".as_bytes()).unwrap_or(beginning).trim_ascii_start();
        let mut list = Self::default();
        match text.first() {
            Some(b'{' | b'[') => list.read_documents(from, false)?,
            Some(b'<') => list.read_documents(from, true)?,
            _ => {
                let lines = text.split(|byte| *byte == b'\n').take(MAX_PREAMBLE).map(String::from_utf8_lossy);
                let by = lines.map(|line| (separator(&line), line));
                let is_header = |(by, line): &(u8, _)| {
                    let line: &std::borrow::Cow<'_, str> = line;
                    Columns::of(line.split(char::from(*by))).is_some()
                };
                let delimiter = by.into_iter().find(is_header).map_or(b',', |(by, _)| by);
                list.read_table(from, delimiter)?;
            }
        }
        list.put_right();
        list.part_stations();
        list.keep_one_currency();
        list.report.evses = list.places.len() as u64;
        Ok(list)
    }

    fn read_documents(&mut self, mut from: impl Read, xml: bool) -> Result<(), Error> {
        let mut bytes = Vec::new();
        let json = |source| Error::Json { what: WHAT, source };
        let read = (&mut from).take(feeds::MAX_FEED_BYTES as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|source| json(serde_json::Error::io(source)))?;
        let (found, limit) = (bytes.len() as u64, feeds::MAX_FEED_BYTES as u64);
        if found > limit {
            return Err(Error::TooMuch { what: "bytes of a list of places", found, limit });
        }
        let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
        if xml {
            return self.document(&feeds::xml::read(text, WHAT)?);
        }
        let values = serde_json::Deserializer::from_slice(text).into_iter().collect::<Result<Vec<_>, _>>();
        feeds::with_tariffs(values.map_err(json)?).iter().try_for_each(|value| self.document(value))
    }

    fn document(&mut self, value: &serde_json::Value) -> Result<(), Error> {
        if let Some(said) = feeds::refusal(value) {
            return Err(Error::Refused { what: WHAT, said });
        }
        let Some((format, places)) = feeds::places_of(value) else {
            let known = "neither OCPI locations (tariffs alone are none), OICP EVSE data, a DATEX II table nor Open Charge Map";
            return Err(Error::Unknown { what: WHAT, known });
        };
        self.report.format = format;
        for listed in places {
            self.report.rows += 1;
            for text in &listed.unknown_plugs {
                *self.report.unknown_plugs.entry(cut(text)).or_default() += 1;
            }
            if listed.is_absent {
                count(&mut self.report.absent, || cut(&listed.evse));
                continue;
            }
            let mut place = listed.place;
            let first = |power: StatedPower| format!("{}: {}", cut(&listed.evse), power.value());
            place.power_kw = listed.power.and_then(|power| self.power_kw(power, || first(power)));
            if place.position.is_none() {
                count(&mut self.report.no_position, || cut(&listed.evse));
            }
            self.keep_times(&listed.evse, &mut place, &listed.times);
            if listed.evse.is_empty() {
                count(&mut self.report.without_id, || cut(place.station.as_deref().unwrap_or_default()));
                continue;
            }
            self.add(listed.evse, place, listed.currency.as_deref())?;
        }
        Ok(())
    }

    /// A power in kW: put right where it can only be in the other unit, and counted.
    pub(super) fn power_kw(&mut self, power: StatedPower, first: impl FnOnce() -> String) -> Option<f64> {
        let (counted, kw) = match power.read() {
            Power::None => return None,
            Power::Kilowatts(kw) => return Some(kw),
            Power::WasWatts(kw) => (&mut self.report.watts, Some(kw)),
            Power::WasKilowatts(kw) => (&mut self.report.kilowatts, Some(kw)),
            Power::Implausible => (&mut self.report.no_power, None),
        };
        count(counted, first);
        kw
    }

    /// Adds an EVSE, or joins it with what is known of it: its connectors may have a row each.
    pub(super) fn add(
        &mut self,
        evse: String,
        mut place: Place,
        currency: Option<&str>,
    ) -> Result<(), Error> {
        if self.places.len() >= MAX_PLACES {
            let found = self.places.len() as u64 + 1;
            return Err(Error::TooMuch { what: WHAT, found, limit: MAX_PLACES as u64 });
        }
        if place.price_kwh.is_some_and(|price| price > HIGH_PRICE) {
            count(&mut self.report.high_prices, || {
                format!("{evse}: {}", place.price_kwh.unwrap_or_default())
            });
        }
        let timed = place.prices.first().map(|price| price.price_kwh);
        if let (Some(price), Some(currency)) =
            (place.price_kwh.or(timed), currency.filter(|name| !name.is_empty()))
        {
            let currency = currency.to_uppercase();
            let known = self.currencies.entry(evse.clone()).or_insert_with(|| currency.clone());
            if *known != currency {
                count(&mut self.report.other_currency, || format!("{evse}: {price} {currency}"));
                (place.price_kwh, place.prices) = (None, Vec::new());
            }
        }
        match self.places.entry(evse) {
            Entry::Vacant(free) => {
                free.insert(place);
            }
            Entry::Occupied(mut known) => {
                self.report.joined_rows += 1;
                let id = known.key().clone();
                let known = known.get_mut();
                if let (Some(here), Some(there)) = (known.position, place.position)
                    && here.distance_km(there) > MOVED_KM
                {
                    count(&mut self.report.moved, || id);
                }
                known.plugs.extend(place.plugs);
                known.plugs.sort_unstable();
                known.plugs.dedup();
                if let Some(more) = place.connector.filter(|more| known.connector.as_ref() != Some(more)) {
                    known.connector = Some(match known.connector.take() {
                        Some(first) => format!("{first}; {more}"),
                        None => more,
                    });
                }
                let higher = |a: Option<f64>, b: Option<f64>| a.into_iter().chain(b).reduce(f64::max);
                known.power_kw = higher(known.power_kw, place.power_kw);
                known.price_kwh = higher(known.price_kwh, place.price_kwh);
                if known.prices.is_empty() {
                    known.prices = place.prices;
                }
                known.hours = known.hours.take().or(place.hours);
                known.station = known.station.take().or(place.station);
                known.position = known.position.or(place.position);
                known.operator = known.operator.take().or(place.operator);
                known.address = known.address.take().or(place.address);
            }
        }
        Ok(())
    }

    /// Positions whose latitude and longitude are exchanged, as the middle of all shows: far from it as they are, and near when
    /// exchanged.
    fn put_right(&mut self) {
        let middle = |mut degrees: Vec<f64>| -> Option<f64> {
            degrees.sort_by(f64::total_cmp);
            degrees.get(degrees.len() / 2).copied()
        };
        let positions = || self.places.values().filter_map(|place| place.position);
        let (latitude, longitude) = (
            middle(positions().map(|p| p.latitude).collect()),
            middle(positions().map(|p| p.longitude).collect()),
        );
        let Some(middle) = latitude.zip(longitude).and_then(|(lat, lon)| Position::new(lat, lon)) else {
            return;
        };
        for (id, place) in &mut self.places {
            let Some(position) = place.position.filter(|p| p.distance_km(middle) > FAR_KM) else { continue };
            let exchanged = Position::new(position.longitude, position.latitude);
            if let Some(right) = exchanged.filter(|right| right.distance_km(middle) < FAR_KM / 2.0) {
                count(&mut self.report.exchanged, || {
                    format!("{id}: {}, {}", position.latitude, position.longitude)
                });
                place.position = Some(right);
            }
        }
    }

    /// Stations of which EVSEs lie far apart are several that share an id, as ids of several operators may: the id is kept where the
    /// first lies, and the others go by their own ids.
    fn part_stations(&mut self) {
        let mut firsts = BTreeMap::<String, Position>::new();
        for (id, place) in &mut self.places {
            let (Some(station), Some(position)) = (&place.station, place.position) else { continue };
            match firsts.get(station) {
                None => {
                    firsts.insert(station.clone(), position);
                }
                Some(first) if first.distance_km(position) > MOVED_KM => {
                    count(&mut self.report.scattered, || format!("{id} of {station}"));
                    place.station = None;
                }
                Some(_) => {}
            }
        }
    }

    /// Prices in another currency than most are not known: they cannot be compared.
    fn keep_one_currency(&mut self) {
        let mut counts = BTreeMap::<&str, u64>::new();
        self.currencies.values().for_each(|currency| *counts.entry(currency).or_default() += 1);
        let Some(most) = counts.iter().rev().max_by_key(|(_, n)| **n).map(|(name, _)| (*name).to_owned())
        else {
            return;
        };
        for (id, currency) in self.currencies.iter().filter(|(_, currency)| **currency != most) {
            let Some(place) = self.places.get_mut(id) else { continue };
            let timed = std::mem::take(&mut place.prices).first().map(|price| price.price_kwh);
            let Some(price) = place.price_kwh.take().or(timed) else { continue };
            count(&mut self.report.other_currency, || format!("{id}: {price} {currency}, others {most}"));
        }
    }

    /// The places by the ids of a network, whatever the list's spelling of them, and how many joined.
    pub fn join<'a>(&self, evses: impl IntoIterator<Item = &'a str>) -> (Places, Joined) {
        let listed: Vec<&str> = self.places.keys().map(String::as_str).collect();
        let ids = Ids::new(listed.iter().copied());
        let (mut joined, mut places, mut used) =
            (Joined::default(), Places::new(), vec![false; listed.len()]);
        for evse in evses {
            joined.evses += 1;
            let Some(at) = ids.find(evse) else { continue };
            joined.found += 1;
            joined.other_spelling += u64::from(listed[at] != evse);
            used[at] = true;
            places.insert(evse.to_owned(), self.places[listed[at]].clone());
        }
        for (id, _) in listed.iter().zip(&used).filter(|(_, used)| !**used) {
            joined.unused += 1;
            places.insert((*id).to_owned(), self.places[*id].clone());
        }
        (places, joined)
    }
}

pub(super) fn count(counted: &mut Counted, first: impl FnOnce() -> String) {
    if counted.rows == 0 {
        counted.first = first();
    }
    counted.rows += 1;
}

#[cfg(test)]
mod tests;
