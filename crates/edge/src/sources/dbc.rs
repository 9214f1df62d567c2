//! CAN frames to samples by a DBC file.

use crate::Error;
use can_dbc::{ByteOrder, Dbc, MessageId, MultiplexIndicator, Signal, ValueType};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;
use voltmesh_telemetry::{
    CentiPercent, Centidegrees, Charger, Contactor, MAX_CELLS, MAX_TEMPERATURES, Milliamps, Millivolts,
    Millivolts16, Sample, Timestamp,
};

/// Names of signals in the DBC file, in any message. Units after the DBC's factor and offset: V, A, °C, %.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Signals {
    /// Voltage of the pack. If there is none, the sum of the cells.
    pub voltage: Option<String>,
    /// Current of the pack.
    pub current: String,
    /// Whether positive current discharges. Default false.
    pub discharge_positive: bool,
    /// Voltages of the cells; `{}` in a name stands for 1, 2, … up to `cell_count`, `{:02}` for 01, 02, …
    pub cells: Vec<String>,
    /// See `cells`.
    pub cell_count: usize,
    /// Temperatures; `{}` as in `cells`.
    pub temperatures: Vec<String>,
    /// See `temperatures`.
    pub temperature_count: usize,
    /// State of charge.
    pub soc: Option<String>,
    /// Not zero: the main contactor is closed.
    pub contactor: Option<String>,
    /// Not zero: charging.
    pub charging: Option<String>,
}

/// `Cell{:02}` and 3 to `Cell01`, `Cell02`, `Cell03`; names without a placeholder stay.
fn expand(names: &[String], count: usize) -> Vec<String> {
    let mut all = Vec::new();
    for name in names {
        let Some((before, rest)) = name.split_once('{') else {
            all.push(name.clone());
            continue;
        };
        let Some((format, after)) = rest.split_once('}') else {
            all.push(name.clone());
            continue;
        };
        let width = format.trim_start_matches(":0").parse().unwrap_or(0);
        all.extend((1..=count).map(|n| format!("{before}{n:0width$}{after}")));
    }
    all
}

/// Which value of the sample a signal gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Voltage,
    Current,
    Cell(usize),
    Temperature(usize),
    Soc,
    Contactor,
    Charging,
}

/// Keeps the newest value of every signal.
pub struct Decoder {
    messages: HashMap<(u32, bool), Message>,
    cells: Vec<Option<f64>>,
    temperatures: Vec<Option<f64>>,
    voltage: Option<f64>,
    current: Option<f64>,
    soc: Option<f64>,
    contactor: Option<f64>,
    charging: Option<f64>,
    sign: f64,
    sums_cells: bool,
}

#[derive(Default)]
struct Message {
    selector: Option<Signal>,
    signals: Vec<(Slot, Signal)>,
}

impl Decoder {
    /// Reads a DBC file and finds the signals in it.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Source`] for a file that is no DBC or lacks a signal.
    pub fn open(path: &Path, signals: &Signals) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(Error::file(path, "reading"))?;
        let text =
            String::from_utf8(bytes).unwrap_or_else(|e| e.into_bytes().into_iter().map(char::from).collect());
        Self::new(&text, signals, &path.display().to_string())
    }

    /// The same from a text.
    ///
    /// # Errors
    /// See [`Decoder::open`].
    pub fn new(text: &str, signals: &Signals, place: &str) -> Result<Self, Error> {
        let dbc =
            Dbc::try_from(text).map_err(|e| Error::source(place, format!("this is no DBC file: {e}")))?;
        let cells = expand(&signals.cells, signals.cell_count);
        let temperatures = expand(&signals.temperatures, signals.temperature_count);
        if cells.len() > MAX_CELLS || temperatures.len() > MAX_TEMPERATURES {
            let problem =
                format!("at most {MAX_CELLS} cells and {MAX_TEMPERATURES} temperatures fit a sample");
            return Err(Error::config("source.signals", problem));
        }
        let mut wanted: Vec<(String, Slot)> = vec![(signals.current.clone(), Slot::Current)];
        let single = [
            (&signals.voltage, Slot::Voltage),
            (&signals.soc, Slot::Soc),
            (&signals.contactor, Slot::Contactor),
            (&signals.charging, Slot::Charging),
        ];
        wanted.extend(single.into_iter().filter_map(|(name, slot)| Some((name.clone()?, slot))));
        let (cell_count, temperature_count) = (cells.len(), temperatures.len());
        wanted.extend(cells.into_iter().enumerate().map(|(i, name)| (name, Slot::Cell(i))));
        wanted.extend(temperatures.into_iter().enumerate().map(|(i, name)| (name, Slot::Temperature(i))));

        let mut messages: HashMap<(u32, bool), Message> = HashMap::new();
        for (name, slot) in wanted {
            let found =
                dbc.messages.iter().find_map(|m| Some((m, m.signals.iter().find(|s| s.name == name)?)));
            let Some((message, signal)) = found else {
                return Err(Error::source(
                    place,
                    format!("there is no signal {name:?}: correct [source.signals]"),
                ));
            };
            let key = match message.id {
                MessageId::Standard(id) => (u32::from(id), false),
                MessageId::Extended(id) => (id, true),
            };
            let entry = messages.entry(key).or_default();
            let selects = |s: &&Signal| {
                matches!(
                    s.multiplexer_indicator,
                    MultiplexIndicator::Multiplexor | MultiplexIndicator::MultiplexorAndMultiplexedSignal(_)
                )
            };
            entry.selector = message.signals.iter().find(selects).cloned();
            entry.signals.push((slot, signal.clone()));
        }
        Ok(Self {
            messages,
            cells: vec![None; cell_count],
            temperatures: vec![None; temperature_count],
            voltage: None,
            current: None,
            soc: None,
            contactor: None,
            charging: None,
            sign: if signals.discharge_positive { -1.0 } else { 1.0 },
            sums_cells: signals.voltage.is_none(),
        })
    }

    /// Takes a frame in; false if no signal of it is of interest.
    pub fn frame(&mut self, id: u32, extended: bool, data: &[u8]) -> bool {
        let Some(message) = self.messages.get(&(id, extended)) else { return false };
        let selected = message.selector.as_ref().and_then(|s| raw(s, data));
        let mut used = false;
        for (slot, signal) in &message.signals {
            let shown = match signal.multiplexer_indicator {
                MultiplexIndicator::MultiplexedSignal(n)
                | MultiplexIndicator::MultiplexorAndMultiplexedSignal(n) => selected == Some(n),
                _ => true,
            };
            let Some(value) = Some(signal).filter(|_| shown).and_then(|s| physical(s, data)) else {
                continue;
            };
            used = true;
            match *slot {
                Slot::Voltage => self.voltage = Some(value),
                Slot::Current => self.current = Some(value),
                Slot::Cell(i) => self.cells[i] = Some(value),
                Slot::Temperature(i) => self.temperatures[i] = Some(value),
                Slot::Soc => self.soc = Some(value),
                Slot::Contactor => self.contactor = Some(value),
                Slot::Charging => self.charging = Some(value),
            }
        }
        used
    }

    /// The newest values as a sample; `None` until current, voltage and every cell are known.
    #[must_use]
    pub fn sample(&self, time: Timestamp) -> Option<Sample> {
        let cells = self.cells.iter().copied().collect::<Option<Vec<f64>>>()?;
        let volts = if self.sums_cells { cells.iter().sum() } else { self.voltage? };
        let state = |value: Option<f64>| value.map(|v| v != 0.0);
        Some(Sample {
            time,
            pack_voltage: Millivolts::from_base(volts)?,
            pack_current: Milliamps::from_base(self.current? * self.sign)?,
            cells: cells.into_iter().map(Millivolts16::from_base).collect::<Option<_>>()?,
            temperatures: self
                .temperatures
                .iter()
                .flatten()
                .filter_map(|t| Centidegrees::from_base(*t))
                .collect(),
            soc: self
                .soc
                .and_then(|s| CentiPercent::from_base(s.clamp(0.0, 100.0)))
                .unwrap_or(CentiPercent::UNKNOWN),
            contactor: match state(self.contactor) {
                Some(true) => Contactor::Closed,
                Some(false) => Contactor::Open,
                None => Contactor::Unknown,
            },
            charger: match state(self.charging) {
                Some(true) => Charger::Charging,
                Some(false) => Charger::Unplugged,
                None => Charger::Unknown,
            },
        })
    }
}

/// The signal's bits; `None` if the frame is too short. DBC counts bits from the least significant of byte 0; a
/// big-endian signal starts at its most significant bit and goes down, then to the next byte's bit 7.
fn raw(signal: &Signal, data: &[u8]) -> Option<u64> {
    let (start, size) = (usize::try_from(signal.start_bit).ok()?, usize::try_from(signal.size).ok()?);
    if !(1..=64).contains(&size) {
        return None;
    }
    let mut value = 0u64;
    match signal.byte_order {
        ByteOrder::LittleEndian => {
            for i in (0..size).rev() {
                let bit = start + i;
                value = (value << 1) | u64::from((data.get(bit / 8)? >> (bit % 8)) & 1);
            }
        }
        ByteOrder::BigEndian => {
            let (mut byte, mut bit) = (start / 8, start % 8);
            for _ in 0..size {
                value = (value << 1) | u64::from((data.get(byte)? >> bit) & 1);
                (byte, bit) = if bit == 0 { (byte + 1, 7) } else { (byte, bit - 1) };
            }
        }
    }
    Some(value)
}

fn physical(signal: &Signal, data: &[u8]) -> Option<f64> {
    let bits = raw(signal, data)?;
    let value = match signal.value_type {
        ValueType::Unsigned => bits as f64,
        // Shift the sign to bit 63 and back.
        ValueType::Signed => ((bits << (64 - signal.size)) as i64 >> (64 - signal.size)) as f64,
    };
    let value = value * signal.factor + signal.offset;
    value.is_finite().then_some(value)
}
