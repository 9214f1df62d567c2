//! Names of signals to places in the messages of a DBC file.

use super::dbc::Signal;
use super::decoder::Decoder;
use super::item::{Item, codes};
use super::signals::{Corrected, Signals, Wanted};
use super::values::Value;
use crate::table::fits;
use crate::unit::{self, Conversion, Dimension};
use crate::{Error, Quantity};

/// Age above which a value is stale if its message has no cycle time, in ms.
const MAX_AGE_MS: u64 = 10_000;
/// Least age limit by a cycle time, in ms.
const MIN_AGE_MS: f64 = 2000.0;
/// Greatest bound of a range of percent: a byte of half percents reaches 127.5.
const MOST_PERCENT: f64 = 130.0;
/// Most cells or temperatures.
const MAX_VALUES: usize = 1024;

impl Decoder {
    /// The one signal of this name: message and signal by their places.
    fn find(&self, name: &str) -> Result<(usize, usize), Error> {
        let all = self.messages.iter().enumerate();
        let mut found: Vec<(usize, usize)> = all
            .flat_map(|(m, message)| {
                message.signals.iter().enumerate().map(move |(s, signal)| (m, s, message, signal))
            })
            .filter(|(.., message, signal)| {
                signal.name == name
                    || name.split_once('.').is_some_and(|(m, s)| message.name == m && signal.name == s)
            })
            .map(|(m, s, ..)| (m, s))
            .collect();
        match found.pop() {
            None => Err(Error::mapping("signals", format!("the DBC file has no signal {name:?}"))),
            Some(only) if found.is_empty() => Ok(only),
            Some(last) => {
                found.push(last);
                let names: Vec<String> = found.iter().take(8).map(|at| self.full_name(*at)).collect();
                let problem =
                    format!("the DBC file has {name:?} more than once: name one of {}", names.join(", "));
                Err(Error::mapping("signals", problem))
            }
        }
    }

    pub(super) fn full_name(&self, (message, signal): (usize, usize)) -> String {
        let message = &self.messages[message];
        format!("{}.{}", message.name, message.signals[signal].name)
    }

    fn has(&self, name: &str) -> bool {
        let bare = name.split_once('.').map_or(name, |(_, signal)| signal);
        self.messages.iter().any(|m| m.signals.iter().any(|s| s.name == bare))
    }

    pub(super) fn expand(
        &self,
        wanted: &[Wanted],
        count: usize,
        quantity: Quantity,
    ) -> Result<Vec<Corrected>, Error> {
        let mut all = Vec::new();
        for wanted in wanted {
            let corrected = wanted.corrected();
            if corrected.signal.contains('*') {
                let names = self.matching(&corrected.signal, quantity)?;
                all.extend(names.into_iter().map(|signal| Corrected { signal, ..corrected.clone() }));
                continue;
            }
            let parts = corrected
                .signal
                .split_once('{')
                .and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
            let Some((before, (format, after))) = parts else {
                all.push(corrected);
                continue;
            };
            let width = match format.strip_prefix(':') {
                None if format.is_empty() => 0,
                Some(digits) => digits.parse().ok().filter(|w| *w <= 9).ok_or_else(|| {
                    Error::mapping(
                        "signals",
                        format!("{:?} is no pattern: write {{}} or {{:02}}", corrected.signal),
                    )
                })?,
                None => {
                    return Err(Error::mapping("signals", format!("{:?} is no pattern", corrected.signal)));
                }
            };
            let name = |n: usize| format!("{before}{n:0width$}{after}");
            let first = usize::from(!self.has(&name(0)));
            let there = (first..first + MAX_VALUES).take_while(|n| self.has(&name(*n))).count();
            let count = if count == 0 { there } else { count };
            if count == 0 || count > there {
                let problem = format!(
                    "{:?} asks for {count} of {quantity}, and the DBC file has {there} from {} on",
                    corrected.signal,
                    name(first)
                );
                return Err(Error::mapping("signals", problem));
            }
            all.extend((first..first + count).map(|n| Corrected { signal: name(n), ..corrected.clone() }));
        }
        if all.len() > MAX_VALUES {
            return Err(Error::mapping("signals", format!("at most {MAX_VALUES} of {quantity} can be read")));
        }
        Ok(all)
    }

    /// Signals whose names fit a pattern with `*`, by the number in them.
    fn matching(&self, pattern: &str, quantity: Quantity) -> Result<Vec<String>, Error> {
        let mut found: Vec<(Option<u32>, String)> = Vec::new();
        for message in &self.messages {
            for signal in &message.signals {
                let full = format!("{}.{}", message.name, signal.name);
                let name = if pattern.contains('.') { &full } else { &signal.name };
                if fits(pattern, name) {
                    found.push((number_in(pattern, name), full));
                }
            }
        }
        if found.is_empty() {
            let problem = format!("no signal of the DBC file fits {pattern:?} of {quantity}");
            return Err(Error::mapping("signals", problem));
        }
        if found.iter().all(|(number, _)| number.is_some()) {
            found.sort_by_key(|(number, _)| *number);
        }
        if let Some(pair) = found.windows(2).find(|pair| pair[0].0.is_some() && pair[0].0 == pair[1].0) {
            let problem = format!(
                "{pattern:?} fits {} and {}, which have the same number: name one message (Message.Signal*)",
                pair[0].1, pair[1].1
            );
            return Err(Error::mapping("signals", problem));
        }
        Ok(found.into_iter().map(|(_, name)| name).collect())
    }

    pub(super) fn add(&mut self, quantity: Quantity, place: usize, wanted: &Corrected) -> Result<(), Error> {
        let (message, signal) = self.find(&wanted.signal)?;
        let (definition, owner) = (&self.messages[message].signals[signal], &self.messages[message]);
        let name = self.full_name((message, signal));
        if definition.multiplexed && definition.selections.is_empty() {
            return Err(Error::mapping(
                "signals",
                format!("{name} is multiplexed, and the DBC file does not say by what"),
            ));
        }
        let corrected = wanted.factor.is_some() || wanted.offset.is_some();
        let factor = wanted.factor.unwrap_or(definition.factor);
        let offset = wanted.offset.unwrap_or(definition.offset);
        if factor == 0.0 || !factor.is_finite() || !offset.is_finite() {
            return Err(Error::mapping(
                "signals",
                format!("{name} has the factor {factor} and the offset {offset}: give others"),
            ));
        }
        let unit = wanted.unit.clone().unwrap_or_else(|| definition.unit.clone());
        let unit = unit.as_str();
        // A step in the unit and a factor may mean the same step twice.
        let twice = wanted.unit.is_none() && factor != 1.0 && unit::states_a_step(unit);
        let turned = wanted.mapped.filter(|c| c.factor == -1.0 && c.offset == 0.0);
        let stated = wanted.mapped.filter(|_| turned.is_none());
        let mut empty = false;
        let conversion = if stated.is_some() {
            stated
        } else if Dimension::of(quantity).is_none() {
            Some(Conversion::BASE)
        } else if unit.trim().is_empty() {
            empty = true;
            plausible(quantity, definition, factor, offset).then_some(Conversion::BASE)
        } else {
            unit::convert(quantity, unit).filter(|_| !twice)
        };
        if quantity == Quantity::Soc
            && wanted.unit.is_none()
            && !corrected
            && stated.is_none()
            && !fits_percent(definition)
        {
            return Err(Error::mapping("signals", not_percent(&name, definition)));
        }
        let sign = turned.map_or(1.0, |turned| turned.factor);
        let conversion = conversion.ok_or_else(|| {
            let problem = format!(
                "the unit {unit:?} of {name} is not understood for {quantity}: give `unit`, as {{ signal = {:?}, unit = {:?} }}, or a factor (--map {quantity}={}*FACTOR)",
                wanted.signal,
                quantity.base_unit(),
                wanted.signal
            );
            Error::mapping("signals", problem)
        })?;
        let conversion = Conversion { factor: conversion.factor * sign, offset: conversion.offset * sign };
        let cycle = definition.cycle_ms.or(owner.cycle_ms).map(|ms| (5.0 * ms).max(MIN_AGE_MS) as u64);
        let max_age_ns = wanted.max_age_ms.or(cycle).unwrap_or(MAX_AGE_MS).saturating_mul(1_000_000);
        let codes = codes(quantity, definition, conversion, (factor, offset));
        self.items.push(Item {
            quantity,
            place,
            message,
            signal,
            index: None,
            own: corrected.then_some((factor, offset)),
            conversion,
            unit: if unit.trim().is_empty() { quantity.base_unit().to_owned() } else { unit.to_owned() },
            max_age_ns,
            codes,
        });
        if empty {
            let base = quantity.base_unit();
            self.warnings.push(format!("{name} has no unit in the DBC file and is taken as in {base:?}"));
        }
        self.make_room(quantity, place + 1, max_age_ns);
        Ok(())
    }

    /// The signals as a configuration states them: what was mapped beside the file's factors is part of them.
    #[must_use]
    pub fn configured(&self, signals: &Signals) -> Signals {
        let mut signals = signals.clone();
        for quantity in Quantity::ALL {
            let Some(item) = self.items.iter().find(|item| item.quantity == quantity) else { continue };
            let definition = &self.messages[item.message].signals[item.signal];
            let written = |wanted: &mut Wanted| {
                let corrected = wanted.corrected();
                let Some(mapped) = corrected.mapped else { return };
                let turned = mapped.factor == -1.0 && mapped.offset == 0.0;
                let unit = (!turned).then(|| quantity.base_unit().to_owned()).or(corrected.unit);
                *wanted = Wanted::Table(Corrected {
                    factor: Some(definition.factor * mapped.factor),
                    offset: Some(definition.offset * mapped.factor + mapped.offset),
                    unit,
                    mapped: None,
                    ..corrected
                });
            };
            match quantity {
                Quantity::Cells => signals.cells.iter_mut().for_each(written),
                Quantity::Temperatures => signals.temperatures.iter_mut().for_each(written),
                single => signals.single(single).into_iter().flatten().for_each(written),
            }
        }
        signals
    }

    fn make_room(&mut self, quantity: Quantity, count: usize, max_age_ns: u64) {
        let values = self.values.0.entry(quantity).or_default();
        let none = Value::none(max_age_ns);
        values.resize(values.len().max(count), none);
        values[count - 1].max_age_ns = max_age_ns;
    }

    pub(super) fn add_indexed(&mut self, signals: &Signals) -> Result<(), Error> {
        let Some(indexed) = &signals.indexed_cells else { return Ok(()) };
        if signals.cell_count == 0 || signals.cell_count > MAX_VALUES || !signals.cells.is_empty() {
            return Err(Error::mapping(
                "signals.indexed_cells",
                "they need cell_count, and no cells beside them",
            ));
        }
        let (message, index) = self.find(&indexed.index)?;
        for (place, wanted) in indexed.values.iter().enumerate() {
            self.add(Quantity::Cells, place, &wanted.corrected())?;
            let Some(item) = self.items.last_mut() else { continue };
            if item.message != message {
                return Err(Error::mapping(
                    "signals.indexed_cells",
                    "index and values are in different messages",
                ));
            }
            item.index = Some((index, indexed.first, indexed.step));
        }
        let age = self.items.last().map_or(0, |item| item.max_age_ns);
        for count in 1..=signals.cell_count {
            self.make_room(Quantity::Cells, count, age);
        }
        self.values.0.entry(Quantity::Cells).or_default().truncate(signals.cell_count);
        Ok(())
    }
}

/// The first number that a name has where its pattern has `*` or behind it.
fn number_in(pattern: &str, name: &str) -> Option<u32> {
    let behind = name.get(pattern.find('*').unwrap_or(0)..).unwrap_or(name);
    let digits = behind.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

/// Whether a signal's stated range is one of percent: 0 to 1 or 0 to 1000 mean other steps than the unit says. A range of
/// all that the bits can say states nothing.
pub(super) fn fits_percent(signal: &Signal) -> bool {
    let is_percent = unit::parse(&signal.unit).is_some_and(|(_, conversion)| conversion == Conversion::BASE);
    let Some((_, greatest)) = signal.range.filter(|_| is_percent) else { return true };
    let all = (2f64.powi(signal.size.min(63) as i32) - 1.0) * signal.factor + signal.offset;
    let is_of_bits = (greatest - all).abs() <= 0.01 * all.abs();
    greatest > 1.0 && (greatest <= MOST_PERCENT || is_of_bits)
}

/// The problem of a state of charge whose range contradicts its unit.
pub(super) fn not_percent(name: &str, signal: &Signal) -> String {
    let (least, greatest) = signal.range.unwrap_or_default();
    format!(
        "soc cannot be read from {name}: its range is {least} to {greatest} in the unit {:?}; state a factor to % \
         (--map soc={name}*FACTOR)",
        signal.unit
    )
}

/// Whether the greatest value that a signal without unit can have fits its quantity's base unit.
fn plausible(quantity: Quantity, signal: &Signal, factor: f64, offset: f64) -> bool {
    let greatest = match signal.range {
        Some((least, greatest)) if factor == signal.factor => greatest.abs().max(least.abs()),
        _ => (2f64.powi(signal.size.min(63) as i32) * factor).abs() + offset.abs(),
    };
    match quantity {
        Quantity::Cells => (2.0..=66.0).contains(&greatest),
        Quantity::PackVoltage => (12.0..=10_000.0).contains(&greatest),
        Quantity::PackCurrent => greatest <= 33_000.0,
        Quantity::Soc => (50.0..=1000.0).contains(&greatest),
        Quantity::Temperatures | Quantity::Ambient | Quantity::Coolant => greatest <= 1000.0,
        _ => true,
    }
}
