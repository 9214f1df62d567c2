//! What the archivist's outputs ask, done on sockets, disk and log; and events of fog nodes as its inputs.

use super::surroundings::now;
use crate::{
    archivist::{Archivist, Commit, Input, Output, Token},
    config::Config,
    delta::Reader,
    http::board::{Board, fingerprint},
    writer::ask,
};
use bytes::Bytes;
use std::{collections::BTreeMap, sync::Arc, time::Instant};
use tokio::sync::mpsc;
use voltmesh_audit::Recorder;
use voltmesh_control::{
    ArchiveStatement, Handovers,
    topics::{FogTopic, Topic},
};
use voltmesh_identity::{Identity, Role, write_public};
use voltmesh_ledger::AnchoredStatement;
use voltmesh_mqtt::{LogLimiter, Outgoing, Reason, Refusal, Server, ServerEvent, Session, Token as Delivery};
use voltmesh_telemetry::Digest;

/// A delivery whose PUBACK is not sent yet.
pub(super) struct Waiting {
    session: Session,
    delivery: Delivery,
    since: Instant,
}

/// The archivist and what its outputs need.
pub(super) struct Shell {
    pub config: Config,
    pub audit: Recorder,
    pub board: Arc<Board>,
    pub archivist: Archivist,
    pub server: Server,
    pub reader: Reader,
    pub commits: mpsc::Sender<Commit>,
    pub results: mpsc::Sender<Input>,
    pub waiting: BTreeMap<Token, Waiting>,
    pub next_token: u64,
    /// Digest of the trust as it was last written down.
    pub trust: Digest,
    /// The newest statement of the archive since the start.
    pub statement: Option<Bytes>,
    pub cloud_keys: Vec<ed25519_dalek::VerifyingKey>,
    /// Places of statements in the ledger's log, to be kept.
    pub places: mpsc::Sender<AnchoredStatement>,
    /// Lines about what fog nodes deliver.
    pub log: LogLimiter<String>,
}

impl Shell {
    /// Takes what happened on a connection.
    pub fn event(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Connected { session } => {
                let identity = &session.peer().identity;
                if identity.role == Role::Fog {
                    tracing::info!(fog = identity.id(), "fog node connected");
                } else {
                    if self.log.may_write(format!("{identity}: not a fog node")) {
                        tracing::warn!(%identity, "only fog nodes may connect here");
                    }
                    self.audit.refusal(&identity.to_string(), "only fog nodes may connect");
                    session.disconnect(Reason::NOT_AUTHORIZED);
                }
                self.board.set_fogs(self.server.sessions().len());
            }
            ServerEvent::Publishes { session, items } => {
                for item in items {
                    match item.topic.parse() {
                        Ok(Topic::Fog(fog, FogTopic::Envelope)) => {
                            let token = Token(self.next_token);
                            self.next_token += 1;
                            let waiting = Waiting {
                                session: session.clone(),
                                delivery: item.token,
                                since: Instant::now(),
                            };
                            self.waiting.insert(token, waiting);
                            self.handle(Input::Envelope { fog, token, bytes: item.payload });
                        }
                        Ok(Topic::Fog(_, FogTopic::Trust)) => match Handovers::decode(&item.payload) {
                            Ok(_) => {
                                self.handle(Input::Handovers(item.payload));
                                self.keep_trust();
                                session.accept(item.token);
                            }
                            Err(error) => {
                                let peer = session.peer().identity.to_string();
                                self.audit.refusal(&peer, "hand-overs that cannot be read");
                                let why = Refusal::new(Reason::PAYLOAD_FORMAT_INVALID, error.to_string());
                                session.reject(item.token, why);
                            }
                        },
                        Ok(Topic::Fog(_, FogTopic::Anchored)) => match self.anchored(&item.payload) {
                            true => session.accept(item.token),
                            false => session.reject(item.token, Reason::PAYLOAD_FORMAT_INVALID),
                        },
                        _ => session.reject(item.token, Reason::TOPIC_NAME_INVALID),
                    }
                }
            }
            ServerEvent::Ended { session, end } => {
                tracing::info!(peer = %session.peer().identity, %end, "connection ended");
                self.board.set_fogs(self.server.sessions().len());
            }
            ServerEvent::Subscribed { session, filter } => {
                if let (Ok(Topic::Fog(_, FogTopic::Statement)), Some(statement)) =
                    (filter.parse(), &self.statement)
                {
                    tell(&session, statement);
                }
            }
            ServerEvent::Completed { .. } => {}
        }
    }

    /// Keeps where the log holds a statement of this cloud's. False if that is not so.
    fn anchored(&self, bytes: &[u8]) -> bool {
        let Ok(anchored) = AnchoredStatement::from_bytes(bytes) else { return false };
        let ours = ArchiveStatement::verify_any(&anchored.statement, &self.cloud_keys).is_ok();
        let holds = ours && anchored.verify(self.archivist.trust()).is_ok();
        if holds && self.places.try_send(anchored).is_err() {
            tracing::debug!("the place of a statement is not kept now; fog nodes tell it again");
        }
        holds
    }

    /// Sends a statement of the archive to all fog nodes that are connected, and to those that come until the next one.
    pub fn say(&mut self, statement: Bytes) {
        for session in self.server.sessions() {
            tell(&session, &statement);
        }
        self.statement = Some(statement);
    }

    /// Gives the archivist an input and does what it asks.
    pub fn handle(&mut self, input: Input) {
        let changes_gaps = matches!(input, Input::Committed { .. } | Input::Reloaded { .. });
        let dropped = self.archivist.counters().quarantine_dropped;
        for output in self.archivist.handle(now(), input) {
            self.perform(output);
        }
        let more = self.archivist.counters().quarantine_dropped - dropped;
        if more > 0 && self.log.may_write("quarantine full".to_owned()) {
            let (used, bound) = self.archivist.quarantine_bytes();
            tracing::warn!(
                more,
                used,
                bound,
                "refused deliveries are not kept: their senders have used their share of quarantine.max_bytes"
            );
        }
        self.board.update(&self.archivist, changes_gaps);
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Commit(commit) => {
                // The core has one commit under way at most, and the channel holds one.
                let sent = self.commits.try_send(commit);
                assert!(sent.is_ok(), "the archive's writer takes one commit at a time until the end");
            }
            Output::Ask { question, about } => {
                let (reader, results) = (self.reader.clone(), self.results.clone());
                tokio::spawn(async move {
                    let answer = ask(reader, about).await;
                    results.send(Input::Answered { question, answer }).await.ok();
                });
            }
            Output::Accept(token) => {
                if let Some(waiting) = self.waiting.remove(&token) {
                    waiting.session.accept(waiting.delivery);
                    self.board.answered(waiting.since.elapsed());
                }
            }
            Output::Reject(token, rejection) => {
                if let Some(waiting) = self.waiting.remove(&token) {
                    let peer = &waiting.session.peer().identity;
                    let what = format!("delivery refused: {}", rejection.stage);
                    self.audit.refusal(&peer.to_string(), &what);
                    if self.log.may_write(format!("{peer}: deliveries in quarantine")) {
                        tracing::warn!(%peer, %rejection, "delivery in quarantine");
                    }
                    waiting.session.reject(waiting.delivery, Reason::PAYLOAD_FORMAT_INVALID);
                }
            }
            Output::Defer(token, why) => {
                if let Some(waiting) = self.waiting.remove(&token) {
                    let peer = &waiting.session.peer().identity;
                    self.audit.refusal(&peer.to_string(), &format!("delivery held off: {why}"));
                    if self.log.may_write(format!("{peer}: deliveries held off")) {
                        tracing::warn!(%peer, why, "delivery held off");
                    }
                    waiting.session.disconnect(Reason::QUOTA_EXCEEDED);
                }
            }
            Output::Notice { fog, vehicle, bytes } => {
                let Ok(identity) = Identity::new(Role::Fog, &fog) else { return };
                let topic = Topic::Fog(fog, FogTopic::Notice).to_string();
                for session in self.server.sessions_of(&identity) {
                    // A notice that is lost is repeated when the vehicle offers the batch again.
                    if let Err(error) = session.publish(Outgoing::new(topic.as_str(), bytes.clone(), 0)) {
                        tracing::debug!(%error, %vehicle, "a notice was not sent");
                    }
                }
            }
        }
    }

    /// Writes the trust down if a hand-over has extended it.
    fn keep_trust(&mut self) {
        let text = self.archivist.trust().to_toml();
        let print = fingerprint(&text);
        if print == self.trust {
            return;
        }
        self.trust = print;
        if let Some(path) = &self.config.trust_learned
            && let Err(error) = write_public(path, text.as_bytes())
        {
            tracing::warn!(%error, "learned hand-overs could not be written");
        }
        self.board.set_trust(text);
    }
}

/// Sends a statement to a fog node; one that is lost is followed by another.
fn tell(session: &Session, statement: &Bytes) {
    let identity = &session.peer().identity;
    if identity.role == Role::Fog {
        let topic = Topic::Fog(identity.id().to_owned(), FogTopic::Statement).to_string();
        if let Err(error) = session.publish(Outgoing::new(topic, statement.clone(), 0)) {
            tracing::debug!(%error, fog = identity.id(), "a statement was not sent");
        }
    }
}
