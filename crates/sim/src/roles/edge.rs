//! A vehicle's process: its core, its spool, its boot counter and its links to fog nodes.

use crate::{
    checker::Checker,
    link::{Net, Place},
    node::{NodeContext, timestamp},
    session::{self, ToClient},
};
use bytes::Bytes;
use commonware_macros::select;
use commonware_runtime::{
    Blob as _, Clock as _, ReadOptions, Spawner as _, Storage as _, Supervisor as _, WriteOptions,
};
use ed25519_dalek::SigningKey;
use futures::{
    StreamExt as _,
    channel::mpsc::{UnboundedSender, unbounded},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime},
};
use voltmesh_control::{
    Hello,
    topics::{Topic, VehicleTopic},
};
use voltmesh_edge::{
    Agent, FogIndex, Input, Output, Rules,
    agent::{Credentials, Found},
    boot::{self, Kept},
    entry::{self, Stored},
    sources::Cursor,
};
use voltmesh_ledger::Trust;
use voltmesh_mqtt::{ClientOptions, ClientOutput, Outgoing};
use voltmesh_spool::{Position, Spool, Writer};
use voltmesh_telemetry::{
    Boot, CentiPercent, Centidegrees, Channel, ChannelCount, ChannelValue, Charger, Contactor, Milliamps,
    Millivolts, Millivolts16, Ohms, Resolution, Sample, Secret, Timestamp, Unknown, VehicleId,
};

/// The tag of the hello; batches have their position's number plus one.
const HELLO: u64 = 0;
/// The tag of answers to commands; no spool has so many batches.
const ANSWER: u64 = u64::MAX;

/// Setup of a vehicle.
#[derive(Clone)]
pub struct Setup {
    /// Where it is.
    pub place: Place,
    /// Its name.
    pub vehicle: VehicleId,
    /// Signs its batches.
    pub key: SigningKey,
    /// Of its enrolment.
    pub salt: [u8; 32],
    /// The chain and the cloud it believes.
    pub trust: Trust,
    /// The fog nodes it may use.
    pub fogs: Vec<(Place, String)>,
    /// The roads.
    pub net: Net,
    /// Sees all.
    pub checker: Checker,
    /// Between two readings of the source, milliseconds.
    pub sample_ms: u64,
    /// Samples of a reading, a millisecond apart.
    pub samples: u64,
    /// A batch holds at most so many records.
    pub batch_records: usize,
    /// No samples are taken from then on.
    pub ends: SystemTime,
    /// Counts its boots from 1; else the first is the clock's seconds.
    pub new_vehicle: bool,
    /// Of its back-off.
    pub seed: u64,
}

enum Event {
    Synced { durable: Position, bytes: u64, failed: Option<String> },
    Measured(FogIndex, Option<u64>),
    Up { fog: FogIndex, session: u64, commands: UnboundedSender<ToClient> },
    Heard { fog: FogIndex, session: u64, output: ClientOutput },
    Failed { fog: FogIndex, session: u64 },
}

struct Link {
    session: u64,
    commands: Option<UnboundedSender<ToClient>>,
    round_trip_us: u64,
}

struct Vehicle {
    context: NodeContext,
    setup: Setup,
    core: Agent,
    spool: Writer<NodeContext>,
    events: UnboundedSender<Event>,
    links: BTreeMap<FogIndex, Link>,
    sessions: u64,
    /// Entries that the spool had no room for; its positions must follow the core's.
    waiting: VecDeque<Bytes>,
    /// Sealed and not durable.
    unsynced: VecDeque<(Position, Bytes)>,
    paused: bool,
    hello: Bytes,
}

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

/// The product's boot counter, kept on the vehicle's simulated disk.
async fn next_boot(context: &NodeContext, newest: Option<Boot>, new_vehicle: bool) -> Boot {
    let opened = async {
        let (blob, len) = context.open("boot", b"counter").await?;
        let kept = match len {
            0 => Kept::Missing,
            8.. => {
                let bytes = blob.read_at(0, 8, ReadOptions::default()).await?.coalesce();
                bytes
                    .as_ref()
                    .try_into()
                    .map_or(Kept::Damaged, |bytes| Kept::Number(u64::from_be_bytes(bytes)))
            }
            _ => Kept::Damaged,
        };
        let seconds = context.current().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let boot = boot::number_after(kept, newest, new_vehicle, seconds)
            .unwrap_or_else(|| unreachable!("a simulated vehicle's clock is set"));
        blob.write_at(0, boot.get().to_be_bytes().to_vec(), WriteOptions::SYNC).await?;
        Ok::<_, commonware_runtime::Error>(boot)
    };
    match opened.await {
        Ok(boot) => boot,
        Err(error) => panic!("the boot counter is not kept: {error}"),
    }
}

/// What the spool holds; all of it is durable now, whether its sync was confirmed or not.
async fn found(setup: &Setup, spool: &Writer<NodeContext>) -> Found {
    let mut found =
        Found { floor: spool.floor(), end: spool.end(), bytes: spool.bytes(), cursor: Cursor::default() };
    let mut from = spool.floor();
    while let Ok(entries) = spool.read_from(from, 256, usize::MAX).await {
        let Some((last, _)) = entries.last() else { break };
        from = last.next();
        for (position, bytes) in &entries {
            spooled(setup, *position, bytes);
        }
    }
    // The newest entry stays readable after its acknowledgement.
    if let Some(last) = found.end.0.checked_sub(1)
        && let Ok(Some(bytes)) = spool.read(Position(last)).await
        && let Ok(stored) = entry::decode(Position(last), &bytes)
    {
        found.cursor = stored.cursor;
    }
    found
}

fn spooled(setup: &Setup, position: Position, bytes: &Bytes) {
    let stored = entry::decode(position, bytes);
    let opened = stored.and_then(|stored| {
        let records = stored.batch.open().map_err(|error| error.to_string())?;
        Ok((stored, records))
    });
    match opened {
        Ok((stored, records)) => {
            for record in &records {
                setup.checker.spooled(&setup.vehicle, stored.batch.header().boot, record);
            }
        }
        Err(error) => setup.checker.problem(format!("{}'s own spool does not read: {error}", setup.vehicle)),
    }
}

fn spawn_progress(context: &NodeContext, spool: &Writer<NodeContext>, events: UnboundedSender<Event>) {
    let mut progress = spool.progress();
    context.child("progress").spawn(move |_| async move {
        while progress.changed().await.is_ok() {
            let now = progress.borrow_and_update().clone();
            let failed = now.error.map(|error| error.to_string());
            let _ = events.unbounded_send(Event::Synced { durable: now.durable, bytes: now.bytes, failed });
        }
    });
}

/// What a small pack of four cells says at step `step`: now and then a cell or the current is unknown, or there is more to
/// say.
pub fn sample(vehicle: &VehicleId, step: u64, time: Timestamp) -> Sample {
    let mix = vehicle.as_str().bytes().fold(step, |mix, byte| mix.wrapping_mul(31).wrapping_add(byte.into()));
    let swing = (mix % 97) as u16;
    let mut sample = Sample {
        time,
        pack_voltage: Millivolts::new(14_800 + u32::from(swing)),
        pack_current: Milliamps::new(i32::from(swing) * 100 - 5_000),
        cells: (0..4).map(|cell| Millivolts16::new(3_700 + swing + cell)).collect(),
        temperatures: vec![Centidegrees::new(2_500 + swing as i16)],
        soc: CentiPercent::new(5_000 + swing),
        contactor: Contactor::Closed,
        charger: Charger::Unplugged,
        ..Sample::default()
    };
    let cause = Unknown::ALL[step as usize % Unknown::ALL.len()];
    match mix % 8 {
        0 => sample.cells[1] = Millivolts16::unknown(cause),
        1 => sample.pack_current = Milliamps::unknown(cause),
        2 => sample.insulation = Ohms::new(2_000_000 + u32::from(swing)),
        3 => sample.channels.extend(gas(swing)),
        _ => {}
    }
    sample
}

/// An extra channel; there is one, since its name and unit are valid.
fn gas(swing: u16) -> Option<ChannelValue> {
    let channel = Channel::new("gas", "[ppm]", Resolution::ONE).ok()?;
    Some(ChannelValue { channel: Arc::new(channel), count: ChannelCount::new(swing.into()) })
}

impl Vehicle {
    async fn event(&mut self, event: Event) {
        match event {
            Event::Synced { durable, bytes, failed } => {
                while self.unsynced.front().is_some_and(|(position, _)| *position < durable) {
                    let Some((position, bytes)) = self.unsynced.pop_front() else { break };
                    spooled(&self.setup, position, &bytes);
                }
                self.append_waiting();
                let input =
                    failed.map_or(Input::Synced { durable, bytes }, |reason| Input::SyncFailed { reason });
                self.input(input).await;
            }
            Event::Measured(fog, round_trip_us) => self.input(Input::Measured { fog, round_trip_us }).await,
            Event::Up { fog, session, commands } => {
                if let Some(link) = self.links.get_mut(&fog).filter(|link| link.session == session) {
                    link.commands = Some(commands);
                }
            }
            Event::Failed { fog, session } => {
                if self.links.get(&fog).is_some_and(|link| link.session == session) {
                    self.links.remove(&fog);
                    self.input(Input::Lost { fog, reason: "not reached".into() }).await;
                }
            }
            Event::Heard { fog, session, output } => {
                if self.links.get(&fog).is_some_and(|link| link.session == session) {
                    self.heard(fog, output).await;
                }
            }
        }
    }

    async fn heard(&mut self, fog: FogIndex, output: ClientOutput) {
        match output {
            ClientOutput::Connected { round_trip, .. } => {
                if let Some(link) = self.links.get_mut(&fog) {
                    link.round_trip_us = round_trip.as_micros() as u64;
                }
            }
            ClientOutput::Subscribed(_) => {
                let topic = Topic::Vehicle(self.setup.vehicle.clone(), VehicleTopic::Hello).to_string();
                self.order(fog, ToClient::Publish(Outgoing::new(topic, self.hello.clone(), HELLO)));
                let round_trip_us = self.links.get(&fog).map_or(0, |link| link.round_trip_us);
                self.input(Input::Connected { fog, round_trip_us }).await;
            }
            ClientOutput::Completed(done) => {
                for (tag, reason) in done.into_iter().filter(|(tag, _)| ![HELLO, ANSWER].contains(tag)) {
                    let position = Position(tag - 1);
                    self.trace("answered", fog, position);
                    self.input(Input::Answered { fog, position, code: reason.0 }).await;
                }
            }
            ClientOutput::Messages(items) => {
                for item in items {
                    self.order(fog, ToClient::Accept(item.token));
                    if let Some(input) = Input::of_message(&item.topic, item.payload) {
                        self.input(input).await;
                    }
                }
            }
            ClientOutput::RoundTrip(_) => self.input(Input::Heard { fog }).await,
            ClientOutput::Ended(end) => {
                self.links.remove(&fog);
                self.input(Input::Lost { fog, reason: end.to_string() }).await;
            }
        }
    }

    async fn input(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for output in self.core.handle(timestamp(&self.context), input) {
                if let Some(next) = self.output(output).await {
                    inputs.push_back(next);
                }
            }
        }
    }

    async fn output(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Persist { position, entry } => {
                self.unsynced.push_back((position, entry.clone()));
                self.waiting.push_back(entry);
                self.append_waiting();
            }
            Output::Forget { position } => self.forget(position).await,
            Output::Load { from, limit } => return Some(self.load(from, limit).await),
            Output::Connect(fog) => self.connect(fog),
            Output::Disconnect(fog) => {
                self.order(fog, ToClient::Disconnect(voltmesh_mqtt::Reason::SUCCESS));
                self.links.remove(&fog);
            }
            Output::Ping(fog) => self.order(fog, ToClient::Ping),
            Output::Measure(fog) => self.measure(fog),
            Output::Send { fog, position, again } => self.send(fog, position, again).await,
            // These vehicles run no twin.
            Output::SaveTwin { .. } => {}
            // They take no commands: every one is refused without a word on disk.
            Output::SaveCommands { .. } | Output::Obey { .. } => {}
            Output::Answer { fog, message } => {
                let topic = Topic::Vehicle(self.setup.vehicle.clone(), VehicleTopic::Answer).to_string();
                self.order(fog, ToClient::Publish(Outgoing::new(topic, message, ANSWER)));
            }
            Output::SaveTrust { toml } => self.setup.checker.note("trust", toml.as_bytes()),
            Output::Pause { reason } => {
                self.paused = true;
                self.setup.checker.note("pause", reason.as_bytes());
            }
            Output::Resume => self.paused = false,
            Output::Warn { message } => {
                tracing::debug!(vehicle = %self.setup.vehicle, message, "edge");
                self.setup.checker.note("warn", message.as_bytes());
            }
            Output::Finished => {}
        }
        None
    }

    fn append_waiting(&mut self) {
        while let Some(bytes) = self.waiting.front() {
            if self.spool.append(bytes.clone()).is_err() {
                return;
            }
            self.waiting.pop_front();
        }
    }

    fn trace(&self, what: &str, fog: FogIndex, position: Position) {
        let (now, vehicle) = (timestamp(&self.context).as_millis(), &self.setup.vehicle);
        tracing::trace!(now, %vehicle, fog = fog.0, position = position.0, "{what}");
    }

    async fn stored(&self, position: Position) -> Option<Stored> {
        let bytes = self.spool.read(position).await.ok().flatten()?;
        entry::decode(position, &bytes).ok()
    }

    async fn forget(&mut self, position: Position) {
        if let Some(stored) = self.stored(position).await {
            self.setup.checker.forgotten(stored.batch.header());
        }
        if let Err(error) = self.spool.ack(position) {
            self.setup
                .checker
                .problem(format!("{} forgets what is not durable: {error}", self.setup.vehicle));
        }
    }

    async fn load(&self, from: Position, limit: usize) -> Input {
        let entries = self.spool.read_from(from, limit, usize::MAX).await.unwrap_or_default();
        let next =
            entries.last().map_or_else(|| self.spool.progress().borrow().durable, |(last, _)| last.next());
        let batches =
            entries.iter().filter_map(|(position, bytes)| entry::decode(*position, bytes).ok()).collect();
        Input::Loaded { batches, next }
    }

    fn order(&self, fog: FogIndex, order: ToClient) {
        if let Some(commands) = self.links.get(&fog).and_then(|link| link.commands.as_ref()) {
            let _ = commands.unbounded_send(order);
        }
    }

    async fn send(&mut self, fog: FogIndex, position: Position, duplicate: bool) {
        let Some(stored) = self.stored(position).await else { return };
        self.trace("sent", fog, position);
        let topic = Topic::Vehicle(self.setup.vehicle.clone(), VehicleTopic::Batch).to_string();
        let mut item = Outgoing::new(topic, stored.batch.wire().clone(), position.0 + 1);
        item.duplicate = duplicate;
        self.order(fog, ToClient::Publish(item));
    }

    fn connect(&mut self, fog: FogIndex) {
        self.sessions += 1;
        let session = self.sessions;
        self.links.insert(fog, Link { session, commands: None, round_trip_us: 0 });
        let Some((to, _)) = self.setup.fogs.get(fog.0).cloned() else { return };
        let (net, from, events) = (self.setup.net.clone(), self.setup.place, self.events.clone());
        let topic = |kind| Topic::Vehicle(self.setup.vehicle.clone(), kind).to_string();
        let subscriptions =
            [VehicleTopic::Receipt, VehicleTopic::Notice, VehicleTopic::Trust, VehicleTopic::Command]
                .map(topic)
                .to_vec();
        self.context.child("link").spawn(move |context| async move {
            let Ok(stream) = net.connect(from, to).await else {
                let _ = events.unbounded_send(Event::Failed { fog, session });
                return;
            };
            let (commands, mut orders) = unbounded();
            let _ = events.unbounded_send(Event::Up { fog, session, commands });
            let options = ClientOptions { subscriptions, ..ClientOptions::default() };
            let tell = |output| drop(events.unbounded_send(Event::Heard { fog, session, output }));
            session::client(&context, stream, options, &mut orders, tell).await;
        });
    }

    fn measure(&self, fog: FogIndex) {
        let Some((to, _)) = self.setup.fogs.get(fog.0).cloned() else { return };
        let (net, from, events) = (self.setup.net.clone(), self.setup.place, self.events.clone());
        self.context.child("measure").spawn(move |context| async move {
            let before = context.current();
            let reached = net.connect(from, to).await.is_ok();
            let took = context.current().duration_since(before).unwrap_or_default().as_micros() as u64;
            let _ = events.unbounded_send(Event::Measured(fog, reached.then_some(took)));
        });
    }
}
