//! The core that decides: samples in, signed batches out, and what may be forgotten when.
//!
//! Provided: a batch is spooled before it is sent and forgotten only on evidence of the configured stage, checked here
//! against the trust file; numbers are contiguous; a batch without a notice is offered again, through another fog node
//! if there is one. The battery's twin sees every sample, or fewer while the vehicle is behind its source; its
//! report is signed with the batch and says so. Not provided: protection of the vehicle's key.
//!
//! When the spool is full the agent stops taking samples and says so ([`Output::Pause`], counter `refused`): what was
//! recorded first is evidence that somebody may be waiting for, and nothing that waits is ever dropped.

mod companion;
mod evidence;
mod figures;
mod held;
mod links;
mod orders;
mod rules;
mod sealing;
mod stage;
mod thinning;
mod vocabulary;

pub use companion::{Companion, Report};
pub use held::Held;
pub use rules::{Credentials, FogIndex, Rules};
pub use stage::{KeepUntil, Stage};
pub use vocabulary::{Input, Output};

use crate::commands::{CommandRules, Commands, Memory};
use crate::entry::Stored;
use crate::sources::Cursor;
use bytes::Bytes;
use figures::{Counters, Latencies};
use hdrhistogram::Histogram;
use held::Window;
use links::{Act, Links};
use std::collections::{BTreeMap, VecDeque};
use voltmesh_battery::Twin;
use voltmesh_ledger::Commitment;
use voltmesh_spool::Position;
use voltmesh_telemetry::{BatchId, Record, RecordNumber, Timestamp};

/// A vehicle's agent.
pub struct Agent {
    rules: Rules,
    credentials: Credentials,
    commitment: Commitment,
    /// Records of the batch that is being gathered, and when its first one came.
    open: Vec<Record>,
    opened: Timestamp,
    cursor: Cursor,
    next_number: RecordNumber,
    previous: Option<BatchId>,
    next_position: Position,
    durable: Position,
    /// Sealed and not durable, in order.
    unsynced: VecDeque<Held>,
    unsynced_bytes: usize,
    spool_bytes: u64,
    window: Window,
    links: Links,
    paused: bool,
    failing: bool,
    /// When the log was last told that the disk fails.
    failure_said: Option<Timestamp>,
    /// The disk failed after the agent was told to stop: it ends without what is not durable.
    unsynced_given_up: bool,
    loading: bool,
    ending: bool,
    stopping: bool,
    finished: bool,
    deferred: VecDeque<(BatchId, Bytes)>,
    counters: Counters,
    latencies: Latencies,
    twin: Option<Companion>,
    commands: Commands,
    /// Answers to commands that wait for a session.
    answers: VecDeque<Bytes>,
    /// When the commands were last told the vehicle's own limits.
    limits_told: Timestamp,
    /// When the twin's memory was last written down.
    remembered: Timestamp,
    /// How far this clock is from the ledger's, by the newest receipt; 0 within the tolerance.
    clock_off_ms: u64,
    clock_said: Option<Timestamp>,
}

/// What the spool holds when the agent starts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    /// The first position that is not acknowledged.
    pub floor: Position,
    /// The next position.
    pub end: Position,
    /// Bytes that wait for their acknowledgement.
    pub bytes: u64,
    /// Where the source stood at the newest batch.
    pub cursor: Cursor,
}

impl Agent {
    /// An agent of one boot. Send [`Input::Tick`] first.
    #[must_use]
    pub fn new(rules: Rules, credentials: Credentials, found: Found) -> Self {
        let opening = credentials.opening();
        let commitment = voltmesh_ledger::commitment(rules.vehicle.as_str(), &opening.salt, &opening.key);
        Self {
            links: Links::new(&rules),
            window: Window::new(found.floor, rules.window),
            commitment,
            open: Vec::new(),
            opened: Timestamp::default(),
            cursor: found.cursor,
            next_number: RecordNumber::ZERO,
            previous: None,
            next_position: found.end,
            durable: found.end,
            unsynced: VecDeque::new(),
            unsynced_bytes: 0,
            spool_bytes: found.bytes,
            paused: false,
            failing: false,
            failure_said: None,
            unsynced_given_up: false,
            loading: false,
            ending: false,
            stopping: false,
            finished: false,
            deferred: VecDeque::new(),
            counters: Counters::default(),
            latencies: Latencies::default(),
            twin: None,
            commands: Commands::new(
                CommandRules::none(rules.vehicle.clone()),
                Ok(Memory::default()),
                Timestamp::default(),
            ),
            answers: VecDeque::new(),
            limits_told: Timestamp::default(),
            remembered: Timestamp::default(),
            clock_off_ms: 0,
            clock_said: None,
            rules,
            credentials,
        }
    }

    /// With a battery's twin that sees every sample. Its chemistry is reported where it is stated, not assumed.
    #[must_use]
    pub fn with_twin(mut self, twin: Twin, says_chemistry: bool) -> Self {
        self.twin = Some(Companion::new(twin, says_chemistry));
        self
    }

    /// With commands that are taken; else each is refused.
    #[must_use]
    pub fn with_commands(mut self, commands: Commands) -> Self {
        self.commands = commands;
        self
    }

    /// Commands: what is taken, by whom, and what is in force.
    #[must_use]
    pub fn commands(&self) -> &Commands {
        &self.commands
    }

    /// What the twin says now, if there is one: `state`, `passport`, `maintenance`, `refused`.
    #[must_use]
    pub fn twin(&self) -> Option<serde_json::Value> {
        self.twin.as_ref().map(Companion::view)
    }

    /// Decides.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        match input {
            Input::Sample { sample, cursor } => {
                self.sample(now, sample, cursor, &mut out);
                // Most samples only join the open batch. What time makes due comes with a tick at the deadline.
                if out.is_empty() && now < self.opened.plus_millis(self.rules.max_age_ms) {
                    return out;
                }
            }
            Input::Behind { behind } => {
                if let Some(twin) = &mut self.twin {
                    twin.set_behind(now, behind);
                }
            }
            Input::SourceEnded => self.end(now, &mut out),
            Input::Stop => {
                self.stopping = true;
                self.end(now, &mut out);
            }
            Input::Synced { durable, bytes } => self.synced(now, durable, bytes),
            Input::SyncFailed { reason } => self.sync_failed(now, &reason, &mut out),
            Input::Loaded { batches, next } => self.loaded(now, batches, next),
            Input::Connected { fog, round_trip_us } => {
                let acts = self.links.connected(now, fog, round_trip_us);
                self.act(acts, &mut out);
            }
            Input::Lost { fog, reason } => self.lost(now, fog, &reason, &mut out),
            Input::Measured { fog, round_trip_us } => {
                let acts = self.links.measured(now, fog, round_trip_us);
                self.act(acts, &mut out);
            }
            Input::Heard { fog } => self.links.heard(now, fog),
            Input::Answered { fog, position, code } => self.answered(now, fog, position, code, &mut out),
            Input::Receipts { message } => self.receipts(now, &message, &mut out),
            Input::Notice { message } => self.notice(now, &message, &mut out),
            Input::Trust { message } => self.trust(now, &message, &mut out),
            Input::Command { message } => self.command(now, &message, &mut out),
            Input::CommandsSaved { failed } => self.commands_saved(now, failed.as_deref(), &mut out),
            Input::Tick => {}
        }
        self.turn(now, &mut out);
        out
    }

    /// When to be woken with [`Input::Tick`].
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let seal = (!self.open.is_empty()).then(|| self.opened.plus_millis(self.rules.max_age_ms));
        let command = self.commands.deadline();
        [seal, command, self.window.next_again(), self.links.deadline(!self.window.in_flight_is_empty())]
            .into_iter()
            .flatten()
            .min()
    }

    fn loaded(&mut self, now: Timestamp, batches: Vec<Stored>, next: Position) {
        self.loading = false;
        for stored in batches {
            let (batch, spooled) = (&stored.batch, stored.spooled);
            let held = Held::new(stored.position, spooled, batch.header(), batch.id(), batch.wire().len());
            self.window.load(now, held);
        }
        self.window.loaded_to(next);
    }

    fn lost(&mut self, now: Timestamp, fog: FogIndex, reason: &str, out: &mut Vec<Output>) {
        if self.links.is_primary(fog) {
            self.window.requeue(fog);
        }
        let acts = self.links.lost(now, fog);
        let fog = self.rules.fog_name(fog);
        out.push(Output::Warn { message: format!("no session with {fog}: {reason}") });
        self.act(acts, out);
    }

    /// What is due after any input.
    fn turn(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        if !self.open.is_empty() && now >= self.opened.plus_millis(self.rules.max_age_ms) {
            self.seal_open(now, out);
        }
        self.commands_due(now, out);
        self.throttle(out);
        self.offer_again(now, out);
        let waiting = !self.window.in_flight_is_empty();
        let acts = self.links.turn(now, waiting);
        self.act(acts, out);
        if let Some(fog) = self.links.usable() {
            while let Some((position, again)) = self.window.next_to_send(now, fog, &self.rules) {
                self.links.sent(now);
                out.push(Output::Send { fog, position, again });
            }
        }
        self.send_answers(out);
        if !self.loading
            && let Some((from, limit)) = self.window.wants(self.durable)
        {
            self.loading = true;
            out.push(Output::Load { from, limit });
        }
        self.finish(out);
    }

    fn offer_again(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let due = self.window.due(now);
        if due.is_empty() {
            return;
        }
        let primary = self.links.usable();
        let same =
            due.iter().any(|position| self.window.get(*position).is_some_and(|held| held.via == primary));
        for position in due {
            if let Some(held) = self.window.get(position) {
                self.counters.offered_again += u64::from(held.count);
            }
            self.window.queue(position);
        }
        if same && let Some(fog) = primary {
            // It may swallow data: go on through another node, if there is one.
            let acts = self.links.avoid(now, fog, self.rules.offer_again_after_ms);
            self.act(acts, out);
        }
    }

    fn act(&mut self, acts: Vec<Act>, out: &mut Vec<Output>) {
        for act in acts {
            out.push(match act {
                Act::Connect(fog, times) => Output::Connect { fog, times },
                Act::Measure(fog) => Output::Measure(fog),
                Act::Ping(fog) => Output::Ping(fog),
                Act::Disconnect(fog) => {
                    self.window.requeue(fog);
                    Output::Disconnect(fog)
                }
            });
        }
    }

    fn finish(&mut self, out: &mut Vec<Output>) {
        let kept = self.unsynced.is_empty() || self.unsynced_given_up;
        let sealed = self.ending && self.open.is_empty() && kept;
        let nothing_kept = self.window.is_empty(self.durable);
        let done = sealed && (self.stopping || (self.rules.until_archived && nothing_kept));
        if done && !self.finished {
            self.finished = true;
            out.push(Output::Finished);
        }
    }

    /// Counts of records since the process started (`batches` counts batches), and gauges `held`, `spool_bytes`,
    /// `failovers`.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<String, u64> {
        let gauges = [
            ("held", self.window.len() as u64),
            ("spool_bytes", self.spool_bytes),
            ("failovers", self.links.failovers()),
            ("boot", self.rules.boot.get()),
            ("clock_off_ms", self.clock_off_ms),
            ("twin_events", self.twin.as_ref().map_or(0, |twin| twin.events)),
            ("twin_checks_failed", self.twin.as_ref().map_or(0, |twin| twin.failed)),
            ("twin_skipped", self.twin.as_ref().map_or(0, |twin| twin.skipped)),
        ];
        let figures = self.counters.all().into_iter().chain(gauges).chain(self.commands.counters());
        figures.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// From a batch's sealing to its valid receipt, and to its notice, in microseconds.
    #[must_use]
    pub fn latencies(&self) -> [(&'static str, &Histogram<u64>); 2] {
        [("anchor", &self.latencies.anchor_us), ("archive", &self.latencies.archive_us)]
    }

    /// Whether a fog node is connected and samples are taken.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.links.usable().is_some() && !self.paused
    }

    /// Whether samples are refused now.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// The fog node in use.
    #[must_use]
    pub fn fog(&self) -> Option<FogIndex> {
        self.links.usable()
    }
}
