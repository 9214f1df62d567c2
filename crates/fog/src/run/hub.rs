//! The loop that owns the core.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use commonware_p2p::{Recipients, Sender as _};
use commonware_runtime::{Clock as _, tokio::Context};
use tokio::sync::{mpsc, watch};
use voltmesh_audit::Recorder;
use voltmesh_consensus::{Handle, Hold, network::SocketSender};
use voltmesh_control::{
    Latency, Status,
    topics::{Topic as MqttTopic, VehicleTopic},
};
use voltmesh_ledger::Height;
use voltmesh_mqtt::{
    LogLimiter, Outgoing, Reason, Refusal, Server, ServerEvent, ServerEvents, Session, SessionId, Token,
};
use voltmesh_spool::{Error as SpoolError, Position, Writer};
use voltmesh_telemetry::{Timestamp, VehicleId};

use super::{
    commands::{Answered, Desk},
    finality::{self, Finality},
    functions::{Fed, FunctionQueue, Told},
    latency::Histogram,
    quarantine::Quarantine,
    round_trips::RoundTrips,
    uplink::Order,
    workers::Workers,
};
use crate::ingest::{Answer, Claim, Done, Ingest, Input, NotRouted, Output, Rejection, Topic, receipts};

/// Longest time for the inputs of one wakeup, so that answers are not kept waiting by an endless stream: about four
/// times what an fdatasync takes, which larger groups would not make cheaper.
const WAKEUP: Duration = Duration::from_millis(2);

/// Longest sleep.
const IDLE: Duration = Duration::from_millis(500);

/// Between two writings of the status.
const REFRESH: Duration = Duration::from_millis(100);

/// Between two looks at the disk's free space.
const SPACE: Duration = Duration::from_secs(1);

/// Between two looks at what the ledger may prune: some 30 ms with a million batches held, and far more often than the
/// ledger prunes.
const HOLD: Duration = Duration::from_secs(10);

/// A turn of the loop that is worth a line in the log at level debug: everybody's PUBACK waits for it.
const SLOW: Duration = Duration::from_millis(20);

/// Pause before a spool that takes nothing is tried again.
const FULL: Duration = Duration::from_millis(20);

/// What the loop is made of.
pub struct Parts {
    pub context: Context,
    pub ingest: Ingest,
    pub data: PathBuf,
    pub audit: Recorder,
    pub server: Server,
    pub events: ServerEvents,
    pub inputs: mpsc::Receiver<Input>,
    /// For tasks that the loop starts.
    pub give: mpsc::Sender<Input>,
    pub jobs_done: mpsc::UnboundedReceiver<Done>,
    pub workers: Workers,
    pub spool: Writer<Context>,
    pub quarantine: Quarantine,
    pub ledger: Handle,
    /// Keeps from being pruned what is still needed.
    pub hold: Hold,
    pub copies: SocketSender<Context>,
    pub orders: mpsc::UnboundedSender<Order>,
    /// Commands to vehicles, and their answers.
    pub desk: Desk,
    /// The archive's statements that are kept, as bytes.
    pub statements: watch::Sender<Bytes>,
    pub board: Arc<Mutex<Status>>,
    pub finality: Finality,
    /// The thread of functions, if there is one.
    pub functions: Option<FunctionQueue>,
}

/// The loop.
pub struct Hub {
    parts: Parts,
    sessions: BTreeMap<SessionId, Session>,
    started: Instant,
    puback: Histogram,
    refreshed: Option<Instant>,
    looked: Option<Instant>,
    advanced: Option<Instant>,
    free: u64,
    tag: u64,
    caught_up: bool,
    failures: u64,
    round_trips: RoundTrips,
    /// Lines about sessions.
    log: LogLimiter<String>,
}

impl Hub {
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            sessions: BTreeMap::new(),
            started: Instant::now(),
            puback: Histogram::default(),
            refreshed: None,
            looked: None,
            advanced: None,
            free: u64::MAX,
            tag: 0,
            caught_up: false,
            failures: 0,
            round_trips: RoundTrips::default(),
            log: LogLimiter::default(),
        }
    }

    /// Runs until the node stops.
    pub async fn run(mut self) {
        let mut progress = self.parts.spool.progress();
        let mut quarantined = self.parts.quarantine.writer().progress();
        loop {
            self.look().await;
            let wake = self.parts.context.sleep_until(self.wake());
            tokio::select! {
                biased;
                changed = progress.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now = progress.borrow_and_update().clone();
                    self.give(Input::SpoolUsed(now.bytes)).await;
                    self.progress(now.durable, now.failures, now.error).await;
                }
                changed = quarantined.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let durable = quarantined.borrow_and_update().durable;
                    self.give(Input::QuarantineDurable(durable)).await;
                }
                Some(done) = self.parts.jobs_done.recv() => self.give(Input::Done(done)).await,
                Some(input) = self.parts.inputs.recv() => self.input(input).await,
                command = self.parts.desk.next() => self.give(command).await,
                event = self.parts.events.next() => match event {
                    Some(event) => self.event(event).await,
                    None => return,
                },
                () = wake => {}
            }
            let turn = Instant::now();
            self.drain().await;
            let drained = turn.elapsed();
            self.give(Input::Tick).await;
            let took = turn.elapsed();
            if took > SLOW {
                tracing::debug!(?drained, ?took, "a slow turn");
            }
        }
    }

    /// Takes what else is waiting.
    async fn drain(&mut self) {
        let until = Instant::now() + WAKEUP;
        while Instant::now() < until {
            let mut idle = true;
            if let Ok(done) = self.parts.jobs_done.try_recv() {
                self.give(Input::Done(done)).await;
                idle = false;
            }
            if let Ok(input) = self.parts.inputs.try_recv() {
                self.input(input).await;
                idle = false;
            }
            if let Some(event) = self.parts.events.try_next() {
                self.event(event).await;
                idle = false;
            }
            if idle {
                return;
            }
        }
    }

    fn wake(&self) -> SystemTime {
        let idle = self.parts.context.current() + IDLE;
        let due = self.parts.ingest.deadline().map(|at| UNIX_EPOCH + Duration::from_millis(at.as_millis()));
        due.map_or(idle, |due| due.min(idle))
    }

    fn now(&self) -> Timestamp {
        let since = self.parts.context.current().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(since.as_millis() as u64)
    }

    async fn progress(&mut self, durable: Position, failures: u64, error: Option<SpoolError>) {
        self.give(Input::Durable(durable)).await;
        if failures > self.failures {
            self.failures = failures;
            let why = error.map_or_else(|| "unknown cause".to_owned(), |error| error.to_string());
            self.give(Input::StorageFailed(why)).await;
        }
    }

    async fn input(&mut self, input: Input) {
        if let Input::Ledger { caught_up, .. } = &input {
            self.caught_up = *caught_up;
        }
        self.give(input).await;
    }

    async fn event(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Connected { session } => {
                let (id, peer) = (session.id(), session.peer().clone());
                if let (Some(functions), Ok(vehicle)) = (&self.parts.functions, peer.identity.id().parse()) {
                    functions.tell(Told::Connected { session: id, vehicle });
                }
                self.sessions.insert(id, session);
                self.give(Input::Connected { session: id, peer }).await;
            }
            ServerEvent::Publishes { session, items } => {
                let (id, arrived_us) = (session.id(), self.started.elapsed().as_micros() as u64);
                let now = self.now();
                for item in items {
                    let claim = Claim { session: id, token: item.token.to_bits(), arrived_us };
                    let input = match item.will {
                        false => Input::Publish { claim, topic: item.topic, payload: item.payload },
                        true => {
                            let peer = session.peer().clone();
                            Input::Will { claim, peer, topic: item.topic, payload: item.payload }
                        }
                    };
                    let outputs = self.parts.ingest.handle(now, input);
                    if !outputs.is_empty() {
                        self.perform(outputs).await;
                    }
                }
            }
            ServerEvent::Ended { session, .. } => {
                self.sessions.remove(&session.id());
                self.parts.desk.ended(session.id());
                self.round_trips.ended(session.id());
                if let Some(functions) = &self.parts.functions {
                    functions.tell(Told::Ended { session: session.id() });
                }
                self.give(Input::Disconnected { session: session.id() }).await;
            }
            ServerEvent::Completed { session, done } => self.completed(&session, &done),
            ServerEvent::Subscribed { .. } => {}
        }
    }

    /// Publishes to a session are over.
    fn completed(&mut self, session: &Session, done: &[(u64, Reason)]) {
        for (tag, reason) in done {
            self.parts.desk.completed(*tag, reason.0 < 0x80);
        }
        let Some(functions) = &self.parts.functions else { return };
        for (tag, _) in done {
            if let Some(took) = self.round_trips.acknowledged(session.id(), *tag)
                && let Ok(vehicle) = session.peer().identity.id().parse()
            {
                functions.tell(Told::RoundTrip { vehicle, us: took.as_micros() as u64 });
            }
        }
    }

    async fn give(&mut self, input: Input) {
        let outputs = self.parts.ingest.handle(self.now(), input);
        self.perform(outputs).await;
    }

    async fn perform(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Append(entry) => self.append(entry).await,
                Output::Quarantine { head, entry } => self.quarantine(head, entry).await,
                Output::Load(position) => self.load(position),
                Output::Release(positions) => {
                    for position in positions {
                        if let Err(error) = self.parts.spool.ack(position) {
                            tracing::error!(%error, %position, "an entry that is not needed stays in the spool");
                        }
                    }
                }
                Output::Answer(answers) => self.answer(&answers),
                Output::Reject(rejections) => self.reject(rejections),
                Output::Disconnect { session, reason, why } => {
                    if let Some(session) = self.sessions.get(&session) {
                        let peer = &session.peer().identity;
                        if self.log.may_write(format!("{peer}: sessions ended")) {
                            tracing::warn!(%peer, why, "session ended");
                        }
                        if reason == Reason::NOT_AUTHORIZED.0 {
                            self.parts.audit.refusal(&peer.to_string(), &why);
                        }
                        session.disconnect(Refusal::new(Reason(reason), why));
                    }
                }
                Output::Work(job) => self.parts.workers.push(job),
                Output::Submit(transaction) => {
                    if let Err(error) = self.parts.ledger.submit(*transaction) {
                        tracing::warn!(%error, "an anchor is not taken now; it is submitted again");
                    }
                }
                Output::Copy { to, message } => {
                    self.parts.copies.send(Recipients::One(to), message, false);
                }
                Output::ToVehicle { session, vehicle, topic, payload } => {
                    let Some(session) = self.sessions.get(&session).cloned() else { continue };
                    self.tag += 1;
                    if self.parts.functions.is_some() {
                        self.round_trips.sent(session.id(), self.tag);
                    }
                    publish(&session, &vehicle, topic, payload, self.tag);
                }
                Output::CommandRouted { ticket, routed } => self.command(ticket, routed),
                Output::Answered { vehicle, answer } => {
                    self.parts.desk.answered(Answered { vehicle, answer: *answer });
                }
                Output::ReceiptsFromSpool { session, vehicle, entries } => {
                    self.receipts(session, vehicle, entries);
                }
                Output::Forward { batch, entry, evidence } => {
                    let _ = self.parts.orders.send(Order::Forward { batch, entry, evidence });
                }
                Output::TrustToCloud(handovers) => {
                    let _ = self.parts.orders.send(Order::Trust(handovers));
                }
                Output::AnchoredToCloud(anchored) => {
                    let _ = self.parts.orders.send(Order::Anchored(anchored));
                }
                Output::Feed(feed) => {
                    if let Some(functions) = &self.parts.functions {
                        let arrived = self.started + Duration::from_micros(feed.arrived_us);
                        functions.feed(Fed { arrived, content: feed.content });
                    }
                }
                Output::KeepStatements(bytes) => drop(self.parts.statements.send_replace(bytes)),
                Output::Log(text) => tracing::warn!("{text}"),
                Output::LogRejection { peer, why, text } => {
                    self.parts.audit.refusal(&peer, why);
                    if self.log.may_write(format!("publishes of {peer} that were rejected")) {
                        tracing::warn!("{text}");
                    }
                }
            }
        }
    }

    /// The core keeps below the spool's bounds, so waiting here means that the disk is slow, and slows everyone down.
    async fn append(&mut self, entry: Bytes) {
        loop {
            match self.parts.spool.append(entry.clone()) {
                Ok(_) => return,
                Err(error @ (SpoolError::Full { .. } | SpoolError::Busy { .. })) => {
                    tracing::warn!(%error, "the spool takes nothing now; waiting");
                    self.parts.context.sleep(FULL).await;
                }
                Err(error) => {
                    // Positions would no longer agree: stop rather than acknowledge what is not there.
                    panic!("the spool refuses an entry that fits: {error}");
                }
            }
        }
    }

    /// Appends to the quarantine, with the bytes of a spool entry, which may be released next.
    async fn quarantine(&mut self, head: Bytes, entry: Option<Position>) {
        let Some(entry) = entry else { return self.parts.quarantine.append(head) };
        let mut bytes = head.to_vec();
        if let Ok(Some(payload)) = self.parts.spool.read(entry).await {
            bytes.extend_from_slice(&payload);
        }
        self.parts.quarantine.append(bytes.into());
    }

    fn answer(&mut self, answers: &[Answer]) {
        let now_us = self.started.elapsed().as_micros() as u64;
        for run in answers.chunk_by(|a, b| a.claim.session == b.claim.session) {
            let Some(session) = run.first().and_then(|first| self.sessions.get(&first.claim.session)) else {
                continue;
            };
            for answer in run {
                self.puback.record(now_us.saturating_sub(answer.claim.arrived_us));
            }
            session.accept_all(run.iter().map(|answer| Token::from_bits(answer.claim.token)));
        }
    }

    fn reject(&self, rejections: Vec<Rejection>) {
        for Rejection { claim, reason, why } in rejections {
            if let Some(session) = self.sessions.get(&claim.session) {
                session.reject(Token::from_bits(claim.token), Refusal::new(Reason(reason), why));
            }
        }
    }

    fn load(&self, position: Position) {
        let (spool, give) = (self.parts.spool.clone(), self.parts.give.clone());
        tokio::spawn(async move {
            let entry = spool.read(position).await.unwrap_or_else(|error| {
                tracing::error!(%error, %position, "a copy cannot be read");
                None
            });
            let _ = give.send(Input::Loaded(position, entry)).await;
        });
    }

    fn receipts(&mut self, session: SessionId, vehicle: VehicleId, entries: Vec<Position>) {
        let Some(session) = self.sessions.get(&session).cloned() else { return };
        self.tag += 1;
        let (spool, tag) = (self.parts.spool.clone(), self.tag);
        tokio::spawn(async move {
            let mut found = Vec::with_capacity(entries.len());
            for entry in entries {
                match spool.read(entry).await {
                    Ok(bytes) => found.extend(bytes),
                    Err(error) => tracing::error!(%error, %entry, "evidence cannot be read"),
                }
            }
            if let Some(payload) = receipts(found) {
                publish(&session, &vehicle, Topic::Receipt, payload, tag);
            }
        });
    }

    fn command(&mut self, ticket: u64, routed: Result<(SessionId, VehicleId, Bytes), NotRouted>) {
        let sent = routed.and_then(|(id, vehicle, message)| {
            let open = self
                .sessions
                .get(&id)
                .filter(|session| publish(session, &vehicle, Topic::Command, message, ticket));
            open.map(|_| id).ok_or(NotRouted::NotConnected(vehicle))
        });
        match sent {
            Ok(session) => self.parts.desk.sent(ticket, session),
            Err(why) => self.parts.desk.not_sent(ticket, why),
        }
    }

    /// Looks at the disk, lets go of blocks, and writes the status for others to read.
    async fn look(&mut self) {
        if self.looked.is_none_or(|at| at.elapsed() >= SPACE) {
            self.looked = Some(Instant::now());
            if let Some(free) = free_bytes(&self.parts.data) {
                self.free = free;
                self.give(Input::Space(free)).await;
            }
        }
        if self.advanced.is_none_or(|at| at.elapsed() >= HOLD) {
            self.advanced = Some(Instant::now());
            if let Some(height) = self.parts.ingest.needs_from() {
                self.parts.hold.advance(Height::new(height));
            }
        }
        if self.refreshed.is_none_or(|at| at.elapsed() >= REFRESH) {
            self.refreshed = Some(Instant::now());
            self.refresh();
        }
    }

    fn refresh(&mut self) {
        self.log.due().iter().for_each(|unwritten| tracing::warn!("{unwritten}"));
        let mut counters = self.parts.ingest.counters().all();
        counters.extend(self.parts.ingest.gauges().into_iter().map(|(name, value)| (name.to_owned(), value)));
        counters.extend(
            self.parts.server.counters().snapshot().into_iter().map(|(k, v)| (format!("mqtt_{k}"), v)),
        );
        let ledger = &self.parts.ledger;
        let finality = ledger.finality();
        counters.extend(finality::figures(ledger).map(|(name, value)| (name.to_owned(), value)));
        counters.extend([
            ("disk_free_bytes".to_owned(), self.free),
            ("answers_dropped".to_owned(), self.parts.desk.dropped()),
            ("quarantine_dropped".to_owned(), self.parts.quarantine.dropped()),
        ]);
        let commit =
            Latency { p50_us: finality.p50_ms * 1000, p99_us: finality.p99_ms * 1000, count: finality.count };
        let mut board = self.parts.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.ready = self.caught_up;
        board.counters = counters;
        board.latencies.insert("puback".into(), self.puback.latency());
        board.latencies.insert("commit".into(), commit);
        board.latencies.insert("finality".into(), self.parts.finality.latency());
    }
}

/// Whether the session has taken it.
fn publish(session: &Session, vehicle: &VehicleId, topic: Topic, payload: Bytes, tag: u64) -> bool {
    let kind = match topic {
        Topic::Receipt => VehicleTopic::Receipt,
        Topic::Notice => VehicleTopic::Notice,
        Topic::Trust => VehicleTopic::Trust,
        Topic::Command => VehicleTopic::Command,
    };
    let topic = MqttTopic::Vehicle(vehicle.clone(), kind).to_string();
    let published = session.publish(Outgoing::new(topic, payload, tag));
    if let Err(error) = &published {
        tracing::info!(peer = %session.peer().identity, %error, "not told now; the vehicle asks again");
    }
    published.is_ok()
}

/// Bytes that this process may still write on the disk of `path`.
fn free_bytes(path: &std::path::Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}
