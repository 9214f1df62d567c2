//! Laws of the simulated object store.

use super::*;
use crate::checker::Checker;
use commonware_runtime::{Runner as _, deterministic};
use futures::StreamExt as _;

/// Runs work against a store that behaves so, and gives what it said, the store's counters and the time it took.
fn check<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    behaviour: Behaviour,
    work: impl Fn(Arc<dyn ObjectStore>) -> F + Clone + Send + 'static,
) -> (T, Counters, Duration) {
    deterministic::Runner::seeded(7).start(|context| async move {
        let store = Store::new(context.child("store"), 7, Audit::new(Checker::default()));
        store.set(behaviour);
        let begun = context.current();
        let lane = store.lane();
        let said = store.run(&lane, &context, work(store.location().store)).await;
        (said, store.counters(), context.current().duration_since(begun).unwrap_or_default())
    })
}

async fn put(store: &Arc<dyn ObjectStore>, path: &str, create: bool) -> Result<()> {
    let mode = if create { PutMode::Create } else { PutMode::Overwrite };
    let options = PutOptions { mode, ..PutOptions::default() };
    store.put_opts(&path.into(), "x".into(), options).await.map(drop)
}

#[test]
fn requests_take_simulated_time_and_work_may_use_threads() {
    let slow = Behaviour { latency_ms: 40_000..=40_000, ..Behaviour::default() };
    let (said, counters, took) = check(slow, |store| async move {
        put(&store, "a/b", false).await?;
        let read = tokio::task::spawn_blocking(move || {
            tokio::runtime::Handle::current()
                .block_on(async { store.get(&"a/b".into()).await?.bytes().await })
        });
        read.await.map_err(|source| Error::JoinError { source })?
    });
    assert_eq!(said.unwrap(), "x");
    assert_eq!(counters.requests, 2);
    assert!(took >= Duration::from_secs(80) && took < Duration::from_secs(81), "{took:?}");
}

#[test]
fn a_refused_put_is_not_there_and_an_unanswered_one_is() {
    let there = |behaviour| {
        let (said, ..) = check(behaviour, |store| async move {
            let said = put(&store, "a", true).await;
            assert!(said.is_err());
            let listed = store.list(None).collect::<Vec<_>>().await;
            listed.into_iter().flatten().count()
        });
        said
    };
    // With every request refused, the listing is refused as well; with every answer lost, so is the listing's.
    assert_eq!(there(Behaviour { refused_per_mille: 1000, ..Behaviour::default() }), 0);
    let (conflicts, counters, _) =
        check(Behaviour { unanswered_per_mille: 1000, ..Behaviour::default() }, |store| async move {
            let mut conflicts = 0;
            for n in 0..20 {
                let said = put(&store, &format!("a/{n}"), true).await;
                conflicts += u32::from(matches!(said, Err(Error::AlreadyExists { .. })));
            }
            conflicts
        });
    assert_eq!(counters.unanswered, 20);
    assert!((1..20).contains(&conflicts), "an answer is lost as an error or as a conflict: {conflicts}");
}

#[test]
fn a_listing_is_behind_while_reads_are_not() {
    let late = Behaviour { latency_ms: 1..=1, list_lag_ms: 1_000_000, ..Behaviour::default() };
    let (listed, counters, _) = check(late, |store| async move {
        for n in 0..10 {
            put(&store, &format!("a/{n}"), true).await.unwrap();
            store.head(&format!("a/{n}").into()).await.unwrap();
        }
        store.list(None).collect::<Vec<_>>().await.len()
    });
    assert!(listed < 10);
    assert_eq!(counters.behind, 1);
}

#[test]
fn a_put_of_a_dead_process_lands_later_or_never() {
    let landed = (0..32).filter(|seed| {
        deterministic::Runner::seeded(*seed).start(|context| async move {
            let store = Store::new(context.child("store"), *seed, Audit::new(Checker::default()));
            store.set(Behaviour { latency_ms: 60_000..=60_000, ..Behaviour::default() });
            let served = store.clone();
            let process = context.child("process").spawn(move |context| async move {
                let lane = served.lane();
                let objects = served.location().store;
                let _ = served.run(&lane, &context, async move { put(&objects, "a", true).await }).await;
            });
            context.sleep(Duration::from_millis(50)).await;
            process.abort();
            context.sleep(Duration::from_secs(100)).await;
            let (lane, objects) = (store.lane(), store.location().store);
            store.run(&lane, &context, async move { objects.head(&"a".into()).await.is_ok() }).await
        })
    });
    let landed = landed.count();
    assert!((4..28).contains(&landed), "{landed} of 32");
}
