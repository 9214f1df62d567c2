//! A vehicle: its battery, its twin, and the product's core of commands.

use super::messages::{Batch, FromVehicle};
use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use std::collections::VecDeque;
use std::sync::Arc;
use voltmesh_battery::twin::Setup;
use voltmesh_battery::{Cell, Twin};
use voltmesh_control::{Action, ActionKind, Command, CommandAnswer, Lease};
use voltmesh_edge::agent::Companion;
use voltmesh_edge::commands::{CommandRules, Commands, Effect, Memory, Nameplate, Setpoints};
use voltmesh_telemetry::{Boot, Charger, Sample, Timestamp, VehicleId};

/// Answers that wait for a session, as in the product's agent.
const MAX_ANSWERS: usize = 64;
/// Batches that wait for a session; the oldest leave. The product keeps all on disk; summaries want the newest alone.
const MAX_WAITING: usize = 600;
/// Commands a minute, as `[commands] max_per_minute` has it by default.
const COMMANDS_PER_MINUTE: u32 = 60;

/// Battery of a vehicle: a simulated one, which gives a sample a second and obeys, or a recording, which does not.
pub trait Body {
    /// The next second within what is in force.
    fn second(&mut self, now: Timestamp, setpoints: &Setpoints) -> Moment;
}

/// Outcome of a second.
#[derive(Debug, Clone)]
pub enum Moment {
    /// A sample.
    Sample(Box<Sample>),
    /// Nothing was measured.
    Nothing,
    /// It is over.
    End,
}

/// A command that the vehicle took, as it was signed.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The command.
    pub command: Command,
    /// Its lease.
    pub lease: Lease,
}

/// Requests of a vehicle to those around it.
#[derive(Debug)]
pub enum VehicleOutput {
    /// The memory of commands is to be made durable, which takes a while.
    Save,
    /// Something for the fog node.
    Send(FromVehicle),
}

/// Parts of a vehicle.
pub struct Build {
    /// Its name.
    pub id: VehicleId,
    /// Controllers whose leases count.
    pub controllers: Vec<VerifyingKey>,
    /// Kind of its cells, of which the twin knows.
    pub cell: Arc<Cell>,
    /// How the twin takes the pack.
    pub setup: Setup,
    /// Groups in series.
    pub groups: u16,
}

/// One vehicle.
pub struct Vehicle {
    build: Build,
    body: Box<dyn Body>,
    companion: Companion,
    commands: Commands,
    boot: Boot,
    /// Counts starts of the agent: what was asked by an earlier one is void.
    pub life: u64,
    /// What is durable of the memory of commands.
    memory: Option<String>,
    saving: VecDeque<String>,
    answers: VecDeque<Bytes>,
    waiting: VecDeque<Batch>,
    /// Fog node and number of the session, while there is one.
    pub session: Option<(usize, u64)>,
    /// Whether the battery has reached its end.
    pub ended: bool,
}

impl Vehicle {
    /// A vehicle without a session.
    pub fn new(build: Build, body: Box<dyn Body>, now: Timestamp) -> Self {
        let companion = Companion::new(Twin::new(build.cell.clone(), build.setup.clone(), None), true);
        let commands = Commands::new(rules(&build), Ok(Memory::default()), now);
        Self {
            build,
            body,
            companion,
            commands,
            boot: Boot::new(1),
            life: 0,
            memory: None,
            saving: VecDeque::new(),
            answers: VecDeque::new(),
            waiting: VecDeque::new(),
            session: None,
            ended: false,
        }
    }

    /// Its name.
    pub fn id(&self) -> &VehicleId {
        &self.build.id
    }

    /// The core of commands.
    pub fn commands(&self) -> &Commands {
        &self.commands
    }

    /// The agent is killed and starts again: what was durable is remembered.
    pub fn restart(&mut self, now: Timestamp) {
        let twin =
            Twin::new(self.build.cell.clone(), self.build.setup.clone(), Some(self.companion.memory()));
        self.companion = Companion::new(twin, true);
        let memory =
            self.memory.as_ref().map_or(Ok(Memory::default()), |json| Memory::parse(json.as_bytes()));
        self.commands = Commands::new(rules(&self.build), memory, now);
        self.boot = Boot::new(self.boot.get() + 1);
        self.life += 1;
        self.saving.clear();
        self.answers.clear();
        self.session = None;
    }

    /// A second of the battery.
    pub fn second(&mut self, now: Timestamp) -> Vec<VehicleOutput> {
        let sample = match self.body.second(now, self.commands.setpoints()) {
            Moment::Sample(sample) => *sample,
            Moment::Nothing => return self.send(),
            Moment::End => {
                self.ended = true;
                return Vec::new();
            }
        };
        self.companion.see(&sample);
        let report = self.companion.report(&[]);
        let mut out = Vec::new();
        let effects = self.commands.own_limits(now, self.companion.limits_a());
        self.effects(effects, &mut out);
        if let Ok(current_a) = sample.pack_current.to_base() {
            let charging = sample.charger == Charger::Charging;
            let effects = self.commands.measured(now, (current_a * 1_000.0) as i32, charging);
            self.effects(effects, &mut out);
        }
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Batch { boot: self.boot, samples: vec![sample], report });
        out.extend(self.send());
        out
    }

    /// What waits, if there is a session.
    pub fn send(&mut self) -> Vec<VehicleOutput> {
        if self.session.is_none() {
            return Vec::new();
        }
        let batches = self.waiting.drain(..).map(|batch| VehicleOutput::Send(FromVehicle::Batch(batch)));
        let answers = self.answers.drain(..).map(|answer| VehicleOutput::Send(FromVehicle::Answer(answer)));
        batches.chain(answers).collect()
    }

    /// A message on the command topic. Returns what it says where it is genuine.
    pub fn command(&mut self, now: Timestamp, message: &[u8]) -> (Option<Taken>, Vec<VehicleOutput>) {
        let mut out = Vec::new();
        let effects = self.commands.own_limits(now, self.companion.limits_a());
        self.effects(effects, &mut out);
        let effects = self.commands.take(now, message);
        self.effects(effects, &mut out);
        out.extend(self.send());
        let genuine = Command::verify(message, &self.build.controllers).ok();
        (genuine.map(|(command, lease)| Taken { command, lease }), out)
    }

    /// The oldest memory that was to be saved is durable.
    pub fn saved(&mut self, now: Timestamp) -> Vec<VehicleOutput> {
        self.memory = self.saving.pop_front().or(self.memory.take());
        let effects = self.commands.saved(now, None);
        let mut out = Vec::new();
        self.effects(effects, &mut out);
        out.extend(self.send());
        out
    }

    /// When time makes something due.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.commands.deadline()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Timestamp) -> Vec<VehicleOutput> {
        let effects = self.commands.tick(now);
        let mut out = Vec::new();
        self.effects(effects, &mut out);
        out.extend(self.send());
        out
    }

    fn effects(&mut self, effects: Vec<Effect>, out: &mut Vec<VehicleOutput>) {
        for effect in effects {
            match effect {
                Effect::Save { json } => {
                    self.saving.push_back(json);
                    out.push(VehicleOutput::Save);
                }
                Effect::Answer(answer) => self.answer(&answer),
                Effect::Warn(text) => tracing::debug!(vehicle = %self.build.id, "{text}"),
                // The body is told what is in force before each second.
                Effect::Obey { .. } => {}
            }
        }
    }

    fn answer(&mut self, answer: &CommandAnswer) {
        if self.answers.len() >= MAX_ANSWERS {
            self.answers.pop_front();
        }
        if let Ok(json) = serde_json::to_vec(answer) {
            self.answers.push_back(json.into());
        }
    }
}

fn rules(build: &Build) -> CommandRules {
    let group_ah = build.cell.params().capacity_ah * build.setup.parallel as f64;
    CommandRules {
        vehicle: build.id.clone(),
        controllers: build.controllers.clone(),
        max_per_minute: COMMANDS_PER_MINUTE,
        nameplate: Nameplate::of_capacity(group_ah, build.groups),
        obeys: ActionKind::ALL.into_iter().collect(),
    }
}

/// Whether an action takes something from the vehicle: current, or charging altogether. Cooling, heating, balancing and sampling
/// do not.
#[must_use]
pub const fn limits(action: &Action) -> bool {
    matches!(
        action,
        Action::ChargeLimit(_) | Action::DischargeLimit(_) | Action::Derate(_) | Action::StopCharging
    )
}
