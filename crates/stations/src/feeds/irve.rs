//! The French schema "IRVE dynamique" (etalab/schema-irve-dynamique): one row a charging point.

use std::io::Read;

use serde::Deserialize;

use super::{Reading, time_of};
use crate::Error;
use crate::error::cut;
use crate::place::{Place, Plug};

const WHAT: &str = "the IRVE dynamic table";

#[derive(Deserialize)]
struct Row {
    id_pdc_itinerance: String,
    etat_pdc: String,
    occupation_pdc: String,
    horodatage: String,
    #[serde(default)]
    etat_prise_type_2: String,
    #[serde(default)]
    etat_prise_type_combo_ccs: String,
    #[serde(default)]
    etat_prise_type_chademo: String,
    #[serde(default)]
    etat_prise_type_ef: String,
}

/// Reads the table. A point out of service is `hors_service`, one in service is what `occupation_pdc` says, any other is
/// `inconnu`. Its plugs are those that the table calls working.
///
/// # Errors
/// No such table, or a `horodatage` that is no time.
pub fn read_irve(from: impl Read) -> Result<Vec<Reading>, Error> {
    let mut reader = csv::ReaderBuilder::new().from_reader(from);
    let mut readings = Vec::new();
    for (at, row) in reader.deserialize::<Row>().enumerate() {
        let row = row.map_err(|source| Error::Csv { what: WHAT, source })?;
        let when = time_of(row.horodatage.trim()).ok_or_else(|| Error::Row {
            what: WHAT,
            line: at as u64 + 2,
            problem: "no time in `horodatage`",
            value: cut(&row.horodatage),
        })?;
        let status = match row.etat_pdc.trim() {
            "en_service" => row.occupation_pdc.trim(),
            "hors_service" => "hors_service",
            _ => "inconnu",
        };
        let sockets = [
            (&row.etat_prise_type_2, Plug::Type2),
            (&row.etat_prise_type_combo_ccs, Plug::Ccs),
            (&row.etat_prise_type_chademo, Plug::Chademo),
            (&row.etat_prise_type_ef, Plug::Domestic),
        ];
        let working = sockets.iter().filter(|(state, _)| state.trim() == "fonctionnel");
        let place = Place { plugs: working.map(|(_, plug)| *plug).collect(), ..Place::default() };
        readings.push(Reading {
            evse: row.id_pdc_itinerance.trim().to_owned(),
            status: status.to_owned(),
            at: Some(when),
            place,
        });
    }
    Ok(readings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_comes_before_occupation() {
        let check = |state: &str, occupation: &str, expected: &str| {
            let text = format!(
                "id_pdc_itinerance,etat_pdc,occupation_pdc,horodatage,etat_prise_type_2\nX,{state},{occupation},2022-10-18T12:35:49+0000,fonctionnel\n"
            );
            let readings = read_irve(text.as_bytes()).unwrap();
            assert_eq!((&*readings[0].status, &readings[0].place.plugs[..]), (expected, &[Plug::Type2][..]));
        };
        check("en_service", "libre", "libre");
        check("en_service", "occupe", "occupe");
        check("hors_service", "libre", "hors_service");
        check("inconnu", "libre", "inconnu");
    }

    #[test]
    fn another_table_is_refused() {
        assert!(matches!(read_irve(&b"a,b\n1,2\n"[..]), Err(Error::Csv { .. })));
    }
}
