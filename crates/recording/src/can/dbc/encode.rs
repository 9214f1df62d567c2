//! Physical values to bits of a frame: what [`Signal::physical`] reads is what was written.

use super::{Message, Number, Signal};
use std::collections::BTreeMap;

/// Why a value cannot be written into a frame.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// The message has no signal of that name.
    #[error("message {message} has no signal {signal}")]
    NoSignal {
        /// Which message.
        message: String,
        /// Which signal.
        signal: String,
    },
    /// The signal is multiplexed, and its selector has another value.
    #[error(
        "signal {signal} is not in a frame whose selector has that value: give the selector's value, too"
    )]
    NotSelected {
        /// Which signal.
        signal: String,
    },
    /// Beyond what the signal's bits, or the range that the file states, can say.
    #[error("signal {signal} cannot say {value}: it says {least} to {greatest}")]
    OutOfRange {
        /// Which signal.
        signal: String,
        /// What was to be written.
        value: f64,
        /// The least physical value.
        least: f64,
        /// The greatest physical value.
        greatest: f64,
    },
    /// The bits mean something else: "not available", or a word of the signal's table for an error.
    #[error("signal {signal} cannot say {value}: those bits mean that there is no value")]
    Reserved {
        /// Which signal.
        signal: String,
        /// What was to be written.
        value: f64,
    },
    /// The message is too short for the signal.
    #[error("signal {signal} lies beyond its message's {size} bytes")]
    TooShort {
        /// Which signal.
        signal: String,
        /// Bytes of the message.
        size: u64,
    },
}

/// To which of two neighbouring values that a signal can say a value is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// The nearer one.
    Nearest,
    /// The lower one: a limit is not exceeded.
    Down,
}

/// A value that is less than so much of a step below one that the signal can say is that one: 51 × 0.1 is not quite 5.1.
const EXACT: f64 = 1e-6;

impl Signal {
    /// Least and greatest physical value: of its bits, and within the range that the file states.
    #[must_use]
    pub fn bounds(&self) -> (f64, f64) {
        let (low, high) = match self.number {
            Number::Unsigned => (0.0, (u64::MAX >> (64 - self.size)) as f64),
            Number::Signed => {
                let half = 2f64.powi(self.size as i32 - 1);
                (-half, half - 1.0)
            }
            Number::Float => (f64::from(f32::MIN), f64::from(f32::MAX)),
            Number::Double => (f64::MIN, f64::MAX),
        };
        let (a, b) = (low * self.factor + self.offset, high * self.factor + self.offset);
        let (least, greatest) = (a.min(b), a.max(b));
        self.range.map_or((least, greatest), |(from, to)| (least.max(from), greatest.min(to)))
    }

    /// The bits of a physical value in the file's unit.
    ///
    /// # Errors
    /// [`EncodeError::OutOfRange`].
    pub fn encode(&self, value: f64, rounding: Rounding) -> Result<u64, EncodeError> {
        let (least, greatest) = self.bounds();
        // The bounds may be rounded to a step, as for reading.
        let slack = match self.number {
            Number::Unsigned | Number::Signed => self.factor.abs() / 2.0,
            Number::Float | Number::Double => 0.0,
        } + 1e-9 * greatest.abs().min(1e9);
        let refused = || EncodeError::OutOfRange { signal: self.name.clone(), value, least, greatest };
        // Not: NaN is not within anything.
        if !(value >= least - slack && value <= greatest + slack) || self.factor == 0.0 {
            return Err(refused());
        }
        let raw = (value - self.offset) / self.factor;
        match self.number {
            Number::Float => Ok(u64::from((raw as f32).to_bits())),
            Number::Double => Ok(raw.to_bits()),
            Number::Unsigned | Number::Signed => {
                let whole = match rounding {
                    Rounding::Nearest => raw.round(),
                    Rounding::Down if self.factor > 0.0 => (raw + EXACT).floor(),
                    Rounding::Down => (raw - EXACT).ceil(),
                };
                self.whole_bits(whole).ok_or_else(refused)
            }
        }
    }

    /// The bits of a whole raw number, if there are enough of them.
    fn whole_bits(&self, whole: f64) -> Option<u64> {
        let mask = u64::MAX >> (64 - self.size);
        // 2^63 and 2^64 are exact; casts of what is below them are, too.
        if self.number == Number::Signed {
            let half = 2f64.powi(self.size as i32 - 1);
            return (-half <= whole && whole < half).then_some(whole as i64 as u64 & mask);
        }
        (0.0 <= whole && whole < 2f64.powi(self.size as i32)).then_some(whole as u64)
    }

    /// Puts the signal's bits into a frame, whose other bits stay. Returns whether the frame is long enough; if not, nothing
    /// is changed.
    #[must_use]
    pub fn put_bits(&self, data: &mut [u8], bits: u64) -> bool {
        let places = self.places();
        if places.clone().any(|place| place / 8 >= data.len()) {
            return false;
        }
        for (bit, place) in places.enumerate() {
            let one = 1u8 << (place % 8);
            if bits >> bit & 1 == 1 {
                data[place / 8] |= one;
            } else {
                data[place / 8] &= !one;
            }
        }
        true
    }

    /// Places of the signal's bits in a frame, the least significant one first, counted from the least significant bit of
    /// byte 0.
    fn places(&self) -> impl Iterator<Item = usize> + Clone {
        let (start, size, big_endian) = (self.start, self.size, self.big_endian);
        // Counted through bytes from their highest bit, a big-endian signal's bits follow each other.
        let first = start / 8 * 8 + (7 - start % 8);
        (0..size).map(move |bit| {
            if !big_endian {
                return start + bit;
            }
            let counted = first + size - 1 - bit;
            counted / 8 * 8 + (7 - counted % 8)
        })
    }
}

impl Message {
    /// A frame's data with these physical values, each rounded to the nearest that its signal can say; all other bits are 0.
    ///
    /// # Errors
    /// [`EncodeError`] names the signal.
    pub fn encode(&self, values: &BTreeMap<&str, f64>) -> Result<Vec<u8>, EncodeError> {
        let mut data = vec![0; usize::try_from(self.size).unwrap_or(usize::MAX).min(64)];
        let mut written = Vec::with_capacity(values.len());
        for (name, value) in values {
            let index = self.signals.iter().position(|signal| signal.name == **name);
            let index = index.ok_or_else(|| EncodeError::NoSignal {
                message: self.name.clone(),
                signal: (*name).to_owned(),
            })?;
            let signal = &self.signals[index];
            let bits = signal.encode(*value, Rounding::Nearest)?;
            if !signal.put_bits(&mut data, bits) {
                return Err(EncodeError::TooShort { signal: signal.name.clone(), size: self.size });
            }
            written.push((index, *value));
        }
        written.iter().try_for_each(|(index, value)| self.says(*index, *value, &data))?;
        Ok(data)
    }

    /// Whether a frame says a value of a signal, and not that there is none.
    ///
    /// # Errors
    /// [`EncodeError::NotSelected`], [`EncodeError::Reserved`].
    pub fn says(&self, index: usize, value: f64, data: &[u8]) -> Result<(), EncodeError> {
        let Some(signal) = self.signals.get(index) else { return Ok(()) };
        if !self.is_present(index, data) {
            return Err(EncodeError::NotSelected { signal: signal.name.clone() });
        }
        match signal.read(data, self.j1939) {
            Some(Ok(_)) => Ok(()),
            _ => Err(EncodeError::Reserved { signal: signal.name.clone(), value }),
        }
    }
}
