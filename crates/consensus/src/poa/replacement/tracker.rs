//! Decrees by which operators replace a committee that has stalled: what this node knows, follows, and has promised.
//!
//! A node follows a decree that names its newest final block: it stops the engine of the epoch for good, keeps the
//! promise on disk, and says so. With the word of more than two thirds of all authorities the decree is in force. Of two
//! decrees the one with the later epoch counts; a promise is never taken back for an earlier one.

use crate::PublicKey;
use std::{collections::BTreeMap, sync::Arc};
use voltmesh_ledger::{Decree, Error, Height, MAX_CUTS, PrivateKey, Replacement, State};

/// How long no block must have become final here before this node follows a decree that is not in force, in
/// milliseconds: so that operators who are mistaken stop nobody. An idle chain has a block each second.
pub(crate) const STALLED_MS: u64 = 10_000;

/// How long a node that comes back listens to others before it votes, in milliseconds: two of their statuses, or one and
/// an answer.
const LISTEN_MS: u64 = 2_000;

/// Peers whose calendars are kept: as many as those whose heights are.
const MAX_CALENDARS: usize = 256;

/// First heights and epochs after decrees, as a peer says. At most [`MAX_CUTS`].
type Cuts = Vec<(u64, u64)>;

/// Result of offering a decree to this node.
#[derive(Debug)]
pub(crate) enum Offered {
    /// It, or who follows it, is news here.
    News,
    /// Nothing new.
    Known,
    /// This node has to catch up first.
    Behind,
    /// It names a block below the newest here.
    Past,
    /// It does not hold.
    Refused(Error),
}

/// Decrees that this node knows, and what it has promised about them.
#[derive(Debug, Default)]
pub(crate) struct Decrees {
    /// The decree with the latest epoch that names the newest final block, and who follows it as far as known.
    current: Option<Replacement>,
    /// Given to this node about a block that it does not have yet, to pass on.
    entrusted: Option<Replacement>,
    /// What this node has promised, also on disk.
    promised: Option<Decree>,
    /// Since when the newest final block is the newest.
    still_since_ms: u64,
    /// Since when this node, which has come back, has heard of enough others. `None` also if it need not listen.
    heard_since_ms: Option<u64>,
    /// Whether this node has to hear of decrees first.
    listens: bool,
    /// What others say of decrees.
    cuts: BTreeMap<PublicKey, Cuts>,
    /// In force, and this node holds a block that it lets count for nothing.
    replaced: Option<Arc<Decree>>,
}

impl Decrees {
    /// What was promised before the process started.
    pub fn restore(&mut self, promised: Option<Decree>, now_ms: u64) {
        self.promised = promised;
        self.still_since_ms = now_ms;
    }

    /// From now on this node, which has come back, listens before it votes: there may be a decree, and what it would help
    /// the old committee to make final would count for nothing.
    pub fn listen(&mut self) {
        self.listens = true;
    }

    /// Whether this node has listened for long enough. `heard` says whether f + 1 authorities, itself included, have said
    /// something: more than can be missing where a decree is in force.
    pub fn has_listened(&mut self, heard: bool, now_ms: u64) -> bool {
        if self.listens && heard {
            let since = *self.heard_since_ms.get_or_insert(now_ms);
            self.listens = now_ms < since + LISTEN_MS;
        }
        !self.listens
    }

    /// Whether no block has become final here for half the time after which a decree is followed.
    pub fn is_still(&self, now_ms: u64) -> bool {
        now_ms >= self.still_since_ms + STALLED_MS / 2
    }

    /// A block became final.
    pub fn advance(&mut self, height: Height, now_ms: u64) {
        self.still_since_ms = now_ms;
        if self.current.as_ref().is_some_and(|current| current.decree.after < height) {
            self.current = None;
        }
        if self.entrusted.as_ref().is_some_and(|entrusted| entrusted.decree.after < height) {
            self.entrusted = None;
        }
    }

    /// What was entrusted to this node before it had the block that it names.
    pub fn take_up(&mut self, state: &State) {
        if self.entrusted.as_ref().is_some_and(|entrusted| entrusted.decree.after == state.height())
            && let Some(entrusted) = self.entrusted.take()
        {
            self.offer(entrusted, state);
        }
    }

    /// Takes a decree from the operators themselves.
    pub fn submit(&mut self, decree: Replacement, state: &State) -> Offered {
        let offered = self.offer(decree.clone(), state);
        if matches!(offered, Offered::Behind) {
            self.entrusted = Some(decree);
        }
        offered
    }

    /// Takes a decree, and who follows it. `state` is the newest final one.
    pub fn offer(&mut self, offered: Replacement, state: &State) -> Offered {
        let decree = &offered.decree;
        if decree.after < state.height() {
            return Offered::Past;
        }
        if decree.after > state.height() {
            // Whether it holds shows there; until then operators' signatures are worth a question.
            return match decree.verify(state.operators()) {
                Ok(()) if state.genesis().has_committee() => Offered::Behind,
                Ok(()) => Offered::Known,
                Err(error) => Offered::Refused(error),
            };
        }
        let same = self.current.as_ref().is_some_and(|current| current.decree.digest() == decree.digest());
        let mut news = false;
        if !same {
            if self.current.as_ref().is_some_and(|current| current.decree.epoch >= decree.epoch) {
                return Offered::Known;
            }
            if let Err(error) = state.check_decree(decree) {
                return Offered::Refused(error);
            }
            self.current = Some(Replacement::new(decree.clone()));
            news = true;
        }
        let Some(current) = &mut self.current else { unreachable!("set above") };
        let authorities = &state.stalled().authorities;
        for (by, signature) in offered.acknowledgements.iter() {
            let known = current.acknowledgements.iter().any(|(other, _)| other == by);
            if !known && authorities.contains(by) && current.decree.acknowledged(by, signature) {
                current.acknowledgements.add(by.clone(), signature.clone());
                news = true;
            }
        }
        if news { Offered::News } else { Offered::Known }
    }

    /// The decree to promise to follow now, if any. `ahead` says whether others surely have a
    /// later block.
    pub fn to_promise(&self, state: &State, ahead: bool, now_ms: u64) -> Option<Decree> {
        let decree = &self.current.as_ref()?.decree;
        let stalled = !ahead && now_ms >= self.still_since_ms + STALLED_MS;
        let later = self.promised.as_ref().is_none_or(|promised| promised.epoch < decree.epoch);
        (later && (stalled || self.in_force(state).is_some())).then(|| decree.clone())
    }

    /// Notes a promise that is on disk, and signs it if the holder of `key` is an authority.
    pub fn promise(&mut self, decree: Decree, state: &State, key: &PrivateKey) {
        if let Some(current) = &mut self.current
            && current.decree.digest() == decree.digest()
        {
            let (by, signature) = decree.acknowledge(key);
            if state.stalled().authorities.contains(&by) {
                current.acknowledgements.add(by, signature);
            }
        }
        self.promised = Some(decree);
    }

    /// After a restart: the promise again as a decree that is known, if it is about the newest final block.
    pub fn resume(&mut self, state: &State, key: &PrivateKey) {
        if let Some(promised) = self.promised.clone()
            && promised.after == state.height()
        {
            self.offer(Replacement::new(promised.clone()), state);
            self.promise(promised, state, key);
        }
    }

    /// Whether this node has promised to leave the epoch of the block after the newest final one.
    pub fn has_left(&self, state: &State) -> bool {
        self.promised.as_ref().is_some_and(|promised| promised.after == state.height())
    }

    /// What breaks the promise if a block at `height` becomes final here by `decreed`, or by none.
    pub fn broken_by(&self, height: Height, decreed: Option<&Decree>) -> Option<&Decree> {
        let promised = self.promised.as_ref().filter(|promised| promised.first() == height)?;
        decreed.is_none_or(|decree| decree.epoch < promised.epoch).then_some(promised)
    }

    /// The decree for the block after the newest final one, with enough who follow it.
    pub fn in_force(&self, state: &State) -> Option<&Replacement> {
        let current = self.current.as_ref()?;
        let enough = current.acknowledgements.len() >= state.stalled().authorities.quorum();
        (current.decree.after == state.height() && enough).then_some(current)
    }

    /// The decree that is known about the newest final block.
    pub fn current(&self) -> Option<&Replacement> {
        self.current.as_ref()
    }

    /// What others may not know.
    pub fn to_tell(&self) -> Option<&Replacement> {
        self.current.as_ref().or(self.entrusted.as_ref())
    }

    /// Notes what a peer says of decrees.
    pub fn note(&mut self, peer: PublicKey, cuts: Cuts) {
        if cuts.len() <= MAX_CUTS && (self.cuts.len() < MAX_CALENDARS || self.cuts.contains_key(&peer)) {
            self.cuts.insert(peer, cuts);
        }
    }

    /// The first height after `height` at which `peer` knows that a decree began an epoch.
    pub fn next_cut(&self, peer: &PublicKey, height: u64) -> Option<u64> {
        self.cuts.get(peer)?.iter().map(|(first, _)| *first).find(|first| *first > height)
    }

    /// In force, and against a block that is final here.
    pub fn replaced(&self) -> Option<&Arc<Decree>> {
        self.replaced.as_ref()
    }

    /// Checks a decree about a block below the newest one. `at` is the state after that block, `next` the epoch of the
    /// block that follows it here. True if this node is on a branch that counts for nothing.
    pub fn overtaken(&mut self, replacement: &Replacement, at: &State, next: u64) -> bool {
        let later = replacement.decree.epoch.get() > next;
        if later && at.check_replacement(replacement).is_ok() {
            self.replaced = Some(Arc::new(replacement.decree.clone()));
        }
        self.replaced.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use voltmesh_ledger::testing::{Chain, Network, key};

    fn chain() -> Chain {
        let network = Network::with_epochs(7, 5);
        let genesis = network.genesis().clone().with_committee(Some(4)).expect("3 f + 1");
        let mut chain = Chain::of(network.with_genesis(genesis));
        chain.advance_to(7);
        chain
    }

    fn by(chain: &Chain, decree: &Decree, signers: &[usize]) -> Replacement {
        chain.network.replacement(decree.clone(), &chain.state.stalled().authorities, signers)
    }

    #[test]
    fn a_decree_is_followed_when_the_chain_has_stalled_or_others_do() {
        let chain = chain();
        let (state, decree) = (&chain.state, chain.network.decree(&chain.state, &[3, 4, 5, 6]));
        let mut decrees = Decrees::default();
        decrees.restore(None, 1_000);
        assert!(matches!(decrees.offer(Replacement::new(decree.clone()), state), Offered::News));
        assert!(matches!(decrees.offer(Replacement::new(decree.clone()), state), Offered::Known));
        assert!(decrees.to_promise(state, false, 1_000 + STALLED_MS - 1).is_none());
        assert!(decrees.to_promise(state, true, 1_000 + STALLED_MS).is_none(), "somebody is ahead");
        assert!(decrees.to_promise(state, false, 1_000 + STALLED_MS).is_some());
        // Forged ones do not count, and five of seven make it urgent.
        let mut forged = by(&chain, &decree, &[2, 3]);
        let (_, signature) = decree.acknowledge(&key(99));
        forged
            .acknowledgements
            .add(chain.state.stalled().authorities.get(0).expect("seven").clone(), signature);
        assert!(matches!(decrees.offer(forged, state), Offered::News));
        assert_eq!(decrees.current().expect("known").acknowledgements.len(), 2);
        assert!(matches!(decrees.offer(by(&chain, &decree, &[4, 5]), state), Offered::News));
        assert!(decrees.in_force(state).is_none() && decrees.to_promise(state, false, 2_000).is_none());
        assert!(matches!(decrees.offer(by(&chain, &decree, &[6]), state), Offered::News));
        assert!(decrees.in_force(state).is_some());
        let promise = decrees.to_promise(state, true, 2_000).expect("in force");
        decrees.promise(promise, state, chain.network.authority(1));
        assert_eq!(decrees.in_force(state).expect("in force").acknowledgements.len(), 6);
        assert!(decrees.to_promise(state, true, 2_000).is_none(), "promised already");
        chain.state.check_replacement(decrees.in_force(state).expect("in force")).expect("holds");
    }

    #[test]
    fn whoever_comes_back_listens_first() {
        let mut decrees = Decrees::default();
        assert!(decrees.has_listened(false, 0), "a new chain begins at once");
        decrees.listen();
        assert!(!decrees.has_listened(false, 10_000));
        assert!(!decrees.has_listened(true, 10_000));
        assert!(!decrees.has_listened(true, 10_000 + LISTEN_MS - 1));
        assert!(decrees.has_listened(true, 10_000 + LISTEN_MS));
        assert!(decrees.has_listened(false, 20_000));
    }

    #[test]
    fn the_later_epoch_counts_and_promises_are_kept() {
        let mut chain = chain();
        let first = chain.network.decree(&chain.state, &[3, 4, 5, 6]);
        let mut second = chain.network.decree(&chain.state, &[2, 4, 5, 6]);
        let mut decrees = Decrees::default();
        decrees.offer(Replacement::new(first.clone()), &chain.state);
        decrees.promise(first.clone(), &chain.state, chain.network.authority(1));
        // Another one for the same epoch: the operators contradict themselves.
        assert!(matches!(decrees.offer(Replacement::new(second.clone()), &chain.state), Offered::Known));
        second.epoch = second.epoch.next();
        second.signatures = Default::default();
        let unsigned = Replacement::new(second.clone());
        assert!(matches!(decrees.offer(unsigned, &chain.state), Offered::Refused(_)));
        let second = second.sign(chain.network.operator(0)).sign(chain.network.operator(1));
        assert!(matches!(decrees.offer(Replacement::new(second.clone()), &chain.state), Offered::News));
        assert!(decrees.to_promise(&chain.state, false, STALLED_MS).is_some());
        decrees.promise(second.clone(), &chain.state, chain.network.authority(1));
        assert!(matches!(decrees.offer(by(&chain, &first, &[2, 3, 4, 5, 6]), &chain.state), Offered::Known));
        // What breaks the promise, and what does not.
        let height = second.first();
        assert!(decrees.broken_by(height, None).is_some());
        assert!(decrees.broken_by(height, Some(&first)).is_some());
        assert!(decrees.broken_by(height, Some(&second)).is_none());
        assert!(decrees.broken_by(height.next(), None).is_none());
        // After a restart it is known again.
        let mut again = Decrees::default();
        again.restore(Some(second.clone()), 0);
        again.resume(&chain.state, chain.network.authority(1));
        assert!(again.has_left(&chain.state));
        assert_eq!(again.current().expect("known").acknowledgements.len(), 1);
        // A node that went on with the old committee learns that this counts for nothing.
        let at = chain.state.clone();
        chain.push(Vec::new());
        let (next, all) = (chain.state.epoch().get(), by(&chain, &second, &[1, 2, 3, 4]));
        assert!(matches!(decrees.offer(all.clone(), &chain.state), Offered::Past));
        assert!(!decrees.overtaken(&all, &at, next), "four of seven");
        let all = chain.network.replacement(second, &at.stalled().authorities, &[0, 1, 2, 3, 4]);
        assert!(decrees.overtaken(&all, &at, next) && decrees.replaced().is_some());
    }
}
