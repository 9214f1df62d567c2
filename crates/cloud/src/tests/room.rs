//! Room for what waits: in memory, in a commit, in the quarantine.

use super::*;
use crate::{archivist::QuarantineRoom, testing::*};

/// Drives a core whose commits never fail, one step of a millisecond each, until nothing waits.
fn settle(core: &mut Archivist, mut now: u64, mut out: Vec<Output>) -> Vec<Output> {
    let mut answers = Vec::new();
    while core.pending() > 0 {
        now += 1;
        let tickets: Vec<_> = commits(&out).iter().map(|commit| commit.ticket).collect();
        answers.extend(
            out.into_iter()
                .filter(|o| matches!(o, Output::Accept(_) | Output::Reject(..) | Output::Defer(..))),
        );
        out = match (tickets.first(), core.deadline()) {
            (Some(ticket), _) => core.handle(at(now), Input::Committed { ticket: *ticket }),
            (None, Some(deadline)) => core.handle(deadline, Input::Tick),
            (None, None) => panic!("deliveries wait for nothing"),
        };
    }
    answers.extend(
        out.into_iter().filter(|o| matches!(o, Output::Accept(_) | Output::Reject(..) | Output::Defer(..))),
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
        if given.iter().any(|output| matches!(output, Output::Defer(..))) {
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
