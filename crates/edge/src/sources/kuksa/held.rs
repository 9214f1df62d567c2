//! What a databroker has said last of each signal, and the row that it makes at a moment.

use super::messages::{Datapoint, Metadata, Numbers};
use std::collections::BTreeMap;
use voltmesh_recording::unit::{Conversion, Dimension, convert};
use voltmesh_recording::{Quantity, Reading, Row, Stamp, Unknown};
use voltmesh_telemetry::MAX_CELLS;

/// The broker's clock may be ahead of this one by so many ms.
const AHEAD_MS: u64 = 1_000;

/// A signal and its last value.
#[derive(Debug)]
struct Signal {
    quantity: Quantity,
    path: String,
    /// To the quantity's unit; `None` until the broker has said the signal's unit.
    conversion: Option<Conversion>,
    /// What its values may be, in the broker's unit.
    range: (f64, f64),
    value: Option<(Vec<Reading>, u64)>,
}

/// Last values of all signals.
#[derive(Debug)]
pub struct Held {
    signals: Vec<Signal>,
    max_age_ms: u64,
    /// Whether a value came since the last row.
    fresh: bool,
    /// Values that were not taken, by reason.
    refused: BTreeMap<&'static str, u64>,
    /// Signals that the broker has not, or in a unit that is not understood.
    absent: Vec<String>,
}

impl Held {
    pub fn new(wanted: &[(Quantity, &str)], max_age_ms: u64) -> Self {
        let signal = |(quantity, path): &(Quantity, &str)| Signal {
            quantity: *quantity,
            path: (*path).to_owned(),
            conversion: None,
            range: (f64::NEG_INFINITY, f64::INFINITY),
            value: None,
        };
        let signals = wanted.iter().map(signal).collect();
        Self { signals, max_age_ms, fresh: false, refused: BTreeMap::new(), absent: Vec::new() }
    }

    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.signals.iter().map(|signal| signal.path.as_str())
    }

    /// Takes what the broker knows of its signals, and gives the paths that can be read. Of several lists and their means
    /// only the first counts.
    pub fn describe(&mut self, known: &[Metadata]) -> Vec<String> {
        self.absent.clear();
        let mut lists: Vec<Quantity> = Vec::new();
        let mut paths = Vec::new();
        for signal in &mut self.signals {
            (signal.conversion, signal.value) = (None, None);
            let Some(metadata) = known.iter().find(|metadata| metadata.path == signal.path) else {
                self.absent.push(signal.path.clone());
                continue;
            };
            let conversion = match (Dimension::of(signal.quantity), metadata.unit.as_str()) {
                (None, _) | (_, "") => Some(Conversion::BASE),
                (Some(_), unit) => convert(signal.quantity, unit),
            };
            if conversion.is_none() {
                let quantity = signal.quantity;
                self.absent.push(format!("{} ({:?} is no unit of {quantity})", signal.path, metadata.unit));
                continue;
            }
            if signal.path == voltmesh_telemetry::vss::AVERAGE_TEMPERATURE && lists.contains(&signal.quantity)
            {
                continue;
            }
            lists.push(signal.quantity);
            let bound =
                |value: &Option<super::messages::Value>| match value.as_ref().and_then(|v| v.numbers()) {
                    Some(Numbers::One(bound)) => Some(bound),
                    _ => None,
                };
            let (least, most) = (bound(&metadata.min), bound(&metadata.max));
            signal.range = (least.unwrap_or(f64::NEG_INFINITY), most.unwrap_or(f64::INFINITY));
            signal.conversion = conversion;
            paths.push(signal.path.clone());
        }
        paths
    }

    /// Takes a value.
    pub fn take(&mut self, path: &str, point: &Datapoint, now_ms: u64) {
        let Some(signal) = self.signals.iter_mut().find(|signal| signal.path == path) else { return };
        let Some(conversion) = signal.conversion else { return };
        // A signal that has never had a value.
        let Some(value) = point.value.as_ref().filter(|value| value.typed.is_some()) else { return };
        let mut refuse = |why| *self.refused.entry(why).or_default() += 1;
        let Some(time) = point.time_ms() else { return refuse("without a time") };
        if time > now_ms.saturating_add(AHEAD_MS) {
            return refuse("dated ahead of this clock");
        }
        let Some(numbers) = value.numbers() else { return refuse("text instead of a number") };
        let is_list = matches!(signal.quantity, Quantity::Cells | Quantity::Temperatures);
        let numbers = match numbers {
            Numbers::One(number) => vec![number],
            Numbers::List(list) if is_list && list.len() <= MAX_CELLS => list,
            Numbers::List(_) => return refuse("a list that is none of this quantity, or too long"),
        };
        let reading = |number: f64| match number {
            number if !number.is_finite() => Err(Unknown::NotAvailable),
            number if number < signal.range.0 || number > signal.range.1 => Err(Unknown::OutOfRange),
            number => Ok(conversion.apply(number)),
        };
        // An older value never replaces a newer one.
        if signal.value.as_ref().is_none_or(|(_, earlier)| *earlier <= time) {
            signal.value = Some((numbers.into_iter().map(reading).collect(), time));
            self.fresh |= now_ms.saturating_sub(time) <= self.max_age_ms;
        }
    }

    /// The row of a moment, if something new came since the last one.
    pub fn row(&mut self, now_ms: u64) -> Option<Row> {
        if !std::mem::take(&mut self.fresh) {
            return None;
        }
        let time = i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let mut row = Row::unknown(Stamp::Unix(time), 0, 0);
        for signal in self.signals.iter().filter(|signal| signal.conversion.is_some()) {
            let is_stale =
                signal.value.as_ref().is_some_and(|(_, at)| now_ms.saturating_sub(*at) > self.max_age_ms);
            let state = |reading: &Reading| if is_stale { Err(Unknown::Stale) } else { *reading };
            let single = || match signal.value.as_ref().and_then(|(values, _)| values.first()) {
                Some(reading) => state(reading),
                None => Err(Unknown::NotSent),
            };
            let several = || match &signal.value {
                Some((values, _)) => values.iter().map(state).collect(),
                None => vec![Err(Unknown::NotSent)],
            };
            match signal.quantity {
                Quantity::PackVoltage => row.pack_voltage = single(),
                Quantity::PackCurrent => row.pack_current = single(),
                Quantity::Soc => row.soc = single(),
                Quantity::Contactor => row.contactor = single(),
                Quantity::Charging => row.charging = single(),
                Quantity::Insulation => row.insulation = single(),
                Quantity::Ambient => row.ambient = single(),
                Quantity::Coolant => row.coolant = single(),
                Quantity::Speed => row.speed = single(),
                Quantity::Cells => row.cells.extend::<Vec<Reading>>(several()),
                Quantity::Temperatures => row.temperatures.extend::<Vec<Reading>>(several()),
                Quantity::Time | Quantity::ChargeCounter => {}
            }
        }
        Some(row)
    }

    /// Values that were not taken.
    pub fn refused(&self) -> u64 {
        self.refused.values().sum()
    }

    /// What was not taken, and what never came: one sentence each.
    pub fn said(&self) -> Vec<String> {
        let mut said: Vec<String> =
            self.refused.iter().map(|(why, count)| format!("{count} values {why}")).collect();
        let never = |signal: &&Signal| signal.conversion.is_some() && signal.value.is_none();
        let never: Vec<&str> = self.signals.iter().filter(never).map(|signal| signal.path.as_str()).collect();
        if !never.is_empty() {
            said.push(format!("never seen: {}", never.join(", ")));
        }
        if !self.absent.is_empty() {
            said.push(format!("not in the databroker: {}", self.absent.join(", ")));
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::{Floats, Timestamp, Typed, Value};
    use super::*;

    const NOW: u64 = 1_767_600_000_000;
    const VOLTS: &str = "Vehicle.Powertrain.TractionBattery.CurrentVoltage";
    const CELLS: &str = "Vehicle.Powertrain.TractionBattery.CellVoltage.CellVoltages";
    const SOC: &str = "Vehicle.Powertrain.TractionBattery.StateOfCharge.Current";

    fn value(typed: Typed) -> Value {
        Value { typed: Some(typed) }
    }

    fn point(typed: Typed, ms: u64) -> Datapoint {
        let (seconds, nanos) = ((ms / 1_000) as i64, (ms % 1_000 * 1_000_000) as i32);
        Datapoint { timestamp: Some(Timestamp { seconds, nanos }), value: Some(value(typed)) }
    }

    fn known(path: &str, unit: &str) -> Metadata {
        Metadata { path: path.into(), unit: unit.into(), min: None, max: None }
    }

    fn held(known: &[Metadata]) -> Held {
        let wanted = [(Quantity::PackVoltage, VOLTS), (Quantity::Soc, SOC), (Quantity::Cells, CELLS)];
        let mut held = Held::new(&wanted, 3_000);
        held.describe(known);
        held
    }

    fn of_one(unit: &str, typed: Typed, ms: u64) -> Option<Reading> {
        let mut held = held(&[known(VOLTS, unit)]);
        held.take(VOLTS, &point(typed, ms), NOW);
        held.row(NOW).map(|row| row.pack_voltage)
    }

    #[test]
    fn units_and_types() {
        for (unit, typed, want) in [
            ("V", Typed::Double(352.1), 352.1),
            ("", Typed::Uint32(352), 352.0),
            ("mV", Typed::Uint32(352_100), 352.1),
            ("kV", Typed::Double(0.3521), 352.1),
        ] {
            let found = of_one(unit, typed, NOW).expect("a row").expect("a value");
            assert!((found - want).abs() < 1e-9, "{unit}: {found}");
        }
        let mut held = held(&[known(VOLTS, "A")]);
        assert!(held.describe(&[known(VOLTS, "A")]).is_empty(), "amperes are no voltage");
        assert!(held.said().join(" ").contains("\"A\" is no unit of pack_voltage"));
    }

    #[test]
    fn times_decide() {
        assert_eq!(of_one("V", Typed::Double(352.1), NOW - 3_000), Some(Ok(352.1)));
        assert_eq!(of_one("V", Typed::Double(352.1), NOW - 3_001), None, "nothing new");
        assert_eq!(of_one("V", Typed::Double(352.1), NOW + 1_000), Some(Ok(352.1)));
        assert_eq!(of_one("V", Typed::Double(352.1), NOW + 1_001), None, "ahead");
        let mut held = held(&[known(VOLTS, "V"), known(SOC, "percent"), known(CELLS, "V")]);
        let cells = || Typed::Floats(Floats { values: vec![3.5, 3.75] });
        held.take(CELLS, &point(cells(), NOW - 2_000), NOW);
        held.take(SOC, &point(Typed::Float(80.0), NOW), NOW);
        held.take(SOC, &point(Typed::Float(10.0), NOW - 1), NOW);
        let row = held.row(NOW).expect("a row");
        assert_eq!(row.soc, Ok(80.0), "an older value never replaces a newer one");
        assert_eq!((row.cells, row.pack_voltage), (vec![Ok(3.5), Ok(3.75)], Err(Unknown::NotSent)));
        assert_eq!(held.row(NOW + 1), None, "an old value gets no new time");
        held.take(SOC, &point(Typed::Float(79.0), NOW + 1_500), NOW + 1_500);
        let row = held.row(NOW + 1_500).expect("a row");
        assert_eq!((row.cells, row.soc), (vec![Err(Unknown::Stale); 2], Ok(79.0)));
        let no_time = Datapoint { timestamp: None, value: Some(value(Typed::Float(1.0))) };
        held.take(SOC, &no_time, NOW);
        held.take(SOC, &point(Typed::Text("full".into()), NOW), NOW);
        held.take(SOC, &point(cells(), NOW), NOW);
        assert_eq!(held.refused(), 3, "{:?}", held.said());
    }

    #[test]
    fn what_is_no_value_is_unknown() {
        let bounds = Metadata {
            min: Some(value(Typed::Uint32(0))),
            max: Some(value(Typed::Float(100.0))),
            ..known(SOC, "percent")
        };
        for (typed, want) in [
            (Typed::Float(100.0), Ok(100.0)),
            (Typed::Float(100.5), Err(Unknown::OutOfRange)),
            (Typed::Float(-0.5), Err(Unknown::OutOfRange)),
            (Typed::Float(f32::NAN), Err(Unknown::NotAvailable)),
        ] {
            let mut held = held(std::slice::from_ref(&bounds));
            held.take(SOC, &point(typed.clone(), NOW), NOW);
            assert_eq!(held.row(NOW).map(|row| row.soc), Some(want), "{typed:?}");
        }
        let mut held = held(&[bounds]);
        held.take(SOC, &Datapoint { timestamp: None, value: None }, NOW);
        assert_eq!((held.row(NOW), held.refused()), (None, 0), "never set");
        assert!(
            held.said().iter().any(|line| line.contains("not in the databroker") && line.contains(VOLTS))
        );
    }
}
