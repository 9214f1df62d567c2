//! DBC files: messages, their signals, and what the signals' bits mean.

mod decode;
mod encode;
mod parse;
mod text;

pub(super) use decode::Raw;
pub use encode::{EncodeError, Rounding};

use std::collections::BTreeMap;

/// A DBC file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dbc {
    /// All messages, in the file's order.
    pub messages: Vec<Message>,
    /// What could not be read or was taken for something else, one sentence each with its line.
    pub warnings: Vec<String>,
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Name; the long one if the file has it.
    pub name: String,
    /// Identifier without flags.
    pub id: u32,
    /// Whether the identifier has 29 bits.
    pub extended: bool,
    /// Whether it is sent from any address and with any priority (SAE J1939 parameter group).
    pub j1939: bool,
    /// Length in bytes.
    pub size: u64,
    /// Cycle time in ms, if stated and not 0.
    pub cycle_ms: Option<f64>,
    /// Its signals, in the file's order.
    pub signals: Vec<Signal>,
}

/// Kind of a signal's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Whole and not negative.
    Unsigned,
    /// Whole, in two's complement.
    Signed,
    /// IEEE 754 of 32 bits.
    Float,
    /// IEEE 754 of 64 bits.
    Double,
}

/// Condition for a multiplexed signal to be in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Which signal of the message selects, by its place there.
    pub selector: usize,
    /// Values of the selector, from and to, both included.
    pub ranges: Vec<(u64, u64)>,
}

/// A signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// Name; the long one if the file has it.
    pub name: String,
    /// First bit: the least significant one, or the most significant one if big-endian.
    pub start: usize,
    /// Number of bits, 1 to 64.
    pub size: usize,
    /// Whether it is big-endian (Motorola).
    pub big_endian: bool,
    /// Kind of its number.
    pub number: Number,
    /// Physical value is raw value · factor + offset.
    pub factor: f64,
    /// See `factor`.
    pub offset: f64,
    /// Least and greatest physical value, if least < greatest.
    pub range: Option<(f64, f64)>,
    /// Unit as the file spells it.
    pub unit: String,
    /// Whether it selects multiplexed signals.
    pub selects: bool,
    /// Whether it is multiplexed.
    pub multiplexed: bool,
    /// When it is there; empty though multiplexed: never, as its selector is not known.
    pub selections: Vec<Selection>,
    /// Words for raw values.
    pub values: BTreeMap<i64, String>,
    /// Cycle time in ms, if stated for the signal itself.
    pub cycle_ms: Option<f64>,
}

impl Message {
    /// The parameter group number of a 29-bit identifier (SAE J1939-21 5.1.2): without priority and source, and
    /// without the destination where there is one.
    #[must_use]
    pub const fn parameter_group(id: u32) -> u32 {
        let group = (id >> 8) & 0x3_ffff;
        if (group >> 8) & 0xff < 240 { group & 0x3_ff00 } else { group }
    }

    /// Whether a frame with this identifier is of this message.
    #[must_use]
    pub const fn has_id(&self, id: u32, extended: bool) -> bool {
        if self.extended != extended {
            return false;
        }
        if self.j1939 { Self::parameter_group(self.id) == Self::parameter_group(id) } else { self.id == id }
    }
}

#[cfg(test)]
mod tests;
