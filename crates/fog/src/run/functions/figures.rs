//! What the thread of functions shows others: figures, instances, controllers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use commonware_runtime::tokio::Context;
use serde::Serialize;
use voltmesh_control::{Instance, Latency, Status};
use voltmesh_spool::Writer;

/// Counters that may fall.
pub const GAUGES: [&str; 5] = [
    "functions_running",
    "functions_vehicles",
    "functions_journal_bytes",
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
}

/// For the interfaces.
#[derive(Clone)]
pub struct Figures {
    view: Arc<Mutex<View>>,
    journal: Writer<Context>,
}

impl Figures {
    /// Nothing yet, of controllers at these addresses.
    pub fn new(addresses: &[String], journal: Writer<Context>) -> Self {
        let of = |address: &String| ControllerView { address: address.clone(), ..ControllerView::default() };
        let view = View { controllers: addresses.iter().map(of).collect(), ..View::default() };
        Self { view: Arc::new(Mutex::new(view)), journal }
    }

    /// The newest state.
    pub fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where events are read.
    pub fn journal(&self) -> &Writer<Context> {
        &self.journal
    }

    /// Adds the figures to a status.
    pub fn report(&self, status: &mut Status) {
        let view = self.view();
        let connected = view.controllers.iter().filter(|one| one.connected.is_some()).count() as u64;
        let term = view.controllers.iter().map(|one| one.term).max().unwrap_or_default();
        status.counters.extend(view.counters.iter().map(|(name, value)| ((*name).to_owned(), *value)));
        status.counters.insert("controllers_connected".to_owned(), connected);
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
