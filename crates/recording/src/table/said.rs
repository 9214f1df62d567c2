//! Remarks of a table on itself, for a report.

use super::header::Name;
use super::options::{Columns, Options, Sign};
use super::{Found, Table};
use crate::Quantity;
use crate::report::Said;
use crate::unit;

impl Table {
    /// For a report, after the last row; `clock` is what the recording's clock said.
    #[must_use]
    pub fn said(&self, clock: Vec<String>) -> Said {
        let (column, meaning) = self.time();
        let clock = std::iter::once(format!("time is column {column:?}: {meaning}")).chain(clock).collect();
        Said {
            format: self.format().to_owned(),
            clock,
            sources: self.mapping().map(|found| (found.quantity, found.source.clone())).collect(),
            skipped: self.skipped().clone(),
            warnings: self.warnings(),
            doubts: self.doubts(),
            unused: self.unused_columns().to_vec(),
        }
    }

    /// The columns that are read, as a configuration states them.
    #[must_use]
    pub fn columns(&self, options: &Options) -> Columns {
        let mut columns = Columns {
            separator: options.separator,
            decimal: options.decimal,
            skip_lines: options.skip_lines,
            time_format: options.time_format.clone(),
            time_zone: options.time_zone.clone(),
            missing: options.missing.clone(),
            date: self.date().map(str::to_owned),
            time: Some(self.time().0.to_owned()),
            state: self.state().map(str::to_owned),
            ..Columns::default()
        };
        let time = options.mappings.iter().find(|mapping| mapping.quantity == Quantity::Time);
        columns.units.time = time.map_or(1.0, |mapping| mapping.factor);
        for found in self.mapping() {
            let name = found.source.clone();
            let factor = stated_factor(found);
            match found.quantity {
                Quantity::PackVoltage => (columns.voltage, columns.units.voltage) = (Some(name), factor),
                Quantity::PackCurrent => {
                    (columns.current, columns.units.current) = (Some(name), factor.abs());
                    if factor < 0.0 {
                        columns.current_sign = Sign::DischargePositive;
                    }
                }
                Quantity::Soc => (columns.soc, columns.units.soc) = (Some(name), factor),
                Quantity::Cells => {
                    columns.cells.push(name);
                    columns.units.cells = factor;
                }
                Quantity::Temperatures => {
                    columns.temperatures.push(name);
                    columns.units.temperature = factor;
                    let offset =
                        if factor == 1.0 && is_of_header(found) { 0.0 } else { found.conversion.offset };
                    columns.units.temperature_offset = offset;
                }
                _ => {}
            }
        }
        columns
    }
}

/// Whether the header's unit alone gives the conversion.
fn is_of_header(found: &Found) -> bool {
    let unit = Name::parse(&found.source).unit;
    let of_header = match unit.as_deref() {
        Some(unit) => unit::convert(found.quantity, unit),
        None => Some(unit::Conversion::BASE),
    };
    of_header == Some(found.conversion)
}

/// The factor that a configuration must state: 1 where the header's unit tells it, -1 where only the sign is turned.
fn stated_factor(found: &Found) -> f64 {
    let turned = unit::Conversion { factor: -found.conversion.factor, offset: -found.conversion.offset };
    if is_of_header(found) {
        1.0
    } else if is_of_header(&Found { conversion: turned, ..found.clone() }) {
        -1.0
    } else {
        found.conversion.factor
    }
}
