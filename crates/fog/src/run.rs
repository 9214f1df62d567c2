//! The node around the core: sockets, disk, clock, threads, the ledger. One loop owns the core; everything else hands it
//! inputs and does its outputs.
//!
//! A wakeup takes all that waits, gives it to the core, then one `Tick`: what came together shares one entry of the
//! spool, one fdatasync and one answer per session. While the disk syncs, the loop goes on.

mod alone;
mod audit_head;
mod commands;
mod finality;
mod functions;
mod http;
mod hub;
mod latency;
pub mod policy;
mod quarantine;
mod round_trips;
mod statements;
mod stations;
mod uplink;
mod workers;

use std::{
    num::NonZeroU64,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use commonware_cryptography::Signer as _;
use commonware_p2p::Receiver as _;
use commonware_runtime::{Clock as _, Spawner as _, Supervisor as _, tokio::Context};
use ed25519_dalek::SigningKey;
use serde::Deserialize;
use tokio::sync::{Semaphore, mpsc};
use voltmesh_consensus::{AddressBook, Config as LedgerConfig, Handle, Node, PublicKey, network, sockets};
use voltmesh_control::{Handovers, Opening, Role as StatusRole, Status};
use voltmesh_http::{Figures, Process};
use voltmesh_identity::{Credentials, Expected, RevocationWatch, Role, create_private_dir};
use voltmesh_ledger::{Genesis, Height, MAX_GENESIS_BYTES, private_key, public_key_from_hex, verifying_key};
use voltmesh_mqtt::{Descriptors, Limits as SessionLimits, Server, ServerSettings};
use voltmesh_spool::{Config as SpoolConfig, Spool, Writer};
use voltmesh_telemetry::{Digest, Secret, Timestamp, VehicleId};

use crate::{
    Config, Error,
    answers::Names,
    ingest::{AnchorSettings, ForwardSettings, Ingest, Input, Restoring, Settings},
};
use alone::Alone;
pub use commands::{Answered, Relay, Undelivered};
use functions::{Around, Functions, Told};
use hub::Hub;
use quarantine::Quarantine;

/// Inputs from other tasks that wait for the loop: a few blocks, and answers of the cloud's window.
const INPUTS: usize = 4_096;

/// Events of sessions that wait for the loop.
const EVENTS: usize = 1_024;

/// Quarantined publishes per file: 16 MiB of the largest.
const QUARANTINE_FILE: NonZeroU64 = NonZeroU64::new(256).expect("not zero");

/// Appended and not confirmed in the spool: what may be in flight, and as much of our own.
const UNSYNCED: usize = 2;

/// Between two looks at peers, catching up and the disk's free space.
const LOOK: Duration = Duration::from_millis(250);

/// Restored entries read at once.
const RESTORE: (usize, usize) = (1_024, 16 * 1024 * 1024);

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
        let identity = &credentials.own.identity;
        if identity.role != Role::Fog {
            return Err(Error::config(format!(
                "credentials: the certificate is of {identity}, not of a fog node"
            )));
        }
        let fog: VehicleId =
            identity.id().parse().map_err(|error| Error::config(format!("credentials: {error}")))?;
        let revoked = RevocationWatch::with_policy(&config.crl, &credentials.ca, config.expired_crl)?;
        let genesis = read_genesis(&config.ledger.genesis)?;
        let settings = settings(&config, &credentials, &genesis, fog.clone())?;

        let (mut ingest, spool) = restore(&context, &config, settings.clone()).await?;
        let (spool, _) = spool.start(context.child("spool_writer"));
        let quarantine = SpoolConfig {
            max_bytes: config.spool.quarantine_bytes,
            entries_per_file: QUARANTINE_FILE,
            ..SpoolConfig::new("quarantine")
        };
        let quarantine = Spool::open(context.child("quarantine"), quarantine).await?;
        ingest.quarantine_at(quarantine.end());
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

        let (node, copies) = start_ledger(&context, &config, &genesis, &settings).await?;
        let ledger = node.handle();
        if let Some(functions) = &mut functions {
            functions.join(ledger.clone(), settings.key.clone());
        }
        // Held before anything is read, so that nothing is pruned that is still needed.
        let from =
            ingest.replay_above().map_or_else(|| ledger.height().next(), |height| Height::new(height + 1));
        let hold = ledger.hold(from);
        let (inputs, received) = mpsc::channel(INPUTS);
        spawn_ledger(&context, &ledger, from, &inputs);
        let (copies, mut offered) = copies;
        let copied = inputs.clone();
        tokio::spawn(async move {
            while let Ok((from, message)) = offered.recv().await {
                let input = Input::Copy { from, message: message.as_ref().to_vec().into() };
                if copied.send(input).await.is_err() {
                    return;
                }
            }
        });

        let (orders, ordered) = mpsc::unbounded_channel();
        if let Some(cloud) = &config.cloud {
            let tls = credentials.client_config(Expected::role(Role::Cloud), Some(&revoked))?;
            let (fog, address, spool) = (fog.clone(), cloud.address.clone(), spool.clone());
            let (revoked, inputs) = (revoked.clone(), inputs.clone());
            let uplink = uplink::Uplink { fog, address, tls, revoked, spool, orders: ordered, inputs };
            tokio::spawn(uplink.run());
        }

        let server_settings = ServerSettings {
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
        };
        let tls = credentials.server_config(&revoked)?;
        let (server, events) =
            Server::bind(config.listen.mqtt, tls, revoked, Arc::new(policy::Topics), server_settings).await?;
        let stations = stations(&config).await?;
        let board = Arc::new(Mutex::new(Status::new(StatusRole::Fog, fog.to_string())));
        let shared = http::Shared {
            board: board.clone(),
            ledger: ledger.clone(),
            genesis,
            context: context.child("http"),
            fog: fog.clone(),
            opening: settings.opening,
            names: names(&config, &settings.key.public_key(), &fog)?,
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

/// Reads the model, if one is configured, and begins to follow the feed.
async fn stations(config: &Config) -> Result<Option<Arc<stations::Service>>, Error> {
    let Some(config) = config.stations.clone() else { return Ok(None) };
    let opened = tokio::task::spawn_blocking(move || stations::Service::open(&config).map(|it| (it, config)));
    let (service, config) = opened.await.map_err(|error| Error::Stopped { why: error.to_string() })??;
    let service = Arc::new(service);
    tokio::spawn(service.clone().follow(config));
    Ok(Some(service))
}

fn read_genesis(path: &Path) -> Result<Genesis, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
    if text.len() > MAX_GENESIS_BYTES {
        return Err(Error::config(format!("{}: more than {MAX_GENESIS_BYTES} bytes", path.display())));
    }
    Genesis::from_toml(&text).map_err(|error| Error::config(format!("{}: {error}", path.display())))
}

/// What operators enrol for a node that attests foreign records: its signing key under a salt that only the key's holder
/// can compute.
pub fn own_opening(signing: &SigningKey) -> Opening {
    let salt = Digest::of(&[b"voltmesh-fog-opening".as_slice(), signing.as_bytes()].concat());
    Opening { salt: salt.to_bytes(), key: signing.verifying_key().to_bytes() }
}

/// The file that `voltmesh registry opening` writes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpeningFile {
    salt: Digest,
    key: Digest,
}

fn opening(config: &Config, signing: &SigningKey) -> Result<Opening, Error> {
    let Some(path) = &config.foreign.opening else { return Ok(own_opening(signing)) };
    let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
    let file: OpeningFile =
        toml::from_str(&text).map_err(|error| Error::config(format!("{}: {error}", path.display())))?;
    let key = signing.verifying_key().to_bytes();
    if *file.key.as_bytes() != key {
        return Err(Error::config(format!(
            "{}: its key is not that of sign.key: make a new opening",
            path.display()
        )));
    }
    Ok(Opening { salt: file.salt.to_bytes(), key })
}

fn settings(
    config: &Config,
    credentials: &Credentials,
    genesis: &Genesis,
    fog: VehicleId,
) -> Result<Settings, Error> {
    let signing = &credentials.signing;
    let mut cloud_keys = Vec::new();
    for text in config.cloud.iter().flat_map(|cloud| &cloud.notice_key.0) {
        let wrong = |error| Error::config(format!("cloud.notice_key: {error}"));
        let key = public_key_from_hex(text).map_err(wrong)?;
        cloud_keys.push(verifying_key(&key).map_err(wrong)?);
    }
    let secret = Digest::of(&[b"voltmesh-fog-secret".as_slice(), signing.as_bytes()].concat());
    let forward = config
        .cloud
        .as_ref()
        .map_or(ForwardSettings { window: 1, window_bytes: 1, notice_ms: 60_000 }, ForwardSettings::from);
    Ok(Settings {
        fog,
        key: private_key(signing.as_bytes()),
        chain: genesis.digest(),
        opening: opening(config, signing)?,
        secret: Secret::new(secret.to_bytes()),
        cloud_keys,
        limits: config.ingest.clone(),
        spool: config.spool.clone(),
        foreign: config.foreign.clone(),
        anchors: AnchorSettings::from(&config.ledger),
        forward,
    })
}

/// Opens the spool and rebuilds the core from it.
async fn restore(
    context: &Context,
    config: &Config,
    settings: Settings,
) -> Result<(Ingest, Spool<Context>), Error> {
    let unsynced =
        usize::try_from(config.ingest.inflight_bytes).unwrap_or(usize::MAX).saturating_mul(UNSYNCED);
    let spool = SpoolConfig {
        max_bytes: config.spool.capacity_bytes,
        max_unsynced: unsynced,
        ..SpoolConfig::new("ingest")
    };
    let spool = Spool::open(context.child("spool"), spool).await?;
    let mut ingest = Ingest::new(settings, spool.end());
    let mut restoring = Restoring::default();
    let mut from = spool.floor();
    loop {
        let entries = spool.read_from(from, RESTORE.0, RESTORE.1).await?;
        let Some((last, _)) = entries.last() else { break };
        from = last.next();
        let now = now(context);
        for (position, entry) in &entries {
            ingest.restore(now, &mut restoring, *position, entry);
        }
    }
    ingest.restored(restoring);
    Ok((ingest, spool))
}

fn now(context: &Context) -> Timestamp {
    let since = context.current().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(since.as_millis() as u64)
}

/// What nodes are called, as far as this one knows.
fn names(config: &Config, me: &PublicKey, fog: &VehicleId) -> Result<Names, Error> {
    let mut names = vec![(me.clone(), fog.to_string())];
    for peer in &config.ledger.peers {
        let Some(name) = &peer.name else { continue };
        let key = public_key_from_hex(&peer.key)
            .map_err(|error| Error::config(format!("ledger.peers: key {}: {error}", peer.key)))?;
        names.push((key, name.clone()));
    }
    Ok(Names::new(names))
}

async fn start_ledger(
    context: &Context,
    config: &Config,
    genesis: &Genesis,
    settings: &Settings,
) -> Result<(Node, network::Copies<Context>), Error> {
    let mut addresses = AddressBook::new();
    for peer in &config.ledger.peers {
        let key = public_key_from_hex(&peer.key)
            .map_err(|error| Error::config(format!("ledger.peers: key {}: {error}", peer.key)))?;
        let address = network::parse_address(&peer.address)
            .ok_or_else(|| Error::config(format!("ledger.peers: {:?} is no host:port", peer.address)))?;
        addresses.insert(key, address);
    }
    addresses.remove(&settings.key.public_key());
    let mut ledger = LedgerConfig::new(settings.key.clone(), genesis.clone());
    ledger.addresses = addresses;
    ledger.block_interval = Duration::from_millis(config.ledger.block_ms);
    ledger.idle_interval = Duration::from_millis(config.ledger.idle_block_ms);
    ledger.snapshot_interval = config.ledger.snapshot_blocks;
    ledger.history_blocks = config.ledger.history();
    ledger.checkpoint = config.ledger.checkpoint.clone();
    ledger.repair = config.ledger.repair;
    ledger.leader_timeout = ledger.idle_interval + Duration::from_millis(800);
    // The network beneath would end the process without saying which address it is about.
    let address = config.listen.p2p;
    let free = std::net::TcpListener::bind(address);
    drop(free.map_err(|source| Error::Listen { what: "other authorities (listen.p2p)", address, source })?);
    let any = config.ledger.any_source_address;
    Ok(sockets::start(context.child("consensus"), config.listen.p2p, any, ledger).await?)
}

/// Tells the loop what happens on the ledger: final blocks, how far it is, hand-overs, peers, and the disk's free space.
fn spawn_ledger(context: &Context, ledger: &Handle, from: Height, inputs: &mpsc::Sender<Input>) {
    let mut blocks = ledger.subscribe(from);
    let finalised = inputs.clone();
    tokio::spawn(async move {
        while let Some(finalized) = blocks.next().await {
            if finalised.send(Input::Finalized(Box::new(finalized))).await.is_err() {
                return;
            }
        }
    });
    let (ledger, inputs, context) = (ledger.clone(), inputs.clone(), context.child("look"));
    tokio::spawn(async move {
        let (mut epoch, mut caught_up, mut alone) = (None, false, Alone::default());
        loop {
            caught_up |= ledger.has_caught_up();
            let state = ledger.state();
            let mut all = vec![Input::Ledger { state: state.clone(), caught_up }];
            let peers: Vec<_> = ledger.peers().into_iter().map(|peer| peer.key).collect();
            if let Some(seconds) = alone.look(now(&context), peers.len()) {
                tracing::warn!(
                    "no other authority of the ledger has been heard for {seconds} s: are they running, are their addresses and \
                     keys those of [[ledger.peers]], and may they connect to listen.p2p?"
                );
            }
            all.push(Input::Peers(peers));
            if epoch != Some(state.epoch()) {
                epoch = Some(state.epoch());
                let items =
                    ledger.handovers().await.iter().map(|handover| handover.to_bytes()).collect::<Vec<_>>();
                if !items.is_empty() {
                    all.push(Input::Handovers(Handovers { items }.encode().into()));
                }
            }
            for input in all {
                if inputs.send(input).await.is_err() {
                    return;
                }
            }
            context.sleep(LOOK).await;
        }
    });
}
