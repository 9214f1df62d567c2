use proptest::prelude::*;

use super::*;

fn car(number: u8) -> Identity {
    format!("urn:voltmesh:edge:car-{number}").parse().unwrap()
}

fn small() -> Bounds {
    Bounds {
        max_sessions: 8,
        sessions_per_identity: 3,
        reserved_sessions: 2,
        remembered_identities: 4,
        ..Bounds::default()
    }
}

#[test]
fn the_session_past_an_identitys_share_is_refused_and_others_get_in() {
    let mut places = Places::new(Bounds::default());
    let admit =
        |places: &mut Places, id: u64, who: u8, name: String| places.admit(SessionId(id), &car(who), &name);
    let admitted = (0..1000).filter(|id| admit(&mut places, *id, 1, format!("id-{id}")).is_ok()).count();
    assert_eq!(admitted, 8);
    assert_eq!(admit(&mut places, 1000, 1, "id-9".into()).unwrap_err(), Crowded::Identity);
    assert_eq!(Crowded::Identity.reason(), Reason::QUOTA_EXCEEDED);
    admit(&mut places, 1001, 2, String::new()).unwrap();
    // The same client id takes its session over.
    admit(&mut places, 1002, 1, "id-0".into()).unwrap();
    places.leave(SessionId(0), &car(1), "id-0");
    assert_eq!(places.figures(), (9, 0), "the former session has no place to give back");
    places.leave(SessionId(1002), &car(1), "id-0");
    assert_eq!(places.figures(), (8, 0));
}

#[test]
fn strangers_leave_places_for_those_who_were_here() {
    let mut places = Places::new(Bounds::of_sessions(100));
    for who in 0..30 {
        places.admit(SessionId(who.into()), &car(who), "").unwrap();
    }
    for who in 0..30 {
        places.leave(SessionId(who.into()), &car(who), "");
    }
    let strangers = (100..200).filter(|who| places.admit(SessionId((*who).into()), &car(*who), "").is_ok());
    assert_eq!(strangers.count(), 75, "a quarter is kept");
    assert_eq!(places.admit(SessionId(300), &car(250), "").unwrap_err(), Crowded::Reserved);
    // A second session of somebody who is here is not what is kept.
    assert_eq!(places.admit(SessionId(301), &car(100), "b").unwrap_err(), Crowded::Reserved);
    for who in 0..25 {
        places.admit(SessionId(400 + u64::from(who)), &car(who), "").unwrap();
    }
    assert_eq!(places.admit(SessionId(500), &car(26), "").unwrap_err(), Crowded::Total);
}

#[test]
fn all_places_are_for_strangers_while_nobody_is_away() {
    let mut places = Places::new(Bounds::of_sessions(4));
    let admitted = (0..10).filter(|who| places.admit(SessionId((*who).into()), &car(*who), "").is_ok());
    assert_eq!(admitted.count(), 4);
}

proptest! {
    #[test]
    fn who_was_here_gets_in_while_a_place_is_free(steps in prop::collection::vec((any::<bool>(), 0u8..12, 0u8..5), 1..300)) {
        let bounds = small();
        let mut places = Places::new(bounds.clone());
        // The place of each, and who was here last and is away.
        let mut open: BTreeMap<(u8, u8), u64> = BTreeMap::new();
        let mut away: Vec<u8> = Vec::new();
        for (id, (leaves, who, name)) in steps.into_iter().enumerate() {
            let id = id as u64;
            let own = open.keys().filter(|(other, _)| *other == who).count();
            if leaves {
                let Some(session) = open.remove(&(who, name)) else { continue };
                places.leave(SessionId(session), &car(who), &name.to_string());
                if own == 1 {
                    away.push(who);
                    if away.len() > bounds.remembered_identities {
                        away.remove(0);
                    }
                }
            } else {
                let kept = if away.contains(&who) { 0 } else { away.len().min(bounds.reserved_sessions) };
                let expected = if open.contains_key(&(who, name)) {
                    None
                } else if own >= bounds.sessions_per_identity {
                    Some(Crowded::Identity)
                } else if open.len() >= bounds.max_sessions {
                    Some(Crowded::Total)
                } else if open.len() + kept >= bounds.max_sessions {
                    Some(Crowded::Reserved)
                } else {
                    None
                };
                prop_assert_eq!(places.admit(SessionId(id), &car(who), &name.to_string()).err(), expected);
                if expected.is_none() {
                    open.insert((who, name), id);
                    away.retain(|other| *other != who);
                }
            }
            prop_assert_eq!(places.figures(), (open.len(), away.len()));
            prop_assert!(open.len() <= bounds.max_sessions);
        }
    }
}
