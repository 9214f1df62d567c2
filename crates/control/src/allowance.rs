//! What each identity may put into the quarantine, so that the rubbish of one does not wash out what others sent.
//!
//! An identity may put a sixteenth of the room there at once, and a sixteenth a day in the long run. A fog node's quarantine
//! drops its oldest entries when it is full: alone, an identity needs sixteen days to wash out what others sent. The cloud's
//! drops nothing, and its room is what is left of it: however much is used, there is room for others.

use std::collections::BTreeMap;

use voltmesh_telemetry::Timestamp;

/// Part of the quarantine that one identity may use at once, and a day: a sixteenth.
const SHARE: u64 = 16;

/// Time in which a used share is free again, milliseconds.
const REFILL_MS: u64 = 24 * 3_600_000;

/// Identities whose use is remembered: 4,096 × some 100 B. Beyond, the one that has used least is forgotten.
const IDENTITIES: usize = 4_096;

/// Bytes of a quarantine that identities have used, as leaky buckets.
#[derive(Debug, Clone)]
pub struct Allowance {
    share: u64,
    used: BTreeMap<String, Used>,
}

/// What one identity has used.
#[derive(Debug, Clone, Copy)]
struct Used {
    bytes: u64,
    at: Timestamp,
}

impl Allowance {
    /// Shares of a room of so many bytes.
    pub fn new(room_bytes: u64) -> Self {
        Self { share: room_bytes / SHARE, used: BTreeMap::new() }
    }

    /// Makes the shares those of a room of so many bytes; what was used stays used.
    pub fn resize(&mut self, room_bytes: u64) {
        self.share = room_bytes / SHARE;
    }

    /// Bytes that an identity may use at once, and a day.
    pub fn share(&self) -> u64 {
        self.share
    }

    /// Counts an entry of so many bytes; false, and nothing is counted, if the identity's share is used.
    pub fn take(&mut self, now: Timestamp, identity: &str, bytes: u64) -> bool {
        let used = self.used.get(identity).map_or(0, |used| self.left(now, used));
        let after = used.saturating_add(bytes);
        if after > self.share {
            return false;
        }
        if !self.used.contains_key(identity) && self.used.len() >= IDENTITIES {
            self.forget_least(now);
        }
        self.used.insert(identity.to_owned(), Used { bytes: after, at: now });
        true
    }

    /// What is left of a use, after the time since.
    fn left(&self, now: Timestamp, used: &Used) -> u64 {
        let passed = now.millis_since(used.at).min(REFILL_MS);
        let freed = u128::from(self.share) * u128::from(passed) / u128::from(REFILL_MS);
        used.bytes.saturating_sub(u64::try_from(freed).unwrap_or(u64::MAX))
    }

    fn forget_least(&mut self, now: Timestamp) {
        let least = self.used.iter().min_by_key(|(_, used)| self.left(now, used));
        if let Some(identity) = least.map(|(identity, _)| identity.clone()) {
            self.used.remove(&identity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(1_780_300_000_000 + ms)
    }

    #[test]
    fn an_identity_uses_its_share_at_once_and_a_day() {
        let mut allowance = Allowance::new(16_000);
        assert_eq!((0..20).filter(|_| allowance.take(at(0), "client:a", 100)).count(), 10);
        assert!(allowance.take(at(0), "client:b", 1_000), "another identity has its own");
        let mut day = 0;
        for minute in 1..=24 * 60 {
            day += u64::from(allowance.take(at(minute * 60_000), "client:a", 100)) * 100;
        }
        assert_eq!(day, 1_000, "a share a day");
        assert!(!allowance.take(at(2 * REFILL_MS), "client:a", 1_001), "never more than the share at once");
    }

    /// One identity past the bound, the one that has used least is forgotten: the others' use stays.
    #[test]
    fn beyond_the_bound_who_has_used_least_is_forgotten() {
        let mut allowance = Allowance::new(16_000);
        for n in 0..IDENTITIES {
            assert!(allowance.take(at(0), &format!("client:{n}"), if n == 7 { 1 } else { 900 }));
        }
        assert!(allowance.take(at(0), "client:new", 900));
        assert_eq!(allowance.used.len(), IDENTITIES);
        assert!(!allowance.used.contains_key("client:7"));
        assert!(!allowance.take(at(0), "client:8", 200));
    }
}
