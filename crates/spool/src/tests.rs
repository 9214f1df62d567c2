use crate::{Acks, Config, Error, Position, Spool};
use bytes::Bytes;
use commonware_runtime::deterministic::{
    self, Checkpoint, Context, FaultConfig, PartialWriteMode, WriteConfig,
};
use commonware_runtime::{Clock as _, Runner as _, Supervisor as _};
use commonware_utils::Probability;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

fn config() -> Config {
    Config {
        entries_per_file: NonZeroU64::new(8).unwrap(),
        write_buffer: NonZeroUsize::new(1024).unwrap(),
        cache_pages: NonZeroUsize::new(8).unwrap(),
        recent_bytes: 3000, // some reads come from memory, some from the disk
        ..Config::new("test")
    }
}

async fn open(context: &Context) -> Spool<Context> {
    Spool::open(context.child("spool"), config()).await.unwrap()
}

fn payload(n: u64) -> Bytes {
    Bytes::from([n.to_be_bytes().as_slice(), &vec![n as u8; (n % 97) as usize * 13]].concat())
}

fn torn_writes(context: &Context, seed: u64) {
    let mode = if seed.is_multiple_of(2) { PartialWriteMode::Prefix } else { PartialWriteMode::Subset };
    let retention_rate = Probability::new(seed % 11, 10).unwrap();
    let write = WriteConfig { failure_rate: Probability::new(0, 1).unwrap(), retention_rate, mode };
    *context.storage_fault_config().write() =
        FaultConfig { write_rate: Some(write), ..FaultConfig::default() };
}

fn failing(context: &Context, sync: u64, write: u64) {
    let rate = |percent| Probability::new(percent, 100).unwrap();
    *context.storage_fault_config().write() = FaultConfig {
        sync_rate: Some(rate(sync)),
        write_rate: Some(WriteConfig {
            failure_rate: rate(write),
            retention_rate: rate(50),
            mode: PartialWriteMode::Subset,
        }),
        ..FaultConfig::default()
    };
}

fn healthy(context: &Context) {
    *context.storage_fault_config().write() = FaultConfig::default();
}

#[derive(Clone, Debug)]
enum Step {
    Append(u8),
    Sync,
    Ack(u16),
    Checkpoint,
    Crash,
    Disk { sync: u8, write: u8 },
    Heal,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1u8..12).prop_map(Step::Append),
        5 => Just(Step::Sync),
        6 => any::<u16>().prop_map(Step::Ack),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Crash),
        1 => (0u8..60, 0u8..30).prop_map(|(sync, write)| Step::Disk { sync, write }),
        2 => Just(Step::Heal),
    ]
}

/// Model of the spool that a test keeps beside it.
#[derive(Default)]
struct Model {
    /// All that was ever appended and may still be there, by position.
    entries: BTreeMap<u64, Bytes>,
    confirmed: u64,
    acked: BTreeSet<u64>,
    acked_durably: BTreeSet<u64>,
    serial: u64,
}

impl Model {
    async fn check(&mut self, spool: &Spool<Context>) {
        assert!(spool.durable().0 >= self.confirmed, "confirmed entries are lost");
        let found = spool.read_from(Position(0), usize::MAX, usize::MAX).await.unwrap();
        let mut last = None;
        for (position, bytes) in &found {
            assert!(last < Some(position.0), "order");
            last = Some(position.0);
            assert_eq!(Some(bytes), self.entries.get(&position.0), "content at {position}");
            assert!(!self.acked_durably.contains(&position.0), "{position} returned");
        }
        let found: BTreeSet<u64> = found.iter().map(|(p, _)| p.0).collect();
        for position in 0..self.confirmed {
            assert!(found.contains(&position) || self.acked.contains(&position), "{position} is lost");
        }
        spool.verify().await.unwrap();
    }
}

/// Runs until the steps or a crash end; returns the steps left.
async fn run(context: &Context, model: &mut Model, steps: &[Step], seed: u64) -> usize {
    healthy(context);
    let mut spool = open(context).await;
    model.check(&spool).await;
    // What was not confirmed may be there or not; if there, it counts as confirmed from now on.
    model.entries.retain(|position, _| *position < spool.durable().0);
    model.confirmed = spool.durable().0;
    model.acked = (0..model.confirmed).filter(|p| spool.is_acked(Position(*p))).collect();
    for (done, step) in steps.iter().enumerate() {
        match step {
            Step::Append(count) => {
                for _ in 0..*count {
                    model.serial += 1;
                    let bytes = payload(model.serial);
                    let position = spool.append(bytes.clone()).unwrap();
                    assert_eq!(model.entries.insert(position.0, bytes), None, "{position} was given twice");
                }
            }
            Step::Sync => match spool.sync().await {
                Ok(durable) => {
                    assert_eq!(durable, spool.end());
                    model.confirmed = durable.0;
                }
                Err(error) => assert!(matches!(error, Error::Storage { .. }), "{error}"),
            },
            Step::Ack(pick) if model.confirmed > 0 => {
                let position = u64::from(*pick) % model.confirmed;
                spool.ack(Position(position)).unwrap();
                model.acked.insert(position);
            }
            Step::Ack(_) => {}
            Step::Checkpoint => {
                if spool.checkpoint().await.is_ok() {
                    model.acked_durably = model.acked.clone();
                }
            }
            Step::Crash => {
                torn_writes(context, seed + done as u64);
                return steps.len() - done - 1;
            }
            Step::Disk { sync, write } => failing(context, u64::from(*sync), u64::from(*write)),
            Step::Heal => healthy(context),
        }
    }
    healthy(context);
    let durable = spool.sync().await.unwrap();
    model.confirmed = durable.0;
    model.check(&spool).await;
    0
}

fn simulate(steps: Vec<Step>, seed: u64) {
    let mut model = Model::default();
    let mut checkpoint: Option<Checkpoint> = None;
    let mut left = steps.len();
    loop {
        let runner = match checkpoint.take() {
            None => deterministic::Runner::new(deterministic::Config::new().with_seed(seed)),
            Some(checkpoint) => deterministic::Runner::from(checkpoint),
        };
        let rest = steps[steps.len() - left..].to_vec();
        let ((rest, moved), after) = runner.start_and_recover(|context| async move {
            let rest = run(&context, &mut model, &rest, seed).await;
            (rest, model)
        });
        (left, model, checkpoint) = (rest, moved, Some(after));
        if left == 0 {
            break;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Nothing confirmed is lost, nothing durably acknowledged returns, order and content stay, whatever the disk
    /// does and whenever the power fails.
    #[test]
    fn crashes_and_faults(steps in prop::collection::vec(step(), 1..120), seed in any::<u32>()) {
        simulate(steps, u64::from(seed));
    }

    #[test]
    fn acks_are_a_set(positions in prop::collection::vec(0u64..40, 0..60), below in 0u64..40) {
        let (mut acks, mut model) = (Acks::default(), BTreeSet::new());
        for position in positions {
            assert_eq!(acks.insert(Position(position)), model.insert(position));
            let mut bytes = Vec::new();
            acks.encode(&mut bytes);
            assert_eq!(Acks::decode(&mut bytes.as_slice()).as_ref(), Some(&acks));
        }
        acks.insert_below(Position(below));
        model.extend(0..below);
        for position in 0..64 {
            assert_eq!(acks.contains(Position(position)), model.contains(&position));
            let open = (position..).find(|p| !model.contains(p)).unwrap();
            assert_eq!(acks.next_open(Position(position)), Position(open));
        }
        assert_eq!(acks.floor(), acks.next_open(Position(0)));
        assert_eq!(acks.end().0, model.last().map_or(0, |p| p + 1));
    }
}

#[test]
fn many_seeds_slow() {
    // The same law as `crashes_and_faults` with a fixed, long mix of steps.
    let mix = [
        Step::Append(9),
        Step::Sync,
        Step::Ack(3),
        Step::Append(5),
        Step::Disk { sync: 40, write: 10 },
        Step::Sync,
        Step::Ack(0),
        Step::Checkpoint,
        Step::Heal,
        Step::Append(2),
        Step::Sync,
        Step::Append(3),
        Step::Crash,
    ];
    for seed in 0..20 {
        simulate(mix.iter().cycle().take(mix.len() * 6).cloned().collect(), seed);
    }
}

#[test]
fn the_newest_entry_stays_after_its_acknowledgement() {
    let runner = deterministic::Runner::default();
    let ((), checkpoint) = runner.start_and_recover(|context| async move {
        let mut spool = open(&context).await;
        assert_eq!(spool.last().await.unwrap(), None);
        for n in 0..40 {
            spool.append(payload(n)).unwrap();
        }
        spool.sync().await.unwrap();
        for n in 0..40 {
            spool.ack(Position(n)).unwrap();
        }
        spool.checkpoint().await.unwrap();
        assert_eq!(spool.bytes(), 0);
        assert!(spool.verify().await.unwrap().entries <= 8, "whole files are removed");
    });
    deterministic::Runner::from(checkpoint).start(|context| async move {
        let mut spool = open(&context).await;
        assert_eq!(spool.floor(), Position(40));
        assert_eq!(spool.last().await.unwrap(), Some((Position(39), payload(39))));
        assert_eq!(spool.append(payload(40)).unwrap(), Position(40));
    });
}

#[test]
fn full_busy_and_too_large_append_nothing() {
    deterministic::Runner::default().start(|context| async move {
        let config = Config { max_bytes: 1000, max_entry: 400, max_unsynced: 600, ..config() };
        let mut spool = Spool::open(context.child("spool"), config).await.unwrap();
        let entry = |size| Bytes::from(vec![7; size]);
        assert_eq!(spool.append(entry(401)), Err(Error::TooLarge { size: 401, max: 400 }));
        spool.append(entry(400)).unwrap();
        assert_eq!(spool.append(entry(400)), Err(Error::Busy { unsynced: 400, max: 600 }));
        spool.sync().await.unwrap();
        spool.append(entry(400)).unwrap();
        spool.sync().await.unwrap();
        assert!(spool.is_full());
        assert_eq!(spool.append(entry(400)), Err(Error::Full { used: 800, max: 1000 }));
        assert_eq!(spool.end(), Position(2));
        assert!(matches!(spool.ack(Position(2)), Err(Error::NotDurable { .. })));
        spool.ack(Position(0)).unwrap();
        spool.checkpoint().await.unwrap();
        assert_eq!(spool.append(entry(400)), Ok(Position(2)));
    });
}

#[test]
fn a_failed_file_is_left_and_its_confirmed_part_stays() {
    let runner = deterministic::Runner::default();
    let ((), checkpoint) = runner.start_and_recover(|context| async move {
        let mut spool = open(&context).await;
        spool.append(payload(1)).unwrap();
        spool.sync().await.unwrap();
        spool.append(payload(2)).unwrap();
        failing(&context, 100, 0);
        assert!(matches!(spool.sync().await, Err(Error::Storage { .. })));
        assert_eq!(spool.durable(), Position(1));
        assert_eq!(spool.read(Position(1)).await.unwrap(), Some(payload(2)), "still in memory");
        healthy(&context);
        assert_eq!(spool.sync().await, Ok(Position(2)));
        assert!(spool.rotations() >= 2);
        assert_eq!(spool.read(Position(0)).await.unwrap(), Some(payload(1)));
        torn_writes(&context, 0);
    });
    deterministic::Runner::from(checkpoint).start(|context| async move {
        healthy(&context);
        let spool = open(&context).await;
        let found = spool.read_from(Position(0), 9, usize::MAX).await.unwrap();
        assert_eq!(found, vec![(Position(0), payload(1)), (Position(1), payload(2))]);
    });
}

#[test]
fn many_producers_share_one_sync() {
    deterministic::Runner::timed(Duration::from_secs(60)).start(|context| async move {
        let spool = open(&context).await;
        let (writer, task) = spool.start(context.child("task"));
        let positions: Vec<_> = (0..100).map(|n| writer.append(payload(n)).unwrap()).collect();
        for position in positions {
            writer.durable(position).await.unwrap();
        }
        let syncs = writer.progress().borrow().syncs;
        assert!(syncs <= 2, "{syncs} syncs for 100 appends at once");
        assert_eq!(writer.read_from(Position(90), 99, usize::MAX).await.unwrap().len(), 10);
        writer.ack(Position(0)).unwrap();
        writer.checkpoint().await.unwrap();
        assert_eq!(writer.floor(), Position(1));

        failing(&context, 100, 100);
        let stuck = writer.append(payload(100)).unwrap();
        assert!(matches!(writer.durable(stuck).await, Err(Error::Storage { .. })));
        healthy(&context);
        context.sleep(Duration::from_secs(3)).await;
        assert_eq!(writer.progress().borrow().durable, stuck.next());
        assert_eq!(writer.verify().await.unwrap().entries, 101);
        writer.close().await.unwrap();
        task.await.unwrap();
        assert_eq!(writer.checkpoint().await, Err(Error::Closed));
        assert_eq!(writer.append(payload(101)), Err(Error::Closed));
    });
}
