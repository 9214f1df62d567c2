//! A state as bytes, so that nobody needs all blocks to go on.
//!
//! **Provided:** one encoding of each state, with its SHA-256; whoever decodes it executes the next blocks as the encoder
//! would. Bounded before it is read. What the header commits to (registry, log, planned authorities, election) is computed
//! again and compared.
//!
//! **Not provided:** trust. A header does not commit to operators, nonces, anchors' numbers, retired keys and turns of
//! leaders, so a certificate alone does not speak for a snapshot: [`crate::Checkpoint`] does.

use crate::{
    authorities::{some_set, write_set},
    block::header::Header,
    codec::{read_hash, read_map, unordered, write_hash, write_map},
    election::Election,
    error::Error,
    genesis::Genesis,
    operators::{MAX_OPERATORS, Operators},
    roster::{
        Roster,
        calendar::{Calendar, MAX_CUTS},
        schedule::{MAX_RETIRED, Schedule},
    },
    state::{
        State,
        control::{Control, MAX_CONTROL_BYTES},
        entry::Entry,
        registry::{MAX_ENTRIES, Registry, read_bounded},
        sequence::Window,
    },
    types::{Digest, Epoch, Height, MAX_AUTHORITIES, PublicKey},
};
use bytes::{Buf as _, BufMut, Bytes};
use commonware_codec::{
    Buf, Copying, Error as CodecError, FixedSize as _, RangeCfg, Read, ReadExt as _, Write,
};
use commonware_cryptography::{Hasher, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use voltmesh_telemetry::merkle::Frontier;

/// Longest snapshot: a full registry of 2^20 × 48 B, 2^16 retired keys and their successors at 96 B, and 1 MiB for the
/// rest (some 400 windows of 168 B, four rosters of 12 KiB, 128² reports of 4 B, standings); and some 6 MiB of controllers,
/// releases and the newest events of each authority.
pub const MAX_SNAPSHOT_BYTES: usize =
    MAX_ENTRIES * Entry::SIZE + MAX_RETIRED * 96 + (1 << 20) + MAX_CONTROL_BYTES;

/// What a snapshot begins with: its format's name and version.
const MAGIC: &[u8; 19] = b"voltmesh-snapshot-1";

/// Most authorities whose anchors' numbers are remembered: the admitted, the current and the next ones.
const MAX_WINDOWS: usize = 3 * MAX_AUTHORITIES;

/// SHA-256 at the end.
const CHECKSUM: usize = 32;

/// A state, and where the epoch of the next block began.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// After some block.
    pub state: State,
    /// Digest of the last block before the epoch of the next one: what its agreement begins from.
    pub epoch_start: Digest,
}

impl Snapshot {
    /// The only encoding, which ends in its own [`Self::digest_of`].
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(4_096 + self.state.registry.entries().len() * Entry::SIZE);
        out.extend_from_slice(MAGIC);
        self.write(&mut out);
        let digest = Sha256::hash(&[&out]);
        out.extend_from_slice(digest.as_ref());
        out.into()
    }

    /// SHA-256 over an encoding without its last 32 bytes, as it names itself there. `None` if it is too short.
    pub fn digest_of(bytes: &[u8]) -> Option<Digest> {
        let (_, digest) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM)?)?;
        Digest::read(&mut Copying(digest)).ok()
    }

    /// Decodes a snapshot of the chain that began with `genesis`, and checks it against its own header.
    pub fn from_bytes(genesis: &Genesis, bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_SNAPSHOT_BYTES {
            return Err(Error::TooLong { what: "snapshot", len: bytes.len(), max: MAX_SNAPSHOT_BYTES });
        }
        let fails = |why| Error::Snapshot { height: Height::zero(), why };
        let digest = Self::digest_of(bytes).ok_or(fails("ends early"))?;
        let content = &bytes[..bytes.len() - CHECKSUM];
        if Sha256::hash(&[content]) != digest {
            return Err(fails("is not what its SHA-256 says"));
        }
        let Some(content) = content.strip_prefix(MAGIC) else { return Err(fails("has another format")) };
        let mut buf = Copying(content);
        let snapshot =
            Self::read(genesis, &mut buf).map_err(|source| Error::Codec { what: "snapshot", source })?;
        if buf.remaining() > 0 {
            return Err(fails("goes on after its end"));
        }
        snapshot.check()?;
        Ok(snapshot)
    }

    /// Compares with what the header commits to.
    fn check(&self) -> Result<(), Error> {
        let State { header, registry, schedule, calendar, election, log, .. } = &self.state;
        let fails = |why| Err(Error::Snapshot { height: header.height, why });
        if header.epoch != calendar.epoch_of(header.height) || schedule.epoch != header.epoch {
            return fails("the epoch is not that of the height");
        }
        if self.state.begins_epoch() && self.epoch_start != self.state.block {
            return fails("the next epoch begins elsewhere");
        }
        [
            ("the registry is not the header's", registry.root() == header.registry_root),
            ("the log is not the header's", (log.size(), log.root()) == (header.log_size, header.log_root)),
            ("the authorities are not the header's", schedule.planned.digest() == header.authorities),
            ("the election is not the header's", election.digest() == header.election),
        ]
        .into_iter()
        .try_for_each(|(why, same)| if same { Ok(()) } else { fails(why) })
    }

    fn write(&self, buf: &mut Vec<u8>) {
        let State {
            genesis,
            chain,
            header,
            block: _,
            registry,
            operators,
            nonce,
            schedule,
            calendar,
            election,
            log,
            records,
            windows,
            control,
        } = &self.state;
        chain.write(buf);
        header.write(buf);
        self.epoch_start.write(buf);
        write_keys(operators.keys(), buf);
        (operators.threshold() as u8).write(buf);
        nonce.write(buf);
        records.write(buf);
        write_schedule(schedule, buf);
        // Only where a committee votes there may be decrees.
        if genesis.has_committee() {
            write_cuts(calendar, buf);
        }
        election.write(buf);
        log.size().write(buf);
        log.peaks().iter().for_each(|peak| write_hash(peak, buf));
        write_map(windows, buf, |window, buf| window.write(buf));
        registry.entries().len().write(buf);
        registry.entries().iter().for_each(|entry| entry.write(buf));
        // Chains without controllers and events keep their bytes.
        if !control.is_empty() {
            control.write(buf);
        }
    }

    fn read(genesis: &Genesis, buf: &mut impl Buf) -> Result<Self, CodecError> {
        let chain = Digest::read(buf)?;
        if chain != genesis.digest() {
            return Err(invalid("of another chain"));
        }
        let header = Header::read(buf)?;
        let epoch_start = Digest::read(buf)?;
        let keys = read_keys(buf, MAX_OPERATORS)?;
        let operators = Operators::new(keys, u8::read(buf)?).map_err(|_| invalid("operators"))?;
        let nonce = u64::read(buf)?;
        let records = u64::read(buf)?;
        let schedule = read_schedule(genesis, buf)?;
        let calendar = Calendar::new(genesis.epoch_length);
        let calendar = if genesis.has_committee() { read_cuts(calendar, buf)? } else { calendar };
        let election = Election::read(buf)?;
        let size = u64::read(buf)?;
        let peaks = (0..size.count_ones()).map(|_| read_hash(buf)).collect::<Result<_, _>>()?;
        let log = Frontier::from_parts(size, peaks).ok_or(invalid("log"))?;
        let windows = read_map(buf, MAX_WINDOWS, Window::read)?;
        let registry = read_registry(buf)?;
        let control = if buf.remaining() > 0 { Control::read(buf)? } else { Control::default() };
        let registry = registry.with_facts(control.leaves(registry.entries().len()));
        let block = header.digest();
        let state = State {
            genesis: Arc::new(genesis.clone()),
            chain,
            header,
            block,
            registry,
            operators: Arc::new(operators),
            nonce,
            schedule,
            calendar,
            election,
            log,
            records,
            windows: Arc::new(windows),
            control: Arc::new(control),
        };
        Ok(Self { state, epoch_start })
    }
}

fn invalid(why: &'static str) -> CodecError {
    CodecError::Invalid("voltmesh_ledger::Snapshot", why)
}

fn write_keys(keys: &BTreeSet<PublicKey>, buf: &mut impl BufMut) {
    keys.len().write(buf);
    keys.iter().for_each(|key| key.write(buf));
}

fn read_keys(buf: &mut impl Buf, max: usize) -> Result<BTreeSet<PublicKey>, CodecError> {
    let len = usize::read_cfg(buf, &RangeCfg::from(0..=max))?;
    let mut keys = BTreeSet::new();
    for _ in 0..len {
        let key = PublicKey::read(buf)?;
        if keys.last().is_some_and(|last| *last >= key) {
            return Err(unordered());
        }
        keys.insert(key);
    }
    Ok(keys)
}

fn write_schedule(schedule: &Schedule, buf: &mut impl BufMut) {
    let Schedule { epoch, previous, current, next, planned, admitted, retired, successors } = schedule;
    epoch.get().write(buf);
    [previous, current, next, planned].into_iter().for_each(|roster| roster.write(buf));
    write_set(admitted, buf);
    write_keys(retired, buf);
    write_map(successors, buf, |new, buf| new.write(buf));
}

fn read_schedule(genesis: &Genesis, buf: &mut impl Buf) -> Result<Schedule, CodecError> {
    let epoch = Epoch::new(u64::read(buf)?);
    let mut roster = || {
        let roster = Roster::read(buf)?;
        let terms = roster.leaders.term_length() == genesis.term_length;
        if terms { Ok(Arc::new(roster)) } else { Err(invalid("terms of another length")) }
    };
    let (previous, current, next, planned) = (roster()?, roster()?, roster()?, roster()?);
    let admitted = Arc::new(some_set(buf)?);
    let retired = read_keys(buf, MAX_RETIRED)?;
    let successors: BTreeMap<_, _> = read_map(buf, MAX_RETIRED, |buf| PublicKey::read(buf))?;
    if successors.keys().any(|key| !retired.contains(key)) {
        return Err(invalid("a key was rotated and not retired"));
    }
    let (retired, successors) = (Arc::new(retired), Arc::new(successors));
    Ok(Schedule { epoch, previous, current, next, planned, admitted, retired, successors })
}

fn write_cuts(calendar: &Calendar, buf: &mut impl BufMut) {
    calendar.cuts().len().write(buf);
    for (first, epoch) in calendar.cuts() {
        first.get().write(buf);
        epoch.get().write(buf);
    }
}

fn read_cuts(mut calendar: Calendar, buf: &mut impl Buf) -> Result<Calendar, CodecError> {
    let len = usize::read_cfg(buf, &RangeCfg::from(0..=MAX_CUTS))?;
    let mut last = Height::zero();
    for _ in 0..len {
        let (first, epoch) = (Height::new(u64::read(buf)?), Epoch::new(u64::read(buf)?));
        if first <= last || epoch <= calendar.epoch_of(first) {
            return Err(invalid("decrees out of order"));
        }
        calendar = calendar.cut(first, epoch);
        last = first;
    }
    Ok(calendar)
}

fn read_registry(buf: &mut impl Buf) -> Result<Registry, CodecError> {
    let entries = read_bounded::<Entry>(buf, MAX_ENTRIES)?;
    if !entries.is_sorted_by(|a, b| a.commitment < b.commitment) {
        return Err(unordered());
    }
    Ok(Registry::from_entries(entries))
}
