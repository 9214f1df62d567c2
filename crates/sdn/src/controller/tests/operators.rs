//! What operators ask for.

use super::*;

#[test]
fn an_upgrade_and_a_withdrawal_reach_the_fog_node() {
    let mut world = running(1);
    let digest = |world: &World| world.fogs[&fog(1)].running.get(&(car(1), GUARD.to_owned())).map(|it| it.1);
    let new = release(GUARD, 1);
    world.request(Request::Publish(new.clone())).expect("taken");
    world.live(2);
    assert_eq!(digest(&world), Some(new.digest));
    world.request(Request::Withdraw(new.digest)).expect("known");
    world.live(2);
    assert_eq!(digest(&world), Some(release(GUARD, 0).digest), "the one before runs again");
    world.request(Request::Withdraw(release(GUARD, 0).digest)).expect("known");
    world.live(2);
    assert_eq!(digest(&world), None);
    let view = world.controller.vehicle(&car(1)).expect("seen");
    assert!(view.unplaced[GUARD].contains("withdrawn"), "{:?}", view.unplaced);
    let error = world.request(Request::Publish(new)).expect_err("it is withdrawn");
    assert!(matches!(error, RequestError::Conflict(_)), "{error}");
}

#[test]
fn what_cannot_be_done_is_refused_with_the_remedy() {
    let mut world = running(1);
    let deployment = |function: &str, release| Deployment {
        name: "a".to_owned(),
        function: function.to_owned(),
        release,
        configuration: serde_json::Map::new(),
        bounds: None,
        commands_per_min: None,
        vehicles: BTreeSet::new(),
        conditions: BTreeSet::new(),
    };
    let same_version = Release { digest: Digest::of(b"other"), ..release(GUARD, 0) };
    let absurd = crate::policy::Bounds { derate: Some([0.5, 2.0]), ..Default::default() };
    let before = world.controller.kept().clone();
    for (request, names) in [
        (Request::Undo(999), "no decision 999"),
        (Request::Undeploy("a".to_owned()), "\"a\""),
        (Request::Withdraw(Digest::of(b"x")), "no release"),
        (Request::Deploy(deployment("absent", None)), "publish one first"),
        (Request::Deploy(deployment(GUARD, Some(Digest::of(b"x")))), "never published"),
        (Request::Deploy(deployment(GUARD, Some(release("down-sampling", 0).digest))), "down-sampling"),
        (Request::Publish(same_version), "another version"),
        (Request::Publish(Release { version: (9, 0, 0), ..release(GUARD, 0) }), "another component"),
        (
            Request::Publish(Release { function: "renamed".to_owned(), ..release(GUARD, 0) }),
            "another component",
        ),
        (
            Request::Deploy(Deployment { bounds: Some(absurd), ..deployment(GUARD, None) }),
            "derate is [least, most]",
        ),
    ] {
        let what = format!("{request:?}");
        let error = world.request(request).expect_err(&what).to_string();
        assert!(error.contains(names), "{what}: {error}");
    }
    assert_eq!(world.controller.kept(), &before, "nothing has changed");
}

#[test]
fn an_undone_decision_takes_its_function_until_it_is_deployed_anew() {
    let mut world = running(1);
    let number =
        world.controller.kept().assignment(&car(1), GUARD).and_then(|at| at.decision).expect("decided");
    world.request(Request::Undo(number)).expect("an operator may");
    world.live(3);
    assert_eq!(world.place(&car(1), GUARD), None);
    assert!(world.controller.vehicle(&car(1)).expect("seen").withheld.contains_key(GUARD));
    assert!(world.request(Request::Undo(number)).is_err(), "once");
    let deployment = Deployment {
        name: "again".to_owned(),
        function: GUARD.to_owned(),
        release: None,
        configuration: serde_json::Map::new(),
        bounds: None,
        commands_per_min: None,
        vehicles: [car(1)].into(),
        conditions: BTreeSet::new(),
    };
    world.request(Request::Deploy(deployment)).expect("taken");
    world.live(3);
    assert_eq!(world.place(&car(1), GUARD), Some(fog(1)));
}

#[test]
fn a_paused_controller_and_one_without_a_term_order_nothing() {
    for pause in [true, false] {
        let mut world = running(2);
        if pause {
            world.request(Request::Pause).expect("it can be paused");
        } else {
            world.handle(Input::Term(None));
        }
        let at = later(world.now, 1);
        world.pass(1);
        world.hot.insert(car(1));
        world.at.insert(car(1), Some(fog(2)));
        world.live(15);
        assert_eq!(world.sent_since(at).count(), 0);
        assert!(world.controller.conditions().count() > 0, "conditions are followed all the same");
        if pause {
            world.request(Request::Resume).expect("it can go on");
            world.live(5);
            assert_eq!(world.place(&car(1), "temperature-regulation"), Some(fog(2)));
        }
    }
}
