//! Channel groups that hold frames of a CAN bus, and where each part of a frame stands in a record.

use super::super::seekable::{Numbers, Store, damaged};
use super::block::{Block, text};
use crate::can::Kind;
use std::io;

/// Most channels of a group, and groups of a data group.
const MAX_CHANNELS: usize = 4096;
/// Most bytes of a record.
const MAX_RECORD: u32 = 1 << 16;

/// A number in a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    byte: usize,
    bit: u32,
    bits: u32,
    kind: Type,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Type {
    Little,
    Big,
    LittleFloat,
    BigFloat,
}

impl Field {
    /// The bits as a whole number; `None` if the record is too short.
    pub fn whole(&self, record: &[u8]) -> Option<u64> {
        let bytes = (self.bit + self.bits).div_ceil(8) as usize;
        let part = record.get(self.byte..self.byte + bytes)?;
        let join = |value: u128, byte: &u8| value << 8 | u128::from(*byte);
        let value = match self.kind {
            Type::Little | Type::LittleFloat => part.iter().rev().fold(0, join),
            Type::Big | Type::BigFloat => part.iter().fold(0, join),
        };
        Some((value >> self.bit) as u64 & (u64::MAX >> (64 - self.bits)))
    }

    /// The number itself.
    pub fn number(&self, record: &[u8]) -> Option<f64> {
        let bits = self.whole(record)?;
        Some(match (self.kind, self.bits) {
            (Type::LittleFloat | Type::BigFloat, 32) => f64::from(f32::from_bits(bits as u32)),
            (Type::LittleFloat | Type::BigFloat, _) => f64::from_bits(bits),
            _ => bits as f64,
        })
    }
}

/// Location of a frame's data.
#[derive(Clone, Copy, Debug)]
pub(super) enum Payload {
    /// In the record, so many bytes at most.
    Fixed { byte: usize, most: usize },
    /// At an offset of the signal's data, which begin with this block; or of the records of a group, which begins there.
    Elsewhere { offset: Field, block: u64 },
    /// None: of remote frames.
    Missing,
}

/// A group of frames.
#[derive(Clone, Debug)]
pub(super) struct Frames {
    pub kind: Kind,
    pub time: Field,
    /// Seconds of a unit, and of its 0.
    pub seconds: (f64, f64),
    pub id: Field,
    pub payload: Payload,
    /// See [`PARTS`]: `IDE`, `DLC`, `DataLength`, `BusChannel`, `Dir`, `EDL`.
    pub parts: [Option<Field>; PARTS.len()],
}

/// Parts of a frame that may be missing, by their names.
pub(super) const PARTS: [&str; 6] = ["IDE", "DLC", "DataLength", "BusChannel", "Dir", "EDL"];

/// A channel group.
pub(super) struct Group {
    /// Place of its block.
    pub at: u64,
    pub record_id: u64,
    /// Bytes of a record without its identifier; 0 if each states its length.
    pub bytes: usize,
    /// Whether each record states its length: it is the data of another group's frames.
    pub is_variable: bool,
    /// `None` if it holds no frames.
    pub frames: Option<Frames>,
}

/// A channel, as far as it matters here.
struct Channel {
    name: String,
    kind: u8,
    sync: u8,
    data_type: u8,
    field: Option<Field>,
    byte: usize,
    bits: u32,
    data: u64,
    conversion: u64,
    composition: u64,
    next: u64,
}

impl Group {
    /// All groups of a data group.
    pub fn all(store: &mut Store, first: u64, warnings: &mut Vec<String>) -> io::Result<Vec<Self>> {
        let (mut groups, mut at) = (Vec::new(), first);
        while at != 0 {
            if groups.len() == MAX_CHANNELS {
                return Err(damaged(format!("a data group has more than {MAX_CHANNELS} channel groups")));
            }
            let block = Block::read(store, at, b"CG")?;
            let cut = || damaged("a channel group is cut");
            let (data, invalid) =
                (block.data.u32_at(24).ok_or_else(cut)?, block.data.u32_at(28).ok_or_else(cut)?);
            let is_variable = block.data.u16_at(16).ok_or_else(cut)? & 1 != 0;
            let bytes = data.checked_add(invalid).filter(|bytes| *bytes <= MAX_RECORD || is_variable);
            let bytes = bytes.ok_or_else(|| damaged(format!("a record has more than {MAX_RECORD} bytes")))?;
            let frames = if is_variable { None } else { frames(store, block.link(1), warnings)? };
            groups.push(Self {
                at,
                record_id: block.data.u64_at(0).ok_or_else(cut)?,
                bytes: bytes as usize,
                is_variable,
                frames,
            });
            at = block.link(0);
        }
        Ok(groups)
    }
}

impl Channel {
    fn read(store: &mut Store, at: u64) -> io::Result<Self> {
        let block = Block::read(store, at, b"CN")?;
        let cut = || damaged("a channel is cut");
        let data_type = block.data.u8_at(2).ok_or_else(cut)?;
        let bit = u32::from(block.data.u8_at(3).ok_or_else(cut)?);
        let (byte, bits) =
            (block.data.u32_at(4).ok_or_else(cut)? as usize, block.data.u32_at(8).ok_or_else(cut)?);
        let kind = match (data_type, bits) {
            (0 | 2, _) => Some(Type::Little),
            (1 | 3, _) => Some(Type::Big),
            (4, 32 | 64) => Some(Type::LittleFloat),
            (5, 32 | 64) => Some(Type::BigFloat),
            _ => None,
        };
        let kind = kind.filter(|_| (1..=64).contains(&bits) && bit < 8);
        Ok(Self {
            name: text(store, block.link(2))?,
            kind: block.data.u8_at(0).ok_or_else(cut)?,
            sync: block.data.u8_at(1).ok_or_else(cut)?,
            data_type,
            field: kind.map(|kind| Field { byte, bit, bits, kind }),
            byte,
            bits,
            data: block.link(5),
            conversion: block.link(4),
            composition: block.link(1),
            next: block.link(0),
        })
    }

    /// The last part of its name.
    fn part(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or_default()
    }
}

/// The channels of a list.
fn channels(store: &mut Store, first: u64) -> io::Result<Vec<Channel>> {
    let (mut all, mut at) = (Vec::new(), first);
    while at != 0 {
        if all.len() == MAX_CHANNELS {
            return Err(damaged(format!("a group has more than {MAX_CHANNELS} channels")));
        }
        let channel = Channel::read(store, at)?;
        at = channel.next;
        all.push(channel);
    }
    Ok(all)
}

/// How frames are read of a group, if it holds any.
fn frames(store: &mut Store, first: u64, warnings: &mut Vec<String>) -> io::Result<Option<Frames>> {
    let all = channels(store, first)?;
    let kinds =
        [("CAN_DataFrame", Kind::Data), ("CAN_RemoteFrame", Kind::Remote), ("CAN_ErrorFrame", Kind::Error)];
    let found = all.iter().find_map(|channel| {
        let name = channel.name.split('.').next().unwrap_or_default();
        let (name, kind) = kinds.iter().find(|(other, _)| *other == name)?;
        Some((channel.composition, *name, *kind))
    });
    let Some((composition, name, kind)) = found else { return Ok(None) };
    let parts = if composition == 0 { Vec::new() } else { channels(store, composition)? };
    let parts: Vec<&Channel> =
        parts.iter().chain(&all).filter(|channel| channel.name.starts_with(name)).collect();
    let part = |name: &str| parts.iter().find(|channel| channel.part() == name);
    let master = all.iter().find(|channel| channel.kind == 2 && channel.sync <= 1);
    let (Some(master), Some(id)) = (master, part("ID").and_then(|id| id.field)) else {
        warnings.push(format!("a group of {name} has no time or no identifiers and is not read"));
        return Ok(None);
    };
    let Some(time) = master.field else {
        return Err(damaged(format!(
            "the time of {name} is of type {}, which is not read",
            master.data_type
        )));
    };
    let payload = match part("DataBytes") {
        Some(bytes) if bytes.kind == 1 => match bytes.field {
            Some(offset) => Payload::Elsewhere { offset, block: bytes.data },
            None => return Err(damaged(format!("the data of {name} have no offset that can be read"))),
        },
        Some(bytes) => Payload::Fixed { byte: bytes.byte, most: (bytes.bits / 8) as usize },
        None if kind == Kind::Data => {
            return Err(damaged(format!("a group of {name} has no DataBytes")));
        }
        None => Payload::Missing,
    };
    let parts = PARTS.map(|name| part(name).and_then(|channel| channel.field));
    let seconds = seconds(store, master.conversion)?;
    Ok(Some(Frames { kind, time, seconds, id, payload, parts }))
}

/// Factor and offset of a conversion, where it is linear.
fn seconds(store: &mut Store, at: u64) -> io::Result<(f64, f64)> {
    if at == 0 {
        return Ok((1.0, 0.0));
    }
    let block = Block::read(store, at, b"CC")?;
    match (block.data.u8_at(0), block.data.f64_at(24), block.data.f64_at(32)) {
        (Some(0), ..) => Ok((1.0, 0.0)),
        (Some(1), Some(offset), Some(factor)) if factor.is_finite() && offset.is_finite() => {
            Ok((factor, offset))
        }
        _ => Err(damaged("the time of the frames has a conversion that is not linear")),
    }
}
