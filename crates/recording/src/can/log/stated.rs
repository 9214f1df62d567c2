//! What is stated of a log's times, where it does not say it itself.

use crate::{Stamp, wall};
use chrono_tz::Tz;

/// The warning about local times whose zone nobody states.
pub(super) const LOCAL: &str =
    "the log states local times without their zone: taken for UTC; state time_zone if they are local";

/// Statements on the times of logs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Stated {
    /// Zone of local times. Default: UTC, which is said.
    pub zone: Option<Tz>,
    /// Of candump: whether each time counts from the frame before (`-td`) or from the first (`-tz`). Default: found out.
    pub deltas: Option<bool>,
    /// Whether dated times count from 1980, as those of GPS, or from 1970. Default: from 1970, and doubted where the file's
    /// name or last change states the other date.
    pub gps: Option<bool>,
}

/// Times of a log that are of a clock on the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Local {
    /// None.
    None,
    /// Each.
    Each,
    /// The start that all count from, in ns.
    Start(i64),
}

/// Clock on the wall of a zone.
#[derive(Debug, Default)]
pub(super) struct Wall {
    zone: Option<Tz>,
    /// The last start, and how far the clock was ahead of UTC there, in ns.
    start: Option<(i64, i64)>,
    /// The last time of a log of which each is local.
    last: i64,
}

impl Wall {
    /// A clock before its first time.
    pub(super) const fn of(zone: Option<Tz>) -> Self {
        Self { zone, start: None, last: i64::MIN }
    }

    /// Whether a zone is stated.
    pub(super) const fn is_of_zone(&self) -> bool {
        self.zone.is_some()
    }

    /// A frame's time in UTC; `None` in an hour that the zone leaves out.
    pub(super) fn in_utc(&mut self, time: Stamp, local: Local) -> Option<Stamp> {
        let (Some(zone), Stamp::Unix(ns)) = (self.zone, time) else { return Some(time) };
        match local {
            Local::None => Some(time),
            Local::Each => {
                self.last = wall::unix(zone, ns, self.last)?;
                Some(Stamp::Unix(self.last))
            }
            Local::Start(start) => {
                let known = self.start.filter(|(known, _)| *known == start);
                let ahead = match known {
                    Some((_, ahead)) => ahead,
                    None => start.checked_sub(wall::unix(zone, start, i64::MIN)?)?,
                };
                self.start = Some((start, ahead));
                Some(Stamp::Unix(ns.checked_sub(ahead)?))
            }
        }
    }
}
