//! The column of dates beside one of times of day.

use super::cell::Cell;
use super::date::{self, DAY_NS, Order};
use super::input::Input;
use crate::Error;

/// Column of dates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Day {
    /// Its place, from 0.
    pub index: usize,
    order: Option<Order>,
}

impl Day {
    /// The column that the user states, else one that is named as a date and holds dates alone.
    pub fn find(input: &Input<'_>, warnings: &mut Vec<String>) -> Result<Option<Self>, Error> {
        let stated = match &input.options.date {
            Some(name) => match input.named(name).as_slice() {
                [index] => Some(*index),
                _ => return Err(input.error(format!("there is no single column {name:?}"))),
            },
            None => None,
        };
        if stated.is_none() && input.options.only_mapped {
            return Ok(None);
        }
        let is_named = |index: &usize| {
            input.names[*index].words().any(|word| matches!(word, "date" | "datum" | "day" | "tag" | "fecha"))
        };
        let indices =
            stated.map_or_else(|| (0..input.names.len()).filter(is_named).collect(), |index| vec![index]);
        for index in indices {
            match Self::of(input, index) {
                Told::Day(day) => return Ok(Some(day)),
                Told::Ambiguous => warnings.push(format!(
                    "the dates of {:?} can be read with the day, the month or the year first: they are not used; write them \
                     as 2024-03-31",
                    input.names[index].text
                )),
                Told::None if stated.is_some() => {
                    return Err(input.error(format!("column {:?} holds no dates", input.names[index].text)));
                }
                Told::None => {}
            }
        }
        Ok(None)
    }

    fn of(input: &Input<'_>, index: usize) -> Told {
        let (mut proven, mut slashed, mut any) = (None, false, false);
        let mut every_may_begin_with_year = true;
        for cell in input.sample.iter().filter_map(|row| row.get(index)) {
            let dated = match cell.as_cell() {
                Cell::Empty => continue,
                Cell::Date(ns, _) if ns % DAY_NS == 0 => {
                    any = true;
                    continue;
                }
                Cell::Text(text) => {
                    date::date(text, None).or_else(|| date::date(text, Some(Order::MonthFirst)))
                }
                Cell::Date(..) | Cell::Number(_) => None,
            };
            let Some(dated) = dated.filter(|dated| dated.wall_ns % DAY_NS == 0 && dated.offset_s.is_none())
            else {
                return Told::None;
            };
            proven = proven.or(dated.proves);
            slashed |= dated.slashed;
            every_may_begin_with_year &= dated.may_begin_with_year;
            any = true;
        }
        match (any, slashed, proven) {
            (false, ..) => Told::None,
            (true, true, None) => Told::Ambiguous,
            (true, true, _) if every_may_begin_with_year => Told::Ambiguous,
            (true, _, order) => Told::Day(Self { index, order }),
        }
    }

    /// The midnight that a cell states, by the clock on the wall.
    pub fn wall_ns(self, cell: Cell<'_>) -> Option<i64> {
        match cell {
            Cell::Date(ns, _) => Some(ns - ns.rem_euclid(DAY_NS)),
            Cell::Text(text) => Some(date::date(text, self.order)?.wall_ns),
            Cell::Empty | Cell::Number(_) => None,
        }
    }
}

/// What a column's first cells are.
enum Told {
    Day(Day),
    Ambiguous,
    None,
}
