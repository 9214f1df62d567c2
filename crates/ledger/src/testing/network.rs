//! A genesis with all its keys, and what their holders sign.

use crate::{
    Action, AuthoritySet, Certificate, Decree, EpochOpening, EquivocationProof, Finalization, Genesis,
    Header, Justification, Notarization, PrivateKey, PublicKey, RegistryTx, Replacement, RootReceipt, Scheme,
    Seal, SealSignature, State, Transaction, private_key,
};
use commonware_consensus::{
    simplex::types::{ConflictingNotarize, Finalize, Notarize, Proposal},
    types::{Round, View},
};
use commonware_cryptography::{Hasher as _, Sha256, Signer as _};
use commonware_parallel::Sequential;
use commonware_utils::non_empty;
use std::collections::BTreeMap;
use voltmesh_telemetry::{Digest, Timestamp};

/// The private key of test authority, operator or other party number `n`.
pub fn key(n: u64) -> PrivateKey {
    private_key(Digest::of(&[b"voltmesh-testing".as_slice(), &n.to_be_bytes()].concat()).as_bytes())
}

/// Number of the first operator's key.
const OPERATORS: u64 = 1 << 32;

/// Number of the first controller's key.
const CONTROLLERS: u64 = 1 << 33;

/// Private key of controller `i`, whom a registry transaction has to admit.
pub fn controller(i: u64) -> PrivateKey {
    key(CONTROLLERS + i)
}

/// A genesis and all its keys: `n` authorities, three operators of whom two must sign, epochs of ten blocks.
#[derive(Clone, Debug)]
pub struct Network {
    genesis: Genesis,
    authorities: BTreeMap<PublicKey, PrivateKey>,
    operators: Vec<PrivateKey>,
}

impl Network {
    /// A network of `n` authorities, at least four, in epochs of ten blocks.
    pub fn new(n: u64) -> Self {
        Self::with_epochs(n, 10)
    }

    /// A network of `n` authorities, at least four, in epochs of so many blocks.
    pub fn with_epochs(n: u64, epoch_length: u64) -> Self {
        let operators: Vec<_> = (0..3).map(|i| key(OPERATORS + i)).collect();
        let authorities: BTreeMap<_, _> = (0..n).map(|i| (key(i).public_key(), key(i))).collect();
        let genesis = Genesis::new(
            "testing",
            Timestamp::from_millis(1_000),
            authorities.keys().cloned(),
            operators.iter().map(|key| key.public_key()),
            2,
            epoch_length,
        );
        match genesis {
            Ok(genesis) => Self { genesis, authorities, operators },
            Err(why) => panic!("no such test network: {why}"),
        }
    }

    /// The same keys with another genesis of theirs.
    pub fn with_genesis(mut self, genesis: Genesis) -> Self {
        self.genesis = genesis;
        self
    }

    /// The genesis.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Private key of the authority that is number `i` in the genesis' order.
    pub fn authority(&self, i: usize) -> &PrivateKey {
        match self.genesis.authorities.get(i) {
            Some(public) => &self.authorities[public],
            None => panic!("the test network has no authority {i}"),
        }
    }

    /// Private key of operator `i` of three.
    pub fn operator(&self, i: usize) -> &PrivateKey {
        &self.operators[i]
    }

    /// Makes a key available that a registry transaction admits later.
    pub fn add_key(&mut self, key: PrivateKey) {
        self.authorities.insert(key.public_key(), key);
    }

    /// A registry transaction signed by two operators.
    pub fn registry(&self, nonce: u64, actions: Vec<Action>) -> Transaction {
        let tx = RegistryTx::new(self.genesis.digest(), nonce, actions);
        Transaction::Registry(tx.sign(&self.operators[0]).sign(&self.operators[1]))
    }

    /// The votes of `signers` (indices into `set`) for a block, assembled.
    ///
    /// # Panics
    /// If they are too few, or a key is not at hand.
    pub fn finalize_by(&self, header: &Header, set: &AuthoritySet, signers: &[usize]) -> Certificate {
        let chain = self.genesis.digest();
        let proposal = proposal(header);
        let votes: Vec<_> = signers
            .iter()
            .map(|i| {
                let vote = self.scheme(set, *i).and_then(|scheme| Finalize::sign(&scheme, proposal.clone()));
                vote.unwrap_or_else(|| panic!("the test network has no key of authority {i}"))
            })
            .collect();
        match Finalization::from_finalizes(&set.verifier(&chain), non_empty![@votes.iter()], &Sequential) {
            Ok(finalization) => finalization.into(),
            Err(why) => panic!("no certificate: {why}"),
        }
    }

    /// The votes of all of `set` for a block, assembled.
    pub fn finalize(&self, header: &Header, set: &AuthoritySet) -> Certificate {
        self.finalize_by(header, set, &(0..set.len()).collect::<Vec<_>>())
    }

    /// The votes of `signers` (indices into `set`) that the block with `header` may be built on, as the next one embeds
    /// them.
    ///
    /// # Panics
    /// If they are too few, or a key is not at hand.
    pub fn notarize_by(&self, header: &Header, set: &AuthoritySet, signers: &[usize]) -> Justification {
        let proposal = proposal(header);
        let votes: Vec<_> = signers
            .iter()
            .map(|i| {
                let vote = self.scheme(set, *i).and_then(|scheme| Notarize::sign(&scheme, proposal.clone()));
                vote.unwrap_or_else(|| panic!("the test network has no key of authority {i}"))
            })
            .collect();
        let verifier = set.verifier(&self.genesis.digest());
        match Notarization::from_notarizes(&verifier, non_empty![@votes.iter()], &Sequential) {
            Ok(notarization) => Justification::Notarization(notarization),
            Err(why) => panic!("no certificate: {why}"),
        }
    }

    /// Evidence that authority `i` of `set` voted for two blocks in a view.
    ///
    /// # Panics
    /// If its key is not at hand.
    pub fn equivocation(&self, header: &Header, set: &AuthoritySet, i: usize) -> EquivocationProof {
        let mut other = proposal(header);
        other.payload = Sha256::hash(&[other.payload.as_ref()]);
        let vote = |proposal| {
            let vote = self.scheme(set, i).and_then(|scheme| Notarize::sign(&scheme, proposal));
            vote.unwrap_or_else(|| panic!("the test network has no key of authority {i}"))
        };
        EquivocationProof::ConflictingNotarize(Box::new(ConflictingNotarize::new(
            vote(proposal(header)),
            vote(other),
        )))
    }

    fn scheme(&self, set: &AuthoritySet, i: usize) -> Option<Scheme> {
        let key = self.authorities.get(set.get(i)?)?.clone();
        set.signer(&self.genesis.digest(), key)
    }

    /// The seal of `signers` (indices into `set`) for a block.
    ///
    /// # Panics
    /// If a key is not at hand.
    pub fn seal_by(&self, header: &Header, set: &AuthoritySet, signers: &[usize]) -> Seal {
        let chain = self.genesis.digest();
        Seal::new(signers.iter().map(|i| {
            let key = set.get(*i).and_then(|public| self.authorities.get(public));
            match key {
                Some(key) => SealSignature::sign(&chain, key, header),
                None => panic!("the test network has no key of authority {i}"),
            }
        }))
    }

    /// What the block after `state` needs to begin its epoch, if it needs anything: the seal of more than two thirds.
    pub fn mandate(&self, state: &State) -> Option<EpochOpening> {
        state.needs_mandate().then_some(())?;
        let set = state.authorities_for(state.epoch())?;
        let signers: Vec<usize> = (0..set.quorum()).collect();
        Some(EpochOpening::Seal(self.seal_by(state.header(), set, &signers)))
    }

    /// A decree by two operators that after the last block of `state` these authorities of the genesis vote.
    ///
    /// # Panics
    /// If they are fewer than four.
    pub fn decree(&self, state: &State, voters: &[usize]) -> Decree {
        let voters = AuthoritySet::new(voters.iter().map(|i| self.authority(*i).public_key()));
        let Ok(voters) = voters else { panic!("no such voters") };
        let (epoch, height) = (state.next_epoch().next(), state.height());
        Decree::new(state.chain(), state.nonce(), epoch, height, state.block(), voters)
            .sign(&self.operators[0])
            .sign(&self.operators[1])
    }

    /// A decree that `signers` (indices into `set`) follow.
    ///
    /// # Panics
    /// If a key is not at hand.
    pub fn replacement(&self, decree: Decree, set: &AuthoritySet, signers: &[usize]) -> Replacement {
        let mut replacement = Replacement::new(decree);
        for i in signers {
            let Some(key) = set.get(*i).and_then(|public| self.authorities.get(public)) else {
                panic!("the test network has no key of authority {i}")
            };
            let (by, signature) = replacement.decree.acknowledge(key);
            replacement.acknowledgements.add(by, signature);
        }
        replacement
    }

    /// Root receipts of as many of `set` as evidence needs.
    pub fn root_receipts(&self, header: &Header, set: &AuthoritySet) -> Vec<RootReceipt> {
        let chain = self.genesis.digest();
        let keys = set.keys().filter_map(|public| self.authorities.get(public));
        keys.take(self.genesis.root_quorum(set)).map(|key| RootReceipt::sign(&chain, key, header)).collect()
    }
}

fn proposal(header: &Header) -> Proposal<crate::Digest> {
    let round = Round::new(header.epoch, View::new(header.view));
    Proposal::new(round, View::new(header.view.saturating_sub(1)), header.digest())
}
