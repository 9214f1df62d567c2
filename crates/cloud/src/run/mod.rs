//! The outside world: sockets, clock, disk. What to do is decided in [`crate::archivist`].

mod error;
mod http;
mod policy;
mod shell;
mod surroundings;
mod trust;

pub use error::Error;
pub use policy::FogsOnly;

use crate::{
    archivist::{Archivist, Input, QuarantineRoom},
    config::{Config, Mqtt},
    delta::{Archive, Location},
    http::api::{Api, router},
    http::board::{Board, fingerprint},
    statement::{self, AuditHeads, StatementStore, Statements},
    writer::write,
};
use commonware_runtime::{Metrics as _, Spawner as _};
use shell::Shell;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use surroundings::{Process, now, sleep_until};
use tokio::sync::mpsc;
use voltmesh_audit::Recorder;
use voltmesh_control::MAX_ENVELOPE_BYTES;
use voltmesh_http::{Figures, Tls};
use voltmesh_identity::{Credentials, RevocationWatch, Role};
use voltmesh_ledger::verifying_key;
use voltmesh_mqtt::{Descriptors, Limits, LogLimiter, Server, ServerEvents, ServerSettings};

/// MQTT headers and topic around an envelope.
const PACKET_OVERHEAD: usize = 4096;
/// Places of statements that wait to be kept: of some fog nodes that connect at once, 16 each.
const PLACES: usize = 1_024;
/// Between two looks at what the log has left out.
const UNWRITTEN: Duration = Duration::from_secs(1);
/// An archive of up to so many rows is read at the start for vehicles' latest records; in a larger one they are looked
/// up when asked for, until their next commit.
const WARM_ROWS: u64 = 200_000;

/// Runs the cloud until the runtime is stopped or it is told to end (SIGTERM, SIGINT). Everything asynchronous runs inside the caller's runner.
pub async fn run(
    context: commonware_runtime::tokio::Context,
    config: Config,
    process: voltmesh_http::Process,
) -> Result<(), Error> {
    let mut stopped = context.stopped();
    let metrics = Arc::new(move || context.encode());
    let mut stop = std::pin::pin!(async move {
        tokio::select! {
            _ = &mut stopped => {}
            () = voltmesh_http::termination() => {}
        }
    });
    let cloud = tokio::select! {
        cloud = Cloud::start(config, process, metrics) => cloud?,
        // The archive may have another writer, whose end is waited for.
        () = &mut stop => return Ok(()),
    };
    tracing::info!(mqtt = %cloud.mqtt_address(), http = %cloud.http_address(), "cloud is up");
    cloud.serve(stop).await
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
        let trust = trust::load_trust(&config)?;
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
        let inside = Tls { config: tls.clone(), revoked: revoked.clone(), roles: &http::READERS };
        let http = http::listen(&config.http, router(api), &credentials, inside, figures).await?;

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
        let process =
            Process { board: board.clone(), started: Instant::now(), archive: config.archive.clone() };
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
