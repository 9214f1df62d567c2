//! The role: disk, sockets, clock and source around the agent.

use crate::agent::{Agent, Found, Input, Output};
use crate::commands::{self, Commands, InForce, Outlets, Setpoints};
use crate::entry;
use crate::http::{self, Board, Said, TwinBoard};
use crate::keys::Keys;
use crate::sources::{Next, Pacer, Sampled, Source};
use crate::uplink::{Event, Uplinks};
use crate::{Config, Error, boot, folder, twin};
use bytes::Bytes;
use commonware_runtime::{Clock as _, Supervisor as _, tokio::Context};
use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use voltmesh_control::{Hello, Latency, Role, Status};
use voltmesh_http::Process;
use voltmesh_identity::{Expected, RevocationWatch};
use voltmesh_mqtt::Descriptors;
use voltmesh_spool::{Position, Spool, Writer};
use voltmesh_telemetry::Timestamp;

/// Samples between source and agent.
const SAMPLES: usize = 256;
/// Samples that a recording gives at once where none of them has to be waited for: a hand-over between threads costs as
/// much as five samples.
const AT_ONCE: usize = 64;
/// A vehicle whose samples are taken so much later than they are due is behind, until they are taken in the second time
/// again; with a live bus, while more than half of [`SAMPLES`] wait.
const BEHIND: Duration = Duration::from_millis(500);
const KEEPS_UP: Duration = Duration::from_millis(100);
/// Bytes of batches that are read from the spool at once.
const LOAD_BYTES: usize = 2 << 20;
/// Added to the agent's own bound of the spool, so that the agent's is the one that is met.
const SLACK: u64 = 32 << 20;
/// How often what the twin says is written anew: its forecast of twenty years takes longer than all counters.
const TWIN_REFRESH: Duration = Duration::from_secs(1);
/// After the end of a command, outlets wait so many ms for what is in force then: an agent that stands still holds none
/// longer.
const STALLED_MS: u64 = 1_000;
/// How often the status is written anew.
const REFRESH: Duration = Duration::from_millis(100);

/// What an agent has done when it ends.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Counters and latencies, as `/status` gave them last.
    pub status: Status,
    /// What the source read, skipped by reason, and never saw, if it has ended.
    pub source: Vec<String>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |name| self.status.counter(name);
        write!(
            f,
            "{}: {} records sampled, {} spooled, {} received, {} anchored, {} archived, {} batches kept",
            self.status.id,
            count("sampled"),
            count("spooled"),
            count("received"),
            count("anchored"),
            count("archived"),
            count("held")
        )?;
        self.source.iter().try_for_each(|line| write!(f, "\n  source: {line}"))
    }
}

/// What a start of the agent is given beside its configuration.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The process that it runs in.
    pub process: Process,
    /// Take no samples, and end once everything in the spool is archived.
    pub drain: bool,
}

/// Runs a vehicle's agent until it is told to stop (SIGINT, SIGTERM, or the context's stop signal), or until its source
/// has ended and everything is archived, if so configured. `config.data` is the context's storage folder.
///
/// # Errors
/// What keeps it from starting, or a source that cannot go on.
pub async fn run(context: Context, mut config: Config, start: Start) -> Result<Summary, Error> {
    // A spool of days keeps many files open.
    Descriptors::raise();
    let _held = folder::hold(&config)?;
    config.until_archived |= start.drain;
    let keys = Keys::load(&config)?;
    let spool = Spool::open(context.child("spool"), spool_config(&config)).await?;
    let newest = spool.last().await?.map(|(position, bytes)| entry::decode(position, &bytes)).transpose();
    let newest = newest.map_err(Error::Entry)?;
    let newest_boot = newest.as_ref().map(|stored| stored.batch.header().boot);
    let cursor = newest.as_ref().map(|stored| stored.cursor).unwrap_or_default();
    let boot = boot::next(&config.data.join("boot"), config.new_vehicle, newest_boot, context.current())?;
    let source: Box<dyn Source> = match start.drain {
        true => Box::new(Drained),
        false => config.source.open(cursor, millis(context.current()))?,
    };

    let revoked = RevocationWatch::with_policy(&config.crl, &keys.tls.ca, config.expired_crl)?;
    let tls = keys.tls.client_config(Expected::role(voltmesh_identity::Role::Fog), Some(&revoked))?;
    let hello = Hello {
        opening: keys.agent.opening(),
        boot,
        client_version: concat!("voltmesh-edge/", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    let found = Found { floor: spool.floor(), end: spool.end(), bytes: spool.bytes(), cursor };
    let (uplinks, events) =
        Uplinks::new(&keys.vehicle, config.fogs.clone(), (tls, revoked), hello, &config.uplink);
    let board: Board = Arc::new(Mutex::new(Status::new(Role::Edge, keys.vehicle.as_str())));
    let twin_board: TwinBoard = Arc::default();
    let http =
        http::serve(&config, start.process, board.clone(), twin_board.clone(), context.child("http")).await?;
    tracing::info!(vehicle = %keys.vehicle, %boot, http = %http.address(), waiting = found.bytes, "edge started");

    let commands = take_commands(&config, &keys.vehicle, context.current())?;
    let (writer, spool_task) = spool.start(context.child("writer"));
    let agent = Agent::new(config.rules(keys.vehicle, boot, rand::random()), keys.agent, found);
    let agent = match config.twin.open(&config.data)? {
        Some(twin) => agent.with_twin(twin, config.says_chemistry),
        None => agent,
    };
    let agent = agent.with_commands(commands);
    let outlets = Outlets::open(config.commands.vss.as_ref(), config.commands.can.as_ref())?;
    let feed = Feed::start(source, Pacer::new(config.source.pace()))?;
    let mut shell = Shell {
        context,
        agent,
        writer,
        uplinks,
        board,
        twin_board,
        data: config.data.clone(),
        feed,
        outlets,
        behind: false,
        backlog: VecDeque::new(),
        trust_file: keys.trust_file,
        refreshed: None,
        twin_refreshed: None,
        source_failed: None,
        finished: false,
    };
    let ended = shell.go(events).await;
    shell.uplinks.close();
    shell.feed.stop();
    http.shutdown().await;
    let closed = shell.writer.close().await;
    let _ = spool_task.await;
    let status = shell.status();
    ended?;
    closed?;
    match shell.source_failed {
        Some(error) => Err(error),
        None => Ok(Summary { status, source: shell.feed.said() }),
    }
}

/// The commands of the vehicle, with what they remember.
fn take_commands(
    config: &Config,
    vehicle: &voltmesh_telemetry::VehicleId,
    now: SystemTime,
) -> Result<Commands, Error> {
    let groups = u16::try_from(config.twin.series).unwrap_or(u16::MAX);
    let driven = matches!(config.source.kind, crate::config::Kind::Sim(_));
    let rules = config.commands.rules(vehicle.clone(), config.twin.group_ah()?, groups, driven)?;
    if !rules.controllers.is_empty() && rules.obeys.is_empty() {
        tracing::warn!(
            "commands.controllers: nothing in this vehicle obeys: every command is refused; configure commands.vss or commands.can"
        );
    }
    let memory = commands::recall(&config.data);
    if let Err(why) = &memory {
        tracing::error!(why, "no command is taken");
    }
    Ok(Commands::new(rules, memory, Timestamp::from_millis(millis(now))))
}

pub(crate) fn spool_config(config: &Config) -> voltmesh_spool::Config {
    voltmesh_spool::Config {
        max_bytes: config.spool.max_bytes + SLACK,
        max_unsynced: 16 << 20,
        recent_bytes: 1 << 20,
        entries_per_file: NonZeroU64::new(1024).expect("not zero"),
        write_buffer: std::num::NonZeroUsize::new(64 << 10).expect("not zero"),
        ..voltmesh_spool::Config::new("spool")
    }
}

/// The source of an agent that takes no samples.
struct Drained;

impl Source for Drained {
    fn poll(&mut self) -> Result<Next, Error> {
        Ok(Next::End)
    }
}

fn millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

struct Shell {
    context: Context,
    agent: Agent,
    writer: Writer<Context>,
    uplinks: Uplinks,
    board: Board,
    twin_board: TwinBoard,
    data: PathBuf,
    feed: Feed,
    outlets: Outlets,
    /// What the agent was told of the feed.
    behind: bool,
    /// Entries that the spool did not take yet.
    backlog: VecDeque<(Position, Bytes)>,
    trust_file: PathBuf,
    refreshed: Option<Instant>,
    twin_refreshed: Option<Instant>,
    /// Why the source ended early; what it had given is still sent.
    source_failed: Option<Error>,
    finished: bool,
}

impl Shell {
    async fn go(&mut self, mut events: mpsc::Receiver<Event>) -> Result<(), Error> {
        let mut progress = self.writer.progress();
        let mut failures = 0;
        let mut stop = std::pin::pin!(stop_signal(self.context.child("stop")));
        let mut stopping = false;
        // Samples of the last hand-over that are not taken yet.
        let mut samples = Vec::new().into_iter();
        self.handle(Input::Tick).await;
        while !self.finished {
            self.refresh(false);
            let sleep = self.context.sleep_until(self.wake());
            let take_samples = !self.agent.is_paused() && !self.feed.ended && !stopping;
            if take_samples && samples.len() > 0 {
                self.take(&mut samples).await;
                continue;
            }
            tokio::select! {
                () = &mut stop, if !stopping => {
                    stopping = true;
                    self.handle(Input::Stop).await;
                }
                Some(event) = events.recv() => {
                    if let Some(input) = self.uplinks.input(event) {
                        self.handle(input).await;
                    }
                }
                changed = progress.changed() => {
                    changed.map_err(|_| voltmesh_spool::Error::Closed)?;
                    let now = progress.borrow_and_update().clone();
                    let failed = now.failures > failures;
                    failures = now.failures;
                    match now.error.filter(|_| failed) {
                        Some(error) => self.handle(Input::SyncFailed { reason: error.to_string() }).await,
                        None => self.handle(Input::Synced { durable: now.durable, bytes: now.bytes }).await,
                    }
                }
                given = self.feed.given.recv(), if take_samples => match given {
                    Some(Given::Samples(given)) => samples = given.into_iter(),
                    Some(Given::Failed(error)) => {
                        tracing::error!(
                            error = crate::agent::chain(&error),
                            "the source ends; what it gave is still sent"
                        );
                        self.source_failed = Some(error);
                    }
                    None => {
                        self.feed.ended = true;
                        self.handle(Input::SourceEnded).await;
                    }
                },
                () = sleep => self.handle(Input::Tick).await,
            }
        }
        Ok(())
    }

    /// Takes samples until the agent pauses: then the rest of them waits.
    async fn take(&mut self, samples: &mut std::vec::IntoIter<Sampled>) {
        let behind = self.feed.behind.load(Ordering::Relaxed);
        if behind != self.behind {
            self.behind = behind;
            self.handle(Input::Behind { behind }).await;
        }
        while !self.agent.is_paused()
            && let Some(Sampled { sample, cursor }) = samples.next()
        {
            self.handle(Input::Sample { sample, cursor }).await;
        }
    }

    fn wake(&self) -> SystemTime {
        let idle = self.context.current() + Duration::from_millis(500);
        let due = self.agent.deadline().map(|at| UNIX_EPOCH + Duration::from_millis(at.as_millis()));
        due.map_or(idle, |due| due.min(idle))
    }

    /// One input and all that follows from it.
    async fn handle(&mut self, input: Input) {
        let (mut first, mut inputs) = (Some(input), VecDeque::new());
        while let Some(input) = first.take().or_else(|| inputs.pop_front()) {
            let now = Timestamp::from_millis(millis(self.context.current()));
            for output in self.agent.handle(now, input) {
                if let Some(next) = self.perform(output).await {
                    inputs.push_back(next);
                }
            }
        }
        while let Some((position, entry)) = self.backlog.pop_front() {
            match self.writer.append(entry.clone()) {
                Ok(given) => assert_eq!(given, position, "agent and spool count the same positions"),
                Err(error) => {
                    tracing::warn!(%error, "the spool does not take a batch yet");
                    self.backlog.push_front((position, entry));
                    break;
                }
            }
        }
    }

    async fn perform(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Persist { position, entry } => self.backlog.push_back((position, entry)),
            Output::Forget { position } => {
                if let Err(error) = self.writer.ack(position) {
                    tracing::error!(%error, "cannot forget a batch; it is kept");
                }
            }
            Output::Load { from, limit } => return Some(self.load(from, limit).await),
            Output::Connect(fog) => self.uplinks.connect(fog),
            Output::Disconnect(fog) => self.uplinks.disconnect(fog),
            Output::Ping(fog) => self.uplinks.ping(fog),
            Output::Measure(fog) => self.uplinks.measure(fog),
            Output::Send { fog, position, again } => match self.stored(position).await {
                Ok(Some(wire)) => self.uplinks.send(fog, position, wire, again),
                Ok(None) => tracing::error!(%position, "a batch that is kept is not in the spool"),
                Err(error) => tracing::error!(%error, "a batch cannot be read; it is tried again"),
            },
            Output::SaveTrust { toml } => {
                if let Err(error) = voltmesh_identity::write_public(&self.trust_file, toml.as_bytes()) {
                    tracing::warn!(%error, "the trust file is not saved; hand-overs are fetched again after a restart");
                }
            }
            Output::SaveTwin { json } => {
                if let Err(error) = twin::remember(&self.data, &json) {
                    tracing::warn!(%error, "what the twin has learnt is not saved; it is tried again");
                }
            }
            Output::SaveCommands { json } => {
                let failed = commands::remember(&self.data, &json).err().map(|error| error.to_string());
                return Some(Input::CommandsSaved { failed });
            }
            Output::Answer { fog, message } => self.uplinks.answer(fog, message),
            Output::Obey { setpoints, own, until } => {
                self.feed.obey(&setpoints);
                let now = millis(self.context.current());
                let left = until.map(|until| until.as_millis().saturating_sub(now) + STALLED_MS);
                let until = left.map(|left| Instant::now() + Duration::from_millis(left));
                self.outlets.give(&InForce { setpoints, own, until });
            }
            Output::Pause { reason } => tracing::warn!(reason, "no samples are taken"),
            Output::Resume => tracing::info!("samples are taken again"),
            Output::Warn { message } => tracing::warn!("{message}"),
            Output::Finished => self.finished = true,
        }
        None
    }

    async fn stored(&self, position: Position) -> Result<Option<Bytes>, Error> {
        let Some(bytes) = self.writer.read(position).await? else { return Ok(None) };
        let stored = entry::decode(position, &bytes).map_err(Error::Entry)?;
        Ok(Some(stored.batch.wire().clone()))
    }

    async fn load(&self, from: Position, limit: usize) -> Input {
        let durable = self.writer.progress().borrow().durable;
        let entries = match self.writer.read_from(from, limit, LOAD_BYTES).await {
            Ok(entries) => entries,
            Err(error) => {
                tracing::error!(%error, "waiting batches cannot be read; trying again");
                self.context.sleep(Duration::from_millis(200)).await;
                return Input::Loaded { batches: Vec::new(), next: from };
            }
        };
        let bytes: usize = entries.iter().map(|(_, entry)| entry.len()).sum();
        let more = entries.len() == limit || bytes >= LOAD_BYTES;
        let last = entries.last().map(|(position, _)| position.next());
        let next = last.filter(|_| more).unwrap_or(durable);
        let decode = |(position, entry): (Position, Bytes)| match entry::decode(position, &entry) {
            Ok(stored) => Some(stored),
            Err(error) => {
                tracing::error!(error, "left in the spool, not sent");
                None
            }
        };
        Input::Loaded { batches: entries.into_iter().filter_map(decode).collect(), next }
    }

    fn refresh(&mut self, now: bool) {
        if now || self.refreshed.is_none_or(|at| at.elapsed() >= REFRESH) {
            self.refreshed = Some(Instant::now());
            let status = self.status();
            *self.board.lock().unwrap_or_else(PoisonError::into_inner) = status;
        }
        if now || self.twin_refreshed.is_none_or(|at| at.elapsed() >= TWIN_REFRESH) {
            self.twin_refreshed = Some(Instant::now());
            let said = Said { twin: self.agent.twin(), commands: self.agent.commands().view() };
            *self.twin_board.lock().unwrap_or_else(PoisonError::into_inner) = said;
        }
    }

    fn status(&self) -> Status {
        let id = self.board.lock().unwrap_or_else(PoisonError::into_inner).id.clone();
        let mut status = Status::new(Role::Edge, id);
        status.ready = self.agent.is_ready();
        status.counters = self.agent.counters();
        *status.counters.entry("refused".to_owned()).or_default() +=
            self.feed.refused.load(Ordering::Relaxed);
        status.counters.insert("source_skipped".to_owned(), self.feed.skipped.load(Ordering::Relaxed));
        status.counters.insert("source_ended".to_owned(), u64::from(self.feed.ended));
        status.counters.insert("source_failed".to_owned(), u64::from(self.source_failed.is_some()));
        for (name, histogram) in self.agent.latencies() {
            let latency = Latency {
                p50_us: histogram.value_at_quantile(0.5),
                p99_us: histogram.value_at_quantile(0.99),
                count: histogram.len(),
            };
            status.latencies.insert(name.to_owned(), latency);
        }
        status
    }
}

/// What a source gives.
enum Given {
    Samples(Vec<Sampled>),
    /// It cannot go on.
    Failed(Error),
}

/// The source in its own thread: it reads files and sleeps.
struct Feed {
    given: mpsc::Receiver<Given>,
    ended: bool,
    stopped: Arc<AtomicBool>,
    refused: Arc<AtomicU64>,
    skipped: Arc<AtomicU64>,
    /// Whether samples wait longer than they should.
    behind: Arc<AtomicBool>,
    /// What is in force, and how often it has changed.
    in_force: Arc<(Mutex<Setpoints>, AtomicU64)>,
    /// What the source said at its end.
    said: Arc<Mutex<Vec<String>>>,
}

impl Feed {
    fn start(mut source: Box<dyn Source>, mut pacer: Pacer) -> Result<Self, Error> {
        let live = source.is_live();
        // What comes live is handed over one by one.
        let (send, given) = mpsc::channel(if live { SAMPLES } else { SAMPLES / AT_ONCE });
        let feed = Self {
            given,
            ended: false,
            stopped: Arc::default(),
            refused: Arc::default(),
            skipped: Arc::default(),
            behind: Arc::default(),
            in_force: Arc::default(),
            said: Arc::default(),
        };
        let said = feed.said.clone();
        let (stopped, refused, skipped) = (feed.stopped.clone(), feed.refused.clone(), feed.skipped.clone());
        let behind = feed.behind.clone();
        let in_force = feed.in_force.clone();
        let work = move || {
            let mut ready = Vec::new();
            let mut obeyed = 0;
            let give = |ready: &mut Vec<Sampled>| {
                ready.is_empty() || send.blocking_send(Given::Samples(std::mem::take(ready))).is_ok()
            };
            while !stopped.load(Ordering::Relaxed) {
                let newest = in_force.1.load(Ordering::Acquire);
                if newest != obeyed {
                    obeyed = newest;
                    source.obey(&in_force.0.lock().unwrap_or_else(PoisonError::into_inner));
                }
                let next = source.poll();
                skipped.store(source.skipped(), Ordering::Relaxed);
                let sampled = match next {
                    Ok(Next::Sample(sampled)) => sampled,
                    Ok(Next::Nothing) => continue,
                    Ok(Next::End) => {
                        let lines = source.said();
                        tracing::info!(read = lines.join("; "), "the source has ended");
                        *said.lock().unwrap_or_else(PoisonError::into_inner) = lines;
                        give(&mut ready);
                        return;
                    }
                    Err(error) => {
                        if give(&mut ready) {
                            // Nobody is left to hear it if that fails.
                            let _ = send.blocking_send(Given::Failed(error));
                        }
                        return;
                    }
                };
                if live {
                    behind.store(send.capacity() < SAMPLES / 2, Ordering::Relaxed);
                    // What is not taken is lost: the bus does not wait.
                    if let Err(mpsc::error::TrySendError::Full(_)) =
                        send.try_send(Given::Samples(vec![sampled]))
                    {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                    continue;
                }
                let due_in = pacer.wait(Instant::now(), sampled.sample.time.as_millis());
                if !due_in.is_zero() {
                    // What is due does not wait for what is not.
                    if !give(&mut ready) {
                        return;
                    }
                    wait(due_in, &stopped);
                }
                let limit = if behind.load(Ordering::Relaxed) { KEEPS_UP } else { BEHIND };
                behind.store(pacer.late() > limit, Ordering::Relaxed);
                if ready.capacity() == 0 {
                    ready.reserve_exact(AT_ONCE);
                }
                ready.push(sampled);
                if (ready.len() == AT_ONCE || !due_in.is_zero()) && !give(&mut ready) {
                    return;
                }
            }
        };
        let spawned = std::thread::Builder::new().name("source".into()).spawn(work);
        spawned.map_err(|e| Error::source("thread", e.to_string()))?;
        Ok(feed)
    }

    /// This is in force from the source's next sample on.
    fn obey(&self, setpoints: &Setpoints) {
        let mut in_force = self.in_force.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *in_force != *setpoints {
            in_force.clone_from(setpoints);
            self.in_force.1.fetch_add(1, Ordering::Release);
        }
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.given.close();
    }
}

/// Sleeps in pieces, so that a stop is noticed.
fn wait(mut time: Duration, stopped: &AtomicBool) {
    const PIECE: Duration = Duration::from_millis(50);
    while !time.is_zero() && !stopped.load(Ordering::Relaxed) {
        let piece = time.min(PIECE);
        std::thread::sleep(piece);
        time -= piece;
    }
}

async fn stop_signal(context: Context) {
    use commonware_runtime::Spawner as _;
    let asked = context.stopped();
    tokio::select! {
        () = voltmesh_http::termination() => {}
        _ = asked => {}
    }
}
