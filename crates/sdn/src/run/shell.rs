//! What the controller's inputs and outputs are outside: messages of fog nodes, requests of operators, the disk.

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot};
use voltmesh_audit::{Kind, Recorder};
use voltmesh_control::{
    FunctionReport, Summaries,
    topics::{ControllerTopic, FogTopic, Topic},
};
use voltmesh_identity::{Identity, Role};
use voltmesh_mqtt::{
    LogLimiter, Outgoing, Reason, Refusal as Refused, Server, ServerEvent, Session, Token as Delivery,
};
use voltmesh_telemetry::Timestamp;

use super::http::Asked;
use super::ledger::Proven;
use super::packages::Packages;
use super::peers::Peers;
use super::proofs::Proofs;
use super::standby::Standby;
use super::store::{Store, StoreError};
use super::terms::Terms;
use crate::controller::{Change, Controller, Input, Output, Request, RequestError};
use crate::placement;

/// This process's clock.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// What became of a request.
pub(super) type Answer = Result<(), RequestError>;

/// The sockets and the disk around a controller.
pub(super) struct Shell<E: voltmesh_spool::Context> {
    pub id: String,
    pub key: SigningKey,
    pub controller: Arc<Mutex<Controller>>,
    pub store: Store<E>,
    pub packages: Packages,
    pub terms: Terms,
    /// Fog nodes that are connected.
    pub fogs: BTreeSet<String>,
    /// The other controllers.
    pub peers: Peers,
    /// What is copied from one to another.
    pub standby: Standby,
    pub proofs: Proofs,
    pub server: Server,
    pub audit: Recorder,
    /// What is to be done once the changes among it are durable.
    pub outputs: Vec<Output>,
    /// What is acknowledged then.
    pub accepted: Vec<(Session, Delivery, Option<Refused>)>,
    /// Who is answered then.
    pub answers: Vec<(oneshot::Sender<Answer>, Answer)>,
    /// What searches for a better placement have found.
    pub found: mpsc::Sender<Input>,
    /// Lines about what fog nodes send.
    pub log: LogLimiter<String>,
}

/// Time that a search for a better placement takes.
const SEARCH: Duration = Duration::from_millis(200);

impl<E: voltmesh_spool::Context> Shell<E> {
    pub fn lock(&self) -> MutexGuard<'_, Controller> {
        self.controller.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on from what is kept: decisions that are not on the ledger are to come there.
    pub async fn begin(&mut self) -> Result<(), StoreError> {
        if let Terms::Ledger(ledger) = &mut self.terms {
            let controller = self.controller.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = controller.kept();
            let open = kept.decisions.values().filter(|one| !kept.receipts.contains_key(&one.number));
            open.for_each(|decision| ledger.await_decision(decision));
            tracing::info!(
                "this controller stands by until the ledger gives it the term; operators admit it with \
                 `voltmesh registry admit-controller`"
            );
        }
        self.follow_term();
        self.flush().await
    }

    pub fn handle(&mut self, input: Input) {
        self.follow_term();
        self.give(input);
    }

    fn give(&mut self, input: Input) {
        let outputs = self.lock().handle(now(), input);
        self.outputs.extend(outputs);
    }

    /// When something is to be done.
    pub fn deadline(&self) -> Option<Timestamp> {
        [self.lock().deadline(), self.terms.deadline()].into_iter().flatten().min()
    }

    /// Time passes.
    pub fn tick(&mut self) {
        let policies = self.terms.tick(now());
        self.submit(policies);
        self.handle(Input::Tick);
    }

    /// Tells the controller in which term it commands, before anything else happens to it: a process that stood still may have
    /// lost its term meanwhile.
    fn follow_term(&mut self) {
        let (held, told) = (self.terms.held(now()), self.lock().term());
        if held == told {
            return;
        }
        match held {
            Some(term) => tracing::info!(term, "this controller holds the term"),
            None => tracing::warn!(term = told, "this controller holds the term no more: it stands by"),
        }
        self.standby.begin_anew();
        self.give(Input::Term(held));
    }

    /// Hands transactions for the ledger to every fog node that is connected.
    fn submit(&self, policies: Vec<Bytes>) {
        for policy in policies {
            for fog in &self.fogs {
                self.send(fog.clone(), FogTopic::Policy, policy.clone());
            }
        }
    }

    /// Takes what a fog node says of the ledger.
    fn ledger(&mut self, payload: &Bytes) -> Result<(), String> {
        let Terms::Ledger(ledger) = &mut self.terms else { return Ok(()) };
        let policies = ledger.report(now(), payload)?;
        let proven = ledger.take_proven();
        self.submit(policies);
        for Proven { written, proof } in proven {
            // The proof first: a receipt that is listed can be fetched.
            match self.proofs.keep(&written.receipt(), &proof) {
                Ok(()) => self.handle(Input::Written(written)),
                Err(error) => tracing::error!(%error, "the proof of decisions cannot be kept"),
            }
        }
        self.follow_term();
        Ok(())
    }

    /// Has decisions that are durable written down.
    fn write_down(&mut self, changes: &[Change]) {
        let Terms::Ledger(ledger) = &mut self.terms else { return };
        let policies = {
            let controller = self.controller.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = controller.kept();
            for change in changes {
                if let Change::Decided { decision } = change
                    && !kept.receipts.contains_key(&decision.number)
                {
                    ledger.await_decision(decision);
                }
            }
            ledger.write(now(), &kept.decisions)
        };
        self.submit(policies);
    }

    pub fn request(&mut self, asked: Asked) {
        let Asked { request, what, answer } = asked;
        let is_rules = matches!(request, Request::SetRules(..));
        let result = match self.standby.has_peers() && self.terms.held(now()).is_none() {
            false => self.lock().request(now(), request),
            true => Err(RequestError::Conflict(
                "this controller stands by, and copies what operators decide from the one that commands: ask that one (its /status \
                 says ready)"
                    .to_owned(),
            )),
        };
        let result = match result {
            Ok(outputs) => {
                self.audit.record(Kind::Operator, "operator", &what);
                if is_rules {
                    tracing::info!("{what}");
                }
                self.outputs.extend(outputs);
                Ok(())
            }
            Err(error) => Err(error),
        };
        self.answers.push((answer, result));
    }

    pub fn event(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Connected { session } => {
                let identity = &session.peer().identity;
                if identity.role == Role::Fog {
                    tracing::info!(fog = identity.id(), "fog node connected");
                    self.fogs.insert(identity.id().to_owned());
                    let fog = identity.id().to_owned();
                    self.handle(Input::FogUp { fog });
                } else if !self.is_peer(identity) {
                    if self.log.may_write(format!("{identity}: not a fog node")) {
                        tracing::warn!(%identity, "only fog nodes and the controllers that are configured may connect here");
                    }
                    self.audit.refusal(
                        &identity.to_string(),
                        "only fog nodes and configured controllers may connect",
                    );
                    session.disconnect(Reason::NOT_AUTHORIZED);
                }
            }
            ServerEvent::Publishes { session, items } => {
                let is_peer = self.is_peer(&session.peer().identity);
                for item in items {
                    let refused = self.publish(is_peer, &item.topic, &item.payload);
                    self.accepted.push((session.clone(), item.token, refused));
                }
            }
            ServerEvent::Ended { session, end } => {
                let identity = &session.peer().identity;
                tracing::info!(peer = %identity, %end, "connection ended");
                if self.is_peer(identity) && self.server.sessions_of(identity).is_empty() {
                    self.standby.leave(identity.id());
                }
                if identity.role == Role::Fog && self.server.sessions_of(identity).is_empty() {
                    let fog = identity.id().to_owned();
                    self.fogs.remove(&fog);
                    self.handle(Input::FogDown { fog });
                }
            }
            ServerEvent::Subscribed { session, filter } => {
                let identity = &session.peer().identity;
                let is_copy = matches!(filter.parse(), Ok(Topic::Controller(_, ControllerTopic::Copy)));
                if is_copy && self.is_peer(identity) {
                    self.standby.follow(identity.id());
                }
            }
            ServerEvent::Completed { .. } => {}
        }
    }

    /// Whether this is one of the other controllers that are configured.
    fn is_peer(&self, identity: &Identity) -> bool {
        identity.role == Role::Controller && self.standby.peers.contains(identity.id())
    }

    /// Takes a message; the reason if it is none. The policy has let only the sender's own topics through.
    fn publish(&mut self, is_peer: bool, topic: &str, payload: &Bytes) -> Option<Refused> {
        let before = self.outputs.len();
        let (fog, read) = match topic.parse() {
            Ok(Topic::Fog(fog, FogTopic::Summary)) => {
                let read = Summaries::decode(payload)
                    .map(|summaries| Input::Summaries { fog: fog.clone(), summaries: Box::new(summaries) });
                (fog, read)
            }
            Ok(Topic::Fog(fog, FogTopic::Function)) => {
                let read = FunctionReport::decode(payload)
                    .map(|report| Input::Report { fog: fog.clone(), report: Box::new(report) });
                (fog, read)
            }
            Ok(Topic::Fog(fog, FogTopic::Ledger)) => {
                return self.ledger(payload).err().map(|why| {
                    self.refuse(&fog, "a report of the ledger that is not proven");
                    Refused::new(Reason::IMPLEMENTATION_SPECIFIC, why)
                });
            }
            Ok(Topic::Controller(peer, ControllerTopic::Wanted)) if is_peer => {
                let refused = self.wanted(&peer, payload).err();
                return refused.map(|why| Refused::new(Reason::PAYLOAD_FORMAT_INVALID, why));
            }
            _ => return Some(Reason::TOPIC_NAME_INVALID.into()),
        };
        match read {
            Ok(input) => self.handle(input),
            Err(error) => {
                self.lock().count_malformed();
                self.refuse(&fog, "a message that cannot be read");
                return Some(Refused::new(Reason::PAYLOAD_FORMAT_INVALID, error.to_string()));
            }
        }
        let why = self.outputs[before..].iter().find_map(|output| match output {
            Output::Refused { why, .. } => Some(why.to_string()),
            _ => None,
        });
        why.map(|why| Refused::new(Reason::IMPLEMENTATION_SPECIFIC, why))
    }

    fn refuse(&mut self, fog: &str, what: &str) {
        self.audit.refusal(&format!("urn:voltmesh:fog:{fog}"), what);
        if self.log.may_write(format!("{fog}: {what}")) {
            tracing::warn!(fog, "refused: {what}");
        }
    }

    /// Makes the changes durable, then does the rest in its order, then acknowledges and answers.
    pub async fn flush(&mut self) -> Result<(), StoreError> {
        while !self.outputs.is_empty() {
            let outputs = std::mem::take(&mut self.outputs);
            let changes: Vec<Change> = outputs
                .iter()
                .filter_map(|output| match output {
                    Output::Persist(change) => Some(change.clone()),
                    _ => None,
                })
                .collect();
            self.store.write(&changes).await?;
            self.write_down(&changes);
            self.give_copies(&changes);
            for output in outputs {
                self.perform(output);
            }
        }
        self.write_down(&[]);
        self.give_copies(&[]);
        for (session, delivery, refused) in self.accepted.drain(..) {
            match refused {
                None => session.accept(delivery),
                Some(refused) => session.reject(delivery, refused),
            }
        }
        for (answer, result) in self.answers.drain(..) {
            // Who has asked may be gone.
            answer.send(result).ok();
        }
        if self.store.wants_snapshot() {
            let kept = self.lock().kept().clone();
            self.store.snapshot(kept).await?;
        }
        Ok(())
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Persist(_) => {}
            // The disk may have kept this process for so long that its term is over.
            Output::Send { order, .. } if self.terms.held(now()) != Some(order.term) => {}
            Output::Send { fog, order } => match order.sign(&self.id, &self.key).encode() {
                Ok(bytes) => self.send(fog, FogTopic::Order, bytes.into()),
                Err(error) => tracing::error!(%error, fog, "an order is too large to be sent"),
            },
            Output::SendRelease { fog, release } => match self.packages.read(&release) {
                Some(bytes) => self.send(fog, FogTopic::Release, bytes),
                None => {
                    tracing::error!(%release, "a release's package is not in the data folder: publish it again")
                }
            },
            Output::Condition(change) => {
                let is = if change.over { "is over" } else { "is the case" };
                tracing::info!(vehicle = %change.vehicle, rule = change.rule, "{} {is}", change.condition);
            }
            Output::Refused { fog, why } => self.refuse(&fog, &why.to_string()),
            Output::Improve(problem) => {
                let found = self.found.clone();
                tokio::task::spawn_blocking(move || {
                    let begun = Instant::now();
                    let moves = placement::better(*problem, || begun.elapsed() < SEARCH);
                    // The controller may have ended.
                    found.blocking_send(Input::Improved { moves }).ok();
                });
            }
            Output::Superseded { term } => {
                let held = self.lock().term();
                if self.terms.superseded(term) {
                    tracing::error!(
                        held,
                        seen = term,
                        "a fog node has seen a higher term: it refuses this controller's orders. Either another controller \
                         commands, or this one has lost its data: then start it with a higher leases.least_term"
                    );
                    self.follow_term();
                } else if held.is_some() {
                    tracing::error!(
                        held,
                        seen = term,
                        "a fog node has seen a higher term than the ledger's and refuses orders: a controller with terms of its own \
                         was there; start this one with a higher leases.least_term"
                    );
                }
            }
        }
    }

    fn send(&self, fog: String, kind: FogTopic, bytes: Bytes) {
        let Ok(identity) = Identity::new(Role::Fog, &fog) else { return };
        let topic = Topic::Fog(fog, kind).to_string();
        for session in self.server.sessions_of(&identity) {
            // An order that is lost is replaced when it is not confirmed; a release is wished for again.
            if let Err(error) = session.publish(Outgoing::new(topic.as_str(), bytes.clone(), 0)) {
                tracing::debug!(%error, topic, "not sent");
            }
        }
    }
}
