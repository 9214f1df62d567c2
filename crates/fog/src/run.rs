//! The node around the core: sockets, disk, clock, threads, the ledger. One loop owns the core; everything else hands it
//! inputs and does its outputs.
//!
//! A wakeup takes all that waits, gives it to the core, then one `Tick`: what came together shares one entry of the
//! spool, one fdatasync and one answer per session. While the disk syncs, the loop goes on.

mod alone;
mod audit_head;
mod clock;
mod commands;
mod finality;
mod functions;
mod http;
mod hub;
mod latency;
mod ledger;
mod memory;
mod opening;
pub mod policy;
mod quarantine;
mod remote;
mod round_trips;
mod settings;
mod spools;
mod statements;
mod stations;
mod uplink;
mod workers;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use commonware_cryptography::Signer as _;
use commonware_runtime::{Spawner as _, Supervisor as _, tokio::Context};
use tokio::sync::{Semaphore, mpsc, watch};
use voltmesh_consensus::{Handle, Node};
use voltmesh_control::{Role as StatusRole, Status};
use voltmesh_http::{Figures, Process};
use voltmesh_identity::{Credentials, Expected, RevocationWatch, Role, create_private_dir};
use voltmesh_ledger::Height;
use voltmesh_mqtt::{Bounds, Descriptors, Limits as SessionLimits, Server, ServerSettings};
use voltmesh_spool::Writer;
use voltmesh_telemetry::VehicleId;

use crate::{Config, Error};
pub use commands::{Answered, Relay, Undelivered};
use functions::{Around, Functions, Told};
use hub::Hub;
pub use opening::own_opening;
use quarantine::Quarantine;
use remote::Remote;

/// Inputs from other tasks that wait for the loop: a few blocks, and answers of the cloud's window.
const INPUTS: usize = 4_096;

/// Events of sessions that wait for the loop.
const EVENTS: usize = 1_024;

/// Runs a fog node until the context is stopped. `config.data` is the context's storage folder.
pub async fn run(context: Context, config: Config, process: Process) -> Result<(), Error> {
    Fog::start(context, config, process).await?.wait().await
}

/// A running fog node.
pub struct Fog {
    context: Context,
    hub: tokio::task::JoinHandle<()>,
    node: Node,
    spools: [Writer<Context>; 2],
    http: voltmesh_http::Server,
    addresses: Addresses,
    functions: Option<Functions>,
    relay: Relay,
    answers: Option<mpsc::Receiver<Answered>>,
    status: watch::Receiver<Status>,
}

/// Where a node listens; ports that were configured as 0 are known here.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// MQTT.
    pub mqtt: std::net::SocketAddr,
    /// Loopback interface.
    pub http: std::net::SocketAddr,
}

impl Fog {
    /// Restores what is on disk and starts everything.
    pub async fn start(context: Context, config: Config, process: Process) -> Result<Self, Error> {
        // First: what is opened from here on counts.
        let bounds =
            Descriptors::raise().share(config.ingest.bounds(), config.ingest.reserved_descriptors())?;
        create_private_dir(&config.data)?;
        let credentials = Credentials::load(&config.credentials)?;
        let fog = name(&credentials)?;
        let revoked = RevocationWatch::with_policy(&config.crl, &credentials.ca, config.expired_crl)?;
        let genesis = ledger::read_genesis(&config.ledger.genesis)?;
        let settings = settings::settings(&config, &credentials, &genesis, fog.clone())?;

        let (mut ingest, spool) = spools::restore(&context, &config, settings.clone()).await?;
        let (spool, _) = spool.start(context.child("spool_writer"));
        let quarantine = spools::quarantine(&context, &config, &mut ingest).await?;
        let (quarantine, _) = quarantine.start(context.child("quarantine_writer"));

        let statements = statements::start(&mut ingest, &config.data)?;
        let (relay, answers, desk) = commands::relay();
        let mut functions = Functions::start(Around {
            context: &context,
            config: &config,
            credentials: &credentials,
            revoked: &revoked,
            fog: fog.clone(),
            relay: relay_for_functions(relay.clone()),
        })
        .await?;
        let answers = match &functions {
            Some(functions) => {
                ingest.feed();
                tokio::spawn(tell_answers(answers, functions.queue()));
                None
            }
            None => Some(answers),
        };

        let (node, (copies, offered)) = ledger::start(&context, &config, &genesis, &settings).await?;
        let ledger = node.handle();
        if let Some(functions) = &mut functions {
            functions.join(ledger.clone(), settings.key.clone());
        }
        // Held before anything is read, so that nothing is pruned that is still needed.
        let from =
            ingest.replay_above().map_or_else(|| ledger.height().next(), |height| Height::new(height + 1));
        let hold = ledger.hold(from);
        let (inputs, received) = mpsc::channel(INPUTS);
        ledger::follow(&context, &ledger, from, &inputs);
        tokio::spawn(ledger::take_copies(offered, inputs.clone()));

        let (orders, ordered) = mpsc::unbounded_channel();
        if let Some(cloud) = &config.cloud {
            let remote = Remote {
                fog: fog.clone(),
                address: cloud.address.clone(),
                tls: credentials.client_config(Expected::role(Role::Cloud), Some(&revoked))?,
                revoked: revoked.clone(),
            };
            let (spool, inputs) = (spool.clone(), inputs.clone());
            tokio::spawn(uplink::Uplink { remote, spool, orders: ordered, inputs }.run());
        }

        let tls = credentials.server_config(&revoked)?;
        let (server, events) = Server::bind(
            config.listen.mqtt,
            tls,
            revoked,
            Arc::new(policy::Topics),
            server_settings(&config, bounds, &process),
        )
        .await?;
        let stations = stations::start(&config).await?;
        let (board, status) = watch::channel(Status::new(StatusRole::Fog, fog.to_string()));
        let shared = http::Shared {
            board: status.clone(),
            ledger: ledger.clone(),
            genesis,
            context: context.child("http"),
            fog: fog.clone(),
            opening: settings.opening,
            names: settings::names(&config, &settings.key.public_key(), &fog)?,
            followers: Arc::new(Semaphore::new(http::Shared::FOLLOWERS)),
            checkpoint: Arc::new(Semaphore::new(1)),
            replay: tokio::sync::Mutex::default(),
            statements: statements.subscribe(),
            stations,
            functions: functions.as_ref().map(Functions::figures),
            figures: Figures::of(process.clone()),
            audit: process.audit.clone(),
            entered: Mutex::default(),
        };
        let http = http::serve(config.listen.http, &config.http, shared).await?;
        let addresses = Addresses { mqtt: server.address(), http: http.address() };
        tracing::info!(fog = %fog, mqtt = %addresses.mqtt, http = %addresses.http, held = ingest.gauges()[1].1, "fog node started");

        let workers = match config.ingest.workers {
            0 => std::thread::available_parallelism().map_or(2, usize::from),
            count => count,
        };
        let (done, jobs_done) = mpsc::unbounded_channel();
        let workers =
            workers::Workers::start(workers, &done).map_err(Error::file("start threads of", &config.data))?;
        if config.ledger.audit_hours > 0 {
            let heads = audit_head::AuditHeads {
                recorder: process.audit.clone(),
                ledger: ledger.clone(),
                key: settings.key.clone(),
                fog: fog.clone(),
                every: Duration::from_secs(3_600 * u64::from(config.ledger.audit_hours)),
            };
            tokio::spawn(heads.run());
        }
        let finality = finality::watch(context.child("finality"), ledger.clone());
        let hub = Hub::new(hub::Parts {
            context: context.child("hub"),
            ingest,
            data: config.data.clone(),
            audit: process.audit,
            server,
            events,
            inputs: received,
            give: inputs,
            jobs_done,
            workers,
            spool: spool.clone(),
            quarantine: Quarantine::start(context.child("quarantine_entries"), quarantine.clone()),
            ledger,
            hold,
            copies,
            orders,
            desk,
            statements,
            board,
            finality,
            functions: functions.as_ref().map(Functions::queue),
        });
        let hub = tokio::spawn(hub.run());
        Ok(Self {
            context,
            hub,
            node,
            spools: [spool, quarantine],
            http,
            addresses,
            relay,
            answers,
            functions,
            status,
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The way of signed commands to the vehicles that are connected with it.
    pub fn relay(&self) -> Relay {
        self.relay.clone()
    }

    /// What vehicles answer to commands; once. What nobody takes is dropped and counted.
    pub fn take_answers(&mut self) -> Option<mpsc::Receiver<Answered>> {
        self.answers.take()
    }

    /// What its loop says of it, ten times a second.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Its ledger.
    pub fn ledger(&self) -> Handle {
        self.node.handle()
    }

    /// Runs until the context is stopped, a termination signal comes, or something fails for good.
    pub async fn wait(mut self) -> Result<(), Error> {
        let mut stopped = self.context.stopped();
        tokio::select! {
            _ = &mut stopped => {}
            () = voltmesh_http::termination() => {}
            ended = &mut self.hub => {
                let why = ended.err().map_or_else(|| "its loop has ended".to_owned(), |error| error.to_string());
                return Err(Error::Stopped { why });
            }
            () = self.node.failed() => return Err(Error::Stopped { why: "the ledger has failed".into() }),
        }
        self.stop().await
    }

    /// Stops: what is appended is synced, what is unacknowledged stays so.
    pub async fn stop(self) -> Result<(), Error> {
        self.http.shutdown().await;
        self.hub.abort();
        let _ = self.hub.await;
        if let Some(functions) = self.functions {
            functions.stop().await?;
        }
        for spool in &self.spools {
            spool.close().await?;
        }
        self.node.stop().await;
        Ok(())
    }
}

/// The node's name, from its certificate.
fn name(credentials: &Credentials) -> Result<VehicleId, Error> {
    let identity = &credentials.own.identity;
    if identity.role != Role::Fog {
        return Err(Error::config(format!(
            "credentials: the certificate is of {identity}, not of a fog node"
        )));
    }
    identity.id().parse().map_err(|error| Error::config(format!("credentials: {error}")))
}

/// Bounds of the MQTT server and of its sessions.
fn server_settings(config: &Config, bounds: Bounds, process: &Process) -> ServerSettings {
    ServerSettings {
        limits: SessionLimits {
            max_packet: config.ingest.packet_bytes,
            receive_maximum: config.ingest.receive_maximum,
            ..SessionLimits::default()
        },
        bounds,
        max_undecided_bytes: usize::try_from(config.ingest.inflight_bytes).unwrap_or(usize::MAX),
        event_queue: EVENTS,
        audit: process.audit.clone(),
        ..ServerSettings::default()
    }
}

/// The way to vehicles, as functions use it.
fn relay_for_functions(relay: Relay) -> functions::Relay {
    Box::new(move |vehicle, message| {
        let relay = relay.clone();
        Box::pin(async move { relay.send(vehicle, message).await.map_err(|why| why.to_string()) })
    })
}

/// Tells functions what vehicles did with their commands.
async fn tell_answers(mut answers: mpsc::Receiver<Answered>, functions: functions::FunctionQueue) {
    while let Some(Answered { vehicle, answer }) = answers.recv().await {
        functions.tell(Told::Answer { vehicle, answer: Box::new(answer) });
    }
}
