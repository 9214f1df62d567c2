//! How long a node has heard of no other authority, and when to say so.

use voltmesh_telemetry::Timestamp;

/// Silence between two warnings, in ms: 10 s, twice the time after which a peer that says nothing counts as gone.
const SAY_EVERY_MS: u64 = 10_000;

/// Time without other authorities.
#[derive(Debug, Default)]
pub(super) struct Alone {
    since: Option<Timestamp>,
    said: Option<Timestamp>,
}

impl Alone {
    /// How many peers are heard now. Returns the seconds without any, each [`SAY_EVERY_MS`].
    pub fn look(&mut self, now: Timestamp, peers: usize) -> Option<u64> {
        if peers > 0 {
            *self = Self::default();
            return None;
        }
        let since = *self.since.get_or_insert(now);
        if now.millis_since(self.said.unwrap_or(since)) < SAY_EVERY_MS {
            return None;
        }
        self.said = Some(now);
        Some(now.millis_since(since) / 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_peers_says_so_each_ten_seconds() {
        let mut alone = Alone::default();
        let said: Vec<u64> =
            (0..140).filter_map(|n| alone.look(Timestamp::from_millis(n * 250), 0)).collect();
        assert_eq!(said, [10, 20, 30]);
        // One that is heard ends it, and silence counts anew.
        let at = |ms| Timestamp::from_millis(ms);
        assert_eq!(alone.look(at(36_000), 1), None);
        assert_eq!(alone.look(at(37_000), 0), None);
        assert_eq!((alone.look(at(46_999), 0), alone.look(at(47_000), 0)), (None, Some(10)));
    }
}
