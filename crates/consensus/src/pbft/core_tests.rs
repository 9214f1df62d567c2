//! Laws of the core, under random delivery: lost, doubled and disordered messages, and replicas that lie.

use crate::{
    common::chain::Executed,
    pbft::{
        Settings,
        certificate::{Ballot, Certificate, Phase, Seat, Signed, Voters},
        message::{Message, NewView, Proofs, Status, ViewChange},
        replica::Core,
        vocabulary::{Input, Output, To},
    },
};
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_consensus::types::View;
use commonware_cryptography::Digestible as _;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{sync::Arc, time::Duration};
use voltmesh_ledger::{Digest, Height, Timestamp, testing::Network};

pub(super) const START_MS: u64 = 1_000_000;

/// In which way a seat is faulty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Two replicas with one key, each of whom speaks to some of the others.
    Clones,
    /// It begins again from nothing now and then.
    Forgets,
    Silent,
}

/// A core and the seat that it speaks for.
struct Player {
    seat: Seat,
    core: Core,
    /// Seats that hear it.
    audience: Vec<Seat>,
    fault: Option<Fault>,
    finals: Vec<Digest>,
}

struct Game {
    keys: Network,
    settings: Settings,
    rng: StdRng,
    now: Timestamp,
    players: Vec<Player>,
    /// Messages under way: from, to a player, what.
    queue: Vec<(Seat, usize, Message)>,
    agreed: Vec<Digest>,
    /// Of a hundred messages, so many are lost.
    loss: u32,
    /// Of a hundred times that nothing is under way, primaries build so often.
    zeal: u32,
    views: u64,
}

impl Game {
    fn new(seed: u64, n: usize, fault: Option<Fault>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let keys = Network::with_epochs(n as u64, 1_000);
        let settings = Settings { checkpoint: 8, ..Settings::default() };
        let all: Vec<Seat> = (0..n as u8).map(Seat).collect();
        let mut players = Vec::new();
        let faulty = (n - 1) / 3;
        for seat in &all {
            let fault = fault.filter(|_| usize::from(seat.0) < faulty);
            let audiences = match fault {
                Some(Fault::Clones) => {
                    let (mut a, mut b) = (Vec::new(), Vec::new());
                    for other in &all {
                        match rng.random_range(0..5) {
                            0 => a.extend([*other]),
                            1 => b.extend([*other]),
                            2 => [&mut a, &mut b].into_iter().for_each(|side| side.push(*other)),
                            _ if other.0 % 2 == 0 => a.push(*other),
                            _ => b.push(*other),
                        }
                    }
                    vec![a, b]
                }
                Some(Fault::Silent) => vec![vec![]],
                _ => vec![all.clone()],
            };
            for audience in audiences {
                let core = core(&keys, *seat, settings, START_MS);
                players.push(Player { seat: *seat, core, audience, fault, finals: Vec::new() });
            }
        }
        let (now, zeal) = (Timestamp::from_millis(START_MS), rng.random_range(0..100));
        Self {
            keys,
            settings,
            rng,
            now,
            players,
            queue: Vec::new(),
            agreed: Vec::new(),
            loss: 0,
            zeal,
            views: 0,
        }
    }

    fn input(&mut self, index: usize, input: Input) {
        let outputs = self.players[index].core.handle(self.now, input);
        for output in outputs {
            let player = &mut self.players[index];
            match output {
                Output::Send(to, message) => {
                    let (from, audience) = (player.seat, player.audience.clone());
                    for (other, receiver) in self.players.iter().enumerate() {
                        let meant = to == To::All || to == To::One(receiver.seat);
                        let heard = audience.contains(&receiver.seat) && receiver.seat != from;
                        if meant && heard && self.rng.random_range(0..100) >= self.loss {
                            self.queue.push((from, other, message.clone()));
                        }
                    }
                }
                Output::Final(executed, _) if player.fault.is_none() => {
                    let at = player.finals.len();
                    assert_eq!(executed.block.header().height.get(), at as u64 + 1);
                    if at == self.agreed.len() {
                        self.agreed.push(executed.digest);
                    }
                    assert_eq!(self.agreed[at], executed.digest, "two blocks at height {}", at + 1);
                    player.finals.push(executed.digest);
                }
                Output::Final(..) => {}
                Output::Entered(view) => self.views = self.views.max(view.get()),
            }
        }
    }

    /// A primary builds. Its block differs from any other by its time.
    fn propose(&mut self, index: usize) {
        let Some(parent) = self.players[index].core.parent() else { return };
        let built = parent.build([], self.now.plus_millis(index as u64));
        let digest = built.block.digest();
        let (block, state, entries) = (Arc::new(built.block), Arc::new(built.state), Arc::new(built.entries));
        self.input(index, Input::Propose(Executed { block, digest, state, entries }));
    }

    fn step(&mut self) {
        let index = self.rng.random_range(0..self.players.len());
        match self.rng.random_range(0..100) {
            0..5 => self.propose(index),
            5 if self.players[index].fault == Some(Fault::Forgets) && self.rng.random_bool(0.3) => {
                let seat = self.players[index].seat;
                self.players[index].core = core(&self.keys, seat, self.settings, self.now.as_millis());
            }
            6 if self.loss > 0 && !self.queue.is_empty() => {
                let at = self.rng.random_range(0..self.queue.len());
                let (from, to, message) = self.queue[at].clone();
                self.input(to, Input::Message(from, message));
            }
            _ if !self.queue.is_empty() && self.rng.random_bool(0.98) => {
                // Old ones first more often, so that nothing waits for ever.
                let span = self.queue.len().min(self.rng.random_range(1..60));
                let at = self.rng.random_range(0..span);
                let (from, to, message) = self.queue.remove(at);
                self.input(to, Input::Message(from, message));
            }
            _ if self.queue.is_empty() && self.rng.random_range(0..100) < self.zeal => {
                (0..self.players.len()).for_each(|index| self.propose(index));
            }
            _ => {
                let next = self.players.iter().map(|player| player.core.deadline()).min().expect("players");
                let soon = self.now.plus_millis(self.rng.random_range(1..50));
                self.now = if self.queue.is_empty() { next.max(soon) } else { soon };
                for index in 0..self.players.len() {
                    if self.players[index].core.deadline() <= self.now {
                        self.input(index, Input::Tick);
                    }
                }
            }
        }
    }

    fn lowest(&self) -> usize {
        let honest = self.players.iter().filter(|player| player.fault.is_none());
        honest.map(|player| player.finals.len()).min().expect("honest replicas")
    }
}

pub(super) fn core(keys: &Network, seat: Seat, settings: Settings, now_ms: u64) -> Core {
    let key = keys.authority(seat.0.into()).clone();
    let now = Timestamp::from_millis(now_ms);
    Core::new(keys.genesis(), key, settings, Duration::from_secs(60), now)
}

/// Plays a bad time and then a good one: nobody contradicts anybody, and all go on in the good one. Returns the view.
fn play(seed: u64, n: usize, fault: Option<Fault>, loss: u32, steps: usize) -> u64 {
    let mut game = Game::new(seed, n, fault);
    game.loss = loss;
    for _ in 0..steps {
        game.step();
        // Someone waits in vain now and then.
        if game.rng.random_range(0..400) == 0 {
            game.now = game.now.plus_millis(3_000);
        }
    }
    game.loss = 0;
    let goal = game.agreed.len() + 12;
    let mut left = 60_000;
    while game.lowest() < goal {
        game.step();
        left -= 1;
        if left == 0 {
            let state: Vec<String> = game
                .players
                .iter()
                .map(|player| {
                    let core = &player.core;
                    format!(
                        "{:?} {:?}: final {}, view {} of {}, stable {}, top {}, slots {:?}",
                        player.seat,
                        player.fault,
                        core.tip.height(),
                        core.entered,
                        core.view,
                        core.stable_height(),
                        core.top,
                        core.slots.keys().collect::<Vec<_>>()
                    )
                })
                .collect();
            panic!(
                "seed {seed}, n {n}, {fault:?}: want {goal}, queue {}:\n{}",
                game.queue.len(),
                state.join("\n")
            );
        }
    }
    game.views
}

fn play_many(seeds: std::ops::Range<u64>, steps: usize) {
    let mut views = 0;
    for seed in seeds {
        let n = [4, 4, 5, 7][seed as usize % 4];
        let fault =
            [None, Some(Fault::Clones), Some(Fault::Forgets), Some(Fault::Silent)][seed as usize / 4 % 4];
        let loss = [0, 10, 30][seed as usize % 3];
        views += play(seed, n, fault, loss, steps);
    }
    assert!(views > 0, "the games were too easy");
}

#[test]
fn no_two_replicas_commit_differently_and_all_go_on() {
    play_many(0..32, 1_500);
}

/// Longer: `cargo test -p voltmesh-consensus --features slow`.
#[cfg(feature = "slow")]
#[test]
fn no_two_replicas_commit_differently_slow() {
    play_many(1_000..2_000, 4_000);
}

#[test]
fn checkpoints_move_the_watermarks_and_the_log_stays_short() {
    let mut game = Game::new(1, 4, None);
    game.zeal = 100;
    while game.lowest() < 40 {
        game.step();
        for player in &game.players {
            let core = &player.core;
            assert!(core.top.get() <= core.stable_height().get() + 2 * 8 || core.top <= core.tip.height());
            assert!(core.slots.len() as u64 <= core.window());
            assert!(core.blocks.len() + core.open.len() <= 2 * core.window() as usize);
        }
    }
    assert!(game.players.iter().all(|player| player.core.stable_height().get() >= 24));
    assert_eq!(game.views, 0);
}

#[test]
fn a_primary_has_only_its_pipeline_under_way() {
    let keys = Network::new(4);
    let settings = Settings { pipeline: 3, ..Settings::default() };
    let mut primary = core(&keys, Seat(0), settings, START_MS);
    let now = Timestamp::from_millis(START_MS);
    for height in 1..=3 {
        let parent = primary.parent().expect("has room");
        assert_eq!(parent.height().get(), height - 1);
        let built = parent.build([], now);
        let digest = built.block.digest();
        let (block, state, entries) = (Arc::new(built.block), Arc::new(built.state), Arc::new(built.entries));
        primary.handle(now, Input::Propose(Executed { block, digest, state, entries }));
    }
    assert!(primary.parent().is_none());
    assert!(core(&keys, Seat(1), settings, START_MS).parent().is_none(), "a backup builds nothing");
}

#[test]
fn no_number_that_a_peer_says_is_too_great() {
    let keys = Network::new(4);
    let voters = Voters::new(keys.genesis());
    let (view, height, far) = (View::new(u64::MAX), Height::new(u64::MAX), Timestamp::from_millis(START_MS));
    let digest = keys.genesis().block().digest();
    let signature = voters.sign(keys.authority(1), b"anything");
    let mut messages = vec![Message::Fetch(height), Message::Want(height, digest)];
    for (view, active) in [(view, true), (view, false), (View::zero(), true), (View::zero(), false)] {
        let (executed, accepted, stable) = (height, height, height);
        messages.push(Message::Status(Status { view, active, executed, accepted, stable }));
    }
    for phase in [Phase::Prepare, Phase::Commit, Phase::Checkpoint] {
        for view in [view, View::zero()] {
            let ballot = Ballot::new(phase, view, height, digest);
            messages.push(Message::Vote { ballot, signature: signature.clone() });
            messages.push(Message::Stable(certificate(&keys, ballot, &[0, 1, 2])));
            let committed = certificate(&keys, ballot, &[0, 1, 2]);
            messages.push(Message::Committed(vec![(committed.clone(), keys.genesis().block())]));
            let signed = ViewChange::signed(View::new(u64::MAX), &ballot, &[ballot]);
            let signature = voters.sign(keys.authority(1), &signed);
            let change =
                ViewChange { view: View::new(u64::MAX), base: ballot, prepared: vec![ballot], signature };
            let proofs = Proofs { committed: vec![committed], prepared: Vec::new() };
            messages.push(Message::ViewChange(change, proofs));
        }
    }
    let mut replica = core(&keys, Seat(0), Settings::default(), START_MS);
    for message in messages {
        replica.handle(far, Input::Message(Seat(1), message));
    }
    assert_eq!(replica.view, View::zero());
    assert_eq!(replica.tip.height(), Height::zero());
}

/// A certificate with the signatures of these seats.
pub(super) fn certificate(keys: &Network, ballot: Ballot, seats: &[u8]) -> Certificate {
    let voters = Voters::new(keys.genesis());
    let sign = |seat: &u8| {
        let part = voters.part(&ballot, Seat(*seat));
        Signed { seat: Seat(*seat), signature: voters.sign(keys.authority((*seat).into()), &part.signed()) }
    };
    Certificate { ballot, signatures: seats.iter().map(sign).collect() }
}

#[test]
fn a_certificate_needs_a_quorum_of_different_authorities() {
    let keys = Network::new(4);
    let voters = Voters::new(keys.genesis());
    let digest = keys.genesis().block().digest();
    let ballot = |phase| Ballot::new(phase, View::new(1), Height::new(9), digest);
    let check = |phase, seats: &[u8], expected: bool| {
        let certificate = certificate(&keys, ballot(phase), seats);
        assert_eq!(voters.certifies(&certificate), expected, "{phase:?} by {seats:?}");
    };
    check(Phase::Commit, &[0, 2, 3], true);
    check(Phase::Commit, &[0, 1, 2, 3], true);
    check(Phase::Commit, &[0, 2], false);
    check(Phase::Commit, &[0, 2, 2], false);
    check(Phase::Commit, &[3, 2, 0], false);
    check(Phase::Prepare, &[0, 1, 2], true);
    // Without the pre-prepare of view 1's primary.
    check(Phase::Prepare, &[0, 2, 3], false);
    check(Phase::PrePrepare, &[0, 1, 2], false);
    let mut forged = certificate(&keys, ballot(Phase::Commit), &[0, 1, 2]);
    forged.signatures[1].signature = forged.signatures[0].signature.clone();
    assert!(!voters.certifies(&forged));
    forged = certificate(&keys, ballot(Phase::Commit), &[0, 1, 2]);
    forged.ballot.view = View::new(2);
    assert!(!voters.certifies(&forged));
    let other = Voters::new(Network::with_epochs(4, 11).genesis());
    assert!(!other.certifies(&certificate(&keys, ballot(Phase::Commit), &[0, 1, 2])), "another chain");
}

#[test]
fn messages_have_one_encoding() {
    let keys = Network::new(4);
    let voters = Voters::new(keys.genesis());
    let block = keys.genesis().block();
    let signature = voters.sign(keys.authority(0), b"anything");
    let ballot = |phase| Ballot::new(phase, View::new(2), Height::new(7), block.digest());
    let commit = certificate(&keys, ballot(Phase::Commit), &[0, 1, 2]);
    let prepare = certificate(&keys, ballot(Phase::Prepare), &[0, 1, 2]);
    let (base, prepared) = (commit.ballot, vec![prepare.ballot]);
    let change = ViewChange { view: View::new(3), base, prepared, signature: signature.clone() };
    let proofs =
        Proofs { committed: vec![commit.clone()], prepared: vec![(block.header().clone(), prepare)] };
    let new_view = NewView {
        view: View::new(3),
        changes: vec![(Seat(1), change.clone())],
        proposals: vec![signature.clone()],
        signature: signature.clone(),
        proofs: proofs.clone(),
    };
    let status = Status {
        view: View::new(1),
        active: true,
        executed: Height::new(2),
        accepted: Height::new(3),
        stable: Height::new(4),
    };
    let check = |message: Message, golden: &str| {
        let bytes = message.encode();
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(text.starts_with(golden), "{text}");
        assert_eq!(Message::decode(bytes.clone()).unwrap(), message);
        for len in 0..bytes.len() {
            assert!(Message::decode(bytes.slice(..len)).is_err(), "{golden} cut at {len}");
        }
    };
    let pre_prepare =
        Message::PrePrepare { view: View::new(5), block: block.clone(), signature: signature.clone() };
    check(pre_prepare, "000000000000000005");
    let vote = Message::Vote { ballot: ballot(Phase::Commit), signature: signature.clone() };
    check(vote, "010200000000000000020000000000000007");
    check(Message::Stable(commit.clone()), "02");
    check(Message::ViewChange(change, proofs), "030000000000000003");
    check(Message::NewView(new_view), "040000000000000003");
    check(Message::Status(status), "05000000000000000101000000000000000200000000000000030000000000000004");
    check(Message::Fetch(Height::new(8)), "060000000000000008");
    check(Message::Committed(vec![(commit, block.clone())]), "0701");
    check(Message::Want(Height::new(8), block.digest()), "080000000000000008");
    check(Message::Block(block.clone()), "09");
    let vote = Message::Vote { ballot: ballot(Phase::PrePrepare), signature };
    assert!(Message::decode(vote.encode()).is_err(), "a pre-prepare without its block");
    assert!(Message::decode(bytes::Bytes::from_static(&[10])).is_err());
}
