//! A vehicle's process: its core, its spool, its boot counter and its links to fog nodes.

mod disk;
mod setup;
mod vehicle;

pub use setup::Setup;

use super::sample::sample;
use crate::node::{NodeContext, timestamp};
use commonware_macros::select;
use commonware_runtime::{Clock as _, Supervisor as _};
use disk::{found, next_boot};
use futures::{StreamExt as _, channel::mpsc::unbounded};
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, SystemTime},
};
use vehicle::{Vehicle, spawn_progress};
use voltmesh_control::Hello;
use voltmesh_edge::{Agent, Input, Rules, agent::Credentials, entry};
use voltmesh_spool::Spool;
use voltmesh_telemetry::Secret;

/// Runs until killed.
pub async fn run(context: NodeContext, setup: Setup) {
    let config = voltmesh_spool::Config::new("spool");
    let max_spool_bytes = config.max_bytes;
    let spool = match Spool::open(context.child("open"), config).await {
        Ok(spool) => spool,
        Err(error) => panic!("the spool does not open: {error}"),
    };
    let newest = match spool.last().await {
        Ok(last) => last.and_then(|(position, bytes)| entry::decode(position, &bytes).ok()),
        Err(error) => panic!("the spool does not read: {error}"),
    };
    let newest = newest.map(|stored| stored.batch.header().boot);
    let boot = next_boot(&context, newest, setup.new_vehicle).await;
    let spool = spool.start(context.child("spool")).0;
    let found = found(&setup, &spool).await;
    let names = setup.fogs.iter().map(|(_, name)| name.clone()).collect();
    let mut rules = Rules::new(setup.vehicle.clone(), boot, names);
    rules.max_records = setup.batch_records;
    rules.max_age_ms = 2_000;
    rules.max_spool_bytes = max_spool_bytes;
    rules.offer_again_after_ms = 8_000;
    rules.back_off_max_ms = 4_000;
    rules.measure_every_ms = 20_000;
    rules.seed = setup.seed;
    let credentials = Credentials {
        signing: setup.key.clone(),
        secret: Secret::new(setup.salt),
        salt: setup.salt,
        trust: setup.trust.clone(),
    };
    let hello = Hello { opening: credentials.opening(), boot, client_version: "sim".into() };
    let hello = hello.encode().into();
    let core = Agent::new(rules, credentials, found);
    let mut cursor = found.cursor;
    let (events, mut inbox) = unbounded();
    spawn_progress(&context, &spool, events.clone());
    let mut vehicle = Vehicle {
        context,
        setup,
        core,
        spool,
        events,
        links: BTreeMap::new(),
        sessions: 0,
        waiting: VecDeque::new(),
        unsynced: VecDeque::new(),
        paused: false,
        hello,
    };
    vehicle.input(Input::Tick).await;
    let mut next_sample = vehicle.context.current();
    let mut ended = false;
    loop {
        let deadline =
            vehicle.core.deadline().map(|at| SystemTime::UNIX_EPOCH + Duration::from_millis(at.as_millis()));
        let at = deadline.map_or(next_sample, |deadline| deadline.min(next_sample));
        let at = at.max(vehicle.context.current() + Duration::from_millis(2));
        select! {
            event = inbox.next() => match event {
                Some(event) => vehicle.event(event).await,
                None => return,
            },
            _ = vehicle.context.sleep_until(at) => vehicle.input(Input::Tick).await,
        }
        let now = vehicle.context.current();
        if now < next_sample {
            continue;
        }
        next_sample = now + Duration::from_millis(vehicle.setup.sample_ms);
        vehicle.append_waiting();
        if now >= vehicle.setup.ends {
            if !ended {
                ended = true;
                vehicle.input(Input::SourceEnded).await;
            }
        } else {
            for n in 0..vehicle.setup.samples {
                if vehicle.paused {
                    break;
                }
                let time = timestamp(&vehicle.context).plus_millis(n);
                let sample = sample(&vehicle.setup.vehicle, cursor.done, time);
                cursor.done += 1;
                vehicle.input(Input::Sample { sample, cursor }).await;
            }
        }
    }
}
