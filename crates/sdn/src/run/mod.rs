//! The outside world of a controller: sockets, clock, disk. What to do is decided in [`crate::controller`].

mod config;
mod copies;
mod copying;
mod http;
mod ledger;
mod packages;
mod peers;
mod proofs;
mod shell;
mod standby;
mod store;
mod terms;
mod topics;

pub use config::{Config, ConfigError, DEFAULTS, Http, Leases, Mqtt, TermSource};
pub use packages::Packages;
pub use store::{Store, StoreError};
pub use topics::Topics;

use commonware_runtime::{Metrics as _, Spawner as _, Supervisor as _};
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};
use tokio::{net::TcpListener, sync::mpsc};
use voltmesh_control::MAX_CONTROLLER_MESSAGE_BYTES;
use voltmesh_function::MAX_PACKAGE_BYTES;
use voltmesh_http::{Asked as TokenAsked, Figures, Rules as HttpRules, Settings as HttpSettings, Tls};
use voltmesh_http::{Token as HttpToken, TokenError};
use voltmesh_identity::{Credentials, RevocationWatch, Role};
use voltmesh_ledger::{Genesis, MAX_GENESIS_BYTES};
use voltmesh_mqtt::{Descriptors, Limits, LogLimiter, Server, ServerEvents, ServerSettings};
use voltmesh_telemetry::{Digest, Timestamp};

use crate::controller::{Controller, Input, Kept, Settings};
use crate::policy::{MAX_POLICY_BYTES, Policy};
use crate::rules::{self, MAX_RULES_BYTES, Rules};
use http::{Api, Asked};
use ledger::Ledger;
use peers::Peers;
use proofs::Proofs;
use shell::{Shell, now};
use standby::Standby;
use terms::Terms;

/// MQTT headers and topic around a message.
const PACKET_OVERHEAD: usize = 4_096;
/// Messages without PUBACK per fog node: summaries come once a second, and events in bursts.
const RECEIVE_MAXIMUM: u16 = 64;
/// Events of sessions that are taken before what they lead to is made durable, with one sync.
const GATHER: usize = 256;
/// Requests of operators that wait.
const REQUESTS: usize = 16;
/// Between two looks at what the log has left out.
const UNWRITTEN: Duration = Duration::from_secs(1);
/// Roles that may use the HTTP interface over TLS.
const READERS: [Role; 1] = [Role::Operator];
/// Folder of packages in the data folder.
const RELEASES: &str = "releases";
/// Folder of proofs of decisions in it.
const PROOFS: &str = "decisions";

/// Why the controller cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Correct the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Certificates, keys or revocation list.
    #[error(transparent)]
    Identity(#[from] voltmesh_identity::Error),
    /// The certificate is another participant's.
    #[error("the certificate in {folder} is of {found}, but this is urn:voltmesh:controller:{id}")]
    Name {
        /// Where.
        folder: String,
        /// Whose it is.
        found: String,
        /// The configured id.
        id: String,
    },
    /// Rules or policy.
    #[error("{path}: {problem}")]
    File {
        /// Which file.
        path: String,
        /// What is wrong, and where.
        problem: String,
    },
    /// The token of the HTTP interface.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// What is kept on disk.
    #[error(transparent)]
    Store(#[from] StoreError),
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

/// Runs the controller until the runtime is stopped or it is told to end (SIGTERM, SIGINT).
pub async fn run(
    context: commonware_runtime::tokio::Context,
    config: Config,
    process: voltmesh_http::Process,
) -> Result<(), Error> {
    let mut stopped = context.stopped();
    let storage = context.child("controller");
    let metrics = Arc::new(move || context.encode());
    let running = Running::start(storage, config, process, metrics).await?;
    tracing::info!(mqtt = %running.mqtt_address(), http = %running.http_address(), "controller is up");
    running
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

/// A controller whose sockets are open.
pub struct Running<E: voltmesh_spool::Context> {
    shell: Shell<E>,
    events: ServerEvents,
    requests: mpsc::Receiver<Asked>,
    /// What searches for a better placement have found.
    searched: mpsc::Receiver<Input>,
    http: voltmesh_http::Server,
}

impl<E: voltmesh_spool::Context> Running<E> {
    /// Reads what the configuration names and what is kept, and listens.
    pub async fn start(
        context: E,
        config: Config,
        process: voltmesh_http::Process,
        metrics: MetricsText,
    ) -> Result<Self, Error> {
        // First: what is opened from here on counts.
        let bounds = Descriptors::raise().share(config.mqtt.bounds(), Mqtt::RESERVED_DESCRIPTORS)?;
        let credentials = Credentials::load(&config.credentials)?;
        let own = &credentials.own.identity;
        if own.role != Role::Controller || own.id() != config.id {
            let folder = config.credentials.display().to_string();
            return Err(Error::Name { folder, found: own.to_string(), id: config.id.clone() });
        }
        let revoked = RevocationWatch::with_policy(&config.revocations, &credentials.ca, config.expired_crl)?;
        let (store, kept) = Store::open(context, &config.data).await?;
        let packages = Packages::open(&config.data.join(RELEASES), config.publisher_keys()?)?;
        let proofs = Proofs::open(&config.data.join(PROOFS))?;
        let terms = terms(&config, &credentials, kept.term)?;
        let (controller, configured_rules) = controller(&config, kept)?;
        let controller = Arc::new(Mutex::new(controller));

        let figures = Figures::of(process.clone());
        let (asked, requests) = mpsc::channel(REQUESTS);
        let mqtt = Arc::new(OnceLock::new());
        let api = Api {
            id: config.id.clone(),
            controller: controller.clone(),
            requests: asked,
            packages: packages.clone(),
            publishing: Arc::default(),
            proofs: proofs.clone(),
            configured_rules,
            may_change: config.http.tls || config.http.token_file.is_some(),
            figures: figures.clone(),
            mqtt: mqtt.clone(),
            metrics,
            now,
        };
        let tls = credentials.server_config(&revoked)?;
        let inside = Tls { config: tls.clone(), revoked: revoked.clone(), roles: &READERS };
        let http = listen(&config.http, http::router(api), &credentials, inside, figures).await?;

        let settings = ServerSettings {
            limits: Limits {
                max_packet: (MAX_CONTROLLER_MESSAGE_BYTES + PACKET_OVERHEAD) as u32,
                receive_maximum: RECEIVE_MAXIMUM,
                ..Limits::default()
            },
            bounds,
            audit: process.audit.clone(),
            ..ServerSettings::default()
        };
        let peers = Peers::start(&config.id, &config.controllers, &credentials, &revoked)?;
        let (server, events) =
            Server::bind(config.mqtt.listen, tls, revoked, Arc::new(Topics), settings).await?;
        // Set once, here.
        mqtt.set(server.figures()).ok();
        let standby = Standby::new(config.controllers.into_keys().collect(), configured_rules);
        let (found, searched) = mpsc::channel(1);
        let mut shell = Shell {
            id: config.id,
            key: credentials.signing.clone(),
            controller,
            store,
            packages,
            terms,
            fogs: BTreeSet::new(),
            peers,
            standby,
            proofs,
            server,
            audit: process.audit,
            outputs: Vec::new(),
            accepted: Vec::new(),
            answers: Vec::new(),
            found,
            log: LogLimiter::default(),
        };
        shell.begin().await?;
        Ok(Self { shell, events, requests, searched, http })
    }

    /// Where fog nodes connect.
    pub fn mqtt_address(&self) -> SocketAddr {
        self.shell.server.address()
    }

    /// Where the HTTP interface is.
    pub fn http_address(&self) -> SocketAddr {
        self.http.address()
    }

    /// Works until `stop`, or until nothing can be kept any more.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let Self { mut shell, mut events, mut requests, mut searched, http } = self;
        let mut unwritten = tokio::time::interval(UNWRITTEN);
        tokio::pin!(stop);
        let ended = loop {
            let deadline = shell.deadline();
            tokio::select! {
                () = &mut stop => break Ok(()),
                event = events.next() => {
                    let Some(event) = event else { break Ok(()) };
                    shell.event(event);
                    for _ in 1..GATHER {
                        let Some(event) = events.try_next() else { break };
                        shell.event(event);
                    }
                }
                Some(asked) = requests.recv() => shell.request(asked),
                Some(found) = searched.recv() => shell.handle(found),
                heard = shell.peers.next() => shell.heard(heard),
                () = sleep_until(deadline) => shell.tick(),
                _ = unwritten.tick() => shell.log.due().iter().for_each(|it| tracing::warn!("{it}")),
            }
            if let Err(error) = shell.flush().await {
                break Err(error.into());
            }
        };
        shell.server.shutdown();
        drop(shell);
        http.shutdown().await;
        ended
    }
}

/// Where terms come from.
fn terms(config: &Config, credentials: &Credentials, held: u32) -> Result<Terms, Error> {
    let leases = &config.leases;
    if config.terms == TermSource::Alone {
        return Ok(Terms::alone(held, leases.least_term));
    }
    let text = read(&config.genesis, MAX_GENESIS_BYTES)?;
    let genesis = Genesis::from_toml(&text).map_err(|error| Error::File {
        path: config.genesis.display().to_string(),
        problem: error.to_string(),
    })?;
    // Orders of a former life may still be on their way.
    let least = leases.least_term.max(held.saturating_add(1));
    let ledger = Ledger::new(&config.id, &credentials.signing, genesis, 1_000 * leases.tenure_s, least);
    Ok(Terms::Ledger(Box::new(ledger)))
}

/// The controller with what is configured and kept, and the SHA-256 of the configured rules.
fn controller(config: &Config, kept: Kept) -> Result<(Controller, Digest), Error> {
    let configured = match &config.rules {
        Some(path) => read(path, MAX_RULES_BYTES)?,
        None => rules::DEFAULTS.to_owned(),
    };
    let digest = Digest::of(configured.as_bytes());
    let replaced = kept.rules.as_ref().filter(|replaced| replaced.instead_of == digest);
    let (text, of) = match replaced {
        Some(replaced) => (replaced.text.clone(), "the rules that operators have set".to_owned()),
        None => (configured, config.rules.as_ref().map_or("rules".into(), |path| path.display().to_string())),
    };
    let wrong = |path: &str, problem: String| Error::File { path: path.to_owned(), problem };
    let rules = Rules::parse(&text).map_err(|error| wrong(&of, error.to_string()))?;
    let policy = match &config.policy {
        Some(path) => {
            let text = read(path, MAX_POLICY_BYTES)?;
            Policy::parse(&text).map_err(|error| wrong(&path.display().to_string(), error.to_string()))?
        }
        None => Policy::default(),
    };
    let settings = Settings {
        lease_ms: 1_000 * config.leases.seconds,
        node_memory_mib: config.leases.node_memory_mib,
        fog_keys: config.fog_keys()?,
        groups: config.groups.clone(),
    };
    Ok((Controller::new(now(), settings, kept, rules, policy), digest))
}

/// Reads a text of at most so many bytes.
fn read(path: &Path, most: usize) -> Result<String, Error> {
    let io = |source| Error::Io { what: format!("{} cannot be read", path.display()), source };
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > most as u64 {
        let problem = format!("{size} bytes, want at most {most}");
        return Err(Error::File { path: path.display().to_string(), problem });
    }
    std::fs::read_to_string(path).map_err(io)
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
    let rules = HttpRules::new(names).with_token(token, TokenAsked::Changes).with_types(http::TYPES);
    let settings = HttpSettings {
        connections: config.max_connections,
        connections_per_source: config.max_connections_per_source,
        // Of a release; routes that take none have bounds of their own.
        body_bytes: MAX_PACKAGE_BYTES,
        recorded: &["/vehicles/"],
        ..HttpSettings::default()
    };
    let cannot =
        |source| Error::Io { what: format!("cannot listen on {} (http.listen)", config.listen), source };
    let listener = TcpListener::bind(config.listen).await.map_err(cannot)?;
    voltmesh_http::serve(listener, app, rules, settings, config.tls.then_some(tls), figures).map_err(cannot)
}

async fn sleep_until(deadline: Option<Timestamp>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(Duration::from_millis(deadline.millis_since(now()))).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
