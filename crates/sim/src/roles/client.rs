//! A client that is not ours: plain JSON samples over MQTT, no spool, no keys. What it got a PUBACK for is owed.

use crate::{
    checker::Checker,
    net::{
        Net, NodeAddress,
        mqtt_session::{self as session, ToClient},
    },
    node::{NodeContext, timestamp},
    roles::sample::sample,
};
use commonware_macros::select;
use commonware_runtime::{Clock as _, Spawner as _, Supervisor as _};
use futures::{
    StreamExt as _,
    channel::mpsc::{UnboundedSender, unbounded},
};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};
use voltmesh_control::topics::{Topic, VehicleTopic};
use voltmesh_mqtt::{ClientOptions, ClientOutput, Outgoing};
use voltmesh_telemetry::{Record, VehicleId, vss};

/// Between attempts to connect.
const PAUSE: Duration = Duration::from_millis(900);

/// Setup of a client.
#[derive(Clone)]
pub struct Setup {
    /// Where it is.
    pub place: NodeAddress,
    /// Its name.
    pub name: VehicleId,
    /// The fog nodes it may use.
    pub fogs: Vec<NodeAddress>,
    /// What connects it with the others.
    pub net: Net,
    /// Sees all.
    pub checker: Checker,
    /// Between two samples, milliseconds.
    pub sample_ms: u64,
    /// No samples are taken from then on.
    pub ends: SystemTime,
}

/// Publishes until all it has is acknowledged: always again what was not, at another fog node if need be.
pub async fn run(context: NodeContext, setup: Setup) {
    let mut unanswered = BTreeMap::new();
    let (mut step, mut attempt) = (0, 0);
    let mut next = context.current();
    while context.current() < setup.ends || !unanswered.is_empty() {
        let fog = setup.fogs[attempt % setup.fogs.len()];
        attempt += 1;
        if let Ok(stream) = setup.net.connect(setup.place, fog).await {
            let (told, mut heard) = unbounded();
            let (commands, mut orders) = unbounded();
            context.child("session").spawn(move |context| async move {
                let tell = |output| drop(told.unbounded_send(output));
                session::client(&context, stream, ClientOptions::default(), &mut orders, tell).await;
            });
            for (tag, record) in &unanswered {
                publish(&setup, &commands, *tag, record);
            }
            loop {
                select! {
                    output = heard.next() => match output {
                        Some(ClientOutput::Completed(done)) => {
                            for (tag, reason) in done {
                                let Some(record) = unanswered.remove(&tag) else { continue };
                                if reason.0 < 0x80 {
                                    setup.checker.accepted(&setup.name, &record);
                                }
                            }
                        }
                        Some(ClientOutput::Ended(_)) | None => break,
                        Some(_) => {}
                    },
                    _ = context.sleep_until(next) => {
                        next = context.current() + Duration::from_millis(setup.sample_ms);
                        if context.current() < setup.ends {
                            let json = vss::to_json(&sample(&setup.name, step, timestamp(&context)));
                            let Ok(sample) = vss::parse(json.as_bytes()) else { continue };
                            step += 1;
                            let record = Record::foreign(sample);
                            publish(&setup, &commands, step, &record);
                            unanswered.insert(step, record);
                        } else if unanswered.is_empty() {
                            break;
                        }
                    }
                }
            }
        }
        context.sleep(PAUSE).await;
    }
}

fn publish(setup: &Setup, commands: &UnboundedSender<ToClient>, tag: u64, record: &Record) {
    let topic = Topic::Vehicle(setup.name.clone(), VehicleTopic::Sample).to_string();
    let item = Outgoing::new(topic, vss::to_json(&record.sample).into(), tag);
    let _ = commands.unbounded_send(ToClient::Publish(item));
}
