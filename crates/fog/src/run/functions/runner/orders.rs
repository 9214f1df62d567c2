//! What controllers send, orders and releases, and what they are told first.

use std::collections::BTreeSet;

use bytes::Bytes;
use voltmesh_control::{FunctionReport, Order, Work};
use voltmesh_function::{Compiled, Input};
use voltmesh_telemetry::Digest;

use super::Runner;

impl Runner {
    pub(super) fn order(&mut self, link: usize, payload: &Bytes) {
        match Order::decode(payload) {
            // Told to whom it is: its number may be that of another order of the controller that commands.
            Ok(order) if order.term < self.term => {
                self.counters.orders_of_old_terms += 1;
                let (term, number) = (order.term, order.number);
                let reason = format!("the order is of term {term}, and term {} has begun", self.term);
                let refused = self.encode(&FunctionReport::Refused { order: number, reason });
                if let (Some(refused), Some(outbox)) = (refused, self.parts.outboxes.get(link)) {
                    outbox.report(refused);
                }
                self.warn(format!("orders of controller {link}"), || {
                    format!("an order of term {term} is refused: term {} has begun", self.term)
                });
            }
            Ok(order) => {
                self.term = self.term.max(order.term);
                self.parts.figures.ordered(link, order.term);
                if let Work::Run { vehicle, .. } = &order.work {
                    self.acting.insert(vehicle.clone());
                }
                self.manage(Input::Order(order), None);
            }
            Err(error) => {
                self.counters.orders_malformed += 1;
                self.warn(format!("orders of controller {link}"), || format!("an order is refused: {error}"));
            }
        }
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
        let ready = FunctionReport::Ready { key, term: self.term };
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
