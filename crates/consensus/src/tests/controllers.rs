//! Events and controllers' terms in whole networks.

use crate::tests::*;
use std::collections::BTreeSet;
use voltmesh_ledger::{
    Act, EventProof, Lane, Policy, PolicyAct, PublicKey, SaltedDigest, Timestamp, Transaction, salted_digest,
    testing::controller,
};

const SALT: [u8; 16] = [5; 16];

fn event(n: u64) -> SaltedDigest {
    salted_digest(&SALT, &n.to_be_bytes())
}

/// A policy transaction that lasts 20 s and asks for the term for 5 s.
fn policy(
    context: &deterministic::Context,
    cluster: &Cluster,
    by: u64,
    place: (u32, u64),
    act: PolicyAct,
) -> Policy {
    let (chain, now) = (cluster.keys().genesis().digest(), context.current().epoch_millis());
    let [expires, until] = [now + 20_000, now + 5_000].map(Timestamp::from_millis);
    Policy::sign(&chain, &controller(by), place, expires, until, act)
}

async fn admit(cluster: &Cluster, nonce: u64, n: u64) {
    let actions = (0..n).map(|i| Action::AdmitController { key: controller(i).public_key() }).collect();
    let admit = cluster.keys().registry(nonce, actions);
    cluster.handle(0).submit(admit.clone()).expect("taken");
    let admitted = cluster.handle(0).included(&admit.digest(), Height::new(1)).await.expect("final");
    agree(cluster, 0..cluster.len(), admitted.block.header().height.get()).await;
}

/// Submits as a controller does: again and again until a block holds it or the ledger refuses it for good. False then.
async fn act(context: &deterministic::Context, cluster: &Cluster, node: usize, policy: Policy) -> bool {
    let (handle, digest) = (cluster.handle(node), Transaction::Policy(policy.clone()).digest());
    let from = handle.height();
    for _ in 0..200 {
        let _ = handle.submit_policy(policy.clone());
        context.sleep(Duration::from_millis(100)).await;
        for height in from.get()..=handle.height().get() {
            let block = handle.block(Height::new(height)).await;
            if block.is_some_and(|block| block.transactions().iter().any(|held| held.digest() == digest)) {
                return true;
            }
        }
        if !handle.state().may_apply_policy(&policy) {
            return false;
        }
    }
    false
}

/// Who held which term at each height, by the blocks of a node executed again. Checks that whoever acted held it.
async fn holders(cluster: &Cluster, node: usize) -> Vec<(u32, Option<PublicKey>)> {
    let handle = cluster.handle(node);
    let mut state = voltmesh_ledger::State::new(cluster.keys().genesis());
    let mut out = Vec::new();
    for height in 1..=handle.height().get() {
        let block = handle.block(Height::new(height)).await.expect("final");
        for transaction in block.transactions() {
            let Transaction::Policy(policy) = transaction else { continue };
            if !matches!(policy.act, PolicyAct::TakeTerm) {
                let held = (state.term().term, state.term().holder.as_ref());
                assert_eq!((policy.term, Some(&policy.controller)), held, "height {height}");
            }
        }
        state = state.execute_final(&block).expect("final").0;
        out.push((state.term().term, state.term().holder.clone()));
    }
    out
}

#[test]
fn events_are_final_once_and_proven_by_what_nodes_deliver() {
    run(90, |context| async move {
        let cluster = started(&context, 4, 20).await;
        let mut lists = Vec::new();
        for node in 0..4u64 {
            let handle = cluster.handle(node as usize);
            let key = cluster.key(node as usize).clone();
            for sequence in 0..3 {
                let first = 100 * node + 10 * sequence;
                let events: Vec<_> = (first..first + 5).map(event).collect();
                lists.push(
                    handle.submit_events(&key, Lane::Functions, sequence, events.clone()).expect("taken"),
                );
                // As after a restart that has forgotten what it submitted.
                handle.submit_events(&key, Lane::Functions, sequence, events).expect("the same again");
            }
        }
        let mut finals = cluster.handle(2).subscribe(Height::new(1));
        let mut found: BTreeMap<SaltedDigest, EventProof> = BTreeMap::new();
        while found.len() < 60 {
            let finalized = finals.next().await.expect("node runs");
            check(&cluster, &finalized);
            assert_eq!(finalized.acts.len(), finalized.block.acts().count());
            for list in &lists {
                let Some(evidence) = finalized.act_evidence(&Act::of_events(list)) else { continue };
                for (at, digest) in list.events.iter().enumerate() {
                    let bytes =
                        (0..1_000u64).map(u64::to_be_bytes).find(|n| salted_digest(&SALT, n) == *digest);
                    let bytes = bytes.expect("one of ours").to_vec().into();
                    let proof =
                        EventProof::of_event(SALT, bytes, &list.events, at, evidence.clone()).expect("in it");
                    assert!(found.insert(*digest, proof).is_none(), "on the ledger twice");
                }
            }
        }
        let mut trust = Trust::from_genesis(cluster.keys().genesis().clone());
        for handover in cluster.handle(1).handovers().await {
            trust.extend(&handover).expect("follows");
        }
        for (digest, proof) in &found {
            assert_eq!(proof.verify(&trust).expect("proven").digest, *digest);
        }
        let me = cluster.key(0).public_key();
        assert_eq!(cluster.handle(3).next_event_sequence(&me, Lane::Functions), 3);
    });
}

#[test]
fn a_term_changes_under_a_partition_and_one_controller_commands_at_each_height() {
    run(91, |context| async move {
        let mut cluster = started(&context, 4, 50).await;
        admit(&cluster, 0, 2).await;
        let first = policy(&context, &cluster, 0, (1, 0), PolicyAct::TakeTerm);
        assert!(act(&context, &cluster, 3, first).await);
        // While the holder renews, nobody else gets in.
        for number in 0..4 {
            let renew = policy(&context, &cluster, 0, (1, number), PolicyAct::Renew);
            assert!(act(&context, &cluster, 3, renew).await);
            let early = policy(&context, &cluster, 1, (2, 0), PolicyAct::TakeTerm);
            assert!(cluster.handle(0).submit_policy(early).is_err());
        }
        // The holder's side is cut off: nothing of it becomes final, and the standby takes the next term after the tenure.
        cluster.partition(&[3]).await;
        let alone = PolicyAct::Decide { decision: event(1) };
        let alone = policy(&context, &cluster, 0, (1, 10), alone);
        cluster.handle(3).submit_policy(alone.clone()).expect("it holds the term as far as node 3 knows");
        context.sleep(Duration::from_secs(6)).await;
        let take = policy(&context, &cluster, 1, (2, 0), PolicyAct::TakeTerm);
        assert!(act(&context, &cluster, 0, take).await);
        let decision = PolicyAct::Decide { decision: event(2) };
        let decided = policy(&context, &cluster, 1, (2, 0), decision);
        assert!(act(&context, &cluster, 1, decided.clone()).await);
        // Healed, what the old holder wrote in its term is refused for good, by everyone.
        cluster.heal(good_link()).await;
        let height = cluster.handle(0).height().get() + 20;
        agree(&cluster, 0..4, height).await;
        assert!(!act(&context, &cluster, 3, alone.clone()).await);
        let back = policy(&context, &cluster, 0, (1, 99), PolicyAct::Renew);
        assert!(cluster.handle(3).submit_policy(back).is_err());
        for node in 0..4 {
            assert_eq!(cluster.handle(node).term().holder, Some(controller(1).public_key()));
        }
        let mut seen = BTreeSet::new();
        for node in 0..4 {
            let held = holders(&cluster, node).await;
            assert!(held.windows(2).all(|pair| pair[0].0 <= pair[1].0), "terms never go back");
            let (mut by_term, last) = (BTreeMap::new(), held.last().expect("blocks").clone());
            for (term, holder) in held.into_iter().filter(|(term, _)| *term > 0) {
                assert_eq!(*by_term.entry(term).or_insert(holder.clone()), holder, "two hold term {term}");
            }
            seen.insert((by_term, last));
        }
        assert_eq!(seen.len(), 1, "all nodes say the same");
    });
}

#[test]
fn two_standbys_race_and_one_wins() {
    run(92, |context| async move {
        let mut cluster = started(&context, 4, 50).await;
        admit(&cluster, 0, 3).await;
        for term in 1..4 {
            let numbers = [1, 2, 0];
            let takes: Vec<_> = numbers
                .iter()
                .map(|by| (*by, policy(&context, &cluster, *by, (term, 0), PolicyAct::TakeTerm)))
                .collect();
            for (by, take) in &takes {
                cluster.handle(*by as usize).submit_policy(take.clone()).expect("the term is free");
            }
            let batches = submit(&mut cluster, 0..4, u64::from(term));
            logged(&cluster, 0, &batches).await;
            while cluster.handle(0).term().term < term {
                context.sleep(Duration::from_millis(100)).await;
            }
            context.sleep(Duration::from_secs(7)).await;
        }
        let height = cluster.handle(0).height().get();
        agree(&cluster, 0..4, height).await;
        let held = holders(&cluster, 1).await;
        let mut by_term = BTreeMap::new();
        for (term, holder) in held.into_iter().filter(|(term, _)| *term > 0) {
            assert_eq!(*by_term.entry(term).or_insert(holder.clone()), holder, "two hold term {term}");
        }
        assert_eq!(by_term.len(), 3);
    });
}

#[test]
fn whoever_joins_from_a_snapshot_knows_who_commands() {
    run(93, |context| async move {
        let mut cluster = started(&context, 4, 10).await;
        admit(&cluster, 0, 1).await;
        let take = policy(&context, &cluster, 0, (1, 0), PolicyAct::TakeTerm);
        assert!(act(&context, &cluster, 0, take).await);
        let key = cluster.key(1).clone();
        let list = cluster.handle(1).submit_events(&key, Lane::Functions, 0, vec![event(1)]).expect("taken");
        let digest = Transaction::Events(list.clone()).digest();
        let at = cluster.handle(0).included(&digest, Height::new(1)).await.expect("final");
        cluster.stop(3).await;
        cluster.start(3).await;
        agree(&cluster, 0..4, at.block.header().height.get() + 30).await;
        let handle = cluster.handle(3);
        assert_eq!(handle.term().holder, Some(controller(0).public_key()));
        assert_eq!(handle.controllers().len(), 1);
        assert!(
            handle.submit_events(&key, Lane::Functions, 0, vec![event(1)]).is_err(),
            "on the ledger already"
        );
        assert!(
            handle.submit_events(&key, Lane::Functions, 1, vec![event(1)]).is_err(),
            "on the ledger already"
        );
    });
}
