//! The column of time: what its cells mean.

use super::cell::{Cell, Kept};
use super::date::{self, DAY_NS, Order, SECOND_NS};
use super::header::Name;
use super::number::{self, Decimal};
use super::options::Options;
use super::{Mapping, presets};
use crate::{Error, Quantity, Stamp, unit};
use chrono::{DateTime, MappedLocalTime, TimeZone};
use chrono_tz::Tz;

/// Numbers that are Unix times of 1990 to 2100, in s.
const EPOCH_S: std::ops::Range<f64> = 6.3e8..4.2e9;
/// Excel's serial dates of 1990 to 2100.
const EXCEL_DAYS: std::ops::Range<f64> = 32_874.0..73_051.0;
/// Excel's serial of 1970-01-01.
const EXCEL_1970: f64 = 25_569.0;

/// What cells of time mean.
#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// Numbers: nanoseconds of one, and whether they count from 1970.
    Number { unit_ns: f64, offset_ns: i64, unix: bool },
    /// Days since 1899-12-30.
    Excel,
    /// `hh:mm:ss`.
    OfDay,
    /// Dates.
    Date(Option<Order>),
    /// Dates in the user's format.
    Format(String),
}

/// Reader of a column of time.
#[derive(Debug)]
pub(crate) struct TimeColumn {
    kind: Kind,
    zone: Option<Tz>,
    decimal: Decimal,
    grouped: bool,
    /// Of the last time of day, and what was added for midnights.
    last_of_day: i64,
    midnights: i64,
    last_unix: i64,
    /// What it was taken for, for a person.
    pub said: String,
}

/// What is found about a column of time beside its reader.
#[derive(Default)]
pub(crate) struct Remarks {
    pub warnings: Vec<String>,
    /// What makes the times doubtful.
    pub doubts: Vec<String>,
}

/// What the finder of a time column is given.
pub(crate) struct Given<'a> {
    pub name: &'a Name,
    pub mapping: Option<&'a Mapping>,
    pub options: &'a Options,
    pub cells: Vec<&'a Kept>,
    pub decimal: Decimal,
    pub grouped: bool,
    pub place: &'a str,
}

impl TimeColumn {
    /// Finds out what the cells mean, or says why that cannot be told.
    pub fn find(given: &Given<'_>, remarks: &mut Remarks) -> Result<Self, Error> {
        let zone = match given.options.time_zone.as_deref() {
            None => None,
            Some(name) => Some(name.parse::<Tz>().map_err(|_| {
                Error::mapping(
                    given.place,
                    format!("time_zone {name:?} is no IANA zone (such as Europe/Berlin)"),
                )
            })?),
        };
        let (kind, said) = match &given.options.time_format {
            Some(format) => stated(format, given)?,
            None => told(given, remarks)?,
        };
        let column = Self {
            kind,
            zone,
            decimal: given.decimal,
            grouped: given.grouped,
            last_of_day: i64::MIN,
            midnights: 0,
            last_unix: i64::MIN,
            said,
        };
        column.remark(given, remarks)?;
        Ok(column)
    }

    /// Says what is assumed or doubtful about the first rows.
    fn remark(&self, given: &Given<'_>, remarks: &mut Remarks) -> Result<(), Error> {
        let local = match &self.kind {
            Kind::Excel => true,
            Kind::Date(order) => given.cells.iter().any(|cell| match cell.as_cell() {
                Cell::Text(text) => date::date(text, *order).is_some_and(|dated| dated.offset_s.is_none()),
                Cell::Date(_, utc) => !utc,
                _ => false,
            }),
            Kind::Format(format) => !format.contains("%z") && !format.contains("%Z"),
            Kind::Number { .. } | Kind::OfDay => false,
        };
        if local && self.zone.is_none() {
            remarks.warnings.push(format!(
                "the dates of {:?} state no zone: taken for UTC; state time_zone if they are local",
                given.name.text
            ));
        }
        let mut again = Self { said: String::new(), ..self.copy() };
        let times: Vec<i64> = given
            .cells
            .iter()
            .filter_map(|cell| again.read(cell.as_cell()))
            .map(|stamp| match stamp {
                Stamp::Unix(ns) | Stamp::Relative(ns) => ns,
            })
            .collect();
        let backwards = times.windows(2).filter(|pair| pair[1] < pair[0]).count();
        if times.len() > 3 && backwards == times.len() - 1 {
            return Err(Error::format(given.place, "the rows run backwards in time: sort them by time"));
        }
        Ok(())
    }

    fn copy(&self) -> Self {
        Self { kind: self.kind.clone(), said: String::new(), ..*self }
    }

    /// The time of a cell; `None` if it cannot be read.
    pub fn read(&mut self, cell: Cell<'_>) -> Option<Stamp> {
        match (&self.kind, cell) {
            (_, Cell::Empty) => None,
            (_, Cell::Date(ns, true)) => Some(Stamp::Unix(ns)),
            (_, Cell::Date(ns, false)) => self.local(ns),
            (Kind::Number { unit_ns, offset_ns, unix }, Cell::Number(value)) => {
                number_stamp(value, *unit_ns, *offset_ns, *unix)
            }
            (Kind::Number { unit_ns, offset_ns, unix }, Cell::Text(text)) => {
                let (unit_ns, offset_ns, unix) = (*unit_ns, *offset_ns, *unix);
                if let Some(ns) = exact(text, self.decimal, unit_ns) {
                    let ns = ns.checked_add(offset_ns)?;
                    return Some(if unix { Stamp::Unix(ns) } else { Stamp::Relative(ns) });
                }
                number_stamp(number::parse(text, self.decimal, self.grouped)?, unit_ns, offset_ns, unix)
            }
            (Kind::Excel, cell) => {
                let value = match cell {
                    Cell::Number(value) => value,
                    Cell::Text(text) => number::parse(text, self.decimal, self.grouped)?,
                    _ => return None,
                };
                // Excel keeps a date to about a millisecond.
                let ms = ((value - EXCEL_1970) * 86_400_000.0).round();
                (ms.abs() < 9e12).then_some(())?;
                self.local(ms as i64 * 1_000_000)
            }
            (Kind::OfDay, Cell::Text(text)) => {
                let ns = date::time_of_day(text)?;
                if self.last_of_day > DAY_NS - 3600 * SECOND_NS
                    && self.last_of_day < DAY_NS
                    && ns < 3600 * SECOND_NS
                {
                    self.midnights += DAY_NS;
                }
                self.last_of_day = ns;
                Some(Stamp::Relative(ns.checked_add(self.midnights)?))
            }
            (Kind::Date(order), Cell::Text(text)) => {
                let dated = date::date(text, *order)?;
                self.dated(dated)
            }
            (Kind::Format(format), Cell::Text(text)) => {
                let dated = date::by_format(text, format)?;
                self.dated(dated)
            }
            _ => None,
        }
    }

    fn dated(&mut self, dated: date::Dated) -> Option<Stamp> {
        match dated.offset_s {
            Some(offset) => {
                let ns = dated.wall_ns.checked_sub(i64::from(offset) * SECOND_NS)?;
                Some(Stamp::Unix(ns))
            }
            None => self.local(dated.wall_ns),
        }
    }

    /// A local time in UTC. In the hour that comes twice, the later one is taken once the earlier one has passed.
    fn local(&mut self, wall_ns: i64) -> Option<Stamp> {
        let Some(zone) = self.zone else { return Some(Stamp::Unix(wall_ns)) };
        let wall = DateTime::from_timestamp_nanos(wall_ns).naive_utc();
        let ns = |at: DateTime<Tz>| at.timestamp_nanos_opt();
        let found = match zone.from_local_datetime(&wall) {
            MappedLocalTime::Single(at) => ns(at)?,
            MappedLocalTime::Ambiguous(earlier, later) => {
                let (earlier, later) = (ns(earlier)?, ns(later)?);
                if earlier < self.last_unix { later } else { earlier }
            }
            MappedLocalTime::None => return None,
        };
        self.last_unix = found;
        Some(Stamp::Unix(found))
    }
}

fn number_stamp(value: f64, unit_ns: f64, offset_ns: i64, unix: bool) -> Option<Stamp> {
    let whole = value.trunc() * unit_ns;
    if !whole.is_finite() || whole.abs() > 9.2e18 {
        return None;
    }
    let ns = (whole.round() as i64).checked_add(((value - value.trunc()) * unit_ns).round() as i64)?;
    let ns = ns.checked_add(offset_ns)?;
    Some(if unix { Stamp::Unix(ns) } else { Stamp::Relative(ns) })
}

/// A decimal number without exponent times a whole number of ns, without the rounding of floats.
fn exact(text: &[u8], decimal: Decimal, unit_ns: f64) -> Option<i64> {
    if unit_ns < 1.0 || unit_ns.fract() != 0.0 || unit_ns > 1e14 {
        return None;
    }
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || digits.len() > 20 {
        return None;
    }
    let (mut whole, mut rest, mut scale, mut fraction) = (0_u64, 0_u64, 1_u64, false);
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 && !fraction {
            whole = whole.checked_mul(10)?.checked_add(u64::from(digit))?;
        } else if digit <= 9 {
            // Nine digits of a fraction are enough for ns of a second; a longer one is left to floats.
            rest = rest * 10 + u64::from(digit);
            scale *= 10;
            if scale > 1_000_000_000 {
                return None;
            }
        } else if byte == decimal.sign() as u8 && !fraction {
            fraction = true;
        } else {
            return None;
        }
    }
    let unit = unit_ns as u64;
    let part = if rest == 0 { 0 } else { rest.checked_mul(unit)?.checked_add(scale / 2)? / scale };
    let ns = i64::try_from(whole.checked_mul(unit)?.checked_add(part)?).ok()?;
    Some(if negative { -ns } else { ns })
}

/// The meaning that the user states.
fn stated(format: &str, given: &Given<'_>) -> Result<(Kind, String), Error> {
    let number = |seconds: f64, unix| Kind::Number { unit_ns: seconds * 1e9, offset_ns: 0, unix };
    let kind = match format {
        "epoch_s" | "epoch" | "unix" => number(1.0, true),
        "epoch_ms" => number(1e-3, true),
        "epoch_us" => number(1e-6, true),
        "epoch_ns" => number(1e-9, true),
        "excel" => Kind::Excel,
        "iso" | "iso8601" => Kind::Date(None),
        format if format.contains('%') => Kind::Format(format.to_owned()),
        format => match unit::convert(Quantity::Time, format) {
            Some(conversion) => number(conversion.factor, false),
            None => {
                let problem = format!(
                    "time_format {format:?} is none: write epoch_s, epoch_ms, s, ms, excel, or a format such as \
                     %d/%m/%Y %H:%M:%S"
                );
                return Err(Error::mapping(given.place, problem));
            }
        },
    };
    Ok((kind, format!("{format}, as stated")))
}

/// The meaning that the first cells tell.
fn told(given: &Given<'_>, remarks: &mut Remarks) -> Result<(Kind, String), Error> {
    let (mut numbers, mut clocks, mut dates, mut typed) = (Vec::new(), 0, Vec::new(), 0);
    for cell in &given.cells {
        match cell.as_cell() {
            Cell::Number(value) => numbers.push(value),
            Cell::Date(..) => typed += 1,
            Cell::Text(text) => {
                if let Some(value) = number::parse(text, given.decimal, given.grouped) {
                    numbers.push(value);
                } else if let Some(dated) = date::date(text, None) {
                    dates.push(dated);
                } else if date::date(text, Some(Order::MonthFirst)).is_some() {
                    // Only the other order makes it a date.
                    dates.extend(date::date(text, Some(Order::MonthFirst)));
                } else if date::time_of_day(text).is_some() {
                    clocks += 1;
                }
            }
            Cell::Empty => {}
        }
    }
    let most = [numbers.len(), clocks, dates.len(), typed].into_iter().max().unwrap_or(0);
    if most == 0 {
        let shown = given.cells.iter().find_map(|cell| match cell.as_cell() {
            Cell::Text(text) => Some(super::text::decode(text).chars().take(40).collect::<String>()),
            _ => None,
        });
        let problem = format!(
            "the times of column {:?} cannot be read (the first is {:?}): state time_format, or map another column \
             (--map time=NAME)",
            given.name.text,
            shown.unwrap_or_default()
        );
        return Err(Error::mapping(given.place, problem));
    }
    if numbers.len() == most {
        return numeric(&numbers, given, remarks);
    }
    if clocks == most {
        return Ok((Kind::OfDay, "hh:mm:ss".into()));
    }
    if typed == most {
        return Ok((Kind::Date(None), "dates".into()));
    }
    order_of(&dates, given)
}

fn order_of(dates: &[date::Dated], given: &Given<'_>) -> Result<(Kind, String), Error> {
    if !dates.iter().any(|dated| dated.slashed) {
        return Ok((Kind::Date(None), "dates".into()));
    }
    let proves = |order| dates.iter().any(|dated| dated.proves == Some(order));
    match (proves(Order::DayFirst), proves(Order::MonthFirst)) {
        (true, false) => Ok((Kind::Date(Some(Order::DayFirst)), "dates, day first".into())),
        (false, true) => Ok((Kind::Date(Some(Order::MonthFirst)), "dates, month first".into())),
        _ => Err(Error::mapping(
            given.place,
            format!(
                "the dates of column {:?} can be read with the day or the month first: state time_format, such as \
                 %d/%m/%Y %H:%M:%S or %m/%d/%Y %H:%M:%S",
                given.name.text
            ),
        )),
    }
}

fn numeric(values: &[f64], given: &Given<'_>, remarks: &mut Remarks) -> Result<(Kind, String), Error> {
    let name = given.name;
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let within = |scale: f64| EPOCH_S.contains(&(least / scale)) && EPOCH_S.contains(&(most / scale));
    let epoch =
        [(1.0, "s"), (1e3, "ms"), (1e6, "µs"), (1e9, "ns")].into_iter().find(|(scale, _)| within(*scale));
    let mapped = given.mapping.and_then(Mapping::conversion);
    let header = name.unit.as_deref().and_then(|unit| unit::convert(Quantity::Time, unit));
    if let (None, None, Some(unit)) = (mapped, header, &name.unit) {
        let problem = format!(
            "the unit {unit:?} of column {:?} is no known unit of time: state it (--map 'time={}*SECONDS')",
            name.text, name.text
        );
        return Err(Error::mapping(given.place, problem));
    }
    if let (Some((scale, unit)), false) = (epoch, presets::is_elapsed(&name.key)) {
        if let Some(factor) = mapped.or(header).map(|conversion| conversion.factor)
            && (factor * scale - 1.0).abs() > 1e-9
        {
            remarks.warnings.push(format!(
                "the numbers of {:?} are Unix times in {unit}: the stated unit is not applied",
                name.text
            ));
        }
        let offset_ns = mapped.map_or(0, |conversion| (conversion.offset * 1e9) as i64);
        let kind = Kind::Number { unit_ns: 1e9 / scale, offset_ns, unix: true };
        return Ok((kind, format!("Unix times in {unit}")));
    }
    let dated = ["date", "datum"].iter().any(|word| name.key.contains(word));
    if dated && mapped.is_none() && EXCEL_DAYS.contains(&least) && EXCEL_DAYS.contains(&most) {
        return Ok((Kind::Excel, "serial dates of Excel".into()));
    }
    let conversion = mapped.or(header);
    if mapped.is_none() {
        let seconds = header.map_or(1.0, |conversion| conversion.factor);
        suspicious_steps(values, seconds, header.is_some(), given, remarks)?;
    }
    if conversion.is_none() && given.mapping.is_none() {
        remarks.warnings.push(format!("column {:?} states no unit: taken for seconds", name.text));
    }
    let conversion = conversion.unwrap_or(unit::Conversion::BASE);
    let unit_ns = (conversion.factor * 1e9 * 1e3).round() / 1e3;
    let kind = Kind::Number { unit_ns, offset_ns: (conversion.offset * 1e9).round() as i64, unix: false };
    Ok((kind, "a relative clock".into()))
}

/// Steps of exactly 100, 200, 500, 1000, … are milliseconds more often than seconds.
fn suspicious_steps(
    values: &[f64],
    seconds: f64,
    stated: bool,
    given: &Given<'_>,
    remarks: &mut Remarks,
) -> Result<(), Error> {
    const TYPICAL_MS: [f64; 8] = [100.0, 200.0, 250.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0];
    let steps: Vec<f64> =
        values.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step != 0.0).collect();
    let near = |step: &f64| TYPICAL_MS.iter().any(|typical| (step - typical).abs() <= 0.1 * typical);
    let whole = steps.iter().all(|step| step.fract() == 0.0);
    let typical = steps.iter().filter(|step| near(step)).count();
    if steps.len() < 2 || seconds != 1.0 || !whole || typical * 10 < steps.len() * 8 {
        return Ok(());
    }
    let name = &given.name.text;
    let problem = format!(
        "the steps of {name:?} are about {}: seconds or milliseconds? State --map 'time={name}*0.001' for \
         milliseconds, or time_format = \"s\"",
        steps[0]
    );
    if stated {
        remarks.doubts.push(problem);
        return Ok(());
    }
    Err(Error::mapping(given.place, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(
        title: &str,
        cells: &[&str],
        options: &Options,
    ) -> Result<(Vec<Option<Stamp>>, Remarks), String> {
        let name = Name::parse(title);
        let kept: Vec<Kept> = cells.iter().map(|cell| Kept::Text(cell.as_bytes().into())).collect();
        let given = Given {
            name: &name,
            mapping: options.mappings.first(),
            options,
            cells: kept.iter().collect(),
            decimal: Decimal::Point,
            grouped: false,
            place: "a",
        };
        let mut remarks = Remarks::default();
        let mut column = TimeColumn::find(&given, &mut remarks).map_err(|error| error.to_string())?;
        Ok((kept.iter().map(|cell| column.read(cell.as_cell())).collect(), remarks))
    }

    #[track_caller]
    fn check(title: &str, cells: &[&str], expected: &[Option<Stamp>]) {
        assert_eq!(column(title, cells, &Options::default()).expect("times").0, expected, "{title}");
    }

    fn unix(seconds: f64) -> Option<Stamp> {
        Some(Stamp::Unix((seconds * 10.0).round() as i64 * 100_000_000))
    }

    fn relative(seconds: f64) -> Option<Stamp> {
        Some(Stamp::Relative((seconds * 1e6).round() as i64 * 1000))
    }

    #[test]
    fn kinds() {
        check("time_s", &["0", "0.1", "x", "-3"], &[relative(0.0), relative(0.1), None, relative(-3.0)]);
        check("time_ms", &["0", "1000"], &[relative(0.0), relative(1.0)]);
        check("~Time[h]", &["0", "0.5"], &[relative(0.0), relative(1800.0)]);
        check("ts", &["1684220390", "1684220391"], &[unix(1_684_220_390.0), unix(1_684_220_391.0)]);
        check("ts", &["1684220390300"], &[unix(1_684_220_390.3)]);
        check("ts", &["1684220390300000"], &[unix(1_684_220_390.3)]);
        check("test_time_second", &["1334177673.9"], &[relative(1_334_177_673.9)]);
        check("Time", &["00:00:01.5", "25:00:00"], &[relative(1.5), relative(90_000.0)]);
        check("Time", &["23:59:59", "00:00:01"], &[relative(86_399.0), relative(86_401.0)]);
        check("Date", &["16.05.2023 06:59:50"], &[unix(1_684_220_390.0)]);
        check(
            "Date",
            &["5/16/2023 06:59:50", "5/2/2023 06:59:50"],
            &[unix(1_684_220_390.0), unix(1_683_010_790.0)],
        );
        check("Date", &["45062.25"], &[unix(1_684_216_800.0)]);
        check("t", &["2.816725E+005"], &[relative(281_672.5)]);
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        let refused =
            |title: &str, cells: &[&str]| column(title, cells, &Options::default()).err().expect("refused");
        assert!(refused("Date", &["3/4/2024 00:00:00"]).contains("time_format"));
        assert!(refused("t", &["0", "1000", "2000"]).contains("milliseconds"));
        assert!(refused("t", &["9", "8", "7", "6", "5"]).contains("backwards"));
        assert!(refused("t", &["x"]).contains("time_format"));
        let (_, remarks) = column("time_s", &["0", "1000", "2000"], &Options::default()).expect("stated");
        assert_eq!(remarks.doubts.len(), 1);
    }

    #[test]
    fn stated_formats_and_zones() {
        let berlin = Options { time_zone: Some("Europe/Berlin".into()), ..Options::default() };
        let times = |cells: &[&str], options: &Options| column("Date", cells, options).expect("times").0;
        assert_eq!(times(&["2023-05-16 08:59:50"], &berlin), [unix(1_684_220_390.0)]);
        // The hour that comes twice on 2023-10-29, and the one on 2023-03-26 that does not exist.
        let twice = ["2023-10-29 02:30:00", "2023-10-29 02:59:59", "2023-10-29 02:00:00"];
        assert_eq!(
            times(&twice, &berlin),
            [unix(1_698_539_400.0), unix(1_698_541_199.0), unix(1_698_541_200.0)]
        );
        assert_eq!(times(&["2023-03-26 01:00:00", "2023-03-26 02:30:00"], &berlin)[1], None);
        let format = Options { time_format: Some("%d/%m/%Y %H:%M:%S".into()), ..Options::default() };
        assert_eq!(times(&["03/04/2024 01:02:03"], &format), [unix(1_712_106_123.0)]);
        let ms = Options { time_format: Some("ms".into()), ..Options::default() };
        assert_eq!(times(&["1000", "2000"], &ms), [relative(1.0), relative(2.0)]);
        let (said, remarks) =
            column("ts", &["1684220390"], &Options::from(vec!["time=ts*0.001".parse().expect("it")]))
                .expect("times");
        assert_eq!((said, remarks.warnings.len()), (vec![unix(1_684_220_390.0)], 1));
    }
}
