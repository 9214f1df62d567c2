//! What the thread of functions shows others: figures, instances, controllers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use commonware_runtime::tokio::Context;
use serde::Serialize;
use voltmesh_control::{Instance, Latency, Status};
use voltmesh_spool::Writer;

use super::receipts::Receipts;

/// Counters that may fall.
pub const GAUGES: [&str; 7] = [
    "functions_running",
    "functions_vehicles",
    "functions_journal_bytes",
    "functions_events_waiting",
    "functions_receipts",
    "controllers_connected",
    "controller_term",
];

/// Figures of one function that are kept: those named first.
pub const MAX_METRICS: usize = 32;

/// A controller, as this node sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ControllerView {
    /// Where it listens.
    pub address: String,
    /// Who it is, by its certificate; nobody while there is no session.
    pub connected: Option<String>,
    /// Highest term in which it gave an order.
    pub term: u32,
    /// Whether its term is the highest of all: its orders are carried out.
    pub followed: bool,
    /// Orders that it gave since the start.
    pub orders: u64,
}

/// A function, as this node sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunctionView {
    #[serde(flatten)]
    pub instance: Instance,
    /// Its newest figures.
    pub figures: BTreeMap<String, f64>,
}

/// Newest state of the thread.
#[derive(Debug, Default)]
pub struct View {
    pub counters: BTreeMap<&'static str, u64>,
    pub latencies: BTreeMap<&'static str, Latency>,
    pub functions: Vec<FunctionView>,
    pub controllers: Vec<ControllerView>,
    pub events: Events,
}

/// Events on their way onto the ledger.
#[derive(Debug, Clone, Copy, Default)]
pub struct Events {
    /// Not there yet, of those that were read.
    pub waiting: u64,
    /// There since the start of the process.
    pub listed: u64,
    /// Of these, in lists that no block that is kept holds.
    pub without_receipt: u64,
}

/// For the interfaces.
#[derive(Clone)]
pub struct Figures {
    view: Arc<Mutex<View>>,
    journal: Writer<Context>,
    receipts: Receipts,
}

impl Figures {
    /// Nothing yet, of controllers at these addresses.
    pub fn new(addresses: &[String], journal: Writer<Context>, receipts: Receipts) -> Self {
        let of = |address: &String| ControllerView { address: address.clone(), ..ControllerView::default() };
        let view = View { controllers: addresses.iter().map(of).collect(), ..View::default() };
        Self { view: Arc::new(Mutex::new(view)), journal, receipts }
    }

    /// The newest state.
    pub fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where events are read.
    pub fn journal(&self) -> &Writer<Context> {
        &self.journal
    }

    /// Receipts of events.
    pub fn receipts(&self) -> &Receipts {
        &self.receipts
    }

    /// A list is on the ledger.
    pub fn listed(&self, events: usize, receipt: bool) {
        let events = events as u64;
        let mut view = self.view();
        view.events.listed += events;
        view.events.without_receipt += if receipt { 0 } else { events };
    }

    /// So many events wait for the ledger.
    pub fn unlisted(&self, waiting: usize) {
        self.view().events.waiting = waiting as u64;
    }

    /// Adds the figures to a status.
    pub fn report(&self, status: &mut Status) {
        let view = self.view();
        let connected = view.controllers.iter().filter(|one| one.connected.is_some()).count() as u64;
        let term = view.controllers.iter().map(|one| one.term).max().unwrap_or_default();
        status.counters.extend(view.counters.iter().map(|(name, value)| ((*name).to_owned(), *value)));
        status.counters.insert("controllers_connected".to_owned(), connected);
        for (name, value) in [
            ("functions_events_waiting", view.events.waiting),
            ("functions_events_on_ledger", view.events.listed),
            ("functions_events_without_receipt", view.events.without_receipt),
            ("functions_receipts", self.receipts.kept() as u64),
        ] {
            status.counters.insert(name.to_owned(), value);
        }
        status.counters.insert("controller_term".to_owned(), term.into());
        let latencies = view.latencies.iter().map(|(name, value)| ((*name).to_owned(), *value));
        status.latencies.extend(latencies);
    }

    /// A session with a controller has begun, or ended.
    pub fn connected(&self, link: usize, peer: Option<String>) {
        if let Some(one) = self.view().controllers.get_mut(link) {
            one.connected = peer;
        }
    }

    /// A controller gave an order in a term.
    pub fn ordered(&self, link: usize, term: u32) {
        let mut view = self.view();
        if let Some(one) = view.controllers.get_mut(link) {
            one.orders += 1;
            one.term = one.term.max(term);
        }
        let highest = view.controllers.iter().map(|one| one.term).max();
        for one in &mut view.controllers {
            one.followed = one.orders > 0 && Some(one.term) == highest;
        }
    }
}
