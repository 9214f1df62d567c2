//! What controllers send, orders and releases, and what they are told first.

use std::collections::BTreeSet;

use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use voltmesh_control::{FunctionReport, Order, Work};
use voltmesh_function::{Compiled, Input};
use voltmesh_telemetry::Digest;

use super::Runner;
use crate::functions::terms::{Given, Judged};

impl Runner {
    pub(super) fn order(&mut self, link: usize, payload: &Bytes) {
        match Order::decode(payload) {
            Ok(order) => self.ordered(Given { link, order, size: payload.len() }),
            Err(error) => {
                self.counters.orders_malformed += 1;
                self.warn(format!("orders of controller {link}"), || format!("an order is refused: {error}"));
            }
        }
    }

    fn ordered(&mut self, given: Given) {
        let (link, term) = (given.link, given.order.term);
        match self.parts.terms.judge(given) {
            Judged::Taken(Given { order, .. }) => {
                self.parts.figures.ordered(link, term);
                if let Work::Run { vehicle, .. } = &order.work {
                    self.acting.insert(vehicle.clone());
                }
                self.manage(Input::Order(order), None);
            }
            // Told to whom it is: its number may be that of another order of the controller that commands.
            Judged::Over(Given { order, .. }) => {
                self.counters.orders_of_old_terms += 1;
                let newest = self.parts.terms.newest();
                let reason = format!("the order is of term {term}, and term {newest} has begun");
                let refused = self.encode(&FunctionReport::Refused { order: order.number, reason });
                if let (Some(refused), Some(outbox)) = (refused, self.parts.outboxes.get(link)) {
                    outbox.report(refused);
                }
                self.warn(format!("orders of controller {link}"), || {
                    format!("an order of term {term} is refused: term {newest} has begun")
                });
            }
            judged @ (Judged::Early | Judged::Crowded) => {
                self.counters.orders_early += 1;
                let what = if judged == Judged::Early { "waits" } else { "is left out: too many wait" };
                self.warn(format!("orders of controller {link}"), || {
                    format!(
                        "an order of term {term} {what}: this node's ledger does not have that term yet; if it is not behind, the \
                         controller claims a term that it does not hold, or has terms of its own (its setting `terms`)"
                    )
                });
            }
        }
    }

    /// Who may give orders from now on, and in which term. Orders that were ahead of the ledger have their turn.
    pub(super) fn controllers(&mut self, keys: Vec<VerifyingKey>, term: u32, ledger: Option<u32>) {
        let early = self.parts.terms.hear(term, ledger);
        self.manage(Input::Controllers { keys, term }, None);
        early.into_iter().for_each(|given| self.ordered(given));
    }

    /// Has a release compiled beside, so that summaries and other functions go on meanwhile. One that finds no room is asked for
    /// again.
    pub(super) fn release(&mut self, payload: Bytes) {
        if self.compiling.contains(&payload) {
            return;
        }
        match self.parts.compiler.compile(payload.clone()) {
            true => drop(self.compiling.insert(payload)),
            false => self.warn("releases".to_owned(), || "too many releases wait to be compiled".to_owned()),
        }
    }

    pub(super) fn compiled(&mut self, payload: &Bytes, compiled: Compiled) {
        self.compiling.remove(payload);
        if !compiled.is_refused() {
            // Packages are named otherwise than components: what runs is not told apart here, and the newest stay.
            self.parts.releases.keep(payload, &BTreeSet::from([Digest::of(payload)]));
        }
        self.manage(Input::Compiled(compiled), None);
        self.look();
    }

    /// The first reports of a session.
    pub(super) fn greet(&mut self, link: usize) {
        let key = hex::encode(self.parts.signing.verifying_key().as_bytes());
        let ready = FunctionReport::Ready { key, term: self.parts.terms.newest() };
        let running = FunctionReport::Running { instances: self.parts.manager.running() };
        let first = [ready, running].iter().filter_map(|report| self.encode(report)).collect();
        if let Some(outbox) = self.parts.outboxes.get(link) {
            outbox.greet(first);
        }
    }

    pub(super) fn encode(&self, report: &FunctionReport) -> Option<Bytes> {
        match report.encode() {
            Ok(bytes) => Some(bytes.into()),
            Err(error) => {
                tracing::error!(%error, "a report for the controller is too large and left out");
                None
            }
        }
    }
}
