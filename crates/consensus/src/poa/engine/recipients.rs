//! Who is told what in an epoch: simplex sends all to everyone, and most of it twice.
//!
//! Votes go to voters. A certificate that a voter has put together goes to the f + 1 voters after it, in the order of
//! keys: the others have put it together themselves, and whoever has missed votes hears from f + 1 before it, of whom
//! one is honest. Certificates that skip a view go to all voters: they end a stall, and then votes have been lost.
//! Followers get finalizations only, each from f + 1 voters, and send none. Whoever is admitted and serves later asks for
//! what is final as it hears of it (`gossip`).

use crate::PublicKey;
use commonware_actor::{Feedback, Unreliable};
use commonware_p2p::{CheckedSender, LimitedSender, Recipients};
use commonware_runtime::{Buf as _, IoBufs};
use std::{sync::Arc, time::SystemTime};
use voltmesh_ledger::Roster;

/// Tags of `simplex::types::Certificate`.
const NULLIFICATION: u8 = 1;
const FINALIZATION: u8 = 2;

/// Lists of recipients of one node in one epoch.
#[derive(Debug)]
pub(crate) struct Audience {
    voters: Vec<PublicKey>,
    /// The f + 1 voters after this one.
    next: Vec<PublicKey>,
    /// Those, and the followers that this voter serves.
    served: Vec<PublicKey>,
}

impl Audience {
    /// As the node `me` has it.
    pub fn new(roster: &Roster, me: &PublicKey) -> Self {
        let all: Vec<PublicKey> = roster.voters.keys().cloned().collect();
        let voters = all.iter().filter(|key| *key != me).cloned().collect();
        let Some(place) = all.iter().position(|key| key == me) else {
            return Self { voters, next: Vec::new(), served: Vec::new() };
        };
        let (k, servers) = (all.len(), roster.voters.honest());
        let next: Vec<PublicKey> = (1..=servers).map(|step| all[(place + step) % k].clone()).collect();
        let followers = roster.authorities.keys().filter(|key| !roster.voters.contains(key)).enumerate();
        let served = followers.filter(|(number, _)| (place + k - number % k) % k < servers);
        let served = next.iter().cloned().chain(served.map(|(_, key)| key.clone())).collect();
        Self { voters, next, served }
    }
}

/// Kind of messages that a sender carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Votes,
    Certificates,
}

/// A sender whose messages for everyone go to whom they are of use.
#[derive(Clone, Debug)]
pub(crate) struct Addressed<S> {
    inner: S,
    kind: Kind,
    audience: Arc<Audience>,
}

impl<S> Addressed<S> {
    pub fn votes(inner: S, audience: Arc<Audience>) -> Self {
        Self { inner, kind: Kind::Votes, audience }
    }

    pub fn certificates(inner: S, audience: Arc<Audience>) -> Self {
        Self { inner, kind: Kind::Certificates, audience }
    }
}

impl<S: LimitedSender<PublicKey = PublicKey>> LimitedSender for Addressed<S> {
    type PublicKey = PublicKey;
    type Checked<'a>
        = AddressedOnce<'a, S>
    where
        Self: 'a;

    /// Quotas are checked when the message, and so its recipients, are known.
    fn check(&mut self, recipients: Recipients<PublicKey>) -> Result<AddressedOnce<'_, S>, SystemTime> {
        Ok(AddressedOnce { inner: &mut self.inner, kind: self.kind, audience: &self.audience, recipients })
    }
}

/// Message that is about to be sent.
pub(crate) struct AddressedOnce<'a, S> {
    inner: &'a mut S,
    kind: Kind,
    audience: &'a Audience,
    recipients: Recipients<PublicKey>,
}

impl<S: LimitedSender<PublicKey = PublicKey>> CheckedSender for AddressedOnce<'_, S> {
    type PublicKey = PublicKey;

    fn recipients(&self) -> Vec<PublicKey> {
        match &self.recipients {
            Recipients::All => self.audience.voters.clone(),
            Recipients::Some(keys) => keys.clone(),
            Recipients::One(key) => vec![key.clone()],
        }
    }

    fn send(self, message: impl Into<IoBufs> + Send, priority: bool) -> Unreliable<Feedback> {
        let message = message.into();
        let to = match (self.recipients, self.kind) {
            (Recipients::All, Kind::Votes) => Recipients::Some(self.audience.voters.clone()),
            (Recipients::All, Kind::Certificates) => Recipients::Some(match message.chunk().first() {
                Some(&NULLIFICATION) => self.audience.voters.clone(),
                Some(&FINALIZATION) => self.audience.served.clone(),
                _ => self.audience.next.clone(),
            }),
            (named, _) => named,
        };
        if let Recipients::Some(keys) = &to
            && keys.is_empty()
        {
            return Unreliable::new(Feedback::Ok);
        }
        match self.inner.check(to) {
            Ok(checked) => checked.send(message, priority),
            Err(_) => Unreliable::rejected(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use voltmesh_ledger::testing::Network;

    fn told(roster: &Roster, list: fn(&Audience) -> &Vec<PublicKey>) -> BTreeMap<PublicKey, usize> {
        let mut told = BTreeMap::new();
        for key in roster.authorities.keys() {
            for to in list(&Audience::new(roster, key)) {
                assert_ne!(to, key, "nobody tells itself");
                *told.entry(to.clone()).or_insert(0) += 1;
            }
        }
        told
    }

    #[test]
    fn everyone_hears_of_finality_from_f_plus_one() {
        for (n, committee, servers) in [(4, None, 2), (20, None, 7), (20, Some(7), 3), (9, Some(4), 2)] {
            let genesis = Network::new(n).genesis().clone().with_committee(committee).expect("3 f + 1");
            let roster = genesis.roster();
            let told_final = told(&roster, |audience| &audience.served);
            assert_eq!(told_final.len() as u64, n);
            assert!(told_final.values().all(|times| *times == servers), "{told_final:?}");
            let told_notarized = told(&roster, |audience| &audience.next);
            assert_eq!(told_notarized.len(), roster.voters.len(), "followers need none");
        }
    }

    #[test]
    fn tags_are_those_of_simplex() {
        use commonware_codec::Encode as _;
        use commonware_consensus::simplex::types::Certificate;
        let network = Network::new(4);
        let header = network.genesis().block().header().clone();
        let certificate = network.finalize(&header, &network.genesis().authorities);
        let bytes = Certificate::Finalization(certificate.finalization().clone()).encode();
        assert_eq!(bytes[0], FINALIZATION);
    }
}
