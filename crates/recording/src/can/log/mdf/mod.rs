//! Bus logging in ASAM MDF 4: groups of `CAN_DataFrame`, sorted or not, packed or not.
//!
//! Read: data, remote and error frames; fixed and variable lengths; data blocks and lists of them, packed with zlib, zstd
//! or LZ4, turned or not; files that were not finished. Not read: column-wise data (MDF 4.20), and signals of other groups.

mod block;
mod data;
mod group;
mod stream;

use super::seekable::{Numbers, Store, damaged};
use crate::can::Frame;
use crate::{Error, Skipped};
use block::Block;
use group::Group;
use std::io;
use stream::Stream;

/// Most data groups with frames that are read beside each other: each holds up to a packed block of 8 MB, and of its
/// signal's data as much, where they are at their most; groups of loggers hold 4 MB.
const MAX_STREAMS: usize = 12;
/// Most data groups of a file.
const MAX_GROUPS: usize = 1 << 16;
/// Place of the header block.
const HEADER_AT: u64 = 64;
/// Of `unfinished` flags: the length of the last data block was never written.
const LENGTH_MISSING: u16 = 4;

/// Reader of such a file.
pub(super) struct Mdf {
    store: Store,
    streams: Vec<Stream>,
    /// Number of the record that was read last.
    pub(super) records: u64,
    warnings: Vec<String>,
    /// Start in ns, if the file says that it is of a clock on the wall.
    pub(super) local_start: Option<i64>,
    place: String,
}

impl Mdf {
    pub(super) fn open(mut store: Store, place: &str) -> Result<Self, Error> {
        let read = Self::read(&mut store).map_err(|error| refused(place, &error));
        read.and_then(|(streams, mut warnings, local_start)| {
            if streams.is_empty() {
                let problem = "this MDF file has no frames of a CAN bus (CAN_DataFrame): save its signals as CSV or Parquet \
                               with asammdf";
                return Err(Error::format(place, problem));
            }
            warnings.dedup();
            Ok(Self { store, streams, records: 0, warnings, local_start, place: place.to_owned() })
        })
    }

    fn read(store: &mut Store) -> io::Result<(Vec<Stream>, Vec<String>, Option<i64>)> {
        let head = store.bytes(0, HEADER_AT as usize)?;
        let version = head.u16_at(28).unwrap_or(0);
        if version < 400 {
            return Err(damaged(format!(
                "MDF {} is not read: save it as MDF 4.10 with asammdf",
                version / 100
            )));
        }
        let is_finished = head.starts_with(b"MDF ");
        let is_open = !is_finished && head.u16_at(60).unwrap_or(0) & LENGTH_MISSING != 0;
        let mut warnings = Vec::new();
        if !is_finished {
            warnings.push("the file was not finished by its recorder: what is there is read".to_owned());
        }
        let header = Block::read(store, HEADER_AT, b"HD")?;
        let start = header.data.u64_at(0).and_then(|ns| i64::try_from(ns).ok());
        let start = start.ok_or_else(|| damaged("the header states no time that can be read"))?;
        let is_local = header.data.u8_at(12).unwrap_or(0) & 1 != 0;
        let (mut streams, mut at, mut groups) = (Vec::new(), header.link(0), 0);
        while at != 0 {
            groups += 1;
            if groups > MAX_GROUPS {
                return Err(damaged(format!("the file has more than {MAX_GROUPS} data groups")));
            }
            let block = Block::read(store, at, b"DG")?;
            let channel_groups = Group::all(store, block.link(1), &mut warnings)?;
            if block.link(2) != 0 && channel_groups.iter().any(|group| group.frames.is_some()) {
                let id_bytes = usize::from(block.data.u8_at(0).unwrap_or(0));
                streams.push(Stream::new(channel_groups, id_bytes, start, block.link(2), store, is_open)?);
            }
            at = block.link(0);
        }
        if streams.len() > MAX_STREAMS {
            return Err(damaged(format!(
                "{} groups have frames, at most {MAX_STREAMS} are read beside each other: save the file as ASC with asammdf",
                streams.len()
            )));
        }
        Ok((streams, warnings, is_local.then_some(start)))
    }

    /// The next frame by time.
    pub(super) fn next(&mut self, skipped: &mut Skipped) -> io::Result<Option<Frame>> {
        for stream in &mut self.streams {
            let place = &self.place;
            stream.fill(&mut self.store, skipped, &mut self.records, place)?;
        }
        let first = (0..self.streams.len())
            .filter_map(|at| Some((self.streams[at].peek()?, at)))
            .min_by_key(|(time, _)| *time);
        Ok(first.and_then(|(_, at)| self.streams[at].pop()))
    }

    /// What a user should know.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &str> {
        self.warnings.iter().map(String::as_str)
    }
}

/// An error of a file's content, with the remedy.
fn refused(place: &str, error: &io::Error) -> Error {
    let problem = match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "this MDF file is cut: finish it with its recorder's tool or asammdf".to_owned()
        }
        _ => format!("this MDF file cannot be read: {error}"),
    };
    Error::format(place, problem)
}

#[cfg(test)]
mod tests;
