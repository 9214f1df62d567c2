//! A controller that stood by takes the term.

use super::world::{World, car, fog};
use super::*;

/// Whatever it remembers: nothing, or what it ordered when it held an earlier term and the vehicle was elsewhere.
#[test]
fn a_standby_that_takes_the_term_goes_on_with_what_runs_where_it_runs() {
    for remembers in [false, true] {
        let mut world = World::new(2, 1);
        world.live(5);
        let old = match remembers {
            true => world.disk.clone(),
            false => Kept { releases: world.disk.releases.clone(), ..Kept::default() },
        };
        // The other one commands, and moves the functions to where the vehicle is.
        world.restart();
        world.at.insert(car(1), Some(fog(2)));
        world.live(10);
        let (term, before) = (world.disk.term, world.fogs[&fog(2)].running.clone());
        assert!(before.contains_key(&(car(1), GUARD.to_owned())), "{before:?}");
        assert!(world.fogs[&fog(1)].running.is_empty());

        world.stand_by(old);
        world.live(10);
        let stands_by = world.now;
        let event = FunctionEvent {
            vehicle: car(1),
            function: GUARD.to_owned(),
            release: Digest::ZERO,
            epoch: (term, 1),
            number: 0,
            at_ms: 0,
            kind: "k".to_owned(),
            severity: Severity::Information,
            text: String::new(),
            figures: Vec::new(),
        };
        world.handle(Input::Report { fog: fog(2), report: Box::new(FunctionReport::Event(event)) });
        assert_eq!(world.controller.counters().refused.len(), 0, "leases of the other one are no fault");
        assert_eq!(world.sent_since(stands_by).count(), 0);

        world.handle(Input::Term(Some(term + 1)));
        world.live(60);
        let after = &world.fogs[&fog(2)].running;
        assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "{remembers}");
        assert!(after.values().all(|(epoch, _)| epoch.0 == term + 1), "{after:?}");
        let elsewhere = |(_, to, order): &&(Timestamp, String, Planned)| {
            *to != fog(2) || matches!(order.work, PlannedWork::End { .. })
        };
        assert_eq!(world.sent_since(stands_by).find(elsewhere), None, "{remembers}");
    }
}
