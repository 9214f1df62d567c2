//! Snapshots: one encoding, the same future, and nothing believed that is not signed.

use commonware_cryptography::Signer as _;
use proptest::prelude::*;
use voltmesh_ledger::{
    Action, Anchor, Attestation, BatchId, Checkpoint, Error, Genesis, Height, MAX_SNAPSHOT_BYTES, PolicyAct,
    PublicKey, RoundTrips, Snapshot, State, Transaction, Trust, commitment,
    testing::{Chain, Network, controller, key},
};
use voltmesh_telemetry::Digest;

#[derive(Clone, Debug)]
enum Step {
    Anchor(usize, u64),
    Enrol(u8),
    Revoke(u8),
    Rotate(u64),
    Admit(u64),
    Remove,
    Operators,
    RoundTrips(usize),
    Equivocate(usize),
    Pardon,
    Votes,
    Events(usize, u64),
    AdmitController(u64),
    Dismiss(u64),
    Publish(u8),
    Withdraw(u8),
    Policy(u64, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4usize, 0..2_000u64).prop_map(|(authority, skip)| Step::Anchor(authority, skip)),
        2 => (0..8u8).prop_map(Step::Enrol),
        1 => (0..8u8).prop_map(Step::Revoke),
        1 => (100..104u64).prop_map(Step::Rotate),
        1 => (200..203u64).prop_map(Step::Admit),
        1 => Just(Step::Remove),
        1 => Just(Step::Operators),
        2 => (0..4usize).prop_map(Step::RoundTrips),
        1 => (0..4usize).prop_map(Step::Equivocate),
        1 => Just(Step::Pardon),
        3 => Just(Step::Votes),
        2 => (0..4usize, 0..600u64).prop_map(|(authority, first)| Step::Events(authority, first)),
        1 => (0..3u64).prop_map(Step::AdmitController),
        1 => (0..3u64).prop_map(Step::Dismiss),
        1 => (0..4u8).prop_map(Step::Publish),
        1 => (0..4u8).prop_map(Step::Withdraw),
        2 => (0..3u64, 0..4u8).prop_map(|(by, what)| Step::Policy(by, what)),
    ]
}

fn vehicle(n: u8) -> voltmesh_ledger::Commitment {
    commitment("ev", &[n; 32], &[n; 32])
}

/// What this step asks of the ledger; it may be refused.
fn transaction(chain: &Chain, step: &Step) -> Option<Transaction> {
    let (network, state) = (&chain.network, &chain.state);
    let act = |action| Some(network.registry(state.nonce(), vec![action]));
    let last = |n: usize| state.admitted().keys().nth(n % state.admitted().len()).cloned();
    match step {
        Step::Anchor(authority, skip) => {
            let key = network.authority(*authority);
            let sequence = state.next_sequence(&key.public_key()) + skip;
            let batch = BatchId::new(Digest::of(&sequence.to_be_bytes()));
            Some(Transaction::Anchor(Anchor::sign(&state.chain(), key, sequence, 7, vec![batch])))
        }
        Step::Enrol(n) => act(Action::EnrolVehicle { commitment: vehicle(*n) }),
        Step::Revoke(n) => act(Action::RevokeVehicle { commitment: vehicle(*n) }),
        Step::Rotate(n) => act(Action::RotateAuthority { old: last(6)?, new: key(*n).public_key() }),
        Step::Admit(n) => act(Action::AdmitAuthority { key: key(*n).public_key() }),
        Step::Remove => act(Action::RemoveAuthority { key: last(5)? }),
        Step::Operators => {
            let keys: Vec<PublicKey> = (0..3).map(|i| network.operator(i).public_key()).collect();
            act(Action::SetOperators { keys, threshold: 1 })
        }
        Step::RoundTrips(n) => {
            let epoch = state.genesis().epoch_of(state.height().next());
            let micros = vec![500; state.authorities_for(epoch)?.len()];
            let report = RoundTrips::sign(&state.chain(), network.authority(*n), epoch, micros);
            Some(Transaction::RoundTrips(report))
        }
        Step::Equivocate(n) => {
            let block = chain.blocks.last()?.block.header().clone();
            let voters = state.roster_for(block.epoch)?.voters.clone();
            let place = voters.as_set().position(&network.authority(*n).public_key())?;
            Some(Transaction::Evidence(network.equivocation(&block, &voters, place)))
        }
        Step::Events(authority, first) => {
            let event = |n: u64| Digest::of(&n.to_be_bytes());
            Some(chain.events(*authority, (*first..first + 200).map(event).collect()))
        }
        Step::AdmitController(n) => act(Action::AdmitController { key: controller(*n).public_key() }),
        Step::Dismiss(n) => act(Action::RemoveController { key: controller(*n).public_key() }),
        Step::Publish(n) => {
            act(Action::PublishFunction { component: Digest::of(&[*n]), publisher: key(60).public_key() })
        }
        Step::Withdraw(n) => act(Action::WithdrawFunction { component: Digest::of(&[*n]) }),
        Step::Policy(by, what) => {
            let term = state.term();
            Some(match what {
                0 => chain.policy(*by, term.term + 1, 0, PolicyAct::TakeTerm),
                1 => chain.policy(*by, term.term, term.next, PolicyAct::Renew),
                2 => {
                    let decision = PolicyAct::Decide { decision: Digest::of(b"decision") };
                    chain.policy(*by, term.term, term.next + 1, decision)
                }
                _ => {
                    let to = controller((by + 1) % 3).public_key();
                    chain.policy(*by, term.term, term.next, PolicyAct::HandOver { to })
                }
            })
        }
        Step::Pardon => act(Action::PardonAuthority { key: state.convicted().keys().next()?.clone() }),
        Step::Votes => None,
    }
}

/// One more block, of what this step asks for.
fn extend(chain: &mut Chain, step: &Step) {
    let now = chain.state.time().plus_millis(100);
    let (height, view) = (chain.state.height(), chain.state.header().view);
    let votes = match (step, chain.blocks.last()) {
        (Step::Votes, Some(last)) => {
            let header = last.block.header();
            let voters = chain.state.roster_for(header.epoch).expect("its own").voters.clone();
            let signers: Vec<usize> = (0..voters.quorum()).collect();
            Some(chain.network.notarize_by(header, &voters, &signers))
        }
        _ => None,
    };
    let begins = chain.state.genesis().ends_epoch(height);
    let view = if begins { 2 } else { view + 2 };
    let mandate = chain.network.mandate(&chain.state);
    let built = chain.state.build_opening(mandate, view, votes, transaction(chain, step), now);
    let roster = built.state.roster_for(built.block.header().epoch).expect("its own").clone();
    chain.blocks.push(voltmesh_ledger::testing::FinalBlock {
        certificate: chain.network.finalize(built.block.header(), &roster.voters),
        root_receipts: chain.network.root_receipts(built.block.header(), &roster.authorities),
        block: built.block,
        entries: built.entries,
        state: built.state.clone(),
    });
    chain.state = built.state;
}

fn network(committee: Option<u8>) -> Network {
    let network = Network::with_epochs(7, 4);
    let genesis = network.genesis().clone().with_committee(committee).expect("fits");
    let mut network = network.with_genesis(genesis);
    (100..104).chain(200..203).for_each(|n| network.add_key(key(n)));
    network
}

fn snapshot(chain: &Chain) -> Snapshot {
    let genesis = chain.network.genesis();
    let first = genesis.epoch_of(chain.state.height().next()).get() * genesis.epoch_length;
    let epoch_start = match first.checked_sub(2) {
        Some(at) => chain.blocks[at as usize].block.header().digest(),
        None => genesis.block().header().digest(),
    };
    Snapshot { state: chain.state.clone(), epoch_start }
}

fn decode(genesis: &Genesis, bytes: &[u8]) -> Result<Snapshot, Error> {
    Snapshot::from_bytes(genesis, bytes)
}

fn same(a: &State, b: &State) {
    assert_eq!(format!("{a:?}"), format!("{b:?}"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn decoding_gives_the_same_state_and_the_same_future(
        steps in prop::collection::vec(step(), 1..40),
        committee in prop_oneof![Just(None), Just(Some(4))],
        at in 0..40usize,
    ) {
        let mut chain = Chain::of(network(committee));
        let at = at % steps.len();
        steps[..at].iter().for_each(|step| extend(&mut chain, step));
        let before = snapshot(&chain);
        let bytes = before.to_bytes();
        let after = decode(chain.network.genesis(), &bytes).expect("its own encoding");
        same(&before.state, &after.state);
        prop_assert_eq!(after.epoch_start, before.epoch_start);
        prop_assert_eq!(after.to_bytes(), bytes);
        let mut state = after.state;
        for step in &steps[at..] {
            extend(&mut chain, step);
            let last = chain.blocks.last().expect("just made");
            state = state.execute(&last.block).expect("follows").0;
            same(&state, &last.state);
        }
    }

    #[test]
    fn any_flipped_bit_is_found(
        steps in prop::collection::vec(step(), 1..12),
        at in any::<prop::sample::Index>(),
        bit in 0..8u32,
    ) {
        let mut chain = Chain::of(network(None));
        steps.iter().for_each(|step| extend(&mut chain, step));
        let mut bytes = snapshot(&chain).to_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(decode(chain.network.genesis(), &bytes).is_err());
    }
}

fn ten_blocks() -> Chain {
    let mut chain = Chain::of(network(None));
    chain.enrol(&[vehicle(1)]);
    chain.anchor(&[BatchId::new(Digest::of(b"batch"))]);
    chain.act(vec![Action::RotateAuthority {
        old: chain.network.authority(6).public_key(),
        new: key(100).public_key(),
    }]);
    chain.advance_to(13);
    chain
}

fn attestations(chain: &Chain, digest: voltmesh_ledger::Digest, by: &[usize]) -> Vec<Attestation> {
    let (id, height) = (chain.state.chain(), chain.state.height());
    by.iter().map(|i| Attestation::sign(&id, chain.network.authority(*i), height, digest)).collect()
}

fn checkpoint(chain: &Chain) -> Checkpoint {
    let snapshot = snapshot(chain).to_bytes();
    let digest = Snapshot::digest_of(&snapshot).expect("long enough");
    Checkpoint {
        handovers: chain.trust().handovers().to_vec(),
        certificate: chain.blocks.last().expect("some").certificate.clone(),
        attestations: attestations(chain, digest, &[0, 1, 2]),
        snapshot,
    }
}

fn verify(chain: &Chain, checkpoint: &Checkpoint) -> Result<Height, String> {
    let verified = checkpoint.verify_from(chain.network.genesis().clone());
    verified.map(|(_, snapshot)| snapshot.state.height()).map_err(|error| error.to_string())
}

#[test]
fn what_is_cut_or_goes_on_or_is_too_long_is_refused() {
    let chain = ten_blocks();
    let bytes = snapshot(&chain).to_bytes();
    for len in 0..bytes.len() {
        assert!(decode(chain.network.genesis(), &bytes[..len]).is_err(), "cut at {len}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(decode(chain.network.genesis(), &longer).is_err());
    let huge = vec![0; MAX_SNAPSHOT_BYTES + 1];
    assert!(matches!(decode(chain.network.genesis(), &huge), Err(Error::TooLong { .. })));
    assert!(decode(Network::with_epochs(7, 5).genesis(), &bytes).is_err(), "another chain");
}

#[test]
fn a_checkpoint_is_believed_from_the_genesis_alone() {
    let chain = ten_blocks();
    let good = checkpoint(&chain);
    assert_eq!(verify(&chain, &good), Ok(Height::new(13)));
    let bytes = good.to_bytes();
    assert_eq!(Checkpoint::from_bytes(&bytes).expect("its own encoding"), good);
    assert!(Checkpoint::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    // Who knows the hand-overs already is not confused by hearing them again.
    let mut trust: Trust = chain.trust();
    assert!(good.verify(&mut trust).is_ok());
}

#[test]
fn forged_checkpoints_are_refused() {
    let chain = ten_blocks();
    let good = checkpoint(&chain);
    let refused = |change: &dyn Fn(&mut Checkpoint), why: &str| {
        let mut forged = good.clone();
        change(&mut forged);
        let error = verify(&chain, &forged).expect_err("forged");
        assert!(error.contains(why), "{error}");
    };
    refused(&|forged| forged.handovers.clear(), "not final");
    refused(&|forged| forged.certificate = chain.blocks[11].certificate.clone(), "another block");
    refused(&|forged| forged.attestations.truncate(2), "too few authorities");
    refused(&|forged| forged.attestations[1] = forged.attestations[0].clone(), "too few authorities");
    // Everything of this one is right but what no header commits to: who the operators are.
    let mut other = ten_blocks();
    let keys = vec![key(666).public_key()];
    other.act(vec![Action::SetOperators { keys, threshold: 1 }]);
    let mut honest = ten_blocks();
    honest.push(Vec::new());
    let (ours, theirs) = (snapshot(&honest).to_bytes(), snapshot(&other).to_bytes());
    assert_ne!(Snapshot::digest_of(&ours), Snapshot::digest_of(&theirs));
    let mut forged = checkpoint(&honest);
    forged.attestations = attestations(&honest, Snapshot::digest_of(&theirs).expect("long"), &[0, 1]);
    forged.snapshot = theirs;
    assert!(verify(&honest, &forged).is_err());
}
