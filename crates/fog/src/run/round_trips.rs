//! Round trips to vehicles, measured by what is published to them anyway: from the publish to the vehicle's acknowledgement.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use voltmesh_mqtt::SessionId;

/// One publish of each session at a time; bounded by the sessions.
#[derive(Debug, Default)]
pub struct RoundTrips(BTreeMap<SessionId, (u64, Instant)>);

impl RoundTrips {
    /// A publish with this tag goes out.
    pub fn sent(&mut self, session: SessionId, tag: u64) {
        self.0.entry(session).or_insert_with(|| (tag, Instant::now()));
    }

    /// A publish was acknowledged; how long it took if it is the one that is measured.
    pub fn acknowledged(&mut self, session: SessionId, tag: u64) -> Option<Duration> {
        let (measured, at) = self.0.get(&session)?;
        if *measured != tag {
            return None;
        }
        let took = at.elapsed();
        self.0.remove(&session);
        Some(took)
    }

    /// A session has ended.
    pub fn ended(&mut self, session: SessionId) {
        self.0.remove(&session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_publish_of_a_session_is_measured_at_a_time() {
        let (mut trips, one, two) = (RoundTrips::default(), SessionId(1), SessionId(2));
        trips.sent(one, 1);
        trips.sent(one, 2);
        trips.sent(two, 3);
        assert!(trips.acknowledged(one, 2).is_none() && trips.acknowledged(two, 1).is_none());
        assert!(trips.acknowledged(one, 1).is_some() && trips.acknowledged(one, 1).is_none());
        trips.ended(two);
        assert!(trips.acknowledged(two, 3).is_none());
    }
}
