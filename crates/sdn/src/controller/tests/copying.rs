//! A controller that stands by copies what operators decided at the one that commands.

use super::world::policy;
use super::*;
use proptest::prelude::*;

fn deployment(name: &str, function: &str) -> Deployment {
    Deployment {
        name: name.to_owned(),
        function: function.to_owned(),
        release: None,
        configuration: serde_json::Map::new(),
        bounds: None,
        commands_per_min: None,
        vehicles: BTreeSet::new(),
        conditions: BTreeSet::new(),
    }
}

fn standing_by(now: Timestamp) -> Controller {
    Controller::new(now, Settings::default(), Kept::default(), Rules::default(), policy())
}

#[test]
fn who_takes_over_goes_on_with_what_operators_decided_at_the_other() {
    let mut world = running(1);
    let number =
        world.controller.kept().assignment(&car(1), GUARD).and_then(|at| at.decision).expect("decided");
    world.request(Request::Undo(number)).expect("an operator may");
    world.request(Request::Deploy(deployment("cooling", "temperature-regulation"))).expect("taken");
    world.live(3);
    let cooled = Some(fog(1));
    assert_eq!(
        (world.place(&car(1), GUARD), world.place(&car(1), "temperature-regulation")),
        (None, cooled.clone())
    );

    // The other one has nothing on its disk but what it copies.
    let copy = world.controller.kept().copy();
    let term = world.disk.term;
    world.stand_by(Kept::default());
    world.handle(Input::Copied { whole: true, changes: copy.clone() });
    assert_eq!(world.disk.copy(), copy, "and it is on its disk");
    let ordered = world.sent.len();
    world.live(3);
    assert_eq!(world.sent.len(), ordered, "it orders nothing");
    world.handle(Input::Term(Some(term + 1)));
    world.live(40);
    assert_eq!((world.place(&car(1), GUARD), world.place(&car(1), "temperature-regulation")), (None, cooled));
    assert!(
        world.controller.kept().assignment(&car(1), "temperature-regulation").expect("known").epoch.0 > term
    );

    // What commands takes no notice of what another says.
    let before = world.controller.kept().clone();
    world.handle(Input::Copied { whole: true, changes: Vec::new() });
    assert_eq!(world.controller.kept(), &before);
}

#[test]
fn rules_that_operators_set_are_followed_at_once_and_what_is_none_is_refused() {
    let now = Timestamp::from_millis(1);
    let mut controller = standing_by(now);
    let rules = |text: &str| Change::Rules {
        rules: Replaced { instead_of: Digest::of(b"configured"), text: text.to_owned() },
    };
    let none = "version = 1\n[sensors]\nvoltage_v = 0.1\ntemperature_c = 1.0\ncurrent_a = 1.0\n";
    let absurd = crate::policy::Bounds { derate: Some([0.5, 2.0]), ..Default::default() };
    let refused = [
        rules("version = 2"),
        Change::Deployed { deployment: Deployment { bounds: Some(absurd), ..deployment("a", GUARD) } },
    ];
    let changes = [&refused[..], &[rules(none), Change::Term { term: 9 }]].concat();
    let persisted = controller.handle(now, Input::Copied { whole: false, changes });
    assert_eq!(persisted, [Output::Persist(rules(none))]);
    assert_eq!((controller.counters().copied, controller.counters().copies_refused), (1, 2));
    assert_eq!(controller.kept().term, 0);
}

fn change() -> impl Strategy<Value = Change> {
    let (vehicle, function) = (1_usize..4, prop::sample::select(vec![GUARD, "cooling"]));
    let (held, granted) = ((vehicle.clone(), function.clone(), 0_u64..3), (vehicle, function.clone()));
    prop_oneof![
        any::<bool>().prop_map(|paused| Change::Paused { paused }),
        (function.clone(), 0_u32..3, any::<bool>()).prop_map(|(function, patch, withdrawn)| {
            Change::Release { release: Release { withdrawn, ..release(function, patch) } }
        }),
        ("[a-c]", function)
            .prop_map(|(name, function)| Change::Deployed { deployment: deployment(&name, function) }),
        "[a-c]".prop_map(|name| Change::Undeployed { name }),
        held.prop_map(|(n, function, decision)| Change::Withheld {
            vehicle: car(n),
            function: function.to_owned(),
            decision
        }),
        granted.prop_map(|(n, function)| Change::Granted { vehicle: car(n), function: function.to_owned() }),
        (1_u32..9).prop_map(|term| Change::Term { term }),
    ]
}

proptest! {
    /// Whatever a controller that stands by kept before: after a whole copy, and after what changes since, it keeps what is copied as
    /// the original does, but for releases that are withdrawn at one of them.
    #[test]
    fn a_copy_keeps_what_the_original_keeps(
        own in prop::collection::vec(change(), 0..20),
        before in prop::collection::vec(change(), 0..20),
        since in prop::collection::vec(change(), 0..20),
    ) {
        let now = Timestamp::from_millis(1);
        let mut controller = standing_by(now);
        let (mut original, mut disk) = (Kept::default(), Kept::default());
        let mut copy = |controller: &mut Controller, whole, changes| {
            for output in controller.handle(now, Input::Copied { whole, changes }) {
                match output {
                    Output::Persist(change) => disk.apply(&change),
                    other => panic!("{other:?}"),
                }
            }
        };
        copy(&mut controller, false, own);
        before.iter().for_each(|change| original.apply(change));
        copy(&mut controller, true, original.copy());
        for change in since {
            original.apply(&change);
            if change.is_copied() {
                copy(&mut controller, false, vec![change]);
            }
        }
        let kept = controller.kept();
        prop_assert_eq!(kept, &disk);
        prop_assert_eq!(
            (kept.paused, &kept.deployments, &kept.withheld),
            (original.paused, &original.deployments, &original.withheld)
        );
        for (digest, release) in &original.releases {
            let known = &kept.releases[digest];
            prop_assert!(known == release || known.withdrawn);
        }
        let again = controller.handle(now, Input::Copied { whole: true, changes: original.copy() });
        prop_assert_eq!(again, vec![], "a second time is nothing new");
    }
}
