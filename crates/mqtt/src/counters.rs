use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustls::CertificateError;

use crate::admission::Refused;
use crate::places::Crowded;
use crate::{End, Reason};

/// Counts since the start, and the bounds in force; for `/metrics` and `/status`.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) connections: Count,
    pub(crate) sessions: Count,
    pub(crate) sessions_3_1_1: Count,
    pub(crate) refused_sessions: Count,
    pub(crate) taken_over: Count,
    pub(crate) publishes: Count,
    pub(crate) bytes: Count,
    pub(crate) refused: Count,
    pub(crate) rejected: Count,
    /// Of these, those that were acknowledged to MQTT 3.1.1 clients, which cannot be told.
    pub(crate) rejected_untold: Count,
    /// Wills among the publishes.
    pub(crate) wills: Count,
    pub(crate) tls_no_certificate: Count,
    pub(crate) tls_expired: Count,
    pub(crate) tls_revoked: Count,
    pub(crate) tls_unknown_issuer: Count,
    pub(crate) tls_other: Count,
    pub(crate) revoked_live: Count,
    /// Connections that were ended before their session to make room.
    pub(crate) made_room: Count,
    refused_source: Count,
    refused_total: Count,
    refused_rate: Count,
    refused_busy: Count,
    refused_identity: Count,
    refused_reserved: Count,
    refused_full: Count,
    /// Times that a session was not read from for what its identity has under way, or for its rate.
    pub(crate) held_identity: Count,
    pub(crate) held_rate: Count,
    ended: Mutex<BTreeMap<Reason, u64>>,
    /// What is so now; the server fills it in.
    pub(crate) figures: Mutex<Vec<(&'static str, u64)>>,
}

/// One counter.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    /// All of them by name. `ended_…` counts sessions that this side ended, by reason; `bound_…` are the bounds in force.
    pub fn snapshot(&self) -> BTreeMap<String, u64> {
        let mut all: BTreeMap<String, u64> = [
            ("connections", &self.connections),
            ("connections_ended_for_room", &self.made_room),
            ("connections_refused_source", &self.refused_source),
            ("connections_refused_total", &self.refused_total),
            ("handshakes_refused_rate", &self.refused_rate),
            ("handshakes_refused_busy", &self.refused_busy),
            ("sessions", &self.sessions),
            ("sessions_mqtt_3_1_1", &self.sessions_3_1_1),
            ("sessions_refused", &self.refused_sessions),
            ("sessions_refused_identity", &self.refused_identity),
            ("sessions_refused_reserved", &self.refused_reserved),
            ("sessions_refused_full", &self.refused_full),
            ("sessions_taken_over", &self.taken_over),
            ("sessions_revoked", &self.revoked_live),
            ("publishes", &self.publishes),
            ("publish_bytes", &self.bytes),
            ("publishes_refused", &self.refused),
            ("publishes_rejected", &self.rejected),
            ("publishes_rejected_untold", &self.rejected_untold),
            ("publishes_of_wills", &self.wills),
            ("publishes_held_identity", &self.held_identity),
            ("publishes_held_rate", &self.held_rate),
            ("tls_no_certificate", &self.tls_no_certificate),
            ("tls_expired", &self.tls_expired),
            ("tls_revoked", &self.tls_revoked),
            ("tls_unknown_issuer", &self.tls_unknown_issuer),
            ("tls_other", &self.tls_other),
        ]
        .map(|(name, count)| (name.to_owned(), count.get()))
        .into();
        let figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(figures.iter().map(|(name, value)| ((*name).to_owned(), *value)));
        for (reason, count) in self.ended.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            all.insert(format!("ended_{}", reason.name().to_lowercase().replace(' ', "_")), *count);
        }
        all
    }

    /// Whether a name of [`Counters::snapshot`] is of something that is so now, not of a count since the start.
    pub fn is_gauge(name: &str) -> bool {
        name.starts_with("bound_")
            || name.starts_with("open_")
            || matches!(name, "identities_away" | "undecided_bytes")
    }

    pub(crate) fn count_end(&self, end: &End) {
        if let End::Here(reason) = end {
            *self.ended.lock().unwrap_or_else(PoisonError::into_inner).entry(*reason).or_default() += 1;
        }
    }

    /// Counts a connection that was refused by a bound; also which one as text.
    pub(crate) fn count_refused(&self, refused: Refused) -> &'static str {
        let (count, text) = match refused {
            Refused::Source => (&self.refused_source, "connection refused: all of its address are in use"),
            Refused::Total => (&self.refused_total, "connection refused: all are in use"),
            Refused::Rate => (&self.refused_rate, "handshake refused: too many a second"),
            Refused::Busy => (&self.refused_busy, "handshake refused: all are at work"),
        };
        count.add(1);
        text
    }

    /// Counts a session that was refused by a bound; also which one as text.
    pub(crate) fn count_crowded(&self, crowded: Crowded) -> &'static str {
        self.refused_sessions.add(1);
        let (count, text) = match crowded {
            Crowded::Identity => (&self.refused_identity, "session refused: the identity has all of its own"),
            Crowded::Reserved => (&self.refused_reserved, "session refused: those left are reserved"),
            Crowded::Total => (&self.refused_full, "session refused: all are in use"),
        };
        count.add(1);
        text
    }

    /// Sorts a failed handshake.
    pub(crate) fn count_tls(&self, error: &std::io::Error) {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let count = match inner {
            Some(rustls::Error::NoCertificatesPresented) => &self.tls_no_certificate,
            Some(rustls::Error::InvalidCertificate(problem)) => match problem {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => &self.tls_expired,
                CertificateError::Revoked => &self.tls_revoked,
                CertificateError::UnknownIssuer | CertificateError::BadSignature => &self.tls_unknown_issuer,
                _ => &self.tls_other,
            },
            _ => &self.tls_other,
        };
        count.add(1);
    }
}
