//! Counters of the server: connections and refusals by reason, with a line of log for each reason at intervals.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{Confined, Process, Refusal};

/// Time between two lines of log about one kind of event: at most 12 kinds of 300 bytes, 360 bytes/s.
const QUIET: Duration = Duration::from_secs(10);

/// Kinds of events that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Requests,
    RefusedHost,
    RefusedOrigin,
    RefusedMethod,
    RefusedContentType,
    RefusedToken,
    RefusedBody,
    RefusedFull,
    Timeouts,
    Malformed,
    GaveWay,
    TlsRefused,
    CertificateEnded,
    CostlyWaits,
}

impl Kind {
    const ALL: [(Self, &'static str); 14] = [
        (Self::Requests, "http_requests"),
        (Self::RefusedHost, "http_refused_host"),
        (Self::RefusedOrigin, "http_refused_origin"),
        (Self::RefusedMethod, "http_refused_method"),
        (Self::RefusedContentType, "http_refused_content_type"),
        (Self::RefusedToken, "http_refused_token"),
        (Self::RefusedBody, "http_refused_body"),
        (Self::RefusedFull, "http_refused_full"),
        (Self::Timeouts, "http_timeouts"),
        (Self::Malformed, "http_malformed"),
        (Self::GaveWay, "http_gave_way"),
        (Self::TlsRefused, "http_tls_refused"),
        (Self::CertificateEnded, "http_certificates_ended"),
        (Self::CostlyWaits, "http_costly_waits"),
    ];

    pub(crate) fn of(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Host(_) | Refusal::ForeignHost { .. } => Self::RefusedHost,
            Refusal::ForeignOrigin { .. } => Self::RefusedOrigin,
            Refusal::Method(_) => Self::RefusedMethod,
            Refusal::ContentType(_) => Self::RefusedContentType,
            Refusal::Token => Self::RefusedToken,
            Refusal::TooLarge(_) => Self::RefusedBody,
            Refusal::SlowBody(_) | Refusal::SlowAnswer(_) => Self::Timeouts,
            Refusal::Full => Self::RefusedFull,
        }
    }
}

/// Names of the figures of connections.
const CONNECTIONS: [&str; 3] =
    ["http_connections", "http_connections_bound", "http_connections_per_source_bound"];

/// Counts since the start, and the places in use now.
#[derive(Debug, Default)]
pub struct Figures {
    counts: [AtomicU64; Kind::ALL.len()],
    connections: AtomicU64,
    bounds: [AtomicU64; 2],
    quiet: Mutex<Quiet>,
    process: Process,
}

impl Figures {
    /// Those of these figures that may fall.
    pub const GAUGES: [&'static str; 6] = {
        let [landlock, seccomp, user] = Confined::GAUGES;
        let [connections, bound, per_source] = CONNECTIONS;
        [connections, bound, per_source, landlock, seccomp, user]
    };

    /// All at nought.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The same, of this process: refusals are entered by address, and reads of [`crate::Settings::recorded`] by who asked.
    pub fn of(process: Process) -> Arc<Self> {
        Arc::new(Self { process, ..Self::default() })
    }

    /// All of them by name, to be shown among a role's counters.
    pub fn snapshot(&self) -> Vec<(&'static str, u64)> {
        let count = |(kind, name): (Kind, _)| (name, self.counts[kind as usize].load(Ordering::Relaxed));
        let gauges = [&self.connections, &self.bounds[0], &self.bounds[1]];
        let gauges = CONNECTIONS.into_iter().zip(gauges.map(|value| value.load(Ordering::Relaxed)));
        Kind::ALL.into_iter().map(count).chain(gauges).chain(self.process.confined.figures()).collect()
    }

    pub(crate) fn count(&self, kind: Kind) {
        self.counts[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts, and says so in the log if nothing was said of this kind for a while.
    pub(crate) fn note(&self, kind: Kind, from: SocketAddr, why: &dyn std::fmt::Display) {
        self.count(kind);
        if !matches!(kind, Kind::Requests | Kind::GaveWay) {
            let name = Kind::ALL.iter().find(|(known, _)| *known == kind).map_or("", |(_, name)| name);
            self.process.audit.refusal(&from.ip().to_canonical().to_string(), name);
        }
        let said = self.quiet.lock().unwrap_or_else(PoisonError::into_inner).ask(kind, Instant::now());
        if let Some(unsaid) = said {
            let name = Kind::ALL.iter().find(|(known, _)| *known == kind).map_or("", |(_, name)| name);
            tracing::warn!(kind = name, %from, unsaid, "HTTP: {why}");
        }
    }

    /// Enters that somebody with a certificate was turned away.
    pub(crate) fn enter_refusal(&self, who: &str, what: &str) {
        self.process.audit.refusal(who, what);
    }

    /// Enters that somebody was given something.
    pub(crate) fn enter_read(&self, who: &str, what: &str) {
        self.process.audit.read(who, what);
    }

    pub(crate) fn set_connections(&self, count: usize) {
        self.connections.store(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn set_bounds(&self, total: usize, share: usize) {
        self.bounds[0].store(total as u64, Ordering::Relaxed);
        self.bounds[1].store(share as u64, Ordering::Relaxed);
    }
}

/// Limiter of log lines: for each kind, the time of the last line and the count of those left out since.
#[derive(Debug, Default)]
struct Quiet(BTreeMap<Kind, (Instant, u64)>);

impl Quiet {
    /// Whether to say it now, and how many were not said since the last time.
    fn ask(&mut self, kind: Kind, now: Instant) -> Option<u64> {
        match self.0.get_mut(&kind) {
            Some((last, unsaid)) if now.saturating_duration_since(*last) < QUIET => {
                *unsaid += 1;
                None
            }
            other => {
                let unsaid = other.map_or(0, |(_, unsaid)| *unsaid);
                self.0.insert(kind, (now, 0));
                Some(unsaid)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_one_line_and_a_count() {
        let (mut quiet, start) = (Quiet::default(), Instant::now());
        assert_eq!(quiet.ask(Kind::RefusedHost, start), Some(0));
        for _ in 0..1_000 {
            assert_eq!(quiet.ask(Kind::RefusedHost, start + QUIET / 2), None);
        }
        assert_eq!(quiet.ask(Kind::RefusedOrigin, start + QUIET / 2), Some(0), "each kind is said");
        assert_eq!(quiet.ask(Kind::RefusedHost, start + QUIET), Some(1_000));
        assert_eq!(quiet.ask(Kind::RefusedHost, start + QUIET * 2), Some(0));
    }

    #[test]
    fn every_kind_is_counted_under_its_own_name() {
        let figures = Figures::new();
        for (place, (kind, _)) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
            figures.count(kind);
        }
        let shown: BTreeMap<_, _> = figures.snapshot().into_iter().collect();
        assert_eq!(shown.len(), Kind::ALL.len() + Figures::GAUGES.len());
        assert!(Kind::ALL.iter().all(|(_, name)| shown[name] == 1));
    }
}
