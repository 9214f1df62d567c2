//! Frames to rows, by a DBC file and the names of signals in it.

use super::dbc::{Dbc, Message, units};
use super::signals::{Corrected, Signals, Wanted};
use super::{Bus, Frame};
use crate::{Error, Quantity, Reading, Row, Stamp, Unknown};
use std::collections::{BTreeMap, HashMap};

/// Age above which a value is stale if its message has no cycle time, in ms.
const MAX_AGE_MS: u64 = 10_000;
/// Least age limit by a cycle time, in ms.
const MIN_AGE_MS: f64 = 2000.0;
/// Most 29-bit identifiers that are counted apart; frames of further ones are not looked at.
const MAX_IDS: usize = 1 << 16;
/// Most cells or temperatures.
const MAX_VALUES: usize = 1024;
/// An identifier that no frame had yet.
const NEW: u32 = u32::MAX;

/// A wanted signal.
struct Item {
    quantity: Quantity,
    /// Place among cells or temperatures; 0 otherwise.
    place: usize,
    message: usize,
    signal: usize,
    /// Signal that gives a number to be added to `place`: its place in the message, first number, step.
    index: Option<(usize, i64, i64)>,
    /// From raw values to the base unit, instead of from the file's physical ones.
    corrected: bool,
    factor: f64,
    offset: f64,
    max_age_ns: u64,
}

/// The last reading of a quantity.
#[derive(Clone, Copy)]
struct Value {
    reading: Reading,
    seen: Option<Stamp>,
    max_age_ns: u64,
}

/// Frames of one identifier.
struct Slot {
    id: u32,
    extended: bool,
    frames: u64,
    used: u64,
    items: Vec<usize>,
    bus: Option<Bus>,
    other_bus: Option<Bus>,
}

/// Keeps the newest reading of every wanted signal.
pub struct Decoder {
    messages: Vec<Message>,
    items: Vec<Item>,
    seen: Vec<bool>,
    values: BTreeMap<Quantity, Vec<Value>>,
    slots: Vec<Slot>,
    standard: Vec<u32>,
    extended: HashMap<u32, u32>,
    discharge_positive: bool,
    sums_cells: bool,
    warnings: Vec<String>,
}

/// Frames of one identifier, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Identifier.
    pub id: u32,
    /// Whether it has 29 bits.
    pub extended: bool,
    /// Frames in all.
    pub frames: u64,
    /// Frames that gave a wanted signal.
    pub used: u64,
}

impl Decoder {
    /// Finds the signals in the file.
    ///
    /// # Errors
    /// [`Error::Mapping`] for a signal that the file does not have or has in two messages, a unit that is not
    /// understood, and a number of cells that does not fit.
    pub fn new(dbc: &Dbc, signals: &Signals) -> Result<Self, Error> {
        let mut decoder = Self {
            messages: dbc.messages.clone(),
            items: Vec::new(),
            seen: Vec::new(),
            values: BTreeMap::new(),
            slots: Vec::new(),
            standard: vec![NEW; 2048],
            extended: HashMap::new(),
            discharge_positive: signals.discharge_positive,
            sums_cells: signals.voltage.is_none(),
            warnings: Vec::new(),
        };
        let single = [
            (&signals.voltage, Quantity::PackVoltage),
            (&signals.current, Quantity::PackCurrent),
            (&signals.soc, Quantity::Soc),
            (&signals.contactor, Quantity::Contactor),
            (&signals.charging, Quantity::Charging),
            (&signals.insulation, Quantity::Insulation),
            (&signals.ambient, Quantity::Ambient),
            (&signals.coolant, Quantity::Coolant),
            (&signals.speed, Quantity::Speed),
        ];
        for (wanted, quantity) in single {
            if let Some(wanted) = wanted {
                decoder.add(quantity, 0, &wanted.corrected())?;
            }
        }
        for (wanted, count, quantity) in [
            (&signals.cells, signals.cell_count, Quantity::Cells),
            (&signals.temperatures, signals.temperature_count, Quantity::Temperatures),
        ] {
            for (place, signal) in decoder.expand(wanted, count, quantity)?.into_iter().enumerate() {
                decoder.add(quantity, place, &signal)?;
            }
        }
        decoder.add_indexed(signals)?;
        if decoder.items.is_empty() {
            return Err(Error::mapping("signals", "no signal is named"));
        }
        decoder.seen = vec![false; decoder.items.len()];
        Ok(decoder)
    }

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

    fn full_name(&self, (message, signal): (usize, usize)) -> String {
        let message = &self.messages[message];
        format!("{}.{}", message.name, message.signals[signal].name)
    }

    fn has(&self, name: &str) -> bool {
        let bare = name.split_once('.').map_or(name, |(_, signal)| signal);
        self.messages.iter().any(|m| m.signals.iter().any(|s| s.name == bare))
    }

    fn expand(&self, wanted: &[Wanted], count: usize, quantity: Quantity) -> Result<Vec<Corrected>, Error> {
        let mut all = Vec::new();
        for wanted in wanted {
            let corrected = wanted.corrected();
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

    fn add(&mut self, quantity: Quantity, place: usize, wanted: &Corrected) -> Result<(), Error> {
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
        let unit = wanted.unit.as_deref().unwrap_or(&definition.unit);
        // A step in the unit and a factor may mean the same step twice.
        let twice =
            wanted.unit.is_none() && factor != 1.0 && unit.trim().starts_with(|c: char| c.is_ascii_digit());
        let scale = if unit.trim().is_empty() {
            self.warnings.push(format!(
                "{name} has no unit in the DBC file and is taken as in {:?}",
                quantity.base_unit()
            ));
            plausible(quantity, definition, factor, offset).then_some((1.0, 0.0))
        } else {
            units::scale(unit, quantity).filter(|_| !twice)
        };
        let (unit_factor, unit_offset) = scale.ok_or_else(|| {
            let problem = format!(
                "the unit {unit:?} of {name} is not understood for {quantity}: give `unit`, as {{ signal = {:?}, unit = {:?} }}",
                wanted.signal,
                quantity.base_unit()
            );
            Error::mapping("signals", problem)
        })?;
        let cycle = definition.cycle_ms.or(owner.cycle_ms).map(|ms| (5.0 * ms).max(MIN_AGE_MS) as u64);
        let max_age_ns = wanted.max_age_ms.or(cycle).unwrap_or(MAX_AGE_MS).saturating_mul(1_000_000);
        let (factor, offset) = if corrected {
            (factor * unit_factor, offset * unit_factor + unit_offset)
        } else {
            (unit_factor, unit_offset)
        };
        self.items.push(Item {
            quantity,
            place,
            message,
            signal,
            index: None,
            corrected,
            factor,
            offset,
            max_age_ns,
        });
        self.make_room(quantity, place + 1, max_age_ns);
        Ok(())
    }

    fn make_room(&mut self, quantity: Quantity, count: usize, max_age_ns: u64) {
        let values = self.values.entry(quantity).or_default();
        let none = Value { reading: Err(Unknown::NotSent), seen: None, max_age_ns };
        values.resize(values.len().max(count), none);
        values[count - 1].max_age_ns = max_age_ns;
    }

    fn add_indexed(&mut self, signals: &Signals) -> Result<(), Error> {
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
        self.values.entry(Quantity::Cells).or_default().truncate(signals.cell_count);
        Ok(())
    }

    /// Takes a frame in; true if a wanted signal is in it.
    pub fn frame(&mut self, frame: &Frame) -> bool {
        let Some(slot) = self.slot(frame) else { return false };
        let slot = &mut self.slots[slot];
        slot.frames += 1;
        if slot.items.is_empty() || !frame.has_data() {
            return false;
        }
        if slot.bus.is_none() {
            slot.bus = frame.bus;
        } else if slot.bus != frame.bus {
            slot.other_bus = slot.other_bus.or(frame.bus);
        }
        let mut used = false;
        let data = frame.data();
        for at in &slot.items {
            let item = &self.items[*at];
            let message = &self.messages[item.message];
            if !message.is_present(item.signal, data) {
                continue;
            }
            let Some((place, reading)) = item.read(message, data) else { continue };
            let Some(value) = self.values.get_mut(&item.quantity).and_then(|v| v.get_mut(place)) else {
                continue;
            };
            (value.reading, value.seen) = (reading, Some(frame.time));
            (used, self.seen[*at]) = (true, true);
        }
        slot.used += u64::from(used);
        used
    }

    /// The place of the frames with this identifier.
    fn slot(&mut self, frame: &Frame) -> Option<usize> {
        let known = if frame.extended {
            self.extended.get(&frame.id).copied()
        } else {
            Some(*self.standard.get(frame.id as usize)?).filter(|slot| *slot != NEW)
        };
        if let Some(slot) = known {
            return Some(slot as usize);
        }
        if frame.extended && self.extended.len() >= MAX_IDS {
            return None;
        }
        let (id, extended) = (frame.id, frame.extended);
        let items = 0..self.items.len();
        let items = items.filter(|i| self.messages[self.items[*i].message].has_id(id, extended)).collect();
        let slot = self.slots.len();
        self.slots.push(Slot { id, extended, frames: 0, used: 0, items, bus: None, other_bus: None });
        if extended {
            self.extended.insert(id, slot as u32);
        } else {
            self.standard[id as usize] = slot as u32;
        }
        Some(slot)
    }

    /// The newest readings at a moment; `None` while no wanted signal is fresh.
    #[must_use]
    pub fn row(&self, now: Stamp) -> Option<Row> {
        let fresh = |value: &Value| value.seen.is_some_and(|seen| is_fresh(seen, now, value.max_age_ns));
        if !self.values.values().flatten().any(fresh) {
            return None;
        }
        let reading = |value: &Value| match value.seen {
            Some(_) if !fresh(value) => Err(Unknown::Stale),
            _ => value.reading,
        };
        let list = |quantity| -> Vec<Reading> {
            self.values.get(&quantity).into_iter().flatten().map(reading).collect()
        };
        let single = |quantity| list(quantity).first().copied().unwrap_or(Err(Unknown::NotSent));
        let cells = list(Quantity::Cells);
        let pack_voltage = if self.sums_cells && !cells.is_empty() {
            cells.iter().copied().sum()
        } else {
            single(Quantity::PackVoltage)
        };
        let current = single(Quantity::PackCurrent);
        Some(Row {
            time: now,
            pack_voltage,
            pack_current: if self.discharge_positive {
                current.map(|amperes| 0.0 - amperes)
            } else {
                current
            },
            soc: single(Quantity::Soc),
            cells,
            temperatures: list(Quantity::Temperatures),
            contactor: single(Quantity::Contactor),
            charging: single(Quantity::Charging),
            insulation: single(Quantity::Insulation),
            ambient: single(Quantity::Ambient),
            coolant: single(Quantity::Coolant),
            speed: single(Quantity::Speed),
        })
    }

    /// Wanted signals that no frame had, as `Message.Signal`.
    #[must_use]
    pub fn never_seen(&self) -> Vec<String> {
        let unseen = self.items.iter().zip(&self.seen).filter(|(_, seen)| !**seen);
        unseen.map(|(item, _)| self.full_name((item.message, item.signal))).collect()
    }

    /// Frames by identifier, in the order of their first.
    pub fn counted(&self) -> impl Iterator<Item = Counted> {
        self.slots.iter().map(|s| Counted { id: s.id, extended: s.extended, frames: s.frames, used: s.used })
    }

    /// Wanted messages that came on two buses, as identifier and buses: the readings may be of two devices, and a
    /// caller must ask which bus is meant.
    pub fn on_two_buses(&self) -> impl Iterator<Item = (u32, Option<Bus>, Bus)> {
        self.slots.iter().filter_map(|slot| Some((slot.id, slot.bus, slot.other_bus?)))
    }

    /// What a user should know, one sentence each.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl Item {
    /// Place and reading; `None` if the frame is too short or its number is of no cell.
    fn read(&self, message: &Message, data: &[u8]) -> Option<(usize, Reading)> {
        let signal = message.signals.get(self.signal)?;
        let mut place = self.place;
        if let Some((index, first, step)) = self.index {
            let number = message.signals.get(index)?.physical(data)?;
            let at = (number as i64).checked_sub(first)?.checked_mul(step)?.checked_add(place as i64)?;
            place = usize::try_from(at).ok()?;
        }
        let judged = signal.read(data, message.j1939)?;
        let reading = match judged {
            Ok(_) if matches!(self.quantity, Quantity::Contactor) => {
                let raw = signal.raw(data)?.as_f64();
                let word = signal.values.get(&(raw as i64)).map(|word| word.to_lowercase());
                match word.as_deref() {
                    Some(word) if word.contains("open") => Ok(0.0),
                    Some(word) if word.contains("clos") => Ok(1.0),
                    _ => Ok(raw),
                }
            }
            Ok(_) if self.corrected => Ok(signal.raw(data)?.as_f64() * self.factor + self.offset),
            Ok(value) => Ok(value * self.factor + self.offset),
            Err(cause) => Err(cause),
        };
        Some((place, reading.and_then(|v| if v.is_finite() { Ok(v) } else { Err(Unknown::OutOfRange) })))
    }
}

/// Whether the greatest value that a signal without unit can have fits its quantity's base unit.
fn plausible(quantity: Quantity, signal: &super::dbc::Signal, factor: f64, offset: f64) -> bool {
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

fn is_fresh(seen: Stamp, now: Stamp, max_age_ns: u64) -> bool {
    match (seen, now) {
        (Stamp::Unix(seen), Stamp::Unix(now)) | (Stamp::Relative(seen), Stamp::Relative(now)) => {
            seen.abs_diff(now) <= max_age_ns
        }
        _ => false,
    }
}
