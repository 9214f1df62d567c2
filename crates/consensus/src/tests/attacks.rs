//! What an attacker may try, each with a seed and what must hold. `docs/consensus.md` has the table.

use super::*;
use crate::{
    common::network::{Channels, Network},
    harness::simulated_network::SimulatedNetwork,
};
use commonware_p2p::{
    Receiver as _, Recipients, Sender as _,
    simulated::{SplitOrigin, SplitTarget},
};
use rand::{Rng as _, RngExt as _};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use voltmesh_ledger::testing::{Network as Keys, with_another_score};

/// One network as two nodes with the same key have it: both hear everyone. The second is heard by all, the first by half
/// of the others; until `$attacks` is set only the first is heard, by all.
macro_rules! twins {
    ($context:expr, $network:expr, $half:expr, $attacks:expr) => {{
        let SimulatedNetwork { channels, peers, blocker } = $network;
        let (half, attacks): (Vec<_>, Arc<AtomicBool>) = ($half, $attacks);
        // In silence it still asks for blocks that it has missed: its twin's.
        let forwarder = |speaks: bool| {
            let (half, attacks) = (half.clone(), attacks.clone());
            move |origin: SplitOrigin, to: &Recipients<_>, _: &_| match (
                attacks.load(Ordering::Relaxed),
                origin,
            ) {
                (false, SplitOrigin::Primary) | (true, SplitOrigin::Secondary) => Some(to.clone()),
                (false, SplitOrigin::Secondary) => speaks.then(|| to.clone()),
                (true, SplitOrigin::Primary) => Some(Recipients::Some(match to {
                    Recipients::All => half.clone(),
                    Recipients::Some(keys) => keys.iter().filter(|key| half.contains(key)).cloned().collect(),
                    Recipients::One(key) => half.iter().filter(|other| *other == key).cloned().collect(),
                })),
            }
        };
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let Channels { votes, certificates, resolver, blocks, backfill, transactions, roots } = channels;
        for (index, (sender, receiver)) in
            [votes, certificates, resolver, blocks, backfill, transactions, roots].into_iter().enumerate()
        {
            let (a, b) = sender.into_inner().split_with(forwarder(matches!(index, 2 | 4)));
            let context = $context.child("twin").with_attribute("channel", index);
            let (c, d) = receiver.split_with(context, |_: &_| SplitTarget::Both);
            first.push((a, c));
            second.push((b, d));
        }
        let pack = |channels: Vec<_>| {
            let mut channels = channels.into_iter();
            let mut next = || channels.next().expect("seven");
            Network {
                channels: Channels {
                    votes: next(),
                    certificates: next(),
                    resolver: next(),
                    blocks: next(),
                    backfill: next(),
                    transactions: next(),
                    roots: next(),
                },
                peers: peers.clone(),
                blocker: blocker.clone(),
            }
        };
        (pack(first), pack(second))
    }};
}

/// Two nodes run under the key of node `index`, on disks of their own, the second in silence until `attacks`.
async fn clone_of(
    cluster: &Cluster,
    context: &deterministic::Context,
    index: usize,
    attacks: Arc<AtomicBool>,
) -> [crate::Node; 2] {
    let half = (0..cluster.len()).filter(|other| *other != index && other % 2 == 0);
    let half = half.map(|other| cluster.key(other).public_key()).collect();
    let (first, second) = twins!(context, cluster.network(index).await, half, attacks);
    let config = |twin: &str| {
        let mut config = cluster.config(index);
        config.partition = format!("{}-{twin}", config.partition);
        // Different blocks: the clones must not happen to agree.
        config.block_interval += Duration::from_millis(if twin == "a" { 0 } else { 7 });
        config
    };
    let a = crate::Node::start(context.child("clone_a"), config("a"), first).await.expect("starts");
    let b = crate::Node::start(context.child("clone_b"), config("b"), second).await.expect("starts");
    [a, b]
}

#[test]
fn a_cloned_authority_forks_nobody_and_is_convicted() {
    // Ekparinya, Gramoli, Jourjon: The Attack of the Clones against Proof-of-Authority (NDSS 2020).
    run(50, |context| async move {
        let mut cluster = Cluster::new(&context, 7, 12).await;
        let clones = clone_of(&cluster, &context, 6, Arc::new(AtomicBool::new(true))).await;
        for index in 0..6 {
            cluster.start(index).await;
        }
        let batches = submit(&mut cluster, 0..6, 1);
        logged(&cluster, 0, &batches).await;
        agree(&cluster, 0..6, 60).await;
        assert!(cluster.handle(0).state().convicted().contains_key(&cluster.key(6).public_key()));
        drop(clones);
    });
}

#[test]
fn a_reputation_is_no_licence() {
    run(51, |context| async move {
        let mut cluster = Cluster::new(&context, 7, 12).await;
        let attacks = Arc::new(AtomicBool::new(false));
        let clones = clone_of(&cluster, &context, 6, attacks.clone()).await;
        for index in 0..6 {
            cluster.start(index).await;
        }
        agree(&cluster, 0..6, 40).await;
        let culprit = cluster.key(6).public_key();
        assert!(
            cluster.handle(0).state().standing(&culprit).is_some_and(|standing| standing.score > 400_000)
        );
        assert!(cluster.handle(0).state().convicted().is_empty());
        attacks.store(true, Ordering::Relaxed);
        // It shows when it leads, and with few turns that takes a while.
        let mut at = cluster.handle(0).height().get();
        while !cluster.handle(0).state().convicted().contains_key(&culprit) {
            at += 12;
            assert!(at < 400, "nobody was convicted");
            agree(&cluster, [0], at).await;
        }
        agree(&cluster, 0..6, at + 36).await;
        assert!(clones.iter().all(|clone| clone.handle().height().get() > 40), "a clone has lost the others");
        let state = cluster.handle(0).state();
        assert!(state.convicted().contains_key(&culprit));
        assert!(!state.authorities_for(state.epoch()).expect("its own").contains(&culprit));
        assert_eq!(state.standing(&culprit).map(|standing| standing.score), Some(0));
        drop(clones);
    });
}

#[test]
fn withheld_votes_of_f_change_nothing_and_of_more_stall() {
    run(52, |context| async move {
        let mut cluster = started(&context, 7, 50).await;
        agree(&cluster, 0..7, 5).await;
        cluster.stop(5).await;
        cluster.stop(6).await;
        let at = cluster.handle(0).height().get();
        agree(&cluster, 0..5, at + 20).await;
        cluster.stop(4).await;
        context.sleep(Duration::from_secs(3)).await;
        let at: Vec<_> = (0..4).map(|index| cluster.handle(index).height()).collect();
        context.sleep(Duration::from_secs(30)).await;
        for (index, at) in at.iter().enumerate() {
            assert_eq!(cluster.handle(index).height(), *at, "f + 1 are away");
        }
        cluster.start(4).await;
        let next = at.iter().max().expect("four").get() + 20;
        agree(&cluster, 0..5, next).await;
    });
}

#[test]
fn a_leader_just_in_time_loses_its_turns() {
    run(53, |context| async move {
        let mut cluster = Cluster::new(&context, 7, 30).await;
        let slow = Link {
            latency: Duration::from_millis(600),
            jitter: Duration::from_millis(50),
            success_rate: probability!(1.0),
        };
        cluster.relink(2, slow).await;
        for index in 0..7 {
            cluster.start(index).await;
        }
        agree(&cluster, [0, 1, 3, 4, 5, 6], 150).await;
        let state = cluster.handle(0).state();
        let (roster, key) = (state.planned(), cluster.key(2).public_key());
        let place = roster.voters.as_set().position(&key).expect("slowness is no offence");
        assert!(roster.leaders.share_ppm(place) < 40_000, "{}", roster.leaders.share_ppm(place));
        assert!(state.convicted().is_empty());
    });
}

#[test]
fn censors_are_skipped_until_the_transaction_is_in() {
    run(54, |context| async move {
        // Terms are long, so that a censor could keep something back for long.
        let keys = Keys::with_epochs(7, 1_000);
        let genesis = keys.genesis().clone().with_terms(40).expect("a term");
        let mut cluster = Cluster::of(&context, keys.with_genesis(genesis), good_link()).await;
        for index in 0..7 {
            cluster.start(index).await;
        }
        // The first two leaders.
        let victim = cluster.key(6).public_key();
        for censor in [0, 1] {
            cluster.handle(censor).shared.core.pool.lock().censored.insert(victim.clone());
        }
        agree(&cluster, 0..7, 2).await;
        let (batch, transaction) = cluster.anchor(6, 1);
        cluster.handle(6).submit(transaction).expect("taken");
        let others = submit(&mut cluster, [2, 3], 5);
        logged(&cluster, 0, &others).await;
        let start = context.current();
        logged(&cluster, 3, &[batch]).await;
        let waited = context.current().duration_since(start).expect("later");
        assert!(waited < Duration::from_secs(30), "{waited:?}");
        let skipped = cluster.handle(3).state().header().view;
        assert!(skipped > 40, "the censor's term went on to the end: view {skipped}");
        assert!((2..7).any(|index| cluster.handle(index).censored() > 0));
    });
}

#[test]
fn ten_against_ten_wait_and_agree_again() {
    run(55, |context| async move {
        let mut cluster = started(&context, 20, 100).await;
        agree(&cluster, 0..20, 3).await;
        let half: Vec<usize> = (0..10).collect();
        cluster.partition(&half).await;
        context.sleep(Duration::from_secs(2)).await;
        let at: Vec<_> = (0..20).map(|index| cluster.handle(index).height()).collect();
        context.sleep(Duration::from_secs(10)).await;
        assert!((0..20).all(|index| cluster.handle(index).height() == at[index]), "half a network went on");
        cluster.heal(good_link()).await;
        let healed = context.current();
        let next = at.iter().max().expect("twenty").get() + 2;
        for index in 0..20 {
            assert!(cluster.handle(index).reached(Height::new(next)).await);
        }
        let took = context.current().duration_since(healed).expect("later");
        assert!(took < Duration::from_secs(10), "{took:?}");
        agree(&cluster, 0..20, next).await;
    });
}

#[test]
fn who_is_in_quarantine_returns_in_vain() {
    run(56, |context| async move {
        let mut cluster = Cluster::new(&context, 7, 12).await;
        let clones = clone_of(&cluster, &context, 6, Arc::new(AtomicBool::new(true))).await;
        for index in 0..6 {
            cluster.start(index).await;
        }
        let honest = 0..6;
        agree(&cluster, honest.clone(), 60).await;
        drop(clones);
        let culprit = cluster.key(6).public_key();
        assert!(cluster.handle(0).state().convicted().contains_key(&culprit));
        // It comes back with its old disk, as if nothing had happened.
        cluster.start(6).await;
        let (batch, transaction) = cluster.anchor(6, 9);
        let _ = cluster.handle(6).submit(transaction);
        let at = cluster.handle(0).height().get();
        agree(&cluster, honest, at + 30).await;
        let state = cluster.handle(0).state();
        assert!(!state.authorities_for(state.epoch()).expect("its own").contains(&culprit));
        for finalized in deliver(&cluster, 0, at, at + 20).await {
            assert!(finalized.entries.iter().all(|entry| entry.batch != batch), "its anchor was taken");
            assert!(!finalized.certificate.finalization().certificate.signers.iter().any(|signer| {
                let voters = &finalized.state.roster_for(finalized.header.epoch).expect("recent").voters;
                voters.get(signer.into()) == Some(&culprit)
            }));
        }
    });
}

#[test]
fn different_scores_stall_and_never_fork() {
    run(57, |context| async move {
        let cluster = started(&context, 4, 1_000).await;
        agree(&cluster, 0..4, 5).await;
        // Two of four remember another score, each a different one.
        let key = cluster.key(0).public_key();
        for (index, score) in [(2, 1), (3, 2)] {
            let handle = cluster.handle(index);
            let mut chain = handle.shared.core.chain.lock();
            let wrong = with_another_score(&chain.finalized(), &key, score);
            chain.corrupt(wrong);
        }
        context.sleep(Duration::from_secs(40)).await;
        let heights: Vec<u64> = (0..4).map(|index| cluster.handle(index).height().get()).collect();
        let highest = *heights.iter().max().expect("four");
        // What was under way may still have become final; the two that are right cannot go on alone.
        assert!(highest <= 9, "{heights:?}");
        for height in 1..=highest {
            let mut digests = Vec::new();
            for index in 0..4 {
                if let Some(block) = cluster.handle(index).block(Height::new(height)).await {
                    digests.push(block.digest());
                }
            }
            assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "two blocks at height {height}");
        }
    });
}

#[test]
fn replayed_and_malformed_messages_do_no_harm() {
    run(58, |context| async move {
        let mut cluster = Cluster::new(&context, 7, 12).await;
        let channels = cluster.network(6).await.channels;
        let Channels { votes, certificates, resolver, blocks, backfill, transactions, roots } = channels;
        let all = [votes, certificates, resolver, blocks, backfill, transactions, roots];
        for (index, (mut sender, mut receiver)) in all.into_iter().enumerate() {
            context.child("parrot").with_attribute("channel", index).spawn(move |mut context| async move {
                let mut heard: VecDeque<Vec<u8>> = VecDeque::new();
                while let Ok((_, message)) = receiver.recv().await {
                    heard.push_back(message.as_ref().to_vec());
                    if heard.len() > 64 {
                        heard.pop_front();
                    }
                    let mut old = heard[context.random_range(0..heard.len())].clone();
                    match context.random_range(0..4) {
                        0 => {
                            let at = context.random_range(0..old.len().max(1));
                            if let Some(byte) = old.get_mut(at) {
                                *byte ^= 1 << context.random_range(0..8);
                            }
                        }
                        1 => old.truncate(context.random_range(0..=old.len())),
                        2 => context.fill_bytes(&mut old),
                        _ => {}
                    }
                    let _ = sender.send(Recipients::All, old, false);
                }
            });
        }
        for index in 0..6 {
            cluster.start(index).await;
        }
        for round in 0..10 {
            let batches = submit(&mut cluster, 0..6, round);
            logged(&cluster, 0, &batches).await;
        }
        let at = cluster.handle(0).height().get();
        agree(&cluster, 0..6, at).await;
        let state = cluster.handle(0).state();
        let framed: Vec<_> =
            (0..6).filter(|i| state.convicted().contains_key(&cluster.key(*i).public_key())).collect();
        assert!(framed.is_empty(), "{framed:?} were convicted of nothing");
    });
}

#[test]
fn a_wiped_disk_under_the_old_key_forks_nobody() {
    run(59, |context| async move {
        let mut cluster = started(&context, 7, 12).await;
        for round in 0..4 {
            let batches = submit(&mut cluster, 0..6, round);
            let height = logged(&cluster, 0, &batches).await;
            // Against the rule: it must come back under a rotated key.
            cluster.stop(6).await;
            cluster.wipe(6);
            cluster.start(6).await;
            agree(&cluster, 0..6, height + 10).await;
        }
        let at = cluster.handle(0).height().get();
        agree(&cluster, 0..6, at).await;
    });
}
