//! The bytes of a sample that are hashed: each sample has one encoding, in the first [`Format`] that can say it.
//!
//! Format 1, little-endian: `time u64, pack mV u32, pack mA i32, soc u16, contactor u8, charger u8, cells u16,
//! temperatures u16`, then each cell `u16`, then each temperature `i16`.
//!
//! Format 2 goes on after it: `optional u8`, whose bits 0 to 3 say that a quantity follows (one that is not sent does not):
//! `insulation Ω u32, ambient i16, coolant i16, speed u16`; then `channels u8` and for each
//! `name's length u8, name, unit's length u8, unit, mantissa u16, exponent i8, count i32`. Definitions stand in each
//! record's bytes, since a proof of one record must say what its numbers mean; in a batch they travel once.
//!
//! In format 1, what is now the code of an unknown value was a number, although none that a pack has. It is read as out of
//! range, and the bytes that were signed are kept ([`Original`]), so that the record still verifies.

use super::{Charger, Contactor, Format, MAX_CELLS, MAX_TEMPERATURES, Record, Sample};
use crate::{
    CentiKilometersPerHour, CentiPercent, Centidegrees, Channel, ChannelCount, ChannelValue, Error,
    MAX_CHANNELS, Milliamps, Millivolts, Millivolts16, Ohms, RecordNumber, Resolution, Timestamp, Unknown,
};
use std::sync::Arc;

/// Version and number, before the sample.
const RECORD_HEAD: usize = 9;
/// The sample's fixed part.
const SAMPLE_HEAD: usize = 24;
/// Most bytes of the optional quantities and the number of channels.
const OPTIONAL: usize = 1 + 4 + 2 + 2 + 2 + 1;

/// The bytes of format 1 that a sample was read from, if they hold numbers that are codes now; else nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Original(Option<Arc<[u8]>>);

impl Original {
    /// Whether there are any.
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// The sample's bytes in format 1.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        self.0.as_deref()
    }
}

/// A number that format 1 holds and no pack has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginalNumber {
    /// Pack voltage in mV.
    PackVoltage(u32),
    /// Pack current in mA.
    PackCurrent(i32),
    /// A cell in mV.
    Cell(usize, u16),
    /// A temperature in 0.01 °C.
    Temperature(usize, i16),
}

impl Sample {
    /// Appends the bytes that are hashed.
    pub fn canonical(&self, out: &mut Vec<u8>) {
        match self.original.bytes() {
            Some(original) => out.extend_from_slice(original),
            None => {
                self.first_part(out);
                if self.format() == Format::Two {
                    self.second_part(out);
                }
            }
        }
    }

    fn first_part(&self, out: &mut Vec<u8>) {
        let mut head = [0; SAMPLE_HEAD];
        head[..8].copy_from_slice(&self.time.as_millis().to_le_bytes());
        head[8..12].copy_from_slice(&self.pack_voltage.get().to_le_bytes());
        head[12..16].copy_from_slice(&self.pack_current.get().to_le_bytes());
        head[16..18].copy_from_slice(&self.soc.get().to_le_bytes());
        head[18] = self.contactor as u8;
        head[19] = self.charger as u8;
        head[20..22].copy_from_slice(&(self.cells.len() as u16).to_le_bytes());
        head[22..].copy_from_slice(&(self.temperatures.len() as u16).to_le_bytes());
        out.extend_from_slice(&head);
        let start = out.len();
        out.resize(start + 2 * self.values(), 0);
        let (cells, temperatures) = out[start..].split_at_mut(2 * self.cells.len());
        for (bytes, cell) in cells.chunks_exact_mut(2).zip(&self.cells) {
            bytes.copy_from_slice(&cell.get().to_le_bytes());
        }
        for (bytes, temperature) in temperatures.chunks_exact_mut(2).zip(&self.temperatures) {
            bytes.copy_from_slice(&temperature.get().to_le_bytes());
        }
    }

    fn second_part(&self, out: &mut Vec<u8>) {
        let sent = |cause: Option<Unknown>| cause != Some(Unknown::NotSent);
        let (insulation, ambient) = (sent(self.insulation.cause()), sent(self.ambient.cause()));
        let (coolant, speed) = (sent(self.coolant.cause()), sent(self.speed.cause()));
        let bits = [insulation, ambient, coolant, speed].into_iter().zip(0..);
        out.push(bits.map(|(is, bit)| u8::from(is) << bit).sum());
        if insulation {
            out.extend(self.insulation.get().to_le_bytes());
        }
        if ambient {
            out.extend(self.ambient.get().to_le_bytes());
        }
        if coolant {
            out.extend(self.coolant.get().to_le_bytes());
        }
        if speed {
            out.extend(self.speed.get().to_le_bytes());
        }
        out.push(self.channels.len() as u8);
        for ChannelValue { channel, count } in &self.channels {
            for text in [channel.name(), channel.unit()] {
                out.push(text.len() as u8);
                out.extend_from_slice(text.as_bytes());
            }
            out.extend(channel.resolution().mantissa().to_le_bytes());
            out.extend(channel.resolution().exponent().to_le_bytes());
            out.extend(count.get().to_le_bytes());
        }
    }

    /// Reads a sample's part of format 1; its codes are not interpreted.
    fn read_first_part(bytes: &mut Bytes<'_>) -> Result<Self, Error> {
        let time = Timestamp::from_millis(bytes.u64()?);
        let pack_voltage = Millivolts::new(bytes.u32()?);
        let pack_current = Milliamps::new(bytes.u32()? as i32);
        let soc = CentiPercent::new(bytes.u16()?);
        let [contactor, charger] = bytes.fixed()?;
        let contactor = Contactor::from_code(contactor).ok_or(bytes.malformed("unknown contactor state"))?;
        let charger = Charger::from_code(charger).ok_or(bytes.malformed("unknown charger state"))?;
        let (cells, temperatures) = (usize::from(bytes.u16()?), usize::from(bytes.u16()?));
        Error::limit("sample's cells", cells, MAX_CELLS)?;
        Error::limit("sample's temperatures", temperatures, MAX_TEMPERATURES)?;
        let lists = bytes.take(2 * (cells + temperatures))?;
        let mut values = lists.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        let cells = values.by_ref().take(cells).map(Millivolts16::new).collect();
        let temperatures = values.map(|value| Centidegrees::new(value as i16)).collect();
        let numbers = Self {
            time,
            pack_voltage,
            pack_current,
            soc,
            contactor,
            charger,
            cells,
            temperatures,
            ..Self::default()
        };
        Ok(numbers)
    }

    fn read_second_part(&mut self, bytes: &mut Bytes<'_>) -> Result<(), Error> {
        let [optional] = bytes.fixed()?;
        if optional >> 4 != 0 {
            return Err(bytes.malformed("unknown optional quantity"));
        }
        let has = |bit: u8| optional >> bit & 1 == 1;
        if has(0) {
            self.insulation = Ohms::new(bytes.u32()?);
        }
        if has(1) {
            self.ambient = Centidegrees::new(bytes.u16()? as i16);
        }
        if has(2) {
            self.coolant = Centidegrees::new(bytes.u16()? as i16);
        }
        if has(3) {
            self.speed = CentiKilometersPerHour::new(bytes.u16()?);
        }
        let [channels] = bytes.fixed()?;
        Error::limit("sample's channels", usize::from(channels), MAX_CHANNELS)?;
        for _ in 0..channels {
            let (name, unit) = (bytes.text()?, bytes.text()?);
            let mantissa = bytes.u16()?;
            let [exponent] = bytes.fixed()?;
            let channel = Channel::new(name, unit, Resolution::new(mantissa, exponent as i8)?)?;
            let count = ChannelCount::new(bytes.u32()? as i32);
            self.channels.push(ChannelValue { channel: Arc::new(channel), count });
        }
        Ok(())
    }

    /// A sample whose numbers were read from format 1: those that are codes now are out of range, and the bytes are kept.
    pub(crate) fn of_format_1(mut self) -> Result<Self, Error> {
        if self.soc > CentiPercent::FULL && self.soc != CentiPercent::UNKNOWN {
            return Err(Error::Inconsistent { what: "sample", why: "state of charge is over 100 %" });
        }
        if self.format() == Format::Two {
            let mut bytes = Vec::with_capacity(Self::bytes_in_format_1(self.values()));
            self.first_part(&mut bytes);
            self.original = Original(Some(bytes.into()));
            if !self.pack_voltage.is_known() {
                self.pack_voltage = Millivolts::unknown(Unknown::OutOfRange);
            }
            if !self.pack_current.is_known() {
                self.pack_current = Milliamps::unknown(Unknown::OutOfRange);
            }
            for cell in self.cells.iter_mut().filter(|cell| !cell.is_known()) {
                *cell = Millivolts16::unknown(Unknown::OutOfRange);
            }
            for value in self.temperatures.iter_mut().filter(|value| !value.is_known()) {
                *value = Centidegrees::unknown(Unknown::OutOfRange);
            }
        }
        Ok(self)
    }

    /// Bytes in format 1 of a sample with so many cells and temperatures.
    pub(crate) const fn bytes_in_format_1(values: usize) -> usize {
        SAMPLE_HEAD + 2 * values
    }

    /// Reads a sample's bytes of format 1.
    pub(crate) fn from_format_1(bytes: &[u8]) -> Result<Self, Error> {
        let mut bytes = Bytes { all: bytes, at: 0 };
        let sample = Self::read_first_part(&mut bytes)?;
        bytes.finish()?;
        sample.of_format_1()
    }

    pub(super) fn is_what_its_original_says(&self) -> bool {
        self.original.bytes().is_some_and(|bytes| Self::from_format_1(bytes).is_ok_and(|said| said == *self))
    }

    /// The numbers of a sample of format 1 that no pack has, and that are read as out of range.
    pub fn original_numbers(&self) -> Vec<OriginalNumber> {
        let read = |bytes| Self::read_first_part(&mut Bytes { all: bytes, at: 0 }).ok();
        let Some(said) = self.original.bytes().and_then(read) else { return Vec::new() };
        let voltage =
            (!said.pack_voltage.is_known()).then(|| OriginalNumber::PackVoltage(said.pack_voltage.get()));
        let current =
            (!said.pack_current.is_known()).then(|| OriginalNumber::PackCurrent(said.pack_current.get()));
        let cells = said.cells.iter().enumerate().filter(|(_, cell)| !cell.is_known());
        let temperatures = said.temperatures.iter().enumerate().filter(|(_, value)| !value.is_known());
        let cells = cells.map(|(at, cell)| OriginalNumber::Cell(at, cell.get()));
        let temperatures = temperatures.map(|(at, value)| OriginalNumber::Temperature(at, value.get()));
        voltage.into_iter().chain(current).chain(cells).chain(temperatures).collect()
    }

    /// The sample of format 1 that holds these numbers where this one is out of range.
    pub fn with_original_numbers(mut self, numbers: &[OriginalNumber]) -> Result<Self, Error> {
        let absent = Error::Inconsistent { what: "sample", why: "it has no such cell or sensor" };
        for number in numbers {
            match *number {
                OriginalNumber::PackVoltage(value) => self.pack_voltage = Millivolts::new(value),
                OriginalNumber::PackCurrent(value) => self.pack_current = Milliamps::new(value),
                OriginalNumber::Cell(at, value) => {
                    *self.cells.get_mut(at).ok_or(absent.clone())? = Millivolts16::new(value);
                }
                OriginalNumber::Temperature(at, value) => {
                    *self.temperatures.get_mut(at).ok_or(absent.clone())? = Centidegrees::new(value);
                }
            }
        }
        self.of_format_1()
    }
}

impl Record {
    /// Longest canonical bytes: 33 of the heads, 1,280 of cells and temperatures, 12 of optional quantities, 1,824 of
    /// channels.
    pub const MAX_BYTES: usize = RECORD_HEAD
        + SAMPLE_HEAD
        + 2 * (MAX_CELLS + MAX_TEMPERATURES)
        + OPTIONAL
        + MAX_CHANNELS * Channel::MAX_BYTES;

    /// Appends the bytes that are hashed: `format u8, number u64 (little-endian)`, then the sample's.
    pub fn canonical(&self, out: &mut Vec<u8>) {
        let mut head = [self.sample.format() as u8; RECORD_HEAD];
        head[1..].copy_from_slice(&self.number.get().to_le_bytes());
        out.extend_from_slice(&head);
        self.sample.canonical(out);
    }

    /// The bytes that are hashed.
    pub fn to_canonical(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        self.canonical(&mut out);
        out
    }

    /// Reads canonical bytes; anything else is an error, so each record has one encoding.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, Error> {
        Error::limit("record", bytes.len(), Self::MAX_BYTES)?;
        let mut bytes = Bytes { all: bytes, at: 0 };
        let [version] = bytes.fixed()?;
        let number = RecordNumber::new(bytes.u64()?);
        let mut sample = Sample::read_first_part(&mut bytes)?;
        match version {
            1 => sample = sample.of_format_1()?,
            2 => {
                sample.read_second_part(&mut bytes)?;
                if sample.format() == Format::One {
                    return Err(bytes.malformed("format 2 for what format 1 says"));
                }
            }
            _ => return Err(Error::Malformed { what: "record", at: 0, why: "unknown version" }),
        }
        bytes.finish()?;
        sample.check()?;
        let record = Self { number, sample };
        // What was not sent can be said in two ways, of which one is canonical.
        if version == 2 && record.to_canonical() != bytes.all {
            return Err(bytes.malformed("not the one encoding of this record"));
        }
        Ok(record)
    }
}

/// A record's bytes, read from the front.
struct Bytes<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    fn malformed(&self, why: &'static str) -> Error {
        Error::Malformed { what: "record", at: self.at, why }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let taken = self.all.get(self.at..self.at + len).ok_or(self.malformed("ends early"))?;
        self.at += len;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn u16(&mut self) -> Result<u16, Error> {
        self.fixed().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        self.fixed().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Error> {
        self.fixed().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<&'a str, Error> {
        let [len] = self.fixed()?;
        let text = self.take(usize::from(len))?;
        std::str::from_utf8(text).map_err(|_| self.malformed("text is not UTF-8"))
    }

    fn finish(&self) -> Result<(), Error> {
        if self.at == self.all.len() { Ok(()) } else { Err(self.malformed("bytes follow the end")) }
    }
}
