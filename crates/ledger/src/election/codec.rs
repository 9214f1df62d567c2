//! The election as snapshots carry it: maps in order of their keys, each key once.

use crate::{
    block::{equivocation::Offence, round_trips::UNREACHABLE},
    codec::{read_map, write_map},
    election::{Ancestor, Election, MAX_ANCESTORS, Quarantine, Standing},
    types::{Digest, Epoch, Height, MAX_AUTHORITIES},
};
use bytes::BufMut;
use commonware_codec::{Buf, Error as CodecError, RangeCfg, Read, ReadExt as _, Write};
use std::{collections::VecDeque, sync::Arc};

/// Most authorities that an election says something of: those admitted now and those that left in this epoch.
pub(crate) const MAX_STANDINGS: usize = 8 * MAX_AUTHORITIES;

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
