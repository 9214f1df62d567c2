//! The outside world: sockets, clock, disk. What to do is decided in [`crate::archivist`].

use crate::{
    api::{Api, DESCRIPTION, router},
    archivist::{Archivist, Commit, Input, Output, QuarantineRoom, Token},
    board::{Board, fingerprint},
    config::{Config, ConfigError, Http, Mqtt},
    delta::{Archive, ArchiveError, Location, Reader},
    statement::{self, AuditHeads, StatementStore, Statements},
    writer::{Surroundings, ask, write},
};
use bytes::Bytes;
use commonware_runtime::{Metrics as _, Spawner as _};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{net::TcpListener, sync::mpsc};
use voltmesh_audit::Recorder;
use voltmesh_control::{
    ArchiveStatement, Handovers, MAX_ENVELOPE_BYTES,
    topics::{self, FogTopic, Topic},
};
use voltmesh_http::{Asked, Figures, Rules, Settings, Tls, Token as HttpToken, TokenError};
use voltmesh_identity::{Credentials, Identity, RevocationWatch, Role, write_public};
use voltmesh_ledger::{AnchoredStatement, Trust, verifying_key};
use voltmesh_mqtt::{
    Descriptors, Limits, LogLimiter, Outgoing, Policy, Reason, Refusal, Server, ServerEvent, ServerEvents,
    ServerSettings, Session, Token as Delivery,
};
use voltmesh_telemetry::Timestamp;

/// MQTT headers and topic around an envelope.
const PACKET_OVERHEAD: usize = 4096;
/// Places of statements that wait to be kept: of some fog nodes that connect at once, 16 each.
const PLACES: usize = 1_024;
/// Between two looks at what the log has left out.
const UNWRITTEN: Duration = Duration::from_secs(1);
/// Roles that may read the archive over TLS.
const READERS: [Role; 3] = [Role::Operator, Role::Cloud, Role::Controller];
/// Paths that tell what vehicles sent: who is answered is entered in the audit log.
const RECORDED: [&str; 2] = ["/v1/vehicles/", "/v1/records/"];
/// An archive of up to so many rows is read at the start for vehicles' latest records; in a larger one they are looked
/// up when asked for, until their next commit.
const WARM_ROWS: u64 = 200_000;

/// Errors that end the cloud.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Correct the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Certificates, keys or revocation list.
    #[error(transparent)]
    Identity(#[from] voltmesh_identity::Error),
    /// The certificate is another participant's.
    #[error("the certificate in {folder} is of {found}, but this is urn:voltmesh:cloud:{id}")]
    Name {
        /// Where.
        folder: String,
        /// Whose it is.
        found: String,
        /// The configured id.
        id: String,
    },
    /// The trust file.
    #[error("the trust file {path} cannot be used")]
    Trust {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: Box<voltmesh_ledger::Error>,
    },
    /// The token of the HTTP interface.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// MQTT.
    #[error(transparent)]
    Mqtt(#[from] voltmesh_mqtt::Error),
    /// A file or socket.
    #[error("{what}")]
    Io {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }
}

/// Runs the cloud until the runtime is stopped or it is told to end (SIGTERM, SIGINT). Everything asynchronous runs inside the caller's runner.
pub async fn run(
    context: commonware_runtime::tokio::Context,
    config: Config,
    process: voltmesh_http::Process,
) -> Result<(), Error> {
    let mut stopped = context.stopped();
    let metrics = Arc::new(move || context.encode());
    let cloud = Cloud::start(config, process, metrics).await?;
    tracing::info!(mqtt = %cloud.mqtt_address(), http = %cloud.http_address(), "cloud is up");
    cloud
        .serve(async move {
            tokio::select! {
                _ = &mut stopped => {}
                () = voltmesh_http::termination() => {}
            }
        })
        .await
}

/// Text of further metrics.
pub type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

/// A cloud whose sockets are open.
pub struct Cloud {
    config: Config,
    audit: Recorder,
    board: Arc<Board>,
    archivist: Archivist,
    archive: Archive,
    statements: (Statements, StatementStore, ed25519_dalek::SigningKey),
    server: Server,
    events: ServerEvents,
    http: voltmesh_http::Server,
}

/// The topics that may be used here: fog nodes publish envelopes and hand-overs under their own name, and subscribe to
/// their notices; nobody else does anything.
pub struct FogsOnly;

impl Policy for FogsOnly {
    fn may_publish(&self, peer: &Identity, topic: &str) -> Result<(), Reason> {
        let parsed: Topic = topic.parse().map_err(|_| Reason::TOPIC_NAME_INVALID)?;
        let allowed = topics::may_publish(peer.role.as_str(), peer.id(), &parsed) && is_of_cloud(&parsed);
        allowed.then_some(()).ok_or(Reason::NOT_AUTHORIZED)
    }

    fn may_subscribe(&self, peer: &Identity, filter: &str) -> Result<(), Reason> {
        let parsed: Topic = filter.parse().map_err(|_| Reason::TOPIC_FILTER_INVALID)?;
        let allowed = topics::may_subscribe(peer.role.as_str(), peer.id(), &parsed) && is_of_cloud(&parsed);
        allowed.then_some(()).ok_or(Reason::NOT_AUTHORIZED)
    }
}

/// What the controller and its fog nodes tell each other is not for the cloud.
fn is_of_cloud(topic: &Topic) -> bool {
    matches!(topic, Topic::Fog(_, kind) if !kind.is_of_controller())
}

impl Cloud {
    /// Reads what the configuration names, opens the archive and listens.
    pub async fn start(
        config: Config,
        process: voltmesh_http::Process,
        metrics: MetricsText,
    ) -> Result<Self, Error> {
        // First: what is opened from here on counts.
        let bounds = Descriptors::raise().share(config.mqtt.bounds(), Mqtt::RESERVED_DESCRIPTORS)?;
        let credentials = Credentials::load(&config.credentials)?;
        let own = &credentials.own.identity;
        if own.role != Role::Cloud || own.id() != config.id {
            let folder = config.credentials.display().to_string();
            return Err(Error::Name { folder, found: own.to_string(), id: config.id.clone() });
        }
        let revoked = RevocationWatch::with_policy(&config.revocations, &credentials.ca, config.expired_crl)?;
        let trust = load_trust(&config)?;
        let chain = trust.chain();
        let board = Arc::new(Board::new(&config.id));
        board.set_trust(trust.to_toml());

        let location = Location::parse(&config.archive, &config.store)?;
        let (archive, marks) = Archive::open(&location, config.commit.settings()).await?;
        let (store, newest) = StatementStore::open(&location).await?;
        let statements = Statements::new(&config.id, 1_000 * config.statement.every_s, newest);
        let reader = archive.reader();
        board.seed_latest(reader.all_latest(WARM_ROWS).await?);
        let grouping = config.commit.grouping(config.mqtt.receive_maximum);
        let [.., quarantine, _] = reader.sizes();
        let room = QuarantineRoom::new(config.quarantine.max_bytes, quarantine.bytes);
        let archivist =
            Archivist::new(trust, credentials.signing.clone(), grouping, &marks).with_quarantine(room);
        board.update(&archivist, true);

        let figures = Figures::of(process.clone());
        let api = Api { reader, board: board.clone(), chain, figures: figures.clone(), metrics };
        let tls = credentials.server_config(&revoked)?;
        let inside = Tls { config: tls.clone(), revoked: revoked.clone(), roles: &READERS };
        let http = listen(&config.http, router(api), &credentials, inside, figures).await?;

        let settings = ServerSettings {
            limits: Limits {
                max_packet: (MAX_ENVELOPE_BYTES + PACKET_OVERHEAD) as u32,
                receive_maximum: config.mqtt.receive_maximum,
                ..Limits::default()
            },
            bounds,
            audit: process.audit.clone(),
            ..ServerSettings::default()
        };
        let (server, events) =
            Server::bind(config.mqtt.listen, tls, revoked, Arc::new(FogsOnly), settings).await?;
        board.set_mqtt(server.figures());
        board.set_ready(true);
        let statements = (statements, store, credentials.signing.clone());
        Ok(Self { config, audit: process.audit, board, archivist, archive, statements, server, events, http })
    }

    /// Where fog nodes connect.
    pub fn mqtt_address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where the HTTP interface is.
    pub fn http_address(&self) -> SocketAddr {
        self.http.address()
    }

    /// Works until `stop`; a commit under way is finished first.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let Self { config, audit, board, archivist, archive, statements, server, mut events, http } = self;
        let (said, mut to_say) = mpsc::channel(1);
        let (statements, store, key) = statements;
        // Also what this cloud said under a key that it had before, as long as its trust file names that key.
        let trusted = archivist.trust().cloud_keys().iter().filter_map(|key| verifying_key(key).ok());
        let cloud_keys: Vec<_> = trusted.chain([key.verifying_key()]).collect();
        let (places, to_keep) = mpsc::channel(PLACES);
        let heads = AuditHeads::new(audit.clone(), 3_600_000 * config.statement.audit_hours);
        let files = statement::StatementFiles { store, key, heads };
        tokio::spawn(statement::run(statements, files, archive.holdings(), said, to_keep, now));
        let reader = archive.reader();
        let (commits, queue) = mpsc::channel(1);
        let (results, mut done) = mpsc::channel(64);
        let process = Process { board: board.clone(), started: Instant::now() };
        let writer = tokio::spawn(write(archive, queue, results.clone(), process));
        let mut shell = Shell {
            trust: fingerprint(&archivist.trust().to_toml()),
            config,
            audit,
            board,
            archivist,
            server,
            reader,
            commits,
            results,
            waiting: BTreeMap::new(),
            next_token: 0,
            statement: None,
            cloud_keys,
            places,
            log: LogLimiter::default(),
        };
        let mut unwritten = tokio::time::interval(UNWRITTEN);
        tokio::pin!(stop);
        loop {
            let deadline = shell.archivist.deadline();
            tokio::select! {
                () = &mut stop => break,
                // Else it stays on the connections, whose senders wait.
                event = events.next(), if shell.archivist.has_room() => match event {
                    Some(event) => shell.event(event),
                    None => break,
                },
                Some(input) = done.recv() => shell.handle(input),
                Some(statement) = to_say.recv() => shell.say(statement),
                () = sleep_until(deadline) => shell.handle(Input::Tick),
                _ = unwritten.tick() => shell.log.due().iter().for_each(|it| tracing::warn!("{it}")),
            }
        }
        shell.board.set_ready(false);
        shell.server.shutdown();
        drop(shell);
        http.shutdown().await;
        writer.await.ok();
        Ok(())
    }
}

async fn sleep_until(deadline: Option<Timestamp>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(Duration::from_millis(deadline.millis_since(now()))).await,
        None => std::future::pending().await,
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The trust file, extended by what was learned before if that leads further.
fn load_trust(config: &Config) -> Result<Trust, Error> {
    let read = |path: &Path| {
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::io(path.display().to_string(), source))?;
        Trust::from_toml(&text)
            .map_err(|source| Error::Trust { path: path.display().to_string(), source: Box::new(source) })
    };
    let mut trust = read(&config.trust)?;
    if let Some(learned) = config.trust_learned.as_deref().filter(|path| path.exists()) {
        match read(learned) {
            Ok(learned) if learned.chain() == trust.chain() => {
                for handover in learned.handovers() {
                    trust.extend(handover).ok();
                }
            }
            Ok(_) => {
                tracing::warn!(path = %learned.display(), "learned hand-overs are of another chain: ignored")
            }
            Err(error) => tracing::warn!(%error, "learned hand-overs cannot be read: ignored"),
        }
    }
    Ok(trust)
}

/// Opens the HTTP interface.
async fn listen(
    config: &Http,
    app: axum::Router,
    credentials: &Credentials,
    tls: Tls,
    figures: Arc<Figures>,
) -> Result<voltmesh_http::Server, Error> {
    let names = config.names()?.with_certificate(&credentials.names()?);
    let token = config.token_file.as_deref().map(HttpToken::read).transpose()?;
    let rules = Rules::new(names).with_token(token, Asked::Everywhere { but: &[DESCRIPTION] });
    let settings = Settings {
        connections: config.max_connections,
        connections_per_source: config.max_connections_per_source,
        recorded: &RECORDED,
        ..Settings::default()
    };
    let cannot = |source| Error::io(format!("cannot listen on {} (http.listen)", config.listen), source);
    let listener = TcpListener::bind(config.listen).await.map_err(cannot)?;
    voltmesh_http::serve(listener, app, rules, settings, config.tls.then_some(tls), figures).map_err(cannot)
}

/// This process's clock and executor, and its board.
struct Process {
    board: Arc<Board>,
    started: Instant,
}

impl Surroundings for Process {
    async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        work.await
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn committed(&self, commit: &Commit, took: Duration) {
        self.board.committed(commit, took);
    }
}

struct Waiting {
    session: Session,
    delivery: Delivery,
    since: Instant,
}

struct Shell {
    config: Config,
    audit: Recorder,
    board: Arc<Board>,
    archivist: Archivist,
    server: Server,
    reader: Reader,
    commits: mpsc::Sender<Commit>,
    results: mpsc::Sender<Input>,
    waiting: BTreeMap<Token, Waiting>,
    next_token: u64,
    trust: voltmesh_telemetry::Digest,
    /// The newest statement of the archive since the start.
    statement: Option<Bytes>,
    cloud_keys: Vec<ed25519_dalek::VerifyingKey>,
    /// Places of statements in the ledger's log, to be kept.
    places: mpsc::Sender<AnchoredStatement>,
    /// Lines about what fog nodes deliver.
    log: LogLimiter<String>,
}

impl Shell {
    fn event(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Connected { session } => {
                let identity = &session.peer().identity;
                if identity.role == Role::Fog {
                    tracing::info!(fog = identity.id(), "fog node connected");
                } else {
                    if self.log.may_write(format!("{identity}: not a fog node")) {
                        tracing::warn!(%identity, "only fog nodes may connect here");
                    }
                    self.audit.refusal(&identity.to_string(), "only fog nodes may connect");
                    session.disconnect(Reason::NOT_AUTHORIZED);
                }
                self.board.set_fogs(self.server.sessions().len());
            }
            ServerEvent::Publishes { session, items } => {
                for item in items {
                    match item.topic.parse() {
                        Ok(Topic::Fog(fog, FogTopic::Envelope)) => {
                            let token = Token(self.next_token);
                            self.next_token += 1;
                            let waiting = Waiting {
                                session: session.clone(),
                                delivery: item.token,
                                since: Instant::now(),
                            };
                            self.waiting.insert(token, waiting);
                            self.handle(Input::Envelope { fog, token, bytes: item.payload });
                        }
                        Ok(Topic::Fog(_, FogTopic::Trust)) => match Handovers::decode(&item.payload) {
                            Ok(_) => {
                                self.handle(Input::Handovers(item.payload));
                                self.keep_trust();
                                session.accept(item.token);
                            }
                            Err(error) => {
                                let peer = session.peer().identity.to_string();
                                self.audit.refusal(&peer, "hand-overs that cannot be read");
                                let why = Refusal::new(Reason::PAYLOAD_FORMAT_INVALID, error.to_string());
                                session.reject(item.token, why);
                            }
                        },
                        Ok(Topic::Fog(_, FogTopic::Anchored)) => match self.anchored(&item.payload) {
                            true => session.accept(item.token),
                            false => session.reject(item.token, Reason::PAYLOAD_FORMAT_INVALID),
                        },
                        _ => session.reject(item.token, Reason::TOPIC_NAME_INVALID),
                    }
                }
            }
            ServerEvent::Ended { session, end } => {
                tracing::info!(peer = %session.peer().identity, %end, "connection ended");
                self.board.set_fogs(self.server.sessions().len());
            }
            ServerEvent::Subscribed { session, filter } => {
                if let (Ok(Topic::Fog(_, FogTopic::Statement)), Some(statement)) =
                    (filter.parse(), &self.statement)
                {
                    tell(&session, statement);
                }
            }
            ServerEvent::Completed { .. } => {}
        }
    }

    /// Keeps where the log holds a statement of this cloud's. False if that is not so.
    fn anchored(&self, bytes: &[u8]) -> bool {
        let Ok(anchored) = AnchoredStatement::from_bytes(bytes) else { return false };
        let ours = ArchiveStatement::verify_any(&anchored.statement, &self.cloud_keys).is_ok();
        let holds = ours && anchored.verify(self.archivist.trust()).is_ok();
        if holds && self.places.try_send(anchored).is_err() {
            tracing::debug!("the place of a statement is not kept now; fog nodes tell it again");
        }
        holds
    }

    /// Sends a statement of the archive to all fog nodes that are connected, and to those that come until the next one.
    fn say(&mut self, statement: Bytes) {
        for session in self.server.sessions() {
            tell(&session, &statement);
        }
        self.statement = Some(statement);
    }

    fn handle(&mut self, input: Input) {
        let changes_gaps = matches!(input, Input::Committed { .. } | Input::Reloaded { .. });
        let dropped = self.archivist.counters().quarantine_dropped;
        for output in self.archivist.handle(now(), input) {
            self.perform(output);
        }
        let more = self.archivist.counters().quarantine_dropped - dropped;
        if more > 0 && self.log.may_write("quarantine full".to_owned()) {
            let (used, bound) = self.archivist.quarantine_bytes();
            tracing::warn!(
                more,
                used,
                bound,
                "refused deliveries are not kept: their senders have used their share of quarantine.max_bytes"
            );
        }
        self.board.update(&self.archivist, changes_gaps);
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Commit(commit) => {
                // The core has one commit under way at most, and the channel holds one.
                let sent = self.commits.try_send(commit);
                assert!(sent.is_ok(), "the archive's writer takes one commit at a time until the end");
            }
            Output::Ask { question, about } => {
                let (reader, results) = (self.reader.clone(), self.results.clone());
                tokio::spawn(async move {
                    let answer = ask(reader, about).await;
                    results.send(Input::Answered { question, answer }).await.ok();
                });
            }
            Output::Accept(token) => {
                if let Some(waiting) = self.waiting.remove(&token) {
                    waiting.session.accept(waiting.delivery);
                    self.board.answered(waiting.since.elapsed());
                }
            }
            Output::Reject(token, refusal) => {
                if let Some(waiting) = self.waiting.remove(&token) {
                    let peer = &waiting.session.peer().identity;
                    let what = format!("delivery refused: {}", refusal.stage);
                    self.audit.refusal(&peer.to_string(), &what);
                    if self.log.may_write(format!("{peer}: deliveries in quarantine")) {
                        tracing::warn!(%peer, %refusal, "delivery in quarantine");
                    }
                    waiting.session.reject(waiting.delivery, Reason::PAYLOAD_FORMAT_INVALID);
                }
            }
            Output::Refuse(token, why) => {
                if let Some(waiting) = self.waiting.remove(&token) {
                    let peer = &waiting.session.peer().identity;
                    self.audit.refusal(&peer.to_string(), &format!("delivery held off: {why}"));
                    if self.log.may_write(format!("{peer}: deliveries held off")) {
                        tracing::warn!(%peer, why, "delivery held off");
                    }
                    waiting.session.disconnect(Reason::QUOTA_EXCEEDED);
                }
            }
            Output::Notice { fog, vehicle, bytes } => {
                let Ok(identity) = Identity::new(Role::Fog, &fog) else { return };
                let topic = Topic::Fog(fog, FogTopic::Notice).to_string();
                for session in self.server.sessions_of(&identity) {
                    // A notice that is lost is repeated when the vehicle offers the batch again.
                    if let Err(error) = session.publish(Outgoing::new(topic.as_str(), bytes.clone(), 0)) {
                        tracing::debug!(%error, %vehicle, "a notice was not sent");
                    }
                }
            }
        }
    }

    /// Writes the trust down if a hand-over has extended it.
    fn keep_trust(&mut self) {
        let text = self.archivist.trust().to_toml();
        let print = fingerprint(&text);
        if print == self.trust {
            return;
        }
        self.trust = print;
        if let Some(path) = &self.config.trust_learned
            && let Err(error) = write_public(path, text.as_bytes())
        {
            tracing::warn!(%error, "learned hand-overs could not be written");
        }
        self.board.set_trust(text);
    }
}

/// Sends a statement to a fog node; one that is lost is followed by another.
fn tell(session: &Session, statement: &Bytes) {
    let identity = &session.peer().identity;
    if identity.role == Role::Fog {
        let topic = Topic::Fog(identity.id().to_owned(), FogTopic::Statement).to_string();
        if let Err(error) = session.publish(Outgoing::new(topic, statement.clone(), 0)) {
            tracing::debug!(%error, fog = identity.id(), "a statement was not sent");
        }
    }
}
