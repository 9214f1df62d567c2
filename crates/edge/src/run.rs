//! The role: disk, sockets, clock and source around the agent.

mod feed;
mod shell;

use crate::agent::{Agent, Found};
use crate::commands::{self, Commands, Outlets};
use crate::entry;
use crate::folder::{self, spool_config};
use crate::http::{self, Board, TwinBoard};
use crate::keys::Keys;
use crate::sources::{Next, Pacer, Source};
use crate::uplink::Uplinks;
use crate::{Config, Error, boot};
use commonware_runtime::{Clock as _, Supervisor as _, tokio::Context};
use feed::Feed;
use shell::{Shell, millis};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use voltmesh_control::{Hello, Role, Status};
use voltmesh_http::Process;
use voltmesh_identity::{Expected, RevocationWatch};
use voltmesh_mqtt::Descriptors;
use voltmesh_spool::Spool;
use voltmesh_telemetry::Timestamp;

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

/// The source of an agent that takes no samples.
struct Drained;

impl Source for Drained {
    fn poll(&mut self) -> Result<Next, Error> {
        Ok(Next::End)
    }
}
