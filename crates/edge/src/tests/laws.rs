//! Laws of the core, whatever happens in its [world](super::world).

use super::world::{FOGS, World, forge, settle};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Feed(u64),
    Deliver(u8),
    Pass(u64),
    Crash(u64),
    FogFails(usize),
    FogReturns(usize),
    Swallow(usize),
    Disk(bool),
    Forge(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1u64..9).prop_map(Step::Feed),
        10 => (1u8..20).prop_map(Step::Deliver),
        5 => prop_oneof![Just(50u64), Just(300), Just(1100), Just(6000), Just(40_000)].prop_map(Step::Pass),
        1 => (0u64..3).prop_map(Step::Crash),
        1 => (0..FOGS).prop_map(Step::FogFails),
        2 => (0..FOGS).prop_map(Step::FogReturns),
        1 => (0..FOGS).prop_map(Step::Swallow),
        1 => any::<bool>().prop_map(Step::Disk),
        1 => any::<u8>().prop_map(Step::Forge),
    ]
}

fn apply(world: &mut World, step: Step) {
    match step {
        Step::Feed(count) => world.feed(count),
        Step::Deliver(count) => (0..count).for_each(|_| {
            world.deliver();
        }),
        Step::Pass(ms) => world.pass(ms),
        Step::Crash(survivors) => world.crash(survivors),
        Step::FogFails(fog) => world.fail_fog(fog),
        Step::FogReturns(fog) => world.fogs[fog].up = true,
        Step::Swallow(fog) => world.fogs[fog].swallows = true,
        Step::Disk(works) => {
            world.disk_works = works;
            if works {
                world.schedule_sync();
            }
        }
        Step::Forge(pick) => {
            if world.durable > 0 {
                let position = u64::from(pick) % world.durable;
                forge(world, position);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Nothing is forgotten without a valid notice, no power cut loses a durable record or repeats one, numbers are
    /// contiguous, and once faults stop every sample of the source is archived exactly once.
    #[test]
    fn nothing_is_lost(steps in prop::collection::vec(step(), 0..150)) {
        let mut world = World::new(60);
        for step in steps {
            apply(&mut world, step);
        }
        settle(&mut world);
        world.check_archive();
    }
}
