//! Bits of a frame to raw and physical values, and why there is none.

use super::{Message, Number, Signal};
use crate::{Reading, Unknown};

/// A raw value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Raw {
    /// Of whole numbers; negative ones in two's complement of 64 bits.
    Whole(i64),
    /// Of whole numbers above `i64::MAX`.
    Large(u64),
    /// Of IEEE 754.
    Float(f64),
}

impl Raw {
    /// As a number.
    #[must_use]
    pub const fn as_f64(self) -> f64 {
        match self {
            Self::Whole(value) => value as f64,
            Self::Large(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

impl Signal {
    /// The signal's bits; `None` if the frame is too short for them.
    ///
    /// DBC counts bits from the least significant one of byte 0. A big-endian signal starts at its most significant
    /// bit and goes down, then to the next byte's bit 7.
    #[must_use]
    pub fn bits(&self, data: &[u8]) -> Option<u64> {
        let first = self.start / 8;
        let mut value = 0u128;
        if self.big_endian {
            let above = 7 - self.start % 8;
            let bytes = (above + self.size).div_ceil(8);
            for byte in data.get(first..first + bytes)? {
                value = value << 8 | u128::from(*byte);
            }
            value >>= 8 * bytes - above - self.size;
        } else {
            let below = self.start % 8;
            let bytes = (below + self.size).div_ceil(8);
            for byte in data.get(first..first + bytes)?.iter().rev() {
                value = value << 8 | u128::from(*byte);
            }
            value >>= below;
        }
        Some(value as u64 & (u64::MAX >> (64 - self.size)))
    }

    /// The raw value of the signal's bits.
    #[must_use]
    pub fn raw(&self, data: &[u8]) -> Option<Raw> {
        let bits = self.bits(data)?;
        Some(match self.number {
            Number::Unsigned => i64::try_from(bits).map_or(Raw::Large(bits), Raw::Whole),
            // The sign goes to bit 63 and back.
            Number::Signed => Raw::Whole(((bits << (64 - self.size)) as i64) >> (64 - self.size)),
            Number::Float => Raw::Float(f64::from(f32::from_bits(bits as u32))),
            Number::Double => Raw::Float(f64::from_bits(bits)),
        })
    }

    /// The physical value in the file's unit, whatever it means; `None` if the frame is too short.
    #[must_use]
    pub fn physical(&self, data: &[u8]) -> Option<f64> {
        Some(self.raw(data)?.as_f64() * self.factor + self.offset)
    }

    /// The physical value in the file's unit, or why there is none; `None` if the frame is too short.
    #[must_use]
    pub fn read(&self, data: &[u8], j1939: bool) -> Option<Reading> {
        let raw = self.raw(data)?;
        Some(self.judge(raw, self.bits(data)?, j1939))
    }

    fn judge(&self, raw: Raw, bits: u64, j1939: bool) -> Reading {
        if let Raw::Whole(value) = raw
            && let Some(cause) = self.values.get(&value).and_then(|word| cause_of_word(word))
        {
            return Err(cause);
        }
        let value = raw.as_f64() * self.factor + self.offset;
        if !value.is_finite() {
            return Err(if value.is_nan() { Unknown::NotAvailable } else { Unknown::OutOfRange });
        }
        if j1939
            && self.number == Number::Unsigned
            && !matches!(raw, Raw::Whole(value) if self.values.contains_key(&value))
            && let Some(cause) = self.cause_of_j1939(bits)
        {
            return Err(cause);
        }
        // A range of all that the bits can say states nothing, and 0 to 0 none.
        let (least, greatest) = self.range.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        // The bounds may be rounded to a step.
        let slack = if matches!(raw, Raw::Float(_)) { 0.0 } else { self.factor.abs() / 2.0 }
            + 1e-9 * greatest.abs().min(1e9);
        let is_within = value >= least - slack && value <= greatest + slack;
        let all = u64::MAX >> (64 - self.size);
        let extreme = match self.number {
            Number::Unsigned => bits == all,
            Number::Signed => bits == all >> 1 || bits == (all >> 1) + 1,
            Number::Float | Number::Double => false,
        };
        let named = matches!(raw, Raw::Whole(value) if self.values.contains_key(&value));
        match (is_within, extreme) {
            // A byte can be full of a real value.
            (true, true) if self.size > 8 && !named => Err(Unknown::NotAvailable),
            (true, _) => Ok(value),
            (false, true) if self.size > 1 => Err(Unknown::NotAvailable),
            (false, _) => Err(Unknown::OutOfRange),
        }
    }

    /// SAE J1939-71 5.1.4: the highest byte 0xff is not available, 0xfe an error, 0xfb to 0xfd are no values either; of two
    /// bits 3 and 2.
    fn cause_of_j1939(&self, bits: u64) -> Option<Unknown> {
        let high = match self.size {
            2 => bits | 0xfc,
            8 | 12 | 16 | 20 | 24 | 28 | 32 => bits >> (self.size - 8),
            _ => return None,
        };
        match high {
            0xff => Some(Unknown::NotAvailable),
            0xfe => Some(Unknown::SensorFault),
            0xfb..=0xfd if self.size >= 8 => Some(Unknown::OutOfRange),
            _ => None,
        }
    }
}

impl Message {
    /// Whether a signal of this message, by its place, is in a frame with these data.
    #[must_use]
    pub fn is_present(&self, signal: usize, data: &[u8]) -> bool {
        self.present(signal, data, 0)
    }

    fn present(&self, signal: usize, data: &[u8], depth: usize) -> bool {
        let Some(signal) = self.signals.get(signal) else { return false };
        if !signal.multiplexed {
            return true;
        }
        // A selector may be selected itself; one that selects itself in the end never is.
        depth < 16
            && signal.selections.iter().any(|selection| {
                let selector = self.signals.get(selection.selector).and_then(|s| s.bits(data));
                selector.is_some_and(|value| {
                    selection.ranges.iter().any(|(from, to)| (*from..=*to).contains(&value))
                }) && self.present(selection.selector, data, depth + 1)
            })
    }
}

/// The cause that a word of a value table states, as `SNA`, `Sensor_Fault`, `nicht verfügbar`.
pub(super) fn cause_of_word(word: &str) -> Option<Unknown> {
    let lower = word.to_lowercase();
    let compact: String = lower.chars().filter(|c| c.is_alphanumeric()).collect();
    let has = |words: &[&str]| words.iter().any(|w| compact.contains(w));
    const WHOLE: [&str; 12] = [
        "sna",
        "na",
        "nan",
        "nv",
        "init",
        "initial",
        "initialization",
        "initvalue",
        "unknown",
        "undefined",
        "reserved",
        "default",
    ];
    const HEALTHY: [&str; 13] = [
        "noerror",
        "nofault",
        "nofailure",
        "noerr",
        "notfault",
        "errorfree",
        "faultfree",
        "keinfehler",
        "keinefehler",
        "nodefect",
        "fehlerfrei",
        "notdefect",
        "nofail",
    ];
    if has(&HEALTHY) {
        return None;
    }
    if has(&["outofrange", "overflow", "underflow", "overrange", "underrange"]) {
        return Some(Unknown::OutOfRange);
    }
    if WHOLE.contains(&compact.as_str())
        || has(&[
            "notavail",
            "unavail",
            "signalna",
            "invalid",
            "notvalid",
            "nodata",
            "novalue",
            "nosignal",
            "notdefined",
            "notinit",
            "notpresent",
            "notknown",
            "nichtverf",
            "ungültig",
            "ungueltig",
            "unbekannt",
            "notreceived",
            "notsupported",
            "notapplicable",
        ])
        || lower.split(|c: char| !c.is_alphanumeric()).any(|part| part == "sna")
    {
        return Some(Unknown::NotAvailable);
    }
    has(&[
        "error",
        "fault",
        "failure",
        "defect",
        "defekt",
        "fehler",
        "shortcircuit",
        "opencircuit",
        "broken",
        "sensorfail",
    ])
    .then_some(Unknown::SensorFault)
}
