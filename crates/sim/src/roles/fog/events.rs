//! What a fog node's process hears of: vehicles, its disk, final blocks, other authorities, the cloud.

use super::setup::Setup;
use crate::{
    net::{
        Stream,
        mqtt_session::{self as session, ToClient, ToServer},
    },
    node::NodeContext,
};
use bytes::Bytes;
use commonware_runtime::{Clock as _, Spawner as _, Supervisor as _};
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use std::{sync::Arc, time::Duration};
use voltmesh_consensus::{self as consensus, Finalized};
use voltmesh_control::topics::{FogTopic, Topic as ControlTopic};
use voltmesh_fog::TopicPolicy;
use voltmesh_identity::{Peer, Serial};
use voltmesh_mqtt::{ClientOptions, ClientOutput, Identity, Limits, ServerOutput};
use voltmesh_spool::{Position, Writer};

/// All that can happen to the process.
pub(super) enum Event {
    Up(u64, Peer, UnboundedSender<ToServer>),
    Heard(u64, ServerOutput),
    Spool { durable: Position, failed: Option<String> },
    Quarantine(Position),
    Final(Box<Finalized>),
    Copy { from: voltmesh_ledger::PublicKey, message: Bytes },
    CloudUp(UnboundedSender<ToClient>),
    Cloud(ClientOutput),
}

/// Tells of final blocks.
pub(super) fn spawn_final(
    context: &NodeContext,
    mut blocks: consensus::Subscription,
    events: UnboundedSender<Event>,
) {
    context.child("final").spawn(move |_| async move {
        while let Some(finalized) = blocks.next().await {
            let _ = events.unbounded_send(Event::Final(Box::new(finalized)));
        }
    });
}

/// Tells of what becomes durable, or fails to.
pub(super) fn spawn_progress(
    context: &NodeContext,
    spool: &Writer<NodeContext>,
    quarantine: &Writer<NodeContext>,
    events: UnboundedSender<Event>,
) {
    let (mut progress, told) = (spool.progress(), events.clone());
    context.child("progress").spawn(move |_| async move {
        let mut failures = 0;
        while progress.changed().await.is_ok() {
            let now = progress.borrow_and_update().clone();
            let failed =
                (now.failures > failures).then(|| now.error.map_or_else(String::new, |e| e.to_string()));
            failures = now.failures;
            let _ = told.unbounded_send(Event::Spool { durable: now.durable, failed });
        }
    });
    let mut progress = quarantine.progress();
    context.child("progress").spawn(move |_| async move {
        while progress.changed().await.is_ok() {
            let durable = progress.borrow_and_update().durable;
            let _ = events.unbounded_send(Event::Quarantine(durable));
        }
    });
}

/// Accepts connections of vehicles and clients.
pub(super) fn listen(context: &NodeContext, setup: &Setup, events: UnboundedSender<Event>) {
    let mut incoming = setup.net.listen(setup.place);
    let peers = setup.peers.clone();
    context.child("listener").spawn(move |context| async move {
        let mut next = 0;
        loop {
            let (place, stream) = incoming.accept().await;
            let Some(identity) = peers.get(&place).and_then(|(role, id)| Identity::new(*role, id).ok())
            else {
                continue;
            };
            next += 1;
            let (commands, orders) = unbounded();
            let serial = Serial::new(&place.0.to_be_bytes());
            let peer = Peer { identity: identity.clone(), serial, expires_s: i64::MAX };
            let _ = events.unbounded_send(Event::Up(next, peer, commands));
            serve(&context, next, identity, stream, events.clone(), orders);
        }
    });
}

fn serve(
    context: &NodeContext,
    id: u64,
    peer: Identity,
    stream: Stream,
    events: UnboundedSender<Event>,
    orders: UnboundedReceiver<ToServer>,
) {
    context.child("session").spawn(move |context| async move {
        let tell = |output| drop(events.unbounded_send(Event::Heard(id, output)));
        session::server(&context, stream, peer, Arc::new(TopicPolicy), Limits::default(), orders, tell).await;
    });
}

/// Keeps a session with the cloud, with pauses after failures.
pub(super) fn uplink(context: &NodeContext, setup: &Setup, events: UnboundedSender<Event>) {
    let (net, place, cloud) = (setup.net.clone(), setup.place, setup.cloud);
    let fog = setup.settings.fog.to_string();
    context.child("uplink").spawn(move |context| async move {
        loop {
            if let Ok(stream) = net.connect(place, cloud).await {
                let (commands, mut orders) = unbounded();
                let options = ClientOptions {
                    max_packet: 4 << 20,
                    subscriptions: vec![ControlTopic::Fog(fog.clone(), FogTopic::Notice).to_string()],
                    ..ClientOptions::default()
                };
                let told = events.clone();
                let tell = move |output: ClientOutput| {
                    // Said when it is subscribed: the cloud sends notices to subscribers only.
                    if matches!(output, ClientOutput::Subscribed(_)) {
                        let _ = told.unbounded_send(Event::CloudUp(commands.clone()));
                    }
                    let _ = told.unbounded_send(Event::Cloud(output));
                };
                session::client(&context, stream, options, &mut orders, tell).await;
            }
            context.sleep(Duration::from_millis(700)).await;
        }
    });
}
