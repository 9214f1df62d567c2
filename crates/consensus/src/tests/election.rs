//! Leaders by quality of service: who serves well leads, who misbehaves leaves.

use super::*;
use voltmesh_ledger::{Genesis, testing::Network};

/// Share of turns of a node in the epoch after the next, in parts per million.
fn share(cluster: &Cluster, of: usize, at: usize) -> u32 {
    let state = cluster.handle(at).state();
    let (roster, key) = (state.planned(), cluster.key(of).public_key());
    roster.voters.as_set().position(&key).map_or(0, |place| roster.leaders.share_ppm(place))
}

/// Nodes in epochs of `epoch_length` that propose at the network's speed, not at the pace of an idle one.
async fn busy(context: &deterministic::Context, genesis: Network, link: Link) -> Cluster {
    let mut cluster = Cluster::of(context, genesis, link).await;
    for index in 0..cluster.len() {
        let mut config = cluster.config(index);
        config.block_interval = Duration::ZERO;
        config.idle_interval = Duration::ZERO;
        cluster.start_with(index, config).await;
    }
    cluster
}

fn with(n: u64, epoch_length: u64, change: impl FnOnce(Genesis) -> Genesis) -> Network {
    let network = Network::with_epochs(n, epoch_length);
    let genesis = change(network.genesis().clone());
    network.with_genesis(genesis)
}

#[test]
fn blocks_embed_votes_and_round_trips_are_measured() {
    run(30, |context| async move {
        let cluster = busy(&context, Network::with_epochs(4, 120), good_link()).await;
        agree(&cluster, 0..4, 110).await;
        let mut embedded = 0;
        for height in 2..=110 {
            let block = cluster.handle(0).block(Height::new(height)).await.expect("final");
            embedded += usize::from(block.justification().is_some());
        }
        assert!(embedded > 100, "{embedded} of 109 blocks embed votes");
        agree(&cluster, 0..4, 245).await;
        let state = cluster.handle(0).state();
        for index in 0..4 {
            let standing = state.standing(&cluster.key(index).public_key()).expect("known");
            let micros = standing.round_trip_us.expect("measured");
            assert!((20_000..=36_000).contains(&micros), "{micros} us over two links of 10 ms with jitter");
            assert!(standing.score > 900_000, "{standing:?}");
        }
    });
}

#[test]
fn the_far_and_the_dead_lose_their_turns() {
    run(31, |context| async move {
        let mut cluster = busy(&context, Network::with_epochs(7, 40), good_link()).await;
        let far = Link {
            latency: Duration::from_millis(120),
            jitter: Duration::from_millis(20),
            success_rate: probability!(0.99),
        };
        cluster.relink(5, far).await;
        agree(&cluster, 0..7, 10).await;
        cluster.stop(6).await;
        agree(&cluster, 0..5, 5 * 40).await;
        for slow in [5, 6] {
            assert!(share(&cluster, slow, 0) < 40_000, "{slow} has {}", share(&cluster, slow, 0));
        }
        for fast in 0..5 {
            assert!(share(&cluster, fast, 0) > 150_000, "{fast} has {}", share(&cluster, fast, 0));
        }
        // It comes back and is heard again.
        cluster.start(6).await;
        agree(&cluster, 0..5, 13 * 40).await;
        assert!(share(&cluster, 6, 0) > 60_000, "{}", share(&cluster, 6, 0));
    });
}

#[test]
fn leaders_have_terms_when_the_chain_says_so() {
    run(32, |context| async move {
        let keys = with(4, 64, |genesis| genesis.with_terms(8).expect("a term"));
        let cluster = busy(&context, keys, good_link()).await;
        agree(&cluster, 0..4, 200).await;
        let mut proposed = BTreeMap::new();
        for height in 64..128 {
            let block = cluster.handle(0).block(Height::new(height)).await.expect("final");
            let state = cluster.handle(0).state();
            let roster = state.roster_for(state.epoch()).expect("its own");
            *proposed.entry(roster.leaders.term_of(block.header().view)).or_insert(0) += 1;
        }
        assert!(proposed.len() <= 9, "{proposed:?}");
        assert!(cluster.handle(0).state().certificates() > 0);
    });
}

#[test]
fn a_committee_votes_and_the_others_follow() {
    run(33, |context| async move {
        let keys = with(7, 30, |genesis| genesis.with_committee(Some(4)).expect("3 f + 1"));
        let mut cluster = busy(&context, keys, good_link()).await;
        let batches = submit(&mut cluster, 0..7, 1);
        for index in 0..7 {
            let height = logged(&cluster, index, &batches).await;
            agree(&cluster, 0..7, height.max(100)).await;
        }
        let state = cluster.handle(6).state();
        assert_eq!(state.planned().voters.len(), 4);
        assert_eq!(state.planned().authorities.len(), 7);
    });
}

#[test]
fn evidence_takes_an_equivocator_out() {
    run(34, |context| async move {
        let mut cluster = Cluster::new(&context, 7, 12).await;
        let (genesis, key) = (cluster.keys().genesis().clone(), cluster.key(6).clone());
        let network = cluster.network(6).await;
        context.child("adversary").spawn(move |_| adversary::run(Fault::Equivocates, genesis, key, network));
        for index in 0..6 {
            cluster.start(index).await;
        }
        agree(&cluster, 0..6, 40).await;
        let state = cluster.handle(0).state();
        let culprit = cluster.key(6).public_key();
        assert!(state.convicted().contains_key(&culprit), "no evidence reached the ledger");
        assert!(!state.planned_authorities().contains(&culprit));
        assert!((0..6).all(|index| !state.convicted().contains_key(&cluster.key(index).public_key())));
        // Only the operators let it return.
        let pardon = cluster.keys().registry(0, vec![Action::PardonAuthority { key: culprit.clone() }]);
        cluster.handle(1).submit(pardon).expect("taken");
        agree(&cluster, 0..6, 80).await;
        assert!(cluster.handle(2).state().planned_authorities().contains(&culprit));
    });
}
