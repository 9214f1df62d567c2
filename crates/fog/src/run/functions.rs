//! Functions and summaries: a thread of their own, a journal of their own, a session with each controller, and a task that puts
//! events onto the ledger. Ingest hands over
//! bytes and never waits for any of them; without `[controller]` nothing of this runs.

mod anchor;
mod beside;
mod bulletin;
mod command;
mod controllers;
mod cursors;
mod figures;
mod link;
mod outbox;
mod queue;
mod receipts;
mod releases;
mod runner;
mod sender;

use std::{num::NonZeroU64, path::Path, sync::Arc, thread, time::Duration};

use bytes::Bytes;
use commonware_runtime::{Supervisor as _, tokio::Context};
use ed25519_dalek::SigningKey;
use tokio::{sync::mpsc, task::JoinHandle};
use voltmesh_consensus::Handle;
use voltmesh_function::{Input, Manager, Settings};
use voltmesh_identity::{Credentials, Expected, RevocationWatch, Role};
use voltmesh_ledger::PrivateKey;
use voltmesh_spool::{Config as SpoolConfig, Spool, Writer};
use voltmesh_telemetry::VehicleId;

use crate::{
    Config, Error,
    functions::{journal::Journal, lists::Lists, terms::Terms},
    run::remote::Remote,
};
use anchor::Anchoring;
use beside::Beside;
use bulletin::Bulletin;
use controllers::Controllers;
use cursors::Cursors;
pub use figures::{Figures, GAUGES as FIGURE_GAUGES};
use link::Link;
use outbox::Outbox;
use queue::Queue;
pub use queue::{Fed, Queue as FunctionQueue, Told};
use receipts::Receipts;
pub use receipts::Unproven;
use releases::Releases;
use runner::Runner;
pub use sender::Relay;

/// Entries per file of the journal: a file is removed once nothing in it is needed.
const FILE: NonZeroU64 = NonZeroU64::new(1_024).expect("not zero");

/// The journal's files hold at most so many times what is needed of them.
const ROOM: u64 = 2;

/// Restored entries read at once.
const RESTORE: (usize, usize) = (1_024, 16 * 1024 * 1024);

/// By how much the thread yields to the loop and its sessions, 0..=19: less than those that verify, since a command waits for it.
const NICENESS: i32 = 5;

/// Policy transactions of controllers that wait for the ledger: one is under way at each.
const POLICIES: usize = 64;

/// Between two writings of how far controllers know the events.
const SAVE: Duration = Duration::from_secs(1);

/// What functions need of the node.
pub struct Around<'a> {
    pub context: &'a Context,
    pub config: &'a Config,
    pub credentials: &'a Credentials,
    pub revoked: &'a RevocationWatch,
    pub fog: VehicleId,
    pub relay: Relay,
}

/// Functions that run.
pub struct Functions {
    queue: Queue,
    journal: Writer<Context>,
    figures: Figures,
    thread: Option<thread::JoinHandle<()>>,
    tasks: Vec<JoinHandle<()>>,
    cursors: Arc<Cursors>,
    receipts: Receipts,
    /// What waits for the ledger's node.
    ledger: Option<Waiting>,
}

/// What the task of the ledger begins with.
struct Waiting {
    lists: Lists,
    bulletin: Bulletin,
    policies: mpsc::Receiver<Bytes>,
}

impl Functions {
    /// Restores what is on disk and starts everything; `None` if no controller is configured.
    pub async fn start(around: Around<'_>) -> Result<Option<Self>, Error> {
        let Around { context, config, credentials, revoked, fog, relay } = around;
        let Some(controller) = &config.controller else { return Ok(None) };
        let (bounds, signing) = (&config.functions, &credentials.signing);
        let controllers = Controllers::open(&config.data, controller.keys()?);
        if controllers.keys().is_empty() {
            tracing::info!(
                "controller.keys names no key: leases of controllers that the ledger knows are believed"
            );
        }
        let manager = Manager::new(Settings {
            fog: fog.to_string(),
            fog_key: signing.verifying_key().to_bytes(),
            controllers: controllers.keys(),
            publishers: bounds.publishers()?,
            withdrawn: Default::default(),
            capabilities: Default::default(),
            most_instances: bounds.instances,
        })
        .map_err(|error| Error::config(format!("functions: {error}")))?;

        let clock = manager.clock();
        let ticking = thread::Builder::new().name("functions-clock".to_owned()).spawn(move || clock.run());
        ticking.map_err(Error::file("start threads of", &config.data))?;

        let (journal, spool, restored) = open(context, bounds.journal_bytes).await?;
        let (spool, _) = spool.start(context.child("functions_writer"));
        let addresses = &controller.addresses;
        let cursors = Arc::new(Cursors::open(&config.data, addresses, spool.end().0));
        let (receipts, kept) = Receipts::open(context, bounds.journal_bytes, spool.end().0).await?;
        let figures = Figures::new(addresses, spool.clone(), receipts.clone());
        let queue = Queue::new(bounds.feed_bytes);
        queue.tell(Told::Known(cursors.known()));
        queue.tell(Told::Listed(kept.listed));
        let lists = Lists::new(kept.listed, kept.next, kept.pending);

        let mut tasks =
            vec![tokio::spawn(progress(spool.clone(), queue.clone())), tokio::spawn(save(cursors.clone()))];
        let mut outboxes = Vec::new();
        let (policies, asked_policies) = mpsc::channel(POLICIES);
        let tls = credentials.client_config(Expected::role(Role::Controller), Some(revoked))?;
        for (index, address) in addresses.iter().enumerate() {
            let outbox = Arc::new(Outbox::default());
            outboxes.push(outbox.clone());
            let remote = Remote {
                fog: fog.clone(),
                address: address.clone(),
                tls: tls.clone(),
                revoked: revoked.clone(),
            };
            let link = Link {
                index,
                remote,
                journal: spool.clone(),
                outbox,
                cursors: cursors.clone(),
                queue: queue.clone(),
                figures: figures.clone(),
                policies: policies.clone(),
            };
            tasks.push(tokio::spawn(link.run()));
        }
        let (known_term, given_term) = (controllers.term(), controllers.given_term());
        let bulletin = Bulletin::new(outboxes.clone(), queue.clone(), controllers);
        let (commands, asked) = mpsc::channel(sender::WAITING);
        tasks.push(tokio::spawn(sender::run(relay, asked, queue.clone())));
        let term = restored.iter().filter_map(|input| match input {
            Input::Restore { snapshot, .. } => Some(snapshot.order.0.max(snapshot.epoch.0)),
            _ => None,
        });
        let compiler = Beside::start(manager.compiler(), queue.clone(), &config.data)?;
        let runner = Runner::new(runner::Parts {
            fog,
            signing: SigningKey::clone(signing),
            queue: queue.clone(),
            manager,
            journal,
            spool: spool.clone(),
            releases: Releases::open(&config.data, bounds.cache_bytes)?,
            compiler,
            outboxes,
            figures: figures.clone(),
            commands,
            // A quarter of them may be away.
            vehicles: config.ingest.sessions.saturating_mul(4) / 3,
            terms: Terms::new(term.max().unwrap_or_default().max(known_term), given_term),
        });
        let thread = spawn(runner, restored, &config.data)?;
        let (thread, ledger) = (Some(thread), Some(Waiting { lists, bulletin, policies: asked_policies }));
        Ok(Some(Self { queue, journal: spool, figures, thread, tasks, cursors, receipts, ledger }))
    }

    /// Puts events onto the ledger from now on, and tells controllers what it says of them.
    pub fn join(&mut self, ledger: Handle, key: PrivateKey) {
        let Some(Waiting { lists, bulletin, policies }) = self.ledger.take() else { return };
        let anchoring = Anchoring {
            journal: self.journal.clone(),
            receipts: self.receipts.clone(),
            lists,
            ledger,
            key,
            queue: self.queue.clone(),
            figures: self.figures.clone(),
            bulletin,
            policies,
        };
        self.tasks.push(tokio::spawn(anchoring.run()));
    }

    /// Where the loop hands over what happens.
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// What others may see of it.
    pub fn figures(&self) -> Figures {
        self.figures.clone()
    }

    /// Ends thread and sessions; what is appended is synced.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        self.tasks.iter().for_each(JoinHandle::abort);
        self.cursors.save();
        self.journal.close().await?;
        self.receipts.close().await
    }
}

/// Opens the journal, and reads what functions go on from.
async fn open(context: &Context, bytes: u64) -> Result<(Journal, Spool<Context>, Vec<Input>), Error> {
    let config = SpoolConfig {
        max_bytes: bytes.saturating_mul(ROOM),
        entries_per_file: FILE,
        ..SpoolConfig::new("functions")
    };
    let spool = Spool::open(context.child("functions"), config).await?;
    let mut journal = Journal::new(spool.end().0, bytes);
    let mut from = spool.floor();
    loop {
        let entries = spool.read_from(from, RESTORE.0, RESTORE.1).await?;
        let Some((last, _)) = entries.last() else { break };
        from = last.next();
        for (position, entry) in &entries {
            journal.restore(position.0, entry);
        }
    }
    let restored = journal.restored(spool.end().0);
    let restored = restored.into_iter().map(|(snapshot, kept)| Input::Restore { snapshot, kept });
    Ok((journal, spool, restored.collect()))
}

/// Tells the thread how much of its journal is durable.
async fn progress(spool: Writer<Context>, queue: Queue) {
    let mut progress = spool.progress();
    loop {
        let durable = progress.borrow_and_update().durable;
        queue.tell(Told::Durable(durable.0));
        if progress.changed().await.is_err() {
            return;
        }
    }
}

async fn save(cursors: Arc<Cursors>) {
    loop {
        tokio::time::sleep(SAVE).await;
        let cursors = cursors.clone();
        let _ = tokio::task::spawn_blocking(move || cursors.save()).await;
    }
}

fn spawn(runner: Runner, restored: Vec<Input>, data: &Path) -> Result<thread::JoinHandle<()>, Error> {
    let thread = thread::Builder::new().name("functions".to_owned()).spawn(move || {
        // On Linux this is the calling thread's alone. Without it everything works, only later.
        if let Err(error) = rustix::process::nice(NICENESS) {
            tracing::warn!(%error, "functions run at the priority of sessions");
        }
        runner.run(restored);
    });
    thread.map_err(Error::file("start threads of", data))
}
