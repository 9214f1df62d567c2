//! Tables, one after the other.

use super::step::{Step, at};
use crate::clock::{Clock, Placed};
use crate::table::{Columns, Table};
use crate::{Error, Row};
use std::collections::VecDeque;

/// Tables, one after the other.
pub(super) struct Tables {
    pub clock: Clock<Row>,
    pub table: Option<Table>,
    /// The columns of the last table that has ended.
    pub columns: Option<Columns>,
    pub out: Vec<Placed<Row>>,
}

impl Tables {
    /// Reads a row in place; one whose stamp is not believed at once goes to the clock.
    pub fn step(&mut self, row: &mut Placed<Row>, ready: &mut VecDeque<Placed<Row>>) -> Result<Step, Error> {
        let Some(table) = &mut self.table else { return Ok(Step::End) };
        if !table.read_row(&mut row.item)? {
            return Ok(Step::End);
        }
        let stated = row.item.time;
        if let Some((segment, time)) = self.clock.follows(stated) {
            (row.segment, row.time) = (segment, time);
            return Ok(Step::Row);
        }
        let pushed = self.clock.push(stated, row.item.clone(), &mut self.out);
        pushed.map_err(|error| at(table.place(), error))?;
        ready.extend(self.out.drain(..));
        Ok(Step::More)
    }

    pub fn end(&mut self, ready: &mut VecDeque<Placed<Row>>) {
        self.clock.flush(&mut self.out);
        ready.extend(self.out.drain(..));
    }
}
