//! File descriptors: how many a process may have, and how many of them are for strangers.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{Bounds, Error};

/// With fewer no role works: half of them are 128 files and 128 connections.
const LEAST: usize = 256;

/// Limits on open file descriptors of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    limit: usize,
}

impl Descriptors {
    /// Raises the soft limit to the hard limit, which needs no privilege, and returns what is in force. A process calls this
    /// once at its start.
    pub fn raise() -> Descriptors {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        if current != maximum
            && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        {
            tracing::warn!(%error, ?current, "the number of file descriptors cannot be raised to the hard limit");
        }
        let limit = getrlimit(Resource::Nofile).current;
        Descriptors::of(limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)))
    }

    /// A limit that is known.
    pub fn of(limit: usize) -> Descriptors {
        Descriptors { limit }
    }

    /// The number in force.
    pub fn limit(self) -> usize {
        self.limit
    }

    /// The bounds of a server that leaves `reserve` descriptors, or half of them if there are fewer than twice as many, to the
    /// files and peers of its process: a connection of a stranger is never what the ledger's journal or the spool lacks.
    pub fn share(self, wanted: Bounds, reserve: usize) -> Result<Bounds, Error> {
        let limit = self.limit;
        if limit < LEAST {
            return Err(Error::Descriptors { limit, least: LEAST });
        }
        let kept = reserve.min(limit / 2);
        let needed = wanted.max_connections + reserve;
        if limit < needed {
            let bounds = wanted.within(limit - kept);
            tracing::warn!(
                limit,
                needed,
                kept,
                connections = bounds.max_connections,
                sessions = bounds.max_sessions,
                "fewer file descriptors than the bounds need: fewer sessions are taken; allow more with `ulimit -n {needed}` \
                 or LimitNOFILE={needed} in the systemd unit"
            );
            return Ok(bounds);
        }
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_never_get_what_is_reserved() {
        for limit in [256, 1024, 2048, 4096, 8703, 8704, 20_000, usize::MAX] {
            let bounds = Descriptors::of(limit).share(Bounds::default(), 2048).unwrap();
            let kept = limit - bounds.max_connections;
            assert!(kept >= 2048.min(limit / 2), "{limit}: {bounds:?}");
        }
        let all = Descriptors::of(17_920 + 2048).share(Bounds::default(), 2048).unwrap();
        assert_eq!(all, Bounds::default());
        let refused = Descriptors::of(255).share(Bounds::default(), 2048).unwrap_err();
        assert!(refused.to_string().contains("ulimit -n"), "{refused}");
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_limit() {
        let hard = getrlimit(Resource::Nofile).maximum;
        assert_eq!(Some(Descriptors::raise().limit() as u64), hard.or(Some(u64::MAX)));
    }
}
