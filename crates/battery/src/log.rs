//! Reads what testers and loggers write: comma-separated columns under names, by their own or the Battery Data Format's.

use crate::{
    Error, Sample,
    fit::{LoggedRun, Role},
};
use std::io::Read;

/// Rows of one file at most: a year at 1 Hz.
pub const MAX_ROWS: usize = 32_000_000;

/// A step in time above which a log has a gap, in s.
pub const GAP_S: f64 = 5.0;

/// Columns and the names they go by: ours, and those of the Battery Data Format (github.com/battery-data-alliance,
/// label and machine-readable name).
const NAMES: [(&str, &[&str]); 6] = [
    ("time_s", &["time_s", "test time / s", "test_time_second"]),
    ("voltage_v", &["voltage_v", "voltage / v", "voltage_volt"]),
    ("current_a", &["current_a", "current / a", "current_ampere"]),
    ("ah", &["ah", "net capacity / ah", "net_capacity_ah"]),
    (
        "cell_temp_c",
        &[
            "cell_temp_c",
            "temp_c",
            "surface temperature t1 / degc",
            "temperature t1 / degc",
            "temperature_t1_celsius",
        ],
    ),
    ("chamber_temp_c", &["chamber_temp_c", "ambient temperature / degc", "ambient_temperature_celsius"]),
];

/// Columns of a header that nothing is read from.
#[must_use]
pub fn unused(header: &str) -> Vec<String> {
    let known = |title: &str| NAMES.iter().any(|(_, names)| names.contains(&title.to_lowercase().as_str()));
    let titles = header.trim_end().split(',').map(|title| title.trim().trim_matches('"'));
    titles.filter(|title| !title.is_empty() && !known(title)).map(str::to_owned).collect()
}

/// A file's contents. What a sensor did not say is no number in voltage and current, and `None` in temperatures.
#[derive(Debug, Clone)]
pub struct Log {
    /// The file's name.
    pub name: String,
    /// Its rows, in order.
    pub samples: Vec<Sample>,
    /// The charge counter, in Ah, where there is one.
    pub counter_ah: Option<Vec<f64>>,
}

impl Log {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] names the row, or the column that is missing.
    pub fn read(name: &str, from: impl Read) -> Result<Self, Error> {
        let mut rows = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(from);
        let unread = |error: csv::Error| Error::data(name, error.to_string());
        let header = rows.headers().map_err(unread)?.clone();
        let column = |index: usize| {
            let (_, names) = NAMES[index];
            header.iter().position(|title| names.contains(&title.to_lowercase().as_str()))
        };
        let required = |index: usize| {
            column(index).ok_or_else(|| {
                let (own, names) = NAMES[index];
                Error::data(name, format!("no column {own} (nor {})", names[1..].join(", ")))
            })
        };
        let (time, voltage, current) = (required(0)?, required(1)?, required(2)?);
        let (counter, cell, ambient) = (column(3), column(4), column(5));
        let mut out =
            Self { name: name.into(), samples: Vec::new(), counter_ah: counter.map(|_| Vec::new()) };
        let mut record = csv::StringRecord::new();
        while rows.read_record(&mut record).map_err(unread)? {
            let row = out.samples.len() + 2;
            if out.samples.len() == MAX_ROWS {
                return Err(Error::data(name, format!("more than {MAX_ROWS} rows")));
            }
            let number = |index: usize| -> Result<f64, Error> {
                match record.get(index).unwrap_or("") {
                    "" => Ok(f64::NAN),
                    text => text
                        .parse()
                        .map_err(|_| Error::data(name, format!("line {row}: {text:?} is not a number"))),
                }
            };
            let optional = |index: Option<usize>| -> Result<Option<f64>, Error> {
                let value = index.map(number).transpose()?;
                Ok(value.filter(|value| value.is_finite()))
            };
            out.samples.push(Sample {
                time_s: number(time)?,
                voltage_v: number(voltage)?,
                current_a: number(current)?,
                cell_temp_c: optional(cell)?,
                ambient_c: optional(ambient)?,
            });
            if let (Some(index), Some(counts)) = (counter, &mut out.counter_ah) {
                counts.push(number(index)?);
            }
        }
        Ok(out)
    }

    /// Without all that comes before the last gap: rests and charges there are often logged now and then only.
    #[must_use]
    pub fn after_last_gap(mut self) -> Self {
        let gap = self.samples.windows(2).rposition(|pair| pair[1].time_s - pair[0].time_s > GAP_S);
        if let Some(before) = gap {
            self.samples.drain(..=before);
            if let Some(counts) = &mut self.counter_ah {
                counts.drain(..=before);
            }
        }
        self
    }

    /// As a run to fit to.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if there is no charge counter.
    pub fn into_run(self, role: Role) -> Result<LoggedRun, Error> {
        let Some(mut counter_ah) = self.counter_ah else {
            return Err(Error::data(&self.name, "no column ah: a fit needs the charge counter"));
        };
        if role == Role::Slow {
            // A slow discharge starts full, whatever the counter said before it.
            let before = counter_ah.first().copied().unwrap_or(0.0);
            counter_ah.iter_mut().for_each(|ah| *ah -= before);
        }
        Ok(LoggedRun { name: self.name, role, samples: self.samples, counter_ah })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "time_s,voltage_v,current_a,ah,cell_temp_c,chamber_temp_c\n0,4.1,-1,0,25,nan\n1,,-1,-0.1,nan,23\n\
                       70,4.0,-1,-0.2,25,\n71,4.0,-1,-0.3,25,\n";

    #[test]
    fn own_and_standard_names_read_alike() {
        let standard = OWN.replace(
            "time_s,voltage_v,current_a,ah,cell_temp_c,chamber_temp_c",
            "Test Time / s,Voltage / V,Current / A,Net Capacity / Ah,Surface Temperature T1 / degC,Ambient Temperature / degC",
        );
        let (own, other) = (Log::read("a", OWN.as_bytes()), Log::read("b", standard.as_bytes()));
        let (own, other) = (own.expect("a log"), other.expect("a log"));
        assert_eq!(own.samples[2..], other.samples[2..]);
        assert_eq!(own.counter_ah, other.counter_ah);
        assert!(own.samples[1].voltage_v.is_nan(), "missing is no number");
        assert_eq!((own.samples[0].ambient_c, own.samples[1].cell_temp_c), (None, None));
        assert_eq!(own.after_last_gap().samples.len(), 2);
    }

    #[test]
    fn errors_name_line_or_column() {
        let check = |text: &str, what: &str| {
            let error = Log::read("file", text.as_bytes()).expect_err("an error").to_string();
            assert!(error.starts_with("file: ") && error.contains(what), "{error}");
        };
        check("time_s,voltage_v\n0,4\n", "no column current_a (nor current / a, current_ampere)");
        check("time_s,voltage_v,current_a\n0,4,1\n1,four,1\n", "line 3: \"four\" is not a number");
        check("time_s,voltage_v,current_a\n0,4,1\n1,4\n", "line");
    }
}
