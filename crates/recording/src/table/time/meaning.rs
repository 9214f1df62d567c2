//! Meaning of the cells of a column of time: as the user states, else as the first of them tell.

use super::super::cell::{Cell, Kept};
use super::super::date::{self, Order};
use super::super::header::Name;
use super::super::number::Decimal;
use super::super::options::Options;
use super::super::{Mapping, number, presets, text};
use super::{numbers, zone};
use crate::{Error, Quantity, unit};

/// Numbers that are Unix times of 1990 to 2100, in s.
const EPOCH_S: std::ops::Range<f64> = 6.3e8..4.2e9;

/// Numbers that are .NET's ticks of 1997 to 2100, and Unix times in ns of one year alone.
const TICKS: std::ops::Range<f64> = 6.3e17..6.63e17;

/// Numbers of GPS seconds below this are of dates before September 2030; Unix times above it are after September 2020.
const MAX_GPS_S: f64 = 1.6e9;

/// Steps of less than this are of days rather than of seconds, in numbers that can be dates.
const SECOND_STEP: f64 = 0.01;

/// Meaning of the cells of a time column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// Numbers: nanoseconds of one, and whether they count from 1970.
    Number { unit_ns: f64, offset_ns: i64, unix: bool },
    /// Days; the number of 1970-01-01.
    Days { of_1970: f64 },
    /// `hh:mm:ss`.
    OfDay,
    /// Dates.
    Date(Option<Order>),
    /// Dates in the user's format.
    Format(String),
}

/// Findings about a column of time beside its reader.
#[derive(Default)]
pub(crate) struct Remarks {
    pub warnings: Vec<String>,
    /// What makes the times doubtful.
    pub doubts: Vec<String>,
}

/// Input of the finder of a time column.
pub(crate) struct Given<'a> {
    pub name: &'a Name,
    pub mapping: Option<&'a Mapping>,
    pub options: &'a Options,
    pub cells: Vec<&'a Kept>,
    pub decimal: Decimal,
    pub grouped: bool,
    /// Whether dates that the file stores as numbers count from 1904.
    pub is_1904: bool,
    /// How far another column says that the local times are ahead of UTC, in s.
    pub ahead_s: Option<i32>,
    /// Whether a column beside has dates of eight digits.
    pub is_beside_dates: bool,
    pub place: &'a str,
}

/// The meaning that the user states.
pub(super) fn stated(format: &str, given: &Given<'_>) -> Result<(Kind, String), Error> {
    let number = |seconds: f64, unix| Kind::Number { unit_ns: seconds * 1e9, offset_ns: 0, unix };
    let said = format!("{format}, as stated");
    if let Some(of_1970) = numbers::day_of_1970(format, given.is_1904) {
        return Ok((Kind::Days { of_1970 }, said));
    }
    let kind = match format {
        "gps_s" => gps(1.0, given),
        "gps_ms" => gps(1e-3, given),
        "epoch_s" | "epoch" | "unix" => number(1.0, true),
        "epoch_ms" => number(1e-3, true),
        "epoch_us" => number(1e-6, true),
        "epoch_ns" => number(1e-9, true),
        "iso" | "iso8601" => Kind::Date(None),
        format if format.contains('%') => Kind::Format(format.to_owned()),
        format => match unit::convert(Quantity::Time, format) {
            Some(conversion) => number(conversion.factor, false),
            None => {
                let problem = format!(
                    "time_format {format:?} is none: write epoch_s, epoch_ms, gps_s, s, ms, excel, excel1904, matlab, \
                     julian, or a format such as %d/%m/%Y %H:%M:%S"
                );
                return Err(Error::mapping(given.place, problem));
            }
        },
    };
    Ok((kind, said))
}

/// The meaning that the first cells tell.
pub(super) fn told(given: &Given<'_>, remarks: &mut Remarks) -> Result<(Kind, String), Error> {
    let (mut numbers, mut clocks, mut dates, mut typed) = (Vec::new(), 0, Vec::new(), 0);
    let (mut halves, mut days) = (0, Vec::new());
    for cell in &given.cells {
        match cell.as_cell() {
            Cell::Number(value) => numbers.push(value),
            Cell::Date(ns, _) => {
                typed += 1;
                days.push(ns as f64 / date::DAY_NS as f64);
            }
            Cell::Text(text) => {
                if let Some(value) = number::parse(text, given.decimal, given.grouped) {
                    numbers.push(value);
                } else if let Some(dated) =
                    // Of some dates, only the other order makes a date.
                    date::date(text, None).or_else(|| date::date(text, Some(Order::MonthFirst)))
                {
                    dates.push(dated);
                    let is_day = dated.wall_ns % date::DAY_NS == 0 && !text.contains(&b':');
                    days.push(if is_day { dated.wall_ns as f64 / date::DAY_NS as f64 } else { 0.5 });
                } else if date::time_of_day(text).is_some() {
                    clocks += 1;
                    let is_half = text.iter().filter(|byte| **byte == b':').count() == 1
                        && !text.contains(&b'.')
                        && !text.contains(&b',');
                    halves += usize::from(is_half);
                }
            }
            Cell::Empty => {}
        }
    }
    let most = [numbers.len(), clocks, dates.len(), typed].into_iter().max().unwrap_or(0);
    if most == 0 {
        let shown = given.cells.iter().find_map(|cell| match cell.as_cell() {
            Cell::Text(text) => Some(text::decode(text).chars().take(40).collect::<String>()),
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
    if clocks == most && halves == clocks {
        let problem = format!(
            "the times of column {:?} can be hours and minutes or minutes and seconds: state time_format, \"%H:%M\" or \
             \"%M:%S\"",
            given.name.text
        );
        return Err(Error::mapping(given.place, problem));
    }
    if clocks == most {
        return Ok((Kind::OfDay, "hh:mm:ss".into()));
    }
    if numbers::repeat_days(&days) {
        return Err(days_without_times(given));
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
    if dates.iter().all(|dated| dated.may_begin_with_year) {
        let problem = format!(
            "the dates of column {:?} have years of two digits and can begin or end with them: state time_format, such as \
             %d/%m/%y %H:%M:%S or %y/%m/%d %H:%M:%S",
            given.name.text
        );
        return Err(Error::mapping(given.place, problem));
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
    let is_zone = name.unit.as_deref().is_some_and(|unit| zone::stated(unit).is_some());
    if let (None, None, false, Some(unit)) = (mapped, header, is_zone, &name.unit) {
        let problem = format!(
            "the unit {unit:?} of column {:?} is no known unit of time: state it (--map 'time={}*SECONDS')",
            name.text, name.text
        );
        return Err(Error::mapping(given.place, problem));
    }
    let states_ns = mapped.is_some() || name.unit.as_deref() == Some("ns");
    if TICKS.contains(&least) && TICKS.contains(&most) && !states_ns {
        let problem = format!(
            "the numbers of {:?} are those of .NET's ticks of these years (100 ns from the year 1), or Unix times in ns of \
             1990: write ticks as (n - 621355968000000000) / 10000000, which are Unix times in s, or state time_format = \
             \"epoch_ns\"",
            name.text
        );
        return Err(Error::mapping(given.place, problem));
    }
    if let Some((scale, _)) = epoch
        && name.words().any(|word| word == "gps")
        && most / scale < MAX_GPS_S
    {
        let problem = format!(
            "the numbers of {:?} can count from 1970 or, as GPS does, from 1980: state time_format, \"epoch_s\" or \"gps_s\" \
             (\"epoch_ms\" or \"gps_ms\")",
            name.text
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
    let seconds = mapped.or(header).map_or(1.0, |conversion| conversion.factor);
    if epoch.is_some() && (header.is_none() || EPOCH_S.contains(&(least * seconds))) {
        let problem = format!(
            "column {:?} is named as one of elapsed time, and its numbers are Unix times of 1990 to 2100: state time_format, \
             \"epoch_s\" or \"epoch_ms\", or \"s\" for a clock of its own",
            name.text
        );
        return Err(Error::mapping(given.place, problem));
    }
    if numbers::are_compact_dates(values) {
        return Ok((Kind::Format("%Y%m%d%H%M%S".into()), "dates of 14 digits".into()));
    }
    if mapped.is_none()
        && let Some((days_of, of_1970)) = numbers::serial_dates(least, most, given.is_1904)
    {
        let dated = ["date", "datum"].iter().any(|word| name.key.contains(word));
        let in_days = header.is_some_and(|conversion| conversion.factor == 86_400.0);
        if (dated || in_days) && numbers::repeat_days(values) {
            return Err(days_without_times(given));
        }
        if dated || in_days {
            return Ok((Kind::Days { of_1970 }, format!("serial dates ({days_of})")));
        }
        let is_stamp = ["timestamp", "time stamp", "zeitstempel", "horodatage"].contains(&name.key.as_str());
        let can_be_days = numbers::typical_step(values) < SECOND_STEP
            || numbers::are_minutes_of_days(values)
            || (is_stamp && numbers::are_whole_days(values));
        if header.is_none() && !presets::is_elapsed(&name.key) && can_be_days {
            let problem = format!(
                "the numbers of {:?} can be days (time_format {days_of:?}) or seconds (\"s\"): state time_format",
                name.text
            );
            return Err(Error::mapping(given.place, problem));
        }
    }
    if mapped.is_none() && header.is_none() && !presets::is_elapsed(&name.key) {
        let place = given.place;
        if (0.0..=1.0).contains(&least) && most <= 1.0 && numbers::are_seconds_of_a_day(values) {
            let problem = format!(
                "the numbers of {:?} can be parts of a day, as Excel writes times of day, or seconds: state \
                 --map 'time={}*86400' for days, or time_format = \"s\"",
                name.text, name.text
            );
            return Err(Error::mapping(place, problem));
        }
        let is_named = name.words().any(|word| matches!(word, "utc" | "uhrzeit" | "clock" | "hhmmss"));
        let least = if given.is_beside_dates { 0.0 } else { 10_000.0 };
        if numbers::are_clock_digits(values, is_named || given.is_beside_dates, least) {
            let problem = format!(
                "the numbers of {:?} can be times of day without colons, as 065910, or seconds: state time_format, \
                 \"%H%M%S\" or \"s\"",
                name.text
            );
            return Err(Error::mapping(place, problem));
        }
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

/// The refusal of dates that are no times.
fn days_without_times(given: &Given<'_>) -> Error {
    let name = &given.name.text;
    Error::mapping(
        given.place,
        format!(
            "column {name:?} states days without a time of day, and several rows are of one day: map the column of their \
             times (--map time=NAME), and name this one under [source.columns] (date = {name:?})"
        ),
    )
}

/// Seconds of GPS, which has no leap seconds: those of the first number's time are taken off all.
fn gps(seconds: f64, given: &Given<'_>) -> Kind {
    let first = given.cells.iter().find_map(|cell| match cell.as_cell() {
        Cell::Number(value) => Some(value),
        Cell::Text(text) => number::parse(text, given.decimal, given.grouped),
        Cell::Empty | Cell::Date(..) => None,
    });
    let offset_s = crate::gps::ahead_s(first.unwrap_or(f64::INFINITY) * seconds);
    Kind::Number { unit_ns: seconds * 1e9, offset_ns: offset_s * date::SECOND_NS, unix: true }
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
