//! What the controller's inputs and outputs are outside: messages of fog nodes, requests of operators, the disk.

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;
use voltmesh_audit::{Kind, Recorder};
use voltmesh_control::{
    FunctionReport, Summaries,
    topics::{FogTopic, Topic},
};
use voltmesh_identity::{Identity, Role};
use voltmesh_mqtt::{
    LogLimiter, Outgoing, Reason, Refusal as Refused, Server, ServerEvent, Session, Token as Delivery,
};
use voltmesh_telemetry::Timestamp;

use super::http::Asked;
use super::packages::Packages;
use super::store::{Store, StoreError};
use super::terms::Terms;
use crate::controller::{Change, Controller, Input, Output, Request, RequestError};

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
    pub terms: Box<dyn Terms>,
    pub server: Server,
    pub audit: Recorder,
    /// What is to be done once the changes among it are durable.
    pub outputs: Vec<Output>,
    /// What is acknowledged then.
    pub accepted: Vec<(Session, Delivery, Option<Refused>)>,
    /// Who is answered then.
    pub answers: Vec<(oneshot::Sender<Answer>, Answer)>,
    /// Lines about what fog nodes send.
    pub log: LogLimiter<String>,
}

impl<E: voltmesh_spool::Context> Shell<E> {
    pub fn lock(&self) -> MutexGuard<'_, Controller> {
        self.controller.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a term, if there is one.
    pub async fn take_term(&mut self) -> Result<(), StoreError> {
        let held = self.lock().kept().term;
        match self.terms.take(held) {
            Some(term) => {
                tracing::info!(term, "this controller holds the term");
                self.handle(Input::Term(Some(term)));
            }
            None => tracing::info!("another controller holds the term: this one stands by"),
        }
        self.flush().await
    }

    pub fn handle(&mut self, input: Input) {
        let outputs = self.lock().handle(now(), input);
        self.outputs.extend(outputs);
    }

    pub fn request(&mut self, asked: Asked) {
        let Asked { request, what, answer } = asked;
        let is_rules = matches!(request, Request::SetRules(..));
        let result = self.lock().request(now(), request);
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
                    let fog = identity.id().to_owned();
                    self.handle(Input::FogUp { fog });
                } else {
                    if self.log.may_write(format!("{identity}: not a fog node")) {
                        tracing::warn!(%identity, "only fog nodes may connect here");
                    }
                    self.audit.refusal(&identity.to_string(), "only fog nodes may connect");
                    session.disconnect(Reason::NOT_AUTHORIZED);
                }
            }
            ServerEvent::Publishes { session, items } => {
                for item in items {
                    let refused = self.publish(&item.topic, &item.payload);
                    self.accepted.push((session.clone(), item.token, refused));
                }
            }
            ServerEvent::Ended { session, end } => {
                let identity = &session.peer().identity;
                tracing::info!(peer = %identity, %end, "connection ended");
                if identity.role == Role::Fog && self.server.sessions_of(identity).is_empty() {
                    let fog = identity.id().to_owned();
                    self.handle(Input::FogDown { fog });
                }
            }
            ServerEvent::Subscribed { .. } | ServerEvent::Completed { .. } => {}
        }
    }

    /// Takes a message; the reason if it is none. The policy has let only fog nodes' own topics through.
    fn publish(&mut self, topic: &str, payload: &Bytes) -> Option<Refused> {
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
            for output in outputs {
                self.perform(output);
            }
        }
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
            Output::Superseded { term } => {
                let held = self.lock().term();
                if let Some(held) = held
                    && !self.terms.holds(held, term)
                {
                    tracing::error!(
                        held,
                        seen = term,
                        "a fog node has seen a higher term: it refuses this controller's orders. Either another controller \
                         commands, or this one has lost its data: then start it with a higher leases.least_term"
                    );
                    self.handle(Input::Term(None));
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
