//! Controllers with clocks of their own before a ledger that applies the rules of policy transactions.

use super::*;
use proptest::prelude::*;
use voltmesh_ledger::{Hash, testing::controller};

const TENURE_MS: u64 = 10_000;
const MARGIN_MS: u64 = TENURE_MS / 5;
/// Time at which the worlds begin: clocks may be behind it.
const START_MS: u64 = 1_000_000;

fn me(n: usize) -> PublicKey {
    use commonware_cryptography::Signer as _;
    use std::sync::LazyLock;
    static KEYS: LazyLock<Vec<PublicKey>> =
        LazyLock::new(|| (0..3).map(|n| controller(n).public_key()).collect());
    KEYS[n].clone()
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

/// A controller's process.
struct Node {
    tenure: Tenure,
    /// Its clock minus the true one, in ms.
    skew: i64,
    /// Until when it stands still.
    paused: u64,
    written: Vec<SaltedDigest>,
}

/// The ledger's rules (`voltmesh_ledger`, policy transactions) on one final block after the other.
struct World {
    now: u64,
    term: Term,
    height: u64,
    nodes: Vec<Node>,
    /// Transactions on their way: when they arrive, and whose they are.
    sent: Vec<(u64, usize, Asked)>,
    decisions: Vec<(usize, u32, SaltedDigest)>,
    /// Who held which term.
    holders: std::collections::BTreeMap<u32, usize>,
}

impl World {
    fn new(skews: &[i64]) -> Self {
        let node = |(n, skew): (usize, &i64)| Node {
            tenure: new(n, 0),
            skew: *skew,
            paused: 0,
            written: Vec::new(),
        };
        Self {
            now: START_MS,
            term: Term::default(),
            height: 1,
            nodes: skews.iter().enumerate().map(node).collect(),
            sent: Vec::new(),
            decisions: Vec::new(),
            holders: std::collections::BTreeMap::new(),
        }
    }

    fn clock(&self, n: usize) -> Timestamp {
        at(self.now.saturating_add_signed(self.nodes[n].skew))
    }

    fn give(&mut self, n: usize, input: Input, delay: u64) {
        let now = self.clock(n);
        for output in self.nodes[n].tenure.handle(now, input) {
            match output {
                Output::Submit(asked) => self.sent.push((self.now + delay, n, asked)),
                Output::Written(decision) => self.nodes[n].written.push(decision),
            }
        }
    }

    /// A block takes what has arrived.
    fn block(&mut self) {
        self.height += 1;
        let now = self.now;
        let arrived: Vec<_> = self.sent.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, n, asked) in arrived {
            self.apply(n, asked);
        }
    }

    fn apply(&mut self, n: usize, asked: Asked) {
        let Asked { term, number, expires, until, act } = asked;
        if expires < at(self.now) || until.as_millis() > self.now + 60_000 {
            return;
        }
        let holds = self.term.holder.as_ref() == Some(&me(n));
        match act {
            PolicyAct::TakeTerm => {
                let free = self.term.holder.is_none() || holds || at(self.now) > self.term.until;
                if term == self.term.term + 1 && free {
                    self.term = Term { term, holder: Some(me(n)), until, next: 0 };
                    assert!(self.holders.insert(term, n).is_none(), "term {term} twice");
                }
            }
            _ if term != self.term.term || !holds || number < self.term.next => {}
            act => {
                self.term.until = self.term.until.max(until);
                self.term.next = number + 1;
                if let PolicyAct::Decide { decision } = act {
                    self.decisions.push((n, term, decision));
                }
            }
        }
    }

    fn is_awake(&self, n: usize) -> bool {
        self.nodes[n].paused <= self.now
    }

    /// A controller hears who commands, where that has changed, and of its decisions where evidence comes through.
    fn hear(&mut self, n: usize, evidence: bool, delay: u64) {
        if !self.is_awake(n) {
            return;
        }
        if evidence {
            let from = self.decisions.len().saturating_sub(4);
            let newest = self.decisions[from..].to_vec();
            for (by, _, decision) in newest {
                self.give(n, Input::Decided { by: me(by), decision }, delay);
            }
        }
        if self.nodes[n].tenure.view().is_none_or(|view| view.term != self.term) {
            let view = View { height: self.height, time: at(self.now), term: self.term.clone() };
            self.give(n, Input::View(view), delay);
        }
    }

    /// Lets time pass: 100 ms, a block, everybody who is awake looks at the clock.
    fn step(&mut self, hears: impl Fn(usize) -> bool) {
        self.now += 100;
        self.block();
        for n in 0..self.nodes.len() {
            if hears(n) {
                self.hear(n, true, 30);
            }
            if self.is_awake(n) {
                self.give(n, Input::Tick, 30);
            }
        }
    }

    /// Who commands now, of those that do not stand still: what one that stands still would do is done when it wakes.
    fn commanding(&self) -> Vec<(usize, u32)> {
        let held = |n: usize| Some((n, self.nodes[n].tenure.held(self.clock(n))?));
        (0..self.nodes.len()).filter(|n| self.is_awake(*n)).filter_map(held).collect()
    }

    fn check(&self) {
        let commanding = self.commanding();
        assert!(commanding.len() <= 1, "{commanding:?} command at once at {}", self.now);
        for (n, term) in commanding {
            assert_eq!(self.holders.get(&term), Some(&n), "it never held term {term}");
        }
    }

    fn run(&mut self, ms: u64, hears: impl Fn(usize) -> bool + Copy) {
        for _ in 0..ms / 100 {
            self.step(hears);
            self.check();
        }
    }
}

fn new(n: usize, least: u32) -> Tenure {
    Tenure::new(Settings { me: me(n), tenure_ms: TENURE_MS, least })
}

#[test]
fn one_of_two_takes_the_term_and_keeps_it() {
    let mut world = World::new(&[0, 0]);
    world.run(2_000, |_| true);
    let first = world.commanding();
    assert_eq!(first.len(), 1, "{:?}", world.term);
    world.run(120_000, |_| true);
    assert_eq!(world.commanding(), first, "it renews");
}

#[test]
fn a_standby_takes_over_within_the_tenure_and_the_margin() {
    for skews in [[0, 0], [1_900, 0], [0, 1_900], [-1_900, 0], [0, -1_900]] {
        let mut world = World::new(&skews);
        world.run(5_000, |_| true);
        let [(active, term)] = world.commanding()[..] else { panic!("nobody commands") };
        // It is killed: nothing of it is heard any more.
        world.nodes[active].paused = u64::MAX;
        let mut waited = 0;
        while world.commanding().is_empty() {
            world.run(100, |_| true);
            waited += 100;
            assert!(waited <= TENURE_MS + 2 * MARGIN_MS + 1_000, "{skews:?}: nobody after {waited} ms");
        }
        assert_eq!(world.commanding(), [(1 - active, term + 1)]);
    }
}

#[test]
fn one_that_stood_still_does_not_command_when_it_wakes() {
    let mut world = World::new(&[0, 0]);
    world.run(5_000, |_| true);
    let [(active, term)] = world.commanding()[..] else { panic!("nobody commands") };
    world.nodes[active].paused = world.now + 30_000;
    world.run(29_000, |_| true);
    assert_eq!(world.commanding(), [(1 - active, term + 1)]);
    // It wakes, and has heard nothing yet: by its clock its term is over.
    world.now = world.nodes[active].paused;
    assert_eq!(world.nodes[active].tenure.held(world.clock(active)), None);
    world.run(20_000, |_| true);
    assert_eq!(world.commanding(), [(1 - active, term + 1)], "it stands by");
}

#[test]
fn whoever_hears_nothing_of_the_ledger_stops_before_another_begins() {
    let mut world = World::new(&[0, 0]);
    world.run(5_000, |_| true);
    let [(active, term)] = world.commanding()[..] else { panic!("nobody commands") };
    // It goes on, and nothing that it sends arrives.
    let mut others = Vec::new();
    for _ in 0..300 {
        world.step(|n| n != active);
        world.sent.retain(|(_, by, _)| *by != active);
        world.check();
        others.extend(world.commanding().into_iter().filter(|(n, _)| *n != active));
    }
    assert_eq!(others.first(), Some(&(1 - active, term + 1)));
}

#[test]
fn a_new_life_takes_a_new_term_at_once() {
    let mut world = World::new(&[0]);
    world.run(2_000, |_| true);
    assert_eq!(world.commanding(), [(0, 1)]);
    world.nodes[0].tenure = new(0, 2);
    world.run(1_000, |_| true);
    assert_eq!(world.commanding(), [(0, 2)]);
    // Terms that it used elsewhere are skipped.
    world.nodes[0].tenure = new(0, 9);
    world.run(10_000, |_| true);
    assert_eq!(world.commanding(), [(0, 9)]);
}

#[test]
fn decisions_are_written_one_after_the_other_and_again_where_they_were_lost() {
    let mut world = World::new(&[0]);
    world.run(2_000, |_| true);
    let decision = |n: u8| Hash::new([n; 32]);
    for n in 1..=3 {
        world.give(0, Input::Write(decision(n)), 30);
        assert!(world.nodes[0].tenure.is_writing());
        world.run(1_000, |_| true);
        assert_eq!(world.nodes[0].written.len(), usize::from(n));
    }
    // The transaction is lost, every time for a while.
    world.give(0, Input::Write(decision(4)), 30);
    for _ in 0..80 {
        world.step(|_| true);
        world.sent.clear();
    }
    world.run(15_000, |_| true);
    // The evidence is lost.
    world.give(0, Input::Write(decision(5)), 30);
    for _ in 0..40 {
        world.now += 100;
        world.block();
        world.hear(0, false, 30);
        world.give(0, Input::Tick, 30);
    }
    world.run(10_000, |_| true);
    let written: Vec<_> = (1..=5).map(decision).collect();
    assert_eq!(world.nodes[0].written, written);
    let held: std::collections::BTreeSet<_> = world.decisions.iter().map(|one| one.2).collect();
    assert_eq!(held.into_iter().collect::<Vec<_>>(), written);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many steps in which those of the mask hear of blocks.
    Pass(u64, u8),
    Pause(usize, u64),
    Restart(usize),
    Lose,
    Write(usize, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1..80u64, any::<u8>()).prop_map(|(steps, mask)| Step::Pass(steps, mask)),
        1 => (0..3usize, 1..30_000u64).prop_map(|(n, ms)| Step::Pause(n, ms)),
        1 => (0..3usize).prop_map(Step::Restart),
        1 => Just(Step::Lose),
        2 => (0..3usize, any::<u8>()).prop_map(|(n, what)| Step::Write(n, what)),
    ];
    proptest::collection::vec(step, 0..40)
}

proptest! {
    /// Whatever is lost, whoever stands still or begins anew, and however clocks differ within the margin: no two command at once,
    /// none commands in a term that it did not take, and in the end one does.
    #[test]
    fn no_two_command_at_once(
        steps in steps(),
        skews in proptest::array::uniform3(-(MARGIN_MS as i64) / 2..MARGIN_MS as i64 / 2),
    ) {
        let mut world = World::new(&skews);
        for step in steps {
            match step {
                Step::Pass(steps, mask) => {
                    for _ in 0..steps {
                        world.step(|n| mask & (1 << n) != 0);
                        world.check();
                    }
                }
                Step::Pause(n, ms) => world.nodes[n].paused = world.now + ms,
                Step::Restart(n) => {
                    let used = world.holders.iter().filter(|(_, by)| **by == n).map(|(term, _)| *term).max();
                    world.nodes[n].tenure = new(n, used.unwrap_or_default() + 1);
                    world.nodes[n].paused = 0;
                }
                Step::Lose => world.sent.clear(),
                Step::Write(n, what) => {
                    if !world.nodes[n].tenure.is_writing() {
                        world.give(n, Input::Write(Hash::new([what; 32])), 30);
                    }
                }
            }
            world.check();
        }
        world.nodes.iter_mut().for_each(|node| node.paused = 0);
        world.run(60_000, |_| true);
        prop_assert_eq!(world.commanding().len(), 1);
    }
}
