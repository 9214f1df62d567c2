//! Frames to rows, by a DBC file and the names of signals in it.

use super::dbc::{Dbc, Message};
use super::diagnostics::{Definition, Diagnostics};
use super::item::Item;
use super::signals::Signals;
use super::values::{Value, Values};
use super::{Assembler, Bus, Frame};
use crate::{Error, Quantity, Reading, Row, Skipped, Stamp, Unknown};
use std::collections::{BTreeMap, HashMap};

/// Most 29-bit identifiers that are counted apart; frames of further ones are not looked at.
const MAX_IDS: usize = 1 << 16;
/// An identifier that no frame had yet.
const NEW: u32 = u32::MAX;

/// Frames of one identifier.
struct Slot {
    id: u32,
    extended: bool,
    frames: u64,
    used: u64,
    items: Vec<usize>,
    /// Control units that answer with it.
    units: Vec<usize>,
    bus: Option<Bus>,
    other_bus: Option<Bus>,
}

/// Keeps the newest reading of every wanted signal.
pub struct Decoder {
    pub(super) messages: Vec<Message>,
    pub(super) items: Vec<Item>,
    seen: Vec<bool>,
    pub(super) values: Values,
    diagnostics: Option<Diagnostics>,
    slots: Vec<Slot>,
    standard: Vec<u32>,
    extended: HashMap<u32, u32>,
    discharge_positive: bool,
    sums_cells: bool,
    /// Of messages of J1939 that come in several frames, where a wanted signal may be in one.
    assembler: Option<Assembler>,
    /// Whether a wanted message came on two buses.
    mixed: bool,
    /// Source address of each wanted message of J1939.
    senders: HashMap<usize, u8>,
    /// Numbers of wanted signals that were taken for codes: how many, and the first.
    codes: BTreeMap<usize, (u64, i64)>,
    /// A wanted message that came from two of them.
    two_senders: Option<(usize, u8, u8)>,
    pub(super) warnings: Vec<String>,
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
        Self::with_diagnostics(dbc, signals, None)
    }

    /// Finds the signals in the file, and takes answers of control units beside them.
    ///
    /// # Errors
    /// As [`Self::new`]; and for a quantity that both would give.
    pub fn with_diagnostics(
        dbc: &Dbc,
        signals: &Signals,
        diagnostics: Option<Definition>,
    ) -> Result<Self, Error> {
        let mut decoder = Self {
            messages: dbc.messages.clone(),
            items: Vec::new(),
            seen: Vec::new(),
            values: Values::default(),
            diagnostics: None,
            slots: Vec::new(),
            standard: vec![NEW; 2048],
            extended: HashMap::new(),
            discharge_positive: signals.discharge_positive,
            sums_cells: signals.voltage.is_none(),
            assembler: None,
            mixed: false,
            senders: HashMap::new(),
            codes: BTreeMap::new(),
            two_senders: None,
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
        if let Some(definition) = diagnostics {
            decoder.add_diagnostics(definition)?;
        }
        if decoder.values.0.is_empty() {
            return Err(Error::mapping("signals", "no signal is named"));
        }
        decoder.seen = vec![false; decoder.items.len()];
        let is_long = |item: &Item| {
            let message = &decoder.messages[item.message];
            message.j1939 && message.size > 8
        };
        decoder.assembler = decoder.items.iter().any(is_long).then(Assembler::default);
        Ok(decoder)
    }

    /// Makes room for what a definition names.
    fn add_diagnostics(&mut self, definition: Definition) -> Result<(), Error> {
        let diagnostics = Diagnostics::new(definition);
        let max_age_ns = diagnostics.max_age_ns();
        let mut quantities = BTreeMap::<Quantity, usize>::new();
        for (quantity, count) in diagnostics.quantities() {
            let most = quantities.entry(quantity).or_default();
            *most = count.max(*most);
        }
        for (quantity, count) in quantities {
            if self.values.0.contains_key(&quantity) {
                let problem = format!(
                    "{quantity} is both a signal and in the definition of diagnostics: leave one out"
                );
                return Err(Error::mapping("signals", problem));
            }
            let none = Value::none(max_age_ns);
            self.values.0.insert(quantity, vec![none; count]);
            self.sums_cells &= quantity != Quantity::PackVoltage;
            // A definition states its own sign.
            self.discharge_positive &= quantity != Quantity::PackCurrent;
        }
        self.diagnostics = Some(diagnostics);
        Ok(())
    }

    /// Takes a frame in; true if a wanted signal is in it, or in the message that it makes whole.
    pub fn frame(&mut self, frame: &Frame) -> bool {
        let whole = self.assembler.as_mut().and_then(|assembler| assembler.take(frame));
        let used = whole.is_some_and(|whole| self.one_frame(&whole));
        self.one_frame(frame) | used
    }

    fn one_frame(&mut self, frame: &Frame) -> bool {
        let Some(slot) = self.slot(frame) else { return false };
        let slot = &mut self.slots[slot];
        slot.frames += 1;
        if (slot.items.is_empty() && slot.units.is_empty()) || !frame.has_data() {
            return false;
        }
        if slot.bus.is_none() {
            slot.bus = frame.bus;
        } else if slot.bus != frame.bus {
            slot.other_bus = slot.other_bus.or(frame.bus);
            self.mixed |= slot.other_bus.is_some();
        }
        let mut used = false;
        let data = frame.data();
        for at in &slot.items {
            let item = &self.items[*at];
            let message = &self.messages[item.message];
            if !message.is_present(item.signal, data) {
                continue;
            }
            let Some((place, mut reading)) = item.read(message, data) else { continue };
            if let (Ok(_), Some((codes, raw))) = (reading, item.raw_with_codes(message, data))
                && self.values.is_code(item.quantity, place, raw, codes)
            {
                reading = Err(Unknown::NotAvailable);
                self.codes.entry(*at).or_insert((0, raw)).0 += 1;
            }
            if self.values.set(item.quantity, place, reading, frame.time) {
                (used, self.seen[*at]) = (true, true);
            }
        }
        if let Some(diagnostics) = &mut self.diagnostics {
            for unit in &slot.units {
                used |= diagnostics.take(*unit, frame, &mut self.values);
            }
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
        let mut items: Vec<usize> =
            items.filter(|i| self.messages[self.items[*i].message].has_id(id, extended)).collect();
        items.retain(|item| {
            let message = self.items[*item].message;
            let first = self.senders.entry(message).or_insert(id as u8);
            let is_other = self.messages[message].j1939 && *first != id as u8;
            if is_other && self.two_senders.is_none() {
                self.two_senders = Some((message, *first, id as u8));
            }
            !is_other
        });
        let slot = self.slots.len();
        let units = self.diagnostics.as_ref().map_or_else(Vec::new, |of| of.units(id, extended));
        self.slots.push(Slot { id, extended, frames: 0, used: 0, items, units, bus: None, other_bus: None });
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
        if !self.values.0.values().flatten().any(fresh) {
            return None;
        }
        let reading = |value: &Value| match value.seen {
            Some(_) if !fresh(value) => Err(Unknown::Stale),
            _ => value.reading,
        };
        let list = |quantity| -> Vec<Reading> {
            self.values.0.get(&quantity).into_iter().flatten().map(reading).collect()
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
            charge_counter: Err(Unknown::NotSent),
        })
    }

    /// Forgets all readings: the clock was set, and their age is not known any more.
    pub fn restart(&mut self) {
        self.assembler = self.assembler.take().map(|_| Assembler::default());
        for value in self.values.0.values_mut().flatten() {
            (value.reading, value.seen) = (Err(Unknown::NotSent), None);
        }
    }

    /// Each wanted signal as quantity, `Message.Signal` and unit, in the order of the configuration.
    pub fn sources(&self) -> impl Iterator<Item = (Quantity, String, &str)> {
        let name = |item: &Item| self.full_name((item.message, item.signal));
        let signals = self.items.iter().map(move |item| (item.quantity, name(item), item.unit.as_str()));
        let answers = self.diagnostics.iter().flat_map(Diagnostics::sources);
        signals.chain(answers.map(|(quantity, source)| (quantity, source, "")))
    }

    /// Answers of control units that gave no values, counted by reason.
    #[must_use]
    pub fn lost(&self) -> Option<&Skipped> {
        self.diagnostics.as_ref().map(Diagnostics::lost)
    }

    /// Wanted signals that no frame had, as `Message.Signal`.
    #[must_use]
    pub fn never_seen(&self) -> Vec<String> {
        let unseen = self.items.iter().zip(&self.seen).filter(|(_, seen)| !**seen);
        let signals = unseen.map(|(item, _)| self.full_name((item.message, item.signal)));
        signals.chain(self.diagnostics.iter().flat_map(Diagnostics::never_seen)).collect()
    }

    /// Signals some of whose numbers were taken for codes: `Message.Signal`, how many, and the first one's bits.
    pub fn with_codes(&self) -> impl Iterator<Item = (String, u64, u64)> {
        self.codes.iter().map(|(at, (count, raw))| {
            let item = &self.items[*at];
            let size = self.messages[item.message].signals[item.signal].size;
            // A negative number's bits are those of the signal's size.
            (self.full_name((item.message, item.signal)), *count, *raw as u64 & (u64::MAX >> (64 - size)))
        })
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

    /// Whether there are such messages.
    #[must_use]
    pub const fn is_on_two_buses(&self) -> bool {
        self.mixed
    }

    /// A wanted message of J1939 that came from two source addresses, which are two devices: its name and both. Only the
    /// first one's frames are read.
    #[must_use]
    pub fn of_two_senders(&self) -> Option<(&str, u8, u8)> {
        let (message, one, other) = self.two_senders?;
        Some((&self.messages[message].name, one, other))
    }

    /// What a user should know, one sentence each.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
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
