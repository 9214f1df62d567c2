//! MDF files that are written here, block by block.

use super::super::super::{Direction, Kind, Log};
use crate::{Error, Stamp};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use lz4_flex::frame::FrameEncoder;
use proptest::prelude::*;
use std::io::{Cursor, Write as _};

/// A file that grows block by block.
struct Writer(Vec<u8>);

impl Writer {
    fn new(mark: &[u8; 8], flags: u16) -> Self {
        let mut head = [0; 64];
        head[..8].copy_from_slice(mark);
        head[28..30].copy_from_slice(&410_u16.to_le_bytes());
        head[60..62].copy_from_slice(&flags.to_le_bytes());
        Self(head.to_vec())
    }

    /// Appends a block; its place.
    fn block(&mut self, id: &[u8; 2], links: &[u64], data: &[u8]) -> u64 {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        let at = self.0.len() as u64;
        let length = 24 + 8 * links.len() + data.len();
        self.0.extend([b'#', b'#', id[0], id[1], 0, 0, 0, 0]);
        self.0.extend((length as u64).to_le_bytes());
        self.0.extend((links.len() as u64).to_le_bytes());
        links.iter().for_each(|link| self.0.extend(link.to_le_bytes()));
        self.0.extend(data);
        at
    }

    /// Sets a link of a block that was written before.
    fn link(&mut self, at: u64, number: usize, to: u64) {
        let place = at as usize + 24 + 8 * number;
        self.0[place..place + 8].copy_from_slice(&to.to_le_bytes());
    }

    fn text(&mut self, text: &str) -> u64 {
        self.block(b"TX", &[], &[text.as_bytes(), b"\0"].concat())
    }

    /// A channel of a kind, type, place and size; `next`, `composition` and `data` are links.
    fn channel(&mut self, name: &str, of: (u8, u8), byte: u32, bits: u32, links: [u64; 3]) -> u64 {
        let name = self.text(name);
        let mut data = vec![of.0, u8::from(of.0 == 2), of.1, 0];
        data.extend([byte, bits, 0, 0].iter().flat_map(|number| number.to_le_bytes()));
        data.resize(72, 0);
        self.block(b"CN", &[links[0], links[1], name, 0, 0, links[2], 0, 0], &data)
    }

    fn group(&mut self, first: u64, record_id: u64, flags: u16, bytes: u32) -> u64 {
        let mut data = record_id.to_le_bytes().to_vec();
        data.extend([0; 8]);
        data.extend(flags.to_le_bytes());
        data.extend([0; 6]);
        data.extend(bytes.to_le_bytes());
        data.extend([0; 4]);
        self.block(b"CG", &[0, first, 0, 0, 0, 0], &data)
    }

    /// A packed block of data that were turned, where there are columns; by zlib, zstd or LZ4.
    fn packed(&mut self, by: Packer, of: &[u8; 2], columns: u32, bytes: &[u8]) -> u64 {
        let mut turned = Vec::new();
        if columns > 0 {
            let rows = bytes.len() / columns as usize;
            for column in 0..columns as usize {
                turned.extend((0..rows).map(|row| bytes[row * columns as usize + column]));
            }
            turned.extend(&bytes[rows * columns as usize..]);
        }
        let bytes = if columns > 0 { turned.as_slice() } else { bytes };
        let packed = by.pack(bytes);
        let mut data = vec![of[0], of[1], by as u8 + u8::from(columns > 0), 0];
        data.extend(columns.to_le_bytes());
        data.extend((bytes.len() as u64).to_le_bytes());
        data.extend((packed.len() as u64).to_le_bytes());
        data.extend(packed);
        self.block(b"DZ", &[], &data)
    }
}

/// How blocks are packed, by the number that the format has for it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Packer {
    Zlib = 0,
    Zstd = 2,
    Lz4 = 4,
}

impl Packer {
    fn pack(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Zlib => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Self::Zstd => zstd::bulk::compress(bytes, 1).unwrap(),
            Self::Lz4 => {
                let mut encoder = FrameEncoder::new(Vec::new());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
        }
    }
}

/// Location of a frame's data.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Record,
    Signal,
    Group,
}

/// Form in which data blocks are written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Packing {
    Plain,
    Packed(Packer),
    Turned(Packer),
    List,
}

const PACKINGS: [Packing; 8] = [
    Packing::Plain,
    Packing::Packed(Packer::Zlib),
    Packing::Packed(Packer::Zstd),
    Packing::Packed(Packer::Lz4),
    Packing::Turned(Packer::Zlib),
    Packing::Turned(Packer::Zstd),
    Packing::Turned(Packer::Lz4),
    Packing::List,
];

/// Bytes of a record: time, identifier, extended, length, bus, and 8 bytes of data or their offset.
const RECORD: u32 = 8 + 4 + 1 + 1 + 1 + 8;

/// A frame that is written: ms, identifier, data.
type Written = (u32, u32, Vec<u8>);

fn file(frames: &[Written], place: Place, packing: Packing) -> Vec<u8> {
    let mut writer = Writer::new(b"MDF     ", 0);
    let start: u64 = 1_700_000_000_000_000_000;
    let header = writer.block(b"HD", &[0; 6], &[&start.to_le_bytes()[..], &[0; 24]].concat());
    let (mut records, mut signal, mut offset) = (Vec::new(), Vec::new(), 0_u64);
    for (ms, id, bytes) in frames {
        let value = [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat();
        let mut data = [0; 8];
        if place == Place::Record {
            data[..bytes.len()].copy_from_slice(bytes);
        } else {
            data = offset.to_le_bytes();
            offset += value.len() as u64;
        }
        if place == Place::Group {
            records.push(1);
        }
        records.extend((f64::from(*ms) / 1e3).to_le_bytes());
        records.extend((id & 0x1fff_ffff).to_le_bytes());
        records.extend([u8::from(*id > 0x7ff), bytes.len() as u8, 3]);
        records.extend(data);
        match place {
            Place::Group => records.extend([&[2][..], &value].concat()),
            _ => signal.extend(value),
        }
    }
    let variable = if place == Place::Group { writer.group(0, 2, 1, 0) } else { 0 };
    let data = match place {
        Place::Record => 0,
        Place::Signal => writer.block(b"SD", &[], &signal),
        Place::Group => variable,
    };
    let kind = if place == Place::Record { (0, 10) } else { (1, 0) };
    let bytes = writer.channel("CAN_DataFrame.DataBytes", kind, 15, 64, [0, 0, data]);
    let bus = writer.channel("CAN_DataFrame.BusChannel", (0, 0), 14, 8, [bytes, 0, 0]);
    let length = writer.channel("CAN_DataFrame.DataLength", (0, 0), 13, 8, [bus, 0, 0]);
    let ide = writer.channel("CAN_DataFrame.IDE", (0, 0), 12, 8, [length, 0, 0]);
    let id = writer.channel("CAN_DataFrame.ID", (0, 0), 8, 32, [ide, 0, 0]);
    let whole = writer.channel("CAN_DataFrame", (0, 10), 8, 8 * 15, [0, id, 0]);
    let time = writer.channel("Timestamp", (2, 4), 0, 64, [whole, 0, 0]);
    let group = writer.group(time, 1, 0, RECORD);
    if variable != 0 {
        writer.link(group, 0, variable);
    }
    let block = match packing {
        Packing::Plain => writer.block(b"DT", &[], &records),
        Packing::Packed(by) => writer.packed(by, b"DT", 0, &records),
        Packing::Turned(by) => writer.packed(by, b"DT", RECORD, &records),
        Packing::List => {
            let (one, two) = records.split_at(records.len() / 3);
            let (one, two) = (writer.block(b"DT", &[], one), writer.packed(Packer::Zlib, b"DT", 0, two));
            let last = writer.block(b"DL", &[0, two], &[0; 8]);
            let first = writer.block(b"DL", &[last, one], &[0; 8]);
            writer.block(b"HL", &[first], &[0; 8])
        }
    };
    let id_bytes = u8::from(place == Place::Group);
    let data_group = writer.block(b"DG", &[0, group, block, 0], &[id_bytes, 0, 0, 0, 0, 0, 0, 0]);
    writer.link(header, 0, data_group);
    writer.0
}

fn read(bytes: Vec<u8>) -> Result<(Log, Vec<Written>), Error> {
    let mut log = Log::new(Cursor::new(bytes), "test")?;
    let mut frames = Vec::new();
    while let Some(frame) = log.next()? {
        let Stamp::Unix(ns) = frame.time else { panic!("{frame:?}") };
        assert_eq!((frame.kind, frame.direction), (Kind::Data, Direction::Unknown));
        assert_eq!((frame.bus.unwrap().name(), frame.extended), ("3", frame.id > 0x7ff));
        let ms = ((ns - 1_700_000_000_000_000_000) / 1_000_000) as u32;
        frames.push((ms, frame.id, frame.data().to_vec()));
    }
    Ok((log, frames))
}

fn written() -> impl Strategy<Value = Vec<Written>> {
    let id = prop_oneof![0_u32..0x800, 0x800_u32..0x1fff_ffff];
    let frame = (1_u32..50, id, proptest::collection::vec(any::<u8>(), 0..=8));
    proptest::collection::vec(frame, 1..40).prop_map(|mut frames| {
        let mut now = 0;
        for (ms, ..) in &mut frames {
            now += *ms;
            *ms = now;
        }
        frames
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(frames in written(), place in 0..3_usize, packing in 0..PACKINGS.len()) {
        let place = [Place::Record, Place::Signal, Place::Group][place];
        let packing = PACKINGS[packing];
        let (log, found) = read(file(&frames, place, packing)).unwrap();
        prop_assert_eq!((log.skipped().total(), log.format()), (0, "MDF 4 bus logging"));
        prop_assert_eq!(found, frames);
    }

    #[test]
    fn a_file_that_is_cut_or_altered_ends(frames in written(), place in 0..3_usize, packing in 0..PACKINGS.len(), cut in 0.0..1.0_f64, at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let place = [Place::Record, Place::Signal, Place::Group][place];
        let packing = PACKINGS[packing];
        let mut bytes = file(&frames, place, packing);
        let at = at.index(bytes.len());
        bytes[at] = to;
        bytes.truncate((bytes.len() as f64 * (0.2 + cut)) as usize);
        if let Ok(mut log) = Log::new(Cursor::new(bytes), "test") {
            let mut count = 0;
            while let Ok(Some(_)) = log.next() {
                count += 1;
                prop_assert!(count < 10_000, "a loop");
            }
        }
    }
}

#[test]
fn a_cut_record_is_counted_and_what_is_before_it_is_read() {
    let frames: Vec<Written> = (1..5).map(|n| (n, 0x100, vec![n as u8; 8])).collect();
    let mut bytes = file(&frames, Place::Record, Packing::Plain);
    // The data block's length says one byte less.
    let block = bytes.windows(4).position(|window| window == b"##DT").unwrap();
    bytes[block + 8] -= 1;
    let (log, found) = read(bytes).unwrap();
    assert_eq!((found.len(), log.skipped().total()), (3, 1));
}

#[test]
fn a_file_that_was_not_finished_is_read_to_its_end() {
    let frames: Vec<Written> = (1..5).map(|n| (n, 0x100, vec![n as u8; 8])).collect();
    let mut bytes = file(&frames, Place::Record, Packing::Plain);
    let block = bytes.windows(4).position(|window| window == b"##DT").unwrap();
    let mut open = bytes.split_off(block);
    open[8..16].copy_from_slice(&24_u64.to_le_bytes());
    let group = open.windows(4).position(|window| window == b"##DG").unwrap();
    // The data block comes last, and its length was never written.
    let (data, mut rest) = (open[..24 + 4 * RECORD as usize].to_vec(), open[group..].to_vec());
    bytes[..8].copy_from_slice(b"UnFinMF ");
    bytes[60] = 4;
    let moved = (block + rest.len()) as u64;
    rest[24 + 16..24 + 24].copy_from_slice(&moved.to_le_bytes());
    let header = (block as u64).to_le_bytes();
    bytes[64 + 24..64 + 32].copy_from_slice(&header);
    bytes.extend(rest);
    bytes.extend(data);
    let (log, found) = read(bytes).unwrap();
    assert_eq!(found, frames);
    assert!(log.warnings().any(|text| text.contains("not finished")));
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    let refused = |change: &dyn Fn(&mut Vec<u8>), word: &str| {
        let mut bytes = file(&[(1, 0x100, vec![1])], Place::Record, Packing::Packed(Packer::Zlib));
        change(&mut bytes);
        let error = match Log::new(Cursor::new(bytes), "test") {
            Err(error) => error.to_string(),
            Ok(mut log) => {
                let error = log.next().expect_err(word);
                std::error::Error::source(&error).unwrap().to_string()
            }
        };
        assert!(error.contains(word), "{error}");
    };
    let at = |bytes: &[u8], mark: &[u8]| bytes.windows(mark.len()).position(|window| window == mark).unwrap();
    refused(&|bytes| bytes[28] = 44, "MDF 3");
    refused(
        &|bytes| {
            bytes.iter_mut().skip(100).for_each(|byte| {
                if *byte == b'_' {
                    *byte = b'-'
                }
            })
        },
        "no frames",
    );
    refused(
        &|bytes| {
            let place = at(bytes, b"##DZ") + 24 + 2;
            bytes[place] = 6
        },
        "packing 6",
    );
    refused(
        &|bytes| {
            let place = at(bytes, b"##DZ");
            bytes[place + 2..place + 4].copy_from_slice(b"DI")
        },
        "\"DI\"",
    );
}
