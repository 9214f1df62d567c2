use super::*;
use bytes::Bytes;
use commonware_runtime::{Runner as _, reschedule, telemetry::metrics::raw::Counter};
use commonware_utils::channel::mpsc;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use voltmesh_spool::{Config, Position, Spool};

fn run<F: Future>(f: impl FnOnce(deterministic::Context) -> F) -> F::Output {
    deterministic::Runner::seeded(11).start(f)
}

#[test]
fn a_panic_ends_its_process_and_no_other() {
    run(|context| async move {
        let mut machines = [Machine::new(1), Machine::new(2)];
        let (tell, mut told) = mpsc::channel(10);
        for (index, machine) in machines.iter_mut().enumerate() {
            let tell = tell.clone();
            machine.start(context.child("node").with_attribute("node", index), move |context| async move {
                let _metric = context.register("starts", "starts", Counter::<u64>::default());
                context.child("task").spawn(move |context| async move {
                    context.sleep(Duration::from_millis(10)).await;
                    assert!(index != 0, "journal lost");
                });
                context.sleep(Duration::from_millis(50)).await;
                tell.send(index).await.unwrap();
                futures::future::pending::<()>().await;
            });
        }
        context.sleep(Duration::from_millis(200)).await;
        assert_eq!(told.try_recv().unwrap(), 1);
        assert!(told.try_recv().is_err());
        assert!(!machines[0].is_running() && machines[1].is_running());
        assert_eq!(machines[0].panic().unwrap(), "journal lost");
        machines[0].kill();
        machines[0].start(context.child("node"), |_| async {});
        assert!(machines[0].is_running());
    });
}

#[test]
fn what_is_left_of_a_killed_process_does_not_harm_the_next() {
    run(|context| async move {
        let mut machine = Machine::new(1);
        machine.start(context.child("first"), |context| async move {
            // Always ready, so that some run once more before they learn that their process is killed.
            for _ in 0..16 {
                context.child("busy").spawn(|context| async move {
                    loop {
                        assert!(!matches!(context.scan("any").await, Err(Error::Closed)), "the disk is gone");
                        reschedule().await;
                    }
                });
            }
            futures::future::pending::<()>().await;
        });
        context.sleep(Duration::from_millis(10)).await;
        machine.kill();
        machine.start(context.child("second"), |context| async move {
            context.sleep(Duration::from_millis(10)).await;
            Spool::open(context.child("spool"), Config::new("up")).await.unwrap();
        });
        context.sleep(Duration::from_millis(50)).await;
        assert_eq!(machine.panic(), None);
    });
}

#[test]
fn a_wrong_clock_is_the_nodes_own() {
    run(|context| async move {
        let mut machine = Machine::new(1);
        machine.set_clock_error_ms(60_000);
        let (tell, mut told) = mpsc::channel(1);
        machine.start(context.child("node"), move |context| async move {
            let before = context.current();
            context.sleep_until(before + Duration::from_millis(500)).await;
            tell.send((before, context.current())).await.unwrap();
        });
        let (before, after) = told.recv().await.unwrap();
        assert!(after.duration_since(before).unwrap() >= Duration::from_millis(500));
        let wrong = after.duration_since(context.current()).unwrap();
        assert!(wrong >= Duration::from_secs(59) && wrong <= Duration::from_secs(60));
    });
}

/// The spool's promise, on this disk: what a sync confirmed is there after any power cut or kill.
#[test]
fn the_spool_keeps_its_promise_over_power_cuts() {
    for seed in 0..30 {
        run(|context| async move {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut machine = Machine::new(seed);
            let confirmed = Arc::new(Mutex::new((0u64, Vec::<Bytes>::new())));
            for life in 0..4 {
                let confirmed = confirmed.clone();
                machine.start(
                    context.child("node").with_attribute("life", life),
                    move |mut context| async move {
                        let mut spool = Spool::open(context.child("spool"), Config::new("up")).await.unwrap();
                        let found = spool.read_from(Position(0), 10_000, usize::MAX).await.unwrap();
                        let (durable, log) = confirmed.lock().clone();
                        assert!(found.len() as u64 >= durable, "seed {seed}: {} of {durable}", found.len());
                        for (position, bytes) in &found[..durable as usize] {
                            assert_eq!(bytes, &log[position.0 as usize]);
                        }
                        let mut log: Vec<Bytes> = found.into_iter().map(|(_, bytes)| bytes).collect();
                        confirmed.lock().1.clone_from(&log);
                        loop {
                            for _ in 0..context.random_range(1..5) {
                                let bytes =
                                    Bytes::from(vec![context.random(); context.random_range(1..3000)]);
                                spool.append(bytes.clone()).unwrap();
                                log.push(bytes);
                            }
                            confirmed.lock().1.clone_from(&log);
                            let durable = spool.sync().await.unwrap();
                            confirmed.lock().0 = durable.0;
                            context.sleep(Duration::from_millis(3)).await;
                        }
                    },
                );
                context.sleep(Duration::from_millis(rng.random_range(1..300))).await;
                assert_eq!(machine.panic(), None, "seed {seed}");
                if rng.random() { machine.power_cut() } else { machine.kill() }
            }
            assert!(confirmed.lock().0 > 0);
        });
    }
}
