//! A fog node's process: its core, sessions with vehicles, its spool, its authority and its uplink.

mod events;
mod setup;
mod shell;

pub use setup::{Handles, Setup};

use crate::{
    net::{MeshReceiver, MeshSender, Port},
    node::{NodeContext, timestamp},
};
use bytes::Bytes;
use commonware_macros::select;
use commonware_p2p::Receiver as _;
use commonware_runtime::{Clock as _, Spawner as _, Supervisor as _};
use events::{Event, listen, spawn_final, spawn_progress, uplink};
use futures::{StreamExt as _, channel::mpsc::unbounded};
use shell::Fog;
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, SystemTime},
};
use voltmesh_consensus::{self as consensus, Node, network};
use voltmesh_fog::ingest::{Ingest, Input, Restoring};
use voltmesh_ledger::Height;
use voltmesh_spool::{Position, Spool, Writer};

/// Entries read at a time while restoring.
const RESTORE: usize = 256;

/// Opens the channels of an authority.
pub fn channels(port: &Port) -> consensus::Network<MeshSender, MeshReceiver, Port, Port> {
    consensus::Network {
        channels: consensus::Channels {
            votes: port.channel(network::VOTES),
            certificates: port.channel(network::CERTIFICATES),
            resolver: port.channel(network::RESOLVER),
            blocks: port.channel(network::BLOCKS),
            backfill: port.channel(network::BACKFILL),
            transactions: port.channel(network::TRANSACTIONS),
            roots: port.channel(network::ROOTS),
        },
        peers: port.clone(),
        blocker: port.clone(),
    }
}

/// An authority without a fog node: a Byzantine one's twin.
pub async fn twin(context: NodeContext, setup: Setup, half: bool) {
    let key = commonware_cryptography::Signer::public_key(&setup.ledger.private_key);
    let port = setup.mesh.join(setup.place, key, Some(half));
    match Node::start(context.child("node"), setup.ledger, channels(&port)).await {
        Ok(_node) => futures::future::pending().await,
        Err(error) => panic!("the twin's ledger does not open: {error}"),
    }
}

/// Runs until killed. `half` makes it one of two twins.
pub async fn run(context: NodeContext, setup: Setup, half: Option<bool>) {
    let opened = |what: &'static str, name: &str, max: u64| {
        let mut config = voltmesh_spool::Config::new(name);
        config.max_bytes = max;
        let context = context.child(what);
        async move {
            match Spool::open(context.child("open"), config).await {
                Ok(spool) => spool.start(context).0,
                Err(error) => panic!("the {what} does not open: {error}"),
            }
        }
    };
    let spool = opened("spool", "spool", setup.settings.spool.capacity_bytes).await;
    let quarantine = opened("quarantine", "quarantine", setup.settings.spool.quarantine_bytes).await;
    let mut core = restore(&context, &setup, &spool).await;
    core.quarantine_at(quarantine.end());

    let key = commonware_cryptography::Signer::public_key(&setup.ledger.private_key);
    let port = setup.mesh.join(setup.place, key, half);
    let (copies, mut received) = port.channel(network::COPIES);
    let node = match Node::start(context.child("node"), setup.ledger.clone(), channels(&port)).await {
        Ok(node) => node,
        Err(error) => panic!("the ledger does not open: {error}"),
    };
    let handle = node.handle();
    setup.handles.lock().insert(setup.place, handle.clone());

    let (events, mut inbox) = unbounded();
    let from = core.replay_above().map_or_else(|| handle.height().next(), |height| Height::new(height + 1));
    spawn_final(&context, handle.subscribe(from), events.clone());
    spawn_progress(&context, &spool, &quarantine, events.clone());
    listen(&context, &setup, events.clone());
    uplink(&context, &setup, events.clone());
    let copied = events.clone();
    context.child("copies").spawn(move |_| async move {
        loop {
            let Ok((from, message)) = received.recv().await;
            let message = Bytes::copy_from_slice(message.as_ref());
            let _ = copied.unbounded_send(Event::Copy { from, message });
        }
    });

    let mut fog = Fog {
        context,
        setup,
        core,
        spool,
        quarantine,
        waiting: VecDeque::new(),
        handle,
        copies,
        sessions: BTreeMap::new(),
        claims: BTreeMap::new(),
        next: 0,
        cloud: None,
        forwarded: BTreeMap::new(),
        epoch: None,
        caught_up: false,
    };
    let mut housekeeping = fog.context.current();
    loop {
        let deadline =
            fog.core.deadline().map(|at| SystemTime::UNIX_EPOCH + Duration::from_millis(at.as_millis()));
        let at = deadline.map_or(housekeeping, |deadline| deadline.min(housekeeping));
        // A deadline in the past is looked at again, not at once for ever.
        let at = at.max(fog.context.current() + Duration::from_millis(2));
        select! {
            event = inbox.next() => {
                let Some(event) = event else { return };
                fog.event(event).await;
                // All that came together is one group.
                while let Ok(event) = inbox.try_recv() {
                    fog.event(event).await;
                }
            },
            _ = fog.context.sleep_until(at) => {},
        }
        if fog.context.current() >= housekeeping {
            fog.housekeeping().await;
            housekeeping = fog.context.current() + Duration::from_millis(500);
        }
        fog.input(Input::Tick).await;
    }
}

async fn restore(context: &NodeContext, setup: &Setup, spool: &Writer<NodeContext>) -> Ingest {
    let mut core = Ingest::new(setup.settings.clone(), spool.end());
    let (mut restoring, mut from) = (Restoring::default(), Position(0));
    loop {
        let entries = match spool.read_from(from, RESTORE, usize::MAX).await {
            Ok(entries) => entries,
            Err(error) => panic!("the spool does not read: {error}"),
        };
        let Some((last, _)) = entries.last() else { break };
        from = last.next();
        for (position, bytes) in &entries {
            core.restore(timestamp(context), &mut restoring, *position, bytes);
        }
    }
    core.restored(restoring);
    core
}
