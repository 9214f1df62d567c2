//! Logs of packs: CSV with a column for each cell. Logs of one cell are packs of one.

use super::PackSample;
use crate::{
    Error,
    log::{Log, MAX_ROWS},
};
use std::io::Read;

/// Groups of a pack at most.
const MAX_GROUPS: usize = 512;

/// A file's contents.
#[derive(Debug, Clone)]
pub struct PackLog {
    /// The file's name.
    pub name: String,
    /// Its rows, in order.
    pub samples: Vec<PackSample>,
    /// Number that the log gives its first cell.
    pub first_cell: usize,
    /// Columns that nothing is read from.
    pub unused: Vec<String>,
}

impl From<Log> for PackLog {
    fn from(log: Log) -> Self {
        let samples = log.samples.into_iter().map(|sample| PackSample {
            time_s: sample.time_s,
            voltage_v: sample.voltage_v,
            current_a: sample.current_a,
            cells_v: vec![sample.voltage_v],
            temps_c: sample.cell_temp_c.or(sample.ambient_c).into_iter().collect(),
            insulation_ohm: None,
        });
        Self { name: log.name, samples: samples.collect(), first_cell: 1, unused: Vec::new() }
    }
}

/// Whether a header is that of a pack.
#[must_use]
pub fn is_pack(header: &str) -> bool {
    header.split(',').any(|title| number_of(title, "cell", "v").is_some())
}

/// The number in a column's name, as in `cell_07_v`.
fn number_of(title: &str, prefix: &str, suffix: &str) -> Option<usize> {
    let title = title.trim().to_lowercase();
    let digits = title.strip_prefix(prefix)?.strip_prefix('_')?.strip_suffix(suffix)?.strip_suffix('_')?;
    if digits.len() > 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// Columns under numbers that follow each other, from 0 or 1 on, in the order of the numbers; and the first of them.
fn numbered(
    name: &str,
    header: &csv::StringRecord,
    prefix: &str,
    suffix: &str,
) -> Result<(Vec<usize>, usize), Error> {
    let titles = header.iter().enumerate();
    let mut found: Vec<(usize, usize)> =
        titles.filter_map(|(index, title)| Some((number_of(title, prefix, suffix)?, index))).collect();
    found.sort_unstable();
    let first = found.first().map_or(1, |found| found.0);
    if let Some((place, (number, _))) =
        found.iter().enumerate().find(|(place, found)| found.0 != first + place)
    {
        let wanted = format!("{prefix}_{}_{suffix}", first + place);
        let what = if *number < first + place { "stands twice" } else { "is missing" };
        let said = if *number < first + place { format!("{prefix}_{number}_{suffix}") } else { wanted };
        return Err(Error::data(
            name,
            format!("column {said} {what}: number cells and sensors one after the other"),
        ));
    }
    if first > 1 || found.len() > MAX_GROUPS {
        return Err(Error::data(
            name,
            format!(
                "columns {prefix}_N_{suffix} begin with {first} and are {}; want 0 or 1, and at most {MAX_GROUPS}",
                found.len()
            ),
        ));
    }
    Ok((found.into_iter().map(|(_, index)| index).collect(), first))
}

impl PackLog {
    /// Reads `time_s, current_a, cell_1_v … cell_N_v` (or from `cell_0_v` on) and, where they are there, `pack_voltage_v`,
    /// `temp_1_c …`, `insulation_ohm`.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] names the row, or the column that is missing.
    pub fn read(name: &str, from: impl Read) -> Result<Self, Error> {
        let mut rows = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(from);
        let unread = |error: csv::Error| Error::data(name, error.to_string());
        let header = rows.headers().map_err(unread)?.clone();
        let column = |title: &str| header.iter().position(|other| other.eq_ignore_ascii_case(title));
        let required =
            |title: &str| column(title).ok_or_else(|| Error::data(name, format!("no column {title}")));
        let (time, current) = (required("time_s")?, required("current_a")?);
        let (cells, first_cell) = numbered(name, &header, "cell", "v")?;
        let (temps, _) = numbered(name, &header, "temp", "c")?;
        if cells.is_empty() {
            return Err(Error::data(name, "no column cell_1_v"));
        }
        let (pack, insulation) = (column("pack_voltage_v"), column("insulation_ohm"));
        let used = |index: &usize| {
            cells.contains(index)
                || temps.contains(index)
                || [Some(time), Some(current), pack, insulation].contains(&Some(*index))
        };
        let unused = header.iter().enumerate().filter(|(index, _)| !used(index));
        let unused = unused.map(|(_, title)| title.to_owned()).collect();
        let mut samples = Vec::new();
        let mut record = csv::StringRecord::new();
        while rows.read_record(&mut record).map_err(unread)? {
            let row = samples.len() + 2;
            if samples.len() == MAX_ROWS {
                return Err(Error::data(name, format!("more than {MAX_ROWS} rows")));
            }
            let number = |index: usize| match record.get(index).unwrap_or("") {
                "" => Ok(f64::NAN),
                text => text
                    .parse()
                    .map_err(|_| Error::data(name, format!("line {row}: {text:?} is not a number"))),
            };
            let list =
                |columns: &[usize]| columns.iter().map(|index| number(*index)).collect::<Result<Vec<_>, _>>();
            let cells_v: Vec<f64> = list(&cells)?;
            samples.push(PackSample {
                time_s: number(time)?,
                voltage_v: pack.map(number).transpose()?.unwrap_or_else(|| cells_v.iter().sum()),
                current_a: number(current)?,
                temps_c: list(&temps)?,
                insulation_ohm: insulation.map(number).transpose()?.filter(|ohm: &f64| ohm.is_finite()),
                cells_v,
            });
        }
        Ok(Self { name: name.into(), samples, first_cell, unused })
    }

    /// Writes what [`Self::read`] reads.
    ///
    /// # Errors
    ///
    /// What `to` says.
    pub fn write(samples: &[PackSample], to: impl std::io::Write) -> std::io::Result<()> {
        let mut out = csv::Writer::from_writer(to);
        let Some(first) = samples.first() else { return out.flush() };
        let mut header = vec!["time_s".to_owned(), "pack_voltage_v".into(), "current_a".into()];
        header.extend((1..=first.cells_v.len()).map(|n| format!("cell_{n}_v")));
        header.extend((1..=first.temps_c.len()).map(|n| format!("temp_{n}_c")));
        header.push("insulation_ohm".into());
        out.write_record(&header)?;
        for sample in samples {
            let mut row = vec![
                format!("{:.3}", sample.time_s),
                format!("{:.3}", sample.voltage_v),
                format!("{:.3}", sample.current_a),
            ];
            row.extend(sample.cells_v.iter().map(|volts| format!("{volts:.4}")));
            row.extend(sample.temps_c.iter().map(|temp| format!("{temp:.2}")));
            row.push(sample.insulation_ohm.map_or_else(String::new, |ohm| format!("{ohm:.0}")));
            out.write_record(&row)?;
        }
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let sample = PackSample {
            time_s: 1.0,
            voltage_v: 7.4,
            current_a: -3.25,
            cells_v: vec![3.7, 3.701],
            temps_c: vec![20.5],
            insulation_ohm: Some(2e6),
        };
        let mut bytes = Vec::new();
        PackLog::write(std::slice::from_ref(&sample), &mut bytes).expect("memory takes it");
        let text = String::from_utf8(bytes).expect("text");
        assert!(is_pack(text.lines().next().expect("a header")));
        assert_eq!(PackLog::read("a", text.as_bytes()).expect("a log").samples, [sample]);
        let error =
            PackLog::read("a", "time_s,current_a,cell_1_v\n0,1,x\n".as_bytes()).expect_err("x").to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn cells_are_numbered_from_0_or_1_without_a_gap() {
        let read = |header: &str| {
            let row = header.split(',').map(|_| "1").collect::<Vec<_>>().join(",");
            PackLog::read("a", format!("{header}\n{row}\n").as_bytes())
        };
        let log = read("time_s,current_a,cell_1_v,cell_0_v,temp_0_c,speed").expect("a log");
        assert_eq!((log.first_cell, log.samples[0].cells_v.len(), log.samples[0].temps_c.len()), (0, 2, 1));
        assert_eq!(log.unused, ["speed"]);
        assert_eq!(read("time_s,current_a,cell_01_v,cell_02_v").expect("padded").samples[0].cells_v.len(), 2);
        for (header, what) in [
            ("time_s,current_a,cell_1_v,cell_3_v", "cell_2_v is missing"),
            ("time_s,current_a,cell_1_v,cell_01_v", "cell_1_v stands twice"),
            ("time_s,current_a,cell_7_v", "begin with 7"),
        ] {
            let error = read(header).expect_err(what).to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
