//! Laws under any order of inputs: one lease an epoch, orders confirmed or replaced, the same after a restart.

use super::super::*;
use super::world::{World, car, fog};
use proptest::prelude::*;

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    Second,
    Pass(u64),
    Deliver(usize),
    Roam(usize, Option<usize>),
    Down(usize),
    Up(usize),
    Wipe(usize),
    Hot(usize, bool),
    Deaf(usize, bool),
    Refuse(usize, u32),
    /// Killed after so many of the outputs of a tick were done.
    Kill(usize),
    Pause(bool),
    Withdraw,
}

const FOGS: usize = 3;
const CARS: usize = 2;

fn step() -> impl Strategy<Value = Step> {
    let (a_fog, a_car) = (1..=FOGS, 1..=CARS);
    prop_oneof![
        4 => Just(Step::Second),
        3 => (1_u64..7_000).prop_map(Step::Pass),
        4 => (1_usize..9).prop_map(Step::Deliver),
        3 => (a_car.clone(), proptest::option::of(a_fog.clone())).prop_map(|(car, at)| Step::Roam(car, at)),
        2 => a_fog.clone().prop_map(Step::Down),
        3 => a_fog.clone().prop_map(Step::Up),
        1 => a_fog.clone().prop_map(Step::Wipe),
        2 => (a_car, any::<bool>()).prop_map(|(car, hot)| Step::Hot(car, hot)),
        1 => (a_fog.clone(), any::<bool>()).prop_map(|(fog, deaf)| Step::Deaf(fog, deaf)),
        1 => (a_fog, 0_u32..4).prop_map(|(fog, count)| Step::Refuse(fog, count)),
        2 => (0_usize..12).prop_map(Step::Kill),
        1 => any::<bool>().prop_map(Step::Pause),
        1 => Just(Step::Withdraw),
    ]
}

fn take(world: &mut World, step: Step) {
    match step {
        Step::Second => world.live(1),
        Step::Pass(ms) => world.pass(ms),
        Step::Deliver(count) => world.deliver(count),
        Step::Roam(n, at) => {
            world.at.insert(car(n), at.map(fog));
        }
        Step::Down(n) => world.disconnect(&fog(n)),
        Step::Up(n) => world.connect(&fog(n)),
        Step::Wipe(n) => {
            world.disconnect(&fog(n));
            world.fogs.insert(fog(n), super::world::Fog::default());
        }
        Step::Hot(n, true) => {
            world.hot.insert(car(n));
        }
        Step::Hot(n, false) => {
            world.hot.remove(&car(n));
        }
        Step::Deaf(n, deaf) => world.fogs.get_mut(&fog(n)).expect("there").deaf = deaf,
        Step::Refuse(n, count) => world.fogs.get_mut(&fog(n)).expect("there").refuses = count,
        Step::Kill(done) => {
            let outputs = world.controller.handle(world.now, Input::Tick);
            world.perform(outputs, done);
            world.restart();
        }
        Step::Pause(true) => world.request(Request::Pause).expect("it can be paused"),
        Step::Pause(false) => world.request(Request::Resume).expect("it can go on"),
        Step::Withdraw => {
            // Of one function the second release comes and goes.
            let release = super::world::release("plating-guard", 1);
            world.request(Request::Publish(release.clone())).ok();
            world.live(1);
            world.request(Request::Withdraw(release.digest)).expect("it is known");
        }
    }
}

/// All is well from here on: everything that went wrong is over, and every back-off has ended.
fn calm(world: &mut World) {
    world.request(Request::Resume).expect("it can go on");
    for (n, at) in (1..=CARS).map(|n| (car(n), fog(n))) {
        world.at.insert(n.clone(), Some(at));
        world.hot.remove(&n);
    }
    for n in 1..=FOGS {
        let node = world.fogs.get_mut(&fog(n)).expect("there");
        (node.deaf, node.refuses) = (false, 0);
        world.connect(&fog(n));
    }
    world.live(700);
}

fn wanted() -> [&'static str; 3] {
    ["soc-soh-estimation", "charging-control", "plating-guard"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// The world checks each lease as it is sent: its epoch is its own, higher than all before, and reserved on disk.
    #[test]
    fn whatever_happens_each_function_ends_at_one_place(steps in proptest::collection::vec(step(), 0..40)) {
        let mut world = World::new(FOGS, CARS);
        for step in steps {
            take(&mut world, step);
        }
        calm(&mut world);
        for n in 1..=CARS {
            for function in wanted() {
                let assignment = world.controller.kept().assignment(&car(n), function);
                let assignment = assignment.unwrap_or_else(|| panic!("{function} of car-{n} runs nowhere"));
                prop_assert_eq!(&assignment.phase, &Phase::Running);
                prop_assert_eq!(&assignment.fog, &fog(n));
                let key = (car(n), function.to_owned());
                let holders: Vec<&String> = world
                    .fogs
                    .iter()
                    .filter(|(_, node)| node.running.contains_key(&key))
                    .map(|(fog, _)| fog)
                    .collect();
                let expected = fog(n);
                prop_assert_eq!(holders, vec![&expected], "who runs {} of car-{}", function, n);
                let newest = world.leases.keys().filter(|(other, _)| *other == key).map(|(_, epoch)| *epoch).max();
                prop_assert_eq!(newest, Some(assignment.epoch));
            }
        }
        prop_assert_eq!(world.controller.orders.len(), 0, "no order waits");
        prop_assert_eq!(world.controller.kept(), &world.disk, "the disk has all");

        // Killed now and started again: the same deployments, and nothing is ordered anew.
        let before = world.disk.assignments.clone();
        let at = world.now;
        world.pass(1);
        world.restart();
        world.live(40);
        prop_assert_eq!(&world.disk.assignments, &before);
        let runs = world.sent_since(later(at, 1)).filter(|(.., order)| !matches!(order.work, PlannedWork::Condition { .. }));
        prop_assert_eq!(runs.count(), 0);
    }
}
