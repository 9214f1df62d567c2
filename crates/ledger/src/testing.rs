//! Test support: a whole chain in one value, with all keys at hand. Not for production, where nobody holds all keys.
//!
//! Everything is deterministic: keys come from small seeds, blocks are final by real certificates, and the evidence
//! made here passes the same checks as any other.

use crate::{
    Act, ActEvidence, Action, Anchor, AnchorProof, AuthoritySet, Block, Built, Certificate, Commitment,
    Decree, EpochEnd, EpochOpening, EventList, Evidence, Finalization, Genesis, Handover, Header, Height,
    Justification, Lane, LogEntry, Notarization, Policy, PolicyAct, PrivateKey, Proof, PublicKey, RegistryTx,
    Replacement, RootReceipt, SaltedDigest, Scheme, Seal, SealSignature, State, Transaction, Trust,
    commitment, private_key, proof::Opening,
};
use commonware_consensus::{
    simplex::types::{ConflictingNotarize, Finalize, Notarize, Proposal},
    types::{Round, View},
};
use commonware_cryptography::{Hasher as _, Sha256, Signer as _};
use commonware_parallel::Sequential;
use commonware_utils::non_empty;
use std::collections::BTreeMap;
use voltmesh_telemetry::{
    BatchId, Boot, CentiPercent, Centidegrees, Charger, Contactor, Digest, Milliamps, Millivolts,
    Millivolts16, Place, Record, RecordNumber, Sample, SealedBatch, Secret, Signer, Timestamp, VehicleId,
    seal,
};

/// The private key of test authority, operator or other party number `n`.
pub fn key(n: u64) -> PrivateKey {
    private_key(Digest::of(&[b"voltmesh-testing".as_slice(), &n.to_be_bytes()].concat()).as_bytes())
}

/// A vehicle with its keys, its batches always of the same records.
#[derive(Clone, Debug)]
pub struct Vehicle {
    /// Its name.
    pub id: VehicleId,
    /// Signs its batches.
    pub key: ed25519_dalek::SigningKey,
    /// Opens its commitment.
    pub opening: Opening,
}

impl Vehicle {
    /// The vehicle of this name; its key and salt follow from the name.
    pub fn new(name: &str) -> Self {
        let id = match name.parse() {
            Ok(id) => id,
            Err(why) => panic!("not a vehicle's name: {why}"),
        };
        let derived = |what: &str| Digest::of(&[what.as_bytes(), name.as_bytes()].concat()).to_bytes();
        let key = ed25519_dalek::SigningKey::from_bytes(&derived("key"));
        let opening = Opening { salt: derived("salt"), key: key.verifying_key().to_bytes() };
        Self { id, key, opening }
    }

    /// Its name in the registry.
    pub fn commitment(&self) -> Commitment {
        commitment(self.id.as_str(), &self.opening.salt, &self.opening.key)
    }

    /// A batch of `count` records at 1 Hz from number `first` on, 96 cells each.
    pub fn batch(&self, boot: u64, first: u64, count: u64, previous: Option<BatchId>) -> SealedBatch {
        let record = |number: u64| Record {
            number: RecordNumber::new(number),
            sample: Sample {
                time: Timestamp::from_millis(1_700_000_000_000 + 1_000 * number),
                pack_voltage: Millivolts::new(352_000 + number as u32 % 100),
                pack_current: Milliamps::new(-12_000),
                cells: (0..96).map(|cell| Millivolts16::new(3_660 + cell % 7)).collect(),
                temperatures: (0..8).map(|sensor| Centidegrees::new(2_150 + sensor)).collect(),
                soc: CentiPercent::new(7_250),
                contactor: Contactor::Closed,
                charger: Charger::Unplugged,
                ..Sample::default()
            },
        };
        let records: Vec<_> = (first..first + count).map(record).collect();
        let boot = Boot::new(boot);
        let place = Place { vehicle: self.id.clone(), boot, previous, signer: Signer::Vehicle };
        match seal(&place, &records, &Secret::new([9; 32]), &self.key) {
            Ok(batch) => batch,
            Err(why) => panic!("no such batch: {why}"),
        }
    }
}

/// Number of the first operator's key.
const OPERATORS: u64 = 1 << 32;

/// Number of the first controller's key.
const CONTROLLERS: u64 = 1 << 33;

/// How long a test's policy transaction lasts, and for how long it asks for the term, in milliseconds.
const POLICY_MS: u64 = 30_000;

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
    pub fn equivocation(&self, header: &Header, set: &AuthoritySet, i: usize) -> Evidence {
        let mut other = proposal(header);
        other.payload = Sha256::hash(&[other.payload.as_ref()]);
        let vote = |proposal| {
            let vote = self.scheme(set, i).and_then(|scheme| Notarize::sign(&scheme, proposal));
            vote.unwrap_or_else(|| panic!("the test network has no key of authority {i}"))
        };
        Evidence::ConflictingNotarize(Box::new(ConflictingNotarize::new(vote(proposal(header)), vote(other))))
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

/// `state` as a node would hold it whose memory has another score for `key`: what it builds, nobody else accepts.
pub fn with_another_score(state: &State, key: &PublicKey, score: u32) -> State {
    let mut state = state.clone();
    state.election.change(key, |standing| standing.score = score);
    state
}

/// A block that is final, with what belongs to it.
#[derive(Clone, Debug)]
pub struct FinalBlock {
    /// The block.
    pub block: Block,
    /// All votes.
    pub certificate: Certificate,
    /// What it put into the log.
    pub entries: Vec<LogEntry>,
    /// f + 1 signatures over the log's root.
    pub root_receipts: Vec<RootReceipt>,
    /// The state after it.
    pub state: State,
}

impl FinalBlock {
    /// Evidence for a batch of this block; `None` if the batch is not in it or the signer not in the registry.
    pub fn evidence(&self, batch: &BatchId, signer: &Commitment) -> Option<AnchorProof> {
        let entry = self.entries.iter().find(|entry| entry.batch == *batch)?;
        Some(AnchorProof::new(
            self.block.header().clone(),
            self.certificate.clone(),
            self.root_receipts.clone(),
            entry.inclusion.clone(),
            self.state.prove(signer)?,
        ))
    }
}

/// A chain that grows by one final block per call.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Keys and genesis.
    pub network: Network,
    /// After the last block.
    pub state: State,
    /// All blocks so far, from height 1.
    pub blocks: Vec<FinalBlock>,
}

impl Chain {
    /// A chain of `n` authorities in epochs of ten blocks.
    pub fn new(n: u64) -> Self {
        Self::of(Network::new(n))
    }

    /// A chain of this network.
    pub fn of(network: Network) -> Self {
        Self { state: State::new(network.genesis()), network, blocks: Vec::new() }
    }

    /// The next block, 100 ms after the last.
    pub fn build(&self, transactions: Vec<Transaction>) -> Built {
        self.build_opening(self.network.mandate(&self.state), transactions)
    }

    /// [`Self::build`] with what entitles it to begin an epoch.
    pub fn build_opening(&self, mandate: Option<EpochOpening>, transactions: Vec<Transaction>) -> Built {
        let state = &self.state;
        let first =
            state.begins_epoch() || mandate.as_ref().is_some_and(|mandate| mandate.decree().is_some());
        let view = if first { 1 } else { state.header().view + 1 };
        state.build_opening(mandate, view, None, transactions, state.time().plus_millis(100))
    }

    /// Adds the first block of the epoch that a decree begins, in which `voters` (authorities of the genesis) vote.
    pub fn replace(&mut self, voters: &[usize]) -> &FinalBlock {
        let decree = self.network.decree(&self.state, voters);
        let signers: Vec<usize> = (0..self.state.stalled().authorities.quorum()).collect();
        let replacement = self.network.replacement(decree, &self.state.stalled().authorities, &signers);
        let built = self.build_opening(Some(EpochOpening::Decree(Box::new(replacement))), Vec::new());
        self.add(built)
    }

    /// Adds a block 100 ms after the last.
    ///
    /// # Panics
    /// If a transaction is refused.
    pub fn push(&mut self, transactions: Vec<Transaction>) -> &FinalBlock {
        let built = self.build(transactions);
        self.add(built)
    }

    fn add(&mut self, built: Built) -> &FinalBlock {
        assert!(built.rejected.is_empty(), "refused: {:?}", built.rejected);
        let header = built.block.header();
        let Some(roster) = built.state.roster_for(header.epoch).cloned() else {
            unreachable!("a state knows its own epoch's authorities")
        };
        let block = FinalBlock {
            certificate: self.network.finalize(header, &roster.voters),
            root_receipts: self.network.root_receipts(header, &roster.authorities),
            block: built.block,
            entries: built.entries,
            state: built.state.clone(),
        };
        self.state = built.state;
        self.blocks.push(block);
        &self.blocks[self.blocks.len() - 1]
    }

    /// Adds a block with one registry transaction.
    pub fn act(&mut self, actions: Vec<Action>) -> &FinalBlock {
        let tx = self.network.registry(self.state.nonce(), actions);
        self.push(vec![tx])
    }

    /// Enrols signers.
    pub fn enrol(&mut self, commitments: &[Commitment]) -> &FinalBlock {
        self.act(commitments.iter().map(|c| Action::EnrolVehicle { commitment: *c }).collect())
    }

    /// Adds a block with one anchor by authority 0 of the genesis.
    pub fn anchor(&mut self, batches: &[BatchId]) -> &FinalBlock {
        let key = self.network.authority(0).clone();
        let sequence = self.state.next_sequence(&key.public_key());
        let anchor =
            Anchor::sign(&self.state.chain(), &key, sequence, batches.len() as u64, batches.to_vec());
        self.push(vec![Transaction::Anchor(anchor)])
    }

    /// Adds empty blocks up to and including `height`.
    pub fn advance_to(&mut self, height: u64) {
        while self.state.height() < Height::new(height) {
            self.push(Vec::new());
        }
    }

    /// Adds a block that admits controllers 0 to `n` - 1.
    pub fn admit_controllers(&mut self, n: u64) -> &FinalBlock {
        self.act((0..n).map(|i| Action::AdmitController { key: controller(i).public_key() }).collect())
    }

    /// A policy transaction of a controller that asks for the term until 30 s after the last block.
    pub fn policy(&self, by: u64, term: u32, number: u64, act: PolicyAct) -> Transaction {
        let until = self.state.time().plus_millis(POLICY_MS);
        let chain = self.state.chain();
        Transaction::Policy(Policy::sign(&chain, &controller(by), (term, number), until, until, act))
    }

    /// The next event list of authority `by` of the genesis, of functions.
    pub fn events(&self, by: usize, events: Vec<SaltedDigest>) -> Transaction {
        let key = self.network.authority(by);
        let sequence = self.state.next_event_sequence(&key.public_key(), Lane::Functions);
        Transaction::Events(EventList::sign(&self.state.chain(), key, Lane::Functions, sequence, events))
    }

    /// Evidence for the act at `index` among those of the block at `height`; `None` if there is none.
    pub fn act_evidence(&self, height: u64, index: usize) -> Option<ActEvidence> {
        let at = usize::try_from(height).ok()?.checked_sub(1)?;
        let block = self.blocks.get(at)?;
        let before = match at.checked_sub(1) {
            Some(before) => self.blocks[before].state.clone(),
            None => State::new(self.network.genesis()),
        };
        let acts: Vec<Act> = block.block.acts().collect();
        let entry = before.place_acts(acts).into_iter().nth(index)?;
        let (header, certificate) = (block.block.header().clone(), block.certificate.clone());
        Some(ActEvidence::new(header, certificate, entry, block.state.prove_acts()?))
    }

    /// The proof of the record at `index` of a batch that is in block `height`.
    ///
    /// # Panics
    /// If it is not, or has no such record, or the vehicle is not in the registry.
    pub fn prove(&self, height: u64, vehicle: &Vehicle, batch: &SealedBatch, index: u32) -> Proof {
        let block = &self.blocks[height as usize - 1];
        let evidence = block.evidence(&batch.id(), &vehicle.commitment());
        let record = batch.prove(index).ok().flatten();
        let (Some(evidence), Some(record)) = (evidence, record) else { panic!("nothing to prove") };
        match Proof::build(&self.state.chain(), record, &evidence, vehicle.opening.clone()) {
            Ok(proof) => proof,
            Err(why) => panic!("no proof: {why}"),
        }
    }

    /// Trust from genesis and all hand-overs so far.
    pub fn trust(&self) -> Trust {
        let mut trust = Trust::from_genesis(self.network.genesis().clone());
        for handover in self.handovers() {
            if let Err(why) = trust.extend(&handover) {
                panic!("hand-over refused: {why}");
            }
        }
        trust
    }

    /// Hand-overs of all epochs that ended.
    pub fn handovers(&self) -> Vec<Handover> {
        let decrees = self.blocks.iter().filter_map(|block| match block.block.mandate() {
            Some(EpochOpening::Decree(replacement)) => Some(Handover::Decree(replacement.clone())),
            _ => None,
        });
        let ends = |block: &&FinalBlock| block.state.begins_epoch();
        let ended = self.blocks.iter().filter(ends).map(|block| {
            Handover::from(EpochEnd {
                header: block.block.header().clone(),
                certificate: block.certificate.clone(),
                authorities: AuthoritySet::clone(block.state.planned_authorities()),
                committee: block.state.planned().committee().map(|set| AuthoritySet::clone(set)),
                seal: self.network.mandate(&block.state).and_then(|mandate| match mandate {
                    EpochOpening::Seal(seal) => Some(seal),
                    EpochOpening::Decree(_) => None,
                }),
            })
        });
        let mut all: Vec<Handover> = ended.chain(decrees).collect();
        all.sort_by_key(Handover::height);
        all
    }
}
