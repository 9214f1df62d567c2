//! Rows of a history, whatever file they come from: their time, EVSE and status.

use super::Builder;
use super::report::Skip;
use crate::Error;
use crate::error::cut;
use crate::table::{Columns, present};
use crate::times::{NoTime, read_time};
use crate::words::is_no_session;

/// The time that was read last.
#[derive(Debug, Default)]
pub(super) struct Times {
    text: String,
    read: Option<Result<(i64, i32), NoTime>>,
}

/// Position of a row in its file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// A line, from 1.
    Line(u64),
    /// A row of a batch, from 1.
    Row(u64),
}

impl Place {
    pub(super) fn words(self) -> String {
        match self {
            Self::Line(line) => format!("line {line}"),
            Self::Row(row) => format!("row {row}"),
        }
    }
}

impl Builder {
    /// Takes the fields of one row of a table that a caller reads, the `row`-th from 1: of [`Columns`], as text.
    ///
    /// # Errors
    /// More rows or statuses than we take.
    pub fn row(&mut self, columns: Columns, fields: &[String], row: u64) -> Result<(), Error> {
        self.fields(columns, fields, &mut Times::default(), Place::Row(row))
    }

    /// Takes the fields of one row.
    pub(super) fn fields(
        &mut self,
        columns: Columns,
        fields: &[String],
        times: &mut Times,
        place: Place,
    ) -> Result<(), Error> {
        let field = |column: usize| fields.get(column).map_or("", |text| present(text));
        if columns.evse().is_whole_charger(fields) {
            self.skip(Skip::WholeCharger, &place.words(), field(columns.evse().evse));
            return Ok(());
        }
        let Columns::Sessions { start, end, evse, status } = columns else {
            let (at, evse, status) = columns.status_of(fields).unwrap_or_default();
            return self.status_row(times, (&at, &evse, status), place);
        };
        let word = status.map_or("", field);
        if is_no_session(word) {
            let (Place::Line(line) | Place::Row(line)) = place;
            return Err(Error::Row {
                what: "the history",
                line,
                problem: "a status between two times is no session; give the begin of each status as `timestamp`, without its end",
                value: cut(word),
            });
        }
        let evse = evse.id(fields);
        let start = start.text(field);
        let Some(begun) = self.time(times, &start, place) else { return Ok(()) };
        if evse.is_empty() {
            self.skip(Skip::NoEvse, &place.words(), &start);
            return Ok(());
        }
        let ended = match &*end.text(field) {
            "" => None,
            text => match self.time(times, text, place) {
                Some(at) => Some(at),
                None => return Ok(()),
            },
        };
        self.session(begun, ended, &evse, &place.words())
    }

    /// Takes one row of time, EVSE and status.
    pub(super) fn status_row(
        &mut self,
        times: &mut Times,
        (at, evse, status): (&str, &str, &str),
        place: Place,
    ) -> Result<(), Error> {
        let Some(at) = self.time(times, at, place) else { return Ok(()) };
        if evse.is_empty() {
            self.skip(Skip::NoEvse, &place.words(), status);
        } else if status.is_empty() {
            self.skip(Skip::NoStatus, &place.words(), evse);
        } else if !crate::times::PLAUSIBLE_S.contains(&at) {
            self.skip(Skip::NotBelieved, &place.words(), &times.text);
        } else {
            self.push(at, evse, status)?;
        }
        Ok(())
    }

    /// The time of a row, or the row is counted as skipped.
    fn time(&mut self, times: &mut Times, text: &str, place: Place) -> Option<i64> {
        // A snapshot of a network repeats its time in every row.
        if text != times.text || times.read.is_none() {
            times.read = Some(read_time(text));
            text.clone_into(&mut times.text);
        }
        match times.read? {
            Ok((at, offset_s)) => {
                self.offset_s.get_or_insert(offset_s);
                Some(at)
            }
            Err(why) => {
                self.skip(why.into(), &place.words(), text);
                None
            }
        }
    }
}
