//! A chain that grows by one final block per call, with the evidence that its blocks give.

use super::{
    network::{Network, controller},
    vehicle::Vehicle,
};
use crate::{
    Act, ActEvidence, Action, Anchor, AnchorProof, AuthoritySet, Block, Built, Certificate, Commitment,
    EpochEnd, EpochOpening, EventList, Handover, Height, Lane, LogEntry, Policy, PolicyAct, Proof, PublicKey,
    RootReceipt, SaltedDigest, State, Transaction, Trust,
};
use commonware_cryptography::Signer as _;
use voltmesh_telemetry::{BatchId, SealedBatch};

/// How long a test's policy transaction lasts, and for how long it asks for the term, in milliseconds.
const POLICY_MS: u64 = 30_000;

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
