use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

fn at(millis: u64) -> Moment {
    Moment::from_millis(millis)
}

fn source(number: u8) -> Source {
    Source::of(IpAddr::from([10, 0, 0, number]))
}

fn arrive(admission: &mut Admission, now: u64, id: u64, by: u8) -> Vec<SessionId> {
    match admission.arrive(at(now), SessionId(id), source(by)) {
        Arrival::In(ended) => ended,
        other => panic!("{other:?}"),
    }
}

fn small() -> Bounds {
    Bounds {
        max_connections: 12,
        connections_per_source: 6,
        max_silent: 5,
        max_speaking: 3,
        speaking_per_source: 2,
        max_handshakes: 4,
        max_handshakes_at_work: 3,
        handshakes_per_source: 3,
        handshakes_per_source_s: 1_000_000,
        ..Bounds::default()
    }
}

/// State of each connection as seen from outside.
#[derive(Default)]
struct Model {
    /// Source, stage (0 silent, 1 at work, 2 waiting, 3 session, 4 speaking) and since when it waits.
    open: BTreeMap<SessionId, (u8, u8, u64)>,
}

impl Model {
    fn count(&self, keep: impl Fn(&(u8, u8, u64)) -> bool) -> usize {
        self.open.values().filter(|it| keep(it)).count()
    }

    /// One that was ended did nothing, was the oldest such of its source, and no other source had more of them unless the
    /// newcomer's own share was used up.
    fn ended(&mut self, id: SessionId, by: u8) {
        let (source, stage, since) = self.open.remove(&id).expect("an open connection");
        assert!(matches!(stage, 0 | 2 | 4), "one that is at work or in was ended");
        let oldest = self.open.values().filter(|it| it.0 == source && it.1 == stage).map(|it| it.2).min();
        assert!(oldest.is_none_or(|oldest| since <= oldest));
        if source != by {
            let own = 1 + self.count(|it| it.0 == source && it.1 == stage);
            let others = self.count(|it| it.0 == by && it.1 == stage);
            assert!(own >= others, "{by} took a place from {source}, which had fewer");
        }
    }
}

proptest! {
    #[test]
    fn bounds_hold_and_only_idle_connections_make_room(steps in prop::collection::vec((0u8..7, 0u8..4, any::<prop::sample::Index>()), 1..300)) {
        let bounds = small();
        let mut admission = Admission::new(bounds.clone());
        let mut model = Model::default();
        let mut next = 0;
        for (tick, (what, by, which)) in steps.into_iter().enumerate() {
            let now = tick as u64 * 20;
            let ids: Vec<_> = model.open.keys().copied().collect();
            let picked = (!ids.is_empty()).then(|| *which.get(&ids));
            match (what, picked) {
                (0 | 1, _) => {
                    next += 1;
                    let full = model.count(|it| it.0 == by) >= bounds.connections_per_source
                        || model.open.len() >= bounds.max_connections;
                    match admission.arrive(at(now), SessionId(next), source(by)) {
                        Arrival::In(ended) => {
                            ended.into_iter().for_each(|id| model.ended(id, by));
                            model.open.insert(SessionId(next), (by, 0, now));
                        }
                        Arrival::Later(_) => prop_assert!(false, "each has had its time"),
                        Arrival::Refused(refused) => {
                            prop_assert!(full, "{refused:?} with room");
                            let idle = |it: &(u8, u8, u64)| matches!(it.1, 0 | 2 | 4);
                            let own = refused == Refused::Source;
                            prop_assert_eq!(model.count(|it| idle(it) && (!own || it.0 == by)), 0);
                        }
                    }
                }
                (2, Some(id)) if matches!(model.open[&id].1, 0 | 4) => {
                    let by = model.open[&id].0;
                    match admission.hello(at(now), id) {
                        Ok(ended) => {
                            ended.into_iter().for_each(|id| model.ended(id, by));
                            model.open.insert(id, (by, 1, now));
                        }
                        Err(refused) => {
                            prop_assert_eq!(refused, Refused::Busy);
                            admission.leave(id);
                            model.open.remove(&id);
                        }
                    }
                }
                (3, Some(id)) if (1..3).contains(&model.open[&id].1) => {
                    let waits = model.open[&id].1 == 1;
                    admission.waits(id, waits.then_some(at(now)));
                    model.open.insert(id, (model.open[&id].0, if waits { 2 } else { 1 }, now));
                }
                (4, Some(id)) if model.open[&id].1 == 1 => {
                    prop_assert!(admission.connected(id));
                    model.open.insert(id, (model.open[&id].0, 3, now));
                }
                (6, Some(id)) if model.open[&id].1 == 0 => {
                    let by = model.open[&id].0;
                    admission.speaks(at(now), id).into_iter().for_each(|id| model.ended(id, by));
                    model.open.insert(id, (by, 4, now));
                }
                (5, Some(id)) => {
                    admission.leave(id);
                    model.open.remove(&id);
                }
                _ => {}
            }
            let [connections, silent, speaking, handshakes] = admission.figures();
            prop_assert_eq!(connections, model.open.len());
            prop_assert_eq!(silent, model.count(|it| it.1 == 0));
            prop_assert_eq!(handshakes, model.count(|it| it.1 == 1 || it.1 == 2));
            prop_assert!(connections <= bounds.max_connections && silent <= bounds.max_silent);
            prop_assert!(handshakes <= bounds.max_handshakes && speaking <= bounds.max_speaking);
            prop_assert_eq!(speaking, model.count(|it| it.1 == 4));
            prop_assert!(model.count(|it| it.1 == 2) + 4 >= handshakes);
            for by in 0..4 {
                prop_assert!(model.count(|it| it.0 == by) <= bounds.connections_per_source);
                let own = model.count(|it| it.0 == by && (it.1 == 1 || it.1 == 2));
                prop_assert!(own <= bounds.handshakes_per_source);
                prop_assert!(model.count(|it| it.0 == by && it.1 == 4) <= bounds.speaking_per_source);
            }
        }
    }
}

#[test]
fn the_oldest_silent_connection_makes_room_and_the_newest_has_time() {
    let bounds = Bounds { max_silent: 1_024, ..Bounds::default() };
    let mut admission = Admission::new(bounds.clone());
    let mut ended = HashSet::new();
    for id in 0..10_000 {
        ended.extend(arrive(&mut admission, id, id, 1));
    }
    let gone = 10_000 - bounds.max_silent as u64;
    assert_eq!(ended, (0..gone).map(SessionId).collect());
    // An honest client of the same address has as much time as there are places.
    arrive(&mut admission, 10_000, 10_000, 1);
    for id in 10_001..10_001 + bounds.max_silent as u64 - 1 {
        let ended = arrive(&mut admission, id, id, 1);
        assert!(!ended.contains(&SessionId(10_000)));
    }
    assert!(admission.hello(at(20_000), SessionId(10_000)).is_ok());
}

#[test]
fn a_source_with_one_silent_connection_loses_it_to_no_flood() {
    let mut admission = Admission::new(Bounds { max_silent: 1_024, ..Bounds::default() });
    arrive(&mut admission, 0, 0, 9);
    for id in 1..10_000 {
        let ended = arrive(&mut admission, id, id, id as u8 % 5);
        assert!(!ended.contains(&SessionId(0)));
    }
    assert!(admission.hello(at(10_000), SessionId(0)).is_ok() && admission.connected(SessionId(0)));
}

#[test]
fn handshakes_of_a_source_have_a_rate_and_others_have_theirs() {
    let bounds = Bounds { handshakes_per_source_s: 100, ..Bounds::default() };
    let mut admission = Admission::new(bounds);
    let let_in = |admission: &mut Admission, now: u64, id: u64, by: u8| {
        arrive(admission, now, id, by);
        let begun = admission.hello(at(now), SessionId(id));
        admission.leave(SessionId(id));
        begun.is_ok()
    };
    let begun = (0..10_000).filter(|id| let_in(&mut admission, id / 2, *id, 1)).count();
    assert_eq!(begun, 100 + 499, "a second's worth, and then a hundred a second for 5 s");
    assert!(let_in(&mut admission, 5_000, 10_001, 2));
}

#[test]
fn sources_whose_rate_is_remembered_are_bounded() {
    let mut rates = Rates::new(10, 100);
    for number in 0..10_000u32 {
        assert!(rates.take(at(u64::from(number) / 100), Source::of(IpAddr::V4(number.into()))));
        assert!(rates.len() <= 100);
    }
    rates.take(at(10_000), source(1));
    assert_eq!(rates.len(), 1, "full buckets are not kept");
}

#[test]
fn a_source_is_an_ipv4_address_or_an_ipv6_network() {
    let of = |text: &str| Source::of(text.parse().unwrap());
    assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
    assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    assert_eq!(of("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
}

#[test]
fn a_burst_waits_until_those_before_it_have_had_time_to_speak() {
    let mut admission = Admission::new(Bounds { max_silent: 2, ..Bounds::default() });
    arrive(&mut admission, 0, 0, 1);
    arrive(&mut admission, 5, 1, 1);
    assert_eq!(admission.arrive(at(6), SessionId(2), source(1)), Arrival::Later(at(20)));
    assert_eq!(arrive(&mut admission, 20, 2, 1), [SessionId(0)]);
    assert!(admission.hello(at(21), SessionId(1)).is_ok());
    assert_eq!(arrive(&mut admission, 22, 3, 1), []);
}

#[test]
fn handshakes_that_wait_for_the_processor_are_few_and_others_keep_theirs() {
    let mut admission = Admission::new(Bounds { max_handshakes_at_work: 8, ..Bounds::default() });
    let mut hello = |id: u64, by: u8| {
        arrive(&mut admission, 0, id, by);
        admission.hello(at(0), SessionId(id))
    };
    let begun = (0..20).filter(|id| hello(*id, 1).is_ok()).count();
    assert_eq!(begun, 6, "three quarters");
    assert!(hello(20, 2).is_ok() && hello(21, 3).is_ok());
    assert_eq!(hello(22, 4), Err(Refused::Busy));
}
