//! The core that decides: signed bytes in; answers, setpoints and what to remember out.

use super::answer::applied;
use super::fences::Fences;
use super::held::{HeldCommand, HeldCommands, of_kind};
use super::memory::Memory;
use super::own::{Nameplate, OwnLimits};
use super::pace::Pace;
use super::refusal::{Counters, Refusal};
use super::setpoints::Setpoints;
use super::watch::Watch;
use ed25519_dalek::VerifyingKey;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use voltmesh_control::{Action, ActionKind, CommandAnswer, Lease, Outcome};
use voltmesh_telemetry::{Digest, Timestamp, VehicleId};

/// Messages on the command topic that are looked at: 40 a second, 200 at once. Two signatures each take some 0.1 ms.
const ARRIVALS_PER_MINUTE: u32 = 2_400;
const ARRIVALS_AT_ONCE: u32 = 200;
/// A refusal of one kind is said in the log once in so many ms.
const SAY_EVERY_MS: u64 = 10_000;
/// Most bytes of a text in an answer, whose other fields are at most 300 bytes.
const MAX_WHY: usize = 400;

/// What the commands of a vehicle go by.
#[derive(Clone, Debug)]
pub struct CommandRules {
    /// Whose battery.
    pub vehicle: VehicleId,
    /// Keys of the controllers whose leases count; none: every command is refused.
    pub controllers: Vec<VerifyingKey>,
    /// Commands that are taken a minute, half of them at once. An end of charging is always taken.
    pub max_per_minute: u32,
    /// What the pack is built for.
    pub nameplate: Nameplate,
    /// What something here can do: the source, or an outlet.
    pub obeys: BTreeSet<ActionKind>,
}

impl CommandRules {
    /// A vehicle that refuses every command.
    #[must_use]
    pub fn none(vehicle: VehicleId) -> Self {
        let nameplate = Nameplate { charge_ma: 0, discharge_ma: 0, groups: 0 };
        Self { vehicle, controllers: Vec::new(), max_per_minute: 1, nameplate, obeys: BTreeSet::new() }
    }
}

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Keep this instead of what was kept before, durably; then say [`Commands::saved`].
    Save {
        /// JSON of a [`Memory`].
        json: String,
    },
    /// Tell the fog node.
    Answer(CommandAnswer),
    /// This is in force from now on, until that time if nothing else is said until then.
    Obey {
        /// What is in force.
        setpoints: Setpoints,
        /// The vehicle's own limits.
        own: OwnLimits,
        /// When the first of its commands ends.
        until: Option<Timestamp>,
    },
    /// Something to log.
    Warn(String),
}

/// What waits for the memory to be durable.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub command: Option<HeldCommand>,
}

/// The last answer of a function, for the very same bytes that come again.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub message: Digest,
    pub answer: Option<CommandAnswer>,
}

/// The commands of one vehicle.
pub struct Commands {
    pub(super) rules: CommandRules,
    /// Why no command may be taken, if the memory cannot be read.
    pub(super) unreadable: Option<String>,
    pub(super) own: OwnLimits,
    pub(super) fences: Fences,
    pub(super) held: HeldCommands,
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) answered: BTreeMap<String, Answered>,
    pub(super) setpoints: Setpoints,
    /// Limits and end with which the setpoints were last given.
    pub(super) given: Option<(OwnLimits, Option<u64>)>,
    pub(super) now: Timestamp,
    /// A clock that only goes forward: what the vehicle's has gone forward since the start.
    pub(super) elapsed: u64,
    pub(super) order: u64,
    pub(super) arrivals: Pace,
    pub(super) pace: Pace,
    pub(super) watch: Watch,
    pub(super) said: BTreeMap<&'static str, u64>,
    pub(super) counters: Counters,
}

impl Commands {
    /// The commands of a vehicle that remembers this, or cannot read what it should remember. What was in force goes on
    /// until its end, if the clock has not gone back since it was written down.
    #[must_use]
    pub fn new(rules: CommandRules, memory: Result<Memory, String>, now: Timestamp) -> Self {
        let (memory, unreadable) = match memory {
            Ok(memory) => (memory, None),
            Err(why) => (Memory::default(), Some(why)),
        };
        let mut commands = Self {
            own: OwnLimits::now(&rules.nameplate, None),
            unreadable,
            fences: memory.fences,
            held: HeldCommands::new(),
            waiting: VecDeque::new(),
            answered: BTreeMap::new(),
            setpoints: Setpoints::default(),
            given: None,
            now,
            elapsed: 0,
            order: 0,
            arrivals: Pace::new(ARRIVALS_PER_MINUTE, ARRIVALS_AT_ONCE),
            pace: Pace::new(rules.max_per_minute, rules.max_per_minute.div_ceil(2)),
            watch: Watch::default(),
            said: BTreeMap::new(),
            counters: Counters::default(),
            rules,
        };
        if now.as_millis() >= memory.saved_ms {
            for mut command in memory.held {
                command.ends_after = command.ends_ms.saturating_sub(now.as_millis());
                commands.order = commands.order.max(command.order + 1);
                let newest = commands.fences.newest(&command.function) == Some(command.lease_epoch());
                if newest && commands.may_hold(&command.action) && !command.is_over(now, 0) {
                    commands.held.insert(command.key(), command);
                }
            }
        }
        commands
    }

    /// Whether it still makes sense here: the configuration may have changed since it was taken.
    fn may_hold(&self, action: &Action) -> bool {
        !self.rules.controllers.is_empty()
            && self.rules.obeys.contains(&action.kind())
            && self.rules.nameplate.check(action).is_ok()
    }

    /// Whether any command can be taken.
    #[must_use]
    pub fn are_taken(&self) -> bool {
        self.refuses_all().is_none()
    }

    pub(super) fn refuses_all(&self) -> Option<Refusal> {
        match &self.unreadable {
            _ if self.rules.controllers.is_empty() => Some(Refusal::Unconfigured),
            Some(why) => Some(Refusal::Unreadable(why.clone())),
            None => None,
        }
    }

    /// The vehicle's own limits have changed: charge and discharge in A as its twin says, if it does.
    pub fn own_limits(&mut self, now: Timestamp, twin_a: Option<(f64, f64)>) -> Vec<Effect> {
        let mut out = Vec::new();
        self.own = OwnLimits::now(&self.rules.nameplate, twin_a);
        self.turn(now, &mut out);
        out
    }

    /// A current in mA was measured (charging positive).
    pub fn measured(&mut self, now: Timestamp, current_ma: i32, charging: bool) -> Vec<Effect> {
        let mut out = Vec::new();
        self.turn(now, &mut out);
        if let Some(told) = self.watch.see(self.elapsed, &self.setpoints, current_ma, charging) {
            self.counters.disobeyed += 1;
            out.push(Effect::Warn(told));
        }
        out
    }

    /// The deadline has come.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut out = Vec::new();
        self.turn(now, &mut out);
        out
    }

    /// When to be woken with [`Self::tick`].
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let ends = self.held.values().map(|command| {
            let left = command.ends_after.saturating_sub(self.elapsed);
            self.now.plus_millis(left).min(Timestamp::from_millis(command.ends_ms))
        });
        ends.min()
    }

    /// What was asked to be kept by the oldest [`Effect::Save`] that is not answered is durable, or could not be kept.
    pub fn saved(&mut self, now: Timestamp, failed: Option<&str>) -> Vec<Effect> {
        let mut out = Vec::new();
        self.turn(now, &mut out);
        let Some(Waiting { command: Some(command) }) = self.waiting.pop_front() else { return out };
        let refusal = match failed {
            Some(why) => Some(Refusal::Unsaved(why.to_owned())),
            None if command.is_over(self.now, self.elapsed) => Some(Refusal::Expired {
                what: "it",
                ago_ms: self.now.as_millis().saturating_sub(command.ends_ms),
            }),
            // A newer lease may have come meanwhile.
            None => self
                .fences
                .newest(&command.function)
                .filter(|newest| *newest != command.lease_epoch())
                .map(|newest| Refusal::Fenced { lease: command.lease_epoch(), newest }),
        };
        match refusal {
            Some(refusal) => {
                self.counters.refuse(&refusal);
                let told = Outcome::Refused { reason: shortened(refusal.to_string()) };
                self.answer(command.answer(self.now, told), &mut out);
                self.say(
                    refusal.counter(),
                    || format!("a command of {} is refused: {refusal}", command.function),
                    &mut out,
                );
            }
            None => self.apply(command, &mut out),
        }
        out
    }

    fn apply(&mut self, command: HeldCommand, out: &mut Vec<Effect>) {
        let contradicts = of_kind(&self.held, command.action.kind())
            .any(|other| other.function != command.function && other.action != command.action);
        self.held.insert(command.key(), command.clone());
        self.counters.applied += 1;
        self.counters.contradicting += u64::from(contradicts);
        let mut outcome = applied(&command, &self.held, &self.own);
        if let Outcome::Applied { why_less: Some(why), .. } = &mut outcome {
            self.counters.reduced += 1;
            *why = shortened(std::mem::take(why));
        }
        self.give(out);
        self.answer(command.answer(self.now, outcome), out);
    }

    pub(super) fn answer(&mut self, answer: CommandAnswer, out: &mut Vec<Effect>) {
        let newest = self.fences.newest(&answer.function) == Some(answer.lease_epoch());
        if let Some(last) = self.answered.get_mut(&answer.function).filter(|_| newest) {
            last.answer = Some(answer.clone());
        }
        out.push(Effect::Answer(answer));
    }

    pub(super) fn say(&mut self, what: &'static str, text: impl FnOnce() -> String, out: &mut Vec<Effect>) {
        let due = self.said.get(what).is_none_or(|last| self.elapsed.saturating_sub(*last) >= SAY_EVERY_MS);
        if due {
            self.said.insert(what, self.elapsed);
            out.push(Effect::Warn(text()));
        }
    }

    /// Asks to keep the fences, what is in force, and what is to be.
    pub(super) fn save(&mut self, command: Option<HeldCommand>, out: &mut Vec<Effect>) {
        let mut held = self.held.clone();
        for waiting in self.waiting.iter().filter_map(|waiting| waiting.command.as_ref()).chain(&command) {
            held.insert(waiting.key(), waiting.clone());
        }
        let memory = Memory::new(self.now.as_millis(), self.fences.clone(), held.into_values().collect());
        // Only numbers and texts.
        let json = serde_json::to_string(&memory).unwrap_or_default();
        self.waiting.push_back(Waiting { command });
        out.push(Effect::Save { json });
    }

    /// Commands under an older lease of that function end: nobody obeys two holders.
    pub(super) fn end_older(&mut self, lease: &Lease, out: &mut Vec<Effect>) {
        self.end(out, |command| command.function == lease.function && command.lease_epoch() < lease.epoch);
    }

    fn end(&mut self, out: &mut Vec<Effect>, is_over: impl Fn(&HeldCommand) -> bool) {
        let over: Vec<_> = self.held.extract_if(.., |_, command| is_over(command)).collect();
        if over.is_empty() {
            return;
        }
        self.counters.expired += over.len() as u64;
        self.give(out);
        for (_, command) in over {
            out.push(Effect::Answer(command.answer(self.now, Outcome::Expired)));
        }
    }

    /// What time has made due.
    pub(super) fn turn(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        self.elapsed = self.elapsed.saturating_add(now.millis_since(self.now));
        let back_ms = self.now.millis_since(now);
        self.now = now;
        if back_ms > 0 {
            self.set_back(back_ms, out);
        }
        let elapsed = self.elapsed;
        self.end(out, |command| command.is_over(now, elapsed));
        self.give(out);
    }

    /// The clock was set back: what is held ends as much earlier by it, and so it is written down for a restart.
    fn set_back(&mut self, back_ms: u64, out: &mut Vec<Effect>) {
        let waiting = self.waiting.iter_mut().filter_map(|waiting| waiting.command.as_mut());
        for command in self.held.values_mut().chain(waiting) {
            command.ends_ms = command.ends_ms.saturating_sub(back_ms);
        }
        // What is over is still on disk, with its old end.
        if self.fences.len() > 0 {
            self.save(None, out);
        }
    }

    /// Gives the setpoints if they are not those that were given.
    fn give(&mut self, out: &mut Vec<Effect>) {
        if !self.are_taken() {
            return;
        }
        let setpoints = Setpoints::of(&self.held, &self.own);
        // On the clock that only goes forward: the vehicle's own may be set.
        let ends = self.held.values().map(|command| command.ends_after).min();
        if setpoints != self.setpoints || self.given != Some((self.own, ends)) {
            self.setpoints = setpoints;
            self.given = Some((self.own, ends));
            let until = self.deadline();
            out.push(Effect::Obey { setpoints: self.setpoints.clone(), own: self.own, until });
        }
    }

    /// What is in force now.
    #[must_use]
    pub fn setpoints(&self) -> &Setpoints {
        &self.setpoints
    }

    /// The vehicle's own limits as they were last told.
    #[must_use]
    pub fn own(&self) -> &OwnLimits {
        &self.own
    }
}

pub(super) fn shortened(text: String) -> String {
    if text.len() <= MAX_WHY {
        return text;
    }
    let end = text.floor_char_boundary(MAX_WHY);
    format!("{}…", &text[..end])
}
