//! What is told and shown: summaries of vehicles, what runs, figures.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bytes::Bytes;
use voltmesh_battery::summary::Summary;
use voltmesh_control::{Summaries, VehicleSummary};

use super::Runner;
use crate::run::functions::figures::FunctionView;

/// For so long seconds that are over are gathered, so that many vehicles make few messages.
const GATHER: Duration = Duration::from_millis(10);

/// Vehicles in one message: of at most 3 kB each, three quarters of the bound.
const VEHICLES: usize = 256;

impl Runner {
    /// How long to wait until seconds that are over are told together.
    pub(super) fn gathered(&self) -> Duration {
        self.told.map_or(Duration::ZERO, |at| GATHER.saturating_sub(at.elapsed()))
    }

    pub(super) fn summarise(&mut self, vehicles: &[VehicleSummary<Summary>]) {
        let room = self.parts.manager.room();
        let mut message = |vehicles: &[VehicleSummary<Summary>]| {
            // Each message is after the one before it: others are taken for old ones.
            self.told_ms = self.now.as_millis().max(self.told_ms + 1);
            Summaries { at_ms: self.told_ms, room: room.clone(), vehicles: vehicles.to_vec() }
        };
        let mut messages: Vec<_> = vehicles.chunks(VEHICLES).map(&mut message).collect();
        if messages.is_empty() {
            messages.push(message(&[]));
        }
        let encoded: Vec<Bytes> = messages
            .iter()
            .filter_map(|message| match message.encode() {
                Ok(bytes) => Some(bytes.into()),
                Err(error) => {
                    tracing::error!(%error, "summaries are left out");
                    None
                }
            })
            .collect();
        self.counters.summaries += vehicles.iter().filter(|one| one.summary.is_some()).count() as u64;
        let now = Instant::now();
        self.parts.outboxes.iter().for_each(|outbox| outbox.summaries(now, encoded.clone()));
    }

    /// Looks at what runs, and shows it.
    pub(super) fn look(&mut self) {
        let running = self.parts.manager.running();
        self.acting = running.iter().map(|one| one.vehicle.clone()).collect();
        let runs: BTreeSet<_> = running.iter().map(|one| (&one.vehicle, &one.function)).collect();
        self.metrics.retain(|(vehicle, function), _| runs.contains(&(vehicle, function)));
        let views = running.into_iter().map(|instance| {
            let key = (instance.vehicle.clone(), instance.function.clone());
            FunctionView { figures: self.metrics.get(&key).cloned().unwrap_or_default(), instance }
        });
        self.parts.figures.view().functions = views.collect();
    }

    pub(super) fn refresh(&mut self) {
        self.log.due().iter().for_each(|unwritten| tracing::warn!("{unwritten}"));
        let (manager, journal) = (self.parts.manager.counters(), self.parts.journal.counters());
        let (dropped, skipped) = self
            .parts
            .outboxes
            .iter()
            .map(|outbox| outbox.lost())
            .fold((0, 0), |sum, lost| (sum.0 + lost.0, sum.1 + lost.1));
        let counters = &self.counters;
        let figures = BTreeMap::from([
            ("functions_running", u64::from(self.parts.manager.room().instances)),
            ("functions_vehicles", self.watch.followed() as u64),
            ("functions_journal_bytes", self.parts.journal.used()),
            ("functions_calls", manager.calls),
            ("functions_traps", manager.failures),
            ("functions_missed", manager.missed),
            ("functions_rolled_back", manager.rolled_back),
            ("functions_commands_not_allowed", manager.refused_commands),
            ("functions_orders_refused", manager.refused_orders + counters.orders_of_old_terms),
            ("functions_releases_refused", manager.refused_releases),
            ("functions_orders_early", counters.orders_early),
            ("functions_orders_malformed", counters.orders_malformed),
            ("functions_events_kept", journal.events),
            ("functions_events_lost", journal.events_lost),
            ("functions_events_unlisted", journal.events_unlisted),
            ("functions_journal_unreadable", journal.unreadable),
            ("functions_journal_waits", counters.waits),
            ("functions_commands_sent", counters.sent),
            ("functions_commands_undelivered", counters.undelivered),
            ("functions_commands_answered", counters.answers),
            ("functions_commands_given_up", journal.commands_given_up + journal.commands_unfounded),
            ("functions_summaries_sent", counters.summaries),
            ("functions_summaries_skipped", skipped),
            ("functions_reports_dropped", dropped),
            ("functions_feed_dropped", self.parts.queue.dropped()),
            ("functions_feed_undecodable", counters.undecodable),
            ("functions_reports_refused", counters.reports_refused),
            ("functions_samples_ahead", counters.ahead),
            ("functions_samples_late", self.watch.late()),
            ("functions_vehicles_crowded", self.watch.crowded()),
        ]);
        let mut view = self.parts.figures.view();
        view.counters = figures;
        view.latencies.insert("record_to_command", self.record_to_command.latency());
        view.latencies.insert("command_to_answer", self.command_to_answer.latency());
    }
}
