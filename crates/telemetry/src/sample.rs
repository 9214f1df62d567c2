//! A whole pack at one moment, and its canonical bytes.

use crate::{
    CentiPercent, Centidegrees, Digest, Error, Milliamps, Millivolts, Millivolts16, RecordNumber, Timestamp,
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

/// A whole pack at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

    /// Whether every field is within the format's range.
    pub fn check(&self) -> Result<(), Error> {
        Error::limit("sample's cells", self.cells.len(), MAX_CELLS)?;
        Error::limit("sample's temperatures", self.temperatures.len(), MAX_TEMPERATURES)?;
        if self.time > Timestamp::MAX {
            return Err(Error::Inconsistent { what: "sample", why: Timestamp::AFTER_MAX });
        }
        if !self.soc.is_valid() {
            return Err(Error::Inconsistent { what: "sample", why: "state of charge is over 100 %" });
        }
        Ok(())
    }

    /// Appends the bytes that are hashed, little-endian:
    /// `time u64, pack mV u32, pack mA i32, soc u16, contactor u8, charger u8, cells u16, temperatures u16`,
    /// then each cell `u16`, then each temperature `i16`.
    pub fn canonical(&self, out: &mut Vec<u8>) {
        let mut head = [0; 24];
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
        out.resize(start + 2 * (self.cells.len() + self.temperatures.len()), 0);
        let (cells, temperatures) = out[start..].split_at_mut(2 * self.cells.len());
        for (bytes, cell) in cells.chunks_exact_mut(2).zip(&self.cells) {
            bytes.copy_from_slice(&cell.get().to_le_bytes());
        }
        for (bytes, temperature) in temperatures.chunks_exact_mut(2).zip(&self.temperatures) {
            bytes.copy_from_slice(&temperature.get().to_le_bytes());
        }
    }
}

/// A numbered sample: what a batch holds and a proof speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// Its place in the boot.
    pub number: RecordNumber,
    /// What was measured.
    pub sample: Sample,
}

/// First byte of a record's canonical bytes.
const RECORD_VERSION: u8 = 1;
/// Version and number, before the sample.
const RECORD_HEAD: usize = 9;
/// The sample's fixed part.
const SAMPLE_HEAD: usize = 24;

impl Record {
    /// Longest canonical bytes: 1,313.
    pub const MAX_BYTES: usize = RECORD_HEAD + SAMPLE_HEAD + 2 * (MAX_CELLS + MAX_TEMPERATURES);

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

    /// Appends the bytes that are hashed: `version u8 = 1, number u64 (little-endian)`, then the sample's.
    pub fn canonical(&self, out: &mut Vec<u8>) {
        let mut head = [RECORD_VERSION; RECORD_HEAD];
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
        let malformed = |at, why| Error::Malformed { what: "record", at, why };
        Error::limit("record", bytes.len(), Self::MAX_BYTES)?;
        let Some((head, lists)) = bytes.split_first_chunk::<{ RECORD_HEAD + SAMPLE_HEAD }>() else {
            return Err(malformed(bytes.len(), "ends early"));
        };
        if head[0] != RECORD_VERSION {
            return Err(malformed(0, "unknown version"));
        }
        let u16_at = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let u32_at = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | (u64::from(u32_at(at + 4)) << 32);
        let cells = usize::from(u16_at(29));
        let temperatures = usize::from(u16_at(31));
        if lists.len() != 2 * (cells + temperatures) {
            return Err(malformed(29, "length does not fit the counts"));
        }
        let mut values = lists.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        let sample = Sample {
            time: Timestamp::from_millis(u64_at(9)),
            pack_voltage: Millivolts::new(u32_at(17)),
            pack_current: Milliamps::new(u32_at(21) as i32),
            soc: CentiPercent::new(u16_at(25)),
            contactor: Contactor::from_code(head[27]).ok_or(malformed(27, "unknown contactor state"))?,
            charger: Charger::from_code(head[28]).ok_or(malformed(28, "unknown charger state"))?,
            cells: values.by_ref().take(cells).map(Millivolts16::new).collect(),
            temperatures: values.map(|value| Centidegrees::new(value as i16)).collect(),
        };
        sample.check()?;
        Ok(Self { number: RecordNumber::new(u64_at(1)), sample })
    }
}
