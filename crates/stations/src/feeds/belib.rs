//! Rows of Paris's Belib network as the city's open-data interface returns them.

use std::io::Read;

use super::{Reading, time_of};
use crate::Error;
use crate::error::cut;
use crate::place::{Place, Plug, Position};
use crate::table::{column, find};

const WHAT: &str = "the Belib feed";

/// Reads rows with `id_pdc`, `statut_pdc` and `last_updated`; plugs, power and operator where they are given. A static row
/// has `id_pdc_local` instead, no time, and the status `En service`, which says nothing of being free.
///
/// # Errors
/// No CSV, a missing column, or a `last_updated` that is no time.
pub fn read_belib(from: impl Read) -> Result<Vec<Reading>, Error> {
    let csv_error = |source| Error::Csv { what: WHAT, source };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(from);
    let header = reader.headers().map_err(csv_error)?.clone();
    column(&header, WHAT, "id_pdc")?;
    let (status, at) = (column(&header, WHAT, "statut_pdc")?, column(&header, WHAT, "last_updated")?);
    let mut readings = Vec::new();
    for row in reader.records() {
        let row = row.map_err(csv_error)?;
        let text = |name: &str| {
            find(&header, name).and_then(|c| row.get(c)).map(str::trim).filter(|v| !v.is_empty())
        };
        let field = |column: usize| row.get(column).unwrap_or_default().trim();
        let line = row.position().map_or(0, csv::Position::line);
        let when = match field(at) {
            "" => None,
            value => Some(time_of(value).ok_or_else(|| Error::Row {
                what: WHAT,
                line,
                problem: "no time in `last_updated`",
                value: cut(value),
            })?),
        };
        let Some(evse) = text("id_pdc").or_else(|| text("id_pdc_local")) else { continue };
        if field(status).is_empty() {
            continue;
        }
        let has =
            |name: &str| text(name).is_some_and(|v| v.eq_ignore_ascii_case("true") || v == "1" || v == "1.0");
        let sockets = [
            ("prise_type_2", Plug::Type2),
            ("prise_type_combo_ccs", Plug::Ccs),
            ("prise_type_chademo", Plug::Chademo),
            ("prise_type_ef", Plug::Domestic),
            ("prise_type_3", Plug::Type3),
        ];
        let place = Place {
            station: text("id_station_local").or_else(|| text("id_station_itinerance")).map(str::to_owned),
            plugs: sockets.iter().filter(|(name, _)| has(name)).map(|(_, plug)| *plug).collect(),
            position: text("coordonneesxy").and_then(position),
            power_kw: text("puissance_nominale").and_then(|v| v.parse().ok()).filter(|kw: &f64| *kw > 0.0),
            operator: text("nom_operateur").map(str::to_owned),
            address: text("adresse_station").map(str::to_owned),
            ..Place::default()
        };
        readings.push(Reading { evse: evse.to_owned(), status: field(status).to_owned(), at: when, place });
    }
    Ok(readings)
}

/// A position as the interface writes it: `{'lon': 2.36, 'lat': 48.86}`, with either kind of quotes.
fn position(text: &str) -> Option<Position> {
    let point: serde_json::Value = serde_json::from_str(&text.replace('\'', "\"")).ok()?;
    Position::new(point.get("lat")?.as_f64()?, point.get("lon")?.as_f64()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str =
        "id_pdc,statut_pdc,last_updated,coordonneesxy,puissance_nominale,prise_type_2,prise_type_combo_ccs
FR*V75*E9001*01*1,Disponible,2024-05-16T19:12:01+00:00,\"{'lon': 2.5, 'lat': 48.5}\",7.0,True,False
FR*V75*E9001*01*2,Inconnu,2021-06-13T02:30:01+00:00,,,,
";

    #[test]
    fn a_row_has_its_place_and_an_old_one_is_unknown() {
        let readings = read_belib(ROWS.as_bytes()).unwrap();
        let [first, second] = &readings[..] else { panic!("{readings:?}") };
        let expected = Place {
            plugs: vec![Plug::Type2],
            position: Position::new(48.5, 2.5),
            power_kw: Some(7.0),
            ..Place::default()
        };
        assert_eq!((&*first.status, &first.place), ("Disponible", &expected));
        let now = time_of("2024-05-16T19:15:00Z").unwrap();
        assert_eq!((first.status_at(now, 86_400), second.status_at(now, 86_400)), (Some("Disponible"), None));
    }

    #[test]
    fn a_row_that_is_none_is_an_error_with_its_line() {
        let error = read_belib(&b"id_pdc,statut_pdc,last_updated\na,b,c\n"[..]).unwrap_err();
        assert!(error.to_string().contains("line 2: no time in `last_updated`"), "{error}");
        assert!(read_belib(&b"id_pdc\na\n"[..]).unwrap_err().to_string().contains("`statut_pdc`"));
    }
}
