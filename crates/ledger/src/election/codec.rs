//! The election as snapshots carry it: maps in order of their keys, each key once.

use super::{Ancestor, Election, Leaders, MAX_ANCESTORS, Quarantine, Roster, Standing};
use crate::{
    decree::read_set,
    keys::{AuthoritySet, Digest, Epoch, Height, MAX_AUTHORITIES, PublicKey},
    misbehaviour::Offence,
    round_trips::UNREACHABLE,
};
use bytes::BufMut;
use commonware_codec::{Buf, Error as CodecError, RangeCfg, Read, ReadExt as _, Write};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Most authorities that an election says something of: those admitted now and those that left in this epoch.
pub(crate) const MAX_STANDINGS: usize = 8 * MAX_AUTHORITIES;

/// Writes a map's length and its entries in order.
pub(crate) fn write_map<K: Write, V, B: BufMut>(
    map: &BTreeMap<K, V>,
    buf: &mut B,
    value: impl Fn(&V, &mut B),
) {
    map.len().write(buf);
    for (key, held) in map {
        key.write(buf);
        value(held, buf);
    }
}

/// Reads at most `max` entries whose keys must go up.
pub(crate) fn read_map<V, B: Buf>(
    buf: &mut B,
    max: usize,
    value: impl Fn(&mut B) -> Result<V, CodecError>,
) -> Result<BTreeMap<PublicKey, V>, CodecError> {
    let len = usize::read_cfg(buf, &RangeCfg::from(0..=max))?;
    let mut map = BTreeMap::new();
    for _ in 0..len {
        let key = PublicKey::read(buf)?;
        if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(unordered());
        }
        map.insert(key, value(buf)?);
    }
    Ok(map)
}

pub(crate) fn unordered() -> CodecError {
    CodecError::Invalid("voltmesh_ledger::Snapshot", "entries out of order")
}

pub(crate) fn write_set(set: &AuthoritySet, buf: &mut impl BufMut) {
    set.as_set().as_ref().write(buf);
}

pub(crate) fn some_set(buf: &mut impl Buf) -> Result<AuthoritySet, CodecError> {
    read_set(buf)?.ok_or(CodecError::Invalid("voltmesh_ledger::Snapshot", "no authorities"))
}

impl Write for Standing {
    fn write(&self, buf: &mut impl BufMut) {
        let Self { score, votes, proposed, missed, probation, round_trip_us } = self;
        let round_trip = round_trip_us.unwrap_or(UNREACHABLE);
        [score, votes, proposed, missed, probation, &round_trip].into_iter().for_each(|n| n.write(buf));
    }
}

impl Read for Standing {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            score: u32::read(buf)?,
            votes: u32::read(buf)?,
            proposed: u32::read(buf)?,
            missed: u32::read(buf)?,
            probation: u32::read(buf)?,
            round_trip_us: Some(u32::read(buf)?).filter(|micros| *micros != UNREACHABLE),
        })
    }
}

impl Write for Quarantine {
    fn write(&self, buf: &mut impl BufMut) {
        self.since.get().write(buf);
        (self.offence as u8).write(buf);
        self.epoch.get().write(buf);
        self.view.write(buf);
    }
}

impl Read for Quarantine {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            since: Height::new(u64::read(buf)?),
            offence: match u8::read(buf)? {
                0 => Offence::ConflictingNotarize,
                1 => Offence::ConflictingFinalize,
                2 => Offence::NullifyFinalize,
                other => return Err(CodecError::InvalidEnum(other)),
            },
            epoch: Epoch::new(u64::read(buf)?),
            view: u64::read(buf)?,
        })
    }
}

impl Write for Ancestor {
    fn write(&self, buf: &mut impl BufMut) {
        self.block.write(buf);
        self.height.get().write(buf);
        self.epoch.get().write(buf);
        self.view.write(buf);
    }
}

impl Read for Ancestor {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            block: Digest::read(buf)?,
            height: Height::new(u64::read(buf)?),
            epoch: Epoch::new(u64::read(buf)?),
            view: u64::read(buf)?,
        })
    }
}

impl Write for Election {
    fn write(&self, buf: &mut impl BufMut) {
        write_map(&self.standings, buf, |standing, buf| standing.write(buf));
        write_map(&self.convicted, buf, |quarantine, buf| quarantine.write(buf));
        write_map(&self.reports, buf, |micros, buf| micros.as_slice().write(buf));
        self.certificates.write(buf);
        self.ancestors.len().write(buf);
        self.ancestors.iter().for_each(|ancestor| ancestor.write(buf));
    }
}

impl Read for Election {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        let standings = read_map(buf, MAX_STANDINGS, |buf| Standing::read(buf))?;
        let convicted = read_map(buf, MAX_STANDINGS, |buf| Quarantine::read(buf))?;
        let row = (RangeCfg::from(0..=MAX_AUTHORITIES), ());
        let reports = read_map(buf, MAX_AUTHORITIES, |buf| Vec::<u32>::read_cfg(buf, &row))?;
        let certificates = u32::read(buf)?;
        let len = usize::read_cfg(buf, &RangeCfg::from(0..=MAX_ANCESTORS))?;
        let ancestors = (0..len).map(|_| Ancestor::read(buf)).collect::<Result<VecDeque<_>, _>>()?;
        Ok(Self {
            standings: Arc::new(standings),
            convicted: Arc::new(convicted),
            reports: Arc::new(reports),
            certificates,
            ancestors: Arc::new(ancestors),
        })
    }
}

// The turns are written as they are: they follow from scores that may have changed since.
impl Write for Roster {
    fn write(&self, buf: &mut impl BufMut) {
        write_set(&self.authorities, buf);
        let committee: &[PublicKey] = self.committee().map_or(&[], |set| set.as_set().as_ref());
        committee.write(buf);
        self.leaders.write(buf);
    }
}

impl Read for Roster {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        let invalid = |why| CodecError::Invalid("voltmesh_ledger::Roster", why);
        let authorities = Arc::new(some_set(buf)?);
        let voters = match read_set(buf)? {
            Some(committee) if committee == *authorities => return Err(invalid("a committee of all")),
            Some(committee) => Arc::new(committee),
            None => authorities.clone(),
        };
        Self::check(&authorities, &voters).map_err(|_| invalid("a voter is no authority"))?;
        let leaders = Leaders::read_cfg(buf, &voters.len())?;
        Ok(Self { authorities, voters, leaders })
    }
}
