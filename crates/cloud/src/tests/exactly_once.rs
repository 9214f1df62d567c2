//! Exactly once, under commits, look-ups, failures and restarts of any length and in any order.
//!
//! The world is as bad as the archive's shell may be: a commit lasts as long as it likes, a look-up sees the table as it
//! was at any moment between question and answer, a failed commit is in the table or not, merging files finds another
//! state than the core's, the process dies at any point. Each batch comes as several copies, through two fog nodes.

use super::{memory_table::Table, *};
use crate::{coverage::CACHED, testing::*};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use voltmesh_telemetry::{Record, SealedBatch};

/// One move of the schedule. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Move {
    /// So many batches of the fleet's order are delivered from a place on, as a backlog is.
    Deliver { from: usize, count: usize },
    /// Time passes.
    Wait(u64),
    /// The commit under way ends well.
    Finish,
    /// The commit under way is reported as failed; in the table it is there or not.
    Fail { made: bool },
    /// The table answers a question under way as it is now; the answer is on its way.
    Read(usize),
    /// An answer that is on its way arrives; it may be old by now.
    Arrive(usize),
    /// A look-up fails.
    Lose(usize),
    /// The process dies and starts from the table.
    Restart,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        6 => (any::<usize>(), 1..2 * CACHED).prop_map(|(from, count)| Move::Deliver { from, count }),
        3 => (0u64..20_000).prop_map(Move::Wait),
        2 => Just(Move::Finish),
        1 => any::<bool>().prop_map(|made| Move::Fail { made }),
        4 => any::<usize>().prop_map(Move::Read),
        4 => any::<usize>().prop_map(Move::Arrive),
        1 => any::<usize>().prop_map(Move::Lose),
        1 => Just(Move::Restart),
    ];
    proptest::collection::vec(one, 1..60)
}

/// The archive's shell, with everything that is under way.
struct World {
    core: Archivist,
    table: Table,
    grouping: Grouping,
    clock: u64,
    commit: Option<Commit>,
    questions: VecDeque<(u64, Question)>,
    answers: VecDeque<(u64, Answer)>,
    acknowledged: BTreeSet<u64>,
    rejected: Vec<String>,
}

impl World {
    fn new(fleet: &Fleet, grouping: Grouping) -> Self {
        let core = Archivist::new(fleet.trust(), cloud_key(), grouping, &Marks::default());
        Self {
            core,
            table: Table::default(),
            grouping,
            clock: 0,
            commit: None,
            questions: VecDeque::new(),
            answers: VecDeque::new(),
            acknowledged: BTreeSet::new(),
            rejected: Vec::new(),
        }
    }

    fn input(&mut self, input: Input) {
        for output in self.core.handle(at(self.clock), input) {
            match output {
                Output::Commit(commit) => assert!(self.commit.replace(commit).is_none(), "two at once"),
                Output::Ask { question, about } => self.questions.push_back((question, about)),
                Output::Accept(Token(token)) => drop(self.acknowledged.insert(token)),
                Output::Reject(_, rejection) => self.rejected.push(rejection.to_string()),
                Output::Defer(..) | Output::Notice { .. } => {}
            }
        }
    }

    fn finish(&mut self) {
        if let Some(commit) = self.commit.take() {
            self.table.append(&commit);
            self.input(Input::Committed { ticket: commit.ticket });
        }
    }

    fn read(&mut self, which: usize) {
        if self.questions.is_empty() {
            return;
        }
        let at = which % self.questions.len();
        if let Some((question, about)) = self.questions.remove(at) {
            self.answers.push_back((question, self.table.answer(&about)));
        }
    }

    fn arrive(&mut self, which: usize) {
        if self.answers.is_empty() {
            return;
        }
        let at = which % self.answers.len();
        if let Some((question, answer)) = self.answers.remove(at) {
            self.input(Input::Answered { question, answer });
        }
    }

    fn step(&mut self, fleet: &Fleet, deliveries: &[Bytes], next: &Move) {
        match *next {
            Move::Deliver { from, count } => {
                for n in (from % deliveries.len()..deliveries.len()).take(count) {
                    let fog = u8::from(n >= deliveries.len() / 2);
                    self.input(envelope(fog, n as u64, deliveries[n].clone()));
                }
            }
            Move::Wait(ms) => {
                self.clock += ms;
                self.input(Input::Tick);
            }
            Move::Finish => self.finish(),
            Move::Fail { made } => {
                if let Some(commit) = self.commit.take() {
                    if made {
                        self.table.append(&commit);
                    }
                    let marks = self.table.marks();
                    self.input(Input::Reloaded { ticket: commit.ticket, marks });
                }
            }
            Move::Read(which) => self.read(which),
            Move::Arrive(which) => self.arrive(which),
            Move::Lose(which) => {
                if !self.questions.is_empty()
                    && let Some((question, _)) = self.questions.remove(which % self.questions.len())
                {
                    self.input(Input::Answered { question, answer: Answer::Failed });
                }
            }
            Move::Restart => {
                self.commit = None;
                self.questions.clear();
                self.answers.clear();
                self.core = Archivist::new(fleet.trust(), cloud_key(), self.grouping, &self.table.marks());
            }
        }
    }

    /// Everything comes to an end: what is under way is done, again and again.
    fn calm(&mut self) {
        for _ in 0..200 {
            self.clock += 20_000;
            self.input(Input::Tick);
            while !self.questions.is_empty() {
                self.read(0);
            }
            while !self.answers.is_empty() {
                self.arrive(0);
            }
            self.finish();
            if self.core.pending() == 0 && self.questions.is_empty() {
                return;
            }
        }
    }
}

/// Two vehicles' and one foreign client's batches, each in the two envelopes of two fog nodes: first all of the first
/// node, then all of the second.
fn deliveries() -> &'static (Fleet, Vec<SealedBatch>, Vec<Bytes>) {
    static MADE: std::sync::OnceLock<(Fleet, Vec<SealedBatch>, Vec<Bytes>)> = std::sync::OnceLock::new();
    MADE.get_or_init(|| {
        let mut fleet = Fleet::new(2);
        let mut batches = fleet.boot(0, 1, &[1; 3 * CACHED]);
        batches.extend(fleet.boot(1, 1, &[1; CACHED + 1]));
        batches.extend((0..20).map(|n| fleet.foreign((n % 2) as u8, 1, &[n, n + 1, 100 - n])));
        let mut envelopes = Vec::new();
        for fog in [0, 1] {
            envelopes.extend(batches.iter().map(|batch| fleet.envelope(fog, batch)));
        }
        (fleet, batches, envelopes)
    })
}

fn check(world: &World, batches: &[SealedBatch]) -> Result<(), TestCaseError> {
    prop_assert_eq!(&world.rejected, &Vec::<String>::new());
    let doubled: BTreeMap<_, _> = world.table.rows.iter().filter(|(_, times)| **times != 1).collect();
    prop_assert!(doubled.is_empty(), "archived twice: {:?}", doubled);
    let want: BTreeSet<_> = batches
        .iter()
        .flat_map(|batch| {
            let header = batch.header().clone();
            let key = move |number: u64| (header.vehicle.clone(), header.boot, number);
            batch.open().unwrap().into_iter().map(move |record| key(record.number.get()))
        })
        .collect();
    prop_assert_eq!(world.table.rows.keys().cloned().collect::<BTreeSet<_>>(), want);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order, each record is in the table once at every moment, and all are there in the end.
    #[test]
    fn archived_exactly_once_whatever_lasts_long(schedule in moves(), max_records in 1usize..200) {
        let (fleet, batches, deliveries) = deliveries();
        let grouping = Grouping { max_records, ..Grouping::default() };
        let mut world = World::new(fleet, grouping);
        for next in &schedule {
            world.step(fleet, deliveries, next);
            prop_assert!(world.table.rows.values().all(|times| *times == 1), "doubled by {:?}", next);
        }
        world.calm();
        // What was held off or lost with a process comes again: fog nodes keep it until its notice.
        for round in 0..3 {
            for (n, delivery) in deliveries.iter().enumerate() {
                world.input(envelope(u8::from(n >= batches.len()), 1_000_000 * round + n as u64, delivery.clone()));
            }
            world.calm();
        }
        prop_assert_eq!(world.core.pending(), 0);
        check(&world, batches)?;
    }
}

/// The case that a busy machine showed: a slow commit, more batches than the memory caches, and then the other fog node's
/// copies, of which the table knows nothing yet.
#[test]
fn second_copies_during_a_slow_commit_are_not_archived_again() {
    let (fleet, batches, deliveries) = deliveries();
    let mut world = World::new(fleet, Grouping::default());
    let (first, second) = deliveries.split_at(batches.len());
    for (n, delivery) in first.iter().enumerate() {
        world.input(envelope(0, n as u64, delivery.clone()));
        if n == CACHED {
            world.clock += 20_000;
            world.input(Input::Tick);
        }
    }
    assert!(world.commit.is_some(), "a commit is under way");
    for (n, delivery) in second.iter().enumerate() {
        world.input(envelope(1, 1_000 + n as u64, delivery.clone()));
        world.read(0);
        world.arrive(0);
    }
    world.calm();
    check(&world, batches).unwrap();
}

/// A look-up that takes longer than so many commits is asked again.
#[test]
fn an_answer_from_before_too_many_commits_is_asked_again() {
    let mut fleet = Fleet::new(1);
    let batches = fleet.boot(0, 1, &[1, 1]);
    let deliveries: Vec<_> = batches.iter().map(|batch| fleet.envelope(0, batch)).collect();
    let mut world = World::new(&fleet, Grouping::default());
    world.input(envelope(0, 0, deliveries[0].clone()));
    world.calm();
    // After a restart the neighbour is known to the table only.
    let marks = world.table.marks();
    world.core = Archivist::new(fleet.trust(), cloud_key(), Grouping::default(), &marks);
    world.input(envelope(0, 1, deliveries[1].clone()));
    world.read(0);
    world.core.outdate_answers();
    world.arrive(0);
    assert_eq!(world.questions.len(), 1, "it is asked again");
    world.calm();
    check(&world, &batches).unwrap();
}

/// A table that lacks what its watermark says it holds archives nothing again: the delivery is held off, then kept in
/// quarantine with the reason.
#[test]
fn a_table_that_contradicts_its_watermark_is_not_believed() {
    let mut fleet = Fleet::new(1);
    let batches = fleet.boot(0, 1, &[3, 3]);
    let delivery = fleet.envelope(0, &batches[0]);
    let marks = Marks {
        watermarks: BTreeMap::from([((id_of("ev-0"), voltmesh_telemetry::Boot::new(1)), 6)]),
        ..Marks::default()
    };
    let mut world = World::new(&fleet, Grouping::default());
    world.core = Archivist::new(fleet.trust(), cloud_key(), Grouping::default(), &marks);
    for token in 0..6 {
        world.input(envelope(0, token, delivery.clone()));
        world.read(0);
        world.arrive(0);
    }
    assert_eq!(world.core.counters().refused, 5);
    world.calm();
    assert!(world.table.rows.is_empty());
    let [reason] = &world.rejected[..] else { panic!("{:?}", world.rejected) };
    assert!(reason.starts_with("table: record ev-0/1/"), "{reason}");
}

/// Samples of one client with one number and different content: one is archived, the other is in quarantine, and the
/// same again is a repeat.
#[test]
fn a_sample_whose_number_is_taken_by_another_is_quarantined() {
    let mut fleet = Fleet::new(1);
    let [first, second] = colliding(0, 2);
    let plain = |second| Record::foreign(sample(0, 0, second));
    let one = fleet.attested(0, 0, vec![plain(1), first]);
    let other = fleet.attested(1, 0, vec![second, plain(3)]);
    let (one, other) = (fleet.envelope(0, &one), fleet.envelope(1, &other));
    let mut world = World::new(&fleet, Grouping::default());
    world.input(envelope(0, 0, one.clone()));
    world.input(envelope(1, 1, other.clone()));
    world.calm();
    assert_eq!((world.table.rows.len(), world.core.counters().quarantined), (3, 1));
    assert_eq!(world.acknowledged, BTreeSet::from([0, 1]));
    world.input(envelope(0, 2, one));
    world.calm();
    assert_eq!((world.table.rows.len(), world.core.counters().quarantined), (3, 1));
    assert!(world.table.rows.values().all(|times| *times == 1));
}
