//! Measures round trips to the other authorities, for the scores on the ledger.
//!
//! A question carries a number that cannot be guessed, so that nobody answers before it was asked.

use crate::PublicKey;
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};
use voltmesh_ledger::{AuthoritySet, UNREACHABLE};

/// Time between two questions.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(2);

/// Questions whose answers still count: an answer later than 8 s is none.
const OPEN_PINGS: usize = 4;

/// Peers whose round trips are kept; the network has fewer connections.
const MAX_PEERS: usize = 256;

#[derive(Debug)]
struct Measured {
    /// Smoothed as RFC 6298 does, with a gain of 1/4.
    micros: u32,
    /// Number of the last question answered.
    last: u64,
}

/// Round-trip times to other nodes, as this one measures them.
#[derive(Debug, Default)]
pub(crate) struct RoundTripTimes {
    /// Open questions: number in order, nonce, when asked.
    open: BTreeMap<u64, (u64, SystemTime)>,
    asked: u64,
    peers: BTreeMap<PublicKey, Measured>,
}

impl RoundTripTimes {
    /// Notes that all peers are asked now.
    pub fn ask(&mut self, nonce: u64, now: SystemTime) {
        self.asked += 1;
        self.open.insert(self.asked, (nonce, now));
        while self.open.len() > OPEN_PINGS {
            self.open.pop_first();
        }
    }

    /// Notes an answer.
    pub fn answer(&mut self, from: &PublicKey, nonce: u64, now: SystemTime) {
        let Some((number, asked)) =
            self.open.iter().find(|(_, (open, _))| *open == nonce).map(|(number, (_, at))| (*number, *at))
        else {
            return;
        };
        let elapsed = now.duration_since(asked).unwrap_or_default().as_micros();
        let micros = u32::try_from(elapsed).unwrap_or(UNREACHABLE).min(UNREACHABLE - 1);
        if let Some(known) = self.peers.get_mut(from) {
            if known.last < number {
                known.micros = (u64::from(known.micros) * 3 / 4 + u64::from(micros) / 4) as u32;
                known.last = number;
            }
        } else if self.peers.len() < MAX_PEERS {
            self.peers.insert(from.clone(), Measured { micros, last: number });
        }
    }

    /// Round trips to `authorities` in microseconds; those that did not answer lately are [`UNREACHABLE`]. `None` if
    /// nobody did.
    pub fn report(&self, authorities: &AuthoritySet) -> Option<Vec<u32>> {
        let fresh = self.asked.saturating_sub(OPEN_PINGS as u64);
        let micros: Vec<u32> = authorities
            .keys()
            .map(|key| {
                self.peers.get(key).filter(|peer| peer.last > fresh).map_or(UNREACHABLE, |peer| peer.micros)
            })
            .collect();
        micros.iter().any(|micros| *micros != UNREACHABLE).then_some(micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_cryptography::Signer as _;
    use voltmesh_ledger::testing::{Network, key};

    #[test]
    fn only_what_was_asked_counts_and_only_while_it_is_fresh() {
        let network = Network::new(4);
        let set = &network.genesis().authorities;
        let peer = set.get(1).expect("four").clone();
        let at = |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        let mut times = RoundTripTimes::default();
        times.answer(&peer, 7, at(0));
        assert_eq!(times.report(set), None, "an answer before the question");
        times.ask(7, at(1_000));
        times.answer(&peer, 7, at(1_020));
        times.answer(&peer, 7, at(9_000));
        times.answer(&key(99).public_key(), 7, at(1_001));
        assert_eq!(times.report(set), Some(vec![UNREACHABLE, 20_000, UNREACHABLE, UNREACHABLE]));
        for nonce in 8..12 {
            times.ask(nonce, at(1_000 + nonce));
        }
        assert_eq!(times.report(set), None, "silent for long");
        times.answer(&peer, 11, at(1_111));
        assert_eq!(times.report(set).expect("fresh")[1], 40_000);
    }
}
