//! The session with one controller: summaries, reports and what the ledger says up; orders, releases and transactions for the ledger
//! down; connects again and again.
//!
//! Events are read from the journal, from where this controller knows them: while it is away they wait on the disk. What it has
//! acknowledged is not sent again; what it may not have is.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use commonware_runtime::tokio::Context;
use tokio::sync::mpsc;
use voltmesh_control::{FunctionReport, MAX_CONTROLLER_MESSAGE_BYTES, topics::FogTopic};
use voltmesh_function::MAX_PACKAGE_BYTES;
use voltmesh_mqtt::{Client, ClientEvent, ClientEvents, Incoming, Outgoing, Reason};
use voltmesh_spool::{Position, Writer};

use super::{
    cursors::Cursors,
    figures::Figures,
    outbox::{Item, Outbox},
    queue::{Queue, Told},
};
use crate::{
    functions::journal::Entry,
    run::remote::{BackOff, Remote},
};

/// Events, reports, and messages of summaries that are sent and not acknowledged, of each so many.
const WINDOW: usize = 64;

/// Bytes of events that are read at once.
const READ_BYTES: usize = 256 * 1024;

/// Largest packet: the largest payload, with 4 KiB for topic and headers.
const MAX_PACKET: usize = 4_096
    + if MAX_PACKAGE_BYTES > MAX_CONTROLLER_MESSAGE_BYTES {
        MAX_PACKAGE_BYTES
    } else {
        MAX_CONTROLLER_MESSAGE_BYTES
    };

/// The link's task.
pub struct Link {
    /// Which of several.
    pub index: usize,
    pub remote: Remote,
    pub journal: Writer<Context>,
    pub outbox: Arc<Outbox>,
    pub cursors: Arc<Cursors>,
    pub queue: Queue,
    pub figures: Figures,
    /// Policy transactions of controllers, for the ledger.
    pub policies: mpsc::Sender<Bytes>,
}

/// What is on its way in one session.
struct Session {
    client: Client,
    tag: u64,
    /// Reports by their tags.
    reports: VecDeque<(u64, Bytes)>,
    /// Events by their tags and positions, and whether each is acknowledged.
    events: VecDeque<(u64, u64, bool)>,
    /// Messages of summaries.
    summaries: usize,
    /// Where the next event is read.
    next: u64,
}

impl Link {
    /// Runs until its task is ended.
    pub async fn run(self) {
        let mut back_off = BackOff::new();
        loop {
            let subscriptions = [FogTopic::Order, FogTopic::Release, FogTopic::Policy];
            match self.remote.connect(&subscriptions, Some(MAX_PACKET)).await {
                Ok((client, events)) => {
                    let peer = client.server().identity.to_string();
                    tracing::info!(controller = %peer, address = %self.remote.address, "connected to a controller");
                    back_off.reset();
                    self.figures.connected(self.index, Some(peer));
                    self.connected(client, events).await;
                    self.figures.connected(self.index, None);
                }
                Err(error) => {
                    let cause: &dyn std::error::Error = &error;
                    tracing::info!(error = cause, address = %self.remote.address, "a controller cannot be reached; functions go on");
                }
            }
            back_off.wait().await;
        }
    }

    async fn connected(&self, client: Client, mut events: ClientEvents) {
        let (reports, summaries): (Arc<str>, Arc<str>) =
            (self.remote.topic(FogTopic::Function).into(), self.remote.topic(FogTopic::Summary).into());
        let ledger: Arc<str> = self.remote.topic(FogTopic::Ledger).into();
        let next = self.cursors.of(&self.remote.address);
        let mut session =
            Session { client, tag: 0, reports: VecDeque::new(), events: VecDeque::new(), summaries: 0, next };
        let mut progress = self.journal.progress();
        self.outbox.down(std::iter::empty());
        self.queue.tell(Told::ControllerUp { link: self.index });
        let mut greeted = false;
        loop {
            if greeted && !self.send_events(&mut session, &reports).await {
                break;
            }
            tokio::select! {
                item = self.outbox.next(), if session.reports.len().max(session.summaries) < WINDOW => {
                    greeted = true;
                    session.tag += 1;
                    let item = match item {
                        Item::Report(payload) => {
                            session.reports.push_back((session.tag, payload.clone()));
                            Outgoing::new(reports.clone(), payload, session.tag)
                        }
                        // Counted with them: what is not acknowledged comes with the next session, or is asked for again.
                        Item::Ledger(payload) => {
                            session.summaries += 1;
                            Outgoing::new(ledger.clone(), payload, session.tag)
                        }
                        Item::Summaries(payload) => {
                            session.summaries += 1;
                            Outgoing::new(summaries.clone(), payload, session.tag)
                        }
                    };
                    if session.client.publish(item).is_err() {
                        break;
                    }
                }
                changed = progress.changed() => if changed.is_err() { break },
                event = events.next() => match event {
                    Some(ClientEvent::Completed(done)) => self.completed(&mut session, done),
                    Some(ClientEvent::Messages(items)) => self.received(&session.client, items),
                    Some(ClientEvent::Ended(end)) => {
                        tracing::warn!(?end, address = %self.remote.address, "the session with a controller has ended");
                        break;
                    }
                    Some(ClientEvent::Subscribed(_) | ClientEvent::RoundTrip(_)) => {}
                    None => break,
                },
            }
        }
        self.outbox.down(session.reports.into_iter().map(|(_, report)| report));
    }

    /// Sends events that are durable and not under way; false if the session is over.
    async fn send_events(&self, session: &mut Session, topic: &Arc<str>) -> bool {
        while session.events.len() < WINDOW {
            let room = WINDOW - session.events.len();
            let from = Position(session.next.max(self.journal.floor().0));
            let read = self.journal.read_from(from, room, READ_BYTES).await;
            let entries = match read {
                Ok(entries) => entries,
                Err(error) => {
                    tracing::error!(%error, "events cannot be read; they are told later");
                    return true;
                }
            };
            let Some((last, _)) = entries.last() else { break };
            session.next = last.0 + 1;
            for (position, bytes) in entries {
                let Ok(Entry::Event(event)) = Entry::decode(&bytes) else { continue };
                let Ok(payload) = FunctionReport::Event(*event).encode() else { continue };
                session.tag += 1;
                session.events.push_back((session.tag, position.0, false));
                let item = Outgoing::new(topic.clone(), payload.into(), session.tag);
                if session.client.publish(item).is_err() {
                    return false;
                }
            }
            self.known(session);
        }
        true
    }

    fn completed(&self, session: &mut Session, done: Vec<(u64, Reason)>) {
        for (tag, reason) in done {
            if reason.0 >= 0x80 {
                tracing::warn!(?reason, address = %self.remote.address, "a controller refuses what it is told");
            }
            if let Some(event) = session.events.iter_mut().find(|event| event.0 == tag) {
                event.2 = true;
            } else if let Some(at) = session.reports.iter().position(|report| report.0 == tag) {
                session.reports.remove(at);
            } else {
                session.summaries = session.summaries.saturating_sub(1);
            }
        }
        while session.events.pop_front_if(|event| event.2).is_some() {}
        self.known(session);
    }

    /// Notes how far this controller knows all events.
    fn known(&self, session: &Session) {
        let below = session.events.front().map_or(session.next, |event| event.1);
        let before = self.cursors.known();
        let known = self.cursors.advance(&self.remote.address, below);
        if known > before {
            self.queue.tell(Told::Known(known));
        }
    }

    fn received(&self, client: &Client, items: Vec<Incoming>) {
        let (orders, policies) = (self.remote.topic(FogTopic::Order), self.remote.topic(FogTopic::Policy));
        for item in items {
            // An order that is lost with this process is given again: the controller hears of what runs. So is a transaction.
            client.accept(item.token);
            if *item.topic == *policies {
                if self.policies.try_send(item.payload).is_err() {
                    tracing::debug!(address = %self.remote.address, "a policy transaction is left out: too many wait");
                }
                continue;
            }
            self.queue.tell(match *item.topic == *orders {
                true => Told::Order { link: self.index, payload: item.payload },
                false => Told::Release { payload: item.payload },
            });
        }
    }
}
