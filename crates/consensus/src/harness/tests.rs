//! Short measurements in virtual time.

use crate::{
    PublicKey,
    harness::{
        CHANNELS, Counted, Error, Fault, Load, Measured, Plan, Profile, Progress, Protocol, Sent, Traffic,
        simulate,
    },
    network,
};
use commonware_actor::{Feedback, Unreliable};
use commonware_cryptography::Signer as _;
use commonware_p2p::{CheckedSender, LimitedSender, Recipients, Sender as _};
use commonware_runtime::IoBufs;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};
use voltmesh_ledger::testing::key;

fn quiet() -> Progress {
    Arc::new(|_| {})
}

fn plan(fault: Fault) -> Plan {
    Plan {
        authorities: 4,
        load: Load::Poisson(40.0),
        warm_up: Duration::from_secs(2),
        window: Duration::from_secs(4),
        fault,
        seed: 7,
        ..Plan::new(Protocol::Poa)
    }
}

fn measured(plan: &Plan) -> Measured {
    let measured = simulate(plan, &quiet()).expect("measured");
    assert_eq!(measured.conflicting_finals, 0);
    assert!(measured.transactions > 0 && measured.latency.count > 0, "{measured:?}");
    measured
}

/// All but processor time.
fn repeatable(measured: Measured) -> String {
    let mut measured = Measured { measured_cpu_s: 0.0, puzzle_cpu_s: 0.0, ..measured };
    measured.timeline.iter_mut().for_each(|moment| moment.cpu_s = 0.0);
    format!("{measured:?}")
}

#[test]
fn the_same_seed_has_the_same_result() {
    let plan = plan(Fault::None);
    let first = measured(&plan);
    assert!(first.measured_cpu_s > 0.0);
    assert_eq!((first.unfinished, first.refused), (0, 0));
    assert_eq!(first.submitted, first.latency.count);
    // A block cannot be final before it, a vote and another vote have crossed the network; a transaction has to reach
    // the leader besides, and to wait for its turn.
    let finality = first.link_delays_p50(&first.finality).expect("simulated links");
    assert!((2.0..5.0).contains(&finality), "{finality}");
    let latency = first.link_delays_p50(&first.latency).expect("simulated links");
    assert!((finality..8.0).contains(&latency), "{latency}");
    let first = repeatable(first);
    assert_eq!(first, repeatable(measured(&plan)));
    assert_ne!(first, repeatable(measured(&Plan { seed: 8, ..plan })));
}

#[test]
fn every_agreement_is_measured_and_repeats() {
    for protocol in Protocol::ALL {
        let plan = Plan {
            protocol,
            pow_interval: Duration::from_millis(500),
            window: Duration::from_secs(6),
            ..plan(Fault::None)
        };
        let first = measured(&plan);
        assert_eq!(first.puzzle_cpu_s > 0.0, protocol == Protocol::Pow);
        assert_eq!(repeatable(first), repeatable(measured(&plan)), "{protocol}");
    }
}

#[test]
fn what_is_sent_grows_with_the_nodes() {
    let four = measured(&plan(Fault::None));
    let seven = measured(&Plan { authorities: 7, ..plan(Fault::None) });
    // Each of n nodes sends two votes a block to n − 1 others, at least.
    for (n, measured) in [(4.0, &four), (7.0, &seven)] {
        let votes = measured.per_block(measured.sent[network::VOTES as usize].messages as f64);
        assert!((1.8 * n * (n - 1.0)..3.0 * n * (n - 1.0)).contains(&votes), "{votes} votes a block of {n}");
    }
    assert!(four.agreement().bytes < four.all_sent().bytes);
}

#[test]
fn a_committee_sends_less() {
    let all = measured(&Plan { authorities: 7, ..plan(Fault::None) });
    let four = measured(&Plan { authorities: 7, committee: Some(4), ..plan(Fault::None) });
    assert_eq!((four.committee, four.unfinished), (4, 0));
    let messages = |measured: &Measured| measured.per_block(measured.agreement().messages as f64);
    assert!(messages(&four) < 0.8 * messages(&all), "{} {}", messages(&four), messages(&all));
}

#[test]
fn a_load_that_saturates_fills_blocks() {
    let base = Plan { batches: 64, block_bytes: 16_384, window: Duration::from_secs(2), ..plan(Fault::None) };
    let full = measured(&Plan { load: Load::Saturating(16), ..base });
    let bytes = full.transactions as f64 / full.blocks as f64 * (64.0 * 32.0 + 140.0);
    assert!(bytes > 0.6 * 16_384.0, "{bytes} bytes a block");
}

#[test]
fn a_crashed_node_is_done_without() {
    let crashed = measured(&Plan { authorities: 7, ..plan(Fault::Crash(2)) });
    assert!(crashed.view_changes > 0);
    assert_eq!(crashed.unfinished, 0);
}

#[test]
fn a_slow_node_costs_time() {
    let (none, slow) = (measured(&plan(Fault::None)), measured(&plan(Fault::Slow(1))));
    assert!(slow.latency.p99 > none.latency.p99, "{:?} {:?}", slow.latency, none.latency);
    assert_eq!(slow.mean_link_ms, none.mean_link_ms);
}

#[test]
fn an_equivocating_node_splits_nobody() {
    measured(&plan(Fault::Equivocate));
}

#[test]
fn a_healed_partition_is_recovered_from() {
    let healed = measured(&Plan { window: Duration::from_secs(12), ..plan(Fault::Partition) });
    let recovery = healed.recovery.expect("there was a partition");
    let (first, all) = (recovery.first.expect("one goes on"), recovery.all.expect("all go on"));
    assert!(first <= all && all < Duration::from_secs(4), "{recovery:?}");
    let stopped = healed.timeline.windows(2).filter(|pair| pair[0].transactions == pair[1].transactions);
    assert!(stopped.count() >= 15, "two halves must not go on");
}

#[test]
fn a_roadside_network_is_measured_too() {
    let plan = Plan { authorities: 5, profile: Profile::rsu(), ..plan(Fault::None) };
    assert!(measured(&plan).mean_link_ms.expect("simulated") > 20.0);
}

#[test]
fn what_cannot_be_measured_is_said() {
    let wrong = |plan: Plan, why: &str| match simulate(&plan, &quiet()) {
        Err(error @ (Error::Plan(_) | Error::Missing { .. })) => {
            assert!(error.to_string().contains(why), "{error}")
        }
        other => panic!("{other:?}"),
    };
    wrong(Plan { authorities: 3, ..plan(Fault::None) }, "want 4 to 100");
    wrong(Plan { batches: 513, ..plan(Fault::None) }, "batches");
    wrong(Plan { block_bytes: 10, ..plan(Fault::None) }, "bytes");
    wrong(Plan { load: Load::Poisson(0.0), ..plan(Fault::None) }, "transactions a second");
    wrong(Plan { committee: Some(9), ..plan(Fault::None) }, "committee");
    wrong(Plan { committee: Some(5), authorities: 7, ..plan(Fault::None) }, "4, 7, 10");
    wrong(Plan { load: Load::Fixed(50_000.0), authorities: 50, ..plan(Fault::None) }, "GiB");
    wrong(plan(Fault::Crash(2)), "at most 1");
    wrong(Plan { readers: 1, ..plan(Fault::None) }, "readings");
}

/// Takes everything, and has a quota of its own: three recipients at most.
#[derive(Clone, Debug)]
struct Sink(Vec<PublicKey>, Arc<AtomicU64>);

struct Once<'a>(Vec<PublicKey>, &'a AtomicU64);

impl LimitedSender for Sink {
    type PublicKey = PublicKey;
    type Checked<'a> = Once<'a>;

    fn check(&mut self, recipients: Recipients<PublicKey>) -> Result<Once<'_>, SystemTime> {
        let mut to = match recipients {
            Recipients::All => self.0.clone(),
            Recipients::Some(keys) => keys,
            Recipients::One(key) => vec![key],
        };
        to.truncate(3);
        Ok(Once(to, &self.1))
    }
}

impl CheckedSender for Once<'_> {
    type PublicKey = PublicKey;

    fn recipients(&self) -> Vec<PublicKey> {
        self.0.clone()
    }

    fn send(self, message: impl Into<IoBufs> + Send, _: bool) -> Unreliable<Feedback> {
        self.1.fetch_add(message.into().len() as u64, Ordering::Relaxed);
        Unreliable::new(Feedback::Ok)
    }
}

#[test]
fn messages_count_once_for_each_recipient() {
    let keys: Vec<PublicKey> = (0..6).map(|n| key(n).public_key()).collect();
    let traffic = Arc::new(Traffic::default());
    let handed = Arc::new(AtomicU64::new(0));
    let sink = Sink(keys.clone(), handed.clone());
    let mut sender = Counted::new(sink, keys[5].clone(), network::BLOCKS, traffic.clone());
    let mut clone = sender.clone();
    assert_eq!(sender.send(Recipients::All, vec![0; 10], true).len(), 3, "the quota's three");
    clone.send(Recipients::One(keys[1].clone()), vec![0; 4], false);
    sender.send(Recipients::Some(vec![keys[0].clone(), keys[5].clone()]), vec![0; 100], false);
    let sent = traffic.snapshot();
    let expected = Sent { messages: 3 + 1 + 1, bytes: 30 + 4 + 100 };
    assert_eq!(sent[network::BLOCKS as usize], expected, "a node sends nothing to itself");
    assert_eq!(sent.iter().copied().sum::<Sent>(), expected);
    assert_eq!(handed.load(Ordering::Relaxed), 114);
    assert_eq!(CHANNELS[network::BLOCKS as usize], "blocks");
    assert_eq!(CHANNELS[network::ROOTS as usize], "roots");
}
