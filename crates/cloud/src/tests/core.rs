//! Laws of the core, with a table in memory.

use super::{memory_table::Table, *};
use crate::{coverage::Range, testing::*};
use proptest::prelude::*;
use std::collections::BTreeSet;
use voltmesh_control::ArchiveNotice;
use voltmesh_telemetry::Boot;

/// One delivery of a schedule.
#[derive(Clone, Debug)]
enum Step {
    Deliver(usize),
    Tick,
    /// The commit under way fails before it was made, or after.
    Fail {
        made: bool,
    },
    Finish,
    Restart,
}

fn steps(batches: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..batches).prop_map(Step::Deliver),
        3 => Just(Step::Tick),
        1 => any::<bool>().prop_map(|made| Step::Fail { made }),
        3 => Just(Step::Finish),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever the order, the repeats, the failed commits and the restarts: no record is archived twice, nothing is
    /// acknowledged before it is archived, and once all was delivered all is archived.
    #[test]
    fn archived_exactly_once(schedule in steps(14)) {
        let mut fleet = Fleet::new(2);
        let mut batches = fleet.boot(0, 1, &[3, 2, 4, 1, 2]);
        batches.extend(fleet.boot(1, 1, &[2, 2]));
        batches.extend(fleet.boot(1, 2, &[5, 1, 1]));
        batches.push(fleet.foreign(0, 0, &[1, 2, 3]));
        batches.push(fleet.foreign(1, 0, &[2, 3, 4]));
        batches.push(fleet.foreign(1, 1, &[9]));
        batches.push(fleet.foreign(0, 1, &[5, 9]));
        let envelopes: Vec<_> = batches.iter().map(|batch| fleet.envelope(0, batch)).collect();

        let mut table = Table::default();
        let mut core = new_core(&fleet);
        let mut under_way: Option<Commit> = None;
        let mut clock = 0;
        let mut tokens = Vec::new();
        let all = (0..batches.len()).map(Step::Deliver);
        let rest = [Step::Tick, Step::Finish, Step::Tick, Step::Finish, Step::Tick, Step::Finish];
        for step in schedule.into_iter().chain([Step::Finish]).chain(all).chain(rest) {
            clock += 300;
            let mut inputs = Vec::new();
            match step {
                Step::Deliver(n) => {
                    tokens.push(n);
                    inputs.push(envelope(0, tokens.len() as u64 - 1, envelopes[n].clone()));
                }
                Step::Tick => {
                    clock += 2000;
                    inputs.push(Input::Tick);
                }
                Step::Finish => if let Some(commit) = under_way.take() {
                    table.append(&commit);
                    inputs.push(Input::Committed { ticket: commit.ticket });
                },
                Step::Fail { made } => if let Some(commit) = under_way.take() {
                    if made {
                        table.append(&commit);
                    }
                    inputs.push(Input::Reloaded { ticket: commit.ticket, marks: table.marks.clone() });
                },
                Step::Restart => {
                    under_way = None;
                    core = Archivist::new(fleet.trust(), cloud_key(), Grouping::default(), &table.marks);
                }
            }
            while let Some(input) = inputs.pop() {
                for output in core.handle(at(clock), input) {
                    match output {
                        Output::Commit(commit) => prop_assert!(under_way.replace(commit).is_none()),
                        Output::Ask { question, about } => {
                            inputs.push(Input::Answered { question, answer: table.answer(&about) });
                        }
                        Output::Accept(Token(token)) => {
                            let batch = &batches[tokens[token as usize]];
                            for record in batch.open().unwrap() {
                                let header = batch.header();
                                let key = (header.vehicle.clone(), header.boot, record.number.get());
                                prop_assert!(table.rows.contains_key(&key), "{key:?} acknowledged too early");
                            }
                        }
                        Output::Notice { bytes, .. } => {
                            let notice = ArchiveNotice::verify(&bytes, &cloud_key().verifying_key()).unwrap();
                            // A foreign batch may bring nothing new: its records stand in others.
                            for batch in notice.batches.iter().filter(|batch| !batch.boot.is_foreign()) {
                                prop_assert!(table.batches.iter().any(|(_, _, stored)| stored.id == batch.id));
                            }
                        }
                        Output::Reject(_, rejection) => prop_assert!(false, "refused: {rejection}"),
                        Output::Defer(..) => {}
                    }
                }
            }
        }
        prop_assert_eq!(core.pending(), 0);
        prop_assert!(table.rows.values().all(|times| *times == 1), "archived twice: {:?}", table.rows);
        let want: BTreeSet<_> = batches.iter().flat_map(|batch| {
            let header = batch.header().clone();
            let key = move |number: u64| (header.vehicle.clone(), header.boot, number);
            batch.open().unwrap().into_iter().map(move |record| key(record.number.get()))
        }).collect();
        prop_assert_eq!(table.rows.keys().cloned().collect::<BTreeSet<_>>(), want);
        prop_assert!(core.gaps().is_empty());
    }
}

#[test]
fn puback_and_notice_only_after_the_commit() {
    let mut fleet = Fleet::new(1);
    let batch = &fleet.boot(0, 1, &[5])[0];
    let delivery = fleet.envelope(0, batch);
    let mut core = new_core(&fleet);
    assert!(core.handle(at(0), envelope(0, 1, delivery.clone())).is_empty());
    assert_eq!(core.deadline(), Some(at(1000)));
    let out = core.handle(at(1000), Input::Tick);
    assert_eq!((out.len(), commits(&out)[0].entries.len()), (1, 1));
    // It comes again meanwhile: still nothing is said.
    assert!(core.handle(at(1001), envelope(0, 2, delivery.clone())).is_empty());
    let out = core.handle(at(1100), Input::Committed { ticket: 0 });
    assert!(matches!(&out[..], [Output::Accept(Token(1)), Output::Notice { .. }]));
    // What only waited for that is answered next, and later repeats at once.
    let out = core.handle(at(2100), Input::Tick);
    assert!(matches!(&out[..], [Output::Accept(Token(2)), Output::Notice { .. }]));
    let out = core.handle(at(2200), envelope(0, 3, delivery));
    assert!(matches!(&out[..], [Output::Accept(Token(3)), Output::Notice { .. }]));
    assert_eq!(core.counters().duplicates, 2);
}

#[test]
fn a_gap_is_shown_until_it_is_filled() {
    let mut fleet = Fleet::new(1);
    let batches = fleet.boot(0, 1, &[5, 5, 5]);
    let mut core = new_core(&fleet);
    for n in [0, 2] {
        let delivery = fleet.envelope(0, &batches[n]);
        core.handle(at(0), envelope(0, n as u64, delivery));
    }
    let gaps = core.gaps();
    assert_eq!(gaps.iter().map(|gap| (gap.first, gap.next)).collect::<Vec<_>>(), [(5, 10)]);
    let out = core.handle(at(1000), Input::Tick);
    let marks = &commits(&out)[0].marks;
    let key = (id_of("ev-0"), Boot::new(1));
    assert_eq!(marks.watermarks[&key], 5);
    assert_eq!(marks.islands[&key], [Range { first: 10, next: 15, sure: true }]);
    let delivery = fleet.envelope(1, &batches[1]);
    core.handle(at(1500), envelope(1, 9, delivery));
    assert!(core.gaps().is_empty());
}
