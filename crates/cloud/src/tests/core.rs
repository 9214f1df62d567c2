//! Laws of the core, with a table in memory.

use super::*;
use crate::{
    archivist::QuarantineRoom,
    coverage::{Range, Stored},
    foreign::content_of,
    testing::*,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use voltmesh_control::{ArchiveNotice, Envelope};
use voltmesh_ledger::Action;
use voltmesh_telemetry::{Boot, Digest, SealedBatch, VehicleId};

/// Model of a perfect table, with the count of appends of each record.
#[derive(Default)]
pub(super) struct Table {
    pub rows: BTreeMap<(VehicleId, Boot, u64), u32>,
    contents: BTreeMap<(VehicleId, Boot, u64), Digest>,
    batches: Vec<(VehicleId, Boot, Stored)>,
    marks: Marks,
}

impl Table {
    pub fn append(&mut self, commit: &Commit) {
        for entry in &commit.entries {
            let header = &entry.batch.header;
            for record in entry.kept_records() {
                let key = (header.vehicle.clone(), header.boot, record.number.get());
                *self.rows.entry(key.clone()).or_default() += 1;
                self.contents.insert(key, content_of(record));
            }
            let stored = Stored {
                first: entry.batch.first(),
                next: entry.batch.last() + 1,
                id: entry.batch.id,
                previous: header.previous,
            };
            self.batches.push((header.vehicle.clone(), header.boot, stored));
        }
        self.marks.watermarks.extend(commit.marks.watermarks.clone());
        self.marks.islands = commit.marks.islands.clone();
        self.marks.places = commit.marks.places.clone();
    }

    /// What a starting cloud finds.
    pub fn marks(&self) -> Marks {
        self.marks.clone()
    }

    pub fn answer(&self, about: &Question) -> Answer {
        match about {
            Question::Batches { vehicle, boot, first, last } => Answer::Batches(
                self.batches
                    .iter()
                    .filter(|(v, b, s)| v == vehicle && b == boot && s.first <= *last && *first < s.next)
                    .map(|(_, _, stored)| *stored)
                    .collect(),
            ),
            Question::Numbers { vehicle, numbers } => Answer::Numbers(
                numbers
                    .iter()
                    .filter_map(|n| {
                        let key = (vehicle.clone(), Boot::FOREIGN, *n);
                        Some((*n, *self.contents.get(&key)?))
                    })
                    .collect(),
            ),
        }
    }
}

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
                        Output::Reject(_, refusal) => prop_assert!(false, "refused: {refusal}"),
                        Output::Refuse(..) => {}
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

/// Delivers something wrong; says at which stage it went to quarantine, and that it is rejected only afterwards.
fn refused_at(fleet: &Fleet, earlier: &[Bytes], fog: u8, delivery: Bytes) -> String {
    let mut core = new_core(fleet);
    for (n, earlier) in earlier.iter().enumerate() {
        core.handle(at(0), envelope(fog, n as u64, earlier.clone()));
    }
    assert!(core.handle(at(0), envelope(fog, 77, delivery.clone())).is_empty());
    let out = core.handle(at(1000), Input::Tick);
    let commit = commits(&out)[0];
    assert_eq!((commit.entries.len(), commit.quarantine.len()), (earlier.len(), 1));
    assert_eq!(commit.quarantine[0].bytes, delivery);
    let out = core.handle(at(1001), Input::Committed { ticket: 0 });
    let rejected = out.iter().filter(|o| matches!(o, Output::Reject(Token(77), _))).count();
    assert_eq!(rejected, 1);
    commit.quarantine[0].refusal.stage.to_string()
}

fn altered(delivery: &Bytes, alter: impl FnOnce(&mut Envelope)) -> Bytes {
    let mut envelope = Envelope::decode(delivery).unwrap();
    alter(&mut envelope);
    envelope.encode().into()
}

fn flipped(bytes: &Bytes, at: usize) -> Bytes {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes.into()
}

#[test]
fn what_fails_a_check_is_kept_with_its_stage() {
    let mut fleet = Fleet::new(2);
    let batches = fleet.boot(0, 1, &[4, 4, 4]);
    let good: Vec<_> = batches.iter().map(|batch| fleet.envelope(0, batch)).collect();
    let check = |stage: &str, earlier: &[Bytes], delivery: Bytes| {
        assert_eq!(refused_at(&fleet, earlier, 0, delivery), stage);
    };
    check("envelope", &[], Bytes::from_static(b"no envelope"));
    check("envelope", &[], altered(&good[0], |e| e.fog = "fog-1".into()));
    check("batch", &[], altered(&good[0], |e| e.batch = Bytes::from_static(b"\x83")));
    check("evidence", &[], altered(&good[0], |e| e.evidence = Bytes::from_static(b"none")));
    let other = Envelope::decode(&good[1]).unwrap();
    check("log", &[], altered(&good[0], |e| e.evidence = other.evidence));
    check("registry", &[], altered(&good[0], |e| e.opening.salt[0] ^= 1));
    check("registry", &[], altered(&good[0], |e| e.opening = opening_of("ev-1")));
    // The end of the wire bytes is compressed content, which the statement binds.
    check("content", &[], altered(&good[0], |e| e.batch = flipped(&e.batch, e.batch.len() - 1)));

    // Evidence of a ledger that is not ours: what no trusted set has finalised is never archived.
    let mut stranger = Fleet::new(0);
    stranger.chain = voltmesh_ledger::testing::Chain::new(5);
    let commitment = voltmesh_ledger::commitment("ev-0", &[7; 32], &opening_of("ev-0").key);
    stranger.chain.enrol(&[commitment]);
    let forged = stranger.envelope(0, &batches[0]);
    assert!(["log", "finality"].contains(&refused_at(&fleet, &[], 0, forged).as_str()));

    // Same numbers, other content; and a history that does not continue.
    let fork = sealed_fork(&fleet, &batches);
    let delivery = fleet.envelope(0, &fork);
    assert_eq!(refused_at(&fleet, &good[..2], 0, delivery), "fork");
    let broken = fleet.batch(0, 1, 8, 4, Some(batches[0].id()));
    let delivery = fleet.envelope(0, &broken);
    assert_eq!(refused_at(&fleet, &good[..2], 0, delivery), "chain");
}

fn sealed_fork(fleet: &Fleet, batches: &[SealedBatch]) -> SealedBatch {
    fleet.batch(0, 1, 4, 3, Some(batches[0].id()))
}

#[test]
fn a_revoked_key_counts_only_below_its_revocation() {
    let mut fleet = Fleet::new(1);
    let batches = fleet.boot(0, 1, &[4, 4]);
    let before = fleet.envelope(0, &batches[0]);
    let commitment = voltmesh_ledger::commitment("ev-0", &[7; 32], &opening_of("ev-0").key);
    fleet.chain.act(vec![Action::RevokeVehicle { commitment }]);
    let after = fleet.envelope(0, &batches[1]);
    assert_eq!(refused_at(&fleet, &[before], 0, after), "registry");
}

#[test]
fn unknown_authorities_are_waited_for_a_while() {
    let mut fleet = Fleet::new(1);
    let batch = &fleet.boot(0, 1, &[4])[0];
    let stale = fleet.trust();
    let newcomer = voltmesh_ledger::testing::key(50);
    use commonware_cryptography::Signer as _;
    let key = newcomer.public_key();
    fleet.chain.network.add_key(newcomer);
    fleet.chain.act(vec![Action::AdmitAuthority { key }]);
    fleet.chain.advance_to(40);
    let delivery = fleet.envelope(0, batch);
    let mut core = Archivist::new(stale.clone(), cloud_key(), Grouping::default(), &Marks::default());
    let out = core.handle(at(0), envelope(0, 1, delivery.clone()));
    assert!(matches!(&out[..], [Output::Refuse(Token(1), _)]));
    let items = fleet.chain.handovers().iter().map(|handover| handover.to_bytes()).collect();
    let handovers = voltmesh_control::Handovers { items }.encode();
    core.handle(at(1), Input::Handovers(handovers.into()));
    assert!(core.handle(at(2), envelope(0, 2, delivery.clone())).is_empty());
    assert_eq!(commits(&core.handle(at(2000), Input::Tick))[0].entries.len(), 1);
    // Without hand-overs it ends in quarantine, so that it does not block what is behind it.
    let mut core = Archivist::new(stale, cloud_key(), Grouping::default(), &Marks::default());
    let refused =
        (0..9).filter(|n| !core.handle(at(3), envelope(0, *n, delivery.clone())).is_empty()).count();
    assert_eq!((refused, core.counters().quarantined), (5, 4));
}

/// Drives a core whose commits never fail, one step of a millisecond each, until nothing waits.
fn settle(core: &mut Archivist, mut now: u64, mut out: Vec<Output>) -> Vec<Output> {
    let mut answers = Vec::new();
    while core.pending() > 0 {
        now += 1;
        let tickets: Vec<_> = commits(&out).iter().map(|commit| commit.ticket).collect();
        answers.extend(
            out.into_iter()
                .filter(|o| matches!(o, Output::Accept(_) | Output::Reject(..) | Output::Refuse(..))),
        );
        out = match (tickets.first(), core.deadline()) {
            (Some(ticket), _) => core.handle(at(now), Input::Committed { ticket: *ticket }),
            (None, Some(deadline)) => core.handle(deadline, Input::Tick),
            (None, None) => panic!("deliveries wait for nothing"),
        };
    }
    answers.extend(
        out.into_iter().filter(|o| matches!(o, Output::Accept(_) | Output::Reject(..) | Output::Refuse(..))),
    );
    answers
}

#[test]
fn deliveries_wait_for_room_and_are_neither_refused_nor_sent_again() {
    let mut fleet = Fleet::new(3);
    let counts = [40; 7];
    let batches: Vec<_> = (0..3).flat_map(|vehicle| fleet.boot(vehicle, 1, &counts)).collect();
    let envelopes: Vec<_> = batches.iter().map(|batch| fleet.envelope(0, batch)).collect();
    let unpacked = voltmesh_telemetry::batch::decoded_bytes(&batches[0].open().unwrap()) + envelopes[0].len();
    // A vehicle's share holds two batches unpacked, the whole eight.
    let grouping = Grouping { max_pending_bytes: 8 * unpacked, ..Grouping::default() };
    let mut core = Archivist::new(fleet.trust(), cloud_key(), grouping, &Marks::default());
    let mut out = Vec::new();
    for (n, bytes) in envelopes.iter().enumerate() {
        assert!(core.has_room(), "{n}");
        out.extend(core.handle(at(0), envelope(0, n as u64, bytes.clone())));
    }
    let first = commits(&out);
    assert_eq!(first.len(), 1, "one commit at a time, begun before the room is used up");
    let answers = settle(&mut core, 0, out);
    assert_eq!(answers.len(), batches.len());
    assert!(answers.iter().all(|answer| matches!(answer, Output::Accept(_))), "{answers:?}");
    assert_eq!((core.counters().batches, core.counters().refused), (21, 0));
    assert!(core.counters().commits >= 21 / 8, "{:?}", core.counters());
}

#[test]
fn a_vehicle_whose_batches_unpack_to_much_leaves_room_for_the_others() {
    let mut fleet = Fleet::new(2);
    let batches = fleet.boot(0, 1, &[40; 9]);
    let envelopes: Vec<_> = batches.iter().map(|batch| fleet.envelope(0, batch)).collect();
    let unpacked = voltmesh_telemetry::batch::decoded_bytes(&batches[0].open().unwrap()) + envelopes[0].len();
    let grouping = Grouping { max_pending_bytes: 8 * unpacked, ..Grouping::default() };
    let mut core = Archivist::new(fleet.trust(), cloud_key(), grouping, &Marks::default());
    let mut out = Vec::new();
    for (n, bytes) in envelopes.iter().enumerate() {
        out.extend(core.handle(at(0), envelope(0, n as u64, bytes.clone())));
    }
    let other = fleet.boot(1, 1, &[40]);
    out.extend(core.handle(at(0), envelope(0, 99, fleet.envelope(0, &other[0]))));
    let [first] = &commits(&out)[..] else { panic!("{out:?}") };
    let ticket = first.ticket;
    let out = core.handle(at(1), Input::Committed { ticket });
    let [second] = &commits(&out)[..] else { panic!("{out:?}") };
    let others = second.entries.iter().filter(|entry| entry.batch.header.vehicle == id_of("ev-1")).count();
    assert_eq!(others, 1, "in the next commit, though eight batches of ev-0 came before it");
    assert!(second.entries.len() <= 3);
}

#[test]
fn beyond_the_bound_of_what_waits_packed_a_fog_node_is_held_off() {
    let mut fleet = Fleet::new(1);
    let batches = fleet.boot(0, 1, &[4; 8]);
    let envelopes: Vec<_> = batches.iter().map(|batch| fleet.envelope(0, batch)).collect();
    let grouping = Grouping { max_pending_bytes: envelopes[0].len() * 3, ..Grouping::default() };
    let mut core = Archivist::new(fleet.trust(), cloud_key(), grouping, &Marks::default());
    let (mut refused, mut out) = (Vec::new(), Vec::new());
    for (n, bytes) in envelopes.iter().enumerate() {
        let had_room = core.has_room();
        let given = core.handle(at(0), envelope(0, n as u64, bytes.clone()));
        if given.iter().any(|output| matches!(output, Output::Refuse(..))) {
            assert!(!had_room, "{n} was asked for and refused");
            refused.push(n);
        }
        out.extend(given);
    }
    assert!(!refused.is_empty() && !core.has_room(), "{refused:?}");
    settle(&mut core, 0, out);
    assert!(core.has_room());
    for n in refused {
        let out = core.handle(at(5_000), envelope(0, 100 + n as u64, envelopes[n].clone()));
        settle(&mut core, 5_000, out);
    }
    assert_eq!(core.counters().batches, 8);
}

/// Rubbish of one fog node, without end: it is refused, a share of it is kept, and others' is kept whatever it sends. A forked
/// batch counts as its vehicle's, whoever brings it.
#[test]
fn one_fog_nodes_rubbish_leaves_room_in_the_quarantine_for_others() {
    let mut fleet = Fleet::new(1);
    let room = QuarantineRoom::new(1 << 20, 0);
    let mut core = new_core(&fleet).with_quarantine(room);
    let (mut kept, mut rejected, mut out) = (Vec::new(), 0, Vec::new());
    let mut now = 0;
    let mut deliver = |core: &mut Archivist, fog, token, bytes| {
        now += 1_000;
        out = core.handle(at(now), envelope(fog, token, bytes));
        let mut at_once = out.iter().filter(|o| matches!(o, Output::Reject(..))).count();
        while let Some(commit) = commits(&out).first() {
            kept.extend(commit.quarantine.iter().map(|row| (row.fog.clone(), row.bytes.len())));
            let ticket = commit.ticket;
            now += 1;
            out = core.handle(at(now), Input::Committed { ticket });
            at_once += out.iter().filter(|o| matches!(o, Output::Reject(..))).count();
        }
        rejected += at_once;
    };
    for token in 0..500 {
        deliver(&mut core, 0, token, Bytes::from(vec![token as u8; 1_000]));
    }
    let (used, bound) = core.quarantine_bytes();
    assert!(used <= bound / 16, "{used} of {bound}");
    assert_eq!(core.counters().quarantined, 500);
    assert!(core.counters().quarantine_dropped > 400, "{:?}", core.counters());
    deliver(&mut core, 1, 500, Bytes::from_static(b"rubbish of another"));
    // Two batches under the same numbers, both signed: a fork.
    let (one, other) = (fleet.batch(0, 1, 0, 3, None), fleet.batch(0, 1, 0, 2, None));
    let (one, other) = (fleet.envelope(0, &one), fleet.envelope(0, &other));
    deliver(&mut core, 0, 501, one);
    deliver(&mut core, 0, 502, other.clone());
    deliver(&mut core, 0, 503, Bytes::from_static(b"more rubbish"));
    assert_eq!(core.pending(), 0);
    assert!(kept.contains(&(fog_name(1), "rubbish of another".len())), "{kept:?}");
    assert!(kept.contains(&(fog_name(0), other.len())), "what a vehicle signed has room of its own");
    assert_eq!(rejected, 503, "each is answered, kept or not");
}

#[test]
fn a_commit_holds_one_batch_more_than_its_records_at_most() {
    let mut fleet = Fleet::new(2);
    let batches: Vec<_> = (0..2).flat_map(|vehicle| fleet.boot(vehicle, 1, &[10; 20])).collect();
    let grouping = Grouping { max_records: 35, ..Grouping::default() };
    let mut core = Archivist::new(fleet.trust(), cloud_key(), grouping, &Marks::default());
    let (mut out, mut sizes) = (Vec::new(), Vec::new());
    for (n, batch) in batches.iter().enumerate() {
        let envelope = envelope(0, n as u64, fleet.envelope(0, batch));
        out.extend(core.handle(at(0), envelope));
    }
    while core.pending() > 0 {
        let [commit] = &commits(&out)[..] else { panic!("{out:?}") };
        sizes.push(commit.entries.iter().map(|entry| entry.kept_records().count()).sum::<usize>());
        let ticket = commit.ticket;
        out = core.handle(at(1), Input::Committed { ticket });
    }
    assert_eq!(sizes, [40; 10], "at once, without waiting for more");
}
