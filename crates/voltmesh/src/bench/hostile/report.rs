//! Report of `bench hostile`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::bench::machine::Machine;
use crate::output::{self, row};

/// Waits for a session, in ms.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Sessions {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
    /// How many were opened.
    pub(super) sessions: usize,
    /// How often one was turned away and came again at once.
    pub(super) turned_away: u64,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Memory {
    pub(super) before: f64,
    pub(super) after: f64,
}

/// From a new revocation list to the end of what a certificate has opened, in ms.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Revocation {
    /// At all doors together: median and longest.
    pub(super) p50: f64,
    pub(super) max: f64,
    /// Longest at each door: whose, and where; or who leaves a server that is revoked.
    #[serde(flatten)]
    pub(super) doors: BTreeMap<&'static str, f64>,
}

impl Revocation {
    /// Of what was measured at each door.
    pub(super) fn of(doors: BTreeMap<&'static str, Vec<f64>>) -> Self {
        let mut all: Vec<f64> = doors.values().flatten().copied().collect();
        all.sort_by(f64::total_cmp);
        let at = |n: usize| all.get(n).copied().unwrap_or_default();
        let longest = |waits: Vec<f64>| waits.into_iter().fold(0.0, f64::max);
        Self {
            p50: at(all.len() / 2),
            max: at(all.len().saturating_sub(1)),
            doors: doors.into_iter().map(|(door, waits)| (door, longest(waits))).collect(),
        }
    }
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) machine: Machine,
    /// Of each attack.
    pub(super) seconds: u64,
    /// From TCP connect to CONNACK of an honest vehicle, by attack.
    pub(super) session_ms: BTreeMap<&'static str, Sessions>,
    /// From publish to PUBACK of an honest client, by attack.
    pub(super) puback_ms: BTreeMap<&'static str, Percentiles>,
    /// Its 99th percentile as a multiple of that without an attack.
    pub(super) puback_ratio: BTreeMap<&'static str, f64>,
    /// Share of an honest client's entries that the quarantine still has.
    pub(super) quarantine_kept: f64,
    /// Growth of the log while attacks last.
    pub(super) log_bytes_per_s: f64,
    /// Resident memory before and after all attacks.
    pub(super) rss_mb: Memory,
    pub(super) revocation_ms: Revocation,
}

impl Report {
    pub(super) fn print(&self) {
        let rows: Vec<_> = ["idle", "silent", "tls_flood", "hoarder", "rubbish"]
            .into_iter()
            .map(|name| {
                let (session, puback) = (&self.session_ms[name], &self.puback_ms[name]);
                let ratio =
                    self.puback_ratio.get(name).map_or_else(String::new, |ratio| format!("{ratio:.1}"));
                vec![
                    name.to_owned(),
                    format!("{:.1} / {:.1} / {:.1}", session.p50, session.p99, session.max),
                    format!("{} of {}", session.turned_away, session.sessions),
                    format!("{:.1} / {:.1}", puback.p50, puback.p99),
                    ratio,
                ]
            })
            .collect();
        let head =
            ["attack", "session ms, p50 / p99 / max", "turned away", "PUBACK ms, p50 / p99", "p99 to idle"];
        output::table(&head, &rows);
        output::table(
            &["the attacked fog node", "figure"],
            &[
                row("share of the quarantine that others keep", format!("{:.2}", self.quarantine_kept)),
                row("log, bytes per second", format!("{:.0}", self.log_bytes_per_s)),
                row(
                    "memory before / after, MB",
                    format!("{:.0} / {:.0}", self.rss_mb.before, self.rss_mb.after),
                ),
                row(
                    "revocation to the end of what was open, p50 / max, ms",
                    format!("{:.0} / {:.0}", self.revocation_ms.p50, self.revocation_ms.max),
                ),
            ],
        );
        let doors: Vec<_> = self.revocation_ms.doors.iter().collect();
        let rows: Vec<_> = doors
            .iter()
            .map(|(door, longest)| vec![door.replace('_', " "), format!("{longest:.0}")])
            .collect();
        output::table(&["revoked in the middle", "longest until its end, ms"], &rows);
    }
}
