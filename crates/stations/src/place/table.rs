//! Lists of places as tables, row by row: what cannot be read is counted, and the rest is taken.

use std::borrow::Cow;
use std::io::BufRead;

use super::columns::{Columns, Point};
use super::list::{MAX_PREAMBLE, WHAT, count};
use super::power::StatedPower;
use super::{Place, PlaceList, Position, degrees};
use crate::Error;
use crate::error::cut;
use crate::hours::{self, StatedTimes, Zone};
use crate::records::Records;
use crate::table::present;
use crate::words;

impl PlaceList {
    pub(super) fn read_table(&mut self, from: impl BufRead, delimiter: u8) -> Result<(), Error> {
        let csv_error = |source: std::io::Error| Error::Csv { what: WHAT, source: source.into() };
        let mut records = Records::new(from, delimiter);
        let mut fields: Vec<String> = Vec::new();
        let (mut columns, mut header, mut preamble) = (None, Vec::new(), 0);
        while let Some(record) = records.next(&mut fields).map_err(csv_error)? {
            let Some(known) = &columns else {
                columns = Columns::of(fields.iter().map(String::as_str));
                if preamble == 0 || columns.is_some() {
                    header.clone_from(&fields);
                }
                if columns.is_some() {
                    records.set_width(fields.len());
                }
                preamble += 1;
                if columns.is_none() && preamble >= MAX_PREAMBLE {
                    break;
                }
                continue;
            };
            if fields == header || fields.iter().all(String::is_empty) {
                continue;
            }
            let is_too_wide = fields.iter().skip(known.width).any(|field| !field.is_empty());
            if record.whole && is_too_wide {
                self.report.rows += 1;
                count(&mut self.report.too_wide, || {
                    format!("line {}: {}", record.line, cut(&fields.join(",")))
                });
            } else if record.whole {
                self.row(known, &fields, record.line)?;
            } else {
                self.report.rows += 1;
                count(&mut self.report.open_quotes, || format!("line {}", record.line));
            }
        }
        if columns.is_none() {
            return Err(Error::Column { what: WHAT, column: "evse_id", header: cut(&header.join(",")) });
        }
        self.report.format = "CSV of places";
        Ok(())
    }

    fn row(&mut self, columns: &Columns, fields: &[String], line: u64) -> Result<(), Error> {
        let text = |column: Option<usize>| {
            column
                .and_then(|column| fields.get(column))
                .map(|text| present(text))
                .filter(|text| !text.is_empty())
        };
        if text(columns.status).is_some_and(words::is_absent) {
            self.report.rows += 1;
            count(&mut self.report.absent, || format!("line {line}"));
            return Ok(());
        }
        let position = self.position(columns, &text, line);
        let price_kwh = text(columns.price).and_then(|value| {
            let price = number(value).filter(|price| *price >= 0.0).map(|price| price * columns.price_unit);
            if price.is_none() {
                count(&mut self.report.no_price, || format!("line {line}: {}", cut(value)));
            }
            price
        });
        let yes = |value: &str| {
            matches!(
                &*value.to_ascii_lowercase(),
                "true" | "vrai" | "wahr" | "1" | "1.0" | "oui" | "yes" | "ja" | "x"
            )
        };
        let sockets = columns.sockets.iter().filter(|(at, _)| text(Some(*at)).is_some_and(yes));
        let sockets: Vec<_> = sockets.map(|(_, plug)| *plug).collect();
        let stated = StatedTimes {
            zone: text(columns.time_zone).map(str::to_owned),
            // A country may have its name there.
            country: text(columns.country)
                .filter(|code| Zone::of_country(code, None).is_some())
                .or(columns.home)
                .map(str::to_owned),
            hours: match columns.hours_parts {
                Some((days, times)) => hours::in_columns(
                    text(columns.hours).unwrap_or_default(),
                    text(Some(days)).unwrap_or_default(),
                    text(Some(times)).unwrap_or_default(),
                ),
                None => hours::read(text(columns.hours).unwrap_or_default()),
            },
            prices: Vec::new(),
        };
        let mut any = false;
        for point in &columns.points {
            let id = point.evse.id(fields);
            let other = || columns.other_ids.iter().find_map(|at| text(Some(*at))).map(Cow::Borrowed);
            let Some(evse) = Some(id).filter(|id| !id.is_empty()).or_else(other) else { continue };
            any = true;
            let Point { connector, power, .. } = point;
            let connector = text(*connector).map(str::to_owned);
            let mut plugs = sockets.clone();
            if let Some(connector) = &connector {
                let found = words::plugs(connector);
                plugs.extend(found.plugs);
                for text in found.not_understood {
                    *self.report.unknown_plugs.entry(cut(&text)).or_default() += 1;
                }
            }
            plugs.sort_unstable();
            plugs.dedup();
            let mut place = Place {
                station: text(columns.station).map(str::to_owned),
                connector,
                plugs,
                position,
                power_kw: text(*power).and_then(|value| self.written_kw(value, columns.in_watts, line)),
                price_kwh,
                operator: text(columns.operator).map(str::to_owned),
                address: text(columns.address).map(str::to_owned),
                ..Place::default()
            };
            self.keep_times(&evse, &mut place, &stated);
            self.report.rows += 1;
            self.add(evse.into_owned(), place, text(columns.currency))?;
        }
        if !any {
            self.report.rows += 1;
            count(&mut self.report.without_id, || format!("line {line}"));
        }
        Ok(())
    }

    fn position<'a>(
        &mut self,
        columns: &Columns,
        text: &impl Fn(Option<usize>) -> Option<&'a str>,
        line: u64,
    ) -> Option<Position> {
        let (written, pair) = match (text(columns.latitude), text(columns.longitude), text(columns.position))
        {
            (Some(latitude), Some(longitude), _) => {
                let of = |text: &str| number(text).or_else(|| degrees(text));
                (format!("{latitude}, {longitude}"), of(latitude).zip(of(longitude)))
            }
            (None, None, Some(both)) => (both.to_owned(), pair(both, columns.longitude_first)),
            (None, None, None) => return None,
            (latitude, longitude, _) => {
                (format!("{}, {}", latitude.unwrap_or_default(), longitude.unwrap_or_default()), None)
            }
        };
        let first = || format!("line {line}: {}", cut(&written));
        match pair {
            Some((0.0, 0.0)) => count(&mut self.report.null_island, first),
            Some((latitude, longitude)) => match Position::new(latitude, longitude) {
                Some(position) => return Some(position),
                // A latitude beyond a pole can only be a longitude.
                None => match Position::new(longitude, latitude) {
                    Some(position) => {
                        count(&mut self.report.exchanged, first);
                        return Some(position);
                    }
                    None => count(&mut self.report.no_position, first),
                },
            },
            None => count(&mut self.report.no_position, first),
        }
        None
    }

    /// A power as it is written, perhaps with its unit; of several, as BNetzA has one a plug, the highest.
    fn written_kw(&mut self, value: &str, in_watts: bool, line: u64) -> Option<f64> {
        let parts = value.split([';', '|']).flat_map(|part| part.split(", "));
        let parts: Vec<&str> = parts.map(str::trim).filter(|part| !part.is_empty()).collect();
        parts.iter().filter_map(|part| self.one_kw(part, in_watts, line)).reduce(f64::max)
    }

    fn one_kw(&mut self, value: &str, in_watts: bool, line: u64) -> Option<f64> {
        let first = || format!("line {line}: {}", cut(value));
        let lower = value.to_ascii_lowercase();
        let kilowatts = lower.strip_suffix("kw").or_else(|| lower.strip_suffix("kva"));
        let watts = lower.strip_suffix('w');
        let known = match (kilowatts, watts) {
            (Some(digits), _) => number(digits.trim()).map(StatedPower::kilowatts),
            (None, Some(digits)) if !in_watts => number(digits.trim()).map(StatedPower::written_watts),
            (None, digits) => {
                let stated = number(digits.unwrap_or(&lower).trim());
                stated.map(if in_watts { StatedPower::watts } else { StatedPower::kilowatts })
            }
        };
        let Some(power) = known else {
            count(&mut self.report.no_power, first);
            return None;
        };
        self.power_kw(power, first)
    }
}

/// A finite number; a comma may part its decimals.
fn number(text: &str) -> Option<f64> {
    let number = text.parse().or_else(|_| text.replacen(',', ".", 1).parse());
    number.ok().filter(|number: &f64| number.is_finite())
}

/// Latitude and longitude in one field: `[lon, lat]` as IRVE has it, `{'lon': 2.5, 'lat': 48.5}` as Belib, `POINT(lon lat)`, or
/// `lat,lon`, or `lon,lat` where a column has the longitude first.
fn pair(text: &str, longitude_first: bool) -> Option<(f64, f64)> {
    // ISO 19125-1, 6.2.1.
    let upper = text.to_ascii_uppercase();
    if let Some(inner) = upper.strip_prefix("POINT").map(|rest| rest.trim().trim_matches(['(', ')'])) {
        let (longitude, latitude) = inner.trim().split_once(' ')?;
        return number(latitude.trim()).zip(number(longitude.trim()));
    }
    if let Ok(value) = serde_json::from_str::<serde_json::Value>(&text.replace('\'', "\"")) {
        let degrees = |value: &serde_json::Value| value.as_f64();
        return match &value {
            serde_json::Value::Array(both) => match &both[..] {
                [longitude, latitude] => degrees(latitude).zip(degrees(longitude)),
                _ => None,
            },
            point => {
                let longitude =
                    point.get("lon").or_else(|| point.get("lng")).or_else(|| point.get("longitude"))?;
                degrees(point.get("lat").or_else(|| point.get("latitude"))?).zip(degrees(longitude))
            }
        };
    }
    let (first, second) = text.split_once([',', ' '])?;
    let (first, second) = (number(first.trim())?, number(second.trim())?);
    Some(if longitude_first { (second, first) } else { (first, second) })
}
