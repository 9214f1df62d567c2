//! Nodes agree, whatever stops, restarts or is cut off.

use super::*;

#[test]
fn four_nodes_agree_and_anchor_each_batch_once() {
    run(1, |context| async move {
        let mut cluster = started(&context, 4, 1_000).await;
        let mut batches = Vec::new();
        for round in 0..5 {
            batches.extend(submit(&mut cluster, 0..4, round));
            context.sleep(Duration::from_millis(130)).await;
        }
        let height = logged(&cluster, 0, &batches).await;
        agree(&cluster, 0..4, height).await;
        for index in 1..4 {
            logged(&cluster, index, &batches).await;
        }
        let latency = cluster.handle(0).finality();
        assert_eq!(latency.count, 5);
        assert!(latency.p99_ms < 500, "{latency:?}");
        assert_eq!(cluster.handle(0).peers().len(), 3);
        assert_eq!(cluster.handle(0).pending(), 0);
        assert!(cluster.handle(0).misbehaviour().is_empty());
    });
}

#[test]
fn an_idle_network_is_slow_and_a_busy_one_is_paced() {
    run(2, |context| async move {
        let mut cluster = started(&context, 4, 1_000).await;
        agree(&cluster, 0..4, 2).await;
        let start = cluster.handle(0).height().get();
        context.sleep(Duration::from_secs(10)).await;
        let idle = cluster.handle(0).height().get() - start;
        assert!((8..=11).contains(&idle), "{idle} blocks in 10 s");
        let start = cluster.handle(0).height().get();
        for round in 0..100 {
            submit(&mut cluster, [0], round);
            context.sleep(Duration::from_millis(50)).await;
        }
        let busy = cluster.handle(0).height().get() - start;
        assert!((25..=50).contains(&busy), "{busy} blocks in 5 s");
    });
}

#[test]
fn seven_nodes_go_on_without_two() {
    run(3, |context| async move {
        let mut cluster = started(&context, 7, 1_000).await;
        agree(&cluster, 0..7, 3).await;
        cluster.stop(5).await;
        cluster.stop(6).await;
        let batches = submit(&mut cluster, 0..5, 1);
        let height = logged(&cluster, 0, &batches).await;
        agree(&cluster, 0..5, height + 3).await;
    });
}

#[test]
fn lossy_links_delay_but_do_not_stop() {
    run(4, |context| async move {
        let link = Link {
            latency: Duration::from_millis(80),
            jitter: Duration::from_millis(40),
            success_rate: probability!(0.8),
        };
        let mut cluster = Cluster::with_link(&context, 4, 1_000, link).await;
        for index in 0..4 {
            cluster.start(index).await;
        }
        let mut batches = Vec::new();
        for round in 0..5 {
            batches.extend(submit(&mut cluster, 0..4, round));
            context.sleep(Duration::from_millis(300)).await;
        }
        let height = logged(&cluster, 1, &batches).await;
        agree(&cluster, 0..4, height + 5).await;
        for index in [0, 2, 3] {
            logged(&cluster, index, &batches).await;
        }
    });
}

#[test]
fn a_restarted_node_goes_on_from_its_disk() {
    run(5, |context| async move {
        let mut cluster = started(&context, 4, 8).await;
        let mut batches = submit(&mut cluster, 0..4, 1);
        let height = logged(&cluster, 3, &batches).await;
        agree(&cluster, [3], height.max(10)).await;
        let before = deliver(&cluster, 3, 1, height).await;
        let at = cluster.handle(3).height().get();
        cluster.stop(3).await;
        batches.extend(submit(&mut cluster, 0..3, 2));
        let height = logged(&cluster, 0, &batches).await;
        agree(&cluster, 0..3, height.max(at + 20)).await;

        cluster.start(3).await;
        let handle = cluster.handle(3);
        assert!(handle.height().get() >= at, "{} blocks are lost", at - handle.height().get());
        let again = deliver(&cluster, 3, 1, before.len() as u64).await;
        for (a, b) in before.iter().zip(&again) {
            assert_eq!(a.block, b.block);
            assert!(b.replayed);
            check(&cluster, b);
        }
        batches.extend(submit(&mut cluster, [3], 3));
        let height = logged(&cluster, 3, &batches).await;
        agree(&cluster, 0..4, height).await;
        // A subscriber that starts in the middle gets the same.
        let tail = deliver(&cluster, 3, 6, height).await;
        assert_eq!(tail[0].block.header().height.get(), 6);
        tail.iter().for_each(|finalized| check(&cluster, finalized));
    });
}

#[test]
fn all_nodes_restart_at_once() {
    run(6, |context| async move {
        let mut cluster = started(&context, 4, 8).await;
        let batches = submit(&mut cluster, 0..4, 1);
        let height = logged(&cluster, 0, &batches).await;
        for index in 0..4 {
            cluster.stop(index).await;
        }
        for index in 0..4 {
            cluster.start(index).await;
        }
        agree(&cluster, 0..4, height + 10).await;
        logged(&cluster, 2, &batches).await;
    });
}

#[test]
fn a_node_absent_from_the_start_catches_up_over_epochs() {
    run(7, |context| async move {
        let mut cluster = Cluster::new(&context, 4, 6).await;
        for index in 0..3 {
            cluster.start(index).await;
        }
        let mut batches = submit(&mut cluster, 0..3, 1);
        agree(&cluster, 0..3, 40).await;
        cluster.start(3).await;
        agree(&cluster, 0..4, 50).await;
        batches.extend(submit(&mut cluster, [3], 2));
        let height = logged(&cluster, 3, &batches).await;
        agree(&cluster, 0..4, height + 6).await;
    });
}

#[test]
fn a_minority_waits_and_joins_again() {
    run(8, |context| async move {
        let mut cluster = started(&context, 4, 10).await;
        agree(&cluster, 0..4, 3).await;
        cluster.partition(&[3]).await;
        let mut batches = submit(&mut cluster, 0..4, 1);
        let height = logged(&cluster, 0, &batches[..3]).await;
        agree(&cluster, 0..3, height + 15).await;
        assert!(cluster.handle(3).height().get() < height);
        cluster.heal(good_link()).await;
        batches.extend(submit(&mut cluster, 0..4, 2));
        let height = logged(&cluster, 3, &batches).await;
        agree(&cluster, 0..4, height).await;
    });
}

#[test]
fn two_halves_wait_for_each_other() {
    run(9, |context| async move {
        let mut cluster = started(&context, 4, 1_000).await;
        agree(&cluster, 0..4, 3).await;
        cluster.partition(&[0, 1]).await;
        context.sleep(Duration::from_secs(3)).await;
        let at: Vec<_> = (0..4).map(|index| cluster.handle(index).height()).collect();
        let batches = submit(&mut cluster, 0..4, 1);
        context.sleep(Duration::from_secs(20)).await;
        for (index, at) in at.iter().enumerate() {
            assert_eq!(cluster.handle(index).height(), *at, "half a network must not go on");
        }
        cluster.heal(good_link()).await;
        for index in 0..4 {
            logged(&cluster, index, &batches).await;
        }
    });
}

#[test]
fn an_equivocating_authority_splits_nobody_and_is_noticed() {
    run(10, |context| async move {
        let cluster = beside(&context, Fault::Equivocates).await;
        let adversary = cluster.key(3).public_key();
        let noticed = |index| cluster.handle(index).misbehaviour().get(&adversary).copied().unwrap_or(0);
        assert!((0..3).map(noticed).sum::<u64>() > 0, "nobody noticed");
    });
}

#[test]
fn a_clock_far_ahead_moves_no_block() {
    run(12, |context| async move {
        let cluster = beside(&context, Fault::ClockAhead).await;
        let time = cluster.handle(0).state().time().as_millis();
        assert!(time <= context.current().epoch_millis() + 2_000, "blocks are ahead of all honest clocks");
        assert!((0..3).all(|index| cluster.handle(index).clock_ahead() > 0), "somebody did not notice");
    });
}

#[test]
fn more_than_an_authoritys_share_comes_with_later_blocks() {
    run(13, |context| async move {
        let mut cluster = started(&context, 4, 1_000).await;
        let mut batches = Vec::new();
        for tag in 0..2 * MAX_ANCHORS_PER_AUTHORITY as u64 {
            let (batch, transaction) = cluster.anchor(0, tag);
            cluster.handle(0).submit(transaction).expect("taken");
            batches.push(batch);
        }
        logged(&cluster, 1, &batches).await;
        assert!((0..4).any(|index| cluster.handle(index).over_quota() > 0), "nobody counted");
    });
}

#[test]
fn a_wiped_node_returns_under_a_rotated_key() {
    run(11, |context| async move {
        let mut cluster = started(&context, 4, 6).await;
        let mut batches = submit(&mut cluster, 0..4, 1);
        logged(&cluster, 3, &batches).await;
        cluster.stop(3).await;
        let rotated = key(77);
        let action = Action::RotateAuthority { old: cluster.key(3).public_key(), new: rotated.public_key() };
        let rotate = cluster.keys().registry(0, vec![action]);
        cluster.handle(0).submit(rotate).expect("taken");
        let newcomer = cluster.add(rotated).await;
        cluster.start(newcomer).await;
        let mut changed = cluster.handle(0).height();
        while !cluster.handle(newcomer).is_authority() {
            changed = changed.next();
            assert!(changed.get() < 60, "the newcomer never serves");
            assert!(cluster.handle(newcomer).reached(changed).await);
        }
        // The three others and the newcomer: without it there would be no quorum once another one is away.
        cluster.stop(0).await;
        batches.extend(submit(&mut cluster, [1, 2, newcomer], 2));
        let height = logged(&cluster, newcomer, &batches).await;
        agree(&cluster, [1, 2, newcomer], height + 8).await;

        let mut trust = Trust::from_genesis(cluster.keys().genesis().clone());
        for index in [1, newcomer] {
            let mut handovers = cluster.handle(index).handovers().await;
            while handovers.is_empty() {
                context.sleep(Duration::from_millis(500)).await;
                handovers = cluster.handle(index).handovers().await;
            }
            for handover in handovers {
                trust.extend(&handover).expect("follows");
            }
        }
        assert_eq!(trust.handovers().len(), 1);
    });
}

#[test]
fn the_same_seed_leads_to_the_same_state() {
    fn once(seed: u64) -> (String, String) {
        let mut out = (String::new(), String::new());
        let result = &mut out;
        run(seed, |context| async move {
            let mut cluster = started(&context, 4, 6).await;
            let batches = submit(&mut cluster, [0, 1, 3], 1);
            cluster.stop(2).await;
            logged(&cluster, 0, &batches).await;
            cluster.start(2).await;
            agree(&cluster, 0..4, 15).await;
            let state = cluster.handle(0).state();
            *result = (context.auditor().state(), state.block().to_string());
        });
        out
    }
    assert_eq!(once(20), once(20));
    assert_ne!(once(20).0, once(21).0);
}

/// Longer: `cargo test -p voltmesh-consensus --features slow`.
#[cfg(feature = "slow")]
#[test]
fn nodes_crash_at_random_slow() {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
    for seed in 100..120 {
        run(seed, |context| async move {
            let mut rng = StdRng::seed_from_u64(seed);
            let link = Link {
                latency: Duration::from_millis(30),
                jitter: Duration::from_millis(20),
                success_rate: probability!(0.95),
            };
            let mut cluster = Cluster::with_link(&context, 4, 10, link).await;
            for index in 0..4 {
                cluster.start(index).await;
            }
            let mut batches = Vec::new();
            for round in 0..8 {
                let down = rng.random_range(0..4);
                cluster.stop(down).await;
                let up: Vec<usize> = (0..4).filter(|index| *index != down).collect();
                batches.extend(submit(&mut cluster, up, round));
                context.sleep(Duration::from_millis(rng.random_range(100..8_000))).await;
                cluster.start(down).await;
                // What a process was asked for and has not got into the ledger is asked for again by whoever owns it.
                logged(&cluster, 0, &batches).await;
            }
            for index in 0..4 {
                let height = logged(&cluster, index, &batches).await;
                agree(&cluster, 0..4, height).await;
            }
        });
    }
}
