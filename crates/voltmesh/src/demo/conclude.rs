//! The end of a run: everything is read again from the outside.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use voltmesh_cloud::Claims;
use voltmesh_ledger::Trust;

use super::report::{ChaosLine, Report};
use super::run::Run;
use super::{check, stations, tamper};
use crate::commands::chain::leaves;

impl Run {
    /// Alters one value in a copy of the archive; says whether the check finds it.
    pub(super) async fn tamper(&self) -> Result<bool> {
        let trust = self.current_trust().await?;
        tamper::is_found(&self.site.archive()?, &self.site.deployment.dir.join("tampered"), &trust).await
    }

    /// The genesis and the cloud's key, and what a fog node can prove since: hand-overs, the log's size, the archive's
    /// newest statement.
    async fn current_trust(&self) -> Result<Trust> {
        for fog in &self.site.fogs {
            let mut trust = self.site.deployment.trust();
            trust.add_cloud(self.site.deployment.cloud_key()?);
            match crate::commands::chain::refresh(&self.site.http, fog.http, &mut trust).await {
                Ok(_) => return Ok(trust),
                Err(error) => tracing::debug!(error = format!("{error:#}"), "another fog node is asked"),
            }
        }
        bail!("no fog node answers; {}", self.diagnosis())
    }

    /// The log's leaves: a batch that was offered to several nodes has several, and not all of their evidence is archived
    /// when nodes die. Nothing if no node has the whole log: then each entry must be archived.
    async fn leaves(&self, trust: &Trust) -> Result<Claims> {
        let head = trust.log().context("the trust file does not say how large the log is")?;
        let path = self.site.deployment.dir.join("leaves.bin");
        for fog in &self.site.fogs {
            match leaves::write_range(&self.site.http, fog.http, 0..head.size, Some(&head), &path).await {
                Ok(()) => {
                    let mut claims = Claims::default();
                    let file = std::fs::read(&path).context("the log's leaves cannot be read")?;
                    claims.set_leaves(&file)?;
                    return Ok(claims);
                }
                Err(error) => tracing::debug!(error = format!("{error:#}"), "another fog node is asked"),
            }
        }
        Ok(Claims::default())
    }

    /// Reads everything again from the outside.
    pub(super) async fn conclude(
        &mut self,
        expected: &[check::Samples],
        elapsed: Duration,
        tampered: bool,
    ) -> Result<Report> {
        let mut report = Report {
            tamper_detected: tampered,
            anchor_latency_ms: self.watch.latency("edge-", "anchor").into(),
            archive_latency_ms: self.watch.latency("edge-", "archive").into(),
            height: self.watch.gauge_max("fog-", "height"),
            faults: self.happened.clone(),
            chaos: self.options.chaos.map(|seed| ChaosLine { seed, faults: self.options.fault.to_string() }),
            ..Report::default()
        };
        let trust = self.current_trust().await?;
        let claims = self.leaves(&trust).await?;
        // A fault may keep the fog node away that has the proof.
        match self.driven.check_receipt(&self.site.http, &trust).await {
            Err(error) if self.happened.is_empty() => {
                report.problems.push(format!("the event's receipt does not hold: {error:#}"));
            }
            checked => drop(checked),
        }
        let mut line = self.driven.line.clone();
        check::archive(&self.site.archive()?, &trust, &claims, expected, &mut line, &mut report).await?;
        if self.happened.is_empty() {
            report
                .problems
                .extend(line.missing().map(|missing| format!("the loop is not closed: {missing}")));
        }
        report.closed_loop = line;
        report.spooled = self.watch.sum("edge-", "spooled").max(report.archived);
        // A vehicle that was killed counts what is offered again once more: no more were received than there are.
        report.received = self.watch.sum("edge-", "received").max(report.archived).min(report.spooled);
        self.ask_for_stations(&mut report).await;
        report.records_per_s = report.archived as f64 / elapsed.as_secs_f64();
        report.judge();
        Ok(report)
    }

    /// Asks the fog node that has charging stations, unless a fault keeps it away.
    async fn ask_for_stations(&mut self, report: &mut Report) {
        let fog = &mut self.site.fogs[stations::FOG - 1];
        if !fog.is_up() {
            return;
        }
        match stations::ask(&self.site.http, fog.http).await {
            Ok(line) => report.stations = Some(line),
            Err(error) => report.problems.push(format!("charging stations: {error:#}")),
        }
    }
}
