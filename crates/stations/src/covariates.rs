//! Further columns that a forecast may use: traffic, weather, prices; whatever is known at a time.

use std::io::Read;

use crate::Error;
use crate::error::cut;
use crate::table::column;
use crate::times::parse_time;

/// Most columns.
const MAX_COLUMNS: usize = 32;

/// Most rows: ten years of five minutes.
const MAX_ROWS: usize = 1 << 20;

/// A value older than this is not known, in seconds: a forecast of weather is made every six hours, a traffic count every one.
const STALE_S: i64 = 6 * 3600;

/// A table of numbers by time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Covariates {
    names: Vec<String>,
    times: Vec<i64>,
    /// `row × column`.
    values: Vec<f32>,
}

impl Covariates {
    /// Reads `timestamp` (RFC 3339) and columns of numbers; an empty cell is unknown. A row is known from its time on.
    ///
    /// # Errors
    /// No CSV, no `timestamp`, a time or number that is none, or more of them than we take.
    pub fn read_csv(from: impl Read) -> Result<Self, Error> {
        const WHAT: &str = "the covariates";
        let csv_error = |source| Error::Csv { what: WHAT, source };
        let mut reader = csv::Reader::from_reader(from);
        let header = reader.headers().map_err(csv_error)?.clone();
        let time = column(&header, WHAT, "timestamp")?;
        let names: Vec<String> = header
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != time)
            .map(|(_, name)| name.trim().to_owned())
            .collect();
        let too_much = |what, found: usize, limit: usize| Error::TooMuch {
            what,
            found: found as u64,
            limit: limit as u64,
        };
        if names.len() > MAX_COLUMNS {
            return Err(too_much("columns of covariates", names.len(), MAX_COLUMNS));
        }
        let mut rows = Vec::new();
        for row in reader.records() {
            let row = row.map_err(csv_error)?;
            let line = row.position().map_or(0, csv::Position::line);
            let bad = |problem, value: &str| Error::Row { what: WHAT, line, problem, value: cut(value) };
            let text = row.get(time).unwrap_or_default();
            let at = parse_time(text.trim()).ok_or_else(|| bad("no RFC 3339 time", text))?.0;
            let mut values = Vec::with_capacity(names.len());
            for (_, text) in row.iter().enumerate().filter(|(i, _)| *i != time) {
                values.push(match text.trim() {
                    "" => f32::NAN,
                    text => text.parse::<f32>().map_err(|_| bad("no number", text))?,
                });
            }
            rows.push((at, values));
            if rows.len() > MAX_ROWS {
                return Err(too_much("rows of covariates", rows.len(), MAX_ROWS));
            }
        }
        rows.sort_by_key(|(at, _)| *at);
        let times = rows.iter().map(|(at, _)| *at).collect();
        Ok(Self { names, times, values: rows.into_iter().flat_map(|(_, values)| values).collect() })
    }

    /// Their names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Puts them into the order of a model's: a column that is missing here is unknown to it.
    #[must_use]
    pub fn arranged(&self, names: &[String]) -> Self {
        let from: Vec<Option<usize>> =
            names.iter().map(|name| self.names.iter().position(|known| known == name)).collect();
        let width = self.names.len().max(1);
        let values = (0..self.times.len())
            .flat_map(|row| {
                from.iter().map(move |at| at.map_or(f32::NAN, |at| self.values[row * width + at]))
            })
            .collect();
        Self { names: names.to_vec(), times: self.times.clone(), values }
    }

    /// What was known at a time: the newest row that is not later; unknown if it is more than six hours old.
    pub fn as_of(&self, at: i64, out: &mut [f32]) {
        let row = self.times.partition_point(|time| *time <= at).checked_sub(1);
        match row.filter(|row| at - self.times[*row] <= STALE_S) {
            Some(row) => out.copy_from_slice(&self.values[row * self.names.len()..][..self.names.len()]),
            None => out.fill(f32::NAN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_known_by_then_counts() {
        let text = "timestamp,rain,load\n2018-11-01T12:00:00Z,2,\n2018-11-01T10:00:00Z,1,5\n";
        let table = Covariates::read_csv(text.as_bytes()).unwrap();
        let at = |text: &str| {
            let mut out = [0.0; 2];
            table.as_of(parse_time(text).unwrap().0, &mut out);
            out
        };
        assert!(at("2018-11-01T09:59:59Z")[0].is_nan());
        assert_eq!(at("2018-11-01T11:59:59Z"), [1.0, 5.0]);
        assert!(at("2018-11-01T12:00:00Z")[0] == 2.0 && at("2018-11-01T12:00:00Z")[1].is_nan());
        assert!(at("2018-11-01T18:00:01Z")[0].is_nan());
        let arranged = table.arranged(&["load".to_owned(), "sun".to_owned()]);
        let mut out = [0.0; 2];
        arranged.as_of(parse_time("2018-11-01T10:00:00Z").unwrap().0, &mut out);
        assert!(out[0] == 5.0 && out[1].is_nan());
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        let check = |text: &str, words: &str| {
            let error = Covariates::read_csv(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        check("time,x\n", "no column `timestamp`");
        check("timestamp,x\nnow,1\n", "line 2: no RFC 3339 time");
        check("timestamp,x\n2018-11-01T10:00:00Z,wet\n", "line 2: no number: `wet`");
    }
}
