//! Lists of places: tables in any column names that registers use, and what networks publish as JSON.

use std::collections::btree_map::Entry;
use std::io::{BufRead as _, BufReader, Read};

use super::columns::Columns;
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

pub(super) const WHAT: &str = "the list of places";

/// Places, and what was read of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlaceList {
    /// By EVSE id.
    pub places: Places,
    /// What was odd.
    pub report: PlacesReport,
}

/// The places of a list: [`PlaceList::read`] without what was odd.
///
/// # Errors
/// As [`PlaceList::read`].
pub fn read_places(from: impl Read) -> Result<Places, Error> {
    Ok(PlaceList::read(from)?.places)
}

impl PlaceList {
    /// Reads `evse_id[,station_id][,connector_type][,latitude,longitude][,power_kw][,price_kwh][,operator][,address]` in any order
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
        for value in serde_json::Deserializer::from_slice(text).into_iter::<serde_json::Value>() {
            self.document(&value.map_err(json)?)?;
        }
        Ok(())
    }

    fn document(&mut self, value: &serde_json::Value) -> Result<(), Error> {
        let Some((format, places)) = feeds::places_of(value) else {
            let known = "neither OCPI locations, OICP EVSE data, a DATEX II table nor Open Charge Map";
            return Err(Error::Unknown { what: WHAT, known });
        };
        self.report.format = format;
        for listed in places {
            self.report.rows += 1;
            for text in &listed.unknown_plugs {
                *self.report.unknown_plugs.entry(cut(text)).or_default() += 1;
            }
            if listed.evse.is_empty() {
                count(&mut self.report.without_id, || {
                    cut(listed.place.station.as_deref().unwrap_or_default())
                });
                continue;
            }
            self.add(listed.evse, listed.place)?;
        }
        Ok(())
    }

    /// Adds an EVSE, or joins it with what is known of it: its connectors may have a row each.
    pub(super) fn add(&mut self, evse: String, place: Place) -> Result<(), Error> {
        if self.places.len() >= MAX_PLACES {
            let found = self.places.len() as u64 + 1;
            return Err(Error::TooMuch { what: WHAT, found, limit: MAX_PLACES as u64 });
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
mod tests {
    use super::*;
    use crate::Plug;

    fn read(text: &str) -> PlaceList {
        PlaceList::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_list_may_have_any_of_its_columns() {
        let check = |text: &str, expected: Place| assert_eq!(read(text).places["a"], expected, "{text}");
        let at =
            |latitude, longitude| Place { position: Position::new(latitude, longitude), ..Place::default() };
        check("evse_id\na\n", Place::default());
        let ccs = Place { plugs: vec![Plug::Ccs], connector: Some("ComboCCS".into()), ..Place::default() };
        check("connector_type,evse_id,colour\nComboCCS,a,red\n", ccs);
        check("evse_id;latitude;longitude\na;50,5;8,25\n", at(50.5, 8.25));
        check("id_pdc_itinerance,coordonneesXY\na,\"[8.25,50.5]\"\n", at(50.5, 8.25));
        check("id_pdc,coordonneesxy\na,\"{'lon': 8.25, 'lat': 50.5}\"\n", at(50.5, 8.25));
        check("id_pdc,coordonneesxy\na,POINT (8.25 50.5)\n", at(50.5, 8.25));
        let both = Place { plugs: vec![Plug::Ccs, Plug::Type2], ..Place::default() };
        check(
            "id_pdc_itinerance,prise_type_2,prise_type_combo_ccs,prise_type_chademo\na,true,TRUE,false\n",
            both,
        );
        let bnetza = "Ladesäulenregister\nStand;1.1.2025\n\nBetreiber;Breitengrad;Längengrad;Steckertypen1;P1 [kW];EVSE-ID1\n\
                      EnBW;50,5;8,25;\"AC Steckdose Typ 2, AC Schuko\";22;a\n";
        let connector = Some("AC Steckdose Typ 2, AC Schuko".into());
        let (plugs, operator) = (vec![Plug::Type2, Plug::Domestic], Some("EnBW".into()));
        check(bnetza, Place { connector, plugs, operator, power_kw: Some(22.0), ..at(50.5, 8.25) });
        let error = PlaceList::read(&b"station\na\n"[..]).unwrap_err();
        assert!(error.to_string().contains("no column `evse_id`; its header reads: station"), "{error}");
    }

    #[test]
    fn what_cannot_be_used_is_counted_and_the_rest_is_read() {
        let check = |columns: &str,
                     row: &str,
                     counted: fn(&PlacesReport) -> &Counted,
                     value: fn(&Place) -> Option<f64>,
                     expected: Option<f64>| {
            let text =
                format!("evse_id,latitude,longitude,{columns}\na,50,8,{row}\nb,50,8,{row}\nc,50,8,{row}\n");
            let list = read(&text);
            assert_eq!(counted(&list.report).rows, 3, "{row}: {:?}", list.report);
            assert_eq!(value(&list.places["b"]), expected, "{row}");
            assert!(list.places["b"].position.is_some() && !list.report.lines().is_empty());
        };
        check("price_kwh", "0.45 EUR", |report| &report.no_price, |place| place.price_kwh, None);
        check("price_kwh", "€0.45", |report| &report.no_price, |place| place.price_kwh, None);
        check("power_kw", "22000", |report| &report.watts, |place| place.power_kw, Some(22.0));
        check("power_kw", "3700 W", |report| &report.watts, |place| place.power_kw, Some(3.7));
        check("power_kw", "fast", |report| &report.no_power, |place| place.power_kw, None);
        let plain = |row: &str| read(&format!("evse_id,power_kw\na,{row}\n")).places["a"].power_kw;
        assert_eq!(
            ["22", "22 kW", "22kW", "\"22,0\"", "350", "0"].map(plain),
            [22.0, 22.0, 22.0, 22.0, 350.0, 0.0].map(|kw| Some(kw).filter(|kw| *kw > 0.0))
        );
    }

    #[test]
    fn positions_that_are_exchanged_are_put_right_and_others_are_not_known() {
        let text = "evse_id,latitude,longitude\na,50,8\nb,50.1,8.1\nb2,50.1,8.2\nb3,50.3,8.1\nc,8.2,50.2\nd,0,0\ne,x,8\n\
                    f,200,200\n";
        let list = read(text);
        let position = |id: &str| list.places[id].position;
        assert_eq!(position("c"), Position::new(50.2, 8.2));
        assert_eq!([position("d"), position("e"), position("f")], [None; 3]);
        let report = &list.report;
        assert_eq!(
            (report.exchanged.rows, report.null_island.rows, report.no_position.rows),
            (1, 1, 2),
            "{report:?}"
        );
    }

    #[test]
    fn rows_of_one_evse_are_joined() {
        let list = read(
            "evse_id,connector_type,power_kw,price_kwh\na,CCS,150,0.5\na,Type2,22,0.6\nb,CCS/CHAdeMO,,\nc,Broomstick,,\n",
        );
        let a = &list.places["a"];
        assert_eq!(
            (&a.plugs[..], a.power_kw, a.price_kwh),
            (&[Plug::Ccs, Plug::Type2][..], Some(150.0), Some(0.6))
        );
        assert_eq!(list.places["b"].plugs, [Plug::Ccs, Plug::Chademo]);
        assert_eq!(list.places["c"].plugs, []);
        assert_eq!((list.report.joined_rows, list.report.unknown_plugs["Broomstick"]), (1, 1));
    }

    #[test]
    fn a_list_joins_in_any_spelling_of_the_ids() {
        let list = read("evse_id,power_kw\nFRV75E9001011,22\nother,50\n");
        let (places, joined) = list.join(["FR*V75*E9001*01*1", "new"]);
        assert_eq!(places["FR*V75*E9001*01*1"].power_kw, Some(22.0));
        assert_eq!(joined, Joined { evses: 2, found: 1, other_spelling: 1, unused: 1 });
        assert!(places.contains_key("other") && joined.line().is_some());
    }
}
