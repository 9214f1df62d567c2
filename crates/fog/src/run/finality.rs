//! The ledger in figures: how long blocks take to become final, and where this node stands.

use std::sync::{Arc, Mutex, PoisonError};

use commonware_runtime::tokio::Context;
use voltmesh_consensus::Handle;
use voltmesh_control::Latency;

use super::{clock::now, latency::Histogram};
use crate::answers::{running_epoch, share_ppm};

/// From a block's time until this node knows that it is final.
#[derive(Clone, Default)]
pub struct Finality(Arc<Mutex<Histogram>>);

impl Finality {
    /// Percentiles since the start.
    pub fn latency(&self) -> Latency {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).latency()
    }
}

/// Measures until the node stops. Only blocks proposed since now count: a node that catches up says nothing about the
/// ledger. Of blocks that become final together the newest counts.
pub fn watch(context: Context, ledger: Handle) -> Finality {
    let finality = Finality::default();
    let (measured, start) = (finality.clone(), now(&context));
    tokio::spawn(async move {
        let mut next = ledger.height().next();
        while ledger.reached(next).await {
            let (state, at) = (ledger.state(), now(&context));
            if state.time() >= start {
                let took_us = at.as_millis().saturating_sub(state.time().as_millis()).saturating_mul(1_000);
                measured.0.lock().unwrap_or_else(PoisonError::into_inner).record(took_us);
            }
            next = state.height().next();
        }
    });
    finality
}

/// Figures of the ledger by name.
pub fn figures(ledger: &Handle) -> [(&'static str, u64); 13] {
    let state = ledger.state();
    let me = ledger.public_key();
    let roster = state.roster_for(running_epoch(&state));
    [
        ("height", ledger.height().get()),
        ("oldest_height", ledger.oldest().get()),
        ("epoch", ledger.epoch().get()),
        ("view", ledger.view()),
        ("views_nullified", ledger.nullified()),
        ("score_ppm", state.standing(me).map_or(0, |standing| standing.score.into())),
        ("turns_ppm", roster.map_or(0, |roster| share_ppm(roster, me).into())),
        ("convicted", state.convicted().len() as u64),
        ("peers", ledger.peers().len() as u64),
        ("pool", ledger.pending() as u64),
        ("misbehaviour", ledger.misbehaviour().values().sum()),
        ("proposals_ahead_of_clock", ledger.clock_ahead()),
        ("anchors_over_quota", ledger.over_quota()),
    ]
}
