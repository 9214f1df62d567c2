//! A whole pack at one moment.
//!
//! Any quantity of it may be unknown, with its cause ([`Unknown`]); one that is unknown never costs the others.

mod canonical;

pub use canonical::{Original, OriginalNumber};

use crate::{
    CentiKilometersPerHour, CentiPercent, Centidegrees, ChannelValue, Digest, Error, MAX_CHANNELS, Milliamps,
    Millivolts, Millivolts16, Ohms, RecordNumber, Timestamp, Unknown,
};
use serde::{Deserialize, Serialize};

/// Most cells in a sample.
pub const MAX_CELLS: usize = 512;
/// Most temperatures in a sample.
pub const MAX_TEMPERATURES: usize = 128;

/// State of the main contactor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Contactor {
    /// Not reported.
    #[default]
    Unknown = 0,
    /// The pack is disconnected.
    Open = 1,
    /// The pack is connected.
    Closed = 2,
    /// The link is being charged through a resistor.
    Precharge = 3,
    /// The contactor reports a fault.
    Fault = 4,
}

/// State of the charger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Charger {
    /// Not reported.
    #[default]
    Unknown = 0,
    /// No cable.
    Unplugged = 1,
    /// A cable is plugged in, no energy flows.
    Plugged = 2,
    /// Charging.
    Charging = 3,
    /// The charger reports a fault.
    Fault = 4,
}

impl Contactor {
    /// From its code on the wire.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Unknown,
            1 => Self::Open,
            2 => Self::Closed,
            3 => Self::Precharge,
            4 => Self::Fault,
            _ => return None,
        })
    }
}

impl Charger {
    /// From its code on the wire.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Unknown,
            1 => Self::Unplugged,
            2 => Self::Plugged,
            3 => Self::Charging,
            4 => Self::Fault,
            _ => return None,
        })
    }
}

/// Which format a record's canonical bytes have: the first one that can say what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Format {
    /// Numbers only; of unknown values, a state of charge that is not sent.
    One = 1,
    /// Unknown values with their causes, optional quantities, extra channels.
    Two = 2,
}

/// A whole pack at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sample {
    /// When the source took it, at most [`Timestamp::MAX`].
    pub time: Timestamp,
    /// At the pack's terminals.
    pub pack_voltage: Millivolts,
    /// Positive charges.
    pub pack_current: Milliamps,
    /// Each cell in the pack's order, at most [`MAX_CELLS`]; empty if the source reports none.
    pub cells: Vec<Millivolts16>,
    /// Each sensor in the pack's order, at most [`MAX_TEMPERATURES`].
    pub temperatures: Vec<Centidegrees>,
    /// State of charge as the battery's own management reports it.
    pub soc: CentiPercent,
    /// Main contactor.
    pub contactor: Contactor,
    /// Charger.
    pub charger: Charger,
    /// Between the high-voltage system and the body.
    pub insulation: Ohms,
    /// Of the air around the vehicle.
    pub ambient: Centidegrees,
    /// Of the battery's coolant.
    pub coolant: Centidegrees,
    /// Of the vehicle.
    pub speed: CentiKilometersPerHour,
    /// Extra channels, at most [`MAX_CHANNELS`], in ascending order of their names; one that is not sent is left out.
    pub channels: Vec<ChannelValue>,
    /// What else was signed, of a sample that was read from format 1; nothing of any other.
    pub original: Original,
}

impl Sample {
    /// SHA-256 of its canonical bytes.
    pub fn content(&self) -> Digest {
        let mut bytes = Vec::with_capacity(512);
        self.canonical(&mut bytes);
        Digest::of(&bytes)
    }

    /// Number of its cells and temperatures.
    pub fn values(&self) -> usize {
        self.cells.len() + self.temperatures.len()
    }

    /// The first format that can say what it holds.
    pub fn format(&self) -> Format {
        if self.original.is_some() {
            return Format::One;
        }
        let soc = self.soc.is_known() || self.soc == CentiPercent::UNKNOWN;
        let numbers = self.pack_voltage.is_known() && self.pack_current.is_known() && soc;
        // Codes are the highest cells and the lowest temperatures: one extreme tells. Of plain integers it is found in
        // eight at a time.
        let highest = self.cells.iter().fold(0, |highest, cell| cell.get().max(highest));
        let lowest = self.temperatures.iter().fold(i16::MAX, |lowest, value| value.get().min(lowest));
        let (cells, temperatures) =
            (Millivolts16::new(highest).is_known(), Centidegrees::new(lowest).is_known());
        let optional = self.insulation == Ohms::default()
            && self.ambient == Centidegrees::default()
            && self.coolant == Centidegrees::default()
            && self.speed == CentiKilometersPerHour::default();
        if numbers && cells && temperatures && optional && self.channels.is_empty() {
            Format::One
        } else {
            Format::Two
        }
    }

    /// Whether every field is within the format's range.
    pub fn check(&self) -> Result<(), Error> {
        let inconsistent = |why| Err(Error::Inconsistent { what: "sample", why });
        Error::limit("sample's cells", self.cells.len(), MAX_CELLS)?;
        Error::limit("sample's temperatures", self.temperatures.len(), MAX_TEMPERATURES)?;
        Error::limit("sample's channels", self.channels.len(), MAX_CHANNELS)?;
        if self.time > Timestamp::MAX {
            return inconsistent(Timestamp::AFTER_MAX);
        }
        if !self.soc.is_valid() {
            return inconsistent("state of charge is over 100 %");
        }
        if !self.channels.is_sorted_by(|a, b| a.channel.name() < b.channel.name()) {
            return inconsistent("channels are not in ascending order of different names");
        }
        if self.channels.iter().any(|value| value.count.cause() == Some(Unknown::NotSent)) {
            return inconsistent("a channel that is not sent is not left out");
        }
        if self.original.is_some() && !self.is_what_its_original_says() {
            return inconsistent("it is not what the bytes of format 1 say that it was read from");
        }
        Ok(())
    }
}

/// A numbered sample: what a batch holds and a proof speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Its place in the boot.
    pub number: RecordNumber,
    /// What was measured.
    pub sample: Sample,
}

impl Record {
    /// A record of a client that is not ours, numbered by its time and content.
    pub fn foreign(sample: Sample) -> Self {
        Self::foreign_with_content(sample).0
    }

    /// As [`foreign`](Self::foreign), with the [content digest](Sample::content) that the number was made of.
    pub fn foreign_with_content(sample: Sample) -> (Self, Digest) {
        let content = sample.content();
        let number = RecordNumber::foreign(sample.time, &content);
        (Self { number, sample }, content)
    }
}
