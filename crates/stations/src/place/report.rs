//! Report on the reading of a list of places: what was not used and why, and how it joins a network.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::history::Counted;

/// Report on the reading of a list of places.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PlacesReport {
    /// What the list is, as its content says.
    pub format: &'static str,
    /// Rows, or EVSEs of a document.
    pub rows: u64,
    /// EVSEs.
    pub evses: u64,
    /// Rows without an EVSE id: not used.
    pub without_id: Counted,
    /// Rows with more fields than the header, as an unquoted decimal comma makes them: not used.
    pub too_wide: Counted,
    /// EVSEs that are removed, or not built yet: not listed.
    pub absent: Counted,
    /// EVSEs more than a kilometre from the first of their station: they go by their own ids.
    pub scattered: Counted,
    /// Prices in another currency than most: not known.
    pub other_currency: Counted,
    /// Further rows of an EVSE: their plugs are joined, the higher power and price count.
    pub joined_rows: u64,
    /// Further rows of an EVSE more than a kilometre from its first: the first position counts.
    pub moved: Counted,
    /// Positions that are none: not known.
    pub no_position: Counted,
    /// Positions at 0° north, 0° east: not known.
    pub null_island: Counted,
    /// Positions with latitude and longitude exchanged: put right.
    pub exchanged: Counted,
    /// Powers that cannot be read: not known.
    pub no_power: Counted,
    /// Powers in watts where kilowatts are asked for: put right.
    pub watts: Counted,
    /// Powers in kilowatts where watts are asked for: put right.
    pub kilowatts: Counted,
    /// Prices of more than five a kWh: taken as they stand.
    pub high_prices: Counted,
    /// Opening hours or prices by the time of day, where it is not known which local time that is: not used, the highest price counts.
    pub no_zone: Counted,
    /// Rows with a quotation mark that is never closed: not used.
    pub open_quotes: Counted,
    /// Prices that are no number, for instance with a currency: not known.
    pub no_price: Counted,
    /// Texts of connector types that are not understood, and how often: no plug.
    pub unknown_plugs: BTreeMap<String, u64>,
    /// Texts of opening hours that are not understood, and how often: taken as open at all times.
    pub unknown_hours: BTreeMap<String, u64>,
}

impl PlacesReport {
    /// Whether most rows could not be used.
    pub fn mostly_unusable(&self) -> bool {
        2 * (self.without_id.rows + self.open_quotes.rows + self.too_wide.rows) > self.rows
    }

    /// What was odd, one line each; none where all is as it should be.
    pub fn lines(&self) -> Vec<String> {
        let with_first = [
            (&self.without_id, "rows of the list of places skipped: no EVSE id"),
            (
                &self.too_wide,
                "rows of the list of places skipped: more fields than the header; is a decimal comma not quoted?",
            ),
            (&self.absent, "EVSEs are removed or not built yet, and not listed"),
            (
                &self.scattered,
                "EVSEs lie more than a kilometre from the first of their station; they go by their own ids",
            ),
            (&self.other_currency, "prices are in another currency than most and not known"),
            (&self.moved, "rows of an EVSE lie more than a kilometre from its first, which counts"),
            (&self.no_position, "positions are none and not known"),
            (&self.null_island, "positions are 0, 0 and not known"),
            (&self.exchanged, "positions have latitude and longitude exchanged; they are put right"),
            (&self.no_power, "powers cannot be read and are not known"),
            (&self.watts, "powers are in watts; they are put right"),
            (&self.kilowatts, "powers are in kilowatts where watts are asked for; they are put right"),
            (&self.high_prices, "prices are more than 5 a kWh and taken as they stand; are they in cents?"),
            (
                &self.no_zone,
                "EVSEs have opening hours or prices by the time of day, and it is not known which local time that is: they \
                 count as open, at their highest price; name the zone as Europe/Berlin is",
            ),
            (&self.open_quotes, "rows of the list of places skipped: a quotation mark that is never closed"),
            (
                &self.no_price,
                "prices are no number and not known; write the network's one currency without its name",
            ),
        ];
        let line = |(counted, what): &(&Counted, &str)| {
            format!("{} {what} (first: {})", counted.rows, counted.first)
        };
        let mut lines: Vec<String> =
            with_first.iter().filter(|(counted, _)| counted.rows > 0).map(line).collect();
        if self.joined_rows > 0 {
            lines.push(format!("{} further rows of EVSEs are joined with the first", self.joined_rows));
        }
        for (text, rows) in &self.unknown_plugs {
            lines.push(format!("connector type `{text}` is not understood ({rows} rows): it is no plug"));
        }
        for (text, rows) in &self.unknown_hours {
            lines
                .push(format!("opening hours `{text}` are not understood ({rows} rows): they count as open"));
        }
        lines
    }
}

/// Join of a list of places with the EVSEs of a network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Joined {
    /// EVSEs of the network.
    pub evses: u64,
    /// Those that the list has.
    pub found: u64,
    /// Those of them that the list spells otherwise.
    pub other_spelling: u64,
    /// Places of the list that are none of the network's.
    pub unused: u64,
}

impl Joined {
    /// What is odd, if anything is.
    pub fn line(&self) -> Option<String> {
        let Self { evses, found, other_spelling, unused } = *self;
        if found == evses && other_spelling == 0 {
            return None;
        }
        Some(format!(
            "the list of places has {found} of {evses} EVSEs, {other_spelling} of them in another spelling; {unused} of its \
             places are none of them"
        ))
    }
}
