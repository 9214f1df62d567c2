//! Whole networks of PBFT under the deterministic runtime.

use crate::{
    PublicKey,
    harness::simulated_network::SimulatedNetwork,
    pbft::{
        certificate::{Ballot, Phase, Seat, Voters},
        message::{Channel, Message, Status},
        testing::Replicas,
    },
    testing::good_link,
};
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_consensus::types::View;
use commonware_cryptography::Digestible as _;
use commonware_macros::select;
use commonware_p2p::{Receiver as _, Recipients, Sender as _, simulated::Link};
use commonware_runtime::{Clock as _, Runner as _, Spawner as _, Supervisor as _, deterministic};
use commonware_utils::{SystemTimeExt as _, probability};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{future::Future, time::Duration};
use voltmesh_ledger::{Genesis, Height, PrivateKey, State, Timestamp};

/// Runs `test` with this seed; a failure names it.
fn run<F, Fut>(seed: u64, test: F)
where
    F: FnOnce(deterministic::Context) -> Fut,
    Fut: Future<Output = ()>,
{
    let config = deterministic::Config::new().with_seed(seed).with_timeout(Some(Duration::from_secs(600)));
    deterministic::Runner::new(config).start(test);
}

async fn started(context: &deterministic::Context, n: usize) -> Replicas {
    started_with(context, n, good_link()).await
}

async fn started_with(context: &deterministic::Context, n: usize, link: Link) -> Replicas {
    let mut replicas = Replicas::new(context, n, link).await;
    for index in 0..n {
        replicas.start(index).await;
    }
    replicas
}

fn agree(seed: u64, n: usize) {
    run(seed, move |context| async move {
        let mut replicas = started(&context, n).await;
        let mut batches = Vec::new();
        for round in 0..5 {
            batches.extend(replicas.submit(0..n, round));
            context.sleep(Duration::from_millis(130)).await;
        }
        replicas.logged(&batches).await;
        let height = replicas.highest();
        replicas.reached(height + 70).await;
        assert!((0..n).all(|index| replicas.view_changes(index) == 0), "nobody had to go");
    });
}

#[test]
fn four_replicas_agree_and_anchor_each_batch_once() {
    agree(1, 4);
}

#[test]
fn seven_replicas_agree_and_anchor_each_batch_once() {
    agree(2, 7);
}

#[test]
fn an_idle_network_waits_and_a_busy_one_is_paced() {
    run(3, |context| async move {
        let mut replicas = started(&context, 4).await;
        replicas.reached(2).await;
        let start = replicas.highest();
        context.sleep(Duration::from_secs(10)).await;
        let idle = replicas.highest() - start;
        assert!((8..=11).contains(&idle), "{idle} blocks in 10 s");
        let start = replicas.highest();
        for round in 0..100 {
            replicas.submit([0], round);
            context.sleep(Duration::from_millis(50)).await;
        }
        let busy = replicas.highest() - start;
        assert!((25..=50).contains(&busy), "{busy} blocks in 5 s");
    });
}

#[test]
fn blocks_are_under_way_side_by_side() {
    run(4, |context| async move {
        let link = Link {
            latency: Duration::from_millis(200),
            jitter: Duration::from_millis(1),
            success_rate: probability!(1.0),
        };
        let mut replicas = started_with(&context, 4, link).await;
        replicas.reached(2).await;
        let start = replicas.highest();
        for round in 0..100 {
            replicas.submit(0..4, round);
            context.sleep(Duration::from_millis(100)).await;
        }
        // One after the other, each of 600 ms and more, there would be 17 in 10 s.
        let blocks = replicas.highest() - start;
        assert!(blocks > 50, "{blocks} blocks in 10 s");
    });
}

#[test]
fn a_crashed_primary_is_replaced() {
    run(5, |context| async move {
        let mut replicas = started(&context, 4).await;
        replicas.reached(3).await;
        replicas.crash(0);
        let batches = replicas.submit(1..4, 1);
        replicas.logged(&batches).await;
        let height = replicas.highest();
        replicas.reached(height + 10).await;
        assert!((1..4).all(|index| replicas.view_changes(index) == 1), "one primary was to go");
    });
}

#[test]
fn a_primary_that_never_was_is_replaced() {
    run(6, |context| async move {
        let mut replicas = Replicas::new(&context, 4, good_link()).await;
        for index in 1..4 {
            replicas.start(index).await;
        }
        replicas.reached(5).await;
    });
}

#[test]
fn seven_replicas_go_on_without_two() {
    run(7, |context| async move {
        let mut replicas = started(&context, 7).await;
        replicas.reached(3).await;
        // The primary and the next one: two view changes, with twice the patience for the second.
        replicas.crash(0);
        replicas.crash(1);
        let batches = replicas.submit(2..7, 1);
        replicas.logged(&batches).await;
        let height = replicas.highest();
        replicas.reached(height + 3).await;
        assert!((2..7).all(|index| replicas.view_changes(index) == 2));
    });
}

#[test]
fn lossy_links_delay_but_do_not_stop() {
    run(8, |context| async move {
        let link = Link {
            latency: Duration::from_millis(80),
            jitter: Duration::from_millis(40),
            success_rate: probability!(0.8),
        };
        let mut replicas = started_with(&context, 4, link).await;
        let mut batches = Vec::new();
        for round in 0..5 {
            batches.extend(replicas.submit(0..4, round));
            context.sleep(Duration::from_millis(300)).await;
        }
        replicas.logged(&batches).await;
        let height = replicas.highest();
        replicas.reached(height + 20).await;
    });
}

#[test]
fn a_replica_that_missed_a_hundred_blocks_catches_up() {
    run(9, |context| async move {
        let mut replicas = started(&context, 4).await;
        replicas.reached(3).await;
        replicas.cluster.partition(&[3]).await;
        let batches = replicas.submit(0..3, 1);
        let start = replicas.height(3);
        replicas.until(|this| this.highest() > start + 150).await;
        assert!(replicas.height(3) <= start + 1);
        let healed = context.current();
        replicas.cluster.heal(good_link()).await;
        let height = replicas.highest();
        replicas.reached(height).await;
        let took = context.current().duration_since(healed).expect("later");
        assert!(took < Duration::from_secs(4), "{took:?}");
        replicas.logged(&batches).await;
        // Its vote is needed now.
        replicas.crash(1);
        let height = replicas.highest();
        replicas.reached(height + 5).await;
    });
}

#[test]
fn two_halves_wait_for_each_other() {
    run(10, |context| async move {
        let mut replicas = started(&context, 4).await;
        replicas.reached(3).await;
        replicas.cluster.partition(&[0, 1]).await;
        context.sleep(Duration::from_secs(3)).await;
        let at: Vec<u64> = (0..4).map(|index| replicas.height(index)).collect();
        let batches = replicas.submit(0..4, 1);
        context.sleep(Duration::from_secs(20)).await;
        let then: Vec<u64> = (0..4).map(|index| replicas.height(index)).collect();
        assert_eq!(at, then, "half a network must not go on");
        replicas.cluster.heal(good_link()).await;
        let healed = context.current();
        replicas.logged(&batches).await;
        let took = context.current().duration_since(healed).expect("later");
        assert!(took < Duration::from_secs(10), "{took:?}");
    });
}

/// Plays the primary of view 0: two blocks for each height, each for half of the others, and votes for both.
async fn equivocate(
    context: deterministic::Context,
    genesis: Genesis,
    key: PrivateKey,
    network: SimulatedNetwork,
) {
    let voters = Voters::new(&genesis);
    let authorities: Vec<PublicKey> = genesis.authorities.keys().cloned().collect();
    let [mut votes, mut blocks] = [network.channels.votes.0, network.channels.blocks.0];
    let now = context.current().epoch_millis();
    let state = State::new(&genesis);
    for part in 0..2 {
        let mut state = state.clone();
        let to: Vec<_> = (1..authorities.len()).filter(|index| index % 2 == part).collect();
        let to: Vec<PublicKey> = to.into_iter().map(|index| authorities[index].clone()).collect();
        for height in 1..=3 {
            let built = state.build([], Timestamp::from_millis(now + part as u64));
            let digest = built.block.digest();
            let sign = |phase| {
                let ballot = Ballot::new(phase, View::zero(), Height::new(height), digest);
                (ballot, voters.sign(&key, &ballot.signed()))
            };
            let (_, signature) = sign(Phase::PrePrepare);
            let message = Message::PrePrepare { view: View::zero(), block: built.block, signature };
            let _ = blocks.send(Recipients::Some(to.clone()), message.encode(), true);
            let (ballot, signature) = sign(Phase::Commit);
            let _ = votes.send(Recipients::All, Message::Vote { ballot, signature }.encode(), true);
            state = built.state;
        }
    }
}

#[test]
fn an_equivocating_primary_splits_nobody() {
    for (seed, n) in [(11, 4), (12, 7), (13, 4), (14, 7)] {
        run(seed, move |context| async move {
            let mut replicas = Replicas::new(&context, n, good_link()).await;
            let (genesis, key) = (replicas.cluster.keys().genesis().clone(), replicas.cluster.key(0).clone());
            let network = replicas.network(0).await;
            for index in 1..n {
                replicas.start(index).await;
            }
            context.child("adversary").spawn(move |context| equivocate(context, genesis, key, network));
            let batches = replicas.submit(1..n, 1);
            replicas.logged(&batches).await;
            let height = replicas.highest();
            replicas.reached(height + 5).await;
            assert!(replicas.view_changes(1) >= 1, "it was to go");
        });
    }
}

/// Repeats what it hears with some bytes changed, on all channels, and what nobody says.
async fn babble(mut context: deterministic::Context, seed: u64, network: SimulatedNetwork) {
    let mut rng = StdRng::seed_from_u64(seed);
    let channels = network.channels;
    let (mut votes, mut certificates) = (channels.votes, channels.certificates);
    let (mut blocks, mut backfill) = (channels.blocks, channels.backfill);
    let context = &mut context;
    loop {
        let heard = select! {
            message = votes.1.recv() => message,
            message = certificates.1.recv() => message,
            message = blocks.1.recv() => message,
            message = backfill.1.recv() => message,
            _ = context.sleep(Duration::from_millis(50)) => {
                let mut height = || Height::new(if rng.random() { u64::MAX } else { rng.random_range(0..99) });
                let (executed, accepted, stable) = (height(), height(), height());
                let far = Status { view: View::zero(), active: true, executed, accepted, stable };
                for message in [Message::Status(far), Message::Fetch(Height::new(rng.random())), Message::Committed(vec![])] {
                    let _ = backfill.0.send(Recipients::All, message.encode(), true);
                }
                continue;
            },
        };
        let Ok((_, bytes)) = heard else { return };
        let mut changed = bytes.as_ref().to_vec();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..changed.len());
            changed[at] ^= 1 << rng.random_range(0..8);
        }
        if rng.random_bool(0.2) {
            changed.truncate(rng.random_range(0..changed.len()));
        }
        let channel = Message::decode(bytes::Bytes::from(changed.clone())).map(|message| message.channel());
        let sender = match channel.unwrap_or(
            [Channel::Votes, Channel::Certificates, Channel::Blocks, Channel::Backfill]
                [rng.random_range(0..4)],
        ) {
            Channel::Votes => &mut votes.0,
            Channel::Certificates => &mut certificates.0,
            Channel::Blocks => &mut blocks.0,
            Channel::Backfill => &mut backfill.0,
        };
        let _ = sender.send(Recipients::All, changed, true);
    }
}

#[test]
fn malformed_and_forged_messages_do_no_harm() {
    run(16, |context| async move {
        let mut replicas = Replicas::new(&context, 4, good_link()).await;
        for index in 0..3 {
            replicas.start(index).await;
        }
        let network = replicas.network(3).await;
        context.child("adversary").spawn(move |context| babble(context, 16, network));
        let batches = replicas.submit(0..3, 1);
        replicas.logged(&batches).await;
        let height = replicas.highest();
        replicas.reached(height + 30).await;
        // Among three a view change needs all of them.
        assert_eq!(Voters::new(replicas.cluster.keys().genesis()).primary(View::zero()), Seat(0));
        replicas.cluster.partition(&[0]).await;
        context.sleep(Duration::from_secs(5)).await;
        replicas.cluster.heal(good_link()).await;
        let height = replicas.highest();
        replicas.reached(height + 10).await;
    });
}

#[test]
fn the_same_seed_leads_to_the_same_state() {
    fn once(seed: u64) -> String {
        let mut out = String::new();
        let result = &mut out;
        run(seed, |context| async move {
            let mut replicas = started(&context, 4).await;
            let batches = replicas.submit([1, 2, 3], 1);
            replicas.crash(0);
            replicas.logged(&batches).await;
            *result = context.auditor().state();
        });
        out
    }
    assert_eq!(once(20), once(20));
    assert_ne!(once(20), once(21));
}

/// Longer: `cargo test -p voltmesh-consensus --features slow`.
#[cfg(feature = "slow")]
#[test]
fn twenty_replicas_go_on_without_six_slow() {
    run(30, |context| async move {
        let link = Link {
            latency: Duration::from_millis(30),
            jitter: Duration::from_millis(20),
            success_rate: probability!(0.98),
        };
        let mut replicas = started_with(&context, 20, link).await;
        let batches = replicas.submit(0..20, 1);
        replicas.logged(&batches).await;
        replicas.reached(70).await;
        assert!((0..20).all(|index| replicas.view_changes(index) == 0));
        (0..6).for_each(|index| replicas.crash(index));
        let batches = replicas.submit(6..20, 2);
        replicas.logged(&batches).await;
        let height = replicas.highest();
        replicas.reached(height + 20).await;
    });
}
