//! Shell around the agent: what it asks for is done, and what happens is told to it.

use super::feed::{Feed, Given};
use crate::agent::{Agent, Input, Output};
use crate::commands::{self, InForce, Outlets};
use crate::http::{Board, Said, TwinBoard};
use crate::sources::Sampled;
use crate::uplink::{Event, Uplinks};
use crate::{Error, entry, twin};
use bytes::Bytes;
use commonware_runtime::{Clock as _, Supervisor as _, tokio::Context};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use voltmesh_control::{Role, Status};
use voltmesh_spool::{Position, Writer};
use voltmesh_telemetry::Timestamp;

/// Bytes of batches that are read from the spool at once.
const LOAD_BYTES: usize = 2 << 20;

/// How often what the twin says is written anew: its forecast of twenty years takes longer than all counters.
const TWIN_REFRESH: Duration = Duration::from_secs(1);

/// After the end of a command, outlets wait so many ms for what is in force then: an agent that stands still holds none
/// longer.
const STALLED_MS: u64 = 1_000;

/// How often the status is written anew.
const REFRESH: Duration = Duration::from_millis(100);

/// Milliseconds since the Unix epoch.
pub(super) fn millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// The agent with the disk, the sockets and the source that it asks.
pub(super) struct Shell {
    pub(super) context: Context,
    pub(super) agent: Agent,
    pub(super) writer: Writer<Context>,
    pub(super) uplinks: Uplinks,
    pub(super) board: Board,
    pub(super) twin_board: TwinBoard,
    pub(super) data: PathBuf,
    pub(super) feed: Feed,
    pub(super) outlets: Outlets,
    /// What the agent was told of the feed.
    pub(super) behind: bool,
    /// Entries that the spool did not take yet.
    pub(super) backlog: VecDeque<(Position, Bytes)>,
    pub(super) trust_file: PathBuf,
    pub(super) refreshed: Option<Instant>,
    pub(super) twin_refreshed: Option<Instant>,
    /// Why the source ended early; what it had given is still sent.
    pub(super) source_failed: Option<Error>,
    pub(super) finished: bool,
}

impl Shell {
    pub(super) async fn go(&mut self, mut events: mpsc::Receiver<Event>) -> Result<(), Error> {
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
                        Some(error) => {
                            let folder = self.data.display();
                            let reason =
                                format!("{error}: free space on the disk of {folder}, or mount it for writing");
                            self.handle(Input::SyncFailed { reason }).await;
                        }
                        None => self.handle(Input::Synced { durable: now.durable, bytes: now.bytes }).await,
                    }
                }
                given = self.feed.given.recv(), if take_samples => match given {
                    Some(Given::Samples(given)) => samples = given.into_iter(),
                    Some(Given::Failed(error)) => {
                        tracing::error!(
                            error = voltmesh_telemetry::error_chain(&error),
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
            Output::Connect { fog, times } => self.uplinks.connect(fog, times),
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

    pub(super) fn status(&self) -> Status {
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
            status.latencies.insert(name.to_owned(), histogram.into());
        }
        status
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
