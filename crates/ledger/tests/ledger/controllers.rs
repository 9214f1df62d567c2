//! Controllers, their terms, and functions' releases.

use commonware_cryptography::Signer as _;
use proptest::prelude::*;
use voltmesh_ledger::{
    Action, Block, Error, Fact, Height, MAX_DECISIONS_PER_EPOCH, MAX_POLICIES_PER_BLOCK, MAX_POLICY_LIFE_MS,
    MAX_TENURE_MS, Policy, PolicyAct, State, Term, TermEvidence, Timestamp, Transaction,
    testing::{Chain, Network, controller, key},
};
use voltmesh_telemetry::Digest;

fn decide(n: u64) -> PolicyAct {
    PolicyAct::Decide { decision: Digest::of(&n.to_be_bytes()) }
}

fn hand_over(to: u64) -> PolicyAct {
    PolicyAct::HandOver { to: controller(to).public_key() }
}

/// A policy transaction that expires and asks for the term so many milliseconds after `at_ms`.
fn policy(
    state: &State,
    by: u64,
    place: (u32, u64),
    at_ms: u64,
    [life, tenure]: [u64; 2],
    act: PolicyAct,
) -> Transaction {
    let [expires, until] = [life, tenure].map(|ms| Timestamp::from_millis(at_ms + ms));
    Transaction::Policy(Policy::sign(&state.chain(), &controller(by), place, expires, until, act))
}

/// Controllers 0 and 1 are admitted, 2 was, and 0 holds term 1.
fn held() -> Chain {
    let mut chain = Chain::new(4);
    chain.admit_controllers(3);
    chain.act(vec![Action::RemoveController { key: controller(2).public_key() }]);
    let take = chain.policy(0, 1, 0, PolicyAct::TakeTerm);
    chain.push(vec![take]);
    let renew = chain.policy(0, 1, 5, PolicyAct::Renew);
    chain.push(vec![renew]);
    chain
}

fn refusal(state: &State, transaction: Transaction, at_ms: u64) -> Option<Error> {
    state.build([transaction], Timestamp::from_millis(at_ms)).rejected.pop().map(|(_, why)| why)
}

#[test]
fn who_may_do_what_and_when() {
    let chain = held();
    let state = &chain.state;
    let (now, until) = (state.time().as_millis() + 100, state.term().until.as_millis());
    let check = |(by, term, number): (u64, u32, u64), act: PolicyAct, at: u64, expected: &str| {
        let tx = policy(state, by, (term, number), at, [1_000, 1_000], act);
        match refusal(state, tx, at) {
            None => assert_eq!(expected, "", "it was applied"),
            Some(why) => assert!(!expected.is_empty() && why.to_string().contains(expected), "{why}"),
        }
    };
    check((0, 1, 6), PolicyAct::Renew, now, "");
    check((0, 1, 9), decide(1), now, "");
    check((0, 1, 6), hand_over(1), now, "");
    check((0, 1, 5), decide(1), now, "its number, or a higher one, was applied");
    check((0, 1, u64::MAX), decide(1), now, "its number");
    check((0, 0, 6), decide(1), now, "current term is 1");
    check((0, 2, 6), decide(1), now, "current term is 1");
    check((1, 1, 6), decide(1), now, "which it does not hold");
    check((1, 1, 6), PolicyAct::Renew, now, "which it does not hold");
    check((1, 1, 6), hand_over(0), now, "which it does not hold");
    check((2, 1, 6), decide(1), now, "not a controller");
    check((9, 2, 0), PolicyAct::TakeTerm, until + 1, "not a controller");
    check((0, 1, 6), hand_over(0), now, "to itself");
    check((0, 1, 6), hand_over(2), now, "not a controller");
    // The next term: not before the tenure is past, by nobody else than an admitted controller, and no other term.
    check((1, 2, 0), PolicyAct::TakeTerm, now, "holds term 1 until");
    check((1, 2, 0), PolicyAct::TakeTerm, until, "holds term 1 until");
    check((1, 2, 0), PolicyAct::TakeTerm, until + 1, "");
    check((1, 3, 0), PolicyAct::TakeTerm, until + 1, "cannot take");
    check((1, 1, 0), PolicyAct::TakeTerm, until + 1, "cannot take");
    check((0, 2, 0), PolicyAct::TakeTerm, now, "");
    // Whom nobody has followed may go on.
    check((0, 1, 6), PolicyAct::Renew, until + 10_000, "");
}

#[test]
fn a_policy_expires_and_asks_for_no_more_than_a_minute() {
    let chain = held();
    let at = chain.state.time().as_millis() + 100;
    let check = |life: u64, tenure: u64, at_ms: u64, expected: &str| {
        let tx = policy(&chain.state, 0, (1, 6), at, [life, tenure], decide(1));
        let why = refusal(&chain.state, tx, at_ms).map_or(String::new(), |why| why.to_string());
        assert!(why.contains(expected) && expected.is_empty() == why.is_empty(), "{why}");
    };
    check(0, 0, at, "");
    check(0, 0, at + 1, "expired");
    check(MAX_POLICY_LIFE_MS, MAX_TENURE_MS, at, "");
    check(MAX_POLICY_LIFE_MS + 1, 0, at, "more than 10 minutes");
    check(0, MAX_TENURE_MS + 1, at, "more than a minute");
}

#[test]
fn forged_and_foreign_policies_are_refused() {
    let chain = held();
    let at = chain.state.time().as_millis() + 100;
    let foreign = State::new(Network::new(5).genesis());
    let forged = policy(&foreign, 0, (1, 6), at, [1_000, 1_000], decide(1));
    assert!(matches!(refusal(&chain.state, forged.clone(), at), Some(Error::Signature { .. })));
    let built =
        chain.state.build([policy(&chain.state, 0, (1, 6), at, [1_000; 2], decide(1))], chain.state.time());
    let block = Block::new(built.block.header().clone(), None, vec![forged]);
    assert!(matches!(chain.state.execute(&block), Err(Error::Signature { .. })));
    // A block of a later time than the transaction's expiry is refused whoever proposes it.
    let late = policy(&chain.state, 0, (1, 6), at, [0, 0], decide(1));
    let mut header = built.block.header().clone();
    header.time = Timestamp::from_millis(at + 1);
    assert!(matches!(chain.state.execute(&Block::new(header, None, vec![late])), Err(Error::Policy { .. })));
}

#[test]
fn who_commands_is_proven_by_a_final_block() {
    let chain = held();
    let (last, trust) = (chain.blocks.last().expect("blocks"), chain.trust());
    let (header, certificate) = (last.block.header().clone(), last.certificate.clone());
    let proof = chain.state.prove_term().expect("a chain with controllers");
    let evidence = TermEvidence::new(header, certificate, proof).expect("a term");
    assert_eq!(evidence.verify(&trust).expect("proven"), chain.state.term());
    let bytes = evidence.to_bytes();
    assert_eq!(TermEvidence::from_bytes(&bytes).expect("ours"), evidence);
    // Whatever is another: not read, or not proven.
    for at in (0..bytes.len()).step_by(7) {
        let mut altered = bytes.to_vec();
        altered[at] ^= 1;
        let read = TermEvidence::from_bytes(&altered);
        assert!(read.is_err() || read.is_ok_and(|read| read.verify(&trust).is_err()), "byte {at}");
    }
    let mut later = evidence.clone();
    later.term.until = Timestamp::from_millis(later.term.until.as_millis() + 1);
    assert!(later.verify(&trust).is_err());
    let controller = chain.state.prove_controller(&controller(0).public_key()).expect("admitted");
    assert_eq!(TermEvidence::new(evidence.header, evidence.certificate, controller), None);
}

#[test]
fn a_removed_holder_leaves_the_term_to_others() {
    let mut chain = held();
    chain.act(vec![Action::RemoveController { key: controller(0).public_key() }]);
    assert_eq!(chain.state.term().holder, None);
    let at = chain.state.time().as_millis();
    let gone = refusal(&chain.state, policy(&chain.state, 0, (1, 6), at, [1_000; 2], decide(1)), at);
    assert!(matches!(gone, Some(Error::NotController(_))));
    let take = chain.policy(1, 2, 0, PolicyAct::TakeTerm);
    chain.push(vec![take]);
    assert_eq!(chain.state.term().holder, Some(controller(1).public_key()));
    let refused = |action: Action| {
        let tx = chain.network.registry(chain.state.nonce(), vec![action]);
        refusal(&chain.state, tx, at).map_or(String::new(), |why| why.to_string())
    };
    assert!(refused(Action::AdmitController { key: controller(0).public_key() }).contains("admitted before"));
    assert!(
        refused(Action::RemoveController { key: controller(0).public_key() }).contains("not a controller")
    );
    assert!(refused(Action::RemoveController { key: key(1).public_key() }).contains("not a controller"));
}

#[test]
fn decisions_are_capped_per_block_and_per_epoch() {
    let mut chain = Chain::of(Network::with_epochs(4, 80));
    chain.admit_controllers(2);
    let take = chain.policy(0, 1, 0, PolicyAct::TakeTerm);
    chain.push(vec![take]);
    let mut applied = 0;
    for block in 0.. {
        let first = 100 * block;
        let many = (first..first + 18).map(|n| chain.policy(0, 1, n, decide(n))).collect();
        let built = chain.build(many);
        assert!(built.rejected.iter().all(|(_, why)| matches!(why, Error::Quota(_)) && why.is_transient()));
        let taken = built.block.transactions().len();
        assert!(taken <= MAX_POLICIES_PER_BLOCK);
        applied += taken;
        let taken = built.block.transactions().to_vec();
        if taken.is_empty() {
            break;
        }
        chain.push(taken);
    }
    assert_eq!(applied, MAX_DECISIONS_PER_EPOCH as usize);
    // The term goes on, and decisions do in the next epoch.
    let renew = chain.policy(0, 1, 1_000_000, PolicyAct::Renew);
    chain.push(vec![renew]);
    chain.advance_to(79);
    let again = chain.policy(0, 1, 1_000_001, decide(1));
    chain.push(vec![again]);
}

#[test]
fn functions_are_released_once_and_withdrawn_for_good() {
    let mut chain = Chain::new(4);
    let (component, publisher) = (Digest::of(b"component"), key(60).public_key());
    let publish = Action::PublishFunction { component, publisher: publisher.clone() };
    let withdraw = Action::WithdrawFunction { component };
    let refused = |chain: &Chain, action: &Action| {
        let tx = chain.network.registry(chain.state.nonce(), vec![action.clone()]);
        refusal(&chain.state, tx, 2_000).map_or(String::new(), |why| why.to_string())
    };
    assert!(refused(&chain, &withdraw).contains("not released"));
    chain.act(vec![publish.clone()]);
    assert!(refused(&chain, &publish).contains("released before"));
    let release = chain.state.release(&component).expect("released").clone();
    assert_eq!((release.released_at, release.publisher.clone()), (Height::new(1), publisher));
    assert!(release.counts_at(Height::new(1)) && !release.counts_at(Height::new(0)));
    let proof = chain.state.prove_release(&component).expect("released");
    assert_eq!(proof.fact, Fact::Release(release));
    assert!(proof.verify(&chain.state.header().registry_root));
    chain.act(vec![withdraw.clone()]);
    let withdrawn = chain.state.release(&component).expect("known");
    assert!(withdrawn.counts_at(Height::new(1)) && !withdrawn.counts_at(Height::new(2)));
    assert!(!proof.verify(&chain.state.header().registry_root), "what was shown then does not hold now");
    assert!(refused(&chain, &withdraw).contains("not released"));
    assert!(refused(&chain, &publish).contains("released before"));
    assert_eq!(chain.state.prove_release(&Digest::of(b"another")), None);
}

#[derive(Clone, Debug)]
enum Step {
    Take(u64),
    Renew(u64),
    Decide(u64),
    HandOver(u64, u64),
    Remove(u64),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4u64).prop_map(Step::Take),
        3 => (0..4u64).prop_map(Step::Renew),
        3 => (0..4u64).prop_map(Step::Decide),
        2 => (0..4u64, 0..4u64).prop_map(|(by, to)| Step::HandOver(by, to)),
        1 => (0..4u64).prop_map(Step::Remove),
        3 => (1..40_000u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// One holder at each height; terms go up by one; nobody but the holder acts in a term; whoever takes a term over from
    /// another waits for its tenure; everyone who executes agrees, and the block's registry root says who commands.
    #[test]
    fn one_controller_commands_at_a_time(steps in prop::collection::vec(step(), 1..60), stale in 0..3u32) {
        let network = Network::with_epochs(4, 7);
        let mut state = State::new(network.genesis());
        let admit = (0..3).map(|n| Action::AdmitController { key: controller(n).public_key() }).collect();
        state = state.build([network.registry(0, admit)], Timestamp::from_millis(1_000)).state;
        let mut now = 1_000;
        for step in steps {
            let before: Term = state.term().clone();
            let (term, next) = (before.term, before.next);
            let transaction = match step {
                Step::Wait(ms) => {
                    now += ms;
                    continue;
                }
                Step::Take(by) => policy(&state, by, (term + 1, 0), now, [500, 20_000], PolicyAct::TakeTerm),
                Step::Renew(by) => policy(&state, by, (term, next), now, [500, 25_000], PolicyAct::Renew),
                Step::Decide(by) => {
                    let term = term.saturating_sub(stale % 2);
                    policy(&state, by, (term, next + u64::from(stale)), now, [500, 10_000], decide(now))
                }
                Step::HandOver(by, to) => policy(&state, by, (term, next), now, [500, 20_000], hand_over(to)),
                Step::Remove(n) => {
                    network.registry(state.nonce(), vec![Action::RemoveController { key: controller(n).public_key() }])
                }
            };
            let built = state.build([transaction.clone()], Timestamp::from_millis(now));
            let (executed, _) = state.execute(&built.block).expect("built");
            prop_assert_eq!(format!("{executed:?}"), format!("{:?}", built.state));
            let after = executed.term();
            prop_assert!(after.term == term || after.term == term + 1);
            let proof = executed.prove_term().expect("there are controllers");
            prop_assert_eq!(&proof.fact, &Fact::Term(after.clone()));
            prop_assert!(proof.verify(&executed.header().registry_root));
            if let Some(Transaction::Policy(policy)) = built.block.transactions().first() {
                prop_assert!(state.is_controller(&policy.controller));
                match &policy.act {
                    PolicyAct::TakeTerm => {
                        let of_another = before.holder.as_ref().is_some_and(|holder| *holder != policy.controller);
                        prop_assert!(!of_another || built.block.header().time > before.until);
                        prop_assert_eq!(after.holder.as_ref(), Some(&policy.controller));
                        prop_assert_eq!(after.term, term + 1);
                    }
                    act => {
                        prop_assert_eq!(before.holder.as_ref(), Some(&policy.controller));
                        prop_assert_eq!(policy.term, term);
                        let handed_over = matches!(act, PolicyAct::HandOver { .. });
                        prop_assert!(handed_over || after.until >= before.until);
                    }
                }
                let again = executed.build([transaction], Timestamp::from_millis(now));
                prop_assert!(again.block.transactions().is_empty(), "applied twice");
            } else if built.rejected.is_empty() {
                prop_assert_eq!(after.term, term, "operators begin no term");
            } else {
                prop_assert_eq!(after, &before, "what is refused leaves no trace");
            }
            state = executed;
        }
    }
}
