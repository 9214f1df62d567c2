//! The ledger as a controller has it: what fog nodes prove of it, and policy transactions that they take to it.
//!
//! Nothing that a fog node says is believed without the ledger's evidence, from the genesis on. One that lies can be silent, and no
//! more: reports come from every fog node, and transactions go to every one.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use commonware_codec::Encode as _;
use commonware_cryptography::Signer as _;
use ed25519_dalek::SigningKey;
use voltmesh_control::LedgerReport;
use voltmesh_ledger::{
    Act, ActEvidence, Digest as Chain, EventProof, EventSalt, Genesis, Handover, Hash, MAX_EVENT_BYTES,
    Policy, PolicyAct, PrivateKey, TermEvidence, Transaction, Trust, private_key, salted_digest,
};
use voltmesh_telemetry::Timestamp;

use crate::controller::Written;
use crate::decisions::{Choice, Decision};
use crate::tenure::{Asked, Input, Output, Settings, Tenure, View};

/// Most decisions that are written down together: the ledger takes 1,024 acts of decisions in an epoch.
const MAX_TOGETHER: usize = 64;
/// Most bytes of them; a decision has some 1 kB.
const MAX_TOGETHER_BYTES: usize = MAX_EVENT_BYTES - 1_024;

/// Times that a term is asked for in vain, a second apart, until it is said.
const IN_VAIN: u32 = 30;

/// Decisions on their way onto the ledger.
struct Batch {
    numbers: Vec<u64>,
    bytes: Bytes,
    salt: EventSalt,
}

/// Decisions that are on the ledger, and the proof.
pub(super) struct Proven {
    /// Which, and where.
    pub written: Written,
    /// For `voltmesh verify --event`.
    pub proof: Vec<u8>,
}

/// See the module's first line.
pub(super) struct Ledger {
    id: String,
    key: PrivateKey,
    chain: Chain,
    trust: Trust,
    tenure: Tenure,
    /// Decisions that wait.
    waiting: BTreeSet<u64>,
    batch: Option<Batch>,
    proven: Vec<Proven>,
    /// How often in a row a term was asked for in vain.
    asked: u32,
}

impl Ledger {
    /// The ledger of a genesis, of which nothing is known yet.
    pub fn new(id: &str, signing: &SigningKey, genesis: Genesis, tenure_ms: u64, least: u32) -> Self {
        let key = private_key(signing.as_bytes());
        let settings = Settings { me: key.public_key(), tenure_ms, least };
        Self {
            id: id.to_owned(),
            key,
            chain: genesis.digest(),
            trust: Trust::from_genesis(genesis),
            tenure: Tenure::new(settings),
            waiting: BTreeSet::new(),
            batch: None,
            proven: Vec::new(),
            asked: 0,
        }
    }

    pub fn held(&self, now: Timestamp) -> Option<u32> {
        self.tenure.held(now)
    }

    pub fn deadline(&self) -> Option<Timestamp> {
        self.tenure.deadline()
    }

    pub fn tick(&mut self, now: Timestamp) -> Vec<Bytes> {
        self.give(now, Input::Tick, None)
    }

    /// Takes what a fog node says of the ledger; transactions that follow.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn report(&mut self, now: Timestamp, payload: &Bytes) -> Result<Vec<Bytes>, String> {
        match LedgerReport::decode(payload).map_err(|error| error.to_string())? {
            LedgerReport::Handovers(handovers) => {
                for item in handovers.items {
                    let handover = Handover::from_bytes(&item).map_err(|error| error.to_string())?;
                    self.trust.extend(&handover).map_err(|error| error.to_string())?;
                }
                Ok(Vec::new())
            }
            LedgerReport::Term(bytes) => {
                let evidence = TermEvidence::from_bytes(&bytes).map_err(|error| error.to_string())?;
                let height = evidence.header.height.get();
                // Every fog node says the same: signatures are checked once.
                if self.tenure.view().is_some_and(|known| height <= known.height) {
                    return Ok(Vec::new());
                }
                let term = evidence.verify(&self.trust).map_err(|error| error.to_string())?.clone();
                let view = View { height, time: evidence.header.time, term };
                Ok(self.give(now, Input::View(view), None))
            }
            LedgerReport::Act(bytes) => {
                let evidence = ActEvidence::from_bytes(&bytes).map_err(|error| error.to_string())?;
                let Act::Decision { controller, decision, .. } = evidence.act.clone() else {
                    return Ok(Vec::new());
                };
                let ours = self.batch.as_ref().is_some_and(|batch| batch.digest() == decision);
                if controller != self.key.public_key() || !ours {
                    return Ok(Vec::new());
                }
                evidence.verify(&self.trust).map_err(|error| error.to_string())?;
                Ok(self.give(now, Input::Decided { by: controller, decision }, Some(evidence)))
            }
        }
    }

    /// Decisions of consequence are to be on the ledger.
    pub fn await_decision(&mut self, decision: &Decision) {
        // One that is under way comes again when more is known of it.
        let under_way = self.batch.as_ref().is_some_and(|batch| batch.numbers.contains(&decision.number));
        if !under_way && !matches!(decision.chosen, Choice::Nothing) {
            self.waiting.insert(decision.number);
        }
    }

    /// Writes down the oldest decisions that wait, if none are under way; transactions that follow.
    pub fn write(&mut self, now: Timestamp, decisions: &BTreeMap<u64, Decision>) -> Vec<Bytes> {
        if self.tenure.is_writing() || self.waiting.is_empty() || self.held(now).is_none() {
            return Vec::new();
        }
        let (mut numbers, mut texts, mut size) = (Vec::new(), Vec::new(), 0);
        while let Some(number) = self.waiting.first().copied().filter(|_| numbers.len() < MAX_TOGETHER) {
            // One that is forgotten, or larger than a proof may be, is not written down.
            let text = decisions.get(&number).and_then(|decision| serde_json::to_string(decision).ok());
            if let Some(text) = text.filter(|text| text.len() <= MAX_TOGETHER_BYTES) {
                if size + text.len() > MAX_TOGETHER_BYTES {
                    break;
                }
                size += text.len() + 1;
                numbers.push(number);
                texts.push(text);
            }
            self.waiting.remove(&number);
        }
        if numbers.is_empty() {
            return Vec::new();
        }
        let id = serde_json::Value::from(self.id.clone());
        let bytes = Bytes::from(format!("{{\"controller\":{id},\"decisions\":[{}]}}", texts.join(",")));
        let batch = Batch { numbers, salt: self.salt(&bytes), bytes };
        let digest = batch.digest();
        self.batch = Some(batch);
        self.give(now, Input::Write(digest), None)
    }

    /// Decisions that have come onto the ledger.
    pub fn take_proven(&mut self) -> Vec<Proven> {
        std::mem::take(&mut self.proven)
    }

    /// Salt that only the holder of the key can compute.
    fn salt(&self, bytes: &[u8]) -> EventSalt {
        let secret = Hash::of(&[b"voltmesh-decision-secret".as_slice(), self.key.encode().as_ref()].concat());
        let digest = Hash::of(&[b"voltmesh-decision-salt".as_slice(), secret.as_bytes(), bytes].concat());
        let mut salt = [0; 16];
        salt.copy_from_slice(&digest.as_bytes()[..16]);
        salt
    }

    /// Says it when a term that is free is not given.
    fn count(&mut self, asked: &Asked) {
        self.asked = if matches!(asked.act, PolicyAct::TakeTerm) { self.asked + 1 } else { 0 };
        if self.asked > 0 && self.asked.is_multiple_of(IN_VAIN) {
            tracing::warn!(
                term = asked.term,
                "the ledger does not give this controller the term: has it been admitted (`voltmesh registry admit-controller`), and \
                 does the ledger make blocks?"
            );
        }
    }

    fn give(&mut self, now: Timestamp, input: Input, evidence: Option<ActEvidence>) -> Vec<Bytes> {
        let mut policies = Vec::new();
        for output in self.tenure.handle(now, input) {
            match output {
                Output::Submit(asked) => {
                    self.count(&asked);
                    let place = (asked.term, asked.number);
                    let (expires, until) = (asked.expires, asked.until);
                    let policy = Policy::sign(&self.chain, &self.key, place, expires, until, asked.act);
                    policies.push(Transaction::Policy(policy).encode());
                }
                Output::Written(_) => {
                    if let (Some(batch), Some(evidence)) = (self.batch.take(), evidence.clone()) {
                        self.proven.extend(batch.proven(evidence));
                    }
                }
            }
        }
        policies
    }
}

impl Batch {
    fn digest(&self) -> Hash {
        salted_digest(&self.salt, &self.bytes)
    }

    fn proven(self, evidence: ActEvidence) -> Option<Proven> {
        let Act::Decision { term, number, .. } = evidence.act else { return None };
        let written = Written {
            decisions: self.numbers,
            term,
            number,
            height: evidence.header.height.get(),
            act: evidence.inclusion.index,
        };
        let proof = EventProof::of_decision(self.salt, self.bytes, evidence).to_bytes();
        Some(Proven { written, proof })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decisions::{Draft, Effect, Inputs, Log};
    use commonware_codec::DecodeExt as _;
    use voltmesh_ledger::testing::{Chain as Blocks, controller};

    fn ledger(chain: &Blocks, n: u64) -> Ledger {
        let mut seed = [0; 32];
        seed.copy_from_slice(&controller(n).encode());
        let genesis = chain.network.genesis().clone();
        Ledger::new("controller-1", &SigningKey::from_bytes(&seed), genesis, 10_000, 1)
    }

    /// What a fog node reports of the newest block.
    fn term(chain: &Blocks) -> Bytes {
        let last = chain.blocks.last().expect("blocks");
        let (header, certificate) = (last.block.header().clone(), last.certificate.clone());
        let proof = chain.state.prove_term().expect("controllers");
        let evidence = TermEvidence::new(header, certificate, proof).expect("a term");
        LedgerReport::Term(evidence.to_bytes()).encode()
    }

    fn push(chain: &mut Blocks, policies: Vec<Bytes>) {
        let read = |bytes: Bytes| Transaction::decode(bytes).expect("a transaction");
        chain.push(policies.into_iter().map(read).collect());
    }

    #[test]
    fn a_term_and_decisions_are_believed_with_their_proof_only() {
        let mut chain = Blocks::new(4);
        chain.admit_controllers(2);
        let now = chain.state.time();
        let (mut first, mut second) = (ledger(&chain, 0), ledger(&chain, 1));
        let mut altered = term(&chain).to_vec();
        let last = altered.len() - 1;
        altered[last] ^= 1;
        assert!(first.report(now, &altered.into()).is_err());
        assert!(first.report(now, &Bytes::from_static(b"\x02rubbish")).is_err());
        let take = first.report(now, &term(&chain)).expect("proven");
        assert_eq!((take.len(), first.held(now)), (1, None));
        push(&mut chain, take);
        for ledger in [&mut first, &mut second] {
            assert_eq!(ledger.report(now, &term(&chain)), Ok(Vec::new()));
        }
        assert_eq!((first.held(now), second.held(now)), (Some(1), None));

        let mut log = Log::new();
        let decisions: BTreeMap<u64, Decision> = [
            Choice::Run { function: "guard".into(), node: "fog-1".into() },
            Choice::Nothing,
            Choice::End { function: "guard".into() },
        ]
        .into_iter()
        .map(|chosen| {
            let draft = Draft {
                vehicle: Some("car-1".parse().expect("a name")),
                inputs: Inputs::default(),
                rule: "rule".into(),
                alternatives: Vec::new(),
                chosen,
                cost: None,
                expected: Effect::default(),
                may_undo: Vec::new(),
            };
            let decision = log.record(now, draft).clone();
            (decision.number, decision)
        })
        .collect();
        for ledger in [&mut first, &mut second] {
            decisions.values().for_each(|decision| ledger.await_decision(decision));
        }
        assert_eq!(second.write(now, &decisions), Vec::<Bytes>::new(), "it stands by");
        let write = first.write(now, &decisions);
        assert_eq!(write.len(), 1);
        // More is known of one that is under way: it does not go twice.
        first.await_decision(&decisions[&1]);
        push(&mut chain, write);
        let height = chain.state.height().get();
        let evidence = chain.act_evidence(height, 0).expect("one act");
        let report = LedgerReport::Act(evidence.to_bytes()).encode();
        first.report(now, &report).expect("proven");
        assert_eq!(first.report(now, &report), Ok(Vec::new()), "every fog node says so");
        let [Proven { written, proof }] = &first.take_proven()[..] else { panic!("no proof") };
        assert_eq!((&written.decisions[..], written.term, written.height), (&[1, 3][..], 1, height));
        let proven = EventProof::from_bytes(proof).expect("ours").verify(&chain.trust()).expect("proven");
        let shown: serde_json::Value = serde_json::from_slice(&proven.bytes).expect("JSON");
        assert_eq!(shown["decisions"][1]["chosen"]["choice"], "end");
        first.report(now, &term(&chain)).expect("proven");
        assert_eq!(first.write(now, &decisions), Vec::<Bytes>::new(), "all are written down");
    }
}
